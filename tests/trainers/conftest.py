"""Tiny runs for the tests of the trainers."""

import pytest

from configs import energy_2d
from tests.trainers import image_runs
from trainers import run


def make_tiny_config(arg="target=u1,flow=planar,K=2", **training):
    """Some seconds of work in all, compilation included."""
    config = energy_2d.get_config(arg)
    config.training.update(
        {
            "num_steps": 40,
            "num_samples": 64,
            "steps_per_execution": 10,
            "log_steps": 10,
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


@pytest.fixture(scope="session")
def finished_images(tmp_path_factory):
    """An uninterrupted run on images."""
    path = tmp_path_factory.mktemp("finished_images")
    config = image_runs.make_config("flow=planar,K=2")
    run.train_and_evaluate(config, str(path))
    return path


@pytest.fixture(scope="session")
def trained_images(tmp_path_factory):
    """An uninterrupted training without a flow, not evaluated."""
    path = tmp_path_factory.mktemp("trained_images")
    run.train_and_evaluate(image_runs.make_config(), str(path), mode="train")
    return path
