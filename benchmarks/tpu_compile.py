"""Does a TPU take every posterior, and how large do the programs become?

The steps of a deep latent Gaussian model, of every flow of `configs.flows`, of
a CIF and of annealed posteriors, are lowered by TensorFlow and compiled by the
TPU's own compiler, libtpu, which needs no TPU: JAX calls it for one that a
topology describes, in a process of its own, where TensorFlow is not. See
`_tpu_programs.programs` for the programs. Of each

- what a TPU would refuse or wait for: an operation or a type without a kernel,
  a call of the host, a size that is not known, and float64 outside of the sums
  of importance sampling, of which a TPU has none;
- sizes: temporary memory, code, instructions before and after compilation;
- at which precision its products are asked for.

The sizes of the model hardly show in the number of instructions, so it is a
small one, apart from the posteriors of `realistic`, which are of the size of
those for MNIST. One posterior of each kind is also compiled under the policy
mixed_bfloat16. Nothing runs: times are those of the compiler.

    python -m pip install -e ".[train,tpu-check]"
    python -m benchmarks.tpu_compile     # half an hour; writes results/
    python -m benchmarks.tpu_compile --quick --out /tmp/quick.json

JAX and libtpu may be in another environment, without TensorFlow: `--python`
names its interpreter, as does the variable TPU_CHECK_PYTHON.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import _command, _hlo, _measure, _tpu_programs
from benchmarks._long_flow_child import versions
from benchmarks._tpu_programs import PROGRAMS, Case, Program, Sizes
from trainers.report import tpu_compile as report_tpu_compile

__all__ = [
    "QUICK",
    "REALISTIC",
    "Settings",
    "default_python",
    "has_compiler",
    "main",
    "measure",
    "run",
]

REALISTIC = Sizes(
    hidden=400, latent=40, num_flow_steps=8, batch=100, num_samples=50
)
_CHILD = "benchmarks._tpu_compile_child"
_LONGEST_ERROR = 1000
_MEASURED = ("tfp_flows", "trainers", "configs", "benchmarks")
# libtpu asks for the machine that it is on, without a TPU in vain, and lets no
# other process load it.
_ENVIRONMENT = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "JAX_PLATFORMS": "cpu",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
}


class Settings(NamedTuple):
    """Everything that decides what is compiled, but for what compiles it.

    Attributes:
      names: of the posteriors; none: all of them.
      bfloat16: those of them that are also trained in mixed_bfloat16.
      realistic: those of them that are compiled at `REALISTIC` sizes too.
      sizes: of the model.
      topology: of the TPU.
    """

    names: tuple[str, ...] = ()
    bfloat16: tuple[str, ...] = (
        *("planar", "circular", "real_nvp", "iaf"),
        *("cif planar", "hamiltonian none"),
    )
    realistic: tuple[str, ...] = ("planar",)
    sizes: Sizes = Sizes()
    topology: str = "v5e:2x2"


QUICK = Settings(names=("none", "planar"), realistic=())


def default_python() -> str:
    """The interpreter that TPU_CHECK_PYTHON names, else this one."""
    return os.environ.get("TPU_CHECK_PYTHON") or sys.executable


def has_compiler(python: str) -> bool:
    """Whether an interpreter finds what the child imports."""
    # Not by importing it: JAX must not be in a process with TensorFlow.
    look = (
        "import importlib.util, sys; sys.exit(None in [*map("
        "importlib.util.find_spec, ('jax', 'jaxlib', 'libtpu'))])"
    )
    try:
        done = subprocess.run([python, "-c", look], check=False)
    except OSError:
        return False
    return done.returncode == 0


def run(
    settings: Settings,
    python: str,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Compiles every case and returns the content of `results.json`.

    Args:
      settings: what is compiled.
      python: the interpreter of the compiling processes.
      progress: called with a line about each case.
    """
    chosen = [
        case
        for case in _tpu_programs.CASES
        if not settings.names or case.name in settings.names
    ]
    large = [case for case in chosen if case.name in settings.realistic]
    todo = [
        *((case, "small", settings.sizes) for case in chosen),
        *((case, "realistic", REALISTIC) for case in large),
    ]
    cases = []
    compiled_with: dict[str, Any] = {}
    for i, (case, size, sizes) in enumerate(todo):
        start = time.perf_counter()
        measured, compiled_with = measure(
            case, sizes, _names(case, settings), python, settings.topology
        )
        cases.append({**case._asdict(), "size": size, "programs": measured})
        faults = sum(bool(values["faults"]) for values in measured.values())
        progress(
            f"[{i + 1}/{len(todo)}] {case.name}, {size}: {len(measured)} "
            f"programs, {faults} with faults, "
            f"{time.perf_counter() - start:.0f} s"
        )
    return {
        "benchmark": "tpu_compile",
        **_measure.describe(_MEASURED),
        "versions": {**versions(), **compiled_with.get("versions", {})},
        "device": compiled_with.get("device", ""),
        "settings": {
            **settings._asdict(),
            "sizes": settings.sizes._asdict(),
            "realistic_sizes": REALISTIC._asdict(),
        },
        "cases": cases,
    }


