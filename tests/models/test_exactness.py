"""Bounds and gradients where log p(x) and the posterior are known."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models import linear_gaussian as lg
from tfp_flows.layers import PlanarFlow

SIGMAS = 4.5  # of the Monte Carlo error of a fixed seed

both = pytest.mark.parametrize("num_layers", [1, 2])


def identity_flow():
    return PlanarFlow(3, dtype="float64", seed=1)


def tilted(exact, size, widening=1.3, shift=0.2):
    """Mean, relative to the posterior's, and covariance of another Gaussian."""
    offset = shift * np.sqrt(np.diag(exact.posterior_covariance))
    return offset * (-1.0) ** np.arange(size), (
        widening * exact.posterior_covariance
    )


def set_tilted_posterior(model, **kwargs):
    exact = lg.truth(model)
    offset, covariance = tilted(exact, exact.A.shape[1], **kwargs)
    lg.set_posterior(
        model, exact.gain, offset - exact.gain @ exact.c, covariance
    )
    return exact, offset, covariance


def set_posterior_near_the_exact(model, scale, flow_scale, seed):
    """A random step away from it, in which a flow is not the identity."""
    exact = lg.set_exact_posterior(model)
    rng = np.random.default_rng(seed)
    for name, w in lg.weights(model).items():
        step = rng.standard_normal(w.shape)
        if name.startswith(("encoder", "posterior/base")):
            w.assign(w + scale * step)
        elif name.endswith("parameters/u"):
            w.assign(flow_scale * step)
    return exact


class TestExactPosterior:
    @pytest.mark.parametrize(
        ("num_layers", "num_samples", "flow"),
        [
            (1, 1, None),
            (1, 5, identity_flow),
            (2, 5, None),
            (2, 1, identity_flow),
        ],
    )
    def test_elbo_of_every_sample_is_log_p(self, num_layers, num_samples, flow):
        model = lg.build(num_layers, flow=flow and flow())
        exact = lg.set_exact_posterior(model)
        x = 2.0 * exact.sample(20)  # also where the model finds x unlikely
        noise = lg.normal_noise(num_samples, 20, model.posterior.noise_size)
        for drawn in (noise, *noise[:, np.newaxis]):
            np.testing.assert_allclose(
                lg.bound(model, x, drawn),
                exact.log_marginal(x),
                rtol=0,
                atol=1e-10,
            )

    def test_evaluate_returns_log_p(self):
        model = lg.build(
            2,
            flow=identity_flow(),
            likelihood="gaussian",
            num_importance_samples=5,
        )
        exact = lg.set_exact_posterior(model)
        x = exact.sample(20)
        metrics = model.evaluate(x, verbose=0, return_dict=True, batch_size=7)
        for name in ("elbo", "iwae_5"):
            assert metrics[name] == pytest.approx(
                np.mean(exact.log_marginal(x)), abs=1e-10
            )

    @pytest.mark.parametrize("base", ["low_rank", "diagonal"])
    def test_other_bases(self, base):
        model = lg.build(base=base)
        if base == "diagonal":  # with orthogonal columns, it is exact
            lg.weights(model)["decoder/kernel"].assign(
                [[1.0, 2.0, -1.0], [3.0, -1.0, 1.0]]
            )
        exact = lg.set_exact_posterior(model)
        x = exact.sample(20)
        noise = lg.normal_noise(1, 20, model.posterior.noise_size)
        np.testing.assert_allclose(
            lg.bound(model, x, noise), exact.log_marginal(x), rtol=0, atol=1e-10
        )

    def test_importance_sampling_has_no_error(self):
        model = lg.build(2)
        exact = lg.set_exact_posterior(model)
        x = exact.sample(10)
        result = model.log_marginal_likelihood(x, 20, verbose=0)
        np.testing.assert_allclose(
            result.estimates, exact.log_marginal(x), rtol=0, atol=1e-10
        )
        # The square root of what rounding leaves of a variance.
        assert np.all(result.standard_errors < 1e-7)


@both
class TestImportanceSampling:
    def test_bias_is_the_known_one(self, num_layers):
        num_images, num_samples = 40_000, 10
        model = lg.build(num_layers)
        exact, *gaussian = set_tilted_posterior(model)
        errors = estimation_errors(model, num_images, num_samples)[0]
        second, third = lg.chi_square_moments(
            *gaussian, exact.posterior_covariance
        )
        variance = second - 1.0  # of w / p(x)
        skewness = third - 3.0 * second + 2.0
        bias = -variance / (2.0 * num_samples)
        # The next order of the series is a small correction.
        next_order = (skewness / 3.0 - 3.0 * variance**2 / 4.0) / num_samples**2
        assert abs(next_order) < 0.2 * abs(bias)
        error = np.std(errors) / np.sqrt(num_images)
        assert abs(bias) > 8.0 * error  # or nothing would be tested
        assert np.mean(errors) == pytest.approx(
            bias + next_order, abs=SIGMAS * error
        )
        assert np.std(errors) == pytest.approx(
            np.sqrt(variance / num_samples), rel=0.2
        )

    def test_converges_with_errors_that_its_standard_errors_cover(
        self, num_layers
    ):
        num_images, num_samples = 2000, 500
        model = lg.build(num_layers)
        exact, *gaussian = set_tilted_posterior(model)
        errors, standard_errors = estimation_errors(
            model, num_images, num_samples
        )
        second, _ = lg.chi_square_moments(*gaussian, exact.posterior_covariance)
        assert np.sqrt(np.mean(errors**2)) == pytest.approx(
            np.sqrt((second - 1.0) / num_samples), rel=0.08
        )
        z = errors / standard_errors
        # 0.9545 for normal errors, which these are up to 1 / sqrt(S).
        interval = SIGMAS * np.sqrt(0.9545 * 0.0455 / num_images)
        assert np.mean(np.abs(z) < 2.0) == pytest.approx(
            0.9545, abs=interval + 0.005
        )
        assert np.std(z) == pytest.approx(1.0, abs=0.08)


