"""Surrogates of other people's posteriors, and NeuTra: tiny runs of all."""

import inspect
import json

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows import vi
from trainers.posteriors import (
    catalogue,
    exact,
    hamiltonian,
    hierarchies,
    neutra,
    quadrature,
)
from trainers.posteriors import families as surrogate_families
from trainers.posteriors import fit as fit_posterior
from trainers.posteriors import sample as sample_posterior
from trainers.report import evidences as report_evidences
from trainers.report import posteriors as report_posteriors
from trainers.report.__main__ import read_results
from trainers.sweeps import posteriors as sweep_posteriors


def test_eight_schools_is_the_model_of_the_package_in_other_coordinates():
    """The density of the variables is that of the coordinates over |J|."""
    target = catalogue.get_target("eight_schools")
    z = tf.random.stateless_normal([3, 10], [0, 1])
    values = target.variables(z)
    model = hierarchies._gym().EightSchools()
    expected = model.unnormalized_log_prob(
        {
            "avg_effect": values[:, 0],
            "log_stddev": values[:, 1],
            "school_effects": values[:, 2:],
        }
    )
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        values = target.variables(z)
    jacobian = tape.batch_jacobian(values, z, experimental_use_pfor=False)
    _, log_det = np.linalg.slogdet(jacobian)
    difference = target.log_prob(z) - expected - log_det
    np.testing.assert_allclose(difference, 0.0, atol=1e-3)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder with small tables of the names that the targets read."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "uci").mkdir()
    rows = np.random.default_rng(0).normal(size=(6, 3))
    for name, other_label in (
        ("sonar", 0),
        ("ionosphere", 0),
        ("german_credit_numeric", 2),
    ):
        rows[:, -1] = np.where([0, 1, 0, 1, 1, 0], 1, other_label)
        path = folder / "uci" / f"{name}.csv"
        np.savetxt(path, rows, delimiter=",", header="x1,x2,label", comments="")
    return str(folder)


@pytest.mark.parametrize("name", catalogue.TARGETS)
def test_targets_take_any_batch(name, data_dir):
    target = catalogue.get_target(name, data_dir)
    z = tf.random.stateless_normal([2, 3, target.event_size], [0, 1])
    log_prob = target.log_prob(z)
    assert log_prob.shape == (2, 3)
    np.testing.assert_allclose(target.log_prob(z[1, 2]), log_prob[1, 2], 1e-5)
    assert target.variables(z).shape == (2, 3, len(target.names))
    if target.mean is not None:
        assert target.mean.shape == target.sd.shape == (len(target.names),)


