"""Our registered names in Keras, without an import of what they stand for.

The sub-packages register their classes with Keras when they are imported,
which is on first use. A saved model names classes that nothing has used yet, so
Keras is given a stand-in for each of them as soon as it is imported itself.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

__all__ = ["REGISTERED", "register_with_keras"]

REGISTERED = {
    "layers": (
        "CONFFlow",
        "CircularFlow",
        "ConvolutionalDecoder",
        "ConvolutionalEncoder",
        "DataAdaptiveFlow",
        "HouseholderFlow",
        "IAFFlow",
        "MADE",
        "MAFFlow",
        "MLP",
        "Maxout",
        "NAFFlow",
        "NICEFlow",
        "PlanarFlow",
        "RadialFlow",
        "RealNVPFlow",
        "ResidualMLP",
        "SplineAutoregressiveFlow",
        "SplineCouplingFlow",
        "Standardization",
        "StochasticLayer",
        "SylvesterFlow",
        "SymmetricFlow",
    ),
    "losses": ("NegativeLogLikelihood",),
    "models": ("BernoulliMADE", "DLGM", "FlowDensity", "LogJointModel"),
    "posteriors": (
        "CIFPosterior",
        "FlowDistribution",
        "FlowPosterior",
        "HamiltonianPosterior",
        "LangevinPosterior",
    ),
    "schedules": ("JointAnnealing", "KLAnnealing", "NoAnnealing"),
}


class _StandIn:
    """A class of ours as far as Keras's loading goes."""

    def __init__(self, subpackage: str, name: str) -> None:
        self._subpackage = subpackage
        self._name = name

    def _resolve(self) -> Any:
        # The import registers the class itself in place of this.
        module = importlib.import_module(f"tfp_flows.{self._subpackage}")
        return getattr(module, self._name)

    def from_config(self, config: dict[str, Any]) -> Any:
        """The object of a configuration of the class."""
        return self._resolve().from_config(config)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """An instance of the class."""
        return self._resolve()(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<tfp_flows.{self._subpackage}.{self._name}, not imported yet>"


def register_with_keras() -> None:
    """Registers the names, now or as soon as Keras is imported."""
    keras = sys.modules.get("keras")
    if keras is not None:
        _register(keras)
    elif not any(isinstance(f, _KerasFinder) for f in sys.meta_path):
        sys.meta_path.insert(0, _KerasFinder())


def _register(keras: ModuleType) -> None:
    saving = getattr(keras, "saving", None)
    if saving is None:  # no Keras 3, or one that failed
        return
    known = saving.get_custom_objects()
    for subpackage, names in REGISTERED.items():
        for name in names:
            known.setdefault(f"tfp_flows>{name}", _StandIn(subpackage, name))


class _KerasFinder(importlib.abc.MetaPathFinder):
    """Finds `keras` where the others do; loading it then registers."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of `keras`, None for everything else."""
        if fullname != "keras":
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                self._register_after_loading(spec.loader)
                return spec
        return None

    def _register_after_loading(self, loader: Any) -> None:
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _register(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)

        loader.exec_module = exec_module
