"""Tests of where tables are and of what is read of them."""

import numpy as np
import pytest

from trainers.runs import errors
from trainers.sources import uci


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    (tmp_path / "uci").mkdir()
    (tmp_path / "beside").mkdir()
    (tmp_path / "uci" / "table.csv").write_text("a,b b,c\n1,2,3\n4,,x\n")
    return tmp_path


def test_table_is_found_in_the_folder_or_beside_it(folder, monkeypatch):
    path = str(folder / "uci" / "table.csv")
    assert uci.find("table.csv", str(folder)) == path
    assert uci.find("table.csv", str(folder / "beside")) == path
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder / "beside"))
    assert uci.find("table.csv") == path


def test_missing_table_is_refused(folder):
    for place in (None, str(folder / "beside")):
        with pytest.raises(errors.InputError, match="holds uci/other.csv"):
            uci.find("other.csv", place)


def test_names_and_numbers_are_read(folder):
    names, rows = uci.read_csv(uci.find("table.csv", str(folder)))
    assert names == ["a", "b b", "c"]
    np.testing.assert_array_equal(rows, [[1, 2, 3], [4, np.nan, np.nan]])
