"""Tables of the benchmarks that stand beside other libraries."""

from collections.abc import Sequence
from typing import Any

from trainers.report import text
from trainers.report.benchmarks import NOT_MEASURED, machine, newest

__all__ = ["density", "peers"]


def _other_versions(run: dict[str, Any]) -> str:
    """Of the libraries that `machine` does not name."""
    return ", ".join(
        f"{name} {version}"
        for name, version in run["versions"].items()
        if name not in ("python", "tensorflow")
    )


def density(results: Sequence[dict[str, Any]]) -> str:
    """The table of `benchmarks/density.py`."""
    run = newest(results, "density")
    if run is None:
        return NOT_MEASURED
    header = ["flow", "D", "library", "update, ms", "to ours"]
    header += ["samples, ms", "to ours", "first calls, s"]
    rows = [
        [
            case["flow"].upper(),
            str(case["size"]),
            case["library"],
            *(
                f"{case[name]['median']:.2f}"
                for name in (
                    "update_milliseconds",
                    "update_ratio_to_ours",
                    "samples_milliseconds",
                    "samples_ratio_to_ours",
                )
            ),
            f"{case['first_calls_seconds']:.1f}",
        ]
        for case in run["cases"]
    ]
    settings = run["settings"]
    caption = (
        f"{settings['steps']} steps with networks of "
        f"{' x '.join(map(str, settings['hidden']))}, NSF with "
        f"{settings['bins']} bins; batch {settings['batch']}. Medians of "
        f"{settings['num_rounds']} interleaved rounds; a ratio above 1 is "
        f"slower than `FlowDensity`. {_other_versions(run)}. "
        f"{machine(run)}"
    )
    return "\n".join([*text.table(header, rows, 3), "", caption])


def peers(results: Sequence[dict[str, Any]]) -> str:
    """The table of `benchmarks/peers.py`."""
    run = newest(results, "peers")
    if run is None:
        return NOT_MEASURED
    names = ("step", "samples", "density")
    header = ["flow", "D", "library"]
    for name in names:
        header += [f"{name}, ms", "ours / it"]
    header.append("first step, s")
    ours = {
        (case["flow"], case["size"]): case["milliseconds"]
        for case in run["cases"]
        if case["library"] == "tfp_flows"
    }
    rows = []
    for case in run["cases"]:
        row = [case["flow"], case["size"], case["library"]]
        for name in names:
            found = case["milliseconds"].get(name)
            if found is None:
                row += ["-", "-"]
                continue
            own = ours[case["flow"], case["size"]][name]["median"]
            row += [
                f"{found['median']:.2f} ({found['q1']:.2f} to "
                f"{found['q3']:.2f})",
                f"{own / found['median']:.2f}",
            ]
        rows.append([*row, f"{case['first_seconds']['step']:.1f}"])
    settings = run["settings"]
    caption = (
        f"Batch {settings['batch']}; {settings['steps']} steps with networks "
        f"of {' x '.join(map(str, settings['hidden']))}, splines with "
        f"{settings['bins']} bins; planar and radial K = {settings['long']}; "
        f"Householder with {settings['reflections']} reflections; the VAE "
        f"{settings['pixels']}-{'-'.join(map(str, settings['autoencoder']))}, "
        f"amortised planar K = {settings['very_long']}, D latents. Medians and "
        f"quartiles of {settings['num_rounds']} interleaved rounds; ours / it "
        "above 1 is a row that this library loses. First step: with "
        "compilation, once. -: the library does not have it. "
        f"{_other_versions(run)}. {machine(run)}"
    )
    return "\n".join([*text.table(header, rows, 3), "", caption])
