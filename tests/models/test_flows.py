"""Every flow of the configs, in the deep latent Gaussian model on digits."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from configs import digits as digits_config
from configs.flows import FLOWS
from tests.models.digits import images
from trainers.images import build
from trainers.runs.optimizers import build_optimizer

# The others are left to the slow run, to keep the default one short.
DEFAULT = ("planar",)


def _model(arg, jit_compile):
    config = digits_config.get_config(f"{arg},runlocal")
    for group in (config.posterior, config.prior):
        group.conditioner_hidden_units = (16,)
    config.optimizer.warmup_steps = 1
    model = build.build_model(config)
    model.compile(optimizer=build_optimizer(config), jit_compile=jit_compile)
    return model


@pytest.mark.parametrize(
    "flow",
    [
        pytest.param(f, marks=[] if f in DEFAULT else [pytest.mark.slow])
        for f in FLOWS
    ],
)
def test_trains_saves_and_loads(flow, tmp_path):
    """By config alone; XLA on and off; equal samples for an equal seed."""
    data = images(400)
    elbos = {}
    for jit_compile in (False, True):
        model = _model(f"flow={flow},K=3", jit_compile)
        history = model.fit(data, batch_size=100, epochs=3, verbose=0)
        elbos[jit_compile] = history.history["elbo"]
    assert elbos[True][-1] > elbos[True][0] + 1
    np.testing.assert_allclose(elbos[True], elbos[False], rtol=1e-4)

    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    for weight, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(weight, other)
    context = tf.constant(
        np.random.default_rng(0).normal(size=[5, 128]), tf.float32
    )
    for found, expected in zip(
        loaded.posterior.sample_and_log_prob(context, 3, seed=4),
        model.posterior.sample_and_log_prob(context, 3, seed=4),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)
    # The density that training uses is that of the true inverse.
    z, log_prob = model.posterior.sample_and_log_prob(context, 3, seed=5)
    q = model.posterior.distribution(context)
    np.testing.assert_allclose(
        q.log_prob(tf.identity(z)), log_prob, rtol=1e-3, atol=1e-3
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "prior",
    [
        pytest.param(f, marks=[] if f == "maf" else [pytest.mark.slow])
        for f in FLOWS
    ],
)
def test_a_prior_trains_saves_and_loads(prior, tmp_path):
    """By config alone; its density is that of its samples."""
    data = images(400)
    model = _model(f"flow=none,prior={prior},prior_K=2", jit_compile=True)
    weights = [w.numpy() for w in model.prior.trainable_weights]
    elbos = model.fit(data, batch_size=100, epochs=3, verbose=0).history["elbo"]
    assert elbos[-1] > elbos[0] + 1
    for before, after in zip(
        weights, model.prior.trainable_weights, strict=True
    ):
        assert np.any(before != after.numpy())
    p = model.prior.distribution()
    z, log_prob = model.prior.sample_and_log_prob(sample_shape=5, seed=1)
    np.testing.assert_allclose(
        p.log_prob(tf.identity(z)), log_prob, rtol=1e-3, atol=1e-3
    )
    np.testing.assert_allclose(
        model.log_prior(tf.identity(z)), log_prob, rtol=1e-3, atol=1e-3
    )
    assert np.all(np.isfinite(model.sample(3)))

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.sample(3), model.sample(3))
    np.testing.assert_array_equal(loaded.log_prior(z), model.log_prior(z))


@pytest.mark.slow
@pytest.mark.parametrize(
    "arg",
    [
        "flow=none",
        "flow=planar,K=2",
        "flow=planar,K=2,posterior=cif",
        "flow=none,posterior=hamiltonian",
    ],
)
def test_networks_in_bfloat16_change_the_bound_little(arg):
    """The flow and all densities stay in float32: see `check_precision`."""
    data, found = images(1_200), []
    before = keras.config.dtype_policy()
    try:
        for policy in ("float32", "mixed_bfloat16"):
            keras.config.set_dtype_policy(policy)
            model = _model(arg, jit_compile=False)
            assert model.encoder(data[:1]).dtype == policy.split("_")[-1]
            model.fit(data[:1_000], batch_size=50, epochs=5, verbose=0)
            found.append(model.evaluate(data[1_000:], verbose=0))
    finally:
        keras.config.set_dtype_policy(before)
    bound = model.metrics_names.index(model.bound_names[0])
    full, low = (values[bound] for values in found)
    assert full > -35  # it has learned something
    assert abs(low - full) < 0.01 * abs(full)
