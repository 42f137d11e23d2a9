"""What is particular to splines, LU-linear maps and sigmoidal maps."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.bijectors.autoregressive_cases import conditioner
from tfp_flows.bijectors import (
    DeepSigmoidal,
    LULinear,
    MLPConditioner,
    NeuralAutoregressive,
    RationalQuadraticSpline,
    SplineAutoregressive,
    SplineCoupling,
)

tfb = tfp.bijectors

D, NUM_BINS, B = 5, 4, 2.5


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_spline_is_that_of_tfp_at_the_same_knots():
    """TFP's takes sizes and slopes; both are eq. 4 of Durkan et al."""
    free = [_normal(D, NUM_BINS - (i == 2), seed=i) for i in range(3)]
    flow = RationalQuadraticSpline(*map(tf.constant, free), tail_bound=B)
    x_knots, y_knots, slopes = map(np.asarray, flow._constrained_parameters())
    other = tfb.RationalQuadraticSpline(
        bin_widths=np.diff(x_knots, axis=0).T,
        bin_heights=np.diff(y_knots, axis=0).T,
        knot_slopes=slopes[1:-1].T,
        range_min=-B,
    )
    x = tf.constant(2.0 * _normal(200, D, seed=3))
    assert np.abs(x).max() > B
    np.testing.assert_allclose(flow.forward(x), other.forward(x), rtol=1e-12)
    np.testing.assert_allclose(flow.inverse(x), other.inverse(x), rtol=1e-9)
    np.testing.assert_allclose(
        flow.forward_log_det_jacobian(x, 1),
        other.forward_log_det_jacobian(x, 1),
        rtol=1e-9,
    )


def test_lu_linear_is_the_product_of_its_factors():
    packed = _normal(3, D, D)
    lower = np.tril(packed, -1) + np.eye(D)
    upper = np.triu(packed, 1) + np.stack(
        [np.diag(np.exp(np.diag(p))) for p in packed]
    )
    matrix = lower @ upper
    flow, x = LULinear(packed), _normal(7, 3, D, seed=1)
    expected = np.einsum("kij,nkj->nki", matrix, x)
    np.testing.assert_allclose(flow.forward(x), expected, rtol=1e-9)
    np.testing.assert_allclose(flow.inverse(expected), x, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(
        flow.forward_log_det_jacobian(x, 1),
        np.broadcast_to(np.linalg.slogdet(matrix)[1], [7, 3]),
        rtol=1e-9,
    )
    # One matrix for all points takes another way.
    one = LULinear(packed[0])
    np.testing.assert_allclose(one.forward(x[:, 0]), expected[:, 0], rtol=1e-9)
    np.testing.assert_allclose(
        one.inverse(expected[:, 0]), x[:, 0], rtol=1e-7, atol=1e-9
    )


def test_a_coupling_moves_the_last_half_by_the_spline_of_the_first():
    network = MLPConditioner((7,), "tanh")
    outputs = (3 * NUM_BINS - 1) * 2
    weights = {
        name: tf.constant(_normal(*shape))
        for name, shape in network.parameter_shapes(3, outputs).items()
    }
    flow = SplineCoupling(network, weights, num_bins=NUM_BINS, tail_bound=B)
    x = tf.constant(_normal(9, D, seed=2))
    theta = network(x[:, :3], weights, None)
    widths, heights, slopes = tf.split(
        tf.linalg.matrix_transpose(tf.reshape(theta, [9, 3 * NUM_BINS - 1, 2])),
        [NUM_BINS, NUM_BINS, NUM_BINS - 1],
        axis=-1,
    )
    spline = RationalQuadraticSpline(widths, heights, slopes, tail_bound=B)
    y = flow.forward(x)
    np.testing.assert_array_equal(y[:, :3], x[:, :3])
    np.testing.assert_allclose(y[:, 3:], spline.forward(x[:, 3:]), rtol=1e-12)
    np.testing.assert_allclose(
        flow.forward_log_det_jacobian(x, 1),
        spline.forward_log_det_jacobian(x[:, 3:], 1),
        rtol=1e-12,
    )


def _network(num_outputs):
    network = conditioner(D, num_outputs)
    weights = {
        name: tf.constant(_normal(*shape))
        for name, shape in network.parameter_shapes().items()
    }
    return network, weights


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SplineAutoregressive(*_network(2), num_bins=1),
            "`num_bins` must be an integer >= 2; got 1",
        ),
        (
            lambda: SplineAutoregressive(
                *_network(11), num_bins=4, tail_bound=-1.0
            ),
            "`tail_bound` must be positive and finite; got -1.0",
        ),
        (
            lambda: SplineCoupling(lambda x: x, num_bins=1),
            "`num_bins` must be an integer >= 2; got 1",
        ),
        (
            lambda: SplineCoupling(lambda x: x, tail_bound=0.0),
            "`tail_bound` must be positive and finite; got 0.0",
        ),
        (
            lambda: SplineCoupling(lambda x: x).forward(_normal(4, 1)),
            r"`x` must have at least 2 coordinates.*got shape \(4, 1\)",
        ),
        (
            lambda: SplineCoupling(lambda x: x).forward(_normal(4, 2)),
            r"`conditioner` must return outputs \[\.\.\., 23\]; got shape "
            r"\(4, 1\)",
        ),
        (
            lambda: SplineAutoregressive(*_network(2), num_bins=4),
            "`conditioner.num_outputs` must be .* SplineAutoregressive, 11; "
            "got 2",
        ),
        (
            lambda: NeuralAutoregressive(*_network(2), num_sigmoids=0),
            "`num_sigmoids` must be an integer >= 1; got 0",
        ),
        (
            lambda: NeuralAutoregressive(*_network(2), num_layers=0),
            "`num_layers` must be an integer >= 1; got 0",
        ),
        (
            lambda: NeuralAutoregressive(*_network(2), num_sigmoids=4),
            "`conditioner.num_outputs` must be .* NeuralAutoregressive, 12; "
            "got 2",
        ),
        (
            lambda: RationalQuadraticSpline(
                _normal(D, 4), _normal(D, 4), _normal(D, 4)
            ),
            r"must have shapes \[\.\.\., D, K\], .*got unconstrained_widths: "
            r"\(5, 4\),",
        ),
        (
            lambda: RationalQuadraticSpline(
                _normal(D, 1), _normal(D, 1), _normal(D, 0)
            ),
            r"`unconstrained_widths` must have shape \[\.\.\., D, K\] with "
            r"D >= 1 and K >= 2 bins; got \(5, 1\)",
        ),
        (
            lambda: RationalQuadraticSpline(
                _normal(D, 2), _normal(D, 2), _normal(D, 1), tail_bound=-2.0
            ),
            "`tail_bound` must be positive and finite; got -2.0",
        ),
        (
            lambda: LULinear(_normal(3, 2)),
            r"`lower_upper` must have shape \[\.\.\., D, D\]; got \(3, 2\)",
        ),
        (
            lambda: DeepSigmoidal(_normal(D, 3), _normal(D, 2), _normal(D, 3)),
            "must end in the same sizes D, H; got",
        ),
        (
            lambda: DeepSigmoidal(_normal(3), _normal(3), _normal(3)),
            r"`unconstrained_weights` must have shape \[\.\.\., D, H\]",
        ),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