def test_mean_weight_is_p_of_x_with_a_flow():
    model = lg.build(2, flow=identity_flow())
    set_posterior_near_the_exact(model, 0.0, 0.15, seed=0)
    errors = estimation_errors(model, num_images=4000, num_samples=50)[0]
    ratios = np.exp(errors)  # its mean is 1 for every number of samples
    error = np.std(ratios) / np.sqrt(len(ratios))
    assert error < 0.01
    assert np.mean(ratios) == pytest.approx(1.0, abs=SIGMAS * error)


def estimation_errors(model, num_images, num_samples):
    """Errors of the estimates of `log p(x)`, and their standard errors."""
    exact = lg.truth(model)
    x = exact.sample(num_images)
    result = model.log_marginal_likelihood(
        x, num_samples, batch_size=num_images, samples_per_chunk=50, verbose=0
    )
    return result.estimates - exact.log_marginal(x), result.standard_errors


def test_elbo_iwae_and_log_p_are_in_order():
    model = lg.build(num_importance_samples=5)
    exact, *_ = set_tilted_posterior(model, widening=2.0, shift=1.0)
    x = exact.sample(20_000)
    metrics = model.evaluate(x, verbose=0, return_dict=True, batch_size=20_000)
    assert metrics["elbo"] + 0.1 < metrics["iwae_5"]
    assert metrics["iwae_5"] + 0.02 < np.mean(exact.log_marginal(x))
    assert metrics["loss"] == pytest.approx(-metrics["iwae_5"], abs=1e-5)


class TestElbo:
    """At weights that nothing relates to the exact posterior."""

    @both
    def test_is_the_closed_form(self, num_layers):
        model = lg.build(num_layers)
        noise = lg.cubature(model.posterior.noise_size)
        for x in lg.truth(model).sample(5):
            rows = np.tile(x, [noise.shape[1], 1])
            assert np.mean(lg.bound(model, rows, noise)) == pytest.approx(
                float(lg.closed_form_elbo(lg.weights(model), x[None])[0]),
                abs=1e-10,
            )

    @both
    @pytest.mark.parametrize(
        "estimator",
        ["reparameterized", "sticking_the_landing", "doubly_reparameterized"],
    )
    def test_mean_gradient_is_the_analytic_one(self, num_layers, estimator):
        model = lg.build(num_layers, gradient_estimator=estimator)
        noise = lg.cubature(model.posterior.noise_size)
        x = lg.truth(model).sample(3)
        # Every image at every point of the cubature.
        rows = np.repeat(x, noise.shape[1], axis=0)
        noise = np.tile(noise, [1, 3, 1])
        ours = lg.gradients(
            model, lambda: tf.reduce_mean(lg.bound(model, rows, noise))
        )
        expected = lg.gradients(
            model,
            lambda: tf.reduce_mean(lg.closed_form_elbo(lg.weights(model), x)),
        )
        for name, gradient in expected.items():
            assert np.any(gradient)
            np.testing.assert_allclose(
                ours[name], gradient, rtol=0, atol=1e-10, err_msg=name
            )

    @pytest.mark.parametrize("flow", [None, identity_flow], ids=["", "flow"])
    def test_never_exceeds_log_p(self, flow):
        model = lg.build(2, flow=flow and flow())
        exact = lg.truth(model)
        x = exact.sample(1000)
        noise = lg.normal_noise(1, len(x), 4)
        bound = tf.function(lambda: lg.bound(model, x, noise), autograph=False)
        gaps = []
        for seed in range(20):
            scale = 0.02 if seed % 2 else 0.2
            set_posterior_near_the_exact(model, scale, 0.15, seed)
            excess = bound().numpy() - exact.log_marginal(x)
            error = np.std(excess) / np.sqrt(len(x))
            assert np.mean(excess) < SIGMAS * error
            gaps.append(-np.mean(excess))
        assert np.min(gaps) < 0.2 < 0.5 < np.max(gaps)

    @both
    def test_gap_is_the_kl_divergence(self, num_layers):
        """Also never above log p(x), for it is exact here."""
        model = lg.build(num_layers)
        exact, offset, covariance = set_tilted_posterior(model)
        size = len(offset)
        precision = np.linalg.inv(exact.posterior_covariance)
        kl = 0.5 * (
            np.trace(precision @ covariance)
            + offset @ precision @ offset
            - size
            - np.linalg.slogdet(precision @ covariance)[1]
        )
        x = exact.sample(5)
        np.testing.assert_allclose(
            exact.log_marginal(x)
            - lg.closed_form_elbo(lg.weights(model), x).numpy(),
            np.full([5], kl),
            rtol=0,
            atol=1e-10,
        )
        rows = np.tile(exact.sample(100), [200, 1])
        noise = lg.normal_noise(1, len(rows), size)
        gap = exact.log_marginal(rows) - lg.bound(model, rows, noise).numpy()
        assert np.mean(gap) == pytest.approx(
            kl, abs=SIGMAS * np.std(gap) / np.sqrt(len(rows))
        )