def test_logistic_regression_by_hand():
    target = catalogue.get_target("breast_cancer")
    import sklearn.datasets

    data = sklearn.datasets.load_breast_cancer()
    x = (data.data - data.data.mean(0)) / data.data.std(0)
    w = np.random.default_rng(0).normal(size=31)
    signs = 2 * data.target - 1
    expected = -np.logaddexp(0, -signs * (w[0] + x @ w[1:])).sum()
    expected -= 0.5 * (w @ w + 31 * np.log(2 * np.pi))
    found = target.log_prob(tf.constant(w, tf.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "family", ["mean_field", "full_rank", "iaf", "cif", "hamiltonian"]
)
def test_surrogates_start_at_their_scale_and_own_variables(family):
    target = catalogue.get_target("eight_schools")
    surrogate = surrogate_families.make_surrogate(family, target, 0.5, seed=0)
    assert surrogate.trainable_variables
    is_auxiliary = family in ("cif", "hamiltonian")
    samples = surrogate.sample(2_000, seed=1 if is_auxiliary else (0, 1))
    samples = samples.numpy()
    assert samples.shape == (2_000, 10)
    per_draw = 9 if family == "hamiltonian" else 1
    assert fit_posterior._gradients_per_draw(surrogate) == per_draw
    if family != "hamiltonian":  # which moves them
        scales = samples.std(axis=0)
        assert 0.3 < scales.min() < scales.max() < 0.7


def test_errors_are_in_posterior_standard_deviations():
    """Of a target that the surrogate is, but for a shift and a scale."""
    import tensorflow_probability as tfp

    tfd = tfp.distributions
    target = catalogue.get_target("brownian_motion")
    q = tfd.MultivariateNormalDiag(tf.zeros(30), 0.1 * tf.ones(30))
    settings = fit_posterior.QUICK._replace(num_evaluation_samples=20_000)
    found = fit_posterior.evaluate(
        target, q, np.full(30, 0.1), np.full(30, 0.2), 0, settings
    )
    np.testing.assert_allclose(found["mean_errors"], -0.5, atol=0.02)
    np.testing.assert_allclose(found["sd_ratios"], 0.5, atol=0.02)
    assert found["resampled"]["effective_sample_size"] < 100  # it is far
    assert len(found["log_evidences"]) == 2


def test_evidences_of_the_posterior_itself_are_covered():
    import tensorflow_probability as tfp

    tfd = tfp.distributions
    q = tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    target = catalogue.get_target("eight_schools")._replace(
        event_size=2,
        log_prob=lambda z: q.log_prob(z) - 3.0,
        variables=tf.identity,
        log_normalizer=-3.0,
        log_normalizer_standard_error=1e-4,
    )
    settings = fit_posterior.QUICK._replace(num_evidences=3)
    moments = np.zeros(2), np.ones(2)
    found = fit_posterior.evaluate(target, q, *moments, 0, settings)
    assert found["num_evidences_covered"] == 3
    off = target._replace(log_normalizer=-3.1)
    found = fit_posterior.evaluate(off, q, *moments, 0, settings)
    assert found["num_evidences_covered"] == 0


def test_evidence_of_a_gaussian_posterior_is_its_normaliser():
    """The random walk's posterior is Gaussian: its mode gives the evidence."""
    target = catalogue.get_target("brownian_motion")
    mode = tf.constant(target.mean, tf.float32)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(mode)
        with tf.GradientTape() as inner:
            inner.watch(mode)
            log_prob = target.log_prob(mode)
        gradient = inner.gradient(log_prob, mode)
    hessian = outer.jacobian(gradient, mode, experimental_use_pfor=False)
    _, log_det = np.linalg.slogdet(-hessian.numpy() / (2.0 * np.pi))
    found = float(log_prob) - 0.5 * log_det
    assert abs(found - target.log_normalizer) < 0.02


def test_the_table_is_made_by_the_defaults_of_the_library():
    arguments = inspect.signature(vi.fit).parameters
    settings = fit_posterior.Settings()
    assert settings.num_steps == arguments["num_steps"].default
    assert settings.num_samples == arguments["num_draws"].default
    assert settings.learning_rate == arguments["learning_rate"].default
    build = inspect.signature(vi.build_flow_surrogate_posterior).parameters
    assert settings.initial_scale == build["initial_scale"].default


def test_quadrature_of_a_random_walk():
    """The published evidence; and moments by weighted draws of the prior."""
    target = catalogue.get_target("brownian_unknown_scales")
    assert abs(target.log_normalizer - 1.187749) < 1e-5
    y = np.array([0.3, np.nan, 1.0])
    found = quadrature.integrate(
        y, log_scale_sd=0.5, low=(-3.0, -3.0), high=(3.0, 3.0)
    )
    generator = np.random.default_rng(0)
    scales = np.exp(0.5 * generator.normal(size=[400_000, 2]))
    steps = scales[:, :1] * generator.normal(size=[400_000, 3])
    places = np.cumsum(steps, axis=1)
    residuals = (y[[0, 2]] - places[:, [0, 2]]) / scales[:, 1:]
    log_weights = -0.5 * (residuals**2).sum(1) - 2.0 * np.log(scales[:, 1])
    weights = np.exp(log_weights) / (2.0 * np.pi)
    assert abs(np.log(weights.mean()) - found.log_normalizer) < 0.02
    weights /= weights.sum()
    values = np.concatenate([scales, places], axis=1)
    mean = weights @ values
    np.testing.assert_allclose(found.mean, mean, atol=0.02)
    sd = np.sqrt(weights @ (values - mean) ** 2)
    np.testing.assert_allclose(found.sd, sd, rtol=0.02)


def test_hmc_finds_the_moments_of_a_gaussian():
    import tensorflow_probability as tfp

    tfd = tfp.distributions
    target = tfd.MultivariateNormalDiag([1.0, -2.0], [0.5, 3.0])
    settings = hamiltonian.HMCSettings(
        num_chains=8,
        num_burnin_steps=300,
        num_results=500,
        num_leapfrog_steps=8,
    )
    draws = hamiltonian.sample(target.log_prob, tf.zeros([8, 2]), settings, 0)
    assert draws.values.shape == (500, 8, 2)
    assert 0.6 < draws.acceptance_rate < 0.95
    mean = draws.values.mean(axis=(0, 1))
    np.testing.assert_allclose(mean, [1, -2], atol=0.5)
    found = hamiltonian.diagnose(draws.values)
    assert found["r_hat"].max() < 1.05
    assert found["ess_bulk"].min() > 100
    assert settings.num_gradients == 8 * 800 * 8


@pytest.mark.slow
def test_chains_that_have_not_mixed_are_followed_by_others(monkeypatch):
    """A narrow ridge, far from the start, which short chains cannot walk."""
    import tensorflow_probability as tfp

    scale = [[1.0, 0.0], [1.0, 0.01]]
    ridge = tfp.distributions.MultivariateNormalTriL([3.0, 3.0], scale)
    target = catalogue.get_target("funnel")._replace(
        event_size=2, log_prob=ridge.log_prob, names=("a", "b")
    )
    monkeypatch.setattr(sample_posterior, "get_target", lambda *_: target)
    found = sample_posterior.run(
        "ridge",
        hamiltonian.HMCSettings(
            num_chains=8,
            num_burnin_steps=300,
            num_results=400,
            num_leapfrog_steps=3,
        ),
    )
    assert found["is_whitened"]
    assert found["largest_r_hat"] < 1.01
    errors = (np.array(found["mean"]) - 3.0) / found["mean_standard_error"]
    assert np.abs(errors).max() < 4.0
    np.testing.assert_allclose(found["sd"], 1.0, rtol=0.1)


@pytest.mark.slow
def test_sweep_runs_reports_and_keeps_what_is_there(tmp_path):
    arguments = [
        f"--results={tmp_path}",
        "--quick",
        *("--targets", "breast_cancer"),
        *("--families", "mean_field", "iaf"),
        *("--seeds", "0", "1"),
    ]
    sweep_posteriors.main(arguments)
    paths = sorted(tmp_path.rglob("results.json"))
    assert len(paths) == 5  # and the reference
    before = [path.stat().st_mtime_ns for path in paths]
    sweep_posteriors.main(arguments)
    assert [path.stat().st_mtime_ns for path in paths] == before
    table = report_posteriors.posteriors(read_results(tmp_path))
    assert "| breast_cancer, 31 | mean-field Gaussian | 0, 1 |" in table
    assert "Moments of breast_cancer: HMC, 4 chains" in table
    found = {path.parent.name: json.loads(path.read_text()) for path in paths}
    chains = found["iaf_seed0"]["neutra"]
    assert chains["largest_r_hat"] > 1.0
    assert chains["num_gradients"] == 2 * 4 * 100
    assert [name for name in found if "neutra" in found[name]] == ["iaf_seed0"]
    table = report_evidences.evidences(read_results(tmp_path))
    assert f"| {chains['largest_r_hat']:.4f} |" in table


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.neutra. ended with")
def test_neutra_runs_reports_and_overwrites_nothing(tmp_path):
    arguments = [f"--results={tmp_path}", "--quick"]
    neutra.main(arguments)
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["neutra"]["num_training_gradients"] == 50 * 128
    table = report_posteriors.neutra(read_results(tmp_path))
    assert "| HMC, best |" in table
    with pytest.raises(SystemExit, match="must hold no results.json yet"):
        neutra.main(arguments)


def test_exact_draws_are_judged_set_by_set():
    target = hierarchies.funnel()
    found = exact.judge(target, target.mean, target.sd, 1_000, num_sets=3)
    draws = target.sample(1_000, 2)
    for name, expected in {
        "largest_mean_error": np.abs(draws.mean(axis=0) / target.sd).max(),
        "smallest_sd_ratio": (draws.std(axis=0) / target.sd).min(),
        "largest_sd_ratio": (draws.std(axis=0) / target.sd).max(),
    }.items():
        assert len(found["sets"][name]) == 3
        np.testing.assert_allclose(found["sets"][name][2], expected, rtol=1e-5)
    with pytest.raises(ValueError, match="`target` must have exact draws"):
        exact.judge(hierarchies.seeds(), np.zeros(26), np.ones(26), 10)


@pytest.mark.slow
def test_sweep_judges_exact_draws_where_they_can_be_had(tmp_path):
    sweep_posteriors.main(
        [
            f"--results={tmp_path}",
            "--quick",
            *("--targets", "funnel"),
            *("--families", "mean_field"),
            *("--seeds", "0"),
        ]
    )
    (run,) = (
        json.loads(path.read_text()) for path in tmp_path.rglob("exact/*.json")
    )
    assert (run["num_sets"], run["target"]) == (3, "funnel")
    table = report_posteriors.posteriors(read_results(tmp_path))
    assert "Of 3 sets of as many exact draws of funnel " in table


def test_funnel_by_hand():
    from scipy import stats

    z = np.array([1.3, *np.linspace(-2, 2, 9)])
    expected = stats.norm(0, 3).logpdf(z[0])
    expected += stats.norm(0, np.exp(0.65)).logpdf(z[1:]).sum()
    found = hierarchies.funnel().log_prob(tf.constant(z, tf.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_seeds_by_hand():
    from scipy import stats

    z = np.random.default_rng(0).normal(size=26)
    tau, a, b = np.exp(z[0]), z[1:5], np.exp(-0.5 * z[0]) * z[5:]
    kind, extract = hierarchies._KIND, hierarchies._EXTRACT
    logits = a[0] + a[1] * kind + a[2] * extract + a[3] * kind * extract + b
    expected = stats.gamma(0.01, scale=100.0).logpdf(tau) + z[0]
    expected += stats.norm(0, 10).logpdf(a).sum()
    expected += stats.norm(0, 1).logpdf(z[5:]).sum()
    expected += (
        stats.binom(hierarchies._SEEDS, 1 / (1 + np.exp(-logits)))
        .logpmf(hierarchies._GERMINATED)
        .sum()
    )
    target = hierarchies.seeds()
    found = target.log_prob(tf.constant(z, tf.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: catalogue.get_target("ten_schools"),
            "`target` must be one of eight_schools, .*; got 'ten_schools'",
        ),
        (
            lambda: surrogate_families.make_surrogate("normal", None),
            "`family` must be one of mean_field, .*; got 'normal'",
        ),
    ],
)
def test_unknown_names_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_fit_that_is_not_finite_leaves_the_others_alone(
    tmp_path, monkeypatch
):
    def fitted(name, target, family, seed, *others):
        if family == "mean_field":
            raise FloatingPointError("`model` must have a finite log density.")
        names = (
            *("kl", "kl_standard_error", "largest_mean_error", "k_hat"),
            *("smallest_sd_ratio", "largest_sd_ratio", "seconds"),
        )
        return dict.fromkeys(names, 1.0)

    monkeypatch.setattr(sweep_posteriors, "_run", fitted)
    arguments = [
        *(f"--results={tmp_path}", "--quick", "--targets", "funnel"),
        *("--families", "mean_field", "full_rank", "--seeds", "0"),
    ]
    with pytest.raises(SystemExit, match="funnel/mean_field_seed0$"):
        sweep_posteriors.main(arguments)
    assert (tmp_path / "funnel/full_rank_seed0/results.json").exists()
    assert not (tmp_path / "funnel/mean_field_seed0").exists()
