"""Tests of the divergence of posteriors, with a density and without."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from configs import energy_2d, mog_2d
from tests.trainers.conftest import make_tiny_config
from trainers import run
from trainers.energies import experiment
from trainers.energies.fit import EnergyRun

tfd = tfp.distributions


def make_tiny(arg, **training):
    config = make_tiny_config(arg, **training)
    with config.unlocked():
        config.evaluation.update(
            num_auxiliary_samples=20, auxiliary_batch_size=500, num_bins=20
        )
    return config


@pytest.fixture(scope="module")
def cif():
    """One whose indices change nothing, so that its density is known."""
    config = make_tiny("posterior=cif,K=2", jit_compile=False)
    made = EnergyRun(config, experiment.checked_target(config))
    changed = [
        weight
        for weight in made.model.posterior.trainable_variables
        if "scale_and_shift" in weight.path and weight.path.endswith("_2")
    ]
    assert len(changed) == 2
    for weight in changed:
        weight.assign(tf.zeros_like(weight))
    return made


def test_bounds_bracket_the_divergence_of_a_cif(cif):
    model = cif.model
    flow = model.posterior
    z, of_own, log_target = model.terms(500, tf.constant(0), "bounds")
    (layer,) = flow.flows
    log_q = tfd.TransformedDistribution(
        flow.base.distribution(), layer.bijector()
    ).log_prob(tf.constant(z.numpy()))
    exact = np.mean(log_q - log_target)
    upper, lower = (np.mean(terms) for terms in model.kl_bounds(0))
    assert lower < exact < upper
    assert upper < np.mean(of_own - log_target)


@pytest.mark.slow
def test_results_of_a_cif_name_bounds_and_no_divergence(tmp_path):
    config = make_tiny("posterior=cif,K=2", jit_compile=False)
    results = run.train_and_evaluate(config, str(tmp_path))
    assert results["posterior"] == "cif"
    assert not {"kl", "density_inside"} & set(results)
    assert results["kl_lower"] <= results["kl_upper"]
    slack = 4 * results["standard_error"]
    assert results["kl_upper"] < results["auxiliary_kl"] + slack
    assert results["num_auxiliary_samples"] == 20
    assert (tmp_path / "figures" / "density.png").stat().st_size > 10_000


def test_mixture_counts_its_modes(tmp_path):
    config = mog_2d.get_config("posterior=flow,runlocal")
    tiny = make_tiny("K=2", jit_compile=False, num_steps=10)
    for group in ("training", "evaluation"):
        config[group].update(tiny[group])
    config.posterior.conditioner_hidden_units = (8,)
    results = run.train_and_evaluate(config, str(tmp_path))
    assert results["experiment"] == "mixture"
    assert results["num_modes"] == 9
    assert 0 <= results["num_modes_found"] <= 9
    assert results["kl"] == results["free_energy"]


def test_default_of_the_energies_is_a_flow():
    assert energy_2d.get_config().posterior.name == "flow"
