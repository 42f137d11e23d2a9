"""Names of bijectors that a layer, which is none, does not have."""

from typing import Any

__all__ = ["OfTheBijector"]


class OfTheBijector:
    """A name of `tfb.Bijector` that a layer, which is none, does not have.

    Reading it says where it is. As `hasattr` expects, by AttributeError.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, layer: Any, owner: type) -> Any:
        raise AttributeError(
            f"{owner.__name__} is a Keras layer and no bijector: pass what its "
            "method `.bijector()` returns (of a context, if it is amortized), "
            "or `.trainable_bijector()`, which owns its variables; got a use "
            f"of `.{self._name}` of the layer."
        )
