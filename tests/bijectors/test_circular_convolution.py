"""What is particular to the circular convolutions; the kit tests the rest."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import (
    CircularConvolution,
    CircularConvolution2D,
    Scan,
    SLog,
)

tfb = tfp.bijectors

CLASSES = {1: CircularConvolution, 2: CircularConvolution2D}


def _normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def _circulant(kernel):
    """`C[i, n] = k[(i - n) mod N]`."""
    index = np.arange(len(kernel))
    return kernel[(index[:, np.newaxis] - index) % len(kernel)]


def test_a_value_computed_by_hand():
    """Half of each value, a quarter of each neighbour, and a bit of itself."""
    flow = CircularConvolution.from_kernel(np.array([0.6, 0.2, 0.0, 0.0, 0.2]))
    x = np.array([1.0, 0.0, 0.0, 0.0, 10.0])
    y = [0.6 + 2.0, 0.2, 0.0, 2.0, 6.0 + 0.2]
    np.testing.assert_allclose(flow.forward(x), y, atol=1e-14)
    response = 0.6 + 0.4 * np.cos(2 * np.pi * np.arange(5) / 5)
    np.testing.assert_allclose(
        flow.forward_log_det_jacobian(x, 1), np.log(response).sum()
    )
    np.testing.assert_allclose(flow.inverse(y), x, atol=1e-13)


def test_a_shift_is_a_kernel():
    """All the response is phase, and most of it beyond pi / 2."""
    for size in (4, 5):
        if size == 4:
            # A shift by 1 would have response -1 at half of an even size.
            kernel, steps = [0.0, 0.0, 1.0, 0.0], 2
        else:
            kernel, steps = [0.0, 0.0, 0.0, 1.0, 0.0], 3
        flow = CircularConvolution.from_kernel(np.array(kernel))
        x = _normal(3, size)
        y = np.roll(x, steps, axis=-1)
        np.testing.assert_allclose(flow.forward(x), y, atol=1e-14)
        np.testing.assert_allclose(flow.inverse(y), x, atol=1e-14)
        np.testing.assert_allclose(
            flow.forward_log_det_jacobian(x, 1), 0.0, atol=1e-14
        )


def test_an_image_wraps_around_both_edges():
    kernel = np.zeros([3, 4])
    kernel[0, 0], kernel[1, 3] = 1.0, 0.25
    flow = CircularConvolution2D.from_kernel(kernel)
    x = _normal(2, 3, 4)
    expected = x + 0.25 * np.roll(x, [1, 3], axis=[-2, -1])
    np.testing.assert_allclose(flow.forward(x), expected, atol=1e-14)
    np.testing.assert_allclose(flow.kernel, kernel, atol=1e-15)


@pytest.mark.parametrize("event_shape", [(6,), (7,), (3, 4)], ids=str)
def test_a_bare_stack_is_one_convolution(event_shape):
    """Its response is the product of the responses."""
    flow_class, axes = CLASSES[len(event_shape)], range(-len(event_shape), 0)
    members = flow_class(_normal(5, *event_shape))
    stack = Scan(members)
    response = np.fft.fftn(members.kernel, axes=axes).prod(axis=0)
    product = flow_class.from_kernel(
        np.fft.ifftn(response, axes=axes).real, max_log_magnitude=15.0
    )
    x = _normal(4, *event_shape, seed=1)
    n = len(event_shape)
    y = stack.forward(x)
    np.testing.assert_allclose(product.forward(x), y, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(stack.inverse(y), x, atol=1e-11)
    np.testing.assert_allclose(
        product.forward_log_det_jacobian(x, n),
        stack.forward_log_det_jacobian(x, n),
        rtol=1e-11,
    )


def test_with_s_log_in_between_no_convolution_does_the_same():
    size = 5
    flow = Scan(
        tfb.Chain(
            [SLog(_normal(3, size)), CircularConvolution(_normal(3, size))]
        )
    )
    x = _normal(50, size, seed=1)
    y = flow.forward(x).numpy()
    # The best of all kernels, and even of all matrices, in least squares.
    shifts = np.stack([_circulant(row) for row in x])
    kernel = np.linalg.lstsq(
        shifts.reshape(-1, size), y.reshape(-1), rcond=None
    )[0]
    errors = (
        shifts @ kernel - y,
        x @ np.linalg.lstsq(x, y, rcond=None)[0] - y,
    )
    for error in errors:
        assert np.sqrt(np.mean(error**2)) > 0.1 * np.std(y)
    # Without it, the same search finds the kernel.
    y = Scan(CircularConvolution(_normal(3, size))).forward(x).numpy()
    kernel = np.linalg.lstsq(
        shifts.reshape(-1, size), y.reshape(-1), rcond=None
    )[0]
    np.testing.assert_allclose(shifts @ kernel, y, atol=1e-12)


@pytest.mark.parametrize(
    "mode", ["eager", pytest.param("graph", marks=pytest.mark.slow), "xla"]
)
def test_a_rolled_chain_with_s_log_on_images(mode):
    """Value, log-det and gradients are those of the members in turn."""
    spectra, slopes = (
        tf.constant(_normal(3, 2, 4, 3, seed=s)) for s in range(2)
    )
    x = tf.constant(_normal(5, 2, 4, 3, seed=2))

    def run(x, spectra, slopes, rolled):
        with tf.GradientTape() as tape:
            tape.watch([x, spectra, slopes])
            if rolled:
                flow = Scan(
                    tfb.Chain([SLog(slopes), CircularConvolution2D(spectra)])
                )
            else:
                parts = []
                for k in range(3):
                    parts.append(CircularConvolution2D(spectra[k]))
                    parts.append(SLog(slopes[k]))
                flow = tfb.Chain(parts[::-1])
            y = flow.forward(x)
            fldj = flow.forward_log_det_jacobian(x, 2)
            back = flow.inverse(0.1 * x)
            loss = tf.reduce_sum(tf.sin(y)) + tf.reduce_sum(tf.sin(fldj))
            loss += tf.reduce_sum(tf.sin(back))
        return y, fldj, back, *tape.gradient(loss, [x, spectra, slopes])

    expected = run(x, spectra, slopes, False)
    assert expected[1].shape == [5, 2]
    if mode != "eager":
        run = tf.function(run, jit_compile=mode == "xla", autograph=False)
    for found, wanted in zip(
        run(x, spectra, slopes, True), expected, strict=True
    ):
        np.testing.assert_allclose(
            found, wanted, atol=1e-11 * np.abs(wanted).max()
        )


@pytest.mark.parametrize("event_shape", [(5,), (2, 4)], ids=str)
def test_amortized_parameters(event_shape):
    """`[B, ...]`, and `[K, B, ...]` in a Scan: one map for each example."""
    flow_class, n = CLASSES[len(event_shape)], len(event_shape)
    a = _normal(3, 4, *event_shape)
    x = _normal(6, 4, *event_shape, seed=1)
    single, stack = flow_class(a[0]), Scan(flow_class(a))
    assert single.experimental_batch_shape(n) == [4]
    assert stack.experimental_batch_shape(n) == [4]
    assert single.kernel.shape == (4, *event_shape)
    for flow, own in ((single, lambda b: a[0, b]), (stack, lambda b: a[:, b])):
        y, fldj = flow.forward(x), flow.forward_log_det_jacobian(x, n)
        assert fldj.shape == [6, 4]
        for b in range(4):
            alone = flow_class(own(b))
            alone = Scan(alone) if flow is stack else alone
            np.testing.assert_allclose(
                y[:, b], alone.forward(x[:, b]), atol=1e-13
            )
            np.testing.assert_allclose(
                fldj[:, b],
                alone.forward_log_det_jacobian(x[:, b], n),
                atol=1e-13,
            )


@pytest.mark.parametrize("event_shape", [(8,), (4, 3)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_parameters_stay_invertible(event_shape, dtype):
    flow_class = CLASSES[len(event_shape)]
    eps = np.finfo(dtype).eps
    for scale in (10.0, 1e4, 1e30):
        a = tf.constant((scale * _normal(4, *event_shape)).astype(dtype))
        x = tf.constant(_normal(4, *event_shape, seed=1).astype(dtype))
        with tf.GradientTape() as tape:
            tape.watch([a, x])
            flow = flow_class(a)
            y = flow.forward(x)
            loss = tf.reduce_sum(y) + tf.reduce_sum(flow.inverse(x))
        for gradient in tape.gradient(loss, [a, x]):
            assert np.isfinite(gradient).all()
        np.testing.assert_allclose(
            flow.inverse(tf.identity(y)), x, atol=2e3 * eps
        )


def test_a_kernel_is_taken_as_it_is_now():
    variable = tf.Variable([0.7, 0.2, 0.0])
    flow = CircularConvolution.from_kernel(variable)
    variable.assign([1.0, 0.0, 0.0])
    assert flow.trainable_variables == ()
    np.testing.assert_allclose(flow.kernel, [0.7, 0.2, 0.0], atol=1e-6)


def test_gradients_reach_the_kernel():
    kernel = tf.constant(_normal(2, 5) * 0.1 + np.eye(5)[0])
    x = tf.constant(_normal(4, 2, 5, seed=1))
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        loss = tf.reduce_sum(CircularConvolution.from_kernel(kernel).forward(x))
    # The sum of y is the sum of the kernel times the sum of x.
    expected = np.broadcast_to(np.sum(x, axis=(0, 2))[:, np.newaxis], [2, 5])
    np.testing.assert_allclose(
        tape.gradient(loss, kernel), expected, atol=1e-12
    )


def test_a_kernel_in_a_graph_is_not_checked():
    run = tf.function(
        lambda kernel: CircularConvolution.from_kernel(kernel).kernel,
        autograph=False,
    )
    good = tf.constant([0.7, 0.2, 0.0])
    np.testing.assert_allclose(run(good), good, atol=1e-6)
    # Response 100 at every frequency: moved to the bound.
    found = run(tf.constant([100.0, 0.0, 0.0]))
    np.testing.assert_allclose(found, [np.exp(3.0), 0.0, 0.0], atol=1e-3)


BAD_KERNELS = {
    "a zero": (
        CircularConvolution,
        [0.5, 0.5],
        r"`kernel` must have a frequency response of magnitudes within "
        r"exp\(-3\) and exp\(3\); got magnitudes from 0 to 1",
    ),
    "too large": (
        CircularConvolution,
        [30.0, 0.0, 0.0],
        r"`kernel` must have .*; got magnitudes from 30 to 30",
    ),
    "not a number": (
        CircularConvolution,
        [np.nan, 0.0, 0.0],
        r"`kernel` must have .*; got magnitudes from nan to nan",
    ),
    "negative at 0": (
        CircularConvolution,
        [-1.0, 0.0, 0.0],
        r"`kernel` must have a positive response at the frequencies that are "
        r"their own opposite .*; got -1 at frequency \(0,\)",
    ),
    "negative at N / 2, one of a batch": (
        CircularConvolution,
        [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]],
        r"`kernel` must have a positive .*; got -1 at frequency \(2,\)",
    ),
    "an image, negative at half of H": (
        CircularConvolution2D,
        [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]],
        r"`kernel` must have a positive .*; got -1 at frequency \(1, 0\)",
    ),
    "an image, negative at half of W": (
        CircularConvolution2D,
        [[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]],
        r"`kernel` must have a positive .*; got -1 at frequency \(0, 1\)",
    ),
    "a signal for images": (
        CircularConvolution2D,
        [1.0, 0.0],
        r"`kernel` must have shape \[\.\.\., H, W\] with H, W >= 1; got \(2,\)",
    ),
}


@pytest.mark.parametrize("case", BAD_KERNELS)
def test_bad_kernels(case):
    flow_class, kernel, message = BAD_KERNELS[case]
    with pytest.raises(ValueError, match=message):
        flow_class.from_kernel(np.array(kernel))


BAD_ARGUMENTS = {
    "scalar": (
        CircularConvolution,
        (1.0,),
        ValueError,
        r"`unconstrained_spectrum` must have shape \[\.\.\., N\] with N >= 1; "
        r"got \(\)",
    ),
    "no samples": (
        CircularConvolution,
        (np.zeros([3, 0]),),
        ValueError,
        r"`unconstrained_spectrum` must have .* with N >= 1; got \(3, 0\)",
    ),
    "a signal for images": (
        CircularConvolution2D,
        (np.zeros(4),),
        ValueError,
        r"`unconstrained_spectrum` must have shape \[\.\.\., H, W\] with "
        r"H, W >= 1; got \(4,\)",
    ),
    "no rows": (
        CircularConvolution2D,
        (np.zeros([0, 3]),),
        ValueError,
        r"`unconstrained_spectrum` must have .*; got \(0, 3\)",
    ),
    "integers": (
        CircularConvolution,
        (np.zeros(2, int),),
        TypeError,
        "`unconstrained_spectrum` must be float32 or float64.*; got int64",
    ),
    "half precision": (
        CircularConvolution,
        (tf.zeros([2], tf.bfloat16),),
        TypeError,
        "`unconstrained_spectrum` must be float32 or float64.*; got bfloat16",
    ),
    "bound 0": (
        CircularConvolution,
        ([1.0], 0.0),
        ValueError,
        "`max_log_magnitude` must be positive and finite; got 0.0",
    ),
    "bound infinite": (
        CircularConvolution2D,
        ([[1.0]], np.inf),
        ValueError,
        "`max_log_magnitude` must be positive and finite; got inf",
    ),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments(case):
    flow_class, args, error, message = BAD_ARGUMENTS[case]
    with pytest.raises(error, match=message):
        flow_class(*args)


@pytest.mark.parametrize("rolled", [False, True])
@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_events_of_another_shape_are_refused(method, rolled):
    """Also sizes of 1, which would broadcast silently."""
    name = "x" if method == "forward" else "y"
    given = {
        CircularConvolution: ([5], [[3], [5, 1], [4, 5, 6]]),
        CircularConvolution2D: (
            [2, 3],
            [[3], [3, 2], [2, 4], [2, 1], [1, 3], [2, 3, 1]],
        ),
    }
    for flow_class, (event_shape, bad_shapes) in given.items():
        leading = [4] if rolled else []
        flow = flow_class(tf.zeros([*leading, *event_shape]))
        flow = Scan(flow) if rolled else flow
        sizes = ", ".join(map(str, event_shape))
        for shape in bad_shapes:
            got = ", ".join(map(str, shape))
            message = (
                rf"`{name}` must have shape \[\.\.\., {sizes}\] for "
                rf"{flow_class.__name__}; got \({got},?\)"
            )
            with pytest.raises(ValueError, match=message):
                getattr(flow, method)(tf.zeros(shape))
    # A kernel of another length is found out at use.
    flow = CircularConvolution.from_kernel([1.0, 0.2, 0.0])
    with pytest.raises(ValueError, match=r"`x` must have shape \[\.\.\., 3\]"):
        flow.forward(tf.zeros([4]))
