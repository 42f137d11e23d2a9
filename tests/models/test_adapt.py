"""Mean and scale of the training data: equal for all forms, in blocks."""

import re
import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.distributed import mirrored_strategy, on_two_cpus
from tfp_flows.models import FlowDensity
from tfp_flows.models.inputs import examples


class _Batches(keras.utils.PyDataset):
    """Of the arrays in a dict, `size` rows each; endless if so."""

    def __init__(self, parts, size, endless=False):
        super().__init__()
        self._parts, self._size, self._endless = parts, size, endless

    @property
    def num_batches(self):
        rows = len(self._parts["x"])
        return None if self._endless else -(-rows // self._size)

    def __getitem__(self, index):
        first = index * self._size
        rows = slice(first, first + self._size)
        return {name: part[rows] for name, part in self._parts.items()}


def _says(*words):
    return pytest.raises(ValueError, match=".*".join(map(re.escape, words)))


def _parts(rows=5000):
    rng = np.random.default_rng(0)
    return {
        "x": rng.integers(0, 8, size=[rows, 2]),
        "context": 1e5 + rng.normal(size=[rows, 3]),
    }


FORMS = {
    "tensors": lambda d: {n: tf.constant(x) for n, x in d.items()},
    "dataset": lambda d: tf.data.Dataset.from_tensor_slices(d).batch(61),
    "large batches": lambda d: tf.data.Dataset.from_tensor_slices(d).batch(
        4999
    ),
    "generator": lambda d: (
        {n: x[i : i + 501] for n, x in d.items()} for i in range(0, 5000, 501)
    ),
    "pydataset": lambda d: _Batches(d, 1003),
}


def test_all_forms_of_data_give_the_same_numbers():
    """Bitwise, and those of the data; with noise of dequantisation, too."""
    data = _parts()

    def moments(given):
        model = FlowDensity(num_levels=8, dtype="float64")
        model.adapt(given)
        layers = model._standardization, model._context_standardization
        return [weight for layer in layers for weight in layer.get_weights()]

    expected = moments(data)
    for form, make in FORMS.items():
        for found, value in zip(moments(make(data)), expected, strict=True):
            np.testing.assert_array_equal(found, value, err_msg=form)
    model = FlowDensity(dtype="float64")
    model.adapt({"x": data["context"], "context": data["context"]})
    for layer in (model._standardization, model._context_standardization):
        np.testing.assert_allclose(layer.mean, data["context"].mean(0), 1e-14)
        np.testing.assert_allclose(layer.scale, data["context"].std(0), 1e-9)


def test_a_data_set_is_never_held():
    block = np.random.default_rng(0).normal(size=[1000, 250])
    num_blocks = 40  # 80 MB

    def batches():
        for i in range(num_blocks):
            yield block + i

    data = tf.data.Dataset.from_generator(
        batches, output_signature=tf.TensorSpec([None, 250], tf.float64)
    )
    model = FlowDensity(dtype="float64")
    model.build((None, 250))
    tracemalloc.start()
    model.adapt(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6
    mean = block.mean(axis=0) + (num_blocks - 1) / 2
    np.testing.assert_allclose(model._standardization.mean, mean, rtol=1e-12)


@pytest.mark.parametrize("rows", [1, 5, 20])
@pytest.mark.parametrize("batch_size", [1, 3, 5, 20])
def test_blocks_cut_batches_anew(rows, batch_size):
    x = np.arange(20)[:, None]
    data = tf.data.Dataset.from_tensor_slices({"x": x}).batch(batch_size)
    found = [block["x"] for block in examples.blocks(data, rows)]
    assert [len(part) for part in found] == [rows] * (20 // rows)
    np.testing.assert_array_equal(np.concatenate(found), x)


def test_data_that_cannot_be_read_twice():
    """The first `fit` would train on what `adapt` left: on nothing."""
    x = np.random.default_rng(0).normal(size=[60, 2]).astype(np.float32)
    model = FlowDensity()
    model.compile("adam", run_eagerly=True)
    with _says("`x` must be data that can be read twice", "a generator"):
        model.fit(x[i : i + 20] for i in (0, 20, 40))
    with _says("`x` must be finite here", "endless", "call `adapt`"):
        model.fit(_Batches({"x": x}, 20, endless=True), steps_per_epoch=2)
    model.adapt(x)
    history = model.fit(
        (x[i : i + 20] for i in (0, 20, 40)), steps_per_epoch=3, verbose=0
    )
    assert len(history.history["log_likelihood"]) == 1


def _fit_distributed():
    strategy = mirrored_strategy()
    x = np.zeros([8, 2], np.float32)
    data = tf.data.Dataset.from_tensor_slices(x).batch(4)
    with strategy.scope():
        model = FlowDensity()
        model.compile("adam", jit_compile=False)
        try:
            model.fit(strategy.experimental_distribute_dataset(data))
        except ValueError as error:
            return str(error)
    return ""


@pytest.mark.distributed
def test_a_distributed_data_set_is_refused():
    message = on_two_cpus(_fit_distributed)
    assert "must not be distributed yet" in message
    assert "`adapt`" in message
