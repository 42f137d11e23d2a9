"""Splines of circles: densities around the seam, rotations, both kinds."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.bijectors.autoregressive_cases import conditioner
from tfp_flows.bijectors import (
    AutoregressiveBijector,
    CircularSpline,
    MaskedCoupling,
    MLPConditioner,
    RationalQuadraticSpline,
    Scan,
    SplineAutoregressive,
    SplineCoupling,
    SplitCoupling,
    transformers,
)

tfb, tfd = tfp.bijectors, tfp.distributions

B, NUM_BINS, D = np.pi, 4, 5
OUTPUTS = 3 * NUM_BINS + 2
# The distance of a point from the seam.
NEAR = 1e-9


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def _spline(size=1, phases=None, seed=0):
    free = [_normal(size, NUM_BINS, seed=seed + i) for i in range(3)]
    if phases is None:
        phases = _normal(size, 2, seed=seed + 3)
    return CircularSpline(*free, phases)


def _uniform(size):
    bound = tf.fill([size], tf.constant(B, tf.float64))
    return tfd.Independent(tfd.Uniform(-bound, bound), 1)


def _density(flow, size):
    return tfd.TransformedDistribution(_uniform(size), flow)


def _angles(*shape, seed=1):
    return np.random.default_rng(seed).uniform(-B, B, size=shape)


def _apart(x, y):
    turns = (np.asarray(x) - y) / (2 * B)
    return 2 * B * np.abs(turns - np.round(turns))


def _coupling(size=D, circular=True, seed=0, **keywords):
    network = MLPConditioner((7,), "tanh")
    shapes = network.parameter_shapes(
        2 * (size - size // 2), OUTPUTS * (size // 2)
    )
    weights = {
        name: tf.constant(0.5 * _normal(*shape, seed=seed + i))
        for i, (name, shape) in enumerate(shapes.items())
    }
    keywords = {"num_bins": NUM_BINS, "circular": circular, **keywords}
    return SplineCoupling(network, weights, **keywords)


def _autoregressive(size=D, circular=True, seed=0, **keywords):
    network = conditioner(size, OUTPUTS, (8,), num_inputs=2)
    weights = {
        name: tf.constant(0.5 * _normal(*shape, seed=seed + i))
        for i, (name, shape) in enumerate(network.parameter_shapes().items())
    }
    keywords = {"num_bins": NUM_BINS, "circular": circular, **keywords}
    return SplineAutoregressive(network, weights, **keywords)


CONDITIONED = {"coupling": _coupling, "autoregressive": _autoregressive}
conditioned = pytest.mark.parametrize("name", CONDITIONED)
directions = pytest.mark.parametrize("inverted", [False, True])


def _directed(flow, inverted):
    return tfb.Invert(flow) if inverted else flow


@directions
@pytest.mark.parametrize("phases", [[[0.0, 0.0]], [[2.0, -1.3]]])
def test_the_density_is_continuous_across_the_seam(phases, inverted):
    """Its slope too, but where a knot lies at the seam: there it may jump."""
    q = _density(_directed(_spline(phases=phases), inverted), 1)
    sides = tf.constant([[B - NEAR], [-B], [-B + NEAR]], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(sides)
        log_prob = q.log_prob(sides)
    slopes = tape.gradient(log_prob, sides).numpy()[:, 0]
    np.testing.assert_allclose(log_prob, log_prob[:1] + np.zeros(3), atol=1e-7)
    assert np.isfinite(slopes).all()
    # A density that is not flat there.
    assert np.abs(slopes).min() > 0.1
    is_knot = phases == [[0.0, 0.0]]
    assert (abs(slopes[0] - slopes[2]) > 0.1) == is_knot
    if not is_knot:
        np.testing.assert_allclose(slopes, slopes[0], rtol=1e-6)


@directions
@pytest.mark.parametrize("angle", [0.4, -2.5, 7.0])
def test_rotated_points_have_a_rotated_density(angle, inverted):
    first = _normal(3, 2, seed=9)
    turned = first + [[angle, 0.0] if inverted else [0.0, angle]]
    q, rotated = (
        _density(_directed(_spline(3, phases), inverted), 3)
        for phases in (first, turned)
    )
    x = tf.constant(_angles(200, 3))
    np.testing.assert_allclose(
        rotated.log_prob(x + angle), q.log_prob(x), atol=1e-9
    )
    noise = _uniform(3).sample(10, seed=1)
    samples = [d.bijector.forward(noise) for d in (q, rotated)]
    assert _apart(samples[1], samples[0] + angle).max() < 1e-9


@directions
def test_the_density_of_a_circle_integrates_to_one(inverted):
    num = 20_000
    q = _density(_directed(_spline(), inverted), 1)
    grid = np.linspace(-B, B, num, endpoint=False)[:, np.newaxis]
    prob = np.exp(q.log_prob(grid))
    assert prob.max() > 2 * prob.min()
    np.testing.assert_allclose(prob.mean() * 2 * B, 1.0, atol=1e-5)


@directions
@conditioned
def test_the_density_of_a_torus_integrates_to_one(name, inverted):
    num, size = 300, 2
    flow = CONDITIONED[name](size)
    q = _density(_directed(flow, inverted), size)
    line = np.linspace(-B, B, num, endpoint=False)
    grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, size)
    prob = np.exp(q.log_prob(grid))
    assert prob.max() > 2 * prob.min()
    np.testing.assert_allclose(prob.mean() * (2 * B) ** 2, 1.0, atol=1e-3)


@directions
@conditioned
def test_a_density_is_continuous_around_every_circle(name, inverted):
    """In coordinates that are moved, and in those that condition others."""
    flow = CONDITIONED[name](D)
    q = _density(_directed(flow, inverted), D)
    x = np.repeat(_angles(20, 1, D), D, axis=1)
    below, above = x.copy(), x.copy()
    each = np.arange(D)
    below[:, each, each], above[:, each, each] = B - NEAR, -B + NEAR
    np.testing.assert_allclose(q.log_prob(below), q.log_prob(above), atol=1e-6)
    # So are the images, and those of points that are whole turns away.
    images = [flow.forward(tf.constant(p)) for p in (below, above)]
    assert _apart(*images).max() < 1e-6
    turned = x + 2 * B * np.random.default_rng(2).integers(-3, 4, x.shape)
    assert _apart(flow.forward(turned), flow.forward(x)).max() < 1e-12
    np.testing.assert_allclose(
        flow.inverse_log_det_jacobian(tf.constant(turned), 1),
        flow.inverse_log_det_jacobian(tf.constant(x), 1),
        atol=1e-9,
    )


@conditioned
def test_all_images_lie_on_the_circle(name):
    """Also of points that are none, as the coordinates that stay."""
    flow = CONDITIONED[name](D)
    x = tf.constant(20.0 * _normal(50, D))
    for image in (flow.forward(x), flow.inverse(x)):
        assert (np.abs(image) <= B).all()
    y = tf.identity(flow.forward(x))
    assert np.isfinite(_density(flow, D).log_prob(y)).all()


def _theta_of(flow, features):
    outputs = flow.conditioner(features, flow.conditioner_parameters, None)
    size = outputs.shape[-1] // OUTPUTS
    return tf.reshape(outputs, [-1, OUTPUTS, size])


def _expected(theta, x, is_circular):
    """Coordinate by coordinate, from the bijectors of one kind."""
    theta = np.swapaxes(theta, -1, -2)
    widths, heights, slopes, phases = np.split(
        theta, [NUM_BINS, 2 * NUM_BINS, 3 * NUM_BINS], axis=-1
    )
    circle = CircularSpline(widths, heights, slopes, phases)
    line = RationalQuadraticSpline(widths, heights, slopes[..., 1:])
    y = np.where(is_circular, circle.forward(x), line.forward(x))
    return y, line, circle


def test_a_coupling_reads_cosines_and_sines():
    circular = (0, 3)
    is_circular = np.isin(np.arange(D), circular)
    flow, x = _coupling(circular=circular), _angles(9, D)
    fixed = x[:, :3]
    features = np.concatenate(
        [
            np.where(is_circular[:3], np.cos(fixed), fixed),
            np.where(is_circular[:3], np.sin(fixed), 0.0),
        ],
        axis=-1,
    )
    y = flow.forward(x).numpy()
    theta = _theta_of(flow, tf.constant(features))
    expected, *_ = _expected(theta, x[:, 3:], is_circular[3:])
    np.testing.assert_array_equal(y[:, :3], fixed)
    np.testing.assert_allclose(y[:, 3:], expected, atol=1e-12)


def test_an_autoregressive_map_reads_cosines_and_sines():
    circular = (1, 2)
    is_circular = np.isin(np.arange(D), circular)
    flow, x = _autoregressive(circular=circular), _angles(9, D)
    features = np.concatenate(
        [
            np.where(is_circular, np.cos(x), x),
            np.where(is_circular, np.sin(x), 0.0),
        ],
        axis=-1,
    )
    theta = _theta_of(flow, tf.constant(features))
    expected, *_ = _expected(theta, x, is_circular)
    np.testing.assert_allclose(flow.forward(x), expected, atol=1e-12)
    # Nothing depends on what comes later, through either feature.
    with tf.GradientTape() as tape:
        points = tf.constant(x)
        tape.watch(points)
        y = flow.forward(points)
    jacobian = tape.batch_jacobian(y, points).numpy()
    np.testing.assert_array_equal(np.triu(jacobian, 1), np.zeros_like(jacobian))
    lower = np.abs(np.tril(jacobian, -1)).max(axis=0)
    assert (lower[np.tril_indices(D, -1)] > 0).all()


@conditioned
def test_a_mask_says_the_same_as_indices_and_differs_by_member(name):
    make = CONDITIONED[name]
    x = tf.constant(_angles(9, D))
    masks = np.array([[1, 0, 0, 1, 0], [0, 1, 1, 0, 1.0]])
    alone = []
    for mask in masks:
        circular = tuple(np.flatnonzero(mask))
        by_index = make(circular=circular)
        by_mask = make(circular_mask=mask)
        assert by_index.circular == circular
        np.testing.assert_array_equal(by_index.forward(x), by_mask.forward(x))
        y = by_index.forward(x)
        np.testing.assert_allclose(by_mask.inverse(y + 0.0), x, atol=1e-9)
        alone.append(by_mask)
    weights = alone[0].conditioner_parameters
    stacked = {n: tf.stack([w, w]) for n, w in weights.items()}
    batch = alone[0].copy(conditioner_parameters=stacked, circular_mask=masks)
    np.testing.assert_allclose(
        Scan(batch).forward(x), alone[1].forward(alone[0].forward(x)), atol=1e-9
    )
    members = by_index.copy(conditioner_parameters=stacked)
    np.testing.assert_allclose(
        Scan(members).forward(x), by_index.forward(by_index.forward(x))
    )


def test_every_pattern_takes_the_transformer():
    """The presets are nothing but the patterns of it."""
    transformer = transformers.CircularRationalQuadratic(
        NUM_BINS, circular=(0, 3, 4)
    )
    x = tf.constant(_angles(9, D))
    for preset, pattern in (
        (_coupling(circular=(0, 3, 4)), SplitCoupling),
        (_autoregressive(circular=(0, 3, 4)), AutoregressiveBijector),
    ):
        flow = pattern(
            preset.conditioner,
            preset.conditioner_parameters,
            transformer=transformer,
        )
        np.testing.assert_array_equal(flow.forward(x), preset.forward(x))
    network = MLPConditioner((7,), "tanh")
    weights = {
        key: tf.constant(_normal(*shape))
        for key, shape in network.parameter_shapes(2 * D, OUTPUTS * D).items()
    }
    masked = MaskedCoupling(network, weights, transformer=transformer)
    turn = np.where(np.isin(np.arange(D), (0, 3, 4)), 2 * B, 0.0)
    y = masked.forward(x)
    np.testing.assert_allclose(masked.forward(x + turn), y, atol=1e-12)
    np.testing.assert_allclose(masked.inverse(y + turn), x, atol=1e-9)
    backwards = AutoregressiveBijector(
        preset.conditioner,
        preset.conditioner_parameters,
        transformer=transformers.Inverse(transformer),
    )
    image = backwards.forward(x)
    np.testing.assert_allclose(backwards.inverse(image + 0.0), x, atol=1e-9)


def test_an_opaque_conditioner_reads_features_too():
    def network(features):
        assert features.shape[-1] == 6
        return tf.tile(features, [1, OUTPUTS // 2 + 1])[:, : 2 * OUTPUTS]

    flow = SplineCoupling(network, num_bins=NUM_BINS, circular=True)
    x = _angles(9, D)
    x[:, 0] = B - NEAR
    turned = np.concatenate([np.full([9, 1], -B + NEAR), x[:, 1:]], axis=1)
    assert _apart(flow.forward(x), flow.forward(turned)).max() < 1e-6


def test_circles_of_another_length():
    """The same map in other units."""
    units, x = 180 / np.pi, _angles(9, D)
    for name, make in CONDITIONED.items():
        y = make().forward(x)
        degrees = make(half_width=180.0).forward(units * x)
        # All but the phases, which are in the units of the points.
        assert degrees.dtype == y.dtype, name
        assert (np.abs(degrees) <= 180).all(), name
    free = [_normal(D, NUM_BINS, seed=i) for i in range(3)]
    phases = _normal(D, 2)
    radians = CircularSpline(*free, phases)
    other = CircularSpline(*free, units * phases, half_width=180.0)
    np.testing.assert_allclose(
        other.forward(units * x), units * radians.forward(x), atol=1e-10
    )


def _network(size, num_inputs, num_outputs):
    network = conditioner(size, num_outputs, (8,), num_inputs=num_inputs)
    return network, {
        name: tf.constant(_normal(*shape))
        for name, shape in network.parameter_shapes().items()
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: CircularSpline(*[_normal(D, 4)] * 3, _normal(D, 3)),
            r"`phases` must have shape \[..., 5, 2\]; got \(5, 3\)",
        ),
        (
            lambda: CircularSpline(*[_normal(D, 4)] * 3, _normal(2, 2)),
            r"`phases` must have shape \[..., 5, 2\]; got \(2, 2\)",
        ),
        (
            lambda: CircularSpline(
                _normal(D, 4), _normal(D, 4), _normal(D, 3), _normal(D, 2)
            ),
            r"`unconstrained_heights` and `unconstrained_slopes` must have "
            r"shapes .* and \[..., D, K\]; got",
        ),
        (
            lambda: CircularSpline(*[_normal(D, 1)] * 3, _normal(D, 2)),
            r"`unconstrained_widths` must have shape \[\.\.\., D, K\] with D",
        ),
        (
            lambda: CircularSpline(
                *[_normal(D, 4)] * 3, _normal(D, 2), half_width=0.0
            ),
            "`half_width` must be positive and finite; got 0.0",
        ),
        (
            lambda: _coupling(circular=()),
            r"`circular` must be False, True or a sequence of .*; got \(\)",
        ),
        (
            lambda: _coupling(circular=(1, 1)),
            r"`circular` must be .*different integers >= 0.*; got \(1, 1\)",
        ),
        (
            lambda: _coupling(circular=[0.0, 1.0]),
            r"`circular` must be .*different integers >= 0.*; got \[0.0, 1.0\]",
        ),
        (
            lambda: _autoregressive(circular=(0, D)).forward(_angles(3, D)),
            r"`circular` must hold indices of the coordinates, whose number "
            r"is 5; got \(0, 5\)",
        ),
        (
            lambda: _coupling(circular=(0,), circular_mask=np.ones(D)),
            r"`circular` must be True where `circular_mask` .*; got \(0,\)",
        ),
        (
            lambda: _coupling(circular_mask=np.ones(D - 1)),
            r"`circular_mask` must have shape \[..., 5\]; got \(4,\)",
        ),
        (
            lambda: _autoregressive(circular_mask=np.full(D, 0.5)),
            "`circular_mask` must hold zeros and ones .*; got",
        ),
        (
            lambda: SplineAutoregressive(
                *_network(D, 1, OUTPUTS), num_bins=NUM_BINS, circular=True
            ),
            "`conditioner.num_inputs` must be 2, what SplineAutoregressive has "
            "it read of each coordinate; got 1",
        ),
        (
            lambda: SplineAutoregressive(
                *_network(D, 2, OUTPUTS - 3), num_bins=NUM_BINS, circular=True
            ),
            "`conditioner.num_outputs` must be .* 14; got 11",
        ),
        (
            lambda: transformers.CircularRationalQuadratic(circular=False),
            "`circular` must be True or the indices of some .*; got False",
        ),
        (
            lambda: transformers.CircularRationalQuadratic(half_width=-1.0),
            "`half_width` must be positive and finite; got -1.0",
        ),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
