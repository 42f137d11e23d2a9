"""What is particular to the couplings; the conformance kit tests the rest."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.bijectors.coupling_cases import CONDITIONER
from tfp_flows.bijectors import (
    AdditiveCoupling,
    AffineCoupling,
    ConvolutionCoupling,
    DataAdaptiveConvolution,
    FunctionConditioner,
    MLPConditioner,
    Permutation,
    Scan,
    SLog,
    SplineCoupling,
)

tfb = tfp.bijectors

D = 5
# Each with the sizes of its conditioner's inputs and outputs.
COUPLINGS = {
    "additive": (AdditiveCoupling, (D, D)),
    "affine": (AffineCoupling, (D, 2 * D)),
    "data-adaptive": (DataAdaptiveConvolution, (3, 2)),
    "conf": (ConvolutionCoupling, (3, 6)),
    "spline": (functools.partial(SplineCoupling, num_bins=3), (3, 16)),
}
MASKED = ("additive", "affine")


def _weights(sizes, leading=(), conditioner=CONDITIONER):
    rng = np.random.default_rng(0)
    shapes = conditioner.parameter_shapes(*sizes)
    return {
        name: tf.constant(rng.normal(size=(*leading, *shape)))
        for name, shape in shapes.items()
    }


def _points(*shape):
    return tf.constant(np.random.default_rng(1).normal(size=shape))


def double(x, parameters, context):
    del context
    return parameters["factor"] * x[..., ::-1]


@pytest.mark.parametrize("name", MASKED)
def test_a_value_computed_by_hand(name):
    x = np.array([3.0, 5.0])
    if name == "additive":
        flow = AdditiveCoupling(
            FunctionConditioner(double, {"factor": 1}),
            {"factor": np.array([2.0, 2.0])},
        )
        # Only x_0 is read; only x_1 is moved, by 2 * 3.
        np.testing.assert_allclose(flow.forward(x), [3.0, 11.0])
        np.testing.assert_allclose(flow.inverse([3.0, 11.0]), x)
        assert flow.forward_log_det_jacobian(x, 1) == 0
        return
    flow = AffineCoupling(
        lambda x: tf.stack([x[0], x[0], x[0], -x[0]]), max_log_scale=1e6
    )
    # t_1 = 3, s_1 = -3.
    np.testing.assert_allclose(
        flow.forward(x), [3.0, 5 * np.exp(-3) + 3], rtol=1e-6
    )
    # A scaling that shrinks has a negative log-det.
    np.testing.assert_allclose(
        flow.forward_log_det_jacobian(x, 1), -3.0, rtol=1e-6
    )


def test_conf_is_scale_convolve_shift_gate():
    """Against NumPy's transforms, with outputs that do not depend on x."""
    rng = np.random.default_rng(0)
    r, a, t = rng.normal(size=[3, 4])
    x = rng.normal(size=8)
    slope = np.array([0.2, 0.5, -1.0, 1.5])
    flow = ConvolutionCoupling(
        lambda x: tf.constant(np.concatenate([r, a, t])),
        unconstrained_slope=slope,
    )
    s = np.exp(2 * np.tanh(r / 2))
    opposite = np.roll(a[::-1], 1)
    response = np.exp(3 * np.tanh((a + opposite) / 6) + 0.5j * (a - opposite))
    v = np.fft.ifft(response * np.fft.fft(s * x[4:]))
    np.testing.assert_allclose(v.imag, 0, atol=1e-15)
    positive = np.log1p(np.exp(slope))
    y = np.sign(v.real + t) * np.log1p(positive * np.abs(v.real + t)) / positive
    np.testing.assert_allclose(flow.forward(x)[4:], y, rtol=1e-12)
    log_det = (
        np.log(s).sum()
        + np.log(np.abs(response)).sum()
        - (positive * np.abs(y)).sum()
    )
    np.testing.assert_allclose(
        flow.forward_log_det_jacobian(x, 1), log_det, rtol=1e-12
    )


@pytest.mark.parametrize("name", COUPLINGS)
def test_a_zero_conditioner_is_the_identity(name):
    coupling, sizes = COUPLINGS[name]
    weights = _weights(sizes)
    weights |= {n: tf.zeros_like(weights[n]) for n in ("kernel_1", "bias_1")}
    flow, x = coupling(CONDITIONER, weights), _points(7, D)
    y, log_det = flow.forward(x), flow.forward_log_det_jacobian(x, 1)
    if name == "conf":  # what is left is the gate
        gate = SLog(tf.fill([2], tf.constant(-2.0, tf.float64)))
        np.testing.assert_array_equal(y[:, :3], x[:, :3])
        np.testing.assert_allclose(y[:, 3:], gate.forward(x[:, 3:]), rtol=1e-9)
        return
    np.testing.assert_allclose(y, x, rtol=1e-15)
    np.testing.assert_allclose(log_det, np.zeros(7), atol=1e-15)


