"""Scan composes the members of a bijector; the kit tests the rest."""

import gc
import os

import numpy as np
import psutil
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import Planar, Radial, Scan

tfb = tfp.bijectors
tfd = tfp.distributions

K, B, D = 3, 4, 2


def _normal(*shape, seed=0):
    return tf.constant(np.random.default_rng([seed, *shape]).normal(size=shape))


def _planar(*batch, **kwargs):
    return Planar(
        _normal(*batch, D),
        _normal(*batch, D, seed=1),
        _normal(*batch),
        **kwargs,
    )


def _radial(*batch):
    return Radial(
        _normal(*batch, D), _normal(*batch, seed=1), _normal(*batch, seed=2)
    )


MEMBERS = {
    "planar, shared": lambda: _planar(K),
    "planar, amortized": lambda: _planar(K, B),
    "planar, partly shared": lambda: Planar(
        _normal(K, 1, D), _normal(K, B, D), _normal(K, 1)
    ),
    "radial, amortized": lambda: _radial(K, B),
    "one member": lambda: _planar(1, B),
    "a chain with TFP's own": lambda: tfb.Chain(
        [_planar(K, B), tfb.Invert(_radial(K, B)), tfb.Scale(_normal(K, B, D))]
    ),
    "a chain with a parameterless part": lambda: tfb.Chain(
        [_planar(K), tfb.Softplus()]
    ),
    "inverted": lambda: tfb.Invert(_planar(K, B)),
    "TFP's own": lambda: tfb.ScaleMatvecTriL(
        tf.linalg.set_diag(
            tf.linalg.band_part(_normal(K, D, D), -1, 0), 1 + _normal(K, D) ** 2
        )
    ),
}


# The others are left to the slow run.
DEFAULT = ("planar, amortized",)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[] if n in DEFAULT else [pytest.mark.slow])
        for n in MEMBERS
    ],
)
def test_equals_the_chain_of_its_members(name, direction):
    """Value, log-det and every gradient; eager, graph and XLA."""
    members = MEMBERS[name]()
    num_members = Scan(members).num_members
    tensors = [
        t
        for t in tf.nest.flatten(members, expand_composites=True)
        if t.dtype == tf.float64
    ]
    x = _normal(7, B, D, seed=9)
    if name == "a chain with a parameterless part" and direction == "inverse":
        x = Scan(members).forward(x)

    def run(rolled, x):
        with tf.GradientTape() as tape:
            tape.watch([x, *tensors])
            if rolled:
                bijector = Scan(members)
            else:  # Chain applies the last bijector of its list first.
                bijector = tfb.Chain(
                    [members[k] for k in reversed(range(num_members))]
                )
            y = getattr(bijector, direction)(x)
            log_det = getattr(bijector, f"{direction}_log_det_jacobian")(x, 1)
            # TFP returns one number where the log-det is constant.
            log_det = tf.broadcast_to(log_det, y.shape[:-1])
            loss = tf.reduce_sum(tf.sin(y)) + tf.reduce_sum(log_det**2)
        return [y, log_det, *tape.gradient(loss, [x, *tensors])]

    expected = run(False, tf.identity(x))

    @tf.function(autograph=False)
    def in_graph(x):
        return run(True, x)

    @tf.function(autograph=False, jit_compile=True)
    def compiled(x):
        return run(True, x)

    for mode in (lambda x: run(True, x), in_graph, compiled):
        for got, want in zip(mode(tf.identity(x)), expected, strict=True):
            if want is None:  # an integer in a parameterless part
                continue
            scale = np.abs(want).max()
            np.testing.assert_allclose(got, want, atol=1e-10 * scale)


@pytest.mark.parametrize(
    "num_members", [1, pytest.param(128, marks=pytest.mark.slow)]
)
def test_round_trip_at_the_ends_of_the_range(num_members):
    flow = Scan(
        Planar(
            0.3 * _normal(num_members, D),
            _normal(num_members, D, seed=1),
            _normal(num_members),
        )
    )
    x = _normal(20, D)
    back = Scan(flow.bijector).inverse(tf.identity(flow.forward(x)))
    np.testing.assert_allclose(back, x, atol=1e-9)


