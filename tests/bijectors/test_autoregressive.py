"""What is particular to autoregressive maps; the kit tests the rest."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.bijectors.autoregressive_cases import conditioner
from tfp_flows.bijectors import (
    FunctionConditioner,
    InverseAutoregressive,
    MADEConditioner,
    MaskedAutoregressive,
    NeuralAutoregressive,
    Permutation,
    Scan,
    SplineAutoregressive,
)

tfb, tfd = tfp.bijectors, tfp.distributions

D, C = 5, 2
ORDER = (2, 0, 4, 1, 3)
# Each with the number of outputs of its network.
FLOWS = {
    "iaf": (InverseAutoregressive, 2),
    "iaf-gated": (
        lambda *args, **kwargs: InverseAutoregressive(
            *args, update="gated", **kwargs
        ),
        2,
    ),
    "maf": (MaskedAutoregressive, 2),
    "spline": (functools.partial(SplineAutoregressive, num_bins=3), 8),
    "naf": (functools.partial(NeuralAutoregressive, num_sigmoids=2), 6),
}


def _weights(network, leading=(), seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: tf.constant(0.5 * rng.normal(size=(*leading, *shape)))
        for name, shape in network.parameter_shapes().items()
    }


def _points(*shape, seed=1):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def _jacobian(function, x):
    """`[D, D]`: outputs by inputs."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = function(x)
    return tape.jacobian(y, x, experimental_use_pfor=False).numpy()


def twice_the_one_before(x, parameters, context):
    """t = (0, 2 x_0), a = (0, x_0)."""
    del context
    before = parameters["factor"] * x[..., :1]
    zero = tf.zeros_like(before)
    return tf.concat([zero, 2.0 * before, zero, before], axis=-1)


SIMPLE = FunctionConditioner(twice_the_one_before, {"factor": 1})


def test_iaf_by_hand():
    flow = InverseAutoregressive(
        SIMPLE, {"factor": np.array([1.0])}, max_log_scale=1e6
    )
    x = np.array([0.5, 3.0])
    y = [0.5, 3.0 * np.exp(0.5) + 1.0]
    np.testing.assert_allclose(flow.forward(x), y, rtol=1e-9)
    np.testing.assert_allclose(
        flow.forward_log_det_jacobian(x, 1), 0.5, rtol=1e-9
    )
    np.testing.assert_allclose(flow.inverse(y), x, rtol=1e-9)
    base = tfd.MultivariateNormalDiag(np.zeros(2), np.ones(2))
    # ln q(y) = ln q(x) - sum(s): a sample that is spread out is less dense.
    np.testing.assert_allclose(
        tfd.TransformedDistribution(base, flow).log_prob(y),
        base.log_prob(x) - 0.5,
        rtol=1e-9,
    )


def test_gated_iaf_by_hand():
    flow = InverseAutoregressive(
        SIMPLE,
        {"factor": np.array([1.0])},
        update="gated",
        gate_bias=1.5,
        max_log_scale=1e6,
    )
    gates = 1 / (1 + np.exp(-np.array([1.5, 2.0])))
    x = np.array([0.5, 3.0])
    np.testing.assert_allclose(
        flow.forward(x), gates * x + (1 - gates) * [0.0, 1.0], rtol=1e-9
    )
    np.testing.assert_allclose(
        flow.forward_log_det_jacobian(x, 1), np.log(gates).sum(), rtol=1e-9
    )


def test_maf_by_hand():
    flow = MaskedAutoregressive(
        SIMPLE, {"factor": np.array([1.0])}, max_log_scale=1e6
    )
    x = np.array([0.5, 3.0])
    # y_1 reads y_0 = x_0.
    np.testing.assert_allclose(
        flow.forward(x), [0.5, 3.0 * np.exp(0.5) + 1.0], rtol=1e-9
    )
    np.testing.assert_allclose(
        flow.inverse_log_det_jacobian(flow.forward(x), 1), -0.5, rtol=1e-9
    )


def test_iaf_is_the_inverse_of_maf():
    """One network: `(t, s)` of MAF are `(-t exp(-s), -s)` of IAF."""
    network = conditioner(D, 2, (7,), order=ORDER)
    weights = _weights(network)
    bound = 4.0

    def negated(x, parameters, context):
        shift, a = tf.split(network(x, parameters, context), 2, axis=-1)
        s = bound * tf.tanh(a / bound)
        return tf.concat([-shift * tf.exp(-s), -a], axis=-1)

    maf = MaskedAutoregressive(network, weights, max_log_scale=bound)
    iaf = InverseAutoregressive(
        FunctionConditioner(negated, network.event_ndims),
        weights,
        max_log_scale=bound,
    )
    x = _points(6, D)
    np.testing.assert_allclose(maf.inverse(x), iaf.forward(x), rtol=1e-9)
    np.testing.assert_allclose(
        maf.inverse_log_det_jacobian(x, 1),
        iaf.forward_log_det_jacobian(x, 1),
        rtol=1e-9,
    )
    assert np.abs(maf.inverse(x) - x).max() > 0.1


