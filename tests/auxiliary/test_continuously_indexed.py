"""Continuously-indexed flows over tensors: exact values, bounds, training."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import integrate, interpolate, special, stats

from tfp_flows import bijectors, targets
from tfp_flows.auxiliary import ContinuouslyIndexedFlow, IndexedStep

tfd = tfp.distributions

LOC, LOG_SCALE, SHIFT, SPREAD = 0.8, 0.4, 1.5, -0.3


def gaussian(loc, log_scale):
    return lambda x: (
        loc * x[..., :1],
        log_scale * tf.ones_like(x[..., :1]),
    )


def one_layer(order="after", reverse=(0.3, 0.0)):
    """`z = w exp(s u) + t u` of `w ~ N(0, 1)`, `u ~ N(a w, exp(b)^2)`."""
    step = IndexedStep(
        tfp.bijectors.Identity(),
        scale_and_shift=lambda u: (LOG_SCALE * tf.tanh(u), SHIFT * u),
        auxiliary=gaussian(LOC, SPREAD),
        reverse=gaussian(*reverse),
        auxiliary_size=1,
        order=order,
    )
    base = tfd.MultivariateNormalDiag(np.zeros(1), np.ones(1), name="base")
    return ContinuouslyIndexedFlow(base, [step])


def joint_log_density(z, u, order):
    """`log q(z, u)` in NumPy."""
    s, t = LOG_SCALE * np.tanh(u), SHIFT * u
    w = (z - t) * np.exp(-s) if order == "after" else z * np.exp(-s) - t
    return (
        stats.norm.logpdf(w) + stats.norm.logpdf(u, LOC * w, np.exp(SPREAD)) - s
    )


@functools.cache
def marginal(order):
    """`log q(z)` by quadrature, as a spline."""
    z = np.linspace(-30, 30, 2401)
    u, step = np.linspace(-12, 12, 1201, retstep=True)
    log_q = special.logsumexp(
        joint_log_density(z[:, np.newaxis], u, order), axis=1
    )
    return interpolate.CubicSpline(z, log_q + np.log(step))


@pytest.mark.parametrize(
    "order", ["before", pytest.param("after", marks=pytest.mark.slow)]
)
def test_joint_density_of_given_points(order):
    rng = np.random.default_rng(0)
    z, u = rng.normal(size=(2, 50))
    found = one_layer(order).joint_log_prob(z[:, None], [u[:, None]])
    np.testing.assert_allclose(
        found, joint_log_density(z, u, order), rtol=1e-12
    )
    total = integrate.dblquad(
        lambda u, z: np.exp(joint_log_density(z, u, order)),
        -15,
        15,
        -10,
        10,
        epsabs=1e-5,
    )[0]
    assert abs(total - 1.0) < 1e-4


@pytest.mark.parametrize("order", ["before", "after"])
def test_bounds_bracket_the_known_marginal(order):
    """The generating u over-estimates q, without it q is under-estimated."""
    flow, num_samples = one_layer(order), 50_000
    above, below, errors = [], [], []
    for m in (0, 1, 4, 16, 64):
        z, log_weight = flow.sample_and_log_weight(num_samples, m, m)
        exact = marginal(order)(z.numpy()[:, 0])
        difference = -log_weight - exact
        above.append(np.mean(difference))
        errors.append(np.std(difference) / np.sqrt(num_samples))
        if m:
            bound = flow.log_prob_lower_bound(z, m, seed=m)
            below.append(np.mean(bound - exact))
    assert np.all(np.diff(above) < 0)
    assert above[0] > 0.1
    assert -2 * errors[-1] < above[-1] < 0.05 * above[0]
    assert np.all(np.diff(below) > 0)
    assert below[0] < -0.1
    assert 0.05 * below[0] < below[-1] < 0
    # For M = 0: the mean of KL(q(u | z) || r(u)), by quadrature.
    z = np.linspace(-9, 9, 301)
    u, step = np.linspace(-9, 9, 1501, retstep=True)
    joint = joint_log_density(z[:, None], u, order)
    reverse = stats.norm.logpdf(u, 0.3 * z[:, None], 1.0)
    log_ratio = joint - marginal(order)(z)[:, None] - reverse
    expected = np.sum(np.exp(joint) * log_ratio) * step * (z[1] - z[0])
    assert abs(above[0] - expected) < 4.5 * errors[0]


def test_weights_are_those_of_importance_sampling():
    """`E[exp(log p + log_weight)] = Z`, whatever M."""
    target = tfd.MultivariateNormalDiag([0.5], [0.5])
    for m in (0, 3):
        z, log_weight = one_layer(reverse=(0.42, -1.3)).sample_and_log_weight(
            100_000, 1, m
        )
        log_p = target.log_prob(tf.cast(z, tf.float32)).numpy()
        weight = 2.0 * np.exp(log_p + log_weight)
        error = weight.std() / np.sqrt(len(weight))
        assert error < 0.02
        assert abs(weight.mean() - 2.0) < 4.5 * error


def test_exact_reverse_model_leaves_no_gap():
    """`z = w + t u` is linear and Gaussian: q(u | z) is known."""
    a, b = 0.6, np.exp(-0.5)
    variance = (1 + SHIFT * a) ** 2 + (SHIFT * b) ** 2
    covariance = a * (1 + SHIFT * a) + SHIFT * b**2
    conditional = a**2 + b**2 - covariance**2 / variance
    step = IndexedStep(
        bijectors.Permutation([0]),
        lambda u: (tf.zeros_like(u), SHIFT * u),
        gaussian(a, -0.5),
        gaussian(covariance / variance, 0.5 * np.log(conditional)),
        1,
        "after",
    )
    base = tfd.MultivariateNormalDiag(np.zeros(1), np.ones(1))
    flow = ContinuouslyIndexedFlow(base, [step])
    z, log_weight = flow.sample_and_log_weight(100, seed=0)
    expected = stats.norm.logpdf(z.numpy()[:, 0], 0, np.sqrt(variance))
    np.testing.assert_allclose(-log_weight, expected, rtol=1e-10)
    np.testing.assert_allclose(
        flow.log_prob_lower_bound(z, 1, seed=1), expected, rtol=1e-10
    )


@pytest.mark.slow
def test_optimisation_loop_over_variables():
    """A TFP user's own loop: bijectors on variables, networks as callables."""
    rng = np.random.default_rng(0)
    names = ("scale_and_shift", "auxiliary", "reverse")
    shapes = ((1, 4), (2, 2), (2, 2))
    kernels = {
        name: tf.Variable(0.1 * rng.normal(size=shape).astype("float32"))
        for name, shape in zip(names, shapes, strict=True)
    }

    def halves(name):
        return lambda x: tf.split(tf.tanh(x @ kernels[name]), 2, axis=-1)

    u = tf.Variable(tf.constant([0.1, 0.0]))
    step = IndexedStep(
        bijectors.Planar(u, tf.constant([1.0, 0.5]), 0.0),
        *map(halves, names),
        auxiliary_size=1,
    )
    flow = ContinuouslyIndexedFlow(
        tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2)), [step]
    )
    target = targets.get("u1")
    variables = [u, *kernels.values()]

    @tf.function(jit_compile=True, autograph=False)
    def bound_and_gradient(i):
        with tf.GradientTape() as tape:
            z, log_weight = flow.sample_and_log_weight(
                200, seed=tf.stack([0, i]), num_auxiliary_samples=1
            )
            bound = tf.reduce_mean(target.log_prob(z) + log_weight)
        return bound, tape.gradient(bound, variables)

    bounds = []
    for i in range(200):
        bound, gradients = bound_and_gradient(tf.constant(i))
        bounds.append(float(bound))
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_add(0.01 * tf.clip_by_norm(gradient, 10.0))
    assert np.mean(bounds[-20:]) > np.mean(bounds[:20]) + 0.5
    assert np.mean(bounds[-20:]) < 0.0  # log Z


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        ([tfp.bijectors.Identity()], TypeError, "must hold `IndexedStep`s"),
        (
            [one_layer().steps[0]._replace(order="both")],
            ValueError,
            "`order` must be one of 'before', 'after'; got 'both'",
        ),
        (
            [one_layer().steps[0]._replace(auxiliary_size=0)],
            ValueError,
            "`auxiliary_size` must be an integer >= 1; got 0",
        ),
    ],
)
def test_bad_steps(steps, error, message):
    with pytest.raises(error, match=message):
        ContinuouslyIndexedFlow(one_layer().base_distribution, steps)


def test_bad_arguments():
    flow = one_layer()
    with pytest.raises(ValueError, match="`base_distribution` must be over ve"):
        ContinuouslyIndexedFlow(tfd.Normal(0.0, 1.0), flow.steps)
    with pytest.raises(ValueError, match="`num_auxiliary_samples` .* got -1"):
        flow.sample_and_log_weight(2, 0, -1)
    with pytest.raises(ValueError, match="`num_samples` .* got 0"):
        flow.log_prob_lower_bound(np.zeros((2, 1)), 0)
