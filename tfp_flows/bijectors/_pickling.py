"""Makes the TFP objects that flows are put in picklable and copyable.

TFP's own `Invert`, `TransformedDistribution` and others cannot be pickled or
deep-copied, whatever is in them: both make the object without arguments first,
which the `__new__` of these classes refuses. Here they are made anew from the
parameters of their constructors.
"""

import copyreg
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow_probability as tfp

__all__ = ["make_picklable"]

tfb = tfp.bijectors
tfd = tfp.distributions

_CLASSES = (
    tfb.Invert,
    tfd.Independent,
    tfd.MultivariateNormalDiag,
    tfd.MultivariateNormalTriL,
    tfd.Sample,
    tfd.TransformedDistribution,
)


def make_picklable() -> None:
    """Registers how these classes are pickled; the others stay as they are."""
    for cls in _CLASSES:
        copyreg.pickle(cls, _reduced)


def _reduced(value: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    known = inspect.signature(type(value).__init__).parameters
    parameters = {
        name: parameter
        for name, parameter in value.parameters.items()
        if name in known
    }
    return _made, (type(value), parameters)


def _made(cls: type, parameters: Mapping[str, Any]) -> Any:
    return cls(**parameters)
