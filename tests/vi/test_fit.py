"""`vi.fit`, importance sampling and NeuTra on posteriors that are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import layers, vi
from tfp_flows.vi import ascent

tfd = tfp.distributions

# w ~ N(0, I), y ~ N(w, I), on R^5: all is known in closed form.
Y = np.array([0.5, -1.0, 2.0, 0.3, 1.5], np.float32)
LOG_EVIDENCE = float(
    np.sum(-0.5 * np.log(2 * np.pi * 2.0) - Y.astype(np.float64) ** 2 / 4.0)
)
SD = np.sqrt(0.5)


MODEL = tfd.JointDistributionNamed(
    {
        "w": tfd.MultivariateNormalDiag(tf.zeros(5), tf.ones(5)),
        "y": lambda w: tfd.MultivariateNormalDiag(w, tf.ones(5)),
    }
).experimental_pin(y=Y)


@pytest.fixture(scope="module")
def fitted():
    q = vi.build_flow_surrogate_posterior(MODEL, [])
    result = vi.fit(
        MODEL, q, num_steps=300, num_draws=32, learning_rate=0.1, verbose=False
    )
    return q, result


def test_elbo_ends_at_the_evidence(fitted):
    """The gradient without score has no noise at the posterior itself."""
    _, result = fitted
    assert abs(result.elbo - LOG_EVIDENCE) < 1e-3
    assert result.elbo_standard_error < 1e-3
    assert result.k_hat < 0.5
    assert result.has_converged
    assert result.history.shape == (300,)
    assert str(result).startswith(f"ELBO {LOG_EVIDENCE:.3f} ± 0.000 nats, k-ha")


def test_importance_sampling_corrects_a_surrogate_that_is_off():
    q = vi.build_flow_surrogate_posterior(
        MODEL, [], base="diagonal", initial_loc=0.4 * Y, initial_scale=0.85
    )
    plain = q.sample(20_000, seed=(0, 1))["w"].numpy()
    found = vi.importance_resample(MODEL, q, 20_000)
    assert found.k_hat < 0.7
    assert 5_000 < found.effective_sample_size < 50_000
    draws = found.draws["w"]
    assert draws.shape == (20_000, 5)
    errors = [
        np.abs(d.mean(axis=0) - Y / 2).max() + np.abs(d.std(axis=0) - SD).max()
        for d in (plain, draws)
    ]
    assert errors[1] < 0.3 * errors[0]
    for seed in (0, 1):
        evidence = vi.log_evidence(MODEL, q, 20_000, seed=seed)
        error = evidence.log_evidence - LOG_EVIDENCE
        assert abs(error) < 3.0 * evidence.standard_error < 0.1


def test_evidence_of_counts_over_a_simplex():
    """A density on a simplex is one of all its numbers but the last."""
    counts = np.array([3.0, 1.0, 2.0], np.float32)
    model = tfd.JointDistributionNamed(
        {
            "p": tfd.Dirichlet(tf.ones(3)),
            "counts": lambda p: tfd.Multinomial(6.0, probs=p),
        }
    )
    q = vi.build_flow_surrogate_posterior(
        model, [], observed={"counts": counts}, initial_scale=1.0
    )
    found = vi.log_evidence(model, q, 5_000, observed={"counts": counts})
    # Of the 28 outcomes each is as likely.
    error = found.log_evidence + np.log(28.0)
    assert abs(error) < 5.0 * found.standard_error < 0.1


def test_neutra_finds_the_posterior(fitted):
    q, _ = fitted
    found = vi.neutra(MODEL, q, 300, num_burnin_steps=100, num_chains=8)
    assert found.draws["w"].shape == (300, 8, 5)
    assert (
        found.r_hat["w"].shape == found.effective_sample_size["w"].shape == (5,)
    )
    assert found.has_mixed
    assert 0.6 < found.acceptance_rate <= 1.0
    assert found.num_gradients == 2 * 400 * 8
    errors = found.draws["w"].mean(axis=(0, 1)) - Y / 2
    standard_error = SD / np.sqrt(found.effective_sample_size["w"])
    assert (np.abs(errors) < 5.0 * standard_error).all()
    np.testing.assert_allclose(found.draws["w"].std(axis=(0, 1)), SD, rtol=0.1)


def _small_fit(seed, flow=(), **kwargs):
    q = vi.build_flow_surrogate_posterior(MODEL, flow, seed=seed)
    return vi.fit(
        MODEL,
        q,
        num_steps=20,
        num_draws=8,
        num_evaluation_draws=100,
        verbose=False,
        seed=seed,
        **kwargs,
    )


@pytest.mark.filterwarnings("ignore:.fit. ended after")
def test_equal_seeds_give_equal_results(fitted):
    one, again = (_small_fit(seed) for seed in (3, 3))
    np.testing.assert_array_equal(one.history, again.history)
    assert one.elbo == again.elbo
    assert one.history[0] != fitted[1].history[0]  # of seed 0


def test_a_fit_that_is_too_short_says_so():
    target = tfd.MultivariateNormalDiag([50.0, 50.0])
    q = vi.build_flow_surrogate_posterior(
        target.log_prob, [], event_shape=[2], base="diagonal"
    )
    with pytest.warns(UserWarning, match=".fit. ended after 30 steps, while"):
        result = vi.fit(
            target.log_prob,
            q,
            num_steps=30,
            optimizer=keras.optimizers.Adam(0.01),
            verbose=False,
        )
    assert not result.has_converged
    assert result.final_gain > 0.05


def test_a_flow_that_diverges_says_so():
    q = vi.build_flow_surrogate_posterior(MODEL, layers.PlanarFlow(1, seed=0))
    with pytest.warns(UserWarning, match="lower than the .* the flow diverged"):
        vi.fit(
            MODEL,
            q,
            num_steps=60,
            num_warm_up_steps=50,
            learning_rate=0.03,
            optimizer=keras.optimizers.Adam(1.0),
            verbose=False,
        )


def test_a_step_returns_nothing_that_would_be_kept(monkeypatch):
    """Thousands of small tensors held the memory beside them, gigabytes."""
    returned = []
    function = tf.function

    def recording(update, **kwargs):
        compiled = function(update, **kwargs)
        return lambda step: returned.append(compiled(step))

    monkeypatch.setattr(tf, "function", recording)
    x = tf.Variable([1.0, 2.0])
    history = ascent.climb(
        lambda step: -tf.reduce_sum(x**2) + tf.cast(step, tf.float32),
        [x],
        keras.optimizers.SGD(0.1),
        range(100, 1_100),
        jit_compile=False,
        may_fall_back=False,
        progress=ascent.Progress(1_000, False),
    )
    assert returned == [None] * 1_000
    assert history.shape == (1_000,)
    np.testing.assert_allclose(history[[0, -1]], [95.0, 1_099.0], rtol=1e-6)


def test_bar_shows_the_elbo_and_its_error(capsys):
    q = vi.build_flow_surrogate_posterior(MODEL, [])
    vi.fit(MODEL, q, num_steps=10, num_evaluation_draws=100, learning_rate=1e-4)
    shown = capsys.readouterr().out
    assert "10/10" in shown
    assert "elbo: -" in shown
    assert "elbo_error: " in shown


def test_any_distribution_with_variables_is_fitted():
    target = tfd.MultivariateNormalDiag([1.0, -1.0], [0.5, 2.0])
    q = tfp.experimental.util.make_trainable(
        tfd.MultivariateNormalDiag, batch_and_event_shape=[2], seed=(0, 1)
    )
    result = vi.fit(
        target.log_prob, q, num_steps=300, learning_rate=0.1, verbose=False
    )
    assert abs(result.elbo) < 0.05


@pytest.mark.slow
def test_xla_gives_the_same_result():
    one, other = (
        _small_fit(0, layers.PlanarFlow(2, seed=0), jit_compile=c)
        for c in (False, True)
    )
    np.testing.assert_allclose(one.history, other.history, rtol=1e-4)


@pytest.mark.slow
def test_default_flow_straightens_a_funnel():
    @tfd.JointDistributionCoroutineAutoBatched
    def funnel():
        v = yield tfd.Normal(0.0, 3.0, name="v")
        yield tfd.Sample(tfd.Normal(0.0, tf.exp(0.5 * v)), 4, name="x")

    q = vi.build_flow_surrogate_posterior(funnel, observed={})
    result = vi.fit(
        funnel,
        q,
        observed={},
        num_steps=2_000,
        learning_rate=1e-2,
        verbose=False,
    )
    assert -0.05 < result.elbo < 0.02
    for method in ("hmc", "nuts"):
        found = vi.neutra(funnel, q, 500, observed={}, method=method)
        assert abs(found.draws.v.mean()) < 0.3
        np.testing.assert_allclose(found.draws.v.std(), 3.0, rtol=0.1)
