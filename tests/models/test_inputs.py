"""Whatever a user passes becomes checked images, or one clear error."""

import math
import pickle
import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn import datasets

from tests.distributed import mirrored_strategy, on_two_cpus
from tests.models.digits import compiled as compiled_digits
from tfp_flows.models.checked_model import count_non_binary
from tfp_flows.models.inputs import prepare as inputs
from tfp_flows.models.inputs.images import (
    InputRules,
    infer_event_shape,
    look,
    to_event_shape,
)
from tfp_flows.models.inputs.prepare import readable_errors
from tfp_flows.models.once_warnings import OnceWarnings

BINARY = InputRules((8, 8, 1), "binary", "float32", "bernoulli")
UNIT = BINARY._replace(support="unit_interval", likelihood="logit_normal")
REAL = BINARY._replace(support="real", likelihood="gaussian")
FLAT = UNIT._replace(event_shape=(64,))


def prepare(data, rules, **kwargs):
    """As a model does it."""
    rules = rules._replace(once=rules.once or OnceWarnings())
    return inputs.prepare(data, *look(data, rules), **kwargs)


@pytest.fixture(scope="module")
def digits():
    """The first 50 digits, `[50, 8, 8]` in [0, 1]."""
    return (datasets.load_digits().images[:50] / 16).astype(np.float32)


def _dataset(x, batch_size=10):
    return tf.data.Dataset.from_tensor_slices(x).batch(batch_size)


class _PyDataset(keras.utils.PyDataset):
    def __init__(self, batches, **kwargs):
        super().__init__(**kwargs)
        self.batches = batches
        self.epochs = [0, 0]

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]

    def on_epoch_begin(self):
        self.epochs[0] += 1

    def on_epoch_end(self):
        self.epochs[1] += 1


def _read(data):
    """All images of what `prepare` returned."""
    batches = [b[0] if isinstance(b, tuple) else b for b in data]
    return np.concatenate([np.asarray(b) for b in batches])


def _says(text):
    return pytest.raises(ValueError, match="^" + re.escape(text))


# Shapes.


@pytest.mark.parametrize("event_shape", [(8, 8), (8, 8, 1), (64,)])
def test_shapes_are_interchangeable(digits, event_shape):
    rules = UNIT._replace(event_shape=event_shape)
    expected = digits.reshape([50, *event_shape])
    for shape in ((8, 8), (8, 8, 1), (64,), (1, 8, 8)):
        x = digits.reshape([50, *shape])
        np.testing.assert_array_equal(prepare(x, rules), expected)
        prepared = prepare(_dataset(x), rules)
        assert prepared.element_spec.shape.as_list() == [None, *event_shape]
        np.testing.assert_array_equal(_read(prepared), expected)
        y = to_event_shape(x, event_shape)
        np.testing.assert_array_equal(y, expected)


def test_wrong_shape():
    for shape in ((4, 16), (8, 8, 2), (63,), (2, 4, 8)):
        x = np.zeros([10, *shape], np.float32)
        message = (
            "`x` must hold images of shape (8, 8, 1), (8, 8) or (64,); got "
            f"{shape}."
        )
        with _says(message):
            prepare(x, UNIT)
        with _says(message):
            prepare(_dataset(x), UNIT)
        with _says(message):
            to_event_shape(x, (8, 8, 1))


def test_rule_lists_the_shapes_that_are_taken():
    x = np.zeros([2, 3], np.float32)
    for event_shape, text in {
        (8, 8): "(8, 8), (8, 8, 1) or (64,);",
        (64,): "(64,), or of any shape with 64 elements;",
        (5, 1): "(5, 1), or (5,);",
    }.items():
        with _says(f"`x` must hold images of shape {text}"):
            to_event_shape(x, event_shape)


