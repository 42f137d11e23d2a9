"""Tests of the configuration of the two-dimensional energies."""

import pytest

from configs import energy_2d
from configs.flows import FLOWS
from tfp_flows import targets

GROUPS = {
    "data",
    "model",
    "posterior",
    "training",
    "optimizer",
    "evaluation",
}


def test_variant_sets_target_flow_and_length():
    config = energy_2d.get_config("target=u3,flow=radial,K=8")
    assert config.data.target == "u3"
    assert config.posterior.flow == "radial"
    assert config.posterior.num_flow_steps == 8
    assert set(config) == GROUPS


def test_hyperparameters_are_the_same_for_every_variant():
    default = energy_2d.get_config()
    for target in energy_2d.TARGETS:
        for flow in energy_2d.FLOWS:
            config = energy_2d.get_config(f"target={target},flow={flow},K=2")
            is_annealed = config.training.annealing_steps == 10_000
            assert is_annealed == flow.startswith("nice")
            config.training.annealing_steps = default.training.annealing_steps
            for group in ("training", "optimizer", "evaluation"):
                assert config[group] == default[group]


def test_knows_the_targets_and_flows_of_the_trainer():
    assert set(energy_2d.TARGETS) <= set(targets.names())
    assert set(energy_2d.FLOWS) <= set(FLOWS)


def test_runlocal_is_small():
    config = energy_2d.get_config("runlocal")
    assert config.training.num_steps <= 1_000
    assert set(config) == GROUPS


@pytest.mark.parametrize("arg", ["target=u5", "flow=nice_x", "K=0", "x=1"])
def test_unknown_variant_is_refused(arg):
    with pytest.raises(ValueError, match="must be"):
        energy_2d.get_config(arg)
