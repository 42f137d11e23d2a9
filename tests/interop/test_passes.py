"""One pass per evaluation, at one end, with the derivatives of what is asked.

TFP's `log_prob` asks for the log-det at the x that `inverse` returned. Mapped
anew from there, long flows in float32 end nats away.
"""

import collections
import contextlib
import functools
import gc
import threading
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.interop.flows import TOLERANCE, assert_close, compiled
from tests.layers.flows import LAYERS
from tfp_flows.bijectors import (
    AffineCoupling,
    Scan,
    SLog,
    density_gradients,
    forward_and_log_det,
    inverse_and_log_det,
)

tfb, tfd = tfp.bijectors, tfp.distributions

EVENT_SIZE = 4
KINDS = (
    ("planar", False),
    pytest.param("sylvester_triangular", True, marks=pytest.mark.slow),
    ("iaf", False),
    pytest.param("maf", True, marks=pytest.mark.slow),
    pytest.param("naf", False, marks=pytest.mark.slow),
    ("spline_autoregressive", True),
)
FORWARD, INVERSE = {"forward": 1}, {"inverse": 1}
# Float32 sums in another order.
ROUNDING = {"rtol": 1e-5, "atol": 2e-5}


@pytest.fixture
def passes(monkeypatch):
    """Counts the passes of `Scan`s, by direction."""
    found = collections.Counter()

    def counted(direction, function):
        def count(*args):
            found[direction] += 1
            return function(*args)

        return count

    for direction in ("forward", "inverse"):
        name = f"_{direction}_and_log_det"
        function = counted(direction, getattr(Scan, name))
        monkeypatch.setattr(Scan, name, function)
    return found


def _flow(kind="spline_autoregressive", inverted=False, num_flow_steps=2):
    """The frozen bijector of a layer, away from the identity."""
    layer = LAYERS[kind](num_flow_steps, seed=0, inverted=inverted)
    layer.build((None, EVENT_SIZE))
    rng = np.random.default_rng(0)
    for weight in layer.trainable_weights:
        weight.assign(weight + 0.2 * rng.normal(size=weight.shape))
    return layer.frozen_bijector()


def _points(*batch_shape, seed=7):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(*batch_shape, EVENT_SIZE))
    return tf.constant(points.astype("float32"))


def _base(*batch_shape, size=EVENT_SIZE):
    return tfd.MultivariateNormalDiag(
        tf.zeros([*batch_shape, size]), tf.ones([size])
    )


def _transformed(bijector, base=None):
    return tfd.TransformedDistribution(base or _base(), bijector)


@pytest.mark.parametrize(("kind", "inverted"), KINDS)
def test_one_pass_for_each_evaluation(kind, inverted, passes):
    flow = _flow(kind, inverted)
    q = _transformed(flow)
    y = 0.5 * _points(5)
    by_hand = q.distribution.log_prob(flow.inverse(y))
    by_hand += flow.inverse_log_det_jacobian(y, 1)
    there, back = (INVERSE, FORWARD) if inverted else (FORWARD, INVERSE)

    def draw():
        return q.experimental_sample_and_log_prob(5, seed=(1, 2))[1]

    def find_the_way_back():
        return q.log_prob(q.sample(5, seed=(1, 2)))

    at_samples = draw()
    for mode in ("eager", "graph"):
        for function, expected_passes, expected in (
            (lambda: q.log_prob(y), back, by_hand),
            (draw, there, at_samples),
            (find_the_way_back, there, at_samples),
        ):
            passes.clear()
            found = compiled(function, mode)()
            assert passes == expected_passes, mode
            np.testing.assert_allclose(found, expected, **ROUNDING)