@pytest.mark.parametrize("name", COUPLINGS)
def test_the_fixed_part_passes_and_nothing_else_conditions(name):
    coupling, sizes = COUPLINGS[name]
    flow, x = coupling(CONDITIONER, _weights(sizes)), _points(4, D)
    np.testing.assert_array_equal(flow.forward(x)[:, :3], x[:, :3])
    with tf.GradientTape() as tape:
        tape.watch(x)
        log_det = flow.forward_log_det_jacobian(x, 1)
        log_det = tf.reduce_sum(tf.zeros_like(x[..., 0]) + log_det)
    gradient = tape.gradient(
        log_det, x, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    # The log-det of a gate or a spline depends on the moved part too.
    if name not in ("conf", "spline"):
        np.testing.assert_array_equal(gradient[:, 3:], np.zeros([4, 2]))
    if name not in ("additive", "conf"):
        assert (np.abs(gradient[:, :3]).max(axis=-1) > 1e-3).all()


@pytest.mark.parametrize("name", MASKED)
def test_mask_decides_what_is_moved(name):
    coupling, sizes = COUPLINGS[name]
    mask = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    flow = coupling(CONDITIONER, _weights(sizes), mask=mask)
    x = _points(4, D)
    moved = np.abs(flow.forward(x) - x).min(axis=0)
    np.testing.assert_array_equal(moved > 1e-3, mask == 0)


@pytest.mark.parametrize("name", COUPLINGS)
def test_a_context_is_an_amortized_bias_of_the_first_layer(name):
    coupling, sizes = COUPLINGS[name]
    context = _points(6, 2)
    with_context = MLPConditioner((4,), "tanh", context_size=2)
    weights = _weights(sizes, conditioner=with_context)
    flow = coupling(with_context, weights, context=context)
    assert flow.experimental_batch_shape() == [6]
    bias = weights["bias_0"] + context @ weights.pop("context_kernel")
    amortized = coupling(CONDITIONER, {**weights, "bias_0": bias})
    x = _points(3, 6, D)
    y = flow.forward(x)
    np.testing.assert_allclose(amortized.forward(x), y, rtol=1e-10)
    other = coupling(
        with_context, flow.conditioner_parameters, context=-context
    )
    assert np.abs(other.forward(x) - y).max(axis=(0, 2)).min() > 1e-3


@pytest.mark.parametrize("name", COUPLINGS)
def test_an_opaque_function_is_taken_and_not_scanned(name):
    coupling, sizes = COUPLINGS[name]
    net = keras.layers.Dense(sizes[1])
    net.build((None, sizes[0]))
    flow, x = coupling(net), tf.cast(_points(4, D), tf.float32)
    assert not isinstance(flow, tfb.AutoCompositeTensorBijector)
    with tf.GradientTape() as tape:
        y = flow.forward(x)
        loss = tf.reduce_sum(tf.square(y))
    for gradient in tape.gradient(loss, net.trainable_variables):
        assert np.abs(gradient).max() > 0
    np.testing.assert_allclose(flow.inverse(tf.identity(y)), x, atol=1e-5)
    message = f"got {type(flow).__name__} with `conditioner` = Dense"
    with pytest.raises(TypeError, match=message):
        Scan(flow)
    with_context = coupling(
        lambda x, context: net(x) + context, context=tf.ones([4, sizes[1]])
    )
    assert with_context.forward(x).shape == (4, D)


def test_an_opaque_function_is_read_anew_in_a_graph():
    """The cache does not know its variables, so must not trust its answers."""
    shift = tf.Variable([0.0, 1.0])
    flow = AdditiveCoupling(lambda x: shift + 0 * x)

    @tf.function
    def before_and_after(x):
        first = flow.forward(x)
        shift.assign_add([0.0, 1.0])
        return first, flow.forward(x)

    first, second = before_and_after(tf.zeros([2]))
    np.testing.assert_array_equal(first, [0.0, 1.0])
    np.testing.assert_array_equal(second, [0.0, 2.0])


def test_equal_conditioners_share_a_trace():
    @tf.function
    def forward(flow, x):
        return flow.forward(x)

    x, weights = _points(3, D), _weights((D, D))
    for _ in range(2):
        conditioner = MLPConditioner(hidden_units=[4], activation="tanh")
        forward(AdditiveCoupling(conditioner, weights), x)
    assert forward.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("num_members", [8, 80])
def test_many_couplings_are_one_loop(num_members):
    """The size of the graph does not depend on their number."""
    rng = np.random.default_rng(0)
    weights = {
        name: 0.1 * value
        for name, value in _weights((D, D), leading=(num_members,)).items()
    }
    orders = np.stack([rng.permutation(D) for _ in range(num_members)])

    def forward(x):
        couplings = AdditiveCoupling(CONDITIONER, weights)
        flow = Scan(tfb.Chain([couplings, Permutation(orders)]))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = flow.forward(x)
        return y, tape.gradient(y, x)

    def inverse(y):
        couplings = AdditiveCoupling(CONDITIONER, weights)
        return Scan(tfb.Chain([couplings, Permutation(orders)])).inverse(y)

    x = _points(3, D)
    function = tf.function(forward, autograph=False)
    graph = function.get_concrete_function(x).graph
    assert len(graph.get_operations()) < 120
    y, _ = function(x)
    np.testing.assert_allclose(inverse(y), x, atol=1e-10)


# Bad input.


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([1.0, 1.0, 1.0], "`mask` must hold a zero and a one at least"),
        ([0.0, 0.0, 0.0], "`mask` must hold a zero and a one at least"),
        ([0.5, 1.0, 0.0], "`mask` must hold zeros .* and ones .* alone; got"),
        (
            [1.0],
            r"`mask` must have shape \[\.\.\., D\] with D >= 2; got \(1,\)",
        ),
        (1.0, r"`mask` must have shape \[\.\.\., D\] with D >= 2; got \(\)"),
    ],
)
def test_bad_mask(mask, message):
    with pytest.raises(ValueError, match=message):
        AdditiveCoupling(lambda x: x, mask=mask)


