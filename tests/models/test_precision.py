"""mixed_bfloat16: networks in bfloat16, densities in float32."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn import datasets

from tests.distributed import on_a_tpu
from tfp_flows.layers import MLP, PlanarFlow, RadialFlow, StochasticLayer
from tfp_flows.models import DLGM, BernoulliMADE
from tfp_flows.posteriors import FlowPosterior


@pytest.fixture(scope="module")
def digits():
    return (datasets.load_digits().images > 7).astype(np.float32)


@pytest.fixture
def policy(request):
    """Sets Keras's global policy, as a user would."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def _two_layers(base, **kwargs):
    return DLGM(
        encoder=MLP([16]),
        posterior=FlowPosterior(
            4,
            [PlanarFlow(1, seed=0), RadialFlow(1, amortized=False, seed=1)],
            base=base,
        ),
        decoder=MLP([16], output_size=64),
        stochastic_layers=[
            StochasticLayer(2),
            StochasticLayer(2, MLP([8], output_size=2), "full"),
        ],
        prior=FlowPosterior(4, PlanarFlow(1, seed=2)),
        **kwargs,
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16"], indirect=True)
@pytest.mark.parametrize(
    "base",
    [
        "low_rank",
        pytest.param("diagonal", marks=pytest.mark.slow),
        pytest.param("full", marks=pytest.mark.slow),
    ],
)
def test_densities_are_float32(digits, policy, base):
    model = _two_layers(base)
    model.compile("adam", run_eagerly=True)
    x = digits[:10]
    history = model.fit(x, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    features = model.encoder(x)
    assert features.dtype == tf.bfloat16  # or it would show nothing
    z, log_prob = model.posterior.sample_and_log_prob(features)
    assert model.decode(z[tf.newaxis]).dtype == tf.bfloat16
    for value in tf.nest.flatten(
        [
            z,
            log_prob,
            model.posterior.parameters(features),
            model.posterior_distribution(x).log_prob(z),
            model.log_prior(z),
            model.log_likelihood(x, z[tf.newaxis]),
            model.reconstruct(x),
            model.sample(3),
            model(x),
        ]
    ):
        assert value.dtype == tf.float32
        assert np.isfinite(value).all()
    assert {w.dtype for w in model.trainable_weights} == {"float32"}


def _elbo(policy, digits):
    keras.utils.set_random_seed(0)
    model = DLGM(
        encoder=MLP([64], dtype=policy),
        posterior=FlowPosterior(
            8, PlanarFlow(4, seed=0, dtype=policy), dtype=policy
        ),
        decoder=MLP([64], output_size=64, dtype=policy),
        dtype=policy,
    )
    model.compile(keras.optimizers.Adam(3e-3), jit_compile=False)
    model.fit(digits[:1500], epochs=8, batch_size=50, verbose=0)
    figures = model.evaluate(digits[1500:], verbose=0, return_dict=True)
    estimate = model.log_marginal_likelihood(
        digits[1500:1520], 50, jit_compile=False, verbose=0
    )
    return figures["elbo"], estimate.mean


@pytest.mark.slow
def test_elbo_on_digits_is_that_of_float32(digits):
    (low, low_log_p), (full, full_log_p) = (
        _elbo(policy, digits) for policy in ("mixed_bfloat16", "float32")
    )
    assert full > -30  # it has learned something
    assert abs(low - full) < 0.01 * abs(full)
    assert abs(low_log_p - full_log_p) < 0.02 * abs(full_log_p)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "build",
    [
        lambda dtype: FlowPosterior(2, dtype=dtype),
        lambda dtype: DLGM(MLP([4]), FlowPosterior(2), MLP([4]), dtype=dtype),
        lambda dtype: BernoulliMADE((4,), dtype=dtype),
    ],
    ids=["posterior", "dlgm", "made"],
)
def test_densities_in_half_precision_are_refused(build, dtype):
    with pytest.raises(ValueError, match=rf"in float32 or .* got {dtype}"):
        build(dtype)


def test_a_model_for_a_tpu_says_that_its_products_are_rounded(monkeypatch):
    model = BernoulliMADE((4,))
    on_a_tpu(monkeypatch)
    with pytest.warns(UserWarning, match="rounds .* to bfloat16, in flows"):
        model.compile(jit_compile=False)
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            BernoulliMADE((4,)).compile(jit_compile=False)
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(True)
