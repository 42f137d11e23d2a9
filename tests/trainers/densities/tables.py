"""A small table for the tests, as UCI's are."""

import numpy as np

NUM_ROWS = 200


def write(folder, num_rows=NUM_ROWS):
    """Writes fish_toxicity.csv and the published files of concrete."""
    rng = np.random.default_rng(0)
    (folder / "uci").mkdir()
    x = rng.normal(5.0, 3.0, [num_rows, 2])
    y = x @ [1.0, -2.0] + rng.normal(size=num_rows)
    np.savetxt(
        folder / "uci" / "fish_toxicity.csv",
        np.column_stack([x, np.full(num_rows, 7.0), y]),
        delimiter=",",
        header="first,second,constant,LC50",
        comments="",
    )
    np.savetxt(
        folder / "uci" / "concrete.csv",
        np.column_stack([y, x]),
        delimiter=",",
        header="compressive_strength_mpa,first,second",
        comments="",
    )
    splits = {}
    for split in range(20):
        order = rng.permutation(num_rows)
        splits[f"train_{split}"] = order[20:].astype(float)
        splits[f"test_{split}"] = order[:20].astype(float)
    np.savez(folder / "uci" / "concrete_splits.npz", **splits)
    return splits
