"""How accurate the inverse of a long flow is: what its tests share."""

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors import Scan

__all__ = [
    "NUM_MEMBERS",
    "SIZE",
    "WIDER",
    "assert_error_is_what_the_conditioning_allows",
    "assert_residual_is_within_rounding",
    "points",
    "round_trip",
]

SIZE, NUM_MEMBERS = 64, 16
WIDER = {np.float32: np.float64, np.float64: np.longdouble}

# Residual over eps times the largest term.
MAX_RESIDUAL_IN_EPS = 8.0

# Error over |J^-1| eps |y|, what rounding y alone explains.
MAX_ERROR_IN_ROUNDINGS = 10.0


def points(num_points, dtype):
    """Standard normal, `[num_points, SIZE]`."""
    rng = np.random.default_rng(2)
    return rng.normal(size=[num_points, SIZE]).astype(dtype)


def round_trip(flow, x):
    """By separate compiled functions, so that nothing is cached."""
    forward = tf.function(flow.forward, jit_compile=True)
    inverse = tf.function(flow.inverse, jit_compile=True)
    y = forward(x).numpy()
    return y, inverse(y).numpy()


def assert_residual_is_within_rounding(c, s, t):
    """`s + c tanh(s) = t`, evaluated in a wider precision."""
    dtype = s.dtype.type
    c, s, t = (np.asarray(a, WIDER[dtype]) for a in (c, s, t))
    bend = c * np.tanh(s)
    largest = np.abs([s, bend, t]).max(axis=0)
    residual = np.abs(s + bend - t)
    limit = MAX_RESIDUAL_IN_EPS * np.finfo(dtype).eps
    assert (residual <= limit * largest).all()


@tf.function(jit_compile=True)
def _jacobian(flow, x):
    """Autodiff Jacobian of the whole flow, `[N, D, D]`.

    Row i is the gradient of output i, each at a copy of the points.
    """
    copies = tf.broadcast_to(x[:, tf.newaxis], [len(x), SIZE, SIZE])
    with tf.GradientTape() as tape:
        tape.watch(copies)
        diagonal = tf.linalg.diag_part(flow.forward(copies))
    return tape.gradient(diagonal, copies)


def _smallest_stretch(jacobian):
    """An upper bound on `1 / |J^-1|_2`, tight after some power iterations."""
    inverse = np.linalg.inv(jacobian)
    v = np.ones([len(jacobian), SIZE, 1])
    for _ in range(8):
        v = np.swapaxes(inverse, -1, -2) @ (inverse @ v)
        v /= np.linalg.norm(v, axis=1, keepdims=True)
    return 1 / np.linalg.norm(inverse @ v, axis=1)[:, 0]


def _in_float64(flow):
    members = flow.bijector
    tensors = {
        name: tf.cast(getattr(members, name), tf.float64)
        for name in members.parameter_properties()
        if getattr(members, name) is not None
        and getattr(members, name).dtype.is_floating
    }
    return Scan(members.copy(**tensors))


def assert_error_is_what_the_conditioning_allows(flow, num_points, name):
    """|error in x| <= 10 |J^-1|_2 eps |y|, where the map nearly folds too."""
    dtype = flow.dtype.as_numpy_dtype
    x = points(num_points, dtype)
    y, back = round_trip(flow, x)
    assert np.isfinite(y).all()
    assert np.isfinite(back).all()
    exact = _in_float64(flow)
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
    rounding = eps * np.linalg.norm(y.astype(np.float64), axis=-1)
    in_roundings = error * smallest / rounding
    share = np.mean(smallest < np.sqrt(eps))
    print(
        f"{name}, {np.dtype(dtype).name}: share of points with |J^-1| > "
        f"eps^(-1/2): {share:.4f}; largest error over |J^-1| eps |y|: "
        f"{in_roundings.max():.2f}"
    )
    assert (in_roundings <= MAX_ERROR_IN_ROUNDINGS).all()
