"""Tests of what is read of the package sbibm, which is never imported."""

import numpy as np
import pytest

from tests.trainers.densities import references
from trainers.runs import errors
from trainers.sources import sbibm


def test_observations_and_draws_are_read(tmp_path, monkeypatch):
    written = references.write(tmp_path, "slcp", num_draws=4)
    monkeypatch.syspath_prepend(tmp_path)
    found = sbibm.load("slcp")
    assert found.observations.shape == (10, 8)
    assert found.draws.shape == (10, 4, 5)
    np.testing.assert_allclose(found.observations, written[0], rtol=1e-6)
    np.testing.assert_allclose(found.draws, written[1], rtol=1e-6)
    assert found.draws.dtype == np.float32


def test_missing_package_is_said_with_its_installation(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(errors.InputError, match="pip install --no-deps sbibm"):
        sbibm.load("slcp")


@pytest.mark.parametrize("fault", ["missing", "words", "short"])
def test_files_that_are_no_good_are_named(tmp_path, monkeypatch, fault):
    references.write(tmp_path, "two_moons", num_draws=3)
    monkeypatch.syspath_prepend(tmp_path)
    place = tmp_path / "sbibm" / "tasks" / "two_moons" / "files"
    path = place / "num_observation_7" / "observation.csv"
    if fault == "missing":
        path.unlink()
    elif fault == "words":
        path.write_text("data_1,data_2\nmany,few\n")
    else:
        path.write_text("data_1\n1.0\n")
    expected = "equally many" if fault == "short" else "num_observation_7"
    with pytest.raises(errors.InputError, match=expected):
        sbibm.load("two_moons")
