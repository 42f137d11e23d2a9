import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows import schedules


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_joint_annealing_of_the_paper(dtype):
    schedule = schedules.get("joint")
    for step, beta in ((0, 0.01), (5_000, 0.51), (9_900, 1.0), (10**9, 1.0)):
        weights = schedule.weights(tf.constant(step, tf.int64), dtype)
        np.testing.assert_allclose(weights, [beta, beta, 1.0], rtol=1e-6)
        assert all(weight.dtype == dtype for weight in weights)
        np.testing.assert_allclose(schedule.beta(step), beta, rtol=1e-6)


def test_kl_annealing():
    schedule = schedules.KLAnnealing(num_steps=10, initial=0.2)
    for step, beta in ((0, 0.2), (5, 0.6), (10, 1.0), (11, 1.0)):
        weights = schedule.weights(step)
        np.testing.assert_allclose(weights, [1.0, beta, beta], rtol=1e-6)
        np.testing.assert_allclose(schedule.beta(step), beta, rtol=1e-6)


def test_kl_annealing_takes_a_sixth_of_the_updates_by_default():
    planned = schedules.get("kl").planned(6_000)
    assert planned == schedules.KLAnnealing(num_steps=1_000)
    np.testing.assert_allclose(planned.beta(250), 0.25)


@pytest.mark.parametrize(
    "make", [schedules.KLAnnealing, schedules.JointAnnealing]
)
def test_a_share_becomes_steps_once_the_updates_are_known(make):
    schedule = make(share=0.3, initial=0.5)
    assert schedule.planned(10) == make(num_steps=3, initial=0.5)
    assert schedule.planned(1).num_steps == 1  # never none
    assert make(num_steps=5).planned(10) == make(num_steps=5)
    assert make(num_steps=5).planned(None) == make(num_steps=5)
    with pytest.raises(ValueError, match=r"`num_steps`.*share=0\.3.*fit"):
        schedule.beta(0)
    with pytest.raises(ValueError, match=r"`num_steps`.*unknown.*share=0\.3"):
        schedule.planned(None)
    with pytest.raises(ValueError, match="`num_updates`.*got 0"):
        schedule.planned(0)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, float("nan"), True, "1"])
def test_share_is_checked(share):
    with pytest.raises(ValueError, match=f"`share`.*got .?{share}"):
        schedules.KLAnnealing(share=share)


def test_length_is_given_once():
    with pytest.raises(ValueError, match=r"`share` must be None.*share=0\.5"):
        schedules.JointAnnealing(num_steps=3, share=0.5)


@pytest.mark.parametrize("annealing", [None, "none"])
def test_no_annealing(annealing):
    schedule = schedules.get(annealing)
    np.testing.assert_array_equal(schedule.weights(3), [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(schedule.beta(3), 1.0)


def test_the_step_may_be_a_variable_in_compiled_code():
    step = keras.Variable(0, dtype="int64", trainable=False)
    schedule = schedules.JointAnnealing(num_steps=4, initial=0.5)
    beta = tf.function(lambda: schedule.beta(step.value), jit_compile=True)
    np.testing.assert_allclose(beta(), 0.5)
    step.assign(1)
    np.testing.assert_allclose(beta(), 0.75)


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.NoAnnealing(),
        schedules.JointAnnealing(num_steps=7),
        schedules.KLAnnealing(num_steps=np.int64(7), initial=0.5),
        schedules.KLAnnealing(initial=0.5, share=0.25),
    ],
    ids=repr,
)
def test_serialization(schedule):
    config = keras.saving.serialize_keras_object(schedule)
    again = keras.saving.deserialize_keras_object(config)
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert schedules.get(schedule) is schedule


def test_schedules_differ_by_class_and_arguments():
    joint = schedules.JointAnnealing(num_steps=7, initial=0.0)
    assert joint != schedules.JointAnnealing(num_steps=8, initial=0.0)
    assert joint != schedules.KLAnnealing(num_steps=7, initial=0.0)
    assert repr(joint) == "JointAnnealing(num_steps=7, initial=0.0)"


@pytest.mark.parametrize("annealing", ["linear", 3, ["kl"]])
def test_unknown_schedule_lists_the_known(annealing):
    with pytest.raises(
        ValueError,
        match=r"`annealing` must be one of none, joint, kl, or .*'auto'",
    ):
        schedules.get(annealing)


@pytest.mark.parametrize("num_steps", [0, -1, 1.5, True, "10"])
def test_number_of_steps_is_checked(num_steps):
    with pytest.raises(ValueError, match=f"`num_steps`.*got .?{num_steps}"):
        schedules.JointAnnealing(num_steps=num_steps)


@pytest.mark.parametrize("initial", [-0.1, 1.1, float("nan"), None, "0"])
def test_initial_factor_is_checked(initial):
    with pytest.raises(ValueError, match=f"`initial`.*got .?{initial}"):
        schedules.KLAnnealing(initial=initial)
