"""`FlowPosterior` as an ordinary layer: the model's loss is minus the ELBO."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from tests.distributed import mirrored_strategy, on_two_cpus
from tfp_flows.layers import PlanarFlow, RadialFlow
from tfp_flows.losses import NegativeLogLikelihood
from tfp_flows.math import noise
from tfp_flows.posteriors import FlowPosterior

tfd = tfp.distributions

N, X, C, D = 12, 6, 4, 2


def _images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 2, [N, X]).astype(np.float32)


@keras.saving.register_keras_serializable(package="tests")
class ShiftedPrior(keras.layers.Layer):
    """The least that a prior can be: a weight and `distribution()`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.loc = self.add_weight(shape=(D,), initializer="ones")

    def distribution(self):
        return tfd.MultivariateNormalDiag(tf.convert_to_tensor(self.loc))


def _parts(seed=0, **kwargs):
    keras.utils.set_random_seed(seed)
    posterior = FlowPosterior(
        D,
        [PlanarFlow(2, seed=0), RadialFlow(1, amortized=False, seed=1)],
        seed=seed,
        **kwargs,
    )
    return [keras.layers.Dense(C, "tanh"), posterior, keras.layers.Dense(X)]


def _functional(parts):
    x = keras.Input((X,))
    y = x
    for part in parts:
        y = part(y)
    return keras.Model(x, y)


def _sequential(parts):
    return keras.Sequential([keras.Input((X,)), *parts])


MODELS = {"functional": _functional, "sequential": _sequential}


def _compiled(make, parts, optimizer="adam", run_eagerly=True):
    model = make(parts)
    model.compile(
        optimizer,
        NegativeLogLikelihood("bernoulli"),
        run_eagerly=run_eagerly,
        jit_compile=False,
    )
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign_add(0.3 * rng.normal(size=weight.shape))
    return model


def _negative_elbo(parts, x, step=None, prior_loc=0.0, kl_weight=1.0):
    """In NumPy, with the density by the flow's inverse.

    At the noise of a step of training, or by default of an evaluation.
    """
    encoder, posterior, decoder = parts
    rows = noise.normal_rows(
        len(x),
        (posterior.noise_size,),
        seed=posterior.seed,
        step=0 if step is None else step,
        purpose=f"posterior {'evaluation' if step is None else 'call'}",
    )
    context = encoder(x)
    z, _ = posterior.push_forward(rows, posterior.parameters(context))
    logits = decoder(z).numpy()
    log_likelihood = stats.bernoulli.logpmf(x, 1 / (1 + np.exp(-logits)))
    log_posterior = posterior.distribution(context).log_prob(z)
    log_prior = stats.norm.logpdf(z, loc=prior_loc).sum(axis=-1)
    kl = np.mean(log_posterior - log_prior)
    return kl_weight * kl - np.mean(log_likelihood.sum(axis=-1))


@pytest.mark.parametrize(
    ("name", "kl_weight"),
    [("functional", 1.0), ("sequential", 1.0), ("sequential", 0.5)],
)
def test_loss_is_minus_the_elbo(name, kl_weight):
    x = _images()
    parts = _parts(kl_weight=kl_weight)
    # No update, so that the loss in training is that of known weights.
    model = _compiled(MODELS[name], parts, keras.optimizers.SGD(0.0))
    for step in range(2):
        expected = _negative_elbo(parts, x, step, kl_weight=kl_weight)
        model.reset_metrics()  # before Keras 3.15, which does it
        np.testing.assert_allclose(
            model.train_on_batch(x, x), expected, rtol=1e-5
        )
    expected = _negative_elbo(parts, x, kl_weight=kl_weight)
    for batch_size in (N, 5):
        loss = model.evaluate(x, x, batch_size=batch_size, verbose=0)
        np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_a_prior_of_the_user_takes_part_and_is_trained():
    x = _images()
    prior = ShiftedPrior()
    parts = _parts(prior=prior)
    model = _compiled(_functional, parts, keras.optimizers.SGD(0.1))
    loc = prior.loc.numpy()
    expected = _negative_elbo(parts, x, step=0, prior_loc=loc)
    np.testing.assert_allclose(model.train_on_batch(x, x), expected, rtol=1e-5)
    assert np.abs(prior.loc - loc).min() > 1e-3


def test_output_is_a_sample_that_differs_from_call_to_call():
    x = _images()
    first, again, other = (
        _compiled(_functional, _parts(seed=seed)) for seed in (3, 3, 4)
    )
    modes = (False, False, True, True)
    calls = [first(x, training=mode).numpy() for mode in modes]
    for i in range(1, 4):
        assert np.abs(calls[i] - calls[i - 1]).min() > 0
    # A fresh start repeats both sequences, however they are mixed.
    for i in (2, 0, 3, 1):
        np.testing.assert_array_equal(again(x, training=modes[i]), calls[i])
    assert np.abs(other(x) - calls[0]).min() > 0