@pytest.mark.parametrize("order", [None, ORDER])
@pytest.mark.parametrize("num_outputs", [1, 3])
@pytest.mark.parametrize("hidden_units", [(), (5,), (7, 9, 6)])
def test_the_jacobian_of_made_is_strictly_triangular(
    order, num_outputs, hidden_units
):
    network = conditioner(D, num_outputs, hidden_units, order=order)
    weights = _weights(network)
    jacobian = _jacobian(lambda x: network(x, weights, None), _points(D))
    places = np.arange(D) if order is None else np.array(order)
    before = places[np.newaxis, :] < places[:, np.newaxis]
    for block in np.split(jacobian, num_outputs):
        assert np.all(block[~before] == 0)
        assert np.all(block[before] != 0)


def test_the_first_coordinate_sees_the_context_through_hidden_units():
    network = conditioner(D, 1, (6,), context_size=C)
    weights = _weights(network)
    context = _points(C)
    jacobian = _jacobian(lambda c: network(_points(D), weights, c), context)
    assert np.all(jacobian != 0)


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("order", [None, ORDER])
def test_log_det_has_the_sign_of_the_jacobian(name, order):
    flow_class, outputs = FLOWS[name]
    network = conditioner(D, outputs, (7,), order=order)
    flow = flow_class(network, _weights(network))
    x = _points(D)
    for function, log_det in (
        (flow.forward, flow.forward_log_det_jacobian),
        (flow.inverse, flow.inverse_log_det_jacobian),
    ):
        _, expected = np.linalg.slogdet(_jacobian(function, x))
        np.testing.assert_allclose(log_det(x, 1), expected, rtol=1e-9)
        assert abs(expected) > 1e-2


@pytest.mark.parametrize(
    ("name", "through"),
    [
        pytest.param(
            name,
            through,
            marks=[pytest.mark.slow]
            if name in ("spline", "naf") and through == "bias_0"
            else [],
        )
        for name in FLOWS
        for through in ("context", "bias_0")
    ],
)
def test_a_context_changes_the_density_and_does_not_leak(name, through):
    """Batch shape [B], and each example's map of its own context alone."""
    flow_class, outputs = FLOWS[name]
    batch = 3
    network = conditioner(
        D, outputs, (7,), context_size=C if through == "context" else 0
    )
    weights = _weights(network)
    context = _points(batch, C if through == "context" else 7)

    def flow_of(context):
        if through == "context":
            return flow_class(network, weights, context=context)
        return flow_class(network, {**weights, "bias_0": context})

    flow = flow_of(context)
    assert flow.experimental_batch_shape() == [batch]
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(np.zeros(D), np.ones(D)), flow
    )
    assert q.batch_shape == [batch]
    x = _points(D)
    assert len(np.unique(np.round(q.log_prob(x), 6))) == batch

    x = _points(batch, D)
    for function in (
        lambda x, c: flow_of(c).forward(x),
        lambda x, c: flow_of(c).inverse(x),
    ):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([x, context])
            y = function(x, context)
        for source in (x, context):
            jacobian = tape.jacobian(y, source, experimental_use_pfor=False)
            size = np.abs(jacobian).max(axis=(1, 3))  # example by example
            assert np.all(size[~np.eye(batch, dtype=bool)] == 0)
            assert np.all(size[np.eye(batch, dtype=bool)] > 1e-6)


@pytest.mark.parametrize("name", FLOWS)
def test_the_noise_of_examples_is_independent(name):
    flow_class, outputs = FLOWS[name]
    network = conditioner(D, outputs, (7,), context_size=C)
    context = tf.repeat(_points(1, C), 2, axis=0)  # equal maps
    flow = flow_class(network, _weights(network), context=context)
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(np.zeros(D), np.ones(D)), flow
    )
    samples = q.sample(4_000, seed=1).numpy()
    first, second = samples[:, 0], samples[:, 1]
    for i in range(D):
        correlation = np.corrcoef(first[:, i], second[:, i])[0, 1]
        assert abs(correlation) < 5 / np.sqrt(len(samples))


