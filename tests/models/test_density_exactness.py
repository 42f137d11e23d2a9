"""FlowDensity is exact: maximum likelihood, mass 1 everywhere, no seams."""

import math

import keras
import numpy as np
import pytest
import tensorflow_probability as tfp

from tests.layers.flows import LAYERS, ON_LINES
from tests.models.densities import HIDDEN, adapted, fitted, moved, says
from tfp_flows.layers import (
    HouseholderFlow,
    SplineAutoregressiveFlow,
    SplineCouplingFlow,
)
from tfp_flows.models import FlowDensity

tfb = tfp.bijectors


@pytest.mark.slow
@pytest.mark.parametrize(
    "base", ["diagonal", pytest.param("full", marks=pytest.mark.slow)]
)
def test_linear_flow_reaches_the_maximum_likelihood(base):
    """Of a Gaussian: rotations of a diagonal one, and a full one."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=[400, 3]) @ rng.normal(size=[3, 3]) + [5.0, 0.0, -80.0]
    covariance = np.cov(x.T, bias=True)
    best = -0.5 * (
        3 * (1 + math.log(2 * math.pi)) + np.linalg.slogdet(covariance)[1]
    )
    flow = HouseholderFlow(3, seed=0, dtype="float64")
    model = FlowDensity(
        flow if base == "diagonal" else None, base=base, dtype="float64"
    )
    steps = keras.optimizers.schedules.CosineDecay(0.1, 100)
    model.compile(keras.optimizers.Adam(steps), jit_compile=False)
    model.fit(x, batch_size=400, epochs=100, verbose=0)
    found = model.evaluate(x, verbose=0, return_dict=True)["log_likelihood"]
    assert best - 1e-4 < found < best + 1e-9


# Mass. A grid in R^n, by midpoints, and its image on the support.


def _identity(u):
    return u, 0.0


def _exp(u):
    return np.exp(u), u.sum(axis=-1)


def _log_sigmoids(u):
    return -np.logaddexp(0.0, -u), -np.logaddexp(0.0, u)


def _unit(u):
    low, high = _log_sigmoids(u)
    return np.exp(low), (low + high).sum(axis=-1)


def _stick(u):
    """Breaks a stick twice; the volume is that of the first two parts."""
    low, high = _log_sigmoids(u)
    first, rest = np.exp(low[:, 0]), np.exp(high[:, 0])
    second = rest * np.exp(low[:, 1])
    x = np.stack([first, second, rest * np.exp(high[:, 1])], axis=-1)
    return x, (low + high).sum(axis=-1) + high[:, 0]


# Support, number of variables, from R^n, and n.
SPACES = {
    "line": (None, 1, _identity, 1),
    "plane": (None, 2, _identity, 2),
    "half_line": ("positive", 1, _exp, 1),
    "quadrant": ("positive", 2, _exp, 2),
    "square": ("unit_interval", 2, _unit, 2),
    "interval_and_line": (
        [tfb.Sigmoid(low=-1.0, high=3.0), "real"],
        2,
        lambda u: (
            np.stack([4.0 * _unit(u[:, :1])[0][:, 0] - 1.0, u[:, 1]], axis=-1),
            _unit(u[:, :1])[1] + math.log(4.0),
        ),
        2,
    ),
    "simplex": ("simplex", 3, _stick, 2),
}
# They split the variables.
NEED_TWO = {
    "nice_ortho",
    "nice_perm",
    "nice_scaling",
    "real_nvp",
    "data_adaptive",
    "conf",
    "spline_coupling",
}
FOR_ONE = {"sylvester_orthogonal": {"num_orthogonal_columns": 1}}
# One flow for each support; the others are left to the slow tests.
QUICK = {
    ("line", "maf", True),
    ("half_line", "radial", False),
    ("plane", "real_nvp", False),
    ("square", "planar", True),
    ("interval_and_line", "nice_scaling", True),
    ("simplex", "maf", False),
}
CASES = [
    (space, name, inverted)
    for space, (_, size, _, _) in SPACES.items()
    for name in ON_LINES
    for inverted in (False, True)
    if size > 1 or name not in NEED_TWO
    if space not in ("quadrant", "interval_and_line") or name in NEED_TWO
]


@pytest.mark.parametrize(
    ("space", "name", "inverted"),
    [
        pytest.param(*c, marks=[] if c in QUICK else [pytest.mark.slow])
        for c in CASES
    ],
)
def test_densities_of_all_flows_integrate_to_one(space, name, inverted):
    """In both orientations, with mean and scale of data."""
    support, size, onto, rank = SPACES[space]
    settings = FOR_ONE.get(name, {}) if rank == 1 else {}
    flow = ON_LINES[name](2, seed=0, **settings)
    model = FlowDensity(flow, support=support, inverted=inverted)
    rng = np.random.default_rng(0)
    # In narrow tails, as float32 has no numbers left close below 1.
    width, end = (0.4, 10.0) if space in ("square", "simplex") else (1.3, 20.0)
    x, _ = onto(0.5 + width * rng.normal(size=[200, rank]))
    # Farther away the tails of NAF, inverted, reach beyond any grid.
    adapted(model, x, 0.02 if name == "naf" else 0.2)
    end, n = (60.0, 900) if name == "naf" else (end, 450)
    n = n if rank == 2 else 20 * n
    step = 2 * end / n
    axis = -end + step * (np.arange(n) + 0.5)
    u = np.stack(np.meshgrid(*[axis] * rank), axis=-1).reshape([-1, rank])
    x, log_det = onto(u)
    x32 = x.astype(np.float32)
    # Where float32 knows no such number, there is no mass either.
    inside = np.all(np.isfinite(x32), axis=-1)
    if support is not None:
        inside &= np.asarray(model._region.contains(x32))
    log_prob = model.log_prob(x32[inside]).numpy()
    mass = np.exp(log_prob + np.broadcast_to(log_det, len(u))[inside])
    assert np.sum(mass) * step**rank == pytest.approx(1.0, abs=3e-3)


def test_every_flow_is_integrated():
    assert {name for _, name, _ in CASES} == set(ON_LINES)
    assert set(CASES) >= QUICK
    for name in NEED_TWO:
        with says("2 or more", "got 1"):
            FlowDensity(ON_LINES[name](1)).build((None, 1))


@pytest.mark.parametrize(
    ("support", "size"),
    [
        ("simplex", 3),
        pytest.param("positive", 2, marks=pytest.mark.slow),
        pytest.param("unit_interval", 2, marks=pytest.mark.slow),
    ],
)
def test_samples_lie_on_the_support(support, size):
    model = FlowDensity(ON_LINES["maf"](2, seed=0), support=support)
    model.build((None, size))
    samples = moved(model, 0.1).sample(200, seed=1)
    assert np.all(np.isfinite(model.log_prob(samples)))
    if support == "simplex":
        np.testing.assert_allclose(np.sum(samples, axis=-1), 1.0, atol=1e-5)


# Circles.


def _periodic(layer, circular, size, inverted):
    flow = layer(
        2, num_bins=4, circular=circular, seed=0, dtype="float64", **HIDDEN
    )
    support = "circular" if circular is True else ["real", "circular"]
    model = FlowDensity(
        flow, support=support, inverted=inverted, dtype="float64"
    )
    rng = np.random.default_rng(0)
    # Around pi, where the seam is.
    return adapted(model, rng.normal(math.pi, 0.5, size=[200, size]), 0.2)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize(
    ("layer", "circular", "size"),
    [
        (SplineAutoregressiveFlow, True, 1),  # a circle
        pytest.param(SplineAutoregressiveFlow, (1,), 2, marks=pytest.mark.slow),
        pytest.param(SplineAutoregressiveFlow, True, 2, marks=pytest.mark.slow),
        pytest.param(SplineCouplingFlow, (1,), 2, marks=pytest.mark.slow),
        pytest.param(SplineCouplingFlow, True, 2, marks=pytest.mark.slow),
    ],
)
def test_densities_of_periodic_variables(layer, circular, size, inverted):
    """Normalised, of period 2 pi, continuous across the seam."""
    model = _periodic(layer, circular, size, inverted)
    n = 300
    turn = -math.pi + 2 * math.pi * (np.arange(n) + 0.5) / n
    axes = [turn] * size
    if circular is not True:
        axes[0] = math.pi + 4 * turn
    grid = np.stack(np.meshgrid(*axes), -1).reshape([-1, size])
    cell = math.prod(axis[1] - axis[0] for axis in axes)
    mass = np.sum(np.exp(model.log_prob(grid))) * cell
    assert mass == pytest.approx(1.0, abs=3e-3)
    x = np.random.default_rng(1).normal(math.pi, 0.5, size=[40, size])
    x[:, -1] = math.pi
    beside = np.eye(size)[-1] * 1e-9
    np.testing.assert_allclose(
        model.log_prob(x - beside), model.log_prob(x + beside), atol=1e-6
    )
    x[:, -1] = np.linspace(-6.0, 6.0, 40)
    turns = 2 * math.pi * np.eye(size)[-1]
    log_prob = model.log_prob(x)
    assert np.ptp(log_prob) > 0.1
    for count in (-3, 1):
        np.testing.assert_allclose(
            model.log_prob(x + count * turns), log_prob, atol=1e-9
        )
    np.testing.assert_allclose(
        model.distribution().log_prob(x), log_prob, atol=1e-9
    )
    samples = model.sample(200, seed=1)[:, -1]
    assert np.all((samples >= -math.pi) & (samples <= math.pi))


@pytest.mark.parametrize("inverted", [True, False])
@pytest.mark.parametrize("epochs", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_density_of_rotated_angles_is_the_rotated_one(inverted, epochs):
    """After training on rotated data too, from the same start, rotated."""
    angle = 2.0
    rng = np.random.default_rng(0)
    x = rng.normal(2.5, 0.7, size=[100, 1])  # the seam is at pi
    models = []
    for rotation in (0.0, angle):
        model = _periodic(SplineAutoregressiveFlow, True, 1, inverted)
        # Those of the step next to x: what is taken from x, or added to it.
        phases = model.flows[0].weights
        bias = next(w for w in phases if w.path.endswith("bias_1"))
        value = keras.ops.convert_to_numpy(bias).copy()
        step, phase = (0, -2) if inverted else (-1, -1)
        value[step, phase] += rotation
        bias.assign(value)
        if epochs:
            fitted(model, x + rotation, epochs=epochs, shuffle=False)
        models.append(model)
    straight, rotated = models
    values = rng.uniform(-math.pi, math.pi, size=[500, 1])
    expected = straight.log_prob(values)
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(
        rotated.log_prob(values + angle), expected, atol=1e-6
    )
    np.testing.assert_allclose(
        np.exp(1j * rotated.sample(50, seed=1).numpy()),
        np.exp(1j * (straight.sample(50, seed=1).numpy() + angle)),
        atol=1e-6,
    )


def test_every_circular_flow_is_tested():
    """Those that the tests above do not name are on lines."""
    circular = {n for n in LAYERS if n not in ON_LINES}
    assert circular == {
        "spline_coupling_circular",
        "spline_autoregressive_circular",
    }
