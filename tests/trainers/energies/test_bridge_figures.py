"""Tests of the picture of bounds that bridges raise."""

from trainers.energies import bridge_figures


def result(posterior="flow", length=0, base="full", gap=0.5):
    bridged = {"num_bridges": length, "auxiliary_kl": gap}
    return {
        "target": "sonar",
        "posterior": posterior,
        "log_normalizer": -108.378,
        "curve": [[10, 118.0], [20, 108.378 + gap]],
        "config": {"posterior": {"base": base}},
        **(bridged if length else {"kl": gap}),
    }


def test_bridges_are_drawn_and_drawn_the_same_again(tmp_path):
    runs = [
        result(),
        result("hamiltonian", 4, gap=0.4),
        result("hamiltonian", 16, gap=0.3),
        result("langevin", 4, gap=0.45),
    ]
    for name in ("first.png", "second.png"):
        bridge_figures.save_bridges(str(tmp_path / name), runs)
    first = (tmp_path / "first.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert first == (tmp_path / "second.png").read_bytes()


def test_nothing_is_drawn_of_no_runs(tmp_path):
    bridge_figures.save_bridges(str(tmp_path / "none.png"), [])
    assert not list(tmp_path.iterdir())
