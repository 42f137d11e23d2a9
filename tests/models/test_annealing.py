"""The annealed loss of a fit; metrics and validation are never annealed."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models import linear_gaussian as lg
from tfp_flows import schedules
from tfp_flows.math import noise

NUM_EPOCHS = 5  # of one step each
# Keras keeps the loss in its floatx, float32.
LOSS_TOLERANCE = 1e-5


def log_terms(model, x, step):
    """Log likelihood, prior and posterior of the samples of a step, `[S, B]`.

    By the formulas of a linear-Gaussian model.
    """
    num_samples, size = model.num_importance_samples, model.posterior.noise_size
    rows = noise.normal_rows(
        len(x),
        (num_samples, size),
        seed=model.seed,
        step=step,
        purpose="training",
        dtype=tf.float64,
    )
    w = lg.weights(model)
    loc, scale_tril = lg.posterior_parameters(w, x)
    xi = loc + tf.linalg.matvec(scale_tril, tf.transpose(rows, [1, 0, 2]))
    log_prior = -0.5 * np.sum(xi**2 + lg.LOG_2PI, axis=-1)
    log_joint = lg.log_joint(w, x, xi).numpy()
    log_posterior = lg.log_posterior(loc, scale_tril, xi).numpy()
    return log_joint - log_prior, log_prior, log_posterior


def bound(log_weights):
    return np.mean(np.log(np.mean(np.exp(log_weights), axis=0)))


@pytest.mark.parametrize(
    ("annealing", "weights", "num_samples"),
    [
        (
            schedules.JointAnnealing(num_steps=3, initial=0.1),
            lambda t: (min(1.0, 0.1 + t / 3.0), min(1.0, 0.1 + t / 3.0), 1.0),
            1,
        ),
        (
            schedules.KLAnnealing(num_steps=3),
            lambda t: (1.0, min(1.0, t / 3.0), min(1.0, t / 3.0)),
            1,
        ),
        (
            schedules.KLAnnealing(num_steps=3, initial=0.1),
            lambda t: (1.0, *[min(1.0, 0.1 + 0.3 * t)] * 2),
            5,
        ),
    ],
    ids=["joint", "kl", "kl iwae"],
)
def test_fit(annealing, weights, num_samples):
    model = lg.build(
        annealing=annealing, num_importance_samples=num_samples, seed=7
    )
    x = lg.truth(model).sample(6)
    validation = lg.truth(model).sample(4, seed=1)
    # In a graph once, where the step must not be a constant.
    model.compile(
        keras.optimizers.SGD(0.0),
        jit_compile=False,
        run_eagerly=num_samples == 1,
    )

    history = model.fit(
        x,
        batch_size=len(x),
        epochs=NUM_EPOCHS,
        shuffle=False,
        validation_data=validation,
        verbose=0,
    ).history

    for step in range(NUM_EPOCHS):
        likelihood, prior, posterior = log_terms(model, x, step)
        a, b, c = weights(step)
        expected = {
            "elbo": np.mean(likelihood + prior - posterior),
            "kl": np.mean(posterior - prior),
            "reconstruction": np.mean(likelihood),
        }
        if num_samples > 1:
            expected[f"iwae_{num_samples}"] = bound(
                likelihood + prior - posterior
            )
        for name, value in expected.items():
            assert history[name][step] == pytest.approx(value, abs=1e-10), name
        loss = -bound(a * likelihood + b * prior - c * posterior)
        assert history["loss"][step] == pytest.approx(loss, abs=LOSS_TOLERANCE)
        best = "elbo" if num_samples == 1 else f"iwae_{num_samples}"
        assert history["val_loss"][step] == pytest.approx(
            -history[f"val_{best}"][step], abs=LOSS_TOLERANCE
        )
        # At equal weights it is the same noise and the same figure.
        assert history[f"val_{best}"][step] == history[f"val_{best}"][0]


def fit(model, num_batches=6, **kwargs):
    """The losses of epochs of one batch each, as of a fresh optimizer."""
    x = lg.truth(model).sample(6)
    history = model.fit(
        x,
        batch_size=len(x),
        epochs=num_batches,
        shuffle=False,
        verbose=0,
        **kwargs,
    )
    return history.history["loss"]


def annealed(annealing, run_eagerly=False, **optimizer):
    """A model that learns nothing, so that only the weights change."""
    model = lg.build(annealing=annealing, seed=7)
    model.compile(
        keras.optimizers.SGD(0.0, **optimizer),
        jit_compile=False,
        run_eagerly=run_eagerly,
    )
    return model


SHARE, STEPS = schedules.KLAnnealing(share=0.5), schedules.KLAnnealing(3)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_share_of_the_updates_is_as_many_steps(run_eagerly):
    expected = fit(annealed(STEPS, run_eagerly))
    assert fit(annealed(SHARE, run_eagerly)) == expected
    assert len(set(expected[:4])) == 4


def test_compiled_code_sees_the_plan_of_a_longer_fit():
    model = annealed(schedules.KLAnnealing(share=1.0))
    with pytest.warns(UserWarning, match="fit. ended while"):
        first = fit(model, 2, callbacks=[StopAfter(1)])
    later = fit(model, 6, initial_epoch=1)
    assert [*first, *later] == fit(annealed(schedules.KLAnnealing(6)))


class StopAfter(keras.callbacks.Callback):
    def __init__(self, num_epochs):
        super().__init__()
        self.num_epochs = num_epochs

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch + 1 >= self.num_epochs


def test_what_is_over_is_not_begun_again():
    model = annealed(SHARE)
    fit(model, 2)
    planned = model.annealing
    assert planned == schedules.KLAnnealing(1)
    fit(model, 8)  # half of which are more than the two from before
    assert model.annealing == planned
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    fit(model, 8)  # of a new optimizer, which begins at 0
    assert model.annealing == schedules.KLAnnealing(4)


def test_accumulated_batches_are_one_update():
    model = annealed(SHARE, gradient_accumulation_steps=2)
    fit(model, 8)
    assert model.annealing == schedules.KLAnnealing(2)


def endless(model):
    return tf.data.Dataset.from_tensors(lg.truth(model).sample(6)).repeat()


def test_a_share_of_an_unknown_number_is_refused():
    model = annealed(SHARE)
    data = endless(model).take_while(lambda _: True)
    with pytest.raises(ValueError, match=r"`num_steps`.*share=0\.5"):
        model.fit(data, verbose=0)
    model.fit(data, steps_per_epoch=4, verbose=0)
    assert model.annealing == schedules.KLAnnealing(2)


def test_a_loop_of_ones_own_says_how_many_updates_there_are():
    model = annealed(SHARE, run_eagerly=True)
    x = lg.truth(model).sample(6)
    with pytest.raises(ValueError, match=r"`model\.plan_annealing"):
        model.train_on_batch(x)
    model.plan_annealing(6)
    found = []
    for _ in range(6):
        model.reset_metrics()
        found.append(model.train_on_batch(x, return_dict=True)["loss"])
    expected = fit(annealed(STEPS, run_eagerly=True))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("annealing", [schedules.KLAnnealing(100), "joint"])
def test_fit_says_once_that_it_ended_annealed(annealing):
    model = annealed(annealing)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(3):
            fit(model, 1)
    (said,) = [str(w.message) for w in said if "`fit` ended" in str(w.message)]
    assert repr(model.annealing) in said


def test_set_schedule_is_in_force():
    model = annealed(None)
    assert model.annealing == schedules.NoAnnealing()
    model.annealing = "kl"
    fit(model, 6)
    assert model.annealing == schedules.KLAnnealing(1)
    config = model.get_config()["annealing"]
    saved = keras.saving.deserialize_keras_object(config)
    assert saved == schedules.KLAnnealing(1)  # to go on with
    with pytest.raises(ValueError, match="`annealing` must be one of"):
        model.annealing = "linear"
