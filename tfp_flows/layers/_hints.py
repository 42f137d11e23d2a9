"""What to say to those who know other libraries' names."""

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

import keras

__all__ = ["OfTheBijector", "check_keywords"]

# The argument, and what it is called elsewhere.
_SYNONYMS = {
    "num_flow_steps": (
        "K k depth flow_length length n_blocks n_flows n_layers n_steps nflows "
        "num_bijectors num_blocks num_couplings num_flow_layers num_flows "
        "num_layers num_steps num_transforms steps transforms"
    ),
    "hidden_units": (
        "hidden hidden_channels hidden_dim hidden_dims hidden_features "
        "hidden_layers hidden_size hidden_sizes hidden_unit layer_sizes "
        "nn_width num_hidden num_hidden_channels units width"
    ),
    "activation": "act activation_fn nonlinearity",
    "num_bins": "bins count_bins knots n_bins num_knots",
    "circular": "angles circles circular_coordinates ind_circ periodic",
    "tail_bound": "B bound bounds interval range_max tails",
    "num_orthogonal_columns": "M num_columns num_ortho_vecs num_units rank",
    "num_householder_reflections": (
        "H n_householder num_householder num_reflections num_vectors "
        "reflections"
    ),
    "num_sigmoids": "num_units num_ds_dim sigmoids signal",
    "num_layers": "num_ds_layers",
    "mixing": "mix order permutation permutations permute permuter shuffle",
    "amortized": (
        "amortize conditional cond_dim context context_dim context_features "
        "context_size"
    ),
    "seed": "key random_seed random_state rng",
    "inverted": "inverse invert",
    "kind": "ortho orthogonal type variant",
    "scaling": "scale use_scaling",
    "constraint": "invertibility",
}
# Of the event, whose size a layer takes from what it is built with.
_SIZES = frozenset(
    "D d dim dims event_dim event_shape event_size features in_features "
    "input_size latent_dim latent_size n_features ndim num_dims num_features "
    "num_inputs size z_dim z_size".split()
)
_OF_KERAS = (
    "activity_regularizer",
    "autocast",
    "dtype",
    "name",
    "trainable",
)
# Keras takes these too, with a warning of its own.
_TOLERATED = ("input_dim", "input_shape")


def check_keywords(cls: type, keywords: Mapping[str, Any]) -> None:
    """Raises TypeError that names the right one for an unknown argument.

    Args:
      cls: a subclass of `keras.layers.Layer`. It takes the arguments of all
        constructors up to that one.
      keywords: the keyword arguments that it was given.
    """
    own = _own_arguments(cls)
    known = [*own, *_OF_KERAS]
    for name, value in keywords.items():
        if name in known or name in _TOLERATED:
            continue
        raise TypeError(
            f"`{name}` must be an argument of {cls.__name__}, which takes "
            f"{', '.join(own)} and those of keras.layers.Layer; got "
            f"{name}={value!r}.{_advice(name, known)}"
        )


def _own_arguments(cls: type) -> list[str]:
    names: dict[str, None] = {}
    for base in cls.__mro__[: cls.__mro__.index(keras.layers.Layer)]:
        constructor = vars(base).get("__init__")
        if constructor is not None:
            _, *parameters = inspect.signature(constructor).parameters.values()
            names |= {
                parameter.name: None
                for parameter in parameters
                if parameter.kind is not parameter.VAR_KEYWORD
            }
    return list(names)


def _advice(name: str, known: list[str]) -> str:
    if name in _SIZES:
        return (
            " The number of coordinates is that of the first input, or of "
            "`build((None, D))`."
        )
    for argument, synonyms in _SYNONYMS.items():
        if argument in known and name in synonyms.split():
            return f" Did you mean `{argument}`?"
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean `{close[0]}`?" if close else ""


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
