"""Shares of the global batch, on one device and on two logical CPUs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.distributed import mirrored_strategy, on_two_cpus
from tfp_flows.losses import (
    global_batch,
    global_sum,
    mean_over_global_batch,
)

NUM_EXAMPLES, BATCH_SIZE = 9, 4


def _data_set():
    x = np.arange(1.0, NUM_EXAMPLES + 1.0)[:, np.newaxis]
    return tf.data.Dataset.from_tensor_slices(x).batch(BATCH_SIZE)


def _weight():
    return keras.Variable([[0.5]], dtype="float64")


def _step(optimizer, weight):
    """One step of gradient descent on the mean of (w * x)**2."""

    def step(x):
        batch = global_batch(tf.shape(x)[0])
        with tf.GradientTape() as tape:
            squares = tf.reduce_sum(tf.square(x * weight), axis=-1)
            loss = mean_over_global_batch(squares, batch.size)
        optimizer.apply([tape.gradient(loss, weight.value)], [weight])
        return {
            "first_row": batch.first_row,
            "size": batch.size,
            "local_size": tf.shape(x)[0],
            "first_value": tf.reduce_sum(x[:1]),
            "loss": global_sum({"loss": [loss]})["loss"][0],
        }

    return step


def two_replicas():
    strategy = mirrored_strategy()
    with strategy.scope():
        weight = _weight()
        optimizer = keras.optimizers.SGD(1e-2)
        optimizer.build([weight])
        outside = [int(x) for x in global_batch(3)]
    step = _step(optimizer, weight)

    @tf.function
    def run(x):
        return strategy.run(step, args=(x,))

    data_set = strategy.experimental_distribute_dataset(_data_set())
    results = [
        {
            name: np.array(strategy.experimental_local_results(value))
            for name, value in run(x).items()
        }
        for x in data_set
    ]
    return {"steps": results, "weight": weight.numpy(), "outside": outside}


def one_device():
    weight = _weight()
    optimizer = keras.optimizers.SGD(1e-2)
    optimizer.build([weight])
    step = _step(optimizer, weight)
    losses = [float(step(x)["loss"]) for x in _data_set()]
    return losses, weight.numpy()


@pytest.fixture(scope="module")
def replicas():
    return on_two_cpus(two_replicas)


@pytest.mark.distributed
def test_replicas_know_their_rows_and_the_global_size(replicas):
    steps = replicas["steps"]
    shares = [step["local_size"].tolist() for step in steps]
    assert shares == [[2, 2], [2, 2], [1, 0]]
    assert [s["first_row"].tolist() for s in steps] == [[0, 2], [0, 2], [0, 1]]
    assert [s["size"].tolist() for s in steps] == [[4, 4], [4, 4], [1, 1]]
    # The rows are those of the examples themselves.
    first_values = [step["first_value"].tolist() for step in steps]
    assert first_values == [[1.0, 3.0], [5.0, 7.0], [9.0, 0.0]]


@pytest.mark.distributed
def test_two_replicas_train_like_one_device(replicas):
    losses, weight = one_device()
    for loss, step in zip(losses, replicas["steps"], strict=True):
        np.testing.assert_allclose(step["loss"], [loss, loss], rtol=1e-14)
    np.testing.assert_allclose(replicas["weight"], weight, rtol=1e-14)
    assert abs(weight[0, 0] - 0.5) > 0.1


@pytest.mark.distributed
def test_outside_of_run_there_is_one_replica(replicas):
    assert replicas["outside"] == [0, 3]


def _raises():
    raise ZeroDivisionError("of the other process")


@pytest.mark.distributed
def test_errors_of_the_other_process_come_here():
    with pytest.raises(ZeroDivisionError, match="of the other process"):
        on_two_cpus(_raises)


def test_without_a_strategy_there_is_one_replica():
    batch = global_batch(5)
    assert [int(x) for x in batch] == [0, 5]
    assert batch.size.dtype == tf.int32
    tensors = {"a": [tf.constant(1.0)]}
    assert global_sum(tensors) is tensors


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_mean_over_the_global_batch(dtype):
    mean = mean_over_global_batch(tf.constant([1.0, 2.0], dtype), 4)
    assert mean.dtype == dtype
    np.testing.assert_allclose(mean, 0.75)
    for size in (0, 4):
        empty = mean_over_global_batch(tf.zeros([0], dtype), size)
        np.testing.assert_array_equal(empty, 0.0)
