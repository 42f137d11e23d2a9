"""What is particular to Planar; the conformance kit tests the rest."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import Planar

tfd = tfp.distributions


def test_a_value_computed_by_hand():
    # <w, u> = 0 gives c = 0 and u_hat = u, and s = 0.5 * 2 + 1 = 2.
    planar = Planar(u=[0.0, 3.0], w=[0.5, 0.0], b=1.0)
    y = planar.forward([2.0, -1.0])
    np.testing.assert_allclose(y, [2.0, -1.0 + 3.0 * np.tanh(2.0)], rtol=1e-6)
    assert planar.forward_log_det_jacobian([2.0, -1.0], 1) == 0.0


def test_the_paper_s_constraint_by_hand():
    # u = 0: u_hat = (ln 2 - 1) w / |w|**2, so c = ln 2 - 1.
    planar = Planar(
        u=np.zeros(2),
        w=np.array([0.0, 2.0]),
        b=np.zeros(()),
        constraint="paper",
    )
    x = np.array([1.0, 0.25])
    c, h = np.log(2) - 1, np.tanh(0.5)
    np.testing.assert_allclose(
        planar.forward(x), [1.0, 0.25 + c / 2 * h], rtol=1e-9
    )
    np.testing.assert_allclose(
        planar.forward_log_det_jacobian(x, 1),
        np.log1p(c * (1 - h**2)),
        rtol=1e-9,
    )


def test_zero_u_is_the_identity_exactly():
    rng = np.random.default_rng(0)
    planar = Planar(np.zeros(5), rng.normal(size=5), np.array(0.3))
    x = tf.constant(rng.normal(size=[7, 5]) * 100)
    np.testing.assert_array_equal(planar.forward(x), x)
    np.testing.assert_array_equal(planar.inverse(x), x)
    np.testing.assert_array_equal(
        planar.forward_log_det_jacobian(x, 1), np.zeros(7)
    )


@pytest.mark.parametrize("constraint", ["identity", "paper"])
def test_zero_w_is_a_shift_with_finite_gradients(constraint):
    u, b = tf.constant([1.0, -2.0]), tf.constant(0.7)
    w, x = tf.zeros([2]), tf.constant([[0.3, 4.0]])
    with tf.GradientTape() as tape:
        tape.watch([u, w, b, x])
        planar = Planar(u, w, b, constraint=constraint)
        y, fldj = planar.forward(x), planar.forward_log_det_jacobian(x, 1)
        loss = tf.reduce_sum(y**2) + tf.reduce_sum(fldj)
    np.testing.assert_allclose(y, x + u * np.tanh(0.7), rtol=1e-6)
    np.testing.assert_array_equal(fldj, [0.0])
    for gradient in tape.gradient(loss, [u, w, b, x]):
        assert np.isfinite(gradient).all()
    np.testing.assert_allclose(planar.inverse(tf.identity(y)), x, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("constraint", ["identity", "paper"])
def test_at_the_fold_everything_is_finite(dtype, constraint):
    """<w, u> -> -inf: c = -1 to rounding, and at s = 0 the slope vanishes."""
    w = np.array([1.0, 2.0], dtype)
    for a in (-10.0, -30.0, -80.0, -1e4):
        u = tf.constant(a * w / (w @ w))
        x = tf.constant(np.array([[0, 0], [2, -1], [1e-4, 0], [3, 4]], dtype))
        planar = Planar(u, w, np.zeros((), dtype), constraint=constraint)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = planar.forward(x)
            fldj = planar.forward_log_det_jacobian(x, 1)
        assert np.isfinite(fldj).all()
        assert np.isfinite(tape.gradient(fldj, x)).all()
        back = planar.inverse(tf.identity(y))
        assert np.isfinite(back).all()
        assert np.isfinite(planar.inverse_log_det_jacobian(y, 1)).all()
        # Off the fold the inverse is exact all the same.
        np.testing.assert_allclose(back[3], x[3], rtol=1e-4)


def test_log_prob_of_arbitrary_points_has_gradients():
    """Peers answer for cached points only, or not at all."""
    variables = [tf.Variable(v) for v in ([0.5, -1.0], [1.0, 0.4], 0.2)]
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag([0.0, 0.0]), Planar(*variables)
    )
    y = tf.constant([[3.0, -2.0], [0.1, 0.2], [-50.0, 7.0]])
    with tf.GradientTape() as tape:
        tape.watch(y)
        log_prob = q.log_prob(y)
    gradients = tape.gradient(log_prob, [y, *variables])
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0


BAD_ARGUMENTS = {
    "sizes differ": (
        ([1.0, 2.0], [1.0, 2.0, 3.0], 0.0),
        {},
        ValueError,
        r"`u` and `w` must end in the same size D; got \(2,\) and \(3,\)",
    ),
    "scalar u": (
        (1.0, [1.0], 0.0),
        {},
        ValueError,
        r"`u` must have shape \[\.\.\., D\].*; got \(\)",
    ),
    "no dimensions": (
        (np.zeros(0), np.zeros(0), np.zeros(())),
        {},
        ValueError,
        r"`u` must have shape \[\.\.\., D\] with D >= 1; got \(0,\)",
    ),
    "dtypes differ": (
        (np.zeros(2), np.zeros(2, np.float32), np.zeros(())),
        {},
        TypeError,
        "`u`, `w`, `b` must have one dtype; got u: float64, w: float32",
    ),
    "integers": (
        (np.zeros(2, int), np.zeros(2, int), np.zeros((), int)),
        {},
        TypeError,
        "`u` must be float32 or float64.*; got int64",
    ),
    "half precision": (
        (tf.zeros([2], tf.bfloat16), tf.zeros([2], tf.bfloat16), 0.0),
        {},
        TypeError,
        "`u` must be float32 or float64.*; got bfloat16",
    ),
    "unknown constraint": (
        ([1.0], [1.0], 0.0),
        {"constraint": "none"},
        ValueError,
        "`constraint` must be one of 'identity', 'paper'; got 'none'",
    ),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments(case):
    args, kwargs, error, message = BAD_ARGUMENTS[case]
    with pytest.raises(error, match=message):
        Planar(*args, **kwargs)


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_events_of_another_size_are_refused(method):
    """Also size 1, which would broadcast silently."""
    planar = Planar([1.0, 2.0], [1.0, 2.0], 0.0)
    name = "x" if method == "forward" else "y"
    for shape in ([3], [4, 1]):
        with pytest.raises(ValueError, match=f"`{name}` must have shape"):
            getattr(planar, method)(tf.zeros(shape))