@pytest.mark.parametrize("shape", [(8, 8, 1), (64,)])
def test_missing_batch_axis(shape):
    x = np.zeros(shape, np.float32)
    with _says(
        f"`images` must have a batch axis; got a single image of shape {shape}:"
        " for one image pass `images[None]`."
    ):
        prepare(x, UNIT._replace(argument="images"))
    dataset = tf.data.Dataset.from_tensors(x)
    with _says(
        f"`x` must have a batch axis; got a single image of shape {shape}: call"
        " `.batch(batch_size)` on the data set."
    ):
        prepare(dataset, UNIT)


def test_to_event_shape_in_a_compiled_step():
    @tf.function(jit_compile=True, input_signature=[tf.TensorSpec([None, 64])])
    def f(x):
        y = to_event_shape(x, (8, 8))
        assert y.shape.as_list() == [None, 8, 8]
        return y

    x = np.arange(2 * 64, dtype=np.float32).reshape([2, 64])
    np.testing.assert_array_equal(f(x), x.reshape([2, 8, 8]))
    assert f(x[:0]).shape == (0, 8, 8)


@pytest.mark.parametrize("signature", [None, [None, None], [None, None, None]])
def test_shapes_known_only_when_read(digits, signature):
    good, bad = digits[:10], np.zeros([10, 4, 16], np.float32)
    if signature == [None, None]:
        good, bad = good.reshape([10, 64]), bad.reshape([10, 64])[:, 1:]

    def dataset(*batches):
        return tf.data.Dataset.from_generator(
            lambda: iter(batches),
            output_signature=tf.TensorSpec(signature, tf.float32),
        )

    prepared = prepare(dataset(good), UNIT)
    assert prepared.element_spec.shape[1:] == (8, 8, 1)
    np.testing.assert_array_equal(_read(prepared), digits[:10, ..., None])
    prepared = prepare(dataset(good, bad), UNIT)
    with (
        _says(
            "`x` must hold images of shape (8, 8, 1), (8, 8) or (64,); got "
            f"({', '.join(map(str, bad.shape[1:]))})."
        ),
        readable_errors(),
    ):
        _read(prepared)
    rules = UNIT._replace(event_shape=())
    with _says("`x` must hold images of a known shape; got shape"):
        prepare(dataset(good), rules)


def test_first_data_decide_the_shape(digits):
    rules = UNIT._replace(event_shape=())
    assert prepare(digits, rules).shape == (50, 8, 8)
    for data in (
        digits,
        digits.tolist(),
        (digits, np.zeros(50)),
        {"image": digits},
        _dataset((digits, np.zeros(50))),
        _PyDataset([[digits[:5]]]),
    ):
        assert infer_event_shape(data) == (8, 8)
    prepared = prepare(_dataset(digits), rules)
    assert infer_event_shape(prepared) == (8, 8)
    with _says("`x` must have a batch axis before those of an image; got"):
        infer_event_shape(digits[0, 0])
    with _says(
        "`x` must have a batch axis before those of an image; got shape "
        "(50,): for one image pass `x[None]`, and no labels for images."
    ):
        infer_event_shape(np.zeros(50, int))
    with _says("`x` must have a known shape; got a generator"):
        infer_event_shape(x for x in [digits])


# Kinds of data.


def test_array_of_the_right_kind_is_not_copied(digits):
    assert np.shares_memory(prepare(digits, UNIT), digits)


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        lambda x: x.tolist(),
        lambda x: x.astype(np.float64),
        lambda x: x[::-1][::-1].transpose(2, 1, 0).copy().transpose(2, 1, 0),
    ],
)
def test_numpy_and_lists(digits, convert):
    x = prepare(convert(digits), UNIT)
    assert isinstance(x, np.ndarray)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, digits[..., None])


