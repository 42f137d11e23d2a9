"""How accurate the inverse of a long planar stack is, D = 64, K = 16."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.bijectors import accuracy
from tests.bijectors.accuracy import NUM_MEMBERS, SIZE
from tfp_flows.bijectors import Planar, Scan
from tfp_flows.math import root_finding


def _stack(sd, dtype, constraint="identity"):
    rng = np.random.default_rng(1)
    shapes = ((NUM_MEMBERS, SIZE), (NUM_MEMBERS, SIZE), (NUM_MEMBERS,))
    parameters = [(sd * rng.normal(size=s)).astype(dtype) for s in shapes]
    return Scan(Planar(*parameters, constraint=constraint))


@pytest.mark.parametrize(
    ("dtype", "limit"), [(np.float64, 1e-9), (np.float32, 1e-4)]
)
def test_round_trip_with_moderate_parameters(dtype, limit):
    x = accuracy.points(10_000, dtype)
    _, back = accuracy.round_trip(_stack(0.3, dtype), x)
    assert np.abs(back - x).max() <= limit


@pytest.mark.parametrize(
    ("sd", "dtype", "constraint"),
    [
        (3.0, np.float32, "identity"),
        (3.0, np.float64, "paper"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                (3.0, np.float32, "paper"),
                (3.0, np.float64, "identity"),
                *itertools.product(
                    [1.0], [np.float32, np.float64], ["identity", "paper"]
                ),
            )
        ),
    ],
)
def test_every_root_leaves_a_residual_within_rounding(sd, dtype, constraint):
    """At most 8 eps of the largest term, evaluated in a wider precision."""
    flow = _stack(sd, dtype, constraint)
    u_hat, w, b, c, q = (
        p.numpy() for p in flow.bijector._constrained_parameters()
    )
    y, _ = accuracy.round_trip(flow, accuracy.points(10_000, dtype))
    for k in reversed(range(NUM_MEMBERS)):
        t = y @ w[k] + b[k]
        s = root_finding.tanh_root(
            tf.fill(t.shape, c[k]), tf.fill(t.shape, q[k]), tf.constant(t)
        ).numpy()
        y = y - u_hat[k] * np.tanh(s)[:, np.newaxis]
        accuracy.assert_residual_is_within_rounding(c[k], s, t)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sd", "constraint"), [(1.0, "identity"), (3.0, "identity"), (1.0, "paper")]
)
def test_error_is_what_the_conditioning_allows(sd, constraint):
    for dtype in (np.float32, np.float64):
        accuracy.assert_error_is_what_the_conditioning_allows(
            _stack(sd, dtype, constraint), 10_000, f"sd {sd}, {constraint}"
        )
