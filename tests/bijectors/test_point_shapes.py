"""Points of another size or rank than a bijector takes, or of unknown ones."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.bijectors import kinds
from tfp_flows import bijectors
from tfp_flows.bijectors import (
    AdditiveCoupling,
    AffineCoupling,
    DataAdaptiveConvolution,
    MaskedAutoregressive,
    MLPConditioner,
    Planar,
)

METHODS = (
    "forward",
    "inverse",
    "forward_log_det_jacobian",
    "inverse_log_det_jacobian",
)
# The others are left to the slow run, to keep the default one short.
DEFAULT = (
    "additive",
    "householder",
    "lu-linear",
    "scan-planar",
    "sylvester-triangular",
)


def _all_methods(bijector, point):
    event_ndims = bijector.forward_min_event_ndims
    return [
        getattr(bijector, method)(point)
        if method in METHODS[:2]
        else getattr(bijector, method)(point, event_ndims)
        for method in METHODS
    ]


@pytest.mark.parametrize("kind", [*kinds.KINDS, *kinds.MIXINGS])
def test_wrong_event_shapes_are_refused_by_all_methods(kind):
    bijector, shape = kinds.bijector(kind), kinds.event_shape(kind)
    longer, shorter = ([*shape[:-1], shape[-1] + n] for n in (1, -1))
    for wrong in ([3, *longer], shorter, shape[1:]):
        point = tf.zeros(wrong, kinds.points(kind, ()).dtype)
        for method in METHODS:
            args = [] if method in METHODS[:2] else [len(shape)]
            with pytest.raises(
                ValueError,
                match=r"`[xy]` must have shape \[\.\.\., .*\] for \w+; got ",
            ):
                getattr(bijector, method)(point, *args)


@pytest.mark.parametrize(
    "kind",
    [
        *kinds.MIXINGS,
        *(
            pytest.param(k, marks=[] if k in DEFAULT else [pytest.mark.slow])
            for k in kinds.KINDS
        ),
    ],
)
def test_points_of_unknown_size_and_rank(kind):
    event_ndims = len(kinds.event_shape(kind))
    for batch_shape, points_shape, is_rank_known in (
        ((), (3,), True),
        ((3,), (2, 3), False),
        ((3,), (), False),
    ):
        bijector = kinds.bijector(kind, batch_shape)
        x = kinds.points(kind, points_shape)
        rank = len(points_shape) + event_ndims

        @tf.function(
            autograph=False,
            input_signature=[
                tf.TensorSpec([None] * rank if is_rank_known else None, x.dtype)
            ],
        )
        def call(x, bijector=bijector):
            return _all_methods(bijector, x)

        for value, right in zip(
            call(x), _all_methods(bijector, x), strict=True
        ):
            assert value.shape == right.shape
            np.testing.assert_allclose(value, right, rtol=1e-6, atol=1e-6)


def test_gradients_at_points_of_unknown_rank():
    flow = Planar([[1.0, 2.0], [0.0, 1.0]], [[0.5, 0.1], [1.0, 0.3]], [0.1, 0])
    x = tf.constant([[0.3, -0.2]])

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = flow.inverse(x)
        return tape.gradient(y, x)

    signature = [tf.TensorSpec(None, tf.float32)]
    unknown = tf.function(gradient, input_signature=signature, autograph=False)
    np.testing.assert_allclose(unknown(x), gradient(x), rtol=1e-5)


def _weights(network, num_inputs, num_outputs):
    shapes = network.parameter_shapes(num_inputs, num_outputs)
    return {name: tf.ones(shape) for name, shape in shapes.items()}


def _traced(bijector):
    return tf.function(bijector.forward, autograph=False).get_concrete_function(
        tf.TensorSpec([None, None], tf.float32)
    )


def test_what_to_give_a_coupling_at_points_of_unknown_size():
    """With a mask, or a network of known size, nothing else is needed."""

    def opaque(x):
        return tf.sin(x)

    message = "`mask` must be given, with a known size, where neither"
    with pytest.raises(ValueError, match=message):
        _traced(AdditiveCoupling(opaque))
    output = _traced(AdditiveCoupling(opaque, mask=[1.0, 0.0]))
    assert output.structured_outputs.shape.as_list() == [None, 2]
    network = MLPConditioner((3,))
    flow = AffineCoupling(network, _weights(network, 4, 8))
    assert _traced(flow).structured_outputs.shape.as_list() == [None, 4]
    for flow in (DataAdaptiveConvolution(opaque), MaskedAutoregressive(opaque)):
        with pytest.raises(ValueError, match="known statically; got shape"):
            _traced(flow)


def test_a_mask_of_another_size_than_the_network_is_refused():
    network = MLPConditioner((3,))
    with pytest.raises(
        ValueError, match=r"`mask` must have shape \[\.\.\., 4\], as"
    ):
        AdditiveCoupling(network, _weights(network, 4, 4), mask=[1.0, 0.0, 1.0])


def test_a_network_of_another_input_size_than_the_coupling_is_refused():
    network = MLPConditioner((3,))
    flow = DataAdaptiveConvolution(network, _weights(network, 4, 2))
    with pytest.raises(
        ValueError, match=r"`conditioner` must take inputs \[\.\.\., 2\]"
    ):
        flow.forward(tf.zeros([1, 4]))


BIJECTORS = [getattr(bijectors, name) for name in bijectors.__all__]
# The parameter of a Scan is a bijector, which has no shape; the bases of others
# have none.
PUBLIC = [
    kind
    for kind in BIJECTORS
    if isinstance(kind, type)
    and issubclass(kind, tfp.bijectors.Bijector)
    and kind
    not in (bijectors.FlowBijector, bijectors.DeclaredTensors, bijectors.Scan)
]


@pytest.mark.parametrize("bijector_class", PUBLIC)
def test_shape_fn_by_keyword(bijector_class):
    """As TFP's own code and others call it, of any kind of shape."""
    for properties in bijector_class.parameter_properties().values():
        first = properties.shape_fn(sample_shape=[2, 3])
        for shape in (
            properties.shape_fn(sample_shape=tf.TensorShape([2, 3])),
            properties.shape_fn(sample_shape=np.array([2, 3])),
            tf.function(properties.shape_fn)(sample_shape=tf.constant([2, 3])),
        ):
            np.testing.assert_array_equal(shape, first)
