"""Tests of the configuration of the logistic regressions."""

import pytest

from configs import logistic_regression
from trainers.sources import logistic_regression as targets


def test_variant_sets_data_posterior_base_and_bridges():
    config = logistic_regression.get_config(
        "data=ionosphere,posterior=langevin,base=full,K=4"
    )
    assert config.data.target == "ionosphere"
    assert config.posterior.name == "langevin"
    assert config.posterior.base == "full"
    assert config.posterior.num_bridges == 4


def test_data_are_those_of_known_evidence():
    assert set(logistic_regression.DATA) == set(targets.EVIDENCE)


def test_gaussian_alone_has_no_bridges():
    config = logistic_regression.get_config("posterior=flow")
    assert config.posterior.num_bridges == 0
    with pytest.raises(ValueError, match="`K` must not be given with post"):
        logistic_regression.get_config("posterior=flow,K=4")


def test_runlocal_is_small():
    config = logistic_regression.get_config("runlocal")
    assert config.training.num_steps <= 500
