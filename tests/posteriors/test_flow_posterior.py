"""Densities, shapes, noise and weights of `FlowPosterior`."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfp_flows import layers
from tfp_flows.layers import (
    CircularFlow,
    CONFFlow,
    NICEFlow,
    PlanarFlow,
    RadialFlow,
    SylvesterFlow,
)
from tfp_flows.posteriors import FlowPosterior

B, C, D, K = 5, 4, 3, 2
FLOWS = {
    "none": lambda **_: None,
    "planar": lambda **kwargs: PlanarFlow(K, seed=0, **kwargs),
    "mixed": lambda **kwargs: [
        PlanarFlow(K, seed=0, **kwargs),
        RadialFlow(K, seed=1, **kwargs),
        PlanarFlow(K, amortized=False, seed=2, **kwargs),
    ],
    "catalogue": lambda **kwargs: [
        NICEFlow(K, (4,), scaling=True, seed=0, **kwargs),
        CircularFlow(K, amortized=False, seed=1, **kwargs),
        SylvesterFlow(K, num_orthogonal_columns=2, seed=2, **kwargs),
        CONFFlow(K, (4,), seed=3, **kwargs),
    ],
}


def _context(rows=B):
    return np.random.default_rng(0).normal(size=[rows, C])


def _noise(*shape):
    return np.random.default_rng(1).normal(size=shape)


def _posterior(
    flow="mixed", base="diagonal", shape=(None, C), dtype="float64", **kwargs
):
    """A posterior with weights of a trained one."""
    flows = FLOWS[flow](dtype=dtype)
    posterior = FlowPosterior(
        D, flows, base=base, rank=2, dtype=dtype, **kwargs
    )
    posterior.build(shape)
    rng = np.random.default_rng(2)
    for weight in posterior.trainable_weights:
        weight.assign_add(0.5 * rng.normal(size=weight.shape))
    return posterior


def _says(text, error=ValueError):
    return pytest.raises(error, match=text)


# Densities.


@pytest.mark.parametrize(
    ("flow", "base"),
    [
        *itertools.product(
            ["none", "mixed"],
            ["diagonal", "log_diagonal", "low_rank", "full", "fixed"],
        ),
        ("catalogue", "diagonal"),
    ],
)
def test_log_prob_of_samples_is_that_of_the_distribution(flow, base):
    posterior = _posterior(flow, base)
    context = _context()
    distribution = posterior.distribution(context)
    is_fixed = (flow, base) == ("none", "fixed")
    assert distribution.batch_shape == ([] if is_fixed else [B])
    assert distribution.event_shape == [D]
    for sample_shape, leading in (((), []), (4, [4]), ((2, 3), [2, 3])):
        z, log_prob = posterior.sample_and_log_prob(context, sample_shape, 1)
        assert z.shape == [*leading, B, D]
        assert log_prob.shape == [*leading, B]
    np.testing.assert_allclose(
        distribution.log_prob(tf.identity(z)), log_prob, rtol=1e-9
    )


def test_log_prob_is_the_change_of_variables():
    posterior = _posterior("mixed", "full")
    standard_normal = tf.constant(_noise(B, D))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(standard_normal)
        z, log_prob = posterior.push_forward(
            standard_normal, posterior.parameters(_context())
        )
        coordinates = tf.unstack(z, axis=-1)
    jacobian = np.stack(
        [tape.gradient(y, standard_normal) for y in coordinates], axis=-2
    )
    _, log_det = np.linalg.slogdet(jacobian)
    expected = stats.norm.logpdf(standard_normal).sum(axis=-1) - log_det
    np.testing.assert_allclose(log_prob, expected, rtol=1e-10)


def _softplus(x):
    return np.logaddexp(0.0, x)


def _covariance(base, parameters):
    if base in ("log_diagonal", "fixed"):
        return np.diag(np.exp(2.0 * parameters["log_scale"].numpy()))
    scale = _softplus(parameters["unconstrained_scale"].numpy())
    if base == "diagonal":
        return np.diag(scale**2)
    if base == "low_rank":
        factor = parameters["factor"].numpy()
        return np.diag(scale**2) + factor @ factor.T
    a, b, c = parameters["lower"].numpy()
    lower = np.array([[0, 0, 0], [a, 0, 0], [b, c, 0]]) + np.diag(scale)
    return lower @ lower.T


@pytest.mark.parametrize(
    "base", ["diagonal", "log_diagonal", "low_rank", "full", "fixed"]
)
def test_bases_against_scipy(base):
    posterior = _posterior("none", base, shape=None)
    assert bool(posterior.trainable_weights) == (base != "fixed")
    parameters = posterior.parameters()["base"]
    covariance = _covariance(base, parameters)
    gaussian = stats.multivariate_normal(parameters["loc"], covariance)
    is_diagonal = "diagonal" in base or base == "fixed"
    assert np.abs(covariance).min() > 0.01 or is_diagonal
    z, log_prob = posterior.sample_and_log_prob(sample_shape=4000, seed=3)
    np.testing.assert_allclose(log_prob, gaussian.logpdf(z), rtol=1e-9)
    distribution = posterior.distribution()
    np.testing.assert_allclose(distribution.covariance(), covariance)
    errors = np.sqrt(
        (np.outer(*[np.diag(covariance)] * 2) + covariance**2) / 4000
    )
    assert np.all(np.abs(np.cov(z, rowvar=False) - covariance) < 5 * errors)
    offset = np.mean(z, axis=0) - parameters["loc"]
    assert np.all(np.abs(offset) < 5 * np.sqrt(np.diag(covariance) / 4000))


@pytest.mark.parametrize("base", ["low_rank", "full"])
def test_one_latent(base):
    posterior = FlowPosterior(1, PlanarFlow(K, seed=0), base=base)
    posterior.build((None, C))
    z, log_prob = posterior.sample_and_log_prob(_context())
    assert z.shape == [B, 1]
    np.testing.assert_allclose(
        posterior.distribution(_context()).log_prob(tf.identity(z)),
        log_prob,
        rtol=1e-4,
    )


def test_full_covariance_of_one_latent_has_no_empty_weight():
    posterior = FlowPosterior(1, base="full")
    posterior.build((None, 2))
    assert all(
        math.prod(weight.shape) for weight in posterior.trainable_weights
    )


WITH_GRADIENT = {
    "planar": lambda: layers.PlanarFlow(K, dtype="float64", seed=0),
    "maf": lambda: layers.MAFFlow(K, (8,), dtype="float64", seed=0),
    "iaf": lambda: layers.IAFFlow(K, (8,), dtype="float64", seed=0),
    "iaf_gated": lambda: layers.IAFFlow(
        K, (8,), update="gated", mixing="orthogonal", dtype="float64", seed=0
    ),
    "iaf_inverted": lambda: layers.IAFFlow(
        K, (8,), inverted=True, dtype="float64", seed=0
    ),
    "spline_autoregressive": lambda: layers.SplineAutoregressiveFlow(
        K, (8,), dtype="float64", seed=0
    ),
    "naf": lambda: layers.NAFFlow(K, (8,), dtype="float64", seed=0),
    "nice": lambda: layers.NICEFlow(
        K, (8,), scaling=True, dtype="float64", seed=0
    ),
    "householder": lambda: layers.HouseholderFlow(K, dtype="float64", seed=0),
    "two": lambda: [
        layers.IAFFlow(K, (8,), dtype="float64", seed=0),
        layers.PlanarFlow(K, dtype="float64", seed=1),
    ],
}


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("flow", WITH_GRADIENT)
def test_gradient_that_comes_with_the_samples(flow, jit_compile):
    """Is that of the density, which goes through the inverse."""
    posterior = FlowPosterior(
        D, WITH_GRADIENT[flow](), base="full", dtype="float64"
    )
    posterior.build((None, C))
    rng = np.random.default_rng(2)
    for weight in posterior.trainable_variables:
        weight.assign(weight + 0.3 * rng.normal(size=weight.shape))
    standard_normal = tf.constant(_noise(2, B, D))
    context = _context()

    @tf.function(jit_compile=jit_compile)
    def gradients():
        parameters = posterior.parameters(context)
        z, _ = posterior.push_forward(standard_normal, parameters)
        z = tf.identity(tf.stop_gradient(z))
        with tf.GradientTape() as tape:
            tape.watch(z)
            log_prob = posterior.make_distribution(parameters).log_prob(z)
        return tape.gradient(log_prob, z), posterior.log_prob_gradient(
            standard_normal, parameters
        )

    expected, found = gradients()
    assert np.abs(expected).max() > 0.1
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9 * scale)


class _Shifted(FlowPosterior):
    def push_forward(self, standard_normal, parameters):
        z, log_prob = super().push_forward(standard_normal, parameters)
        return z + 1.0, log_prob


class _ShiftedWithGradient(_Shifted):
    def log_prob_gradient(self, standard_normal, parameters):
        return super().log_prob_gradient(standard_normal, parameters)


def test_gradient_of_another_map_is_refused():
    def weigh(posterior_class, score):
        posterior = posterior_class(D, dtype="float64")
        posterior.build((None, C))
        posterior.sample_and_log_weight(
            tf.constant(_noise(2, B, D)),
            posterior.parameters(_context()),
            score=score,
        )

    with pytest.raises(NotImplementedError, match="`log_prob_gradient`.*Shift"):
        weigh(_Shifted, score=False)
    weigh(_Shifted, score=True)
    weigh(_ShiftedWithGradient, score=False)


def test_flows_apply_in_the_order_of_the_list():
    posterior = _posterior("mixed")
    parameters = posterior.parameters(_context())
    n = _noise(B, D)
    base = parameters["base"]
    z = base["loc"] + _softplus(base["unconstrained_scale"]) * n
    for flow in posterior.flows:
        z = flow.bijector(_context()).forward(z)
    np.testing.assert_allclose(
        posterior.push_forward(n, parameters)[0], z, rtol=1e-12
    )


# Noise.


def test_noise_differs_from_example_to_example():
    posterior = _posterior("planar")
    same = np.repeat(_context(1), 2, axis=0)
    z, _ = posterior.sample_and_log_prob(same, 2000, seed=4)
    drawn = posterior.distribution(same).sample(2000, seed=[0, 4])
    for samples in (z, drawn):
        flat = np.reshape(samples, [2000, 2 * D])
        correlation = np.corrcoef(flat, rowvar=False)[:D, D:]
        assert np.abs(correlation).max() < 0.1


def test_noise_is_that_of_seed_and_index_of_the_example():
    posterior = _posterior("planar")
    context = _context()
    z, log_prob = posterior.sample_and_log_prob(context, 4, seed=5)
    again = posterior.sample_and_log_prob(context, 4, seed=5)
    np.testing.assert_array_equal(again[0], z)
    np.testing.assert_array_equal(again[1], log_prob)
    fewer, _ = posterior.sample_and_log_prob(context[:2], 4, seed=5)
    np.testing.assert_allclose(fewer, z[:, :2], rtol=1e-12)
    other, _ = posterior.sample_and_log_prob(context, 4, seed=6)
    assert np.abs(other - z).min() > 0


# What depends on the context.


def test_without_context():
    posterior = _posterior("mixed", shape=None)
    assert posterior.distribution().batch_shape == []
    for sample_shape, leading in (((), []), (4, [4]), ((2, 3), [2, 3])):
        z, log_prob = posterior.sample_and_log_prob(sample_shape=sample_shape)
        assert z.shape == [*leading, D]
        assert log_prob.shape == leading
    np.testing.assert_allclose(
        posterior.distribution().log_prob(tf.identity(z)), log_prob, rtol=1e-9
    )


@pytest.mark.parametrize("amortized", [True, False, None])
@pytest.mark.parametrize("flow", ["none", "planar"])
def test_amortized_is_of_the_gaussian(flow, amortized):
    posterior = _posterior(flow, amortized=amortized)
    loc = posterior.parameters(_context())["base"]["loc"]
    assert loc.shape == ([D] if amortized is False else [B, D])
    is_shared = flow == "none" and amortized is False
    distribution = posterior.distribution(_context())
    assert distribution.batch_shape == ([] if is_shared else [B])
    z, log_prob = posterior.sample_and_log_prob(_context(), 2)
    assert z.shape == [2, B, D]
    assert np.unique(z[..., 0]).size == 2 * B
    np.testing.assert_allclose(
        distribution.log_prob(tf.identity(z)), log_prob, rtol=1e-9
    )


# Weights.


@pytest.mark.parametrize("base", ["diagonal", "log_diagonal", "low_rank"])
def test_flow_is_the_identity_at_initialisation(base):
    with_flow, without = (
        FlowPosterior(D, FLOWS[flow](), base=base, initial_scale=0.3)
        for flow in ("mixed", "none")
    )
    keras.utils.set_random_seed(0)
    with_flow.build((None, C))
    without.build((None, C))
    parameters = with_flow.parameters(_context())
    n = _noise(B, with_flow.noise_size).astype(np.float32)
    z, log_prob = with_flow.push_forward(n, parameters)
    expected = without.push_forward(n, {**parameters, "flows": []})
    np.testing.assert_allclose(z, expected[0], rtol=1e-6)
    np.testing.assert_allclose(log_prob, expected[1], rtol=1e-6)
    # Where the context is zero, so are the kernels' contributions.
    at_zero = with_flow.distribution(np.zeros([1, C], np.float32))
    spread = np.std(at_zero.sample(2000, seed=[0, 0]), axis=0)
    np.testing.assert_allclose(spread, np.full([1, D], 0.3), rtol=0.1)


@pytest.mark.parametrize("base", ["low_rank", "full"])
def test_initial_weights_follow_the_global_seed(base):
    weights = []
    for seed in (0, 0, 1):
        keras.utils.set_random_seed(seed)
        posterior = FlowPosterior(D, PlanarFlow(K), base=base, rank=2)
        posterior.build((None, C))
        weights.append([w.numpy() for w in posterior.trainable_weights])
    for first, again in zip(*weights[:2], strict=True):
        np.testing.assert_array_equal(first, again)
    (kernel,) = (
        i
        for i, weight in enumerate(posterior.trainable_weights)
        if weight.path.endswith("base/kernel")
    )
    assert np.all(weights[1][kernel] != weights[2][kernel])


@pytest.mark.parametrize(
    ("flow", "base"),
    [("planar", "diagonal"), ("planar", "low_rank"), ("radial", "full")],
)
def test_every_weight_has_a_gradient_after_one_update(flow, base):
    layer = {"planar": PlanarFlow, "radial": RadialFlow}[flow](K, seed=0)
    posterior = FlowPosterior(D, layer, base=base, rank=2)
    posterior.build((None, C))
    context = _context(50).astype(np.float32)
    target = context[:, :D] ** 2

    def gradients():
        with tf.GradientTape() as tape:
            z, log_prob = posterior.sample_and_log_prob(context, seed=1)
            error = tf.reduce_sum((z - target) ** 2, axis=-1)
            loss = tf.reduce_mean(error + log_prob)
        return tape.gradient(loss, posterior.trainable_variables)

    optimizer = keras.optimizers.SGD(0.05)
    optimizer.apply(gradients(), posterior.trainable_variables)
    after = gradients()
    assert len(after) >= 6
    for variable, gradient in zip(
        posterior.trainable_variables, after, strict=True
    ):
        # Every entry, so every step, of every parameter, in the kernels too.
        assert np.all(np.abs(gradient) > 0), variable.path


def test_config():
    posterior = FlowPosterior(
        D,
        FLOWS["mixed"](dtype="float64"),
        base="low_rank",
        rank=2,
        amortized=False,
        initial_scale=0.5,
        kl_weight=0.5,
        prior=FlowPosterior(D, base="full", name="the_prior"),
        seed=3,
        name="q",
        dtype="float64",
    )
    config = posterior.get_config()
    copy = FlowPosterior.from_config(config)
    assert copy.get_config() == config
    assert [type(flow) for flow in copy.flows] == [
        PlanarFlow,
        RadialFlow,
        PlanarFlow,
    ]
    assert copy.flows[0] is not posterior.flows[0]
    assert copy.prior.base == "full"
    copy.build((None, C))
    posterior.build((None, C))
    assert [w.path for w in copy.weights] == [w.path for w in posterior.weights]


# Where it runs.


# A gradient near zero is a sum of terms of order 1, hence `atol`.
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)]
)
@pytest.mark.parametrize(
    ("flow", "base"),
    [("planar", "diagonal"), ("mixed", "low_rank"), ("mixed", "full")],
)
@pytest.mark.slow
def test_xla_agrees_with_eager(flow, base, dtype, tolerance):
    keras.utils.set_random_seed(0)
    posterior = _posterior(flow, base, dtype=dtype)
    context = tf.constant(_context(), dtype)

    def values(context):
        with tf.GradientTape() as tape:
            z, log_prob = posterior.sample_and_log_prob(context, 2, seed=1)
            loss = tf.reduce_mean(log_prob + z[..., 0])
        return z, log_prob, tape.gradient(loss, posterior.trainable_variables)

    compiled = tf.function(values, jit_compile=True)(context)
    for got, expected in zip(
        tf.nest.flatten(compiled), tf.nest.flatten(values(context)), strict=True
    ):
        np.testing.assert_allclose(
            got, expected, rtol=tolerance, atol=tolerance
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "base", ["diagonal", "log_diagonal", "low_rank", "full"]
)
def test_xla_compiles_log_prob_of_any_point(base):
    posterior = _posterior("mixed", base)
    context = tf.constant(_context())

    def values(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            log_prob = posterior.distribution(context).log_prob(z)
        return log_prob, tape.gradient(log_prob, z)

    z = tf.constant(_noise(B, D))
    compiled = tf.function(values, jit_compile=True)(z)
    for got, expected in zip(compiled, values(z), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-8)


@pytest.mark.parametrize("shape", [(None, C), None])
def test_densities_are_float32_under_mixed_precision(shape):
    posterior = FlowPosterior(
        D,
        [
            PlanarFlow(K, seed=0, dtype="mixed_bfloat16"),
            RadialFlow(K, amortized=False, seed=1, dtype="mixed_bfloat16"),
        ],
        dtype="mixed_bfloat16",
    )
    posterior.build(shape)
    context = None if shape is None else tf.cast(_context(), tf.bfloat16)
    for tensor in tf.nest.flatten(
        [
            posterior.parameters(context),
            posterior.sample_and_log_prob(context, 2),
            posterior.flows[0].parameters(context),
        ]
    ):
        assert tensor.dtype == tf.float32
    assert posterior.distribution(context).dtype == tf.float32


# Errors.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latent_size": 0}, "`latent_size` must be an integer >= 1; got 0"),
        ({"latent_size": 2.0}, "`latent_size` must be an integer >= 1; got 2"),
        (
            {"base": "cholesky"},
            "`base` must be one of 'diagonal', 'log_diagonal'",
        ),
        ({"base": "low_rank", "rank": 0}, "`rank` must be an integer from 1"),
        ({"base": "low_rank", "rank": 4}, "to latent_size = 3; got 4"),
        ({"kl_weight": -1.0}, "`kl_weight` must not be negative; got -1.0"),
        ({"kl_weight": np.nan}, "`kl_weight` must not be negative; got nan"),
        ({"initial_scale": 0.0}, "`initial_scale` must be positive and fin"),
        ({"latent_size": True}, "`latent_size` must be an integer >= 1; got T"),
        ({"base": "low_rank", "rank": True}, "`rank` must be .*; got True"),
        ({"seed": None}, "`seed` must be .*; got None"),
        ({"kl_weight": "1"}, "`kl_weight` must not be negative; got '1'"),
        ({"initial_scale": "1"}, "`initial_scale` must be positive .* got '1'"),
    ],
)
def test_bad_argument_is_refused_at_once(arguments, message):
    with _says(message):
        FlowPosterior(**{"latent_size": D, **arguments})


@pytest.mark.parametrize(
    "flow", ["planar", keras.layers.Dense(D), [PlanarFlow(1), "radial"], 3]
)
def test_what_is_no_flow_layer(flow):
    with _says("`flow` must be a flow layer .* or a list of", TypeError):
        FlowPosterior(D, flow)


def test_flow_of_another_dtype():
    with _says(
        "`flow` must hold layers of the posterior's dtype, float64; got"
    ):
        FlowPosterior(D, PlanarFlow(K), dtype="float64")


def test_bad_context():
    posterior = _posterior("planar")
    for use in (
        posterior.parameters,
        posterior.distribution,
        posterior.sample_and_log_prob,
    ):
        with _says("`context` must be given, as .* amortized; got None"):
            use(None)
        with _says(r"`context` must have last axis 4, .* got shape \(5, 3\)"):
            use(np.zeros([B, C - 1]))
        for shape in ((C,), (2, B, C)):
            with _says(r"`context` must have shape \[B, C\]; got \("):
                use(np.zeros(shape))


def test_not_built():
    for use in ("parameters", "distribution", "sample_and_log_prob"):
        with _says("must be built before it is used; call it once, or"):
            getattr(FlowPosterior(D), use)()


def test_bad_shapes_to_build_for():
    for shape in ((None, None), (C,), (None, 2, C)):
        with _says(r"`context` must have shape \[B, C\] with a known C; got"):
            FlowPosterior(D).build(shape)
    with _says("`input_shape` must be given, as .* amortized=True; got None"):
        FlowPosterior(D, amortized=True).build()
    with _says("`context_shape` must be given, as .* amortized=True; got None"):
        FlowPosterior(D, PlanarFlow(2, amortized=True)).build()
