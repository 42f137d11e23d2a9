"""From a config to the model."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import keras
from absl import logging
from ml_collections import config_dict

from configs.flows import AUTOREGRESSIVE, COUPLINGS, FLOWS
from tfp_flows import layers, losses, models, posteriors, schedules
from tfp_flows.math.networks import ACTIVATIONS
from tfp_flows.posteriors.gaussian_bases import BASES
from trainers import flows
from trainers.images.sources import IMAGE_SETS
from trainers.runs import errors

__all__ = [
    "build_annealing",
    "build_model",
    "check_config",
]

_ANNEALINGS: dict[str, Callable[[int | None], schedules.Annealing]] = {
    "none": lambda _: schedules.NoAnnealing(),
    "joint": schedules.JointAnnealing,
    "kl": schedules.KLAnnealing,
}
_ACTIVATIONS = ("relu", "gelu", "silu", "softplus", "tanh", "maxout")

_CHOICES = {
    "data.dataset": tuple(IMAGE_SETS),
    # Training, validation and test images are all made binary.
    "model.likelihood": ("bernoulli",),
    "model.activation": _ACTIVATIONS,
    "posterior.base": BASES,
    "training.gradient_estimator": ("auto", *losses.GRADIENT_ESTIMATORS),
    "training.annealing": ("auto", *_ANNEALINGS),
    "optimizer.name": ("adam", "rmsprop"),
}
_POSITIVE_INTEGERS = (
    "model.latent_size",
    "model.num_stochastic_layers",
    "model.maxout_window",
    "training.num_steps",
    "training.batch_size",
    "training.num_importance_samples",
    "training.annealing_steps",
)
_POSITIVE = ("optimizer.learning_rate", "posterior.context_scale")
# What None leaves to the library.
_MAY_BE_NONE = ("training.annealing_steps", "posterior.context_scale")
_FRACTIONS = ("optimizer.momentum", "optimizer.rho", "optimizer.beta_2")
_NOT_NEGATIVE = (
    "training.seed",
    "optimizer.warmup_steps",
    "optimizer.final_fraction",
    "optimizer.global_clipnorm",
    "optimizer.weight_decay",
)
# The least integers of the posterior's flow and of the prior's.
_LEAST = {
    "num_orthogonal_columns": 1,
    "num_householder_reflections": 1,
    "num_bins": 2,
    "num_sigmoids": 1,
}


def check_config(config: config_dict.ConfigDict) -> None:
    """Refuses a config of which no model or no optimizer can be made.

    Args:
      config: as made by `configs/image_defaults.py`.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    for key, known in _CHOICES.items():
        if _get(config, key) not in known:
            _refuse(config, key, f"be one of {', '.join(known)}")
    for key in _POSITIVE_INTEGERS:
        if not _is_open(config, key) and not _get(config, key) >= 1:
            _refuse(config, key, "be at least 1")
    for key in _POSITIVE:
        if not _is_open(config, key) and not 0 < _get(config, key) < math.inf:
            _refuse(config, key, "be positive and finite")
    if config.training.annealing == "auto" and not _is_open(
        config, "training.annealing_steps"
    ):
        _refuse(
            config,
            "training.annealing_steps",
            "be given with `training.annealing` kl or joint, as auto has a "
            "length of its own",
        )
    for key in _FRACTIONS:
        if not 0 <= _get(config, key) < 1:
            _refuse(config, key, "be in [0, 1)")
    for key in _NOT_NEGATIVE:
        if not 0 <= _get(config, key) < math.inf:
            _refuse(config, key, "not be negative, and finite")
    if config.training.seed >= 2**31:
        _refuse(config, "training.seed", "be less than 2**31")
    for group in ("posterior", "prior"):
        _check_flow(config, group)
    window = config.model.maxout_window
    for key in ("model.hidden_units", "model.stochastic_hidden_units"):
        units = _get(config, key)
        if not units or any(n < 1 for n in units):
            _refuse(config, key, "hold integers that are at least 1")
        if config.model.activation == "maxout" and any(
            n % window for n in units
        ):
            _refuse(
                config,
                key,
                f"hold multiples of `model.maxout_window`, {window}",
            )
    if (
        config.training.gradient_estimator == "sticking_the_landing"
        and config.training.num_importance_samples > 1
    ):
        _refuse(
            config,
            "training.gradient_estimator",
            "be doubly_reparameterized or reparameterized for several "
            "importance samples, of which it is a biased one",
        )


