"""`likelihoods.get`, and what all likelihoods have in common."""

import logging

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from tfp_flows import likelihoods
from tfp_flows.likelihoods.location_scale import MIN_SCALE
from tfp_flows.math import noise

tfd = tfp.distributions

NAMES = ("bernoulli", "discretized_logistic", "gaussian", "logit_normal")
EVENT = (3, 4)
# A few roundings of a sum of a dozen terms.
XLA_TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def _outputs(likelihood, *batch, dtype="float32", scale=1.0):
    shape = (*batch, *EVENT[:-1], likelihood.num_parameters * EVENT[-1])
    return scale * np.random.default_rng(0).normal(size=shape).astype(dtype)


def _data(likelihood, *batch, dtype="float32"):
    x = np.random.default_rng(1).uniform(size=(*batch, *EVENT))
    return (np.round(x) if likelihood.support == "binary" else x).astype(dtype)


def test_names():
    assert likelihoods.names() == NAMES
    supports = [likelihoods.get(name).support for name in NAMES]
    assert supports == ["binary", "unit_interval", "real", "unit_interval"]
    counts = [likelihoods.get(name).num_parameters for name in NAMES]
    assert counts == [1, 2, 2, 2]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch", [(), (2, 5)])
def test_shapes(name, batch):
    likelihood = likelihoods.get(name)
    outputs, x = _outputs(likelihood, *batch), _data(likelihood, *batch)
    distribution = likelihood.distribution(outputs, event_ndims=2)
    assert distribution.batch_shape == batch
    assert distribution.event_shape == EVENT
    assert distribution.log_prob(x).shape == batch
    np.testing.assert_array_equal(
        likelihood.log_prob(outputs, x, event_ndims=2), distribution.log_prob(x)
    )
    assert likelihood.mean(outputs, event_ndims=2).shape == (*batch, *EVENT)
    key = noise.key(seed=0, step=0, purpose="test")
    draw = likelihood.sample(outputs, key, event_ndims=2)
    assert draw.shape == (*batch, *EVENT)


@pytest.mark.parametrize("name", NAMES)
def test_log_prob_is_the_sum_over_the_event(name):
    likelihood = likelihoods.get(name)
    outputs, x = _outputs(likelihood, 5), _data(likelihood, 5)
    parts = np.split(outputs, likelihood.num_parameters, axis=-1)
    alone = likelihood.log_prob(
        np.stack(parts, axis=-1), x[..., np.newaxis], event_ndims=1
    )
    np.testing.assert_allclose(
        likelihood.log_prob(outputs, x, event_ndims=2),
        np.sum(alone, axis=(1, 2)),
        rtol=1e-5,
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)]
)
def test_xla_and_eager_agree_in_values_and_gradients(name, dtype):
    likelihood = likelihoods.get(name)
    x = _data(likelihood, 5, dtype=dtype)

    def call(outputs):
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            log_prob = likelihood.log_prob(outputs, x, event_ndims=2)
            mean = likelihood.mean(outputs, event_ndims=2)
            total = tf.reduce_sum(log_prob) + tf.reduce_sum(mean)
        return log_prob, mean, tape.gradient(total, outputs)

    outputs = tf.constant(_outputs(likelihood, 5, dtype=dtype))
    eager = call(outputs)
    compiled = tf.function(call, jit_compile=True)(outputs)
    for value, other in zip(eager, compiled, strict=True):
        assert value.dtype == dtype
        np.testing.assert_allclose(
            value,
            other,
            rtol=XLA_TOLERANCE[dtype],
            atol=XLA_TOLERANCE[dtype] * np.abs(value).max(),
        )
    assert np.all(eager[2].numpy() != 0.0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [100.0, 1e4])
