"""The maps from unconstrained parameters to those of an invertible flow."""

import mpmath
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import planar, radial

A = np.array([-200.0, -40.0, -5.0, -1.0, -1e-3, -1e-9, 0, 1e-9, 0.5, 3, 60])


def _planar(a, constraint, dtype=np.float64):
    """The constraint at `<w, u> = a`, with `w` a unit vector."""
    u = np.stack([a, np.ones_like(a)], axis=-1).astype(dtype)
    w = np.broadcast_to(np.array([1.0, 0.0], dtype), u.shape)
    return planar.constrain(
        tf.constant(u), tf.constant(w), tf.zeros(len(a), dtype), constraint
    )


@pytest.mark.parametrize("constraint", ["identity", "paper"])
def test_c_is_the_documented_function_to_full_precision(constraint):
    shift = mpmath.log(mpmath.e - 1) if constraint == "identity" else 0
    with mpmath.workdps(120):
        if constraint == "identity":
            shift = mpmath.log(mpmath.e - 1)
        q = [mpmath.log1p(mpmath.exp(mpmath.mpf(a) + shift)) for a in A]
        expected_q = np.array([float(v) for v in q])
        expected_c = np.array([float(v - 1) for v in q])
    constrained = _planar(A, constraint)
    # The paper's constraint is blended with weight 1 - 1e-12 at |w| = 1.
    rtol = 1e-14 if constraint == "identity" else 1e-10
    np.testing.assert_allclose(constrained.q, expected_q, rtol=rtol)
    np.testing.assert_allclose(constrained.c, expected_c, rtol=rtol)
    # u_hat moves along w only, and <w, u_hat> = c.
    np.testing.assert_allclose(
        constrained.u_hat[:, 0], constrained.c, rtol=1e-12, atol=1e-13
    )
    np.testing.assert_array_equal(constrained.u_hat[:, 1], np.ones(len(A)))


def test_identity_constraint_maps_zero_to_zero_exactly():
    w = np.random.default_rng(0).normal(size=(5, 3))
    constrained = planar.constrain(
        tf.zeros([5, 3], tf.float64), tf.constant(w), tf.zeros(5), "identity"
    )
    np.testing.assert_array_equal(constrained.u_hat, np.zeros([5, 3]))
    np.testing.assert_array_equal(constrained.c, np.zeros(5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("constraint", ["identity", "paper"])
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-12, 1e-6, 1.0, 1e4])
def test_planar_is_finite_and_invertible_at_the_edges(dtype, constraint, scale):
    w = tf.constant(np.array([0.6, -0.8]) * scale, dtype)
    for size in (0.0, 1e-20, 1.0, 1e4):
        u = tf.constant(np.array([-0.9, 0.3]) * size, dtype)
        with tf.GradientTape() as tape:
            tape.watch([u, w])
            constrained = planar.constrain(
                u, w, tf.zeros([], dtype), constraint
            )
            total = tf.reduce_sum(constrained.u_hat) + constrained.c
        gradients = tape.gradient(total, [u, w])
        assert np.isfinite(constrained.u_hat).all()
        # With |w| = 1e-30 the gradient itself may pass float32's range.
        if scale != 1e-30 or dtype == np.float64:
            assert all(np.isfinite(g).all() for g in gradients)
        assert constrained.q > 0
        assert constrained.c >= -1
        if scale == 0.0:
            np.testing.assert_array_equal(constrained.u_hat, u)
            assert constrained.c == 0.0


def test_paper_constraint_goes_over_into_the_identity_one_near_zero():
    u = tf.constant([0.3, -0.2], tf.float64)
    near = [
        planar.constrain(u, u * scale, tf.zeros([], tf.float64), name).c
        for scale in (1e-9, 1e2)
        for name in ("identity", "paper")
    ]
    np.testing.assert_allclose(near[0], near[1], atol=1e-5)
    assert abs(near[2] - near[3]) > 0.1


def test_radial_bounds_hold_where_softplus_underflows():
    for dtype in (np.float32, np.float64):
        raw = tf.constant([-1e4, -100.0, 0.0, 100.0], dtype)
        constrained = radial.constrain(tf.zeros([4, 2], dtype), raw, raw)
        assert (constrained.alpha.numpy() > 0).all()
        np.testing.assert_array_equal(constrained.alpha, constrained.p)