def test_graph_does_not_grow_with_the_number_of_members():
    def num_operations(num_members):
        flow = Scan(_planar(num_members))
        graph = tf.function(flow.forward).get_concrete_function(
            tf.TensorSpec([2, D], tf.float64)
        )
        return len(graph.graph.as_graph_def().node) + sum(
            len(f.node_def) for f in graph.graph.as_graph_def().library.function
        )

    assert num_operations(3) == num_operations(100)


def test_value_and_log_det_take_one_loop():
    flow = Scan(_planar(K))

    @tf.function
    def both(x):
        return flow.forward(x), flow.forward_log_det_jacobian(x, 1)

    graph = both.get_concrete_function(tf.TensorSpec([2, D], tf.float64)).graph
    loops = [op for op in graph.get_operations() if "While" in op.type]
    assert len(loops) == 1


@pytest.mark.parametrize(
    "jit_compile", [pytest.param(False, marks=pytest.mark.slow), True]
)
def test_without_a_gradient_memory_holds_one_state(jit_compile):
    """64 members on a state of 64 MB: keeping the states would take 4 GB."""
    num_members, num_rows, size = 64, 2**18, 64
    shape = [num_members, size]
    flow = Scan(
        Planar(tf.fill(shape, 0.01), tf.fill(shape, 0.1), tf.zeros([64]))
    )

    @tf.function(jit_compile=jit_compile)
    def run():
        y = flow.forward(tf.ones([num_rows, size]))
        return tf.reduce_mean(y), tf.reduce_mean(
            flow.forward_log_det_jacobian(tf.ones([num_rows, size]), 1)
        )

    run.get_concrete_function()
    gc.collect()
    process = psutil.Process(os.getpid())
    before = process.memory_info().rss
    run()
    # The high-water mark cannot be reset; the peak shows in /proc.
    with open("/proc/self/status", encoding="ascii") as status:
        peak = next(
            int(line.split()[1]) * 1024
            for line in status
            if line.startswith("VmHWM")
        )
    assert peak - before < 2e9


def test_a_gradient_asked_for_outside_the_function_is_right():
    """Then the states were not kept, and the backward pass makes them."""
    members = _planar(K)
    flow = Scan(members)
    forward = tf.function(flow.forward)
    x = _normal(6, D)
    forward(x)  # traced without a tape
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        kept = tf.reduce_sum(tf.sin(Scan(members).forward(x)))
        made = tf.reduce_sum(tf.sin(forward(x)))
    np.testing.assert_allclose(
        tape.gradient(made, x), tape.gradient(kept, x), rtol=1e-12
    )


def test_second_derivatives_equal_those_of_the_chain():
    members = _planar(K)
    x = _normal(2, D)

    def hessian_vector(bijector):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = bijector.inverse(x)
                loss = tf.reduce_sum(y**3) + tf.reduce_sum(
                    bijector.inverse_log_det_jacobian(x, 1)
                )
            gradient = inner.gradient(loss, x)
            projected = tf.reduce_sum(gradient * _normal(2, D, seed=5))
        return outer.gradient(projected, x)

    class Composed:
        """The members one by one; a Chain would answer from its cache."""

        parts = [members[k] for k in range(K)]

        def inverse(self, y):
            for part in reversed(self.parts):
                y = part.inverse(y)
            return y

        def inverse_log_det_jacobian(self, y, event_ndims):
            total = 0.0
            for part in reversed(self.parts):
                total += part.inverse_log_det_jacobian(y, event_ndims)
                y = part.inverse(y)
            return total

    expected = hessian_vector(Composed())
    np.testing.assert_allclose(
        hessian_vector(Scan(members)), expected, rtol=1e-7
    )


def test_slicing_slices_the_batch_axes_behind_the_members():
    flow = Scan(_planar(K, B))
    x = _normal(B, D, seed=3)
    assert flow.experimental_batch_shape() == [B]
    np.testing.assert_allclose(flow[1].forward(x[1]), flow.forward(x)[1])
    np.testing.assert_allclose(flow[1:3].forward(x[1:3]), flow.forward(x)[1:3])
    np.testing.assert_allclose(
        flow[..., tf.newaxis].forward(x[:, tf.newaxis]),
        flow.forward(x)[:, tf.newaxis],
    )
    assert flow[1].num_members == K


