"""What a DLGM takes where nobody says: by its posterior."""

import warnings

import keras
import pytest
import tensorflow as tf

from tests.models import digits
from tfp_flows import layers, schedules
from tfp_flows.models import DLGM
from tfp_flows.posteriors import FlowPosterior


def model_of(own, **kwargs):
    return digits.model(own, **{"annealing": "auto", **kwargs})


def posterior(*flows):
    return FlowPosterior(digits.LATENT_SIZE, list(flows) or None)


FLOWS = {
    "planar": lambda: layers.PlanarFlow(2),
    "sylvester": lambda: layers.SylvesterFlow(2, num_orthogonal_columns=2),
    "coupling": lambda: layers.SplineCouplingFlow(2),
    "iaf": lambda: layers.IAFFlow(2),
    "maf": lambda: layers.MAFFlow(2),
}


@pytest.mark.parametrize("name", FLOWS)
def test_flows_are_annealed_and_stick_the_landing(name):
    model = model_of(posterior(FLOWS[name]()))
    assert model.gradient_estimator == "sticking_the_landing"
    several = model_of(posterior(FLOWS[name]()), num_importance_samples=3)
    assert several.gradient_estimator == "doubly_reparameterized"
    assert model.annealing == schedules.KLAnnealing()
    assert several.annealing == schedules.NoAnnealing()


def test_a_gaussian_sticks_the_landing_too():
    model = model_of(posterior())
    assert model.gradient_estimator == "sticking_the_landing"
    assert model.annealing == schedules.NoAnnealing()
    several = model_of(posterior(), num_importance_samples=3)
    assert several.gradient_estimator == "doubly_reparameterized"


class OwnSamples(FlowPosterior):
    """It says nothing of the gradient of its density."""

    def push_forward(self, standard_normal, parameters):
        z, log_prob = super().push_forward(standard_normal, parameters)
        return 2.0 * z, log_prob - self.latent_size * tf.math.log(2.0)


class OwnGradient(OwnSamples):
    def log_prob_gradient(self, standard_normal, parameters):
        return super().log_prob_gradient(standard_normal, parameters) / 2.0


@pytest.mark.parametrize("num_importance_samples", [1, 3])
def test_no_estimator_that_would_be_refused(num_importance_samples):
    own = OwnSamples(digits.LATENT_SIZE, FLOWS["planar"]())
    model = digits.compiled(
        posterior=own,
        num_importance_samples=num_importance_samples,
        run_eagerly=True,
    )
    assert model.gradient_estimator == "reparameterized"
    model.train_on_batch(digits.images(10))
    assert not own.has_log_prob_gradient
    whole = OwnGradient(digits.LATENT_SIZE, FLOWS["planar"]())
    assert model_of(whole).gradient_estimator == "sticking_the_landing"


def test_what_is_given_is_taken():
    model = model_of(
        posterior(FLOWS["iaf"]()),
        annealing=None,
        gradient_estimator="reparameterized",
    )
    assert model.annealing == schedules.NoAnnealing()
    assert model.gradient_estimator == "reparameterized"


def autoregressive(**kwargs):
    return digits.compiled(
        posterior=posterior(FLOWS["iaf"]()),
        run_eagerly=True,
        annealing="auto",
        **kwargs,
    )


def fit(model, epochs=2, **kwargs):
    """6 updates an epoch."""
    images = digits.images(60)
    model.fit(images, batch_size=10, epochs=epochs, verbose=0, **kwargs)


@pytest.mark.slow
def test_auto_anneals_a_sixth_of_the_updates_of_fit():
    model = autoregressive()
    model.train_on_batch(digits.images(10))  # nobody knows of how many
    fit(model)
    assert model.annealing == schedules.KLAnnealing(2)
    clone = DLGM.from_config(model.get_config())  # to be trained by itself
    assert clone.annealing == schedules.KLAnnealing()


@pytest.mark.slow
def test_a_schedule_set_between_two_batches_is_followed():
    model = digits.compiled(
        posterior=posterior(FLOWS["iaf"]()), annealing="auto"
    )
    model.train_on_batch(digits.images(10))
    model.annealing = "kl"
    with pytest.raises(ValueError, match=r"`num_steps`.*plan_annealing"):
        model.train_on_batch(digits.images(10))


class StopAfter(keras.callbacks.Callback):
    def __init__(self, num_batches):
        super().__init__()
        self.num_batches = num_batches

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = batch + 1 >= self.num_batches


@pytest.mark.parametrize(
    ("is_over", "compiled"),
    [
        pytest.param(False, True, marks=pytest.mark.slow),
        pytest.param(True, True, marks=pytest.mark.slow),
        pytest.param(False, False, marks=pytest.mark.slow),
        pytest.param(True, False, marks=pytest.mark.slow),
    ],
)
def test_a_loaded_model_goes_on_as_it_would_have(tmp_path, is_over, compiled):
    model = autoregressive()
    fit(model, 2, callbacks=[] if is_over else [StopAfter(1)])
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path, compile=compiled)
    assert loaded.annealing == model.annealing == schedules.KLAnnealing(2)
    if not compiled:
        loaded.compile("sgd", run_eagerly=True)
    fit(loaded, 3)
    expected = schedules.KLAnnealing(2 if is_over else 3)
    assert loaded.annealing == expected
    assert loaded.history.history["elbo"]


class OthersFlow(layers.PlanarFlow):
    """A layer of a user; what its inverse is like is not known."""


OthersFlow.__module__ = "elsewhere"


def test_flows_of_others_have_the_plain_gradient():
    model = model_of(posterior(FLOWS["planar"](), OthersFlow(2)))
    assert model.gradient_estimator == "reparameterized"


def warned(model, data):
    """What two epochs of `fit` say of annealing."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(2):
            model.fit(data, verbose=0)
    return [str(w.message) for w in said if "anneal" in str(w.message)]


@pytest.mark.slow
def test_auto_does_not_anneal_data_of_unknown_length():
    model = autoregressive()
    data = tf.data.Dataset.from_tensor_slices(digits.images(4)).batch(4)
    unknown = data.take_while(lambda _: True)
    (said,) = warned(model, unknown)
    assert "steps_per_epoch" in said
    fit(model, 8)  # of known length, of which six updates are over
    assert model.annealing == schedules.KLAnnealing(8)
    plain = digits.compiled(
        posterior=posterior(), annealing="auto", run_eagerly=True
    )
    assert not warned(plain, unknown)


def test_defaults_are_saved(tmp_path):
    model = model_of(posterior(FLOWS["iaf"]()))
    model.build((None, 8, 8))
    model.save(tmp_path / "model.keras")
    assert model.get_config()["annealing"] == "auto"
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.annealing == model.annealing
    assert loaded.gradient_estimator == model.gradient_estimator
