"""`HamiltonianPosterior` as a layer: weights, configuration, errors."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.posteriors.annealed import (
    BASES,
    HVAE,
    LOG_JOINT,
    D,
)
from tests.posteriors.annealed import noise as _noise
from tests.posteriors.annealed import posterior as _posterior
from tests.posteriors.with_auxiliaries import LeapfrogPosterior
from tfp_flows import layers
from tfp_flows.posteriors import (
    FlowPosterior,
    HamiltonianPosterior,
    LangevinPosterior,
    Posterior,
)


def test_step_sizes_and_betas_start_as_asked():
    posterior = HamiltonianPosterior(
        FlowPosterior(D), 4, initial_step_size=0.1, largest_step_size=0.3
    )
    posterior.build()
    found = posterior.parameters()["annealing"]
    np.testing.assert_allclose(found["step_sizes"], [[0.1] * D] * 4, rtol=1e-6)
    np.testing.assert_allclose(found["betas"], [0.25, 0.5, 0.75, 1.0])
    (steps,) = (w for w in posterior.weights if "step_sizes" in w.path)
    steps.assign([[50.0] * D] * 4)
    found = posterior.parameters()["annealing"]
    assert np.all(found["step_sizes"] <= 0.3)


def test_step_sizes_may_stay():
    posterior = _posterior(learn_step_sizes=False, betas="linear")
    assert len(posterior.trainable_weights) == len(
        posterior.base.trainable_weights
    )
    found = posterior.parameters()["annealing"]["step_sizes"]
    np.testing.assert_allclose(found, [[0.25] * D] * 3, rtol=1e-12)


def test_base_stays_available():
    posterior = HamiltonianPosterior(FlowPosterior(D), 2)
    posterior.build((None, 4))
    context = tf.random.stateless_normal([5, 4], [0, 0])
    assert posterior.base.distribution(context).batch_shape == [5]
    assert posterior.base.built
    z, log_weight = posterior.sample_and_log_weight(
        _noise(posterior, 3, 5),
        posterior.parameters(context),
        log_joint=LOG_JOINT,
    )
    assert z.shape == [3, 5, D]
    assert log_weight.shape == [3, 5]


@pytest.mark.parametrize("cls", [HamiltonianPosterior, LangevinPosterior])
def test_configuration_makes_the_same_layer(cls):
    own = {"num_leapfrog_steps": 2} if cls is HamiltonianPosterior else {}
    posterior = cls(
        BASES["planar"]("float64"),
        3,
        betas="linear",
        initial_step_size=0.2,
        largest_step_size=0.3,
        **own,
    )
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(posterior)
    )
    assert type(again) is cls
    assert again.get_config() == posterior.get_config()
    assert again.variable_dtype == "float64"
    assert again.num_leapfrog_steps == own.get("num_leapfrog_steps", 1)


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_bridges": -1}, "`num_bridges` must be an integer >= 0; got -1"),
        ({"num_bridges": 2.5}, "`num_bridges` must be an integer >= 0"),
        ({"num_leapfrog_steps": 0}, "`num_leapfrog_steps` must be .* >= 1"),
        ({"persistence": -0.1}, "`persistence` must be from 0 to 1; got -0.1"),
        ({"persistence": "none"}, "`persistence` must be from 0 to 1"),
        ({"persistence": float("nan")}, "`persistence` must be from 0 to 1"),
        ({"tempering": "fixed"}, "`tempering` must be one of none, quadratic"),
        ({"tempering": "free"}, "`persistence` must be 1 with `tempering`"),
        ({"betas": "sigmoid"}, "`betas` must be one of learned, linear, ones"),
        ({"initial_step_size": 0.0}, "`initial_step_size` must be positive"),
        (
            {"initial_step_size": 0.2, "largest_step_size": 0.2},
            "`initial_step_size` must be positive and less than",
        ),
        ({"largest_step_size": -1.0}, "`largest_step_size` must be positive"),
        ({"dtype": "float64"}, "`base` must have the posterior's dtype"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        HamiltonianPosterior(
            **{"base": FlowPosterior(D), "num_bridges": 2} | arguments
        )


@pytest.mark.parametrize(
    "base",
    [
        lambda: None,
        lambda: keras.layers.Dense(2),
        lambda: LeapfrogPosterior(D),
        lambda: HamiltonianPosterior(FlowPosterior(D), 2),
    ],
)
def test_base_without_a_density_is_refused(base):
    with pytest.raises(TypeError, match="`base` must be a posterior whose den"):
        HamiltonianPosterior(base(), 2)


def test_density_is_refused():
    posterior = _posterior()
    with pytest.raises(NotImplementedError, match="`HamiltonianPosterior` has"):
        posterior.make_distribution(posterior.parameters())
    assert isinstance(posterior, Posterior)


def test_missing_joint_is_refused():
    posterior = _posterior()
    with pytest.raises(ValueError, match="`log_joint` must be given"):
        posterior.sample_and_log_weight(
            _noise(posterior), posterior.parameters()
        )


def test_use_before_build_is_refused():
    posterior = HamiltonianPosterior(FlowPosterior(D), 2)
    with pytest.raises(ValueError, match="must be built before it is used"):
        posterior.parameters()


@pytest.mark.parametrize(
    ("flow", "is_sequential"),
    [
        (lambda **own: layers.IAFFlow(1, **own), True),
        (lambda **own: layers.MAFFlow(1, **own), False),
        (lambda **own: layers.NAFFlow(1, **own), True),
        (lambda **own: layers.SplineAutoregressiveFlow(1, **own), True),
    ],
)
def test_sequential_inverse_is_warned_of(flow, is_sequential):
    for inverted in (False, True):
        base = FlowPosterior(4, flow(inverted=inverted))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            HamiltonianPosterior(base, 3, num_leapfrog_steps=2)
            HamiltonianPosterior(base, 0)
            HamiltonianPosterior(base, 3, **HVAE)
        messages = [str(warning.message) for warning in said]
        assert len(messages) == (is_sequential != inverted)
        for message in messages:
            assert "up to 4 passes through each of their steps, 7 times" in (
                message
            )
