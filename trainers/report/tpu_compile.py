"""The table on programs compiled for a TPU."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from trainers.report import text
from trainers.report.benchmarks import NOT_MEASURED, newest

__all__ = ["tpu_compile"]

_SIZES = {"small": "", "realistic": ", as for MNIST"}


def tpu_compile(results: Sequence[dict[str, Any]]) -> str:
    """The table of `benchmarks/tpu_compile.py`."""
    run = newest(results, "tpu_compile")
    if run is None:
        return NOT_MEASURED
    header = [
        *("posterior", "compiled", "train: temp, KiB", "code, KiB"),
        *("instructions", "importance: temp, KiB", "code, KiB"),
        *("instructions", "log_prob: instructions"),
    ]
    rows = [
        [
            _name(case) + _SIZES[case["size"]],
            _compiled(case["programs"]),
            *_cells(case["programs"].get("train")),
            *_cells(case["programs"].get("importance")),
            _cells(case["programs"].get("log_prob"))[-1],
        ]
        for case in run["cases"]
    ]
    return "\n".join([*text.table(header, rows, 2), "", _caption(run)])


def _name(case: dict[str, Any]) -> str:
    if case["posterior"] == "flow":
        return f"`{case['flow']}`"
    return f"`{case['posterior']}` of `{case['flow']}`"


def _compiled(programs: dict[str, dict[str, Any]]) -> str:
    """Which programs compile without a fault."""
    good = [name for name, values in programs.items() if not values["faults"]]
    if len(good) == len(programs):
        return f"all {len(good)}"
    bad = ", ".join(f"`{name}`" for name in programs if name not in good)
    return f"{len(good)} of {len(programs)}; not {bad}"


def _cells(values: dict[str, Any] | None) -> list[str]:
    if values is None or "instructions" not in values:
        return ["-"] * 3
    return [
        f"{values['temp_bytes'] / 1024:,.0f}",
        f"{values['code_bytes'] / 1024:,.0f}",
        f"{values['instructions']:,}",
    ]


def _caption(run: dict[str, Any]) -> str:
    settings, versions = run["settings"], run["versions"]
    products: Counter[str] = Counter()
    for case in run["cases"]:
        for values in case["programs"].values():
            products.update(values.get("products", {}))
    sizes = settings["sizes"]
    asked = " and ".join(
        f"{count:,} are at {precision} precision"
        for precision, count in sorted(products.items())
    )
    caption = (
        "Programs: `train`, `evaluate`, `importance` (encoding, and a chunk of "
        "samples of log p(x)), `log_prob` (of any z, with gradients; of a CIF "
        "its bound; not of annealed posteriors), `remainder` (`evaluate`, of a "
        "batch of unknown size); of "
        + ", ".join(f"`{name}`" for name in settings["bfloat16"])
        + " also `train` in mixed_bfloat16. A row names its programs with a "
        "fault. Instructions are those of the compiled program, temp is the "
        "memory of what it computes on the way. Of all programs' matrix "
        f"products {asked}. DLGM 784-{sizes['hidden']}-{sizes['hidden']}, D = "
        f"{sizes['latent']}, K = {sizes['num_flow_steps']}, batch "
        f"{sizes['batch']}, {sizes['num_samples']} samples at once"
    )
    if settings["realistic"]:
        large = settings["realistic_sizes"]
        caption += (
            f"; as for MNIST: 784-{large['hidden']}-{large['hidden']}, D = "
            f"{large['latent']}, K = {large['num_flow_steps']}, batch "
            f"{large['batch']}, {large['num_samples']} samples at once"
        )
    return (
        f"{caption}. {run['device']} ({settings['topology']}), not run on it; "
        f"TensorFlow {versions['tensorflow']}, JAX {versions['jax']}, libtpu "
        f"{versions['libtpu']}; {run['date'][:10]}; commit "
        f"{run['commit'][:10]}{' (dirty)' if run['dirty'] else ''}."
    )
