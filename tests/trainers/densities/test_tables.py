"""Tests of the tables: splits and standardisation."""

import functools
import os

import numpy as np
import pytest

from tests.trainers.densities import tables as written
from trainers.densities import tables
from trainers.runs import errors
from trainers.sources import uci

load = functools.partial(tables.load, validation_share=0.15, largest_input=10.0)


@pytest.fixture
def folder(tmp_path):
    written.write(tmp_path)
    return tmp_path


def parts(split):
    return split.train, split.validation, split.test


def test_rows_are_split_once_and_differently_by_number(folder):
    seen = []
    for number in (0, 1, 0):
        split = load("fish", number, data_dir=str(folder))
        sizes = [len(inputs) for inputs, _ in parts(split)]
        assert sizes == [153, 27, 20]
        rows = np.concatenate([np.hstack(part) for part in parts(split)])
        assert len(np.unique(rows, axis=0)) == written.NUM_ROWS
        seen.append(split)
    for first, again in zip(parts(seen[0]), parts(seen[2]), strict=True):
        np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(seen[0].test[1], seen[1].test[1])


def test_published_test_rows_are_taken(tmp_path):
    splits = written.write(tmp_path)
    split = load("concrete", 3, data_dir=str(tmp_path))
    assert split.is_published
    _, rows = uci.read_csv(str(tmp_path / "uci" / "concrete.csv"))
    test = rows[np.sort(splits["test_3"]).astype(int), 0]
    train = rows[splits["train_3"].astype(int), 0]
    expected = (test - train.mean()) / train.std()
    np.testing.assert_allclose(split.test[1][:, 0], expected, rtol=1e-5)


def test_moments_are_those_of_all_rows_but_the_test_rows(folder):
    split = load("fish", 0, data_dir=str(folder))
    rows = [
        np.concatenate(p)
        for p in zip(split.train, split.validation, strict=True)
    ]
    for columns in rows:
        moving = columns[:, columns.std(axis=0) > 0]
        np.testing.assert_allclose(moving.mean(axis=0), 0.0, atol=1e-6)
        np.testing.assert_allclose(moving.std(axis=0), 1.0, rtol=1e-6)
    assert split.input_names == ("first", "second", "constant")
    np.testing.assert_array_equal(split.test[0][:, 2], 0.0)  # a constant
    assert split.train[0].dtype == split.train[1].dtype == np.float32


def test_raw_targets_come_back_by_the_scales(folder):
    split = load("fish", 0, data_dir=str(folder))
    _, rows = uci.read_csv(str(folder / "uci" / "fish_toxicity.csv"))
    found = np.sort(
        np.concatenate([targets[:, 0] for _, targets in parts(split)])
    )
    raw = np.sort(rows[:, -1])
    np.testing.assert_allclose(
        np.diff(found) * split.target_scales[0], np.diff(raw), atol=1e-5
    )


def test_inputs_are_clipped(folder):
    split = tables.load(
        "fish",
        0,
        validation_share=0.15,
        largest_input=0.5,
        data_dir=str(folder),
    )
    assert max(np.abs(inputs).max() for inputs, _ in parts(split)) == 0.5


def test_rows_with_missing_values_are_left_out(folder):
    path = folder / "uci" / "fish_toxicity.csv"
    lines = path.read_text().splitlines()
    lines[1] = "," + lines[1].partition(",")[2]
    path.write_text("\n".join(lines))
    split = load("fish", 0, data_dir=str(folder))
    assert sum(len(x) for x, _ in parts(split)) == written.NUM_ROWS - 1


def test_unusable_data_are_refused(folder):
    with pytest.raises(errors.InputError, match="uci/skillcraft.csv"):
        load("skillcraft", 0, data_dir=str(folder))
    path = folder / "uci" / "concrete.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(errors.InputError, match="a split 0 that is none of"):
        load("concrete", 0, data_dir=str(folder))
    path.write_text(path.read_text().replace("strength", "weakness"))
    with pytest.raises(errors.InputError, match="the table concrete in"):
        load("concrete", 0, data_dir=str(folder))


# Rows without missing values, inputs and targets of the real tables.
SIZES = {
    "fish": (908, 6, 1),
    "concrete": (1_030, 8, 1),
    "energy": (768, 8, 2),
    "skillcraft": (3_338, 15, 4),
}


@pytest.mark.parametrize("name", tables.TABLES)
def test_real_tables(name):
    folder = os.path.abspath(os.environ.get("TFDS_DATA_DIR") or "none")
    places = (folder, os.path.dirname(folder))
    if not any(os.path.isdir(os.path.join(place, "uci")) for place in places):
        pytest.skip(f"TFDS_DATA_DIR has no uci beside it: {name} not read.")
    path = uci.find(tables.TABLES[name].file)
    num_rows, num_inputs, num_targets = SIZES[name]
    split = load(name, 19)
    assert split.is_published == (name in ("concrete", "energy"))
    assert sum(len(x) for x, _ in parts(split)) == num_rows
    assert abs(len(split.test[0]) - num_rows / 10) <= 1
    for inputs, targets in parts(split):
        assert inputs.shape == (len(targets), num_inputs)
        assert targets.shape[1] == num_targets
        assert np.isfinite(inputs).all()
        assert np.isfinite(targets).all()
    if name == "skillcraft":
        names, _ = uci.read_csv(path)
        names.remove("GameID")
        assert tuple(names[10:14]) == split.target_names
    assert os.path.exists(path)