@pytest.mark.parametrize("convert", [tf.constant, tf.Variable])
def test_tensors_stay_tensors(digits, convert):
    x = prepare(convert(digits), UNIT._replace(dtype="float64"))
    assert isinstance(x, tf.Tensor)
    assert x.dtype == tf.float64
    np.testing.assert_array_equal(x, digits[..., None])


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16, tf.float64])
def test_other_floats(digits, dtype):
    x = tf.cast(digits, dtype)
    expected = tf.cast(x, tf.float32).numpy()[..., None]
    for array in (x, x.numpy()):
        np.testing.assert_array_equal(prepare(array, UNIT), expected)
    prepared = prepare(_dataset(x), UNIT)
    np.testing.assert_array_equal(_read(prepared), expected)


ELEMENTS = {
    "x": lambda x, y: x,
    "(x,)": lambda x, y: (x,),
    "one entry": lambda x, y: {"pixels": x},
    "image": lambda x, y: {"image": x},
    "(image,)": lambda x, y: ({"image": x},),
    "(x, y)": lambda x, y: (x, y),
    "image, label": lambda x, y: {"image": x, "label": y},
    "(image, y)": lambda x, y: ({"image": x}, y),
}


@pytest.mark.parametrize("kind", ["array", "dataset", "pydataset", "generator"])
def test_elements(digits, kind):
    y = np.arange(50)

    def prepared_from(element, once):
        batches = [element(digits[i : i + 10], y[i : i + 10]) for i in (0, 10)]
        data = {
            "array": element(digits[:20], y[:20]),
            "dataset": _dataset(element(digits[:20], y[:20])),
            "pydataset": _PyDataset(batches),
            "generator": (batch for batch in batches),
        }[kind]
        prepared = prepare(data, UNIT._replace(once=once))
        return prepared if kind == "array" else _read(prepared)

    for name, element in ELEMENTS.items():
        once = OnceWarnings()
        if "label" in name or "y)" in name:
            with pytest.warns(UserWarning, match="^Labels are ign") as caught:
                prepared = prepared_from(element, once)
            assert len(caught) == 1, name
        if name not in ("image, label", "(image, y)"):
            prepared = prepared_from(element, once)  # without a warning
        np.testing.assert_array_equal(prepared, digits[:20, ..., None])


@pytest.mark.parametrize(
    ("element", "message"),
    [
        (lambda x: (x, x, x), "`x` must hold x, (x,) or (x, y); got (x, y, sa"),
        (lambda x: (x,) * 4, "`x` must hold x, (x,) or (x, y); got a tuple"),
        (
            lambda x: {"a": x, "b": x},
            "`x` must be images, or a dict with the key 'image' or with one "
            "entry; got a dict with 'a', 'b'.",
        ),
        (lambda x: ((x, x), x), "`x` must hold one array of images; got a nes"),
    ],
)
def test_wrong_elements(digits, element, message):
    x = digits[:5]
    for data in (element(x), _dataset(element(x))):
        with _says(message):
            prepare(data, UNIT)
    for data in (_PyDataset([element(x)]), (e for e in [element(x)])):
        with _says(message), readable_errors():
            _read(prepare(data, UNIT))


def test_absent_weights_are_no_weights(digits):
    dataset = _dataset(digits).map(lambda x: (x, None, None))
    for data in ((digits, None, None), dataset):
        prepare(data, UNIT)


@pytest.mark.parametrize("use", ["fit", "evaluate", "train_on_batch"])
def test_targets(digits, use):
    model = compiled_digits(run_eagerly=True)
    x, quiet = (digits > 0.5).astype(np.float32), {}
    if use != "train_on_batch":
        quiet["verbose"] = 0
    take = getattr(model, use)
    with pytest.warns(UserWarning, match="^Labels are ignored"):
        take(x, np.ones(50), **quiet)
    take(x, np.ones(50), **quiet)
    with _says("`sample_weight` must be None, as labels and weights of"):
        take(x, sample_weight=np.ones(50), **quiet)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ("digits", "`x` must be an array, a tensor, a list of numbers, a tf."),
        ({1, 2}, "`x` must be an array, a tensor, a list of numbers, a tf."),
        (None, "`x` must be an array, a tensor, a list of numbers, a tf."),
        ([[0.0], [1.0, 0.0]], "`x` must be one array of images; got list"),
        (["a"], "`x` must be floating point in [0, 1]; got dtype str"),
        (np.array([None]), "`x` must be floating point in [0, 1]; got dtype o"),
        (np.ones([2, 64], complex), "`x` must be floating point in [0, 1]; go"),
        (np.ones([0, 8, 8]), "`x` must hold at least one image; got shape (0"),
        (0.5, "`x` must be an array"),
    ],
)
def test_what_is_no_image(x, message):
    with _says(message):
        prepare(x, UNIT)