def test_extreme_outputs_give_finite_values_and_gradients(name, scale):
    likelihood = likelihoods.get(name)
    outputs = tf.constant(_outputs(likelihood, 5, scale=scale))
    x = np.round(_data(likelihood, 5))  # zeros and ones
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        log_prob = likelihood.log_prob(outputs, x, event_ndims=2)
        mean = likelihood.mean(outputs, event_ndims=2)
        total = tf.reduce_sum(log_prob) + tf.reduce_sum(mean)
    assert np.isfinite(log_prob).all()
    assert np.isfinite(mean).all()
    assert np.isfinite(tape.gradient(total, outputs)).all()


@pytest.mark.parametrize("name", NAMES)
def test_low_precision_is_cast_to_float32(name):
    likelihood = likelihoods.get(name)
    outputs = tf.cast(_outputs(likelihood, 5), tf.bfloat16)
    x = _data(likelihood, 5)
    log_prob = likelihood.log_prob(outputs, tf.cast(x, tf.float64), 2)
    assert log_prob.dtype == tf.float32
    np.testing.assert_array_equal(
        log_prob, likelihood.log_prob(tf.cast(outputs, tf.float32), x, 2)
    )


@pytest.mark.parametrize("name", NAMES)
def test_draws_have_the_mean_and_follow_the_key(name):
    likelihood = likelihoods.get(name)
    num_draws = 20_000
    outputs = np.tile(_outputs(likelihood), (num_draws, 1, 1))

    def draw(**kwargs):
        key = noise.key(**{"seed": 1, "step": 2, "purpose": "a", **kwargs})
        return likelihood.sample(outputs, key, event_ndims=2).numpy()

    x = draw()
    error = x.std(axis=0) / np.sqrt(num_draws)
    mean = likelihood.mean(outputs[0], event_ndims=2)
    assert np.all(np.abs(x.mean(axis=0) - mean) < 5.0 * error)
    np.testing.assert_array_equal(x, draw())
    for other in ({"seed": 2}, {"step": 3}, {"purpose": "b"}):
        assert np.mean(x == draw(**other)) < 0.9


def test_bernoulli_against_scipy():
    logits, x = np.array([[-2.0, 0.5, 60.0]]), np.array([[1.0, 0.0, 0.0]])
    expected = np.log([1 / (1 + np.e**2), 1 / (1 + np.e**0.5)])
    likelihood = likelihoods.get("bernoulli")
    np.testing.assert_allclose(
        likelihood.log_prob(logits, x), [expected.sum() - 60.0]
    )
    np.testing.assert_allclose(
        likelihood.mean(logits), 1 / (1 + np.exp(-logits))
    )


def test_gaussian_against_scipy():
    outputs = np.array([[0.5, -1.0, 0.3, -200.0]])
    x = np.array([[0.7, -1.0 + 2e-4]])
    scale = [MIN_SCALE + np.log1p(np.exp(0.3)), MIN_SCALE]
    expected = stats.norm(outputs[0, :2], scale).logpdf(x).sum()
    likelihood = likelihoods.get("gaussian")
    np.testing.assert_allclose(likelihood.log_prob(outputs, x), [expected])
    np.testing.assert_array_equal(likelihood.mean(outputs), outputs[:, :2])


# A callable.


def poisson(outputs):
    return tfd.Independent(tfd.Poisson(log_rate=outputs), 1)


def test_callable_from_output_to_distribution():
    likelihood = likelihoods.get(poisson)
    assert likelihood.name == "poisson"
    assert likelihood.num_parameters is None
    assert likelihood.support == "real"
    assert likelihood.identifier is poisson
    outputs, x = np.full([5, 3], 0.5, np.float32), np.full([5, 3], 2.0)
    np.testing.assert_allclose(
        likelihood.log_prob(outputs, x),
        3 * stats.poisson(np.exp(0.5)).logpmf(2) * np.ones(5),
        rtol=1e-5,
    )
    np.testing.assert_allclose(likelihood.mean(outputs), np.exp(outputs))


