"""What the packaging says."""

import importlib.util
import pathlib

ROOT = pathlib.Path(__file__).parents[1]


def test_who_trains_gets_tensorboard():
    """For Keras's callback, and to show what the trainers write."""
    spec = importlib.util.spec_from_file_location("setup", ROOT / "setup.py")
    setup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(setup)
    names = [requirement.split(">")[0] for requirement in setup._TRAIN]
    assert "tensorboard" in names
    assert set(setup._TRAIN) <= set(setup._TEST)
