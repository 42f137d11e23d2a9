"""Every bijector can be pickled and copied, alone and in TFP's objects."""

import copy
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.bijectors import kinds
from tfp_flows.bijectors import (
    AdditiveCoupling,
    FunctionConditioner,
    MADEConditioner,
    MaskedAutoregressive,
    MLPConditioner,
    Planar,
    Scan,
)

tfb, tfd = tfp.bijectors, tfp.distributions

COPIES = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "deepcopy": copy.deepcopy,
}


def _distribution(flow, shape, dtype):
    zeros = tf.zeros(shape, dtype)
    base = tfd.MultivariateNormalDiag(zeros, tf.ones(shape, dtype))
    if len(shape) > 1:
        base = tfd.Independent(
            tfd.Normal(zeros, tf.ones([], dtype)), len(shape)
        )
    return tfd.TransformedDistribution(base, flow)


def _parameter(kind):
    # These are left to the slow run: the same classes once more.
    is_slow = kind.startswith("scan-") and kind != "scan-planar"
    return pytest.param(kind, marks=[pytest.mark.slow] if is_slow else [])


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize(
    "kind", [_parameter(kind) for kind in [*kinds.KINDS, *kinds.MIXINGS]]
)
def test_every_bijector(kind, how):
    """Before and after use; what holds it is of the same class, too."""
    flow, x = kinds.bijector(kind), kinds.points(kind, (3,))
    expected = flow.forward(x)
    copied = COPIES[how](flow)
    assert type(copied) is type(flow)
    np.testing.assert_array_equal(copied.forward(x), expected)
    inverted, chained = COPIES[how]([tfb.Invert(flow), tfb.Chain([flow])])
    np.testing.assert_array_equal(inverted.inverse(x), expected)
    np.testing.assert_array_equal(chained.forward(x), expected)
    held = _distribution(flow, kinds.event_shape(kind), x.dtype)
    copied = COPIES[how](held)
    assert type(copied) is type(held)
    assert type(copied.bijector) is type(flow)
    np.testing.assert_array_equal(copied.bijector.forward(x), expected)
    assert copied.batch_shape == held.batch_shape


def _wave(x, parameters, context):
    del context
    return parameters["scale"] * tf.cos(x)


def _with_variables(conditioner, shapes, build):
    return build(
        conditioner,
        {name: tf.Variable(tf.ones(shape)) for name, shape in shapes.items()},
    )


MLP, MADE = MLPConditioner((3,)), MADEConditioner(2, 2, (3,))
FLOWS = {
    "mlp": lambda: _with_variables(
        MLP, MLP.parameter_shapes(2, 2), AdditiveCoupling
    ),
    "function": lambda: _with_variables(
        FunctionConditioner(_wave, {"scale": 1}),
        {"scale": [2]},
        AdditiveCoupling,
    ),
    "made": lambda: _with_variables(
        MADE, MADE.parameter_shapes(), MaskedAutoregressive
    ),
    "opaque": lambda: AdditiveCoupling(tf.sin),
    "scan": lambda: Scan(
        Planar(
            tf.Variable(tf.ones([3, 2])),
            tfp.util.TransformedVariable(tf.ones([3, 2]), tfb.Exp()),
            tf.zeros([3]),
        )
    ),
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", FLOWS)
def test_a_copy_has_variables_of_its_own(name, how):
    flow, x = FLOWS[name](), tf.constant([[0.5, -1.0]])
    for variable in flow.trainable_variables:
        variable.assign_add(0.1 * tf.ones_like(variable))
    expected = flow.forward(x)
    copied = COPIES[how](_distribution(tfb.Invert(flow), [2], tf.float32))
    inner = copied.bijector.bijector
    np.testing.assert_array_equal(inner.forward(x), expected)
    own = copied.trainable_variables
    assert len(own) == len(flow.trainable_variables)
    for variable in own:
        variable.assign_add(tf.ones_like(variable))
    np.testing.assert_array_equal(flow.forward(x), expected)
    if own:
        assert np.abs(inner.forward(x) - expected).max() > 1e-3


def test_a_subclass_of_a_coupling_stays_one():
    class Named(AdditiveCoupling):
        label = "mine"

    flow = _with_variables(MLP, MLP.parameter_shapes(2, 2), Named)
    assert isinstance(flow, Named)
    assert flow.label == "mine"