def test_nothing_to_read(digits):
    message = "`x` must hold at least one batch; got none."
    for data in (
        _dataset(digits).take(0),
        _PyDataset([]),
        (x for x in []),
    ):
        with _says(message):
            prepare(data, UNIT)


def test_no_dense_tensor():
    ragged = tf.data.Dataset.from_tensors(tf.ragged.constant([[0.0], []]))
    with _says("`x` must hold dense tensors; got RaggedTensorSpec"):
        prepare(ragged, UNIT)
    with _says("`x` must be"):
        prepare(tf.ragged.constant([[0.0], []]), UNIT)


def test_symbolic_tensor():
    @tf.function
    def f(x):
        return prepare(x, UNIT)

    with pytest.raises(ValueError, match="symbolic"):
        f(tf.zeros([2, 64]))


# Dtypes of integers.


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_eight_bit_images(dtype):
    x = np.ones([10, 64], dtype)
    fix = "dataset.map(lambda x: tf.cast(x, tf.float32) / 255)"
    dataset = _dataset(x)
    fixed = eval(fix, {"tf": tf, "dataset": dataset})
    for rules in (BINARY, UNIT, REAL):
        interval = "" if rules is REAL else " in [0, 1]"
        start = f"`x` must be floating point{interval}; got {x.dtype}: scale "
        with _says(f"{start}with `x / 255`, or"):
            prepare(x, rules)
        with _says(f"{start}with `x / 255`, or"), readable_errors():
            _read(prepare(_PyDataset([x]), rules))
        with _says(f"{start}with `{fix}`, or"):
            prepare(dataset, rules)
        np.testing.assert_allclose(_read(prepare(fixed, rules)), 1 / 255)


def test_integers_of_zero_and_one():
    for dtype in (np.int32, np.int64, np.uint16, bool):
        x = (np.arange(128) % 2).astype(dtype).reshape([2, 64])
        for rules in (BINARY, UNIT, REAL):
            checked = prepare(x, rules)
            assert checked.dtype == np.float32
            np.testing.assert_array_equal(checked.reshape([2, 64]), x)


def test_other_integers():
    x = np.arange(128).reshape([2, 64])
    message = "`x` must be floating point in [0, 1]; got int64"
    for rules in (BINARY, UNIT):
        for array in (x, tf.constant(x), x.tolist()):
            with _says(f"{message} with values from 0 to 127: scale with `x /"):
                prepare(array, rules)
        with _says(f"{message}: scale with `dataset.map("):
            prepare(_dataset(x), rules)
    prepare(x, REAL)
    np.testing.assert_array_equal(
        _read(prepare(_dataset(x), REAL)).reshape([2, 64]), x
    )


# Values.


def _spoiled(digits, value, example=33):
    x = digits.copy()
    x[example, 3, 4] = value
    return x


