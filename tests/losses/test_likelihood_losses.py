import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import likelihoods
from tfp_flows.losses import NegativeLogLikelihood

tfd = tfp.distributions

B = 6


def _random(*shape):
    return np.random.default_rng(0).uniform(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", likelihoods.names())
def test_sums_over_the_event_and_averages_over_the_batch(name):
    likelihood = likelihoods.get(name)
    x = np.round(_random(B, 3, 4))
    outputs = _random(B, 3, 4 * likelihood.num_parameters)
    log_prob = likelihood.log_prob(outputs, x, event_ndims=2)
    loss = NegativeLogLikelihood(name)
    np.testing.assert_allclose(loss.call(x, outputs), -log_prob, rtol=1e-6)
    np.testing.assert_allclose(loss(x, outputs), -np.mean(log_prob), rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "event"), [((28, 28), (784,)), ((784,), (28, 28, 1))]
)
def test_data_take_the_shape_of_the_event(given, event):
    logits = _random(B, *event)
    x = np.round(_random(B, 784))
    loss = NegativeLogLikelihood(reduction=None)
    np.testing.assert_allclose(
        loss(x.reshape(B, *given), logits),
        loss(x.reshape(B, *event), logits),
    )


def test_the_bernoulli_loss_is_784_times_that_of_keras():
    x, logits = np.round(_random(B, 784)), _random(B, 784)
    keras_loss = keras.losses.BinaryCrossentropy(from_logits=True)
    np.testing.assert_allclose(
        NegativeLogLikelihood("bernoulli")(x, logits),
        784 * keras_loss(x, logits),
        rtol=1e-5,
    )


@keras.saving.register_keras_serializable(package="tests")
def unit_gaussian(outputs):
    return tfd.Independent(tfd.Normal(outputs, 1.0), 2)


@pytest.mark.parametrize("likelihood", ["gaussian", unit_gaussian])
def test_serialization(likelihood):
    loss = NegativeLogLikelihood(
        likelihood, name="nll", reduction="sum", dtype="float64"
    )
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(again, NegativeLogLikelihood)
    assert again.get_config() == loss.get_config()
    assert again.likelihood == likelihoods.get(likelihood)
    x, outputs = _random(B, 3, 4), _random(B, 3, 8)
    if likelihood is unit_gaussian:
        outputs = outputs[..., :4]
    assert again(x, outputs).dtype == tf.float64
    np.testing.assert_array_equal(again(x, outputs), loss(x, outputs))


def test_trains_a_keras_model():
    """To the mean of the data, whose logit is the bias."""
    model = keras.Sequential(
        [
            keras.layers.Flatten(),
            keras.layers.Dense(4, kernel_initializer="zeros"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.SGD(1.0),
        loss=NegativeLogLikelihood("bernoulli"),
        jit_compile=True,
    )
    x = np.zeros([8, 2, 2], np.float32)
    targets = np.concatenate([np.ones([6, 2, 2]), np.zeros([2, 2, 2])])
    data_set = tf.data.Dataset.from_tensors((x, targets)).repeat(30)
    model.fit(data_set, shuffle=False, verbose=0)
    np.testing.assert_allclose(
        tf.sigmoid(model.layers[1].bias), [0.75] * 4, atol=1e-2
    )
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    np.testing.assert_allclose(
        NegativeLogLikelihood()(targets, model(x)), 4 * entropy, rtol=1e-3
    )


def test_wrong_number_of_elements_is_refused():
    with pytest.raises(
        ValueError,
        match=r"`y_true` must have as many elements .* is \(784,\); "
        r"got shape \(6, 783\)",
    ):
        NegativeLogLikelihood()(_random(B, 783), _random(B, 784))


def test_rank_one_is_refused():
    with pytest.raises(ValueError, match="`y_pred` must have the shape"):
        NegativeLogLikelihood()(_random(B), _random(B))


def test_unknown_likelihood_lists_the_known():
    with pytest.raises(ValueError, match="must be one of bernoulli, "):
        NegativeLogLikelihood("poisson")
