"""Tests of what is kept of a finished run."""

import json

import numpy as np
import pytest

from trainers.images import keep as keep_results
from trainers.runs import errors


@pytest.fixture
def workdir(tmp_path):
    """What an evaluated run leaves, as far as it matters here."""
    path = tmp_path / "run"
    (path / "figures").mkdir(parents=True)
    results = {
        "experiment": "dlgm",
        "elbo": -1.5,
        "num_importance_samples": 20,
        "validation_nats_per_step": 0.5,
    }
    (path / "results.json").write_text(json.dumps(results))
    np.savez(
        path / "per_image.npz",
        elbo=np.linspace(-2.0, -1.0, 300),
        kl=np.ones(300),
        iwae_20=np.linspace(-1.0, -0.5, 30),
        iwae_20_standard_error=np.ones(30),
    )
    for name in keep_results.FIGURES:
        (path / "figures" / f"{name}.png").write_bytes(name.encode())
    return path


def files(path):
    return {p.relative_to(path).as_posix() for p in path.rglob("*.*")}


def test_results_bounds_and_pictures_are_kept(workdir, tmp_path):
    kept = tmp_path / "results" / "mnist" / "none"
    keep_results.main(["--workdir", str(workdir), "--results", str(kept)])
    pictures = {f"figures/{name}.png" for name in keep_results.FIGURES}
    assert files(kept) == {"results.json", "per_image.npz"} | pictures
    assert (kept / "figures" / "samples.png").read_bytes() == b"samples"
    found = json.loads((kept / "results.json").read_text())
    assert found == json.loads((workdir / "results.json").read_text())
    with np.load(kept / "per_image.npz") as arrays:
        assert set(arrays) == {"elbo", "iwae_20"}
        assert arrays["elbo"].dtype == np.float32
        np.testing.assert_allclose(
            arrays["elbo"], np.linspace(-2.0, -1.0, 300), rtol=1e-6
        )
    assert (kept / "per_image.npz").stat().st_size < 4_000


def test_pictures_can_be_left_out(workdir, tmp_path):
    keep_results.keep(str(workdir), str(tmp_path / "kept"), figures=())
    assert files(tmp_path / "kept") == {"results.json", "per_image.npz"}


def test_slope_that_an_evaluation_left_out_is_that_of_the_log(
    workdir, tmp_path
):
    path = workdir / "results.json"
    results = json.loads(path.read_text())
    del results["validation_nats_per_step"]
    path.write_text(json.dumps(results))
    curve = [{"step": s, "val_elbo": 2.0 * s} for s in range(1, 100)]
    (workdir / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in curve)
    )
    keep_results.keep(str(workdir), str(tmp_path / "kept"), figures=())
    found = json.loads((tmp_path / "kept" / "results.json").read_text())
    slope = found.pop("validation_nats_per_step")
    assert slope == pytest.approx(2.0)
    assert found == results


@pytest.mark.parametrize(
    "missing", ["results.json", "per_image.npz", "figures/samples.png"]
)
def test_unfinished_run_is_refused(workdir, tmp_path, missing):
    (workdir / missing).unlink()
    kept = tmp_path / "kept"
    with pytest.raises(errors.InputError, match="must hold an evaluated run"):
        keep_results.keep(str(workdir), str(kept))
    with pytest.raises(SystemExit, match="error: `workdir` must hold"):
        keep_results.main(["--workdir", str(workdir), "--results", str(kept)])
    assert not kept.exists()