def _kinds(x):
    """The same images as data of every kind that is read in batches of 10."""
    batches = np.split(x, len(x) // 10)
    return {
        "dataset": lambda: _dataset(x),
        "pydataset": lambda: _PyDataset(batches),
        "generator": lambda: (batch for batch in batches),
    }


@pytest.mark.parametrize("rules", [BINARY, UNIT, REAL])
def test_values_that_are_not_finite(digits, rules):
    message = "`x` must be finite in float32; got {} in example {} (counted fro"
    for value, name in ((np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "inf")):
        x = _spoiled(digits, value)
        for array in (x, tf.constant(x), x.astype(np.float64)):
            with _says(message.format(name, "33")):
                prepare(array, rules)
        if value == -np.inf and rules is not UNIT:
            continue
        for data in _kinds(x).values():
            with (
                _says(message.format(name, "3 of batch 3")),
                readable_errors(),
            ):
                _read(prepare(data(), rules))


def test_overflow_in_the_cast(digits):
    x = _spoiled(digits.astype(np.float64), 1e300)
    with _says("`x` must be finite in float32; got inf in example 33 "):
        prepare(x, REAL)


@pytest.mark.parametrize("rules", [BINARY, UNIT])
def test_values_out_of_range(digits, rules):
    for value, low, high in ((-0.5, "-0.5", "1"), (2.25, "0", "2.25")):
        x = _spoiled(digits, value)
        message = (
            f"`x` must be in [0, 1] for the likelihood {rules.likelihood}; got "
            f"values from {low} to {high}, first in example %s (counted from "
            "0). Scale pixels of 0 to 255 with `x / 255`."
        )
        with _says(message % "33"):
            prepare(x, rules)
        for data in _kinds(x).values():
            with _says(message % "3 of batch 3"), readable_errors():
                _read(prepare(data(), rules))
        np.testing.assert_array_equal(prepare(x, REAL), x[..., None])


@pytest.mark.parametrize("rules", [BINARY, UNIT])
def test_values_beyond_the_range_by_rounding_are_clipped(digits, rules):
    digits = np.round(digits)
    one_above = np.nextafter(np.float32(1), np.float32(2))
    x = _spoiled(_spoiled(digits, one_above), np.float32(-1e-7), 34)
    expected = np.clip(x, 0, 1)[..., None]
    assert expected[33, 3, 4] == 1.0
    before = x.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # they are binary
        for array in (x, tf.constant(x), x.astype(np.float64)):
            checked = prepare(array, rules)
            np.testing.assert_array_equal(checked, expected)
        for data in _kinds(x).values():
            checked = _read(prepare(data(), rules))
            np.testing.assert_array_equal(checked, expected)
    np.testing.assert_array_equal(x, before)
    # Further off is refused, with the digits that say so.
    x = _spoiled(digits, np.float32(1.00001))
    for data in [lambda: x, *_kinds(x).values()]:
        with (
            pytest.raises(ValueError, match=r"from 0 to 1\.00001001, first"),
            readable_errors(),
        ):
            _read(prepare(data(), rules))


def test_every_chunk_of_an_array_is_checked(monkeypatch):
    for rows in (1, 2, 7):
        monkeypatch.setattr(
            "tfp_flows.models.inputs.prepare._CHUNK_BYTES", rows * 64 * 4
        )
        for example in range(10):
            x = np.zeros([10, 64], np.float32)
            x[example, -1] = np.nan
            message = "`x` must be finite in float32; got NaN in example"
            with _says(f"{message} {example} "):
                prepare(x, REAL)
            x[example, -1] = 0.5
            with pytest.warns(UserWarning, match="other than 0 and 1"):
                prepare(x, BINARY)


def test_non_binary_values_are_said_once(digits):
    once = OnceWarnings()
    binary = np.round(digits)
    prepare(binary, BINARY._replace(once=once))
    with pytest.warns(UserWarning, match="^The likelihood bernoulli") as caught:
        prepare(digits, BINARY._replace(once=once))
    prepare(digits, BINARY._replace(once=once))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    text = str(caught[0].message)
    assert "is then no log-likelihood of binary images" in text
    # The map of the message is code that works, in each dtype.
    for dtype in ("float32", "float64"):
        dataset = _dataset(digits.astype(dtype)).repeat(20)
        fix = re.search(r"`(dataset\.map.*)`", text).group(1)
        drawn = _read(eval(fix, {"tf": tf, "dataset": dataset}))
        assert set(np.unique(drawn)) == {0, 1}
        assert drawn.dtype == dtype
        assert abs(drawn.mean() - digits.mean()) < 0.01


def test_count_non_binary(digits):
    expected = ((digits != 0) & (digits != 1)).sum()
    for jit_compile in (False, True):
        count = tf.function(count_non_binary, jit_compile=jit_compile)
        assert count(digits) == expected
        assert count(np.round(digits)) == 0


# Data sets.


def test_cardinality_order_and_options_are_kept(digits):
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = 2
    dataset = _dataset((digits, np.zeros(50))).with_options(options)
    with pytest.warns(UserWarning, match="Labels"):
        prepared = prepare(dataset, FLAT)
    assert prepared.cardinality() == 5
    assert prepared.options().deterministic is True
    assert prepared.options().threading.private_threadpool_size == 2
    for _ in range(2):
        np.testing.assert_array_equal(_read(prepared), digits.reshape([50, 64]))
    static = _dataset(digits).unbatch().batch(7, drop_remainder=True)
    prepared = prepare(static, FLAT)
    assert prepared.element_spec.shape.as_list() == [7, 64]
    infinite = prepare(_dataset(digits).repeat(), FLAT)
    assert infinite.cardinality() == tf.data.INFINITE_CARDINALITY
    parts = _read(prepared.shard(2, 1))
    np.testing.assert_array_equal(parts[:7], digits[7:14].reshape([7, 64]))


@pytest.mark.parametrize("number_batches", [True, False])
def test_iterators_are_checkpointed(digits, tmp_path, number_batches):
    prepared = prepare(
        _dataset(_spoiled(digits, 2.0, 47)),
        FLAT,
        number_batches=number_batches,
    )
    iterator = iter(prepared)
    next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "it"))
    resumed = iter(prepared)
    tf.train.Checkpoint(iterator=resumed).read(path).assert_consumed()
    np.testing.assert_array_equal(
        next(resumed), digits[10:20].reshape([10, 64])
    )
    where = "example 7 of batch 4" if number_batches else "example 7"
    with (
        pytest.raises(ValueError, match=rf"first in {where} \(counted from 0"),
        readable_errors(),
    ):
        _read(resumed)


