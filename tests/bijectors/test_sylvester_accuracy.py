"""How accurate the inverse of a long Sylvester flow is, D = 64, K = 16."""

import numpy as np
import pytest
import tensorflow as tf

from tests.bijectors import accuracy
from tests.bijectors.accuracy import NUM_MEMBERS, SIZE
from tfp_flows.bijectors import Scan, SylvesterOrthogonal, SylvesterTriangular
from tfp_flows.math import root_finding, sylvester

# Spread of what is above the diagonals of R1 and R2, over that of the other
# parameters. With 64 units of sd 0.3 throughout, |J^-1| of the flow is 1e4: one
# rounding of y in float32 moves x by more than 1e-4.
WIDE, NARROW = 1.0, 1.0 / np.sqrt(SIZE)


def _triangle(rng, num_units, spread):
    packed = rng.normal(size=[NUM_MEMBERS, num_units * (num_units + 1) // 2])
    packed[:, num_units:] *= spread
    return packed


def _stack(kind, sd, spread, dtype):
    """16 orthogonal columns, or all 64 coordinates in alternating order."""
    rng = np.random.default_rng(1)
    num_units = {"orthogonal": 16, "triangular": SIZE}[kind]
    r1, r2, b, vectors = (
        (sd * a).astype(np.float32).astype(dtype)
        for a in (
            _triangle(rng, num_units, spread),
            _triangle(rng, num_units, spread),
            rng.normal(size=[NUM_MEMBERS, num_units]),
            rng.normal(size=[NUM_MEMBERS, num_units, SIZE]),
        )
    )
    if kind == "orthogonal":
        return Scan(SylvesterOrthogonal(vectors, r1, r2, b))
    is_reversed = np.arange(NUM_MEMBERS) % 2 == 1
    return Scan(SylvesterTriangular(r1, r2, b, is_reversed))


@pytest.mark.parametrize(
    ("kind", "spread", "dtype", "limit"),
    [
        ("orthogonal", WIDE, np.float64, 1e-9),
        ("orthogonal", WIDE, np.float32, 1e-4),
        ("triangular", WIDE, np.float64, 1e-9),
        ("triangular", NARROW, np.float32, 1e-4),
    ],
)
@pytest.mark.parametrize(
    "num_points", [1_000, pytest.param(10_000, marks=pytest.mark.slow)]
)
def test_round_trip_with_moderate_parameters(
    kind, spread, dtype, limit, num_points
):
    x = accuracy.points(num_points, dtype)
    _, back = accuracy.round_trip(_stack(kind, 0.3, spread, dtype), x)
    error = np.abs(back - x).max()
    print(f"{kind}, {np.dtype(dtype).name}: largest error {error:.2e}")
    assert error <= limit


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("kind", "sd", "num_points"),
    [
        ("orthogonal", 3.0, 300),
        pytest.param("orthogonal", 3.0, 1_000, marks=pytest.mark.slow),
        pytest.param("orthogonal", 1.0, 10_000, marks=pytest.mark.slow),
        pytest.param("triangular", 1.0, 10_000, marks=pytest.mark.slow),
        pytest.param("triangular", 3.0, 10_000, marks=pytest.mark.slow),
    ],
)
def test_every_root_leaves_a_residual_within_rounding(
    kind, sd, num_points, dtype, monkeypatch
):
    """Of the scalar equations as the flow itself poses them."""
    equations = []
    tanh_root = root_finding.tanh_root

    def recording(c, q, t):
        s = tanh_root(c, q, t)
        equations.append([np.asarray(a) for a in (c, s, t)])
        return s

    flow = _stack(kind, sd, WIDE, dtype)
    y = flow.forward(accuracy.points(num_points, dtype)).numpy()
    monkeypatch.setattr(root_finding, "tanh_root", recording)
    flow.inverse(y)
    num_units = flow.bijector.b.shape[-1]
    assert len(equations) == NUM_MEMBERS * num_units
    for c, s, t in equations:
        accuracy.assert_residual_is_within_rounding(c, s, t)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sd", [1.0, 3.0])
def test_the_whole_system_leaves_a_residual_within_rounding(sd, dtype):
    """`v + R1 tanh(R2 v + b) = w`, D = 64: what the sums round to, no more."""
    flow = _stack("triangular", sd, WIDE, dtype).bijector
    constrained = flow._constrained_parameters()[:5]
    r1, r2, b, c, q = (p[0] for p in constrained)
    w = tf.constant(20.0 * accuracy.points(2_000, dtype))
    move, _ = sylvester.inverse(w, r1, r2, b, c, q)
    wide = accuracy.WIDER[dtype]
    r1, r2, b, w, move = (np.asarray(a, wide) for a in (r1, r2, b, w, move))
    v = w - move
    s = v @ r2.T + b
    residual = v + np.tanh(s) @ r1.T - w
    # Each term, and what the rounding of each s does to it.
    slope = np.cosh(np.minimum(np.abs(s), 500.0)) ** -2
    terms_of_s = np.abs(v) @ np.abs(r2).T + np.abs(b)
    terms = np.abs(w) + (np.abs(np.tanh(s)) + slope * terms_of_s) @ np.abs(r1).T
    in_roundings = np.abs(residual) / (np.finfo(dtype).eps * terms)
    print(f"sd {sd}: residual in eps of its terms {in_roundings.max():.2f}")
    assert (in_roundings <= 8.0).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "sd", "spread", "dtype"),
    [
        ("orthogonal", 1.0, WIDE, np.float32),
        ("orthogonal", 1.0, WIDE, np.float64),
        # In float32 a third of the points would be lost altogether: |J^-1| eps
        # |y| > 1, where a bound to first order says nothing.
        ("orthogonal", 3.0, WIDE, np.float64),
        ("triangular", 1.0, NARROW, np.float32),
        ("triangular", 1.0, NARROW, np.float64),
    ],
)
def test_error_is_what_the_conditioning_allows(kind, sd, spread, dtype):
    accuracy.assert_error_is_what_the_conditioning_allows(
        _stack(kind, sd, spread, dtype), 10_000, f"{kind}, sd {sd}"
    )