def _check_flow(config: config_dict.ConfigDict, group: str) -> None:
    """Refuses settings of which no flow over the latents can be made."""
    settings = config[group]
    known = {
        "flow": ("none", *FLOWS),
        "conditioner_activation": tuple(ACTIVATIONS),
    }
    for name, values in known.items():
        if settings[name] not in values:
            _refuse(config, f"{group}.{name}", f"be one of {', '.join(values)}")
    for name, least in _LEAST.items():
        if not settings[name] >= least:
            _refuse(config, f"{group}.{name}", f"be at least {least}")
    if not 0 < settings.tail_bound < math.inf:
        _refuse(config, f"{group}.tail_bound", "be positive and finite")
    if settings.flow == "none":
        if settings.num_flow_steps != 0:
            _refuse(config, f"{group}.num_flow_steps", "be 0 without a flow")
    elif settings.num_flow_steps < 1:
        _refuse(config, f"{group}.num_flow_steps", "be at least 1")
    latent_size = config.model.latent_size * config.model.num_stochastic_layers
    if settings.flow in COUPLINGS and latent_size < 2:
        _refuse(config, "model.latent_size", "be at least 2 for a coupling")
    if (
        settings.flow == "sylvester_orthogonal"
        and settings.num_orthogonal_columns > latent_size
    ):
        _refuse(
            config,
            f"{group}.num_orthogonal_columns",
            f"be at most the number of latents, {latent_size}",
        )
    units = settings.conditioner_hidden_units
    least = latent_size if settings.flow in AUTOREGRESSIVE else 1
    if any(n < least for n in units):
        what = ", the number of latents" if least > 1 else ""
        _refuse(
            config,
            f"{group}.conditioner_hidden_units",
            f"hold integers that are at least {least}{what}",
        )


def _get(config: config_dict.ConfigDict, key: str) -> Any:
    group, name = key.split(".")
    return config[group][name]


def _is_open(config: config_dict.ConfigDict, key: str) -> bool:
    return key in _MAY_BE_NONE and _get(config, key) is None


def _refuse(config: config_dict.ConfigDict, key: str, rule: str) -> NoReturn:
    raise errors.InputError(f"`{key}` must {rule}; got {_get(config, key)!r}.")


def build_model(config: config_dict.ConfigDict) -> models.DLGM:
    """The model with its initial weights, which the config's seed decides.

    To that end the global random generators of Python, NumPy and TensorFlow
    are seeded.

    Args:
      config: as made by `configs/image_defaults.py`.

    Raises:
      InputError: see `check_config`.
    """
    check_config(config)
    image_shape = IMAGE_SETS[config.data.dataset].image_shape
    seed = config.training.seed
    keras.utils.set_random_seed(seed)
    latent_size = config.model.latent_size
    num_layers = config.model.num_stochastic_layers
    model = models.DLGM(
        encoder=_mlp(config, config.model.hidden_units, name="encoder"),
        posterior=posteriors.FlowPosterior(
            latent_size * num_layers,
            flow=flows.make_flow(
                config.posterior, context_scale=config.posterior.context_scale
            ),
            base=config.posterior.base,
        ),
        decoder=_mlp(
            config,
            config.model.hidden_units,
            math.prod(image_shape),  # one logit a pixel
            name="decoder",
        ),
        likelihood=config.model.likelihood,
        prior=_prior(config),
        stochastic_layers=_stochastic_layers(config),
        annealing=build_annealing(config),
        num_importance_samples=config.training.num_importance_samples,
        gradient_estimator=config.training.gradient_estimator,
        event_shape=image_shape,
        seed=seed,
    )
    model.build((None, *image_shape))
    model.plan_annealing(config.training.num_steps)
    return model


def build_annealing(
    config: config_dict.ConfigDict,
) -> schedules.Annealing | str:
    """The schedule of the free energy's weights, or "auto".

    Warns if it is not over when training ends.
    """
    settings = config.training
    if settings.annealing == "auto":
        return "auto"
    annealing = _ANNEALINGS[settings.annealing](settings.annealing_steps)
    num_steps = getattr(annealing, "num_steps", None) or 0
    if num_steps >= settings.num_steps:
        logging.warning(
            "`training.annealing_steps` = %d: the free energy is still "
            "annealed when training ends after `training.num_steps` = %d.",
            num_steps,
            settings.num_steps,
        )
    return annealing


def _mlp(
    config: config_dict.ConfigDict,
    hidden_units: Sequence[int],
    output_size: int | None = None,
    name: str | None = None,
) -> layers.MLP:
    return layers.MLP(
        tuple(hidden_units),
        output_size=output_size,
        activation=config.model.activation,
        maxout_window=config.model.maxout_window,
        name=name,
    )


def _prior(
    config: config_dict.ConfigDict,
) -> posteriors.FlowPosterior | None:
    """p(z), a flow behind a Gaussian with weights; None: standard normal."""
    if config.prior.flow == "none":
        return None
    return posteriors.FlowPosterior(
        config.model.latent_size * config.model.num_stochastic_layers,
        flow=flows.make_prior_flow(config.prior, amortized=False),
        amortized=False,
        name="prior",
    )


def _stochastic_layers(
    config: config_dict.ConfigDict,
) -> list[layers.StochasticLayer] | None:
    """From the top down; None for one layer, whose h is its latents."""
    num_layers = config.model.num_stochastic_layers
    size = config.model.latent_size
    if num_layers == 1:
        return None
    hidden_units = config.model.stochastic_hidden_units
    return [
        layers.StochasticLayer(
            size,
            transform=_mlp(config, hidden_units, size) if i > 0 else None,
            name=f"stochastic_{num_layers - i}",
        )
        for i in range(num_layers)
    ]