def test_sharding_by_files_is_left_alone(digits):
    options = tf.data.Options()
    policy = tf.data.experimental.AutoShardPolicy.FILE
    options.experimental_distribute.auto_shard_policy = policy
    elements = {"image": _spoiled(digits, np.nan), "id": np.arange(50)}
    with pytest.warns(UserWarning, match="Labels"):
        prepared = prepare(_dataset(elements).with_options(options), FLAT)
    assert (
        prepared.options().experimental_distribute.auto_shard_policy == policy
    )
    first = next(iter(prepared))
    np.testing.assert_array_equal(first, digits[:10].reshape([10, 64]))
    # What counts batches cannot be sharded by files.
    with (
        _says("`x` must be finite in float32; got NaN in example 3 (counted "),
        readable_errors(),
    ):
        _read(prepared)


def test_generator_goes_on_where_it_was_left(digits):
    batches = np.split(digits.reshape([50, 64]), 5)
    prepared = prepare((x for x in batches), FLAT)
    np.testing.assert_array_equal(next(iter(prepared)), batches[0])
    # TensorFlow may have fetched some batches ahead.
    rest = _read(prepared)
    np.testing.assert_array_equal(rest, np.concatenate(batches)[-len(rest) :])


def test_distributed_dataset_passes(digits):
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    spoiled = strategy.experimental_distribute_dataset(
        _dataset((_spoiled(digits, np.nan), np.zeros(50)))
    )
    with pytest.warns(UserWarning, match="Labels"):
        assert prepare(spoiled, FLAT) is spoiled
    assert infer_event_shape(spoiled) == (8, 8)
    wrong = strategy.experimental_distribute_dataset(
        _dataset(np.zeros([10, 4, 16], np.float32))
    )
    with _says("`x` must hold images of shape (8, 8, 1), (8, 8) or (64,); got"):
        prepare(wrong, UNIT)


