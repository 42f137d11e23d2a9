"""What to say to those who know other libraries' names of arguments."""

import difflib
import inspect
from collections.abc import Mapping
from typing import Any, Self

import keras

__all__ = ["ChecksKeywords", "check_keywords"]

_PACKAGE = __name__.partition(".")[0]

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
    "latent_size": (
        "D dim dims event_size latent_dim latent_dims latent_features "
        "num_latents size z_dim z_size"
    ),
    "flow": "bijector bijectors flow_layer flow_layers flows transforms",
    "posterior": "guide q surrogate variational_posterior",
    "base": "base_dist base_distribution distribution",
    "event_shape": "data_shape event_size image_shape observation_shape",
    "likelihood": "observation_model reconstruction_loss",
    "encoder": "condition_network context_encoder embedding_net summary_net",
    "support": "bounds constraint domain",
    "standardize": "normalise normalize standardise whiten",
    "num_components": "K n_components num_mixtures",
    "num_importance_samples": "K k n_samples num_iwae_samples num_samples",
    "gradient_estimator": "estimator sticking_the_landing stl",
    "annealing": "anneal beta beta_schedule kl_annealing warm_up warmup",
    "kl_weight": "beta kl_scale",
    "auxiliary_size": "index_size num_indices u_dim u_size",
    "num_bridges": "K n_bridges num_intermediate num_steps num_temperatures",
    "num_leapfrog_steps": "L leapfrog_steps n_leapfrog num_leapfrogs",
    "initial_step_size": "epsilon step_size",
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


class ChecksKeywords:
    """A layer or a model that names the right argument for an unknown one.

    Before any that is missed, too: where the constructor is one of the package.
    What a constructor of others takes from **kwargs is not known.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Checks the names of the arguments."""
        if cls.__init__.__module__.startswith(f"{_PACKAGE}."):
            check_keywords(cls, kwargs)
        return super().__new__(cls, *args, **kwargs)


def check_keywords(cls: type, keywords: Mapping[str, Any]) -> None:
    """Raises TypeError that names the right one for an unknown argument.

    Args:
      cls: a subclass of `keras.layers.Layer` or `keras.Model`. It takes the
        arguments of all constructors up to that one.
      keywords: the keyword arguments that it was given.
    """
    own = _own_arguments(cls)
    known = [*own, *_OF_KERAS]
    for name, value in keywords.items():
        if name in known or name in _TOLERATED:
            continue
        raise TypeError(
            f"`{name}` must be an argument of {cls.__name__}, which takes "
            f"{', '.join(own)} and those of {_base(cls)[0]}; got "
            f"{name}={value!r}.{_advice(name, known)}"
        )


def _base(cls: type) -> tuple[str, type]:
    """The class of Keras that the other arguments are of, after its name."""
    if issubclass(cls, keras.Model):
        return "keras.Model", keras.Model
    return "keras.layers.Layer", keras.layers.Layer


def _own_arguments(cls: type) -> list[str]:
    names: dict[str, None] = {}
    for base in cls.__mro__[: cls.__mro__.index(_base(cls)[1])]:
        constructor = vars(base).get("__init__")
        if constructor is not None:
            _, *parameters = inspect.signature(constructor).parameters.values()
            names |= {
                parameter.name: None
                for parameter in parameters
                if parameter.kind
                not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            }
    return list(names)


def _advice(name: str, known: list[str]) -> str:
    for argument, synonyms in _SYNONYMS.items():
        if argument in known and name in synonyms.split():
            return f" Did you mean `{argument}`?"
    if name in _SIZES:
        return (
            " The number of coordinates is that of the first input, or of "
            "`build((None, D))`."
        )
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean `{close[0]}`?" if close else ""
