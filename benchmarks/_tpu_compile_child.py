"""The compiling process of `tpu_compile`: JAX and libtpu, no TensorFlow.

JAX compiles for a TPU that is not there by the description of a topology. It
does so for its own functions; what is used here to compile another program's
HLO has no stable interface, so the extra `tpu-check` says which versions.
"""

import importlib.metadata
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax._src.interpreters import mlir
from jax.experimental import topologies
from jaxlib import _jax, xla_client
from jaxlib.mlir import ir

from benchmarks import _hlo

__all__ = ["compile_all", "main"]

_LONGEST_ERROR = 1000
_COPY = re.compile(r" copy\(")
_MARK = re.compile(
    r' custom-call\(([^)]*)\), custom_call_target="SetBound", '
    r"literal=\(.*?} \)"
)
# What stands for a host's function in a program that is compiled.
_HOST_CALL = re.compile(
    r'custom_call_target="([^"]*(?:callback|host)[^"]*)"', re.IGNORECASE
)


def compile_all(topology: str, programs: dict[str, str]) -> dict[str, Any]:
    """Compiles programs, one after the other.

    Args:
      topology: such as "v5e:2x2".
      programs: files of HLO text, by name.

    Returns:
      `programs`, by name, their `faults`, sentences, and sizes; and what
      compiled them.
    """
    device = topologies.get_topology_desc(
        platform="tpu", topology_name=topology
    ).devices[0]
    return {
        "device": device.device_kind,
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("jax", "jaxlib", "libtpu")
        },
        "programs": {
            name: _compile(device, Path(file).read_text())
            for name, file in programs.items()
        },
    }


def _compile(device: Any, text: str) -> dict[str, Any]:
    start = time.perf_counter()
    try:
        executable = device.client.compile(
            _module(text), _jax.DeviceList((device,)), _options(device)
        )
    except jax.errors.JaxRuntimeError as error:
        return {"faults": [f"refused: {str(error)[:_LONGEST_ERROR]}"]}
    seconds = time.perf_counter() - start
    memory = executable.get_compiled_memory_stats()
    compiled = executable.hlo_modules()[0].to_string()
    calls = sorted(set(_HOST_CALL.findall(compiled)))
    return {
        "faults": [f"a call of the host, {call}" for call in calls],
        "compile_seconds": seconds,
        "temp_bytes": memory.temp_size_in_bytes,
        "code_bytes": memory.generated_code_size_in_bytes,
        "instructions": len(_hlo.instructions(compiled)),
    }


def _module(text: str) -> ir.Module:
    """The program in StableHLO, which JAX's client takes alone.

    That has neither copies nor marks of a bound: they become reshapes.
    """
    text = _MARK.sub(r" reshape(\1)", _COPY.sub(" reshape(", text))
    parsed = xla_client.hlo.hlo_module_from_text(text)
    module = _jax.mlir.xla_computation_to_mlir_module(
        xla_client.XlaComputation(parsed.as_serialized_hlo_module_proto())
    )
    with mlir.make_ir_context():
        return ir.Module.parse(module)


def _options(device: Any) -> xla_client.CompileOptions:
    options = xla_client.CompileOptions()
    options.num_replicas = options.num_partitions = 1
    options.device_assignment = xla_client.DeviceAssignment.create(
        np.array([[device.id]])
    )
    return options


def main(task_file: str, result_file: str) -> None:
    """Reads a task, runs it and writes its values."""
    task = json.loads(Path(task_file).read_text())
    Path(result_file).write_text(json.dumps(compile_all(**task)))


if __name__ == "__main__":
    main(*sys.argv[1:])
