"""One contract for every posterior: weights of mean Z, bounds below log Z."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layers.flows import ON_LINES
from tfp_flows import posteriors
from tfp_flows.losses import annealed_bound
from tfp_flows.posteriors import (
    CIFPosterior,
    FlowPosterior,
    HamiltonianPosterior,
    LangevinPosterior,
)

D, NUM_STEPS = 2, 2
CHUNK = 100_000
SPREAD = 0.07  # of what training did to the weights
FLOAT64 = {"dtype": "float64"}
WIDE = {"initial_scale": 1.5, **FLOAT64}  # than the target
# Of those that contract what is far out.
WIDER = {"circular": 6.0, "symmetric": 6.0, "naf": 3.0}


def log_joint(z):
    """A ring of radius 0.8, which leans to one side."""
    radius = tf.sqrt(tf.reduce_sum(z * z, axis=-1) + 1e-6)
    return -0.5 * tf.square((radius - 0.8) / 0.4) + 0.7 * z[..., 0]


@functools.cache
def log_evidence():
    """By quadrature."""
    axis, step = np.linspace(-5.0, 5.0, 1001, retstep=True)
    z = np.stack(np.meshgrid(axis, axis), axis=-1)
    return float(np.log(np.exp(log_joint(z)).sum() * step**2))


def flow_of(name):
    return ON_LINES[name](NUM_STEPS, seed=0, **FLOAT64)


def width_of(name):
    return {**WIDE, "initial_scale": WIDER.get(name, WIDE["initial_scale"])}


def flow_posterior(name):
    return FlowPosterior(D, flow_of(name), **width_of(name))


def cif(name, **kwargs):
    # Weights at random make an r that is too far from q(u | z) to check it.
    return CIFPosterior(
        D, flow_of(name), 2, identity_start=True, **width_of(name), **kwargs
    )


def base(kind):
    if kind == "planar":
        return flow_posterior("planar")
    return FlowPosterior(D, None, kind, **WIDE)


HAMILTONIAN = {
    "langevin": functools.partial(LangevinPosterior, num_bridges=4),
    "hamiltonian": functools.partial(
        HamiltonianPosterior, num_bridges=3, num_leapfrog_steps=2
    ),
    "hvae_quadratic": functools.partial(
        HamiltonianPosterior,
        num_bridges=3,
        persistence=1.0,
        betas="ones",
        tempering="quadratic",
    ),
    "hvae_free": functools.partial(
        HamiltonianPosterior,
        num_bridges=3,
        persistence=1.0,
        betas="ones",
        tempering="free",
    ),
}
FLOWS = {
    f"flow-{name}": functools.partial(flow_posterior, name) for name in ON_LINES
}
BASES = {
    f"base-{kind}": functools.partial(base, kind)
    for kind in ("diagonal", "low_rank", "full", "fixed")
}
OTHERS = {
    **{f"cif-{name}": functools.partial(cif, name) for name in ON_LINES},
    "cif-after": lambda: cif("planar", order="after"),
    "cif-more": lambda: cif("planar", num_auxiliary_samples=3),
    "cif-full": lambda: CIFPosterior(
        D, flow_of("planar"), 1, "after", "full", identity_start=True, **WIDE
    ),
    **{
        f"{name}-{kind}": lambda make=make, kind=kind: make(base(kind))
        for name, make in HAMILTONIAN.items()
        for kind in ("diagonal", "full", "planar")
    },
}
POSTERIORS = {**FLOWS, **BASES, **OTHERS}
AT_ONCE = ("cif-planar", "cif-more", "hamiltonian-planar", "hvae_free-full")


def built(name):
    """With the weights of one that was trained a little."""
    keras.utils.set_random_seed(0)
    posterior = POSTERIORS[name]()
    posterior.build()
    rng = np.random.default_rng(1)
    for weight in posterior.trainable_weights:
        weight.assign_add(SPREAD * rng.normal(size=weight.shape))
    return posterior


def centre_of(name, posterior):
    """Where to put the target: a naf starts far from the origin."""
    if not name.endswith("-naf"):
        return np.zeros(D)
    noise = posterior.noise(1_000, 1, seed=1, step=0, purpose="centre")
    z, _ = posterior.sample_and_log_weight(noise, posterior.parameters())
    return np.median(z[0], axis=0)


def bound_and_gradients(posterior, step, num_rows):
    """Minus the bound, of a draw a row, and its gradients."""
    weights = [w.value for w in posterior.trainable_weights]
    with tf.GradientTape() as tape:
        bound, _ = annealed_bound(
            posterior,
            posterior.parameters(),
            lambda z: (log_joint(z), tf.zeros_like(z[..., 0])),
            posterior.noise(num_rows, 1, seed=0, step=step, purpose="training"),
            estimator="sticking_the_landing"
            if posterior.can_leave_out_score
            else "reparameterized",
        )
        loss = -tf.reduce_mean(bound)
    return loss, tape.gradient(loss, weights)


def log_ratios(name, num_draws):
    """`log p + log_weight - log Z` of so many draws."""
    posterior = built(name)
    centre = centre_of(name, posterior)

    @tf.function(autograph=False)
    def chunk(step):
        z, log_weight = posterior.sample_and_log_weight(
            posterior.noise(CHUNK, 1, seed=0, step=step, purpose="contract"),
            posterior.parameters(),
            log_joint=lambda z: log_joint(z - centre),
        )
        return log_joint(z - centre) + log_weight

    chunks = [chunk(tf.constant(i))[0] for i in range(num_draws // CHUNK)]
    return np.concatenate(chunks) - log_evidence()


def check_contract(name, num_draws):
    found = log_ratios(name, num_draws)
    weights = np.exp(found)
    error = weights.std() / np.sqrt(num_draws)
    # Else it would say nothing: no exact posterior, and no heavy tail.
    assert weights.std() > 0.1
    assert error < 0.02
    assert abs(weights.mean() - 1.0) < 3.5 * error
    assert found.mean() < 3.0 * found.std() / np.sqrt(num_draws)


@pytest.mark.parametrize("name", AT_ONCE)
def test_weights_have_mean_z_and_the_bound_is_below_it(name):
    check_contract(name, CHUNK)


@pytest.mark.slow
@pytest.mark.parametrize("name", POSTERIORS)
def test_a_million_weights_have_mean_z(name):
    check_contract(name, 1_000_000)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_all_networks_learn_and_xla_changes_nothing(name):
    posterior = built(name)
    weights = posterior.trainable_weights

    def gradients(step):
        return bound_and_gradients(posterior, step, 20)

    graph = tf.function(gradients, autograph=False)
    first = graph(tf.constant(0))[1]
    for weight, gradient in zip(weights, first, strict=True):
        weight.assign_sub(1e-3 * tf.clip_by_norm(gradient, 1.0))
    expected = graph(tf.constant(1))
    for weight, gradient in zip(weights, expected[1], strict=True):
        assert np.all(np.isfinite(gradient)), weight.path
        assert np.any(gradient != 0), weight.path
    compiled = tf.function(gradients, autograph=False, jit_compile=True)
    for found, value in zip(
        tf.nest.flatten(compiled(tf.constant(1))),
        tf.nest.flatten(expected),
        strict=True,
    ):
        np.testing.assert_allclose(found, value, rtol=1e-7, atol=1e-8)


def test_every_posterior_is_there():
    classes = {type(make()) for make in POSTERIORS.values()}
    public = {
        value
        for value in vars(posteriors).values()
        if isinstance(value, type) and issubclass(value, posteriors.Posterior)
    }
    assert classes == public - {posteriors.Posterior}
