"""Transformers alone, and the presets as what they are made of."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.bijectors.autoregressive_cases import conditioner
from tests.bijectors.coupling_cases import CONDITIONER
from tfp_flows import bijectors
from tfp_flows.bijectors import transformers

D, N = 4, 3
TRANSFORMERS = (
    transformers.Shift(),
    transformers.Affine(1.5),
    transformers.Gated(1.5, gate_bias=-0.5),
    transformers.RationalQuadratic(4, 2.0),
    transformers.DeepSigmoidal(3, 2),
    transformers.Convolution(),
    transformers.GatedConvolution(),
    transformers.Inverse(transformers.Gated()),
)


def _normal(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)
def test_is_invertible_and_knows_its_jacobian(transformer):
    """For examples with parameters of their own, and for one for all."""
    x = 2.0 * _normal(D, N)
    for leading in ((D,), ()):
        theta = _normal(*leading, transformer.num_parameters, N, seed=1)
        y, terms = transformer.forward(x, theta)
        back, back_terms = transformer.inverse(y, theta)
        np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(transformer.root(y, theta), x, 1e-9, 1e-9)
        np.testing.assert_array_equal(transformer(x, theta), y)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            image = transformer(x, theta)
        jacobian = tape.batch_jacobian(image, x, experimental_use_pfor=False)
        _, log_det = np.linalg.slogdet(jacobian)
        for found, sign in ((terms, 1.0), (back_terms, -1.0)):
            total = np.broadcast_to(
                tf.reduce_sum(found, axis=-1), log_det.shape
            )
            np.testing.assert_allclose(total, sign * log_det, 1e-8, 1e-9)
        if transformer.is_elementwise:
            diagonal = tf.linalg.diag_part(jacobian)
            np.testing.assert_allclose(
                jacobian, tf.linalg.diag(diagonal), atol=1e-12
            )


def _weights(network, *sizes):
    shapes = network.parameter_shapes(*sizes)
    return {name: _normal(*shape) for name, shape in shapes.items()}


NETWORK = conditioner(D, 2)
ARGUMENTS = NETWORK, _weights(NETWORK)
MASKED = CONDITIONER, _weights(CONDITIONER, D, 2 * D)
SPLIT = CONDITIONER, _weights(CONDITIONER, 2, 2)
PRESETS = {
    "affine": lambda: (
        bijectors.AffineCoupling(*MASKED, max_log_scale=1.0),
        bijectors.MaskedCoupling(
            *MASKED, transformer=transformers.Affine(max_log_scale=1.0)
        ),
    ),
    "data-adaptive": lambda: (
        bijectors.DataAdaptiveConvolution(*SPLIT),
        bijectors.SplitCoupling(*SPLIT, transformer=transformers.Convolution()),
    ),
    "iaf": lambda: (
        bijectors.InverseAutoregressive(*ARGUMENTS, update="gated"),
        bijectors.AutoregressiveBijector(
            *ARGUMENTS, transformer=transformers.Gated(max_log_scale=16.0)
        ),
    ),
    "maf": lambda: (
        bijectors.MaskedAutoregressive(*ARGUMENTS),
        tfp.bijectors.Invert(
            bijectors.AutoregressiveBijector(
                *ARGUMENTS,
                transformer=transformers.Inverse(transformers.Affine()),
            )
        ),
    ),
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_combinations(name):
    preset, combination = PRESETS[name]()
    x = _normal(5, D)
    for method in ("forward", "inverse"):
        np.testing.assert_array_equal(
            getattr(preset, method)(x), getattr(combination, method)(x)
        )
        log_det = f"{method}_log_det_jacobian"
        np.testing.assert_array_equal(
            getattr(preset, log_det)(x, 1), getattr(combination, log_det)(x, 1)
        )


def test_equal_settings_are_one_object_in_bijectors():
    """So that a function of composite tensors is traced once for them."""
    traces = []

    @tf.function(autograph=False)
    def forward(flow, x):
        traces.append(flow)
        return flow.forward(x)

    for _ in range(2):
        transformer = transformers.Affine(max_log_scale=1.25)
        flow = bijectors.MaskedCoupling(*MASKED, transformer=transformer)
        forward(flow, _normal(5, D))
        assert flow.copy().transformer == transformer
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: bijectors.MaskedCoupling(
                *MASKED, transformer=transformers.Convolution()
            ),
            TypeError,
            "`transformer` must be an element-wise Transformer; got Convol",
        ),
        (
            lambda: bijectors.AutoregressiveBijector(*ARGUMENTS),
            TypeError,
            "`transformer` must be an element-wise Transformer; got None",
        ),
        (
            lambda: bijectors.SplitCoupling(*SPLIT, transformer=tf.exp),
            TypeError,
            "`transformer` must be a Transformer; got <function",
        ),
        (
            lambda: bijectors.AutoregressiveBijector(
                *ARGUMENTS, transformer=transformers.Shift()
            ),
            ValueError,
            "`conditioner.num_outputs` must be .* of AutoregressiveBijector, 1;"
            " got 2",
        ),
        (
            lambda: bijectors.SplitCoupling(
                lambda x: tf.tile(x, [3]),
                transformer=transformers.GatedConvolution(
                    has_shared_slope=True
                ),
            ).forward(tf.zeros([4])),
            ValueError,
            "`has_shared_slope` must be False where no slope is given beside",
        ),
        (
            lambda: transformers.Inverse(transformers.Convolution()),
            ValueError,
            "`transformer` must be element-wise; got Convolution",
        ),
        (
            lambda: transformers.Inverse(tf.exp),
            TypeError,
            "`transformer` must be a Transformer; got <function",
        ),
        (
            lambda: bijectors.AffineCoupling(
                *MASKED, max_log_scale=tf.constant(4.0)
            ),
            TypeError,
            "`Affine` must be hashable: .* no tensors; got Affine",
        ),
        (
            lambda: transformers.Gated(max_log_scale=0.0),
            ValueError,
            "`max_log_scale` must be positive and finite; got 0.0",
        ),
        (
            lambda: transformers.RationalQuadratic(num_bins=2.0),
            ValueError,
            "`num_bins` must be an integer >= 2; got 2.0",
        ),
        (
            lambda: transformers.GatedConvolution(max_exponent=-1.0),
            ValueError,
            "`max_exponent` must be positive and finite; got -1.0",
        ),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