def test_callable_may_take_several_outputs_and_name_its_support():
    class Beta:
        support = "unit_interval"

        def __call__(self, outputs):
            return tfd.Independent(tfd.Beta(*map(tf.exp, outputs)), 2)

    likelihood = likelihoods.get(Beta())
    assert likelihood.name == "Beta"
    assert likelihood.support == "unit_interval"
    outputs = (tf.zeros([5, 3, 4], tf.bfloat16), tf.zeros([5, 3, 4]))
    log_prob = likelihood.log_prob(outputs, np.full([5, 3, 4], 0.2), 2)
    np.testing.assert_allclose(log_prob, np.zeros(5), atol=1e-6)


def test_a_likelihood_is_returned_as_it_is():
    likelihood = likelihoods.get("gaussian")
    assert likelihoods.get(likelihood) is likelihood


# Errors.


def test_unknown_name_lists_the_known():
    with pytest.raises(
        ValueError,
        match=r"`likelihood` must be one of bernoulli, discretized_logistic, "
        r"gaussian, logit_normal, or a callable; got 'normal'\.",
    ):
        likelihoods.get("normal")


def test_neither_name_nor_callable_is_refused():
    with pytest.raises(TypeError, match="or a callable; got 3"):
        likelihoods.get(3)


def test_unknown_support_is_refused():
    def wrong(outputs):
        return outputs

    wrong.support = "integers"
    with pytest.raises(ValueError, match="`likelihood.support`.*'integers'"):
        likelihoods.get(wrong)


@pytest.mark.parametrize("name", NAMES[1:])
def test_odd_last_axis_is_refused(name):
    with pytest.raises(
        ValueError, match=rf"even size .*'{name}'.*got shape \(5, 3\)"
    ):
        likelihoods.get(name).distribution(tf.zeros([5, 3]))


@pytest.mark.parametrize("event_ndims", [0, True, 1.0, None])
def test_event_ndims_is_a_positive_integer(event_ndims):
    with pytest.raises(ValueError, match=f"`event_ndims`.*got {event_ndims}"):
        likelihoods.get("gaussian").distribution(tf.zeros([2]), event_ndims)


def test_too_few_axes_are_refused():
    with pytest.raises(
        ValueError, match=r"at least 3 axes.*got shape \(5, 4\)"
    ):
        likelihoods.get("gaussian").distribution(tf.zeros([5, 4]), 3)


def test_callable_without_a_distribution_is_refused():
    def logits(outputs):
        return outputs

    with pytest.raises(
        TypeError, match="'logits' must return .*; got a .*ensor"
    ):
        likelihoods.get(logits).distribution(tf.zeros([5, 4]))


@pytest.mark.parametrize("event_ndims", [1, 2])
def test_callable_with_other_event_axes_is_refused(event_ndims):
    def normal(outputs):
        return tfd.Independent(tfd.Normal(outputs, 1.0), event_ndims - 1)

    with pytest.raises(ValueError, match=r"wrap it in tfd\.Independent"):
        likelihoods.get(normal).distribution(tf.zeros([5, 3, 4]), event_ndims)


@pytest.mark.parametrize("batch", [[], [4], [1]])
def test_callable_with_another_batch_is_refused(batch):
    def fixed(outputs):
        return tfd.Independent(tfd.Normal(tf.zeros([*batch, 3]), 1.0), 1)

    with pytest.raises(ValueError, match="batch shape is that of the leading"):
        likelihoods.get(fixed).distribution(tf.zeros([5, 3]))


def test_only_a_callable_decides_its_event_axes():
    with pytest.raises(ValueError, match="`event_ndims` must be an integer"):
        likelihoods.get("bernoulli").distribution(tf.zeros([2, 3]), None)


@pytest.mark.parametrize("name", ["logit_normal", "discretized_logistic"])
def test_tfp_has_no_complaint_about_a_likelihood(name, caplog):
    absl = logging.getLogger("absl")
    absl.addHandler(caplog.handler)
    try:
        distribution = likelihoods.get(name).distribution(tf.zeros([2, 6]))
        assert distribution.batch_shape == [2]
    finally:
        absl.removeHandler(caplog.handler)
    assert not caplog.records
