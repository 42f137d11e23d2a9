"""Rules for what configs say of posteriors, and the errors of those broken."""

import math
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from ml_collections import config_dict

from configs.flows import AUTOREGRESSIVE, COUPLINGS, FLOWS
from configs.posteriors import POSTERIORS
from configs.variants import suggestion
from tfp_flows.math.networks import ACTIVATIONS
from tfp_flows.posteriors.gaussian_bases import BASES
from trainers.runs import errors

__all__ = [
    "at_least",
    "check_flow",
    "check_posterior",
    "get",
    "not_negative",
    "one_of",
    "positive",
    "refuse",
    "require",
]


def get(config: config_dict.ConfigDict, key: str) -> Any:
    """The value of a dotted key."""
    group, name = key.split(".")
    return config[group][name]


def refuse(config: config_dict.ConfigDict, key: str, rule: str) -> NoReturn:
    """Raises an `InputError` that names the key, its rule and its value."""
    raise errors.InputError(f"`{key}` must {rule}; got {get(config, key)!r}.")


def require(
    config: config_dict.ConfigDict,
    keys: Iterable[str],
    is_met: Callable[[Any], bool],
    rule: str,
) -> None:
    """Refuses the first of the keys whose value does not meet a rule.

    Keys that a config does not have are passed over.

    Raises:
      InputError: naming that key.
    """
    for key in keys:
        group, name = key.split(".")
        if name in config[group] and not is_met(config[group][name]):
            refuse(config, key, rule)


def one_of(
    config: config_dict.ConfigDict, key: str, known: Iterable[str]
) -> None:
    """Refuses a value that is not among the known, and names close ones.

    A key that a config does not have is passed over.

    Raises:
      InputError: naming the key.
    """
    group, name = key.split(".")
    known = tuple(known)
    if name in config[group] and config[group][name] not in known:
        value = config[group][name]
        raise errors.InputError(
            f"`{key}` must be one of {', '.join(known)}; got {value!r}"
            f"{suggestion(str(value), known)}"
        )


def at_least(config: config_dict.ConfigDict, least: float, *keys: str) -> None:
    """Refuses smaller values; see `require`."""
    require(config, keys, lambda v: v >= least, f"be at least {least}")


def positive(config: config_dict.ConfigDict, *keys: str) -> None:
    """Refuses other values; see `require`."""
    require(config, keys, lambda v: 0 < v < math.inf, "be positive and finite")


def not_negative(config: config_dict.ConfigDict, *keys: str) -> None:
    """Refuses other values; see `require`."""
    require(
        config,
        keys,
        lambda v: 0 <= v < math.inf,
        "not be negative, and finite",
    )


def check_flow(
    config: config_dict.ConfigDict, group: str, latent_size: int
) -> None:
    """Refuses settings of which no flow over the latents can be made.

    Args:
      config: with a group as `trainers.flows.make_flow` takes it.
      group: its name.
      latent_size: D.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    settings = config[group]
    flow = settings.flow
    one_of(config, f"{group}.flow", ("none", *FLOWS))
    one_of(config, f"{group}.conditioner_activation", ACTIVATIONS)
    at_least(
        config,
        1,
        *(
            f"{group}.{name}"
            for name in (
                "num_orthogonal_columns",
                "num_householder_reflections",
                "num_sigmoids",
            )
        ),
    )
    at_least(config, 2, f"{group}.num_bins")
    positive(config, f"{group}.tail_bound")
    if flow == "none":
        if settings.num_flow_steps != 0:
            refuse(config, f"{group}.num_flow_steps", "be 0 without a flow")
    else:
        at_least(config, 1, f"{group}.num_flow_steps")
    if flow in COUPLINGS and latent_size < 2:
        if "latent_size" in config.model:
            refuse(config, "model.latent_size", "be at least 2 for a coupling")
        refuse(config, f"{group}.flow", "not be a coupling of one coordinate")
    if (
        flow == "sylvester_orthogonal"
        and settings.num_orthogonal_columns > latent_size
    ):
        refuse(
            config,
            f"{group}.num_orthogonal_columns",
            f"be at most the number of latents, {latent_size}",
        )
    least = latent_size if flow in AUTOREGRESSIVE else 1
    what = ", the number of latents" if least > 1 else ""
    require(
        config,
        [f"{group}.conditioner_hidden_units"],
        lambda units: all(n >= least for n in units),
        f"hold integers that are at least {least}{what}",
    )


def check_posterior(config: config_dict.ConfigDict, latent_size: int) -> None:
    """Refuses a group `posterior` of which no posterior can be made.

    Args:
      config: as `trainers.posterior_layers.make_posterior` takes it.
      latent_size: D.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    one_of(config, "posterior.name", POSTERIORS)
    one_of(config, "posterior.base", BASES)
    one_of(config, "posterior.order", ("before", "after"))
    one_of(config, "posterior.auxiliary_activation", ACTIVATIONS)
    positive(
        config,
        "posterior.initial_scale",
        "posterior.initial_step_size",
        "posterior.largest_step_size",
    )
    at_least(
        config, 1, "posterior.auxiliary_size", "posterior.num_leapfrog_steps"
    )
    at_least(config, 0, "posterior.num_bridges")
    require(
        config,
        ["posterior.persistence"],
        lambda v: 0 <= v <= 1,
        "be from 0 to 1",
    )
    require(
        config,
        ["posterior.auxiliary_hidden_units"],
        lambda units: all(n >= 1 for n in units),
        "hold integers that are at least 1",
    )
    check_flow(config, "posterior", latent_size)
    if config.posterior.name == "cif" and config.posterior.flow == "none":
        refuse(config, "posterior.flow", "not be none for the posterior cif")