@pytest.mark.slow
def test_validation_leaves_training_alone_and_repeats_itself():
    x = _images()
    histories, weights = [], []
    for kwargs in ({}, {"validation_data": (x[:5], x[:5])}):
        model = _compiled(_functional, _parts())
        fit = model.fit(
            x, x, epochs=3, batch_size=5, shuffle=False, verbose=0, **kwargs
        )
        histories.append(fit.history)
        weights.append([w.numpy() for w in model.weights])
    for weight, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(weight, other)
    assert set(histories[0]) == {"loss"}
    assert histories[0]["loss"] == histories[1]["loss"]
    expected = histories[1]["val_loss"][-1]
    model.predict(x, verbose=0)
    repeated = model.evaluate(x[:5], x[:5], verbose=0)
    assert repeated == pytest.approx(expected, rel=1e-6)


def test_there_are_no_weights_beside_those_of_older_files():
    posterior = _parts()[1]
    posterior.build((None, C))
    assert [w.name for w in posterior.non_trainable_weights] == ["num_calls"]


def test_output_is_a_sample_of_the_distribution():
    posterior = FlowPosterior(D, PlanarFlow(2, seed=0))
    context = np.ones([5000, C], np.float32)
    posterior.build(context.shape)
    rng = np.random.default_rng(2)
    for weight in posterior.trainable_weights:
        weight.assign_add(0.5 * rng.normal(size=weight.shape))
    called = posterior(context).numpy()
    drawn = posterior.distribution(context[:1]).sample(5000, seed=[0, 0])[:, 0]
    for i in range(D):
        assert stats.ks_2samp(called[:, i], drawn[:, i]).pvalue > 0.001
    (kl,) = posterior.losses
    expected = np.mean(
        posterior.distribution(context[:1]).log_prob(called)
        - stats.norm.logpdf(called).sum(axis=-1)
    )
    np.testing.assert_allclose(kl, expected, rtol=1e-4)


def test_mixed_precision():
    posterior = FlowPosterior(
        D,
        PlanarFlow(2, seed=0, dtype="mixed_bfloat16"),
        prior=FlowPosterior(
            D, RadialFlow(2, dtype="mixed_bfloat16"), dtype="mixed_bfloat16"
        ),
        dtype="mixed_bfloat16",
    )
    z = posterior(np.ones([3, C], np.float32))
    assert z.dtype == posterior.losses[0].dtype == tf.float32
    assert np.isfinite(posterior.losses[0])


@pytest.mark.parametrize("name", MODELS)
def test_keras_file(name, tmp_path):
    x = _images()
    # The prior of the user is loaded by its name.
    model = _compiled(MODELS[name], _parts(prior=ShiftedPrior()))
    model.train_on_batch(x, x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for weight, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(other, weight, err_msg=weight.path)
    np.testing.assert_array_equal(loaded(x), model(x))
    posterior, other = (m.layers[-2] for m in (model, loaded))
    configs = [json.dumps(q.get_config()) for q in (other, posterior)]
    assert configs[0] == configs[1]
    context = np.ones([3, C], np.float32)
    for got, expected in zip(
        tf.nest.flatten(
            [
                other.parameters(context),
                other.sample_and_log_prob(context, 4, seed=1),
            ]
        ),
        tf.nest.flatten(
            [
                posterior.parameters(context),
                posterior.sample_and_log_prob(context, 4, seed=1),
            ]
        ),
        strict=True,
    ):
        np.testing.assert_array_equal(got, expected)


# Replicas.


class _Noise(keras.layers.Layer):
    """The posterior's noise, read off its sample: there is no flow."""

    def __init__(self):
        super().__init__()
        self.posterior = FlowPosterior(D)

    def build(self, input_shape):
        self.posterior.build(input_shape)

    def call(self, context):
        base = self.posterior.parameters(context)["base"]
        scale = tf.nn.softplus(base["unconstrained_scale"])
        return (self.posterior(context) - base["loc"]) / scale


def two_replicas():
    x = _images()
    strategy = mirrored_strategy()
    with strategy.scope():
        parts = _parts()
        parts[1] = FlowPosterior(D, PlanarFlow(2, seed=0))
        model = _compiled(_functional, parts, run_eagerly=False)
        before = [w.numpy() for w in model.trainable_weights]
        recorder = keras.Sequential([keras.Input((X,)), _Noise()])
    history = model.fit(x, x, epochs=3, batch_size=8, verbose=0)
    return {
        "loss": history.history["loss"],
        "changes": [
            np.abs(w.numpy() - b).max()
            for w, b in zip(model.trainable_weights, before, strict=True)
        ],
        "noise": recorder.predict(x, batch_size=N, verbose=0),
    }


@pytest.mark.slow
@pytest.mark.distributed
def test_two_replicas():
    result = on_two_cpus(two_replicas)
    assert np.isfinite(result["loss"]).all()
    assert min(result["changes"]) > 0
    # The two halves are the rows of one global batch, so they differ.
    expected = noise.normal_rows(
        N, (D,), seed=0, step=0, purpose="posterior evaluation"
    )
    np.testing.assert_allclose(result["noise"], expected, atol=1e-5)
    first, second = np.split(result["noise"], 2)
    assert np.abs(first - second).min() > 1e-3
