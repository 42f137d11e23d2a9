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
    with pytest.warns(UserWarning, match="fit. ended after"):
        first = fit(model, 2, callbacks=[StopAfter(1)])
    later = fit(model, 6, initial_epoch=1)
    assert [*first, *later] == fit(annealed(schedules.KLAnnealing(6)))


class StopAfter(keras.callbacks.Callback):
    def __init__(self, num_epochs):
        super().__init__()
        self.num_epochs = num_epochs

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch + 1 >= self.num_epochs


@pytest.mark.slow
def test_what_is_over_is_not_begun_again():
    model = annealed(SHARE)
    fit(model, 2)
    planned = model.annealing
    assert planned == schedules.KLAnnealing(1)
    fit(model, 8)  # half of which are more than the two from before
    assert model.annealing == planned
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    assert fit(model, 4) == fit(annealed(None), 4)  # counted from 0 again
    model.annealing = SHARE  # set anew
    assert fit(model, 6)[1:] != fit(annealed(None), 6)[1:]


def test_a_fit_that_fails_or_takes_nothing_leaves_no_plan():
    model = annealed(SHARE)
    with pytest.raises(ValueError, match="must be finite"):
        model.fit(np.full([6, 3], np.nan), batch_size=6, epochs=2, verbose=0)
    model.fit(lg.truth(model).sample(6), epochs=0, verbose=0)
    assert model.annealing == SHARE
    assert fit(model, 6) == fit(annealed(STEPS), 6)


def test_a_ramp_ends_exactly_at_1():
    model = annealed(schedules.KLAnnealing(41))  # 41 * (1 / 41) < 1 in float32
    weights = model.annealing.weights(41, tf.float32)
    np.testing.assert_array_equal(weights, [1.0, 1.0, 1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(model, 41)


class SetAnnealing(keras.callbacks.Callback):
    """Sets another schedule before the last three epochs."""

    def __init__(self, annealing):
        super().__init__()
        self.annealing = annealing

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3:
            self.model.annealing = self.annealing


@pytest.mark.parametrize(
    "run_eagerly", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_a_callback_sets_the_schedule(run_eagerly):
    found = fit(
        annealed(None, run_eagerly),
        callbacks=[SetAnnealing(schedules.KLAnnealing(share=1.0))],
    )
    before = fit(annealed(None, run_eagerly))
    after = fit(annealed(schedules.KLAnnealing(6), run_eagerly))
    assert found == [*before[:3], *after[3:]]


class Constant(schedules.Annealing):
    """The KL term times a number, as of a beta-VAE."""

    def __init__(self, weights):
        self._weights = np.asarray(weights)

    def beta(self, step, dtype=tf.float32):
        return tf.cast(self._weights[1], dtype)

    def weights(self, step, dtype=tf.float32):
        return schedules.AnnealingWeights(
            *(tf.cast(weight, dtype) for weight in self._weights)
        )

    def get_config(self):
        return {"weights": self._weights}


def test_a_schedule_of_ones_own_never_ends():
    model = annealed(Constant([1.0, 4.0, 4.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is meant
        found = fit(model, 2)
    assert found != fit(annealed(None), 2)


@pytest.mark.slow
def test_xla_compiles_shares():
    losses = []
    for annealing in (SHARE, STEPS):
        model = annealed(annealing)
        model.compile(keras.optimizers.SGD(0.0), jit_compile=True)
        losses.append(fit(model, 6))
    assert losses[0] == losses[1]


@pytest.mark.parametrize("scaled", [False, True])
def test_accumulated_batches_are_one_update(scaled):
    model = annealed(SHARE)
    optimizer = keras.optimizers.SGD(0.0, gradient_accumulation_steps=2)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(optimizer, jit_compile=False)
    fit(model, 8)
    assert model.annealing == schedules.KLAnnealing(2)


@pytest.mark.parametrize("num_updates", [0, -1, 1.5, "x", True])
def test_number_of_updates_is_checked(num_updates):
    with pytest.raises(
        ValueError, match="`num_updates` must be an integer >= 1"
    ):
        annealed(None).plan_annealing(num_updates)


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
    model = annealed(None, run_eagerly=True)
    assert model.annealing == schedules.NoAnnealing()
    model.annealing = "kl"
    fit(model, 6)
    assert model.annealing == schedules.KLAnnealing(1)
    with pytest.raises(ValueError, match="`annealing` must be one of"):
        model.annealing = "linear"
