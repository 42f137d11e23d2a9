"""Normalizing flows that are native to TensorFlow Probability and to Keras 3.

The sub-packages are imported on first use, so that `auxiliary`, `bijectors`,
`likelihoods`, `math`, `replicas`, `targets` and `testing` need no Keras 3 and
work whatever its backend.
Keras finds the classes of saved models without that: `import tfp_flows` is all
that `keras.saving.load_model` needs.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tfp_flows._keras_objects import register_with_keras
from tfp_flows._tpu_build import warn_if_overwritten

if TYPE_CHECKING:
    from tfp_flows import (
        auxiliary,
        bijectors,
        layers,
        likelihoods,
        losses,
        math,
        models,
        posteriors,
        replicas,
        schedules,
        targets,
        testing,
        types,
        vi,
    )
    from tfp_flows._runs import load_run

__version__ = "0.1.0"

__all__ = [
    "auxiliary",
    "bijectors",
    "layers",
    "likelihoods",
    "load_run",
    "losses",
    "math",
    "models",
    "posteriors",
    "replicas",
    "schedules",
    "targets",
    "testing",
    "types",
    "vi",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "load_run":
        return importlib.import_module(f"{__name__}._runs").load_run
    return importlib.import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register_with_keras()
warn_if_overwritten()
