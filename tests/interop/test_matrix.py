"""Values and gradients are the same wherever a flow is run.

Eagerly, in a graph and under XLA; by itself, in loops and branches, in
vectorized maps and in auto-batched models; and Hessians by differences.
"""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.interop import matrix
from tests.interop.flows import compiled
from tfp_flows import bijectors

TOLERANCE = 1e-9

# The others are left to the slow run, to keep the default one short.
DEFAULT = {("iaf-3", "graph")}
CELLS = [
    pytest.param(
        name,
        mode,
        id=f"{name}-{mode}",
        marks=[] if (name, mode) in DEFAULT else [pytest.mark.slow],
    )
    for name in matrix.FLOWS
    for mode in ("eager", "graph", "xla")
]


def _values_and_gradients(flow, ways, x, y):
    """By way: the values, and the gradients of a weighted sum of them."""
    found = {}
    for way in ways:
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            values = matrix.values(way, flow.make(), x, y)
            weights = np.cos(np.arange(values.shape.num_elements()) + 0.5)
            loss = tf.reduce_sum(values * weights.reshape(values.shape))
        found[way] = (values, tape.gradient(loss, [x, y, *flow.variables]))
    return found


def _expected(flow, x, y):
    plain = _values_and_gradients(flow, ["plain"], x, y)["plain"]
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        values = matrix.log_prob(flow.make(), x, y, is_model=False)
        weights = np.cos(np.arange(matrix.NUM_POINTS) + 0.5)
        loss = tf.reduce_sum(values * weights)
    model = (values, tape.gradient(loss, [x, y, *flow.variables]))
    return {
        way: model if way == "auto_batched" else plain for way in matrix.WAYS
    }


@pytest.mark.parametrize(("name", "mode"), CELLS)
def test_is_the_same_wherever_it_runs(name, mode):
    flow = matrix.flow(name)
    x, y = matrix.points(flow.event_shape)
    expected = _expected(flow, x, y)
    run = compiled(
        lambda x, y: _values_and_gradients(flow, matrix.WAYS, x, y), mode
    )
    for way, (values, gradients) in run(x, y).items():
        expected_values, expected_gradients = expected[way]
        _assert_close(values, expected_values, way)
        for found, right in zip(gradients, expected_gradients, strict=True):
            assert (found is None) == (right is None), way
            if right is not None:
                _assert_close(found, right, way)


def _assert_close(found, right, way):
    scale = 1.0 + np.max(np.abs(right))
    np.testing.assert_allclose(
        found, right, rtol=0, atol=TOLERANCE * scale, err_msg=way
    )


@pytest.mark.parametrize(("name", "mode"), CELLS)
def test_hessian_is_that_of_differences(name, mode):
    flow = matrix.flow(name)
    x, y = matrix.points(flow.event_shape)

    def gradients(x, y):
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            loss = matrix.log_prob(flow.make(), x, y, is_model=False)
        return tape.gradient(loss, [x, y])

    rng = np.random.default_rng(3)
    v = [tf.constant(rng.standard_normal(at.shape)) for at in (x, y)]

    def products(x, y):
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            product = sum(
                tf.reduce_sum(g * u)
                for g, u in zip(gradients(x, y), v, strict=True)
            )
        return tape.gradient(
            product,
            [x, y],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )

    step = 1e-5
    high, low = (
        tf.function(gradients, autograph=False)(x + s * v[0], y + s * v[1])
        for s in (step, -step)
    )
    for found, plus, minus in zip(
        compiled(products, mode)(x, y), high, low, strict=True
    ):
        right = (plus - minus) / (2.0 * step)
        scale = 1.0 + np.max(np.abs(right))
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-6 * scale)


def test_every_bijector_has_its_row():
    classes = {
        value
        for value in vars(bijectors).values()
        if isinstance(value, type) and issubclass(value, tfp.bijectors.Bijector)
    } - {bijectors.FlowBijector, bijectors.DeclaredTensors}
    found = set()
    for name in matrix.FLOWS:
        pending = [matrix.flow(name).make()]
        while pending:
            part = pending.pop()
            found.add(type(part).__name__)
            pending += getattr(part, "bijectors", [])
            if hasattr(part, "bijector"):
                pending.append(part.bijector)
    assert {c.__name__ for c in classes} <= found
