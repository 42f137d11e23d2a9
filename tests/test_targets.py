"""Tests of the two-dimensional targets."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfp_flows import targets

ENERGIES = ("u1", "u2", "u3", "u4")
MIXTURES = ("mog9", "mog16")
NAMES = (*ENERGIES, *MIXTURES)
# ln Z as other people computed it, to four digits.
PUBLISHED_LOG_NORMALIZERS = {
    "u1": 1.8775,
    "u2": 2.1130,
    "u3": 2.6726,
    "u4": 2.7248,
    "mog9": 0.0,
    "mog16": 0.0,
}


def quadrature_nodes(points_per_panel: int = 10, panels_per_unit: int = 4):
    """Gauss-Legendre nodes on [-6, 6], no panel across the window's edge."""
    x, w = np.polynomial.legendre.leggauss(points_per_panel)
    edges = np.linspace(-6.0, 6.0, 12 * panels_per_unit + 1)
    half = 0.5 * np.diff(edges)[:, np.newaxis]
    middle = 0.5 * (edges[1:] + edges[:-1])[:, np.newaxis]
    return (middle + half * x).ravel(), (half * w).ravel()


def energy_by_hand(name: str, z1: np.ndarray, z2: np.ndarray) -> np.ndarray:
    """The paper's table in NumPy, with exponentials written out."""
    w1 = np.sin(2 * np.pi * z1 / 4)
    w2 = 3 * np.exp(-0.5 * ((z1 - 1) / 0.6) ** 2)
    w3 = 3 / (1 + np.exp(-(z1 - 1) / 0.3))

    def bump(x, scale):
        return np.exp(-0.5 * (x / scale) ** 2)

    if name == "u1":
        ring = 0.5 * ((np.hypot(z1, z2) - 2) / 0.4) ** 2
        return ring - np.log(bump(z1 - 2, 0.6) + bump(z1 + 2, 0.6))
    if name == "u2":
        return 0.5 * ((z2 - w1) / 0.4) ** 2
    if name == "u3":
        return -np.log(bump(z2 - w1, 0.35) + bump(z2 - w1 + w2, 0.35))
    return -np.log(bump(z2 - w1, 0.4) + bump(z2 - w1 + w3, 0.35))


@pytest.mark.parametrize("name", NAMES)
def test_log_normalizer_matches_quadrature(name):
    x, w = quadrature_nodes()
    z = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1)
    target = targets.get(name)
    density = np.exp(target.unnormalized_log_prob(tf.constant(z)))
    log_normalizer = np.log(w @ density @ w)
    assert abs(log_normalizer - target.log_normalizer) < 1e-10
    assert abs(log_normalizer - PUBLISHED_LOG_NORMALIZERS[name]) < 1e-3


@pytest.mark.parametrize("name", ENERGIES)
def test_energy_equals_the_papers_table(name):
    z = np.random.default_rng(1).uniform(-3.0, 3.0, [50, 2])
    expected = -energy_by_hand(name, z[:, 0], z[:, 1])
    actual = targets.get(name).unnormalized_log_prob(tf.constant(z))
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


@pytest.mark.parametrize("name", ENERGIES)
def test_window_is_added_outside_the_square_only(name):
    target = targets.get(name)
    z = np.array([[4.0, -4.0], [-4.3, 1.0], [4.2, -4.1]])
    window = np.array([0.0, 0.5 * 3.0**2, 0.5 * (2.0**2 + 1.0**2)])
    plain = target.log_density(tf.constant(z))
    expected = plain - window if name != "u1" else plain
    actual = target.unnormalized_log_prob(tf.constant(z))
    np.testing.assert_allclose(actual, expected, rtol=1e-10)


@pytest.mark.parametrize(("name", "num_modes"), [("mog9", 9), ("mog16", 16)])
def test_mixture_is_that_of_equal_gaussians_at_its_modes(name, num_modes):
    target = targets.get(name)
    modes = np.array(target.modes)
    assert modes.shape == (num_modes, 2)
    side = np.sqrt(num_modes)
    lattice = np.linspace(-(side - 1), side - 1, int(side))
    expected = {(x, y) for x in lattice for y in lattice}
    assert set(map(tuple, modes)) == expected
    z = np.random.default_rng(1).normal(scale=2.0, size=[50, 2])
    density = np.mean(
        [stats.multivariate_normal(m, 0.25**2).pdf(z) for m in modes], axis=0
    )
    np.testing.assert_allclose(
        target.log_prob(tf.constant(z)), np.log(density), rtol=1e-12
    )
    assert target.mode_scale == 0.25


@pytest.mark.parametrize("name", ENERGIES)
def test_energies_have_no_list_of_modes(name):
    assert targets.get(name).modes == ()


@pytest.mark.parametrize("name", NAMES)
def test_shape_and_dtype_follow_the_argument(name):
    target = targets.get(name)
    for dtype in (tf.float32, tf.float64):
        value = target.unnormalized_log_prob(tf.ones([3, 4, 2], dtype))
        assert value.dtype == dtype
        assert value.shape == [3, 4]
    assert target.unnormalized_log_prob([1, 2]).dtype == tf.float32
    assert target.event_shape == [2]
    single = target.log_prob(tf.ones([2], tf.float64))
    assert single.shape == []
    np.testing.assert_allclose(
        single + target.log_normalizer,
        target.unnormalized_log_prob(tf.ones([2], tf.float64)),
        atol=1e-14,
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_value_and_gradient_are_finite_everywhere(name, dtype):
    points = [
        [0.0, 0.0],
        [1e-30, 0.0],
        [0.0, -2.0],
        [4.0, 4.0],
        [1e4, -1e4],
        [-1e4, 1e-20],
    ]
    z = tf.constant(points, dtype)
    with tf.GradientTape() as tape:
        tape.watch(z)
        log_prob = targets.get(name).unnormalized_log_prob(z)
    assert np.all(np.isfinite(log_prob))
    gradient = tape.gradient(log_prob, z)
    assert np.all(np.isfinite(gradient))
    # Far away nothing is clamped: the gradient points home.
    assert abs(gradient[4, 1]) > 1.0


@pytest.mark.parametrize("name", NAMES)
def test_eager_graph_and_xla_agree(name):
    z = tf.random.stateless_normal([64, 2], seed=[1, 2], dtype=tf.float64)
    target = targets.get(name)
    eager = target.unnormalized_log_prob(z)
    for jit_compile in (False, True):
        compiled = tf.function(
            target.unnormalized_log_prob, jit_compile=jit_compile
        )
        np.testing.assert_allclose(compiled(z), eager, rtol=1e-12)


def test_names_lists_what_get_knows():
    assert targets.names() == NAMES
    assert [targets.get(name).name for name in NAMES] == list(NAMES)


def test_unknown_name_is_refused_with_the_list_of_the_known():
    with pytest.raises(
        ValueError, match="must be one of u1, u2, .*, mog16; got 'u5'"
    ):
        targets.get("u5")


@pytest.mark.parametrize("shape", [[3], [], [2, 1]])
def test_wrong_last_axis_is_refused(shape):
    with pytest.raises(ValueError, match="`z` must have a last axis of size 2"):
        targets.get("u1").unnormalized_log_prob(tf.zeros(shape))