@pytest.mark.slow
def test_a_long_flow_in_float32_is_the_same_in_all_modes():
    flow = _flow(inverted=True, num_flow_steps=24)
    q = _transformed(flow, tfd.Independent(tfd.Normal(tf.zeros(4), 9.0), 1))
    y = 3.0 * _points(50)
    by_hand = q.distribution.log_prob(flow.inverse(y))
    by_hand += flow.inverse_log_det_jacobian(y, 1)
    for mode in ("eager", "graph", "xla"):
        np.testing.assert_allclose(
            compiled(q.log_prob, mode)(y), by_hand, 3e-5, 1e-4, err_msg=mode
        )


def _two(base):
    return tfd.JointDistributionSequential([base, base])


WRAPPINGS = {
    "chain": lambda flow: _transformed(
        tfb.Chain([tfb.Scale(2.0), flow, tfb.Shift(1.0)])
    ),
    "invert": lambda flow: _transformed(tfb.Invert(tfb.Invert(flow))),
    "reshape": lambda flow: _transformed(
        tfb.Chain([tfb.Reshape([2, 2], [EVENT_SIZE]), flow])
    ),
    "joint_map": lambda flow: _transformed(
        tfb.JointMap([flow, tfb.Exp()]), _two(_base())
    ),
    "blockwise": lambda flow: _transformed(
        tfb.Blockwise([tfb.Exp(), flow], block_sizes=[1, EVENT_SIZE]),
        _base(size=1 + EVENT_SIZE),
    ),
    "transformed": lambda flow: _transformed(
        tfb.Exp(), _transformed(flow, _base())
    ),
    "mixture": lambda flow: tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.3, 0.7]), _transformed(flow, _base(2))
    ),
    "independent": lambda flow: tfd.Independent(
        _transformed(flow, _base(3)), 1
    ),
    "sample": lambda flow: tfd.Sample(_transformed(flow), 3),
    "batch_reshape": lambda flow: tfd.BatchReshape(
        _transformed(flow, _base(2)), [2, 1]
    ),
    "batch_broadcast": lambda flow: tfd.BatchBroadcast(_transformed(flow), [3]),
    "slice": lambda flow: _transformed(flow, _base(2))[0],
    "copy": lambda flow: _transformed(flow).copy(validate_args=True),
}


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("is_inverted", [False, True])
def test_value_and_log_det_of_one_pass(is_inverted, mode, passes):
    """Through chains and inverses, of other bijectors and event ranks too."""
    flow = Scan(SLog(_points(2)))
    if is_inverted:
        flow = tfb.Invert(flow)
    parts = [tfb.Reshape([2, 2], [EVENT_SIZE]), tfb.Chain([tfb.Exp(), flow])]
    chain = tfb.Chain([*parts, tfb.Invert(tfb.Scale([1.0, 2.0, 3.0, 4.0]))])
    x = 0.5 * _points(5)

    @functools.partial(compiled, mode=mode)
    def evaluate(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, log_det = forward_and_log_det(chain, x)
        return y, log_det, tape.gradient([y, log_det], x)

    passes.clear()
    y, log_det, gradient = evaluate(x)
    assert passes == (INVERSE if is_inverted else FORWARD)
    with tf.GradientTape() as tape:
        tape.watch(x)
        expected = chain.forward(x), chain.forward_log_det_jacobian(x, 1)
    for found, one in zip((y, log_det), expected, strict=True):
        np.testing.assert_allclose(found, one, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gradient, tape.gradient(expected, x), 1e-5, 1e-6)
    # Of more event axes than the bijector has: its log-dets are added up.
    _, log_det = forward_and_log_det(flow, x, event_ndims=2)
    np.testing.assert_allclose(
        log_det, flow.forward_log_det_jacobian(x, 2), rtol=1e-6
    )


def test_inverse_and_log_det_of_one_pass(passes):
    flow = Scan(SLog(_points(2)))
    chain = tfb.Chain([tfb.Exp(), tfb.Invert(flow)])
    y = tf.exp(0.5 * _points(5))
    passes.clear()
    x, log_det = inverse_and_log_det(chain, y)
    assert passes == FORWARD
    np.testing.assert_allclose(x, chain.inverse(y), rtol=1e-6)
    expected = chain.inverse_log_det_jacobian(y, 1)
    np.testing.assert_allclose(log_det, expected, rtol=1e-5)


def test_density_gradients_take_one_pass_each_way(passes):
    """Of an inverted flow, which is differentiated through its inverse."""
    flow = tfb.Invert(Scan(SLog(_points(2))))
    x = _points(5)
    passes.clear()
    y, gradient = density_gradients.push(flow, x, -x)
    assert passes == {"inverse": 1, "forward": 1}
    with tf.GradientTape() as tape:
        tape.watch(y)
        log_prob = _transformed(flow).log_prob(tf.identity(y))
    np.testing.assert_allclose(gradient, tape.gradient(log_prob, y), rtol=1e-4)


@pytest.mark.parametrize("is_rolled", [False, True])
def test_density_gradients_refuse_an_inverse_without_a_gradient(is_rolled):
    class Stopped(tfb.Shift):
        def _inverse(self, y):
            return tf.stop_gradient(super()._inverse(y))

    class Missing(tfb.Shift):
        def _inverse(self, y):
            raise NotImplementedError("inverse not implemented")

    x = _points(5)
    for kind, got in ((Stopped, "one without a gradient"), (Missing, "none")):
        flow = kind(_points(2) if is_rolled else _points())
        with pytest.raises(ValueError, match=f"got {got} of {kind.__name__}"):
            density_gradients.push(Scan(flow) if is_rolled else flow, x, -x)


def test_the_way_back_from_an_image_of_one_pass_is_short(passes):
    flow, x = Scan(SLog(_points(2))), _points(5)
    y, log_det = forward_and_log_det(flow, x)
    np.testing.assert_array_equal(flow.inverse(y), x)
    np.testing.assert_array_equal(flow.inverse_log_det_jacobian(y, 1), -log_det)
    assert passes == FORWARD


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_one_pass_inside(wrapping, passes):
    q = WRAPPINGS[wrapping](Scan(SLog(_points(2))))
    y = tf.nest.map_structure(tf.identity, q.sample(5, seed=(1, 2)))
    q.log_prob(y)  # what TFP asks once
    y = tf.nest.map_structure(tf.identity, y)  # TFP's own cache is stale.
    passes.clear()
    with tf.GradientTape() as tape:
        tape.watch(y)
        eager = q.log_prob(y)
    assert passes == INVERSE
    eager = eager, *tf.nest.flatten(tape.gradient(eager, y))

    @tf.function(autograph=False)
    def evaluate(y):
        with tf.GradientTape() as tape:
            tape.watch(y)
            log_prob = q.log_prob(y)
        return log_prob, *tf.nest.flatten(tape.gradient(log_prob, y))

    for found, expected in zip(eager, evaluate(y), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_an_opaque_conditioner_is_called_once(mode):
    kernel, calls = tf.Variable(tf.ones([EVENT_SIZE, 2])), []

    def conditioner(x):
        calls.append(1)
        return tf.tanh(x @ kernel) @ tf.ones([2, 8])

    mask = np.array([1.0, 1.0, 0.0, 0.0], np.float32)
    q = _transformed(AffineCoupling(conditioner, mask=mask))
    y = _points(5)
    for function in (
        lambda: q.log_prob(y),
        lambda: q.experimental_sample_and_log_prob(5, seed=(1, 2)),
    ):
        calls.clear()
        compiled(function, mode)()
        assert len(calls) == 1


BASE = tfd.MultivariateNormalDiag(np.zeros(2), np.ones(2))


def _gate(*batch_shape):
    """A cheap map, and the variable that it reads."""
    rng = np.random.default_rng(0)
    slope = tf.Variable(rng.normal(size=(*batch_shape, 2)))
    return SLog(slope), slope


def _scan():
    gates, slopes = _gate(3)
    return Scan(gates), slopes


def _coupling():
    """One with an opaque conditioner, and the variable that it reads."""
    kernel = tf.Variable(np.ones([1, 4]))
    mask = np.array([1.0, 0.0])
    return AffineCoupling(lambda x: x[..., :1] @ kernel, mask=mask), kernel


def _at(seed=7):
    return tf.constant(np.random.default_rng(seed).normal(size=(4, 2)))


# Four calls that TFP's cache, or ours, might answer by another's pass.
def _inverse_then_fldj(flow, z, between):
    x = flow.inverse(z)
    return x, between(x, lambda: flow.forward_log_det_jacobian(x, 1))


def _forward_then_ildj(flow, z, between):
    y = flow.forward(z)
    return y, between(y, lambda: flow.inverse_log_det_jacobian(y, 1))


def _forward_then_inverse(flow, z, between):
    y = flow.forward(z)
    return y, between(y, lambda: flow.inverse(y))


def _forward_then_fldj(flow, z, between):
    flow.forward(z)
    return z, between(z, lambda: flow.forward_log_det_jacobian(z, 1))


def _fldj_then_forward(flow, z, between):
    flow.forward_log_det_jacobian(z, 1)
    return z, between(z, lambda: flow.forward(z))


def _sample_then_log_prob(flow, z, between):
    q = _transformed(flow, BASE)
    y = q.sample(4, seed=(1, 2))
    return y, between(y, lambda: q.log_prob(y))


FUNCTIONS = {
    _inverse_then_fldj: lambda flow, x: flow.forward_log_det_jacobian(x, 1),
    _forward_then_ildj: lambda flow, y: flow.inverse_log_det_jacobian(y, 1),
    _forward_then_inverse: lambda flow, y: flow.inverse(y),
    _forward_then_fldj: lambda flow, x: flow.forward_log_det_jacobian(x, 1),
    _fldj_then_forward: lambda flow, x: flow.forward(x),
    _sample_then_log_prob: lambda flow, y: _transformed(flow, BASE).log_prob(y),
}


def _call(calls, flow, point):
    """The second of the calls, at a point that no cache knows."""
    return lambda: FUNCTIONS[calls](flow, point)


def _under_a_tape(point, call):
    with tf.GradientTape() as tape:
        tape.watch(point)
        return tape, call()


def _one_tape(calls, flow, z):
    with tf.GradientTape() as tape:
        tape.watch(z)
        return calls(flow, z, lambda point, call: (tape, call()))


def _begun_between(calls, flow, z):
    return calls(flow, z, _under_a_tape)


def _nested(calls, flow, z):
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        return calls(flow, z, _under_a_tape)


def _one_after_the_other(calls, flow, z):
    first = contextlib.ExitStack()
    first.enter_context(tf.GradientTape()).watch(z)

    def between(point, call):
        first.close()
        return _under_a_tape(point, call)

    return calls(flow, z, between)


TAPES = (_one_tape, _begun_between, _nested, _one_after_the_other)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("tapes", TAPES)
@pytest.mark.parametrize("make", [_gate, _coupling])
def test_derivatives_are_those_of_the_call(make, tapes, mode):
    flow, variable = make()

    def evaluate():
        found = []
        for calls in FUNCTIONS:
            point, (tape, value) = tapes(calls, flow, _at())
            gradients = tape.gradient(value, [point, variable])
            found.append((point, value, *gradients))
        return found

    for calls, found in zip(FUNCTIONS, compiled(evaluate, mode)(), strict=True):
        point = tf.constant(found[0].numpy())
        tape, value = _under_a_tape(point, _call(calls, flow, point))
        expected = point, value, *tape.gradient(value, [point, variable])
        if tapes is _one_tape:  # It has seen what the point depends on, too.
            found, expected = found[:-1], expected[:-1]
        assert_close(found, expected, calls.__name__)


def test_forward_mode_derivatives_are_those_of_the_call():
    flow, _ = _gate()
    ones = tf.ones_like(_at())

    def product(point, call):
        with tf.autodiff.ForwardAccumulator(point, ones) as accumulator:
            value = call()
        return accumulator.jvp(value)

    for calls in FUNCTIONS:
        point, found = calls(flow, _at(), product)
        point = tf.constant(point.numpy())
        expected = product(point, _call(calls, flow, point))
        assert_close(found, expected, calls.__name__)


def test_a_call_inside_stop_recording_is_a_constant():
    flow, slopes = _gate()
    for calls in FUNCTIONS:
        z = _at()
        with tf.GradientTape() as tape:
            tape.watch(z)

            def between(point, call):
                with tape.stop_recording():
                    return call()

            _, value = calls(flow, z, between)
            value = tf.reduce_sum(value)
        assert tape.gradient(value, [z, slopes]) == [None] * 2


def test_gradients_of_an_own_sample_are_those_of_the_noise():
    """Through the sample and the density, as variational inference does."""
    flow, slopes = _scan()
    q = _transformed(flow, BASE)

    def evaluate(draw):
        with tf.GradientTape() as tape:
            y, log_prob = draw()
            loss = tf.reduce_sum(log_prob) + tf.reduce_sum(tf.square(y))
        return loss, tape.gradient(loss, slopes)

    def by_inverse():
        y = q.sample(4, seed=(1, 2))
        return y, q.log_prob(y)

    expected = evaluate(
        lambda: q.experimental_sample_and_log_prob(4, seed=(1, 2))
    )
    for mode in ("eager", "graph"):
        found = compiled(lambda: evaluate(by_inverse), mode)()
        assert_close(found, expected)


def test_hessians_of_an_eager_log_prob():
    flow, _ = _scan()
    q, y = _transformed(flow, BASE), _at()[0]

    def gradient(y):
        with tf.GradientTape() as tape:
            tape.watch(y)
            log_prob = q.log_prob(y)
        return tape.gradient(log_prob, y)

    with tf.GradientTape(persistent=True) as tape:
        tape.watch(y)
        slope = gradient(y)
    hessian = tape.jacobian(slope, y, experimental_use_pfor=False)
    step = 1e-5
    moved = [gradient(y + step * e) - gradient(y - step * e) for e in np.eye(2)]
    np.testing.assert_allclose(hessian, np.array(moved) / (2 * step), atol=1e-6)


def _variable():
    flow, slope = _gate()
    return flow, lambda: slope.assign(2.0 * slope)


def _transformed_variable():
    slope = tfp.util.TransformedVariable(np.ones(2), tfb.Exp())
    return SLog(slope), lambda: slope.assign(2.0 * slope)


def _deferred():
    """A function of a variable that nobody tracks."""
    hidden = tf.Variable(np.float64(1.0))
    slope = tfp.util.DeferredTensor(
        tf.ones([2], tf.float64), lambda slope: slope * hidden
    )
    return SLog(slope), lambda: hidden.assign(2.0)


def _opaque():
    kernel = tf.Variable(np.ones([1, 4]), trainable=False)
    flow = AffineCoupling(
        lambda x: x[..., :1] @ kernel, mask=np.array([1.0, 0.0])
    )
    return flow, lambda: kernel.assign(2.0 * kernel)


def _keras_layer():
    layer = keras.layers.Dense(4, dtype="float64")
    layer.build((None, 1))
    kernel = layer.kernel
    flow = AffineCoupling(
        lambda x: layer(x[..., :1]), mask=np.array([1.0, 0.0])
    )
    return flow, lambda: kernel.assign(2.0 * kernel)


def _python_side():
    """Eagerly, a changed closure counts too; a graph has seen the first."""
    scale = [1.0]
    flow = AffineCoupling(
        lambda x: scale[0] * tf.concat([x, x], -1),
        mask=np.array([1.0, 0.0]),
    )
    return flow, lambda: scale.__setitem__(0, 2.0)


HOLDERS = (_variable, _transformed_variable, _deferred, _opaque, _keras_layer)


@pytest.mark.parametrize(
    ("holder", "mode"),
    [(_python_side, "eager")]
    + [(h, mode) for h in HOLDERS for mode in ("eager", "graph")],
)
def test_a_call_after_a_change_is_new(holder, mode):
    flow, change = holder()

    def evaluate(calls):
        def between(point, call):
            change()
            return call(), FUNCTIONS[calls](flow, tf.identity(point))

        # Under a tape, where a graph makes more of what it knows.
        with tf.GradientTape():
            return calls(flow, _at(), between)[1]

    for found, fresh in compiled(
        lambda: [evaluate(calls) for calls in FUNCTIONS], mode
    )():
        assert_close(found, fresh)


def test_an_image_of_one_point_under_many_flows_goes_back_in_its_shape():
    flow, _ = _gate(5)
    x = _at()[0]

    def evaluate():
        y = flow.forward(x)
        with tf.GradientTape() as tape:
            tape.watch(y)
            back = flow.inverse(y)
        return y, back, tape.gradient(back, y)

    for mode in ("eager", "graph"):
        y, back, gradient = compiled(evaluate, mode)()
        assert y.shape == back.shape == gradient.shape == [5, 2]
        np.testing.assert_allclose(back, [x] * 5, atol=TOLERANCE)


def test_one_pass_refuses_another_dtype_and_takes_an_empty_chain():
    flow = SLog(tf.zeros([EVENT_SIZE]))
    x = tf.ones([2, EVENT_SIZE], tf.float64)
    with pytest.raises(ValueError, match="requested dtype float32"):
        forward_and_log_det(flow, x)
    np.testing.assert_array_equal(
        forward_and_log_det(flow, x.numpy())[0], flow.forward(x.numpy())
    )
    y, log_det = forward_and_log_det(tfb.Chain([]), x)
    np.testing.assert_array_equal(y, x)
    assert log_det.dtype == x.dtype
    assert not log_det


def test_nothing_is_kept_of_what_is_gone():
    flow, slopes = _scan()
    q = _transformed(flow, BASE)

    def use(flow, q):
        with tf.GradientTape() as tape:
            y, log_prob = q.experimental_sample_and_log_prob(4, seed=(1, 2))
            log_prob += q.log_prob(y)
        tape.gradient(log_prob, slopes)
        z = flow.inverse(flow.forward(flow.inverse(y)))
        return [weakref.ref(tensor) for tensor in (y, log_prob, z)]

    references = use(flow, q)
    gc.collect()
    assert [reference() for reference in references] == [None] * 3
    before = len(gc.get_objects())
    for _ in range(4):
        use(flow, q)
    gc.collect()
    assert len(gc.get_objects()) - before < 4

    # An orbit keeps its last points only.
    x = _at()
    references = []
    for _ in range(4):
        x = flow.forward(x)
        references.append(weakref.ref(x))
    gc.collect()
    assert [r() is None for r in references] == [True] * 3 + [False]
    reference = weakref.ref(flow)
    del flow, q
    gc.collect()
    assert reference() is None


def test_many_samples_hold_one_copy_of_the_parameters():
    flow, _ = _scan()
    samples = [flow.forward(_at(seed)) for seed in range(3)]
    held = {id(s._tfp_flows_origin.parameters) for s in samples}
    assert len(held) == 1


def test_threads_evaluate_the_same_points():
    flow, _ = _scan()
    q, y = _transformed(flow, BASE), _at()
    expected, found = q.log_prob(y), {}

    def evaluate(i):
        with tf.GradientTape() as tape:
            tape.watch(y)
            log_prob = q.log_prob(y)
        found[i] = log_prob, tape.gradient(log_prob, y)

    threads = [threading.Thread(target=evaluate, args=[i]) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        np.testing.assert_allclose(found[i][0], expected, atol=TOLERANCE)
        np.testing.assert_allclose(found[i][1], found[0][1], atol=TOLERANCE)
