"""Spline layers whose coordinates, or some of them, are points of a circle."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special

from tfp_flows.layers import SplineAutoregressiveFlow, SplineCouplingFlow
from tfp_flows.layers.initializers import stacked_sweeps

tfb, tfd = tfp.bijectors, tfp.distributions

B, K = np.pi, 3
SMALL = {"hidden_units": (8,), "num_bins": 4, "seed": 0, "dtype": "float64"}
LAYERS = {
    "coupling": SplineCouplingFlow,
    "autoregressive": SplineAutoregressiveFlow,
}
layers = pytest.mark.parametrize("name", LAYERS)
directions = pytest.mark.parametrize("inverted", [False, True])


def _layer(
    name, size, circular=True, context_shape=None, scale=0.3, **keywords
):
    """A layer with weights of a trained one."""
    layer = LAYERS[name](K, circular=circular, **{**SMALL, **keywords})
    layer.build((None, size), context_shape)
    rng = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        weight.assign_add(scale * rng.normal(size=weight.shape))
    return layer


def _angles(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-B, B, size=shape)


def _uniform(size):
    bound = tf.fill([size], tf.constant(B, tf.float64))
    return tfd.Independent(tfd.Uniform(-bound, bound), 1)


def _apart(x, y):
    turns = (np.asarray(x) - y) / (2 * B)
    return 2 * B * np.abs(turns - np.round(turns))


@directions
@pytest.mark.parametrize(
    ("name", "size", "num"),
    [
        ("coupling", 2, 120),
        ("autoregressive", 1, 2_000),
        ("autoregressive", 2, 120),
    ],
)
def test_densities_on_circle_and_torus(name, size, num, inverted):
    """They integrate to 1, and know of no seam."""
    layer = _layer(name, size, inverted=inverted)
    q = tfd.TransformedDistribution(_uniform(size), layer.bijector())
    log_prob = tf.function(q.log_prob, autograph=False)
    line = np.linspace(-B, B, num, endpoint=False)
    grid = np.stack(np.meshgrid(*[line] * size), -1).reshape(-1, size)
    prob = np.exp(log_prob(grid))
    assert prob.max() > 2 * prob.min()
    np.testing.assert_allclose(prob.mean() * (2 * B) ** size, 1.0, atol=1e-3)
    for i in range(size):
        below, above = grid[:50].copy(), grid[:50].copy()
        below[:, i], above[:, i] = B - 1e-9, -B + 1e-9
        np.testing.assert_allclose(log_prob(below), log_prob(above), atol=1e-6)


@directions
@layers
def test_a_density_on_a_cylinder(name, inverted):
    """A circle and a line, whose base is normal."""
    layer = _layer(name, 2, circular=(1,), scale=0.2, inverted=inverted)
    flow = layer.bijector()
    num, step = 120, 0.05
    line = np.arange(-8, 8, step)
    angles = np.linspace(-B, B, num, endpoint=False)
    grid = np.stack(np.meshgrid(line, angles), -1).reshape(-1, 2)
    x = flow.inverse(grid).numpy()
    log_prob = -0.5 * x[:, 0] ** 2 - 0.5 * np.log(2 * B) - np.log(2 * B)
    prob = np.exp(log_prob + flow.inverse_log_det_jacobian(grid, 1))
    np.testing.assert_allclose(prob.sum() * step * 2 * B / num, 1.0, atol=2e-3)
    far = np.array([[50.0, 0.3], [-7.0, 2.0]])
    y = flow.forward(far).numpy()
    np.testing.assert_allclose(y[:, 0], far[:, 0], atol=1e-12)
    assert _apart(y[:, 1], far[:, 1]).min() > 1e-3
    below, above = (np.array([[0.3, s * (B - 1e-9)]]) for s in (1, -1))
    assert np.abs(flow.forward(below) - flow.forward(above))[0, 0] < 1e-6


@pytest.mark.parametrize("circular", [True, (1,), (0, 2)])
@layers
def test_starts_as_the_identity_and_keeps_places(name, circular):
    size = 3
    layer = LAYERS[name](K, circular=circular, **SMALL)
    x = _angles(20, size)
    assert np.abs(layer(x) - x).max() < 1e-12
    is_circular = np.full(size, circular is True)
    is_circular[list(circular) if circular is not True else []] = True
    layer = _layer(name, size, circular)
    flow = layer.bijector()
    y = flow.forward(x)
    assert (np.abs(y - x) > 1e-6).any(axis=0).all()
    turned = flow.forward(x + 2 * B * is_circular)
    np.testing.assert_allclose(turned, y, atol=1e-10)
    moved = flow.forward(x + 2 * B * ~is_circular)
    assert is_circular.all() or np.abs(moved - y).max() > 0.1
    np.testing.assert_allclose(flow.inverse(y + 0.0), x, atol=1e-9)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_every_coordinate_is_moved_within_three_couplings(size):
    orders = stacked_sweeps(0)([12, size])
    np.testing.assert_array_equal(
        np.sort(orders), np.broadcast_to(np.arange(size), [12, size])
    )
    moved = orders[:, size - max(1, size // 2) :]
    steps = 2 + size % 2 if size > 1 else 1
    for k in range(0, 12, steps):
        assert set(moved[k : k + steps].ravel()) == set(range(size))
    if size > 3:
        assert len(np.unique(orders, axis=0)) > 2 * steps


@pytest.mark.parametrize("mixing", ["permutation", "reverse", "none"])
@pytest.mark.parametrize("circular", [True, (1,)])
def test_mixings_that_permute(mixing, circular):
    layer = _layer("autoregressive", 3, circular, mixing=mixing)
    x = _angles(5, 1, 3)
    y = layer(np.concatenate([x, x + 0.1 * np.eye(3)], axis=1)).numpy()
    # Of each output on each input.
    depends = (y[:, 1:] != y[:, :1]).any(axis=0).T
    if mixing == "none":
        np.testing.assert_array_equal(depends, np.tri(3, dtype=bool))
    if mixing == "reverse":
        assert depends.all()


def test_amortized_flows_are_those_of_their_contexts():
    context = np.random.default_rng(2).normal(size=[4, 3])
    x = _angles(4, 3)
    for name in LAYERS:
        layer = _layer(name, 3, (0, 2), (None, 3))
        flow = layer.bijector(context)
        assert flow.experimental_batch_shape() == [4]
        y = flow.forward(x)
        for i in range(4):
            alone = layer.bijector(context[i : i + 1])
            np.testing.assert_allclose(
                alone.forward(x[i : i + 1]), y[i : i + 1], atol=1e-10
            )
        np.testing.assert_allclose(flow.inverse(y + 0.0), x, atol=1e-9)


@layers
def test_saves_and_loads(name, tmp_path):
    layer = _layer(name, 3, (0, 2), half_width=2.0)
    model = keras.Sequential([keras.Input((3,), dtype="float64"), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = _angles(5, 3)
    np.testing.assert_array_equal(loaded(x), model(x))
    config = loaded.layers[-1].get_config()
    assert config == layer.get_config()
    assert (config["circular"], config["half_width"]) == ((0, 2), 2.0)
    assert config["mixing"] == "permutation"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SplineCouplingFlow(2, circular=True, mixing="lu"),
            "`mixing` must be one of permutation with circular .*; got 'lu'",
        ),
        (
            lambda: SplineAutoregressiveFlow(
                2, circular=(0,), mixing="orthogonal"
            ),
            "`mixing` must be one of permutation, reverse, none with circular "
            ".*; got 'orthogonal'",
        ),
        (
            lambda: SplineCouplingFlow(2, circular=(-1,)),
            r"`circular` must be False, True or a sequence .*; got \(-1,\)",
        ),
        (
            lambda: SplineCouplingFlow(2, circular="all"),
            "`circular` must be False, True or a sequence .*; got 'all'",
        ),
        (
            lambda: SplineCouplingFlow(2, circular=(0, 3)).build((None, 3)),
            r"`circular` must hold indices of the coordinates, whose number "
            r"is 3; got \(0, 3\)",
        ),
        (
            lambda: SplineCouplingFlow(2, half_width=0.0),
            "`half_width` must be positive and finite; got 0.0",
        ),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.slow
def test_fits_a_mixture_that_straddles_the_seam():
    """To a few hundredths of a nat of the entropy, from the identity."""
    locs, concentrations = np.array([3.0, -1.0]), np.array([6.0, 20.0])
    weights = np.array([0.7, 0.3])

    def log_prob(x):
        log_parts = (
            np.log(weights)
            + concentrations * np.cos(x[..., np.newaxis] - locs)
            - np.log(2 * np.pi * special.i0(concentrations))
        )
        return special.logsumexp(log_parts, axis=-1)

    rng = np.random.default_rng(0)
    which = rng.choice(2, size=2_000, p=weights)
    samples = rng.vonmises(locs[which], concentrations[which])
    data = tf.constant(samples[:, np.newaxis], tf.float32)
    layer = SplineAutoregressiveFlow(
        1, (4,), num_bins=8, circular=True, inverted=True, seed=0
    )
    layer.build((None, 1))
    bound = tf.constant([B], tf.float32)
    base = tfd.Independent(tfd.Uniform(-bound, bound), 1)
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build(layer.trainable_variables)

    @tf.function(autograph=False)
    def train_step():
        with tf.GradientTape() as tape:
            q = tfd.TransformedDistribution(base, layer.bijector())
            loss = -tf.reduce_mean(q.log_prob(data))
        gradients = tape.gradient(loss, layer.trainable_variables)
        optimizer.apply(gradients, layer.trainable_variables)
        return loss

    losses = [float(train_step()) for _ in range(150)]
    np.testing.assert_allclose(losses[0], np.log(2 * B), rtol=1e-5)
    grid = np.linspace(-B, B, 4_000, endpoint=False)
    prob = np.exp(log_prob(grid))
    entropy = -np.mean(prob * log_prob(grid)) * 2 * B
    q = tfd.TransformedDistribution(base, layer.bijector())
    found = q.log_prob(tf.constant(grid[:, np.newaxis], tf.float32)).numpy()
    cross_entropy = -np.mean(prob * found) * 2 * B
    print(f"cross-entropy {cross_entropy:.4f}, entropy {entropy:.4f}")
    assert entropy - 1e-3 < cross_entropy < entropy + 0.03
    np.testing.assert_allclose(np.exp(found).mean() * 2 * B, 1.0, atol=2e-3)
