"""The flows under test, and how they are run."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.interop import reference
from tfp_flows.bijectors import Planar, Radial, Scan

__all__ = [
    "COSTLY_NAMES",
    "EVENT_SIZE",
    "NAMES",
    "NUM_MEMBERS",
    "TOLERANCE",
    "assert_close",
    "assert_gradients_are_usable",
    "assert_standard_normal",
    "base",
    "bijector",
    "compiled",
    "in_all_modes",
    "parameters",
    "posterior",
    "pull_back",
    "to_numpy",
    "value_and_gradients",
    "variables",
]

tfd = tfp.distributions

NAMES = ("planar", "radial", "scan_planar", "scan_radial")
# For tests that compile much: each map and each form once, the rest is slow.
COSTLY_NAMES = (
    "planar",
    pytest.param("radial", marks=pytest.mark.slow),
    pytest.param("scan_planar", marks=pytest.mark.slow),
    "scan_radial",
)
NUM_MEMBERS = 3
EVENT_SIZE = 2

# Float64; the graph, XLA and NumPy sum in other orders.
TOLERANCE = 1e-9


def parameters(name, batch_shape=(), seed=0):
    """Random parameters far from the identity, float64, by name."""
    batch_shape = tuple(batch_shape)
    if name.startswith("scan"):
        batch_shape = (NUM_MEMBERS, *batch_shape)
    event_shape = (*batch_shape, EVENT_SIZE)
    rng = np.random.default_rng(seed)
    if name.endswith("planar"):
        shapes = {"u": event_shape, "w": event_shape, "b": batch_shape}
    else:
        shapes = {
            "z0": event_shape,
            "unconstrained_alpha": batch_shape,
            "unconstrained_beta": batch_shape,
        }
    return {key: np.array(rng.normal(size=s)) for key, s in shapes.items()}


def variables(name, batch_shape=(), seed=0):
    """The same as float64 variables."""
    values = parameters(name, batch_shape, seed)
    return {key: tf.Variable(value) for key, value in values.items()}


def bijector(name, values):
    """The flow called `name` with these parameters."""
    if name.endswith("planar"):
        flow = Planar(**values)
    else:
        flow = Radial(**values)
    return Scan(flow) if name.startswith("scan") else flow


def base():
    """A standard normal with scalar batch."""
    return tfd.MultivariateNormalDiag(np.zeros(EVENT_SIZE), np.ones(EVENT_SIZE))


def posterior(name, values):
    """The flow over a standard normal."""
    return tfd.TransformedDistribution(base(), bijector(name, values))


def pull_back(name, y, values):
    """The point whose image is `y`, checked by the forward map in NumPy."""
    values = to_numpy(values)
    x = bijector(name, values).inverse(tf.constant(np.array(y))).numpy()
    image, _ = reference.forward(name, x, values)
    np.testing.assert_allclose(image, y, atol=TOLERANCE)
    return x


def compiled(function, mode):
    """`function` to be run in this mode: "eager", "graph" or "xla"."""
    if mode == "eager":
        return function
    return tf.function(function, autograph=False, jit_compile=mode == "xla")


def in_all_modes(function, *args, modes=("graph", "xla")):
    """The eager result, once those in the other modes were the same."""
    expected = function(*args)
    for mode in modes:
        assert_close(compiled(function, mode)(*args), expected, mode)
    return to_numpy(expected)


def to_numpy(structure):
    """Tensors and variables as arrays."""
    return tf.nest.map_structure(np.array, structure)


def assert_close(actual, expected, message=""):
    """Equal structures of equal numbers."""
    tf.nest.map_structure(
        lambda a, e: np.testing.assert_allclose(
            a, e, rtol=TOLERANCE, atol=TOLERANCE, err_msg=message
        ),
        actual,
        expected,
    )


def value_and_gradients(function, sources):
    """`function()` and the gradients of its sum."""
    with tf.GradientTape() as tape:
        tape.watch(sources)
        value = function()
    gradients = tape.gradient(value, sources)
    assert not any(g is None for g in tf.nest.flatten(gradients))
    return value, gradients


def assert_gradients_are_usable(gradients):
    """Finite, and somewhere not zero."""
    for gradient in tf.nest.flatten(gradients):
        gradient = np.array(gradient)
        assert np.all(np.isfinite(gradient))
        assert np.any(gradient != 0.0)


def assert_standard_normal(x):
    """Means 0 and covariance 1 of the rows `[N, D]`, to 5 standard errors."""
    bound = 5.0 / np.sqrt(len(x))
    np.testing.assert_allclose(np.mean(x, axis=0), 0.0, atol=bound)
    np.testing.assert_allclose(
        np.cov(x, rowvar=False), np.eye(x.shape[-1]), atol=np.sqrt(2.0) * bound
    )