def test_one_linear_step_makes_a_correlated_gaussian():
    rho = 0.8
    network = MADEConditioner(2, 2, hidden_units=())
    log_scale = 0.5 * np.log1p(-(rho**2))
    weights = {
        "kernel_0": np.concatenate(
            [[[0.0, rho], [0.0, 0.0]], np.zeros([2, 2])], axis=1
        ),
        "bias_0": np.array([0.0, 0.0, 0.0, log_scale]),
    }
    flow = InverseAutoregressive(network, weights, max_log_scale=1e6)
    q_0 = tfd.MultivariateNormalDiag(np.zeros(2), np.ones(2))
    q = tfd.TransformedDistribution(q_0, flow)
    p = tfd.MultivariateNormalFullCovariance(
        np.zeros(2), np.array([[1.0, rho], [rho, 1.0]])
    )
    x = _points(7, 2)
    np.testing.assert_allclose(q.log_prob(x), p.log_prob(x), rtol=1e-6)
    # And what it removes from the divergence of the best diagonal Gaussian: of
    # quadratic functions these four points of noise give the exact means.
    noise = tf.constant([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    noise = tf.cast(noise, tf.float64)

    def divergence(**weights):
        step = InverseAutoregressive(network, weights, max_log_scale=1e6)
        q = tfd.TransformedDistribution(q_0, step)
        x = step.forward(noise)
        return np.mean(q.log_prob(tf.identity(x)) - p.log_prob(x))

    assert divergence(**weights) == pytest.approx(0.0, abs=1e-8)
    diagonal = {
        "kernel_0": np.zeros([2, 4]),
        "bias_0": np.array([0.0, 0.0, log_scale, log_scale]),
    }
    expected = -0.5 * np.log(1 - rho**2)
    assert divergence(**diagonal) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", FLOWS)
def test_scan_equals_chain(name):
    flow_class, outputs = FLOWS[name]
    network = conditioner(D, outputs, (7,))
    num_members = 3
    weights = _weights(network, leading=(num_members,))
    backwards = np.arange(D)[::-1]
    scan = Scan(
        tfb.Chain(
            [
                flow_class(network, weights),
                Permutation(np.tile(backwards, [num_members, 1])),
            ]
        )
    )
    chain = tfb.Chain(
        [
            bijector
            for k in reversed(range(num_members))
            for bijector in (
                flow_class(network, {n: w[k] for n, w in weights.items()}),
                Permutation(backwards),
            )
        ]
    )
    x = _points(4, D)
    for direction in ("forward", "inverse"):
        np.testing.assert_allclose(
            getattr(scan, direction)(x), getattr(chain, direction)(x), rtol=1e-9
        )
    np.testing.assert_allclose(
        scan.inverse_log_det_jacobian(x, 1),
        chain.inverse_log_det_jacobian(x, 1),
        rtol=1e-9,
    )


def _num_ops(size, direction, with_gradient):
    network = MADEConditioner(size, 2, hidden_units=(100,))
    weights = _weights(network)

    @tf.function
    def function(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            flow = InverseAutoregressive(network, weights)
            y = getattr(flow, direction)(x)
        return tape.gradient(y, x) if with_gradient else y

    graph = function.get_concrete_function(
        tf.TensorSpec([3, size], tf.float64)
    ).graph.as_graph_def()
    nodes = [graph.node, *(f.node_def for f in graph.library.function)]
    return sum(map(len, nodes))


@pytest.mark.parametrize("with_gradient", [False, True])
def test_the_sequential_direction_is_one_rolled_loop(with_gradient):
    """A graph that does not grow with D."""
    sizes = [_num_ops(d, "inverse", with_gradient) for d in (16, 64)]
    assert sizes[0] == sizes[1]
    assert _num_ops(64, "forward", with_gradient) < sizes[0]


def _passes(weight):
    """How often the network is called by an inverse, D = 30."""
    counts = []

    def count(x):
        counts.append(1)
        return x

    def conditioner(x):
        x = tf.py_function(count, [x], tf.float64)
        x = tf.ensure_shape(x, [4, 30])
        before = tf.cumsum(x, axis=-1, exclusive=True)
        return tf.concat([weight * before, 0.0 * x], axis=-1)

    flow, x = InverseAutoregressive(conditioner), _points(4, 30)
    y = flow.forward(x)
    counts.clear()
    found = tf.function(flow.inverse)(tf.identity(y))
    np.testing.assert_allclose(found, x, rtol=1e-9, atol=1e-9)
    return len(counts)


def test_the_sequential_direction_ends_where_nothing_changes():
    """What is nearly linear takes few passes, and never more than D."""
    assert _passes(0.0) <= 3 + 2
    assert _passes(0.01) <= 16
    assert 12 < _passes(0.5) <= 30 + 2


def _sums(x):
    """Shifts by the sum of what is before."""
    total = tf.cumsum(x, axis=-1, exclusive=True)
    return tf.concat([total, tf.zeros_like(total)], axis=-1)


def test_what_is_not_finite_is_not_lost_in_the_sequential_direction():
    y = tf.constant([[1.0, 2.0, 3.0, np.nan], [1.0, 2.0, 3.0, np.inf]])
    x = InverseAutoregressive(_sums).inverse(y).numpy()
    assert np.all(np.isfinite(x[:, :3]))
    assert np.isnan(x[0, 3])
    assert np.isposinf(x[1, 3])
    y = MaskedAutoregressive(_sums).forward(tf.constant([0.0, 1.0, np.nan]))
    assert np.all(np.isnan(y) == [False, False, True])


def test_an_overflow_of_the_sequential_direction_is_not_taken_for_zero():
    network = MADEConditioner(4, 2, (8,))
    weights = {
        name: np.zeros(shape, np.float32)
        for name, shape in network.parameter_shapes().items()
    }
    weights["bias_1"][4:] = -1e3  # scales of exp(-4)
    flow = InverseAutoregressive(network, weights)
    x = flow.inverse(tf.constant([0.0, 0.0, 0.0, 3e37]))
    np.testing.assert_array_equal(x, [0.0, 0.0, 0.0, np.inf])


def test_gradients_of_what_is_flat_to_all_digits_are_finite():
    """As those of one `DeepSigmoidal` are."""
    network = MADEConditioner(2, 6, (4,))
    weights = {
        name: np.ones(shape, np.float32)
        for name, shape in network.parameter_shapes().items()
    }
    weights["kernel_1"] *= 0.0
    # Of each coordinate two weights, slopes and offsets.
    blocks = np.repeat([0.0, 0.0, 100.0, 100.0, 100.0, -100.0], 2)
    weights["bias_1"] = np.float32(blocks)
    flow = NeuralAutoregressive(network, weights, num_sigmoids=2)
    y = tf.zeros([2])
    with tf.GradientTape() as tape:
        tape.watch(y)
        x = flow.inverse(y)
    gradient = tape.gradient(x, y)
    assert np.all(np.isfinite(gradient))
    assert np.all(gradient > 1e9)


@pytest.mark.parametrize("name", FLOWS)
def test_second_derivatives_where_the_first_ones_vanish(name):
    """The search for a gradient that is zero ends at once, its own may not."""
    flow_class, outputs = FLOWS[name]
    network = conditioner(3, outputs, (4,))
    flow = flow_class(network, _weights(network))
    y, direction = _points(3), _points(3, seed=2)
    x = flow.inverse(y)

    with tf.GradientTape() as outer:
        outer.watch(y)
        with tf.GradientTape() as inner:
            inner.watch(y)
            value = tf.reduce_sum(tf.square(flow.inverse(tf.identity(y)) - x))
        gradient = inner.gradient(value, y)
        along = tf.reduce_sum(gradient * direction)
    np.testing.assert_allclose(gradient, np.zeros(3), atol=1e-12)
    # Twice J' J, J that of the inverse.
    jacobian = _jacobian(lambda y: flow.inverse(tf.identity(y)), y)
    np.testing.assert_allclose(
        outer.gradient(along, y),
        2 * jacobian.T @ jacobian @ direction.numpy(),
        rtol=1e-7,
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            n, marks=[pytest.mark.slow] if n in ("spline", "naf") else []
        )
        for n in FLOWS
    ],
)
def test_second_derivatives_through_the_sequential_direction(name):
    flow_class, outputs = FLOWS[name]
    network = conditioner(3, outputs, (4,))
    flow = flow_class(network, _weights(network))
    y, direction = _points(3), _points(3, seed=2)

    def gradient(y):
        with tf.GradientTape() as tape:
            tape.watch(y)
            value = tf.reduce_sum(tf.sin(flow.inverse(y)))
            value += flow.inverse_log_det_jacobian(y, 1)
            value += tf.reduce_sum(tf.cos(flow.forward(y)))
        return tape.gradient(value, y)

    @tf.function
    def product(y):
        with tf.GradientTape() as tape:
            tape.watch(y)
            along = tf.reduce_sum(gradient(y) * direction)
        return tape.gradient(along, y)

    step = 1e-5
    expected = (
        gradient(y + step * direction) - gradient(y - step * direction)
    ) / (2 * step)
    np.testing.assert_allclose(product(y), expected, rtol=1e-5, atol=1e-7)


def test_an_opaque_function_keeps_the_natural_order():
    def before(x):
        total = tf.cumsum(x, axis=-1, exclusive=True)
        return tf.concat([total, tf.sin(total)], axis=-1)

    x = _points(4, D)
    for flow_class in (InverseAutoregressive, MaskedAutoregressive):
        flow = flow_class(before)
        y = flow.forward(x)
        np.testing.assert_allclose(
            flow.inverse(tf.identity(y)), x, rtol=1e-9, atol=1e-12
        )
        with pytest.raises(TypeError, match="with `conditioner` = function"):
            Scan(flow)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: MADEConditioner(3, order=(0, 1, 1)),
            r"`order` must hold each of 0, \.\.\., 2 once; got \[0, 1, 1\]",
        ),
        (
            lambda: MADEConditioner(3, order=(0, 1)),
            r"`order` must hold each of 0, \.\.\., 2 once; got \[0, 1\]",
        ),
        (
            lambda: MADEConditioner(9, hidden_units=(16, 8)),
            r"`hidden_units` must hold sizes of at least `event_size`, 9.*"
            r"got \(16, 8\)",
        ),
        (
            lambda: MADEConditioner(0),
            "`event_size` must be an integer >= 1; got 0",
        ),
        (
            lambda: MADEConditioner(3, num_outputs=1.5),
            "`num_outputs` must be an integer >= 1; got 1.5",
        ),
        (
            lambda: InverseAutoregressive(
                conditioner(D, 3), _weights(conditioner(D, 3))
            ),
            "`conditioner.num_outputs` must be .* InverseAutoregressive, 2; "
            "got 3",
        ),
        (
            lambda: InverseAutoregressive(
                conditioner(D, 2), _weights(conditioner(D, 2)), update="gate"
            ),
            "`update` must be one of affine, gated; got 'gate'",
        ),
        (
            lambda: MaskedAutoregressive(
                conditioner(D, 2),
                _weights(conditioner(D, 2)),
                max_log_scale=0.0,
            ),
            "`max_log_scale` must be positive and finite; got 0.0",
        ),
        (
            lambda: MaskedAutoregressive(
                conditioner(D, 2), _weights(conditioner(D, 2))
            ).inverse(_points(4, D + 1)),
            r"`y` must have shape \[\.\.\., 5\] for MaskedAutoregressive; got "
            r"\(4, 6\)",
        ),
        (
            lambda: MaskedAutoregressive(
                conditioner(D, 2), _weights(conditioner(D + 1, 2))
            ).inverse(_points(4, D)),
            r"`kernel_0` must have shape \[\.\.\., 5, 5\]; got \(6, 6\)",
        ),
        (
            lambda: MaskedAutoregressive(
                conditioner(D, 2, context_size=C),
                _weights(conditioner(D, 2, context_size=C)),
                context=_points(4, C + 1),
            ).inverse(_points(4, D)),
            r"`context` must have shape \[\.\.\., 2\]; got \(4, 3\)",
        ),
        (
            lambda: MaskedAutoregressive(
                conditioner(D, 2, context_size=C),
                _weights(conditioner(D, 2, context_size=C)),
            ).inverse(_points(4, D)),
            r"`context` must have shape \[\.\.\., 2\]; got None",
        ),
        (
            lambda: MaskedAutoregressive(
                conditioner(D, 2),
                _weights(conditioner(D, 2)),
                context=_points(4, C),
            ).inverse(_points(4, D)),
            r"`context` must be None for a network without `context_kernel`; "
            r"got shape \(4, 2\)",
        ),
        (
            lambda: MaskedAutoregressive(
                conditioner(D, 2, context_size=C),
                _weights(conditioner(D, 2, context_size=C)),
                context=_points(3, C),
            ).inverse(_points(4, D)),
            r"`context` must have batch axes that broadcast against those of "
            r"the points, of shape \(4, 5\); got \(3, 2\)",
        ),
        (
            lambda: MADEConditioner(3, context_size=-2),
            "`context_size` must be an integer >= 0; got -2",
        ),
        (
            lambda: MADEConditioner(3, context_size=2.5),
            "`context_size` must be an integer >= 0; got 2.5",
        ),
        (
            lambda: InverseAutoregressive(lambda x: x).forward(_points(4, D)),
            r"`conditioner` must return outputs \[\.\.\., 10\]; got shape "
            r"\(4, 5\)",
        ),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
