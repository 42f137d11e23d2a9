"""Priors, likelihoods and other arguments of the user's own."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models.digits import compiled, images, model
from tfp_flows.layers import MLP, StochasticLayer
from tfp_flows.posteriors import FlowPosterior

tfd = tfp.distributions


class _Prior(keras.layers.Layer):
    """All that a DLGM asks of a prior: a method `distribution()`."""

    def distribution(self):
        return tfd.MultivariateNormalDiag(tf.zeros(3), tf.ones(3))


def test_samples_of_a_users_prior_follow_the_seed():
    dlgm = model(prior=_Prior())
    dlgm.build((None, 8, 8))
    for weight in dlgm.decoder.weights:
        weight.assign(keras.random.normal(weight.shape, seed=0))
    first, again, other = (dlgm.sample(4, seed=s).numpy() for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def _on_a_grid(outputs):
    shape = tf.concat([tf.shape(outputs)[:-1], [8, 8]], axis=0)
    logits = tf.reshape(outputs, shape)
    return tfd.Independent(tfd.Bernoulli(logits=logits, dtype=tf.float32), 2)


def _two_classes(outputs):
    return tfd.Independent(tfd.Categorical(logits=outputs), 1)


@pytest.mark.parametrize(
    ("likelihood", "output_size"), [(_on_a_grid, 64), (_two_classes, (64, 2))]
)
def test_callable_may_make_other_event_axes(likelihood, output_size):
    dlgm = compiled(
        run_eagerly=True,
        likelihood=likelihood,
        decoder=MLP([4], output_size=output_size),
    )
    dlgm.fit(images(4), verbose=0)
    assert dlgm.sample(2, draws=True).shape == (2, 8, 8)


@pytest.mark.parametrize(
    ("likelihood", "message"),
    [
        (
            lambda o: tfd.Bernoulli(logits=o),
            r"over 64 elements.*got event .*()",
        ),
        (
            lambda o: tfd.Independent(tfd.Bernoulli(logits=o[0]), 1),
            "batch axes are the first 2 of the decoder's output",
        ),
    ],
)
def test_callable_whose_distribution_does_not_fit(likelihood, message):
    dlgm = compiled(likelihood=likelihood, jit_compile=False)
    with pytest.raises(ValueError, match=message):
        dlgm.fit(images(4), verbose=0)


def test_the_map_that_a_warning_shows_draws_binary_images():
    dlgm = compiled(run_eagerly=True)
    with pytest.warns(UserWarning, match="binary") as warned:
        dlgm.evaluate(np.full([100, 8, 8], 0.3, np.float32), verbose=0)
    code = str(warned[0].message).split("`")[1]
    tf.random.set_seed(0)
    grey = tf.data.Dataset.from_tensors(tf.fill([100, 64], 0.3))
    drawn = next(iter(eval(code, {"dataset": grey, "tf": tf}))).numpy()
    assert set(np.unique(drawn)) == {0.0, 1.0}
    # Six standard errors.
    assert abs(drawn.mean() - 0.3) < 6 * math.sqrt(0.21 / 6400)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"encoder": MLP}, TypeError, "`encoder` must be a Keras layer"),
        ({"decoder": None}, TypeError, "`decoder` must be .*; got None"),
        ({"posterior": FlowPosterior}, TypeError, "`posterior` must be a post"),
        (
            {"prior": keras.layers.Dense(3)},
            TypeError,
            "`prior` must be a layer",
        ),
        ({"prior": FlowPosterior}, TypeError, "`prior` must be a layer"),
        ({"stochastic_layers": StochasticLayer(3)}, TypeError, "a list of"),
        ({"seed": -1}, ValueError, r"`seed` must be in \[0, 2\*\*31\).*got -1"),
        ({"seed": 1.5}, ValueError, "`seed` must be .*, an integer; got 1.5"),
        ({"seed": 2**31}, ValueError, "`seed` must be .*; got 2147483648"),
        (
            {"num_importance_samples": True},
            ValueError,
            "integer >= 1; got True",
        ),
        ({"event_shape": 64}, ValueError, "`event_shape` must hold .*got 64"),
    ],
)
def test_bad_argument_is_refused_at_once(kwargs, error, message):
    with pytest.raises(error, match=message):
        model(**kwargs)


def test_prior_of_another_size():
    dlgm = compiled(prior=FlowPosterior(2), jit_compile=False)
    with pytest.raises(ValueError, match=r"`prior` must be over .* 3 lat.*2,"):
        dlgm.fit(images(4), verbose=0)


def test_unknown_jit_compile():
    with pytest.raises(ValueError, match="`jit_compile` must be .* got 'yes'"):
        compiled(jit_compile="yes")
