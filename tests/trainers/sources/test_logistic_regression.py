"""Tests of the logistic regressions, on a table made here."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from configs import logistic_regression as config_module
from trainers import run
from trainers.energies.fit import EnergyRun
from trainers.runs import errors
from trainers.sources import logistic_regression


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """A folder with uci/sonar.csv: 30 rows, 3 inputs, the second constant."""
    evidence = logistic_regression.Evidence(0.0, 0.0)  # more than there is
    monkeypatch.setitem(logistic_regression.EVIDENCE, "sonar", evidence)
    generator = np.random.default_rng(0)
    x = generator.normal(2.0, 3.0, [30, 3])
    x[:, 1] = 7.0
    labels = (x[:, 0] > 2.0).astype(float)
    (tmp_path / "uci").mkdir()
    np.savetxt(
        tmp_path / "uci" / "sonar.csv",
        np.column_stack([x, labels]),
        delimiter=",",
        header="x1,x2,x3,label",
        comments="",
    )
    return tmp_path


def test_columns_are_standardised_behind_an_intercept(tables):
    target = logistic_regression.load("sonar", str(tables))
    assert target.event_shape == [4]
    np.testing.assert_array_equal(target.inputs[:, 0], 1.0)
    np.testing.assert_array_equal(target.inputs[:, 2], 0.0)  # a constant
    rest = target.inputs[:, [1, 3]]
    np.testing.assert_allclose(rest.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(rest.std(axis=0), 1.0)
    assert set(target.labels) == {0.0, 1.0}


@pytest.mark.parametrize("shape", [[4], [3, 4], [2, 3, 4]])
def test_density_is_that_of_the_model_with_all_constants(tables, shape):
    target = logistic_regression.load("sonar", str(tables))
    w = np.random.default_rng(1).normal(size=shape)
    p = special.expit(w @ target.inputs.T)
    likelihood = stats.bernoulli(p).logpmf(target.labels).sum(axis=-1)
    expected = likelihood + stats.norm.logpdf(w).sum(axis=-1)
    actual = target.unnormalized_log_prob(tf.constant(w))
    np.testing.assert_allclose(actual, expected, rtol=1e-10)


def test_folder_beside_the_tables_will_do(tables, monkeypatch):
    (tables / "tensorflow_datasets").mkdir()
    beside = str(tables / "tensorflow_datasets")
    assert len(logistic_regression.load("sonar", beside).labels) == 30
    monkeypatch.setenv("TFDS_DATA_DIR", beside)
    assert len(logistic_regression.load("sonar").labels) == 30


def test_missing_tables_and_unknown_names_are_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    for folder in (None, str(tmp_path)):
        with pytest.raises(
            errors.InputError, match="`--data_dir` must name .* uci/sonar.csv"
        ):
            logistic_regression.load("sonar", folder)
    with pytest.raises(errors.InputError, match="one of sonar, ionosphere"):
        logistic_regression.load("wine", str(tmp_path))


def test_table_with_other_labels_is_refused(tables):
    path = tables / "uci" / "sonar.csv"
    path.write_text(path.read_text().replace(",1.000", ",2.000"))
    with pytest.raises(errors.InputError, match="labels 0 and 1 in"):
        logistic_regression.load("sonar", str(tables))


def make_config(arg):
    config = config_module.get_config(arg)
    config.training.update(
        num_steps=40,
        num_samples=8,
        jit_compile=False,
        steps_per_execution=10,
        log_steps=10,
        checkpoint_steps=40,
    )
    config.evaluation.update(num_samples=500, batch_size=500)
    return config


@pytest.mark.slow
def test_base_is_fitted_alone_before_everything_is(tables, tmp_path):
    config = make_config("K=2,base=full")
    config.training.base_share = 0.5
    target = logistic_regression.load("sonar", str(tables))
    made = EnergyRun(config, target)
    of_bridges = [
        v for v in made.model.trainable_variables if "annealing" in v.path
    ]
    of_base = [
        v for v in made.model.trainable_variables if "annealing" not in v.path
    ]
    assert of_bridges
    assert of_base

    def values(variables):
        return np.concatenate([v.numpy().ravel() for v in variables])

    start = values(of_bridges), values(of_base)
    for _ in range(20):
        made.model.train_step()
    np.testing.assert_array_equal(values(of_bridges), start[0])
    assert np.all(values(of_base) != start[1])
    made.model.train_step()
    assert np.any(values(of_bridges) != start[0])


@pytest.mark.slow
def test_run_ends_with_a_bound_and_its_curve(tables, tmp_path):
    config = make_config("posterior=langevin,K=2")
    path = tmp_path / "run"
    results = run.train_and_evaluate(config, str(path), data_dir=str(tables))
    assert results["experiment"] == "logistic_regression"
    assert results["num_bridges"] == 2
    assert "kl" not in results
    assert results["auxiliary_kl"] == pytest.approx(
        results["free_energy"] + results["log_normalizer"]
    )
    assert [step for step, _ in results["curve"]] == [10, 20, 30, 40]
    assert -results["free_energy"] <= results["log_normalizer_estimate"]
    picture = path / "figures" / "learning_curve.png"
    assert picture.stat().st_size > 5_000


def test_gaussian_alone_has_an_exact_divergence(tables, tmp_path):
    config = make_config("posterior=flow,base=full")
    results = run.train_and_evaluate(
        config, str(tmp_path / "run"), data_dir=str(tables)
    )
    assert "kl" in results
    assert "num_bridges" not in results
