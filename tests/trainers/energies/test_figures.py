"""Tests of the pictures."""

import numpy as np

from trainers.energies import figures

PNG = b"\x89PNG"
RESULTS = {
    "target": "u1",
    "flow": "planar",
    "num_flow_steps": 2,
    "kl": 0.25,
    "standard_error": 0.001,
    "half_width": 5.0,
    "log_normalizer": 1.8775,
    "num_parameters": 14,
    "seed": 0,
}
DENSITY = np.random.default_rng(0).uniform(size=[20, 20])


def test_fit_is_drawn_and_drawn_the_same_again(tmp_path):
    metrics = [{"step": n, "free_energy": 1.0 / n} for n in (10, 20, 30)]
    for name in ("first.png", "second.png"):
        figures.save_fit(
            str(tmp_path / name),
            densities=(DENSITY, DENSITY),
            results=RESULTS,
            metrics=metrics,
        )
    first = (tmp_path / "first.png").read_bytes()
    assert first.startswith(PNG)
    assert first == (tmp_path / "second.png").read_bytes()


def test_energies_are_drawn_into_a_small_file(tmp_path):
    row = [("target", DENSITY), ("planar, K = 2", DENSITY)]
    path = tmp_path / "energies.png"
    figures.save_energies(
        str(path), rows={"u1": row, "u2": row}, half_width=5.0
    )
    assert path.read_bytes().startswith(PNG)
    assert path.stat().st_size < 400_000
