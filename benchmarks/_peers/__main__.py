"""One library's process: see the package."""

import importlib
import json
import sys
import types

import numpy as np

from benchmarks import _peers
from benchmarks._peer_process import Calls, serve

__all__ = ["main"]


def main(library: str, flow: str, size: str, settings: str) -> None:
    """Serves what the library makes.

    Args:
      library: one of `_peers.LIBRARIES`.
      flow: one of `_peers.FLOWS`.
      size: D.
      settings: of the benchmark, in JSON.
    """
    given = types.SimpleNamespace(**json.loads(settings))
    x = np.random.default_rng(given.seed).normal(size=[given.batch, int(size)])

    def make() -> Calls:
        name, _ = _peers.LIBRARIES[library]
        module = importlib.import_module(f"benchmarks._peers.{name}")
        return module.make(flow, x.astype(np.float32), given)

    serve(make)


if __name__ == "__main__":
    main(*sys.argv[1:])