@pytest.mark.parametrize("name", COUPLINGS)
def test_bad_input(name):
    coupling, sizes = COUPLINGS[name]
    weights = _weights(sizes)
    message = r"declares, \['bias_0', .*\]; got \['kernel_0'\]"
    with pytest.raises(ValueError, match=message):
        coupling(CONDITIONER, {"kernel_0": weights["kernel_0"]})
    with pytest.raises(TypeError, match="`conditioner` must be a Conditioner"):
        coupling("net")
    message = "`x` must have at least 2 coordinates"
    with pytest.raises(ValueError, match=message):
        coupling(lambda x: x).forward(tf.ones([3, 1]))
    outputs = sizes[1]
    message = rf"`conditioner` must return outputs \[\.\.\., {outputs}\]; got"
    with pytest.raises(ValueError, match=message):
        coupling(lambda x: tf.ones([3, outputs + 1])).forward(tf.ones([3, D]))
    variable = keras.Variable(weights["kernel_0"].numpy().astype("float32"))
    with pytest.raises(TypeError, match="`kernel_0` must not be a keras.Varia"):
        coupling(CONDITIONER, {**weights, "kernel_0": variable})


@pytest.mark.parametrize("name", MASKED)
def test_events_that_do_not_fit_the_mask(name):
    coupling, sizes = COUPLINGS[name]
    flow = coupling(CONDITIONER, _weights(sizes), mask=[1.0, 0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"must have shape \[\.\.\., 5\]"):
        flow.forward(_points(3, 4))


@pytest.mark.parametrize(
    ("coupling", "name"),
    [
        (AffineCoupling, "max_log_scale"),
        (DataAdaptiveConvolution, "max_log_magnitude"),
        (ConvolutionCoupling, "max_log_magnitude"),
        (ConvolutionCoupling, "max_log_scale"),
        (ConvolutionCoupling, "max_exponent"),
    ],
)
@pytest.mark.parametrize("bound", [0.0, -1.0, float("inf")])
def test_bad_bound(coupling, name, bound):
    message = f"`{name}` must be positive and finite; got"
    with pytest.raises(ValueError, match=message):
        coupling(lambda x: x, **{name: bound})


def test_wrong_number_of_slopes():
    flow = ConvolutionCoupling(
        lambda x: tf.zeros([3, 6]), unconstrained_slope=[0.0, 0.0, 0.0]
    )
    with pytest.raises(
        ValueError, match=r"`unconstrained_slope` .* \[\.\.\., 2"
    ):
        flow.forward(tf.ones([3, D]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"hidden_units": (4, 0)},
            "`hidden_units` must be a sequence of",
        ),
        (
            {"hidden_units": (4.0,)},
            "`hidden_units` must be a sequence of",
        ),
        (
            {"activation": "sine"},
            "`activation` must be one of elu, gelu, .*sine",
        ),
    ],
)
def test_bad_conditioner(arguments, message):
    with pytest.raises(ValueError, match=message):
        MLPConditioner(**arguments)
