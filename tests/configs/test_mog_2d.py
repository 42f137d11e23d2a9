"""Tests of the configuration of the mixtures of Gaussians."""

import pytest

from configs import energy_2d, mog_2d
from tfp_flows import targets
from trainers.energies import experiment


def weights(arg):
    config = mog_2d.get_config(arg)
    model = experiment.EnergyRun(config, experiment.checked_target(config))
    return model.num_parameters


def test_variant_sets_lattice_width_posterior_and_networks():
    config = mog_2d.get_config("modes=16,sigma0=0.1,posterior=flow,hidden=34")
    assert config.data.target == "mog16"
    assert config.posterior.initial_scale == 0.1
    assert config.posterior.name == "flow"
    assert config.posterior.conditioner_hidden_units == (34,) * 5


def test_groups_are_those_of_the_energies():
    assert set(mog_2d.get_config()) == set(energy_2d.get_config())


@pytest.mark.parametrize("modes", mog_2d.MODES)
def test_every_lattice_is_a_target(modes):
    name = mog_2d.get_config(f"modes={modes}").data.target
    assert len(targets.get(name).modes) == int(modes)


def test_numbers_of_weights_are_the_papers():
    assert weights("posterior=flow,hidden=32") == 29_190
    assert weights("posterior=cif,hidden=32") == 31_680
    assert weights("posterior=flow,hidden=34") == 32_360


def test_models_are_compared_under_equal_settings():
    flow = mog_2d.get_config("posterior=flow")
    cif = mog_2d.get_config("posterior=cif")
    cif.posterior.name = "flow"
    assert flow == cif


def test_runlocal_is_small():
    assert mog_2d.get_config("runlocal").training.num_steps <= 500


@pytest.mark.parametrize("arg", ["modes=4", "sigma0=2", "posterior=langevin"])
def test_unknown_variant_is_refused(arg):
    with pytest.raises(ValueError, match="must be one of"):
        mog_2d.get_config(arg)
