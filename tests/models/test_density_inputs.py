"""FlowDensity: one clear error for each misuse, whatever the form of data."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models.densities import noisy_pairs, says
from tfp_flows.layers import FlowLayer, MAFFlow, PlanarFlow
from tfp_flows.layers.parameter_head import ParameterSpec
from tfp_flows.models import FlowDensity
from tfp_flows.posteriors import CIFPosterior

tfb = tfp.bijectors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"support": "half"}, ["`support` must be one of real", "'half'"]),
        ({"support": ["real"]}, ["`support`", "each of the 2", "got 1"]),
        ({"num_components": 0}, ["`num_components`", "0"]),
        ({"num_levels": 0}, ["`num_levels`", "0"]),
        ({"noise_scale": -1.0}, ["`noise_scale`", "not negative", "-1"]),
        ({"base": "cauchy"}, ["`base` must be one of", "'cauchy'"]),
        ({"inverted": "yes"}, ["`inverted`", "'yes'"]),
        ({"event_shape": (0,)}, ["`event_shape`", "(0,)"]),
        ({"dtype": "float16"}, ["`dtype`", "float16"]),
        ({"encoder": keras.layers.Reshape((3, 1))}, ["an encoder", "got"]),
    ],
)
def test_bad_arguments(arguments, words):
    with says(*words):
        FlowDensity(**arguments).build((None, 2))


@pytest.mark.parametrize(
    "flow",
    [
        CIFPosterior(2, PlanarFlow(1), auxiliary_size=1),
        MAFFlow,
        "maf",
        [tfb.Exp()],
    ],
)
def test_other_than_flow_layers_is_refused(flow):
    with pytest.raises(TypeError, match="`flow` must be a flow layer"):
        FlowDensity(flow)


def test_encoders_must_return_features():
    with pytest.raises(TypeError, match="`encoder` must be a Keras layer"):
        FlowDensity(encoder=lambda c: c)
    model = FlowDensity(encoder=keras.layers.Reshape((3, 1)))
    with says("`encoder` must return features", "(None, 3, 1) for inputs"):
        model.build({"x": (None, 2), "context": (None, 3)})


class _OneWay(tfb.Bijector):
    """A shift without a way back."""

    def __init__(self, shift, name="one_way"):
        parameters = dict(locals())
        self.shift = shift
        super().__init__(
            forward_min_event_ndims=1,
            dtype=shift.dtype,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype):
        return {"shift": tfp.util.ParameterProperties(event_ndims=1)}

    def _forward(self, x):
        return x + self.shift

    def _forward_log_det_jacobian(self, x):
        return tf.zeros([], x.dtype)


class _OneWayFlow(FlowLayer):
    def _parameter_specs(self, event_size):
        zeros = keras.initializers.Zeros()
        return {"shift": ParameterSpec((event_size,), zeros, zeros)}

    def _steps(self, shift):
        return _OneWay(shift)


@pytest.mark.parametrize("context_shape", [None, (None, 3)])
def test_a_flow_without_the_direction_of_densities(context_shape):
    """It is refused before any training; one without samples has densities."""
    shape = (None, 2)
    if context_shape is not None:
        shape = {"x": shape, "context": context_shape}
    flows = [PlanarFlow(1), _OneWayFlow(2)]
    with says("direction of densities", "`_OneWayFlow` as flow 1", "inverse"):
        FlowDensity(flows, inverted=False).build(shape)
    with says("whose forward map is missing", "`inverted=False`"):
        FlowDensity(_OneWayFlow(2, inverted=True), inverted=True).build(shape)
    model = FlowDensity(_OneWayFlow(2))
    model.build(shape)
    pairs = noisy_pairs(5)
    context = None if context_shape is None else pairs["context"]
    assert np.all(np.isfinite(model.log_prob(pairs["x"], context)))
    with pytest.raises(NotImplementedError, match="^`sample` must have flows"):
        model.sample(3, context)


def _model(conditional=False, **kwargs):
    model = FlowDensity(base="full", **kwargs)
    shape = (None, 2)
    model.build({"x": shape, "context": (None, 3)} if conditional else shape)
    model.compile(jit_compile=False)
    return model


def _with(value, row, x):
    x = x.copy()
    x[row, -1] = value
    return x


X, CONTEXT = noisy_pairs(10).values()
PAIRS = {"x": X, "context": CONTEXT}
PLAIN = {
    "nan": (_with(np.nan, 3, X), ["`x` must be finite", "NaN in example 3"]),
    "inf": (_with(np.inf, 9, X), ["`x` must be finite", "inf in example 9"]),
    "another size": (
        CONTEXT,
        ["`x` must hold examples of shape (2,)", "(3,)"],
    ),
    "context": (PAIRS, ["must hold no 'context'"]),
    "other keys": ({"y": X}, ["got a dict with 'y'"]),
    "bytes": (
        X.astype(np.uint8),
        ["got uint8", "`num_levels`, L, if they are whole numbers"],
    ),
    "words": (np.array([["a", "b"]]), ["`x`", "floating point"]),
}
CONDITIONAL = {
    "no context": (X, ["'x' and 'context'", "conditional", "no context"]),
    "nan": (
        {"x": X, "context": _with(np.nan, 2, CONTEXT)},
        ["`context` must be finite", "NaN in example 2"],
    ),
    "another size": (
        {"x": X, "context": X},
        ["`context` must hold contexts of shape (3,)", "(2,)"],
    ),
}
SHORT = {"x": X, "context": CONTEXT[:9]}
ONE = {"x": X, "context": CONTEXT[:1]}


def _dataset(data):
    if isinstance(data, dict):
        signature = {
            name: tf.TensorSpec([None, *part.shape[1:]], part.dtype)
            for name, part in data.items()
        }
    else:
        signature = tf.TensorSpec([None, *data.shape[1:]], data.dtype)
    return tf.data.Dataset.from_generator(
        lambda: iter([data]), output_signature=signature
    )


def _uses(model, data, as_dataset=True):
    """Each way in which a model takes data."""
    yield lambda: model.fit(data)
    yield lambda: model.evaluate(data)
    yield lambda: model.predict(data)
    yield lambda: model.log_prob(data)
    yield lambda: model.adapt(data)
    yield lambda: model.train_on_batch(data)
    yield lambda: model.fit(
        PAIRS if model.conditional else X, validation_data=data
    )
    if as_dataset:
        yield lambda: model.adapt(_dataset(data))
        yield lambda: model.log_prob(_dataset(data))


@pytest.mark.parametrize("name", PLAIN)
def test_bad_data(name):
    data, words = PLAIN[name]
    model = _model()
    for use in _uses(model, data, as_dataset=name != "words"):
        with pytest.raises(ValueError) as error:  # noqa: PT011
            use()
        _has_words(error, words)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_bad_conditional_data(name):
    data, words = CONDITIONAL[name]
    model = _model(conditional=True)
    for use in _uses(model, data):
        with pytest.raises(ValueError) as error:  # noqa: PT011
            use()
        _has_words(error, words)


@pytest.mark.parametrize("data", [SHORT, ONE], ids=["short", "one"])
def test_contexts_of_another_batch(data):
    """One context would be broadcast without a word."""
    model = _model(conditional=True)
    rows = len(data["context"])
    words = ["one context for each example", f"10 examples and {rows}"]
    for use in (*_uses(model, data), lambda: model(data)):
        with pytest.raises(ValueError) as error:  # noqa: PT011
            use()
        _has_words(error, words)


def _has_words(error, words):
    message = str(error.value).partition(" of batch 0")
    message = (message[0] + message[2]).replace("validation_data", "x")
    for word in words:
        assert word in message


def test_contexts_beside_the_data():
    model = _model(conditional=True)
    for use in (model.fit, model.evaluate):
        with says("`context` must come with the data", "got ndarray"):
            use(X, context=np.zeros([len(X), 1], np.float32))


def test_data_outside_of_the_support():
    """The first of them is named, with its value."""
    model = _model(support=["positive", "unit_interval"])
    x = np.abs(X)
    x[:, 1] = 0.5
    for value in (1.0, -0.5, 1.5):
        with says("`x` must lie in the support", f"{value:g}] in example 4"):
            model.fit(_with(value, 4, x))
        with says("the support", "in example 4 of batch 0"):
            model.evaluate(_dataset(_with(value, 4, x)), verbose=0)
    with says("the support", "in example 0"):
        model.log_prob(-x)
    parts = np.full([5, 3], 1 / 3, np.float32)
    simplex = FlowDensity(base="full", support="simplex")
    with says("`x` must lie in the support", "simplex", "example 2"):
        simplex.adapt(_with(0.5, 2, parts))


def test_data_sets_must_have_a_batch_axis():
    """Rows of two numbers would be two examples of one."""
    data = tf.data.Dataset.from_tensor_slices(X)
    model = FlowDensity()
    model.compile(jit_compile=False)
    with says("`x` must have a batch axis", "shape (2,)", "call `.batch("):
        model.fit(data)
    pairs = tf.data.Dataset.from_tensor_slices(PAIRS)
    with says("must have a batch axis", "call `.batch("):
        model.fit(pairs)
    with says("`x` must have a batch axis", "call `.batch("):
        _model().fit(data)
    model.adapt(tf.data.Dataset.from_tensor_slices(X[:, 0]).batch(4))
    assert model.event_shape == (1,)


def test_uses_of_contexts_and_of_models_that_are_not_built():
    plain, conditional = _model(), _model(conditional=True)
    with says("`context` must be None"):
        plain.sample(3, CONTEXT)
    with says("`context` must be None"):
        plain.distribution(CONTEXT)
    for use in (conditional.distribution, lambda: conditional.sample(3)):
        with says("`context` must be given"):
            use()
    with says("`context` must have a batch axis", "`context[None]`"):
        conditional.sample(3, CONTEXT[0])
    with says("`context` must hold contexts of shape (3,)", "(2,)"):
        conditional.distribution(X)
    with says("`x` must have a batch axis", "`x[None]`"):
        plain.log_prob(X[0])
    for n in (0, -1, 2.5, True):
        with says("`n` must be an integer"):
            plain.sample(n)
    with says("`seed` must be in [0, 2**31)"):
        plain.sample(3, seed=-1)
    new = FlowDensity()
    for use in (
        lambda: new.log_prob(X),
        lambda: new.sample(3),
        new.distribution,
        lambda: new.export("nowhere"),
    ):
        with says("the model must be built"):
            use()
    for x in (PAIRS, _dataset(PAIRS)):
        with says("`context` must be None where `x` is a dict or a data set"):
            conditional.log_prob(x, CONTEXT)
    for shape in ({"data": (None, 2)}, {"context": (None, 2)}):
        with says("`input_shape` must be that of x, or a dict of 'x'"):
            FlowDensity().build(shape)
    with says("`input_shape`", "known axes of x", "(None, None)"):
        FlowDensity().build((None, None))
    with says("`sample_weight` must be None"):
        plain.fit(X, sample_weight=np.ones(10))
    with says("`loss` must not be given", "negative log-likelihood"):
        plain.compile(loss="mse")


def test_endless_data_sets_are_not_adapted_to():
    endless = tf.data.Dataset.from_tensors(X).repeat()
    for use in (FlowDensity().adapt, _model().log_prob):
        with says("`x` must be finite here"):
            use(endless)
