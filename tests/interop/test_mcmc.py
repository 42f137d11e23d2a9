"""`tfp.mcmc.TransformedTransitionKernel` in the space before a flow."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.interop import flows, reference

tfd = tfp.distributions

NUM_CHAINS = 100
MEAN = np.array([1.0, -1.0])
COVARIANCE = np.array([[1.0, 0.6], [0.6, 1.0]])
TARGET = tfd.MultivariateNormalTriL(MEAN, np.linalg.cholesky(COVARIANCE))


@pytest.mark.parametrize(
    ("name", "mode"), [("planar", "graph"), ("scan_radial", "xla")]
)
def test_hmc_has_the_moments_of_the_target(name, mode):
    kernel = tfp.mcmc.TransformedTransitionKernel(
        tfp.mcmc.HamiltonianMonteCarlo(
            TARGET.log_prob,
            step_size=np.float64(0.4),
            num_leapfrog_steps=4,
        ),
        bijector=flows.bijector(name, flows.parameters(name)),
    )

    def run():
        return tfp.mcmc.sample_chain(
            num_results=40,
            num_burnin_steps=20,
            current_state=tf.zeros([NUM_CHAINS, 2], tf.float64),
            kernel=kernel,
            trace_fn=lambda _, results: results.inner_results.is_accepted,
            seed=(1, 2),
        )

    samples, is_accepted = (r.numpy() for r in flows.compiled(run, mode)())
    assert samples.shape == (40, NUM_CHAINS, 2)
    assert 0.5 < np.mean(is_accepted) <= 1.0
    centered = samples - MEAN
    products = centered[..., :, np.newaxis] * centered[..., np.newaxis, :]
    # Chains are independent: their means give the standard error.
    for statistic, expected in ((samples, MEAN), (products, COVARIANCE)):
        means = np.mean(statistic, axis=0)
        standard_error = np.std(means, axis=0) / np.sqrt(NUM_CHAINS)
        assert np.all(standard_error < 0.1)
        assert np.all(
            np.abs(np.mean(means, axis=0) - expected) < 5.0 * standard_error
        )


@pytest.mark.parametrize("name", flows.NAMES)
def test_transformed_target_is_the_density_before_the_flow(name):
    values = flows.parameters(name)
    flow = flows.bijector(name, values)
    kernel = tfp.mcmc.TransformedTransitionKernel(
        tfp.mcmc.HamiltonianMonteCarlo(
            TARGET.log_prob,
            step_size=np.float64(0.1),
            num_leapfrog_steps=1,
        ),
        bijector=flow,
    )
    y = tf.constant(np.random.default_rng(7).normal(size=(5, 2)))
    results = kernel.bootstrap_results(y)
    x = flows.pull_back(name, y, values)
    np.testing.assert_allclose(
        results.transformed_state, x, atol=flows.TOLERANCE
    )
    _, fldj = reference.forward(name, x, values)
    np.testing.assert_allclose(
        results.inner_results.accepted_results.target_log_prob,
        TARGET.log_prob(y) + fldj,
        atol=flows.TOLERANCE,
    )
