"""Tiny runs for the tests of the trainers."""

import pytest

from configs import energy_2d


def make_tiny_config(arg="target=u1,flow=planar,K=2", **training):
    """Some seconds of work in all, compilation included."""
    config = energy_2d.get_config(arg)
    config.training.update(
        {
            "num_steps": 40,
            "num_samples": 64,
            "steps_per_execution": 10,
            "checkpoint_steps": 20,
            **training,
        }
    )
    config.optimizer.warmup_steps = 5
    config.evaluation.update(
        {"num_samples": 1_500, "batch_size": 1_000, "grid_size": 40}
    )
    config.lock()
    return config


@pytest.fixture(scope="session")
def tiny_config():
    return make_tiny_config