def _on_two_replicas():
    strategy = mirrored_strategy()
    x = np.full([10, 8, 8], 0.5, np.float32)
    spoiled = np.stack([*x[:7], x[7] * np.nan, *x[8:]])
    distributed = strategy.experimental_distribute_dataset(_dataset((x, x)))
    events, errors = infer_event_shape(distributed), []
    for rules in (UNIT, UNIT._replace(event_shape=(63,))):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert prepare(distributed, rules) is distributed
        except ValueError as error:
            errors.append(str(error))
    prepared = prepare(_dataset(spoiled), UNIT)
    try:
        with readable_errors():
            list(strategy.experimental_distribute_dataset(prepared))
    except ValueError as error:
        errors.append(str(error))
    return events, errors


@pytest.mark.distributed
def test_two_replicas():
    events, errors = on_two_cpus(_on_two_replicas)
    assert events == (8, 8)
    assert errors == [
        "`x` must hold images of shape (63,), or of any shape with 63 elements;"
        " got (8, 8).",
        "`x` must be finite in float32; got NaN in example 7 of batch 0 "
        "(counted from 0).",
    ]


# Keras.


class Autoencoder(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(4, "relu")
        self.output_layer = keras.layers.Dense(64)

    def call(self, x):
        return self.output_layer(self.hidden(x))

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        return tf.reduce_mean(tf.square(x - y_pred))


def _fit(data, **compiled):
    model = Autoencoder()
    model.compile("sgd", **compiled)
    with readable_errors():
        return model.fit(data, shuffle=False, verbose=0)


@pytest.mark.parametrize(
    "compiled",
    [
        {"jit_compile": False},
        {"jit_compile": True},
        {"jit_compile": False, "steps_per_execution": 4},
        {"run_eagerly": True},
    ],
)
def test_fit_stops_with_one_clear_error(digits, compiled):
    rules = FLAT._replace(event_shape=(64,))
    for kind, data in _kinds(_spoiled(digits, np.nan)).items():
        if kind != "dataset" and compiled != {"jit_compile": False}:
            continue
        prepared = prepare(data(), rules)
        with pytest.raises(ValueError, match="^`x` must be finite") as caught:
            _fit(prepared, **compiled)
        assert str(caught.value) == (
            "`x` must be finite in float32; got NaN in example 3 of batch 3 "
            "(counted from 0)."
        )
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_py_dataset_keeps_its_workers_and_epochs(digits):
    batches = [(x,) for x in np.split(digits, 5)]
    dataset = _PyDataset(batches, workers=2, max_queue_size=3)
    prepared = prepare(dataset, FLAT)
    assert len(prepared) == prepared.num_batches == 5
    assert prepared.workers == 2
    assert prepared.max_queue_size == 3
    assert prepared.use_multiprocessing is False
    history = _fit(prepared)
    assert math.isfinite(history.history["loss"][0])
    assert dataset.epochs[0] == 1
    assert dataset.epochs[1] >= 1
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(prepared))[1][0],
        digits[10:20].reshape([10, 64]),
    )


def test_py_dataset_without_end(digits):
    class Endless(keras.utils.PyDataset):
        @property
        def num_batches(self):
            return None

        def __getitem__(self, index):
            return digits[index % 5 * 10 :][:10]

    prepared = prepare(Endless(), FLAT)
    assert prepared.num_batches is None
    np.testing.assert_array_equal(
        prepared[7][0], digits[20:30].reshape([10, 64])
    )


def test_other_errors_pass():
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="incompatible"),
        readable_errors(),
    ):
        tf.zeros([2, 3]) @ tf.zeros([2, 3])
    with pytest.raises(ValueError, match="^mine$"), readable_errors():
        raise ValueError("mine")