def _names(case: Case, settings: Settings) -> list[str]:
    return [
        name
        for name in PROGRAMS
        if not name.endswith("_bfloat16") or case.name in settings.bfloat16
    ]


def measure(
    case: Case,
    sizes: Sizes,
    names: Sequence[str],
    python: str,
    topology: str,
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Lowers and compiles the programs of one case.

    Args:
      case: one of `_tpu_programs.CASES`.
      sizes: of the model.
      names: of `PROGRAMS`.
      python: the interpreter of the compiling process.
      topology: of the TPU.

    Returns:
      By the program's name, its sizes and `faults`, sentences; and what
      compiled them.
    """
    found, files = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        made = _tpu_programs.programs(case, sizes, names)
        for name, program in made.items():
            start = time.perf_counter()
            try:
                text = _tpu_programs.lower(program)
            except ValueError as error:
                found[name] = {"faults": [str(error)[:_LONGEST_ERROR]]}
                continue
            seconds = time.perf_counter() - start
            found[name] = {"lower_seconds": seconds, **_seen(program, text)}
            file = Path(folder, f"{name}.hlo")
            file.write_text(text)
            files[name] = str(file)
        child = _measure.run_child(
            _CHILD,
            {"topology": topology, "programs": files},
            python=python,
            environment=_ENVIRONMENT,
        )
    if child.status != "finished":
        raise RuntimeError(
            f"The compiling process of {case.name} {child.status}: "
            f"{child.message}"
        )
    compiled = child.values.pop("programs")
    for name, values in compiled.items():
        faults = [*found[name]["faults"], *values["faults"]]
        found[name] |= {**values, "faults": faults}
    return found, child.values


def _seen(program: Program, text: str) -> dict[str, Any]:
    """What a program shows before it is compiled."""
    lowered = _hlo.instructions(text)
    return {
        "lowered_instructions": len(lowered),
        "products": _hlo.products(lowered),
        "faults": _hlo.unfit(
            lowered,
            float64_shapes=program.float64_shapes,
            is_bounded=program.is_bounded,
        ),
    }


def _parse(
    arguments: Sequence[str] | None,
) -> tuple[Settings, str, Path]:
    parser = _command.parser(
        "tpu_compile", "Does a TPU's compiler take every posterior?"
    )
    known = [case.name for case in _tpu_programs.CASES]
    parser.add_argument(
        "--names",
        type=lambda text: tuple(text.split(",")),
        help="posteriors, as in planar,cif planar",
    )
    parser.add_argument("--topology", help="of the TPU, as in v5e:2x2")
    parser.add_argument(
        "--python",
        default=default_python(),
        help="an interpreter that has JAX and libtpu",
    )
    flags = parser.parse_args(arguments)
    for name in flags.names or ():
        if name not in known:
            parser.error(
                f"`names` must be some of {', '.join(known)}; got {name!r}."
            )
    settings = _command.settings(parser, flags, Settings(), QUICK)
    if not has_compiler(flags.python):
        parser.error(
            "`python` must be an interpreter with jax and libtpu, the extra "
            f"`tpu-check`; got {flags.python}."
        )
    return settings, flags.python, flags.out


def main(arguments: Sequence[str] | None = None) -> int:
    """Compiles, prints the table and writes the JSON file."""
    settings, python, out = _parse(arguments)
    results = run(settings, python, _command.show)
    _command.finish(results, out, report_tpu_compile.tpu_compile)
    faults = [
        f"{case['posterior']} {case['flow']}, {name}: {fault}"
        for case in results["cases"]
        for name, values in case["programs"].items()
        for fault in values["faults"]
    ]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
