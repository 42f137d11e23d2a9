"""How accurate the inverse of a long planar stack is, D = 64, K = 16."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.bijectors import Planar, Scan
from tfp_flows.math import root_finding

D, K = 64, 16
WIDER = {np.float32: np.float64, np.float64: np.longdouble}


def _stack(sd, dtype, constraint="identity"):
    rng = np.random.default_rng(1)
    shapes = ((K, D), (K, D), (K,))
    parameters = [(sd * rng.normal(size=s)).astype(dtype) for s in shapes]
    return Scan(Planar(*parameters, constraint=constraint))


def _points(num_points, dtype):
    return np.random.default_rng(2).normal(size=[num_points, D]).astype(dtype)


def _round_trip(flow, x):
    """By separate compiled functions, so that nothing is cached."""
    forward = tf.function(flow.forward, jit_compile=True)
    inverse = tf.function(flow.inverse, jit_compile=True)
    y = forward(x).numpy()
    return y, inverse(y).numpy()


@pytest.mark.parametrize(
    ("dtype", "limit"), [(np.float64, 1e-9), (np.float32, 1e-4)]
)
def test_round_trip_with_moderate_parameters(dtype, limit):
    x = _points(10_000, dtype)
    _, back = _round_trip(_stack(0.3, dtype), x)
    assert np.abs(back - x).max() <= limit


@pytest.mark.parametrize("constraint", ["identity", "paper"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sd", [1.0, 3.0])
def test_every_root_leaves_a_residual_within_rounding(sd, dtype, constraint):
    """At most 8 eps of the largest term, evaluated in a wider precision."""
    flow = _stack(sd, dtype, constraint)
    u_hat, w, b, c, q = (
        p.numpy() for p in flow.bijector._constrained_parameters()
    )
    y, _ = _round_trip(flow, _points(10_000, dtype))
    wide = WIDER[dtype]
    for k in reversed(range(K)):
        t = y @ w[k] + b[k]
        s = root_finding.tanh_root(
            tf.fill(t.shape, c[k]), tf.fill(t.shape, q[k]), tf.constant(t)
        ).numpy()
        y = y - u_hat[k] * np.tanh(s)[:, np.newaxis]
        s, t = s.astype(wide), t.astype(wide)
        bend = c[k].astype(wide) * np.tanh(s)
        largest = np.abs([s, bend, t]).max(axis=0)
        residual = np.abs(s + bend - t)
        assert (residual <= 8 * np.finfo(dtype).eps * largest).all()


@tf.function(jit_compile=True)
def _jacobian(flow, x):
    """Float64 autodiff Jacobian of the whole stack, `[N, D, D]`.

    Row i is the gradient of output i, each at a copy of the points.
    """
    copies = tf.broadcast_to(x[:, tf.newaxis], [len(x), D, D])
    with tf.GradientTape() as tape:
        tape.watch(copies)
        diagonal = tf.linalg.diag_part(flow.forward(copies))
    return tape.gradient(diagonal, copies)


def _smallest_stretch(jacobian):
    """An upper bound on `1 / |J^-1|_2`, tight after some power iterations."""
    inverse = np.linalg.inv(jacobian)
    v = np.ones([len(jacobian), D, 1])
    for _ in range(8):
        v = np.swapaxes(inverse, -1, -2) @ (inverse @ v)
        v /= np.linalg.norm(v, axis=1, keepdims=True)
    return 1 / np.linalg.norm(inverse @ v, axis=1)[:, 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sd", "constraint"), [(1.0, "identity"), (3.0, "identity"), (1.0, "paper")]
)
def test_error_is_what_the_conditioning_allows(sd, constraint):
    """|error in x| <= 10 |J^-1|_2 eps |y|, where the map nearly folds too."""
    num_points = 10_000
    for dtype in (np.float32, np.float64):
        flow = _stack(sd, dtype, constraint)
        x = _points(num_points, dtype)
        y, back = _round_trip(flow, x)
        assert np.isfinite(y).all()
        assert np.isfinite(back).all()
        exact = Scan(
            flow.bijector.copy(
                **{
                    name: tf.cast(getattr(flow.bijector, name), tf.float64)
                    for name in ("u", "w", "b")
                }
            )
        )
        smallest = np.concatenate(
            [
                _smallest_stretch(
                    _jacobian(exact, tf.constant(part, tf.float64)).numpy()
                )
                for part in np.split(x, 20)
            ]
        )
        eps = np.finfo(dtype).eps
        error = np.linalg.norm((back - x).astype(np.float64), axis=-1)
        limit = 10 * eps * np.linalg.norm(y.astype(np.float64), axis=-1)
        assert (error * smallest <= limit).all()
        share = np.mean(smallest < np.sqrt(eps))
        print(
            f"sd {sd}, {constraint}, {np.dtype(dtype).name}: share of points "
            f"with |J^-1| > eps^(-1/2): {share:.4f}; largest error over "
            f"|J^-1| eps |y|: {10 * (error * smallest / limit).max():.2f}"
        )
