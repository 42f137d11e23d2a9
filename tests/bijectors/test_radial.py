"""What is particular to Radial; the conformance kit tests the rest."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.bijectors import Radial


def _inverse_softplus(x):
    return np.log(np.expm1(x))


def test_a_value_computed_by_hand():
    # alpha = 1, beta = 2, r = |(3, 4)| = 5: y = z0 + (3, 4) * (1 + 2 / 6).
    radial = Radial(
        z0=np.array([1.0, -1.0]),
        unconstrained_alpha=_inverse_softplus(1.0),
        unconstrained_beta=_inverse_softplus(3.0),
    )
    x = np.array([4.0, 3.0])
    np.testing.assert_allclose(
        radial.forward(x), [5.0, -1.0 + 16 / 3], rtol=1e-12
    )
    # 1 + beta h = 4/3; 1 + beta h + beta h' r = 1 + 2 * 1 / 36.
    np.testing.assert_allclose(
        radial.forward_log_det_jacobian(x, 1),
        np.log(4 / 3) + np.log(1 + 2 / 36),
        rtol=1e-12,
    )


def test_equal_unconstrained_values_are_the_identity_exactly():
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=[7, 4]) * 10)
    radial = Radial(rng.normal(size=4), np.array(0.7), np.array(0.7))
    np.testing.assert_array_equal(radial.forward(x), x)
    np.testing.assert_array_equal(radial.inverse(x), x)
    np.testing.assert_array_equal(
        radial.forward_log_det_jacobian(x, 1), np.zeros(7)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("raw_beta", [-1e4, -90.0, -5.0, 0.0, 5.0, 1e4])
@pytest.mark.parametrize("raw_alpha", [-5.0, 0.0, 50.0])
def test_centre_and_edges_are_finite_and_invert(dtype, raw_alpha, raw_beta):
    """r = 0, and beta -> -alpha where the map folds everything on z0."""
    z0 = np.array([0.5, -2.0, 1.0], dtype)
    offsets = np.array([[0, 0, 0], [1e-12, 0, 0], [1, 2, 3], [1e4, 0, 1]])
    x = tf.constant((z0 + offsets).astype(dtype))
    radial = Radial(z0, dtype(raw_alpha), dtype(raw_beta))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y, fldj = radial.forward(x), radial.forward_log_det_jacobian(x, 1)
        total = tf.reduce_sum(y) + tf.reduce_sum(fldj)
    assert np.isfinite(y).all()
    assert np.isfinite(fldj).all()
    assert np.isfinite(tape.gradient(total, x)).all()
    back = radial.inverse(tf.identity(y))
    assert np.isfinite(back).all()
    np.testing.assert_allclose(back[0], x[0])
    if abs(raw_beta) < 50 and abs(raw_alpha) < 50:
        tolerance = 2e-4 if dtype == np.float32 else 1e-11
        np.testing.assert_allclose(back, x, rtol=tolerance, atol=tolerance)


def test_radius_is_euclidean():
    """Points on a sphere move alike, points on an L1 ball do not."""
    radial = Radial(np.zeros(2), np.array(0.0), np.array(2.0))
    angle = np.linspace(0, 2 * np.pi, 9)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    moved = np.linalg.norm(radial.forward(circle), axis=-1)
    np.testing.assert_allclose(moved, moved[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((1.0, 0.0, 0.0), ValueError, r"`z0` must have shape \[\.\.\., D\]"),
        (
            (np.zeros(2), np.float32(0), np.zeros(())),
            TypeError,
            "must have one dtype; got z0: float64, unconstrained_alpha: float3",
        ),
    ],
)
def test_bad_arguments(args, error, message):
    with pytest.raises(error, match=message):
        Radial(*args)
