"""Rows of UCI tables, split and standardised: targets given inputs."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainers.runs import errors
from trainers.sources import uci

__all__ = ["NUM_SPLITS", "TABLES", "Table", "TableSplit", "load"]

NUM_SPLITS = 20


class Table(NamedTuple):
    """What is known of a table before it is read.

    Attributes:
      file: its name.
      targets: columns whose density is wanted; all others are inputs.
      identifiers: columns that are neither.
      splits: file of published splits, of row numbers; None: there are none.
    """

    file: str
    targets: tuple[str, ...]
    identifiers: tuple[str, ...] = ()
    splits: str | None = None


TABLES = {
    "fish": Table("fish_toxicity.csv", ("LC50",)),
    "concrete": Table(
        "concrete.csv",
        ("compressive_strength_mpa",),
        splits="concrete_splits.npz",
    ),
    "energy": Table(
        "energy_efficiency.csv",
        ("heating_load", "cooling_load"),
        splits="energy_efficiency_splits.npz",
    ),
    "skillcraft": Table(
        "skillcraft.csv",
        (
            "NumberOfPACs",
            "GapBetweenPACs",
            "ActionLatency",
            "ActionsInPAC",
        ),
        identifiers=("GameID",),
    ),
}


class TableSplit(NamedTuple):
    """One split of a table, standardised.

    Mean and standard deviation are those of all rows that are not for testing,
    so that the units of the targets do not depend on how many of them validate.

    Attributes:
      train: inputs `[N, C]` and targets `[N, D]`, float32.
      validation: likewise.
      test: likewise.
      input_names: of the C columns.
      target_names: of the D columns.
      target_scales: `[D]`, the standard deviations that targets were divided
        by: a density of raw targets is lower by the sum of their logarithms.
      is_published: whether others have used the test rows.
    """

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]
    target_scales: np.ndarray
    is_published: bool


def load(
    name: str,
    split: int,
    *,
    validation_share: float,
    largest_input: float,
    data_dir: str | None = None,
) -> TableSplit:
    """Reads a table and splits it; rows with missing values are left out.

    Test rows are those of the published split of that number or, where there
    are none, a tenth, which the number decides.

    Args:
      name: one of `TABLES`.
      split: 0, ..., 19.
      validation_share: of the rows that are not for testing.
      largest_input: standardised inputs are clipped there: one player's 1e6
        hours would be 50 standard deviations away.
      data_dir: folder with `uci`, or one beside that. Default: the
        environment's TFDS_DATA_DIR.

    Raises:
      InputError: for data that are not there or cannot be used.
    """
    table = TABLES[name]
    path = uci.find(table.file, data_dir)
    try:
        names, rows = uci.read_csv(path)
        rows = rows[np.isfinite(rows).all(axis=-1)]
        if len(rows) < NUM_SPLITS:
            raise ValueError(f"{len(rows)} rows without missing values")
        targets = [names.index(one) for one in table.targets]
        inputs = [
            i
            for i, one in enumerate(names)
            if one not in (*table.targets, *table.identifiers)
        ]
        train, test = _rows(table, len(rows), split, data_dir)
        x, _ = _standardized(rows[:, inputs], train)
        y, target_scales = _standardized(rows[:, targets], train)
    except (tf.errors.OpError, OSError, ValueError, KeyError) as error:
        raise errors.InputError(
            f"`--data_dir` must have the table {name} in {path!r}; got {error}."
        ) from error
    x = np.clip(x, -largest_input, largest_input)
    shuffled = train[_order(len(train), split, "validation")]
    num_validation = round(validation_share * len(train))

    def taken(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x[chosen].astype(np.float32), y[chosen].astype(np.float32)

    return TableSplit(
        train=taken(shuffled[num_validation:]),
        validation=taken(shuffled[:num_validation]),
        test=taken(test),
        input_names=tuple(names[i] for i in inputs),
        target_names=table.targets,
        target_scales=target_scales,
        is_published=table.splits is not None,
    )


def _rows(
    table: Table, num_rows: int, split: int, data_dir: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the rows that are not for testing, and of those that are.

    Sorted, so that nothing depends on the order of the published ones.
    """
    if table.splits is None:
        order = _order(num_rows, split, "test")
        num_test = round(num_rows / 10)
        return np.sort(order[num_test:]), np.sort(order[:num_test])
    path = uci.find(table.splits, data_dir)
    with tf.io.gfile.GFile(path, "rb") as file, np.load(file) as splits:
        train, test = (
            np.sort(splits[f"{part}_{split}"].astype(np.int64))
            for part in ("train", "test")
        )
    found = np.sort(np.concatenate([train, test]))
    if not np.array_equal(found, np.arange(num_rows)):
        raise ValueError(f"a split {split} that is none of {num_rows} rows")
    return train, test


def _order(num_rows: int, split: int, purpose: str) -> np.ndarray:
    """A random order, the same in every NumPy."""
    entropy = [split, *purpose.encode()]
    # The raw stream, unlike `permutation`, is not that of a version.
    return np.argsort(np.random.PCG64(entropy).random_raw(num_rows))


def _standardized(
    columns: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Columns by the moments of some rows; the standard deviations."""
    scales = columns[rows].std(axis=0)
    scales = np.where(scales > 0.0, scales, 1.0)
    return (columns - columns[rows].mean(axis=0)) / scales, scales