@pytest.mark.slow
def test_trainable_members_train_and_are_reported():
    flow = Scan(
        tfp.experimental.util.make_trainable(
            Planar, batch_and_event_shape=[4, 2], seed=(1, 2)
        )
    )
    assert [v.shape.rank for v in flow.trainable_variables] == [2, 2, 1]
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(2)), flow
    )
    y = tf.constant([[2.0, 1.0], [1.5, 3.0]])
    losses = []
    for _ in range(30):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(q.log_prob(y))
        gradients = tape.gradient(loss, flow.trainable_variables)
        for variable, gradient in zip(
            flow.trainable_variables, gradients, strict=True
        ):
            variable.assign_sub(0.05 * gradient)
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.1


def test_unknown_batch_sizes():
    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, D], tf.float64),
            tf.TensorSpec([None, None, D], tf.float64),
        ]
    )
    def run(u, x):
        flow = Scan(Planar(u, u + 1.0, u[..., 0]))
        y = flow.forward(x)
        with tf.GradientTape() as tape:
            tape.watch(u)
            loss = tf.reduce_sum(Scan(Planar(u, u + 1, u[..., 0])).forward(x))
        return y, tape.gradient(loss, u), flow.num_members

    u, x = _normal(K, B, D), _normal(7, B, D)
    y, gradient, num_members = run(u, x)
    assert num_members == K
    assert gradient.shape == u.shape
    np.testing.assert_allclose(
        y, Scan(Planar(u, u + 1.0, u[..., 0])).forward(x)
    )


class _Opaque(tfb.Bijector):
    """A bijector of a user who declares nothing."""

    def __init__(self):
        super().__init__(
            forward_min_event_ndims=1,
            parameters={"network": tf.Module()},
            name="opaque",
        )


REFUSED = {
    "not a bijector": (
        lambda: 3.0,
        TypeError,
        r"`bijector` must be a tfb.Bijector .*; got float",
    ),
    "K = 0": (
        lambda: Planar(np.zeros([0, 2]), np.zeros([0, 2]), np.zeros(0)),
        ValueError,
        r"at least one member, K >= 1; got `u` of Planar with shape \(0, 2\)",
    ),
    "no leading axis": (
        lambda: _planar(),
        ValueError,
        r"parameters of shape \[K, \.\.\.\].*got `u` of Planar with shape",
    ),
    "one without the leading axis": (
        lambda: Planar(_normal(K, D), _normal(K, D), _normal()),
        ValueError,
        r"one leading axis K = 3.*; got `b` of Planar with shape \(\)",
    ),
    "another K": (
        lambda: tfb.Chain([_planar(K), _planar(K + 1)]),
        ValueError,
        r"one leading axis K = 3.*; got `u` of Planar with shape \(4, 2\)",
    ),
    "batch axes differ": (
        lambda: Planar(_normal(K, B, D), _normal(1, D), _normal(K, 1)),
        ValueError,
        r"and 2 batch axes in all.*; got `w` of Planar with shape \(1, 2\)",
    ),
    "no parameters": (
        lambda: tfb.Softplus(),
        ValueError,
        r"parameters of shape \[K, \.\.\.\]; got Softplus without any",
    ),
    "a network": (
        lambda: tfb.RealNVP(
            num_masked=1, bijector_fn=lambda x, n: tfb.Shift(x)
        ),
        TypeError,
        "nothing but declared tensor parameters .*; got RealNVP",
    ),
    "undeclared": (
        lambda: _Opaque(),
        TypeError,
        "; got _Opaque with `network`",
    ),
    "a Scan": (
        lambda: Scan(_planar(K, B)),
        TypeError,
        "must not hold a Scan, which is rolled already",
    ),
    "another event rank": (
        lambda: tfb.Reshape([D, 1], [D]),
        ValueError,
        "must keep the rank of an event; got Reshape from 1 to 2",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    make, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        Scan(make())


def test_events_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"`x` must have shape \[\.\.\., 2\]"):
        Scan(_planar(K)).forward(tf.zeros([2, 1], tf.float64))
