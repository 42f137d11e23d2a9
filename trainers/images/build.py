"""From a config to the model."""

from collections.abc import Callable, Sequence

import keras
from absl import logging
from ml_collections import config_dict

from tfp_flows import (
    layers,
    likelihoods,
    losses,
    models,
    posteriors,
    schedules,
)
from trainers import checks, flows, posterior_layers
from trainers.images import networks
from trainers.sources.images import IMAGE_SETS

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
_CHOICES = {
    "model.likelihood": likelihoods.names(),
    "training.gradient_estimator": ("auto", *losses.GRADIENT_ESTIMATORS),
    "training.annealing": ("auto", *_ANNEALINGS),
    "optimizer.name": ("adam", "rmsprop"),
}
_POSITIVE_INTEGERS = (
    "model.latent_size",
    "model.num_stochastic_layers",
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


def check_config(config: config_dict.ConfigDict) -> None:
    """Refuses a config of which no model or no optimizer can be made.

    Args:
      config: as made by `configs/image_defaults.py`.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    for key, known in _CHOICES.items():
        checks.one_of(config, key, known)
    checks.at_least(
        config,
        1,
        *(key for key in _POSITIVE_INTEGERS if not _is_open(config, key)),
    )
    checks.positive(
        config, *(key for key in _POSITIVE if not _is_open(config, key))
    )
    if config.training.annealing == "auto" and not _is_open(
        config, "training.annealing_steps"
    ):
        checks.refuse(
            config,
            "training.annealing_steps",
            "be given with `training.annealing` kl or joint, as auto has a "
            "length of its own",
        )
    checks.require(config, _FRACTIONS, lambda v: 0 <= v < 1, "be in [0, 1)")
    checks.not_negative(config, *_NOT_NEGATIVE)
    if config.training.seed >= 2**31:
        checks.refuse(config, "training.seed", "be less than 2**31")
    latent_size = config.model.latent_size * config.model.num_stochastic_layers
    checks.check_posterior(config, latent_size)
    checks.check_flow(config, "prior", latent_size)
    networks.check_config(config)
    if (
        config.training.gradient_estimator == "sticking_the_landing"
        and config.training.num_importance_samples > 1
    ):
        checks.refuse(
            config,
            "training.gradient_estimator",
            "be doubly_reparameterized or reparameterized for several "
            "importance samples, of which it is a biased one",
        )


def _is_open(config: config_dict.ConfigDict, key: str) -> bool:
    return key in _MAY_BE_NONE and checks.get(config, key) is None


def build_model(
    config: config_dict.ConfigDict, image_shape: Sequence[int] | None = None
) -> models.DLGM:
    """The model with its initial weights, which the config's seed decides.

    To that end the global random generators of Python, NumPy and TensorFlow
    are seeded.

    Args:
      config: as made by `configs/image_defaults.py`.
      image_shape: `(H, W)` or `(H, W, C)`. Default: None, that of the data set,
        if it is one of `IMAGE_SETS`.

    Raises:
      InputError: see `check_config`; or the networks do not fit the images.
    """
    check_config(config)
    if image_shape is None:
        image_shape = IMAGE_SETS[config.data.dataset].image_shape
    seed = config.training.seed
    keras.utils.set_random_seed(seed)
    latent_size = config.model.latent_size
    num_layers = config.model.num_stochastic_layers
    likelihood = likelihoods.get(config.model.likelihood)
    if likelihood.num_parameters != 1 and len(image_shape) == 2:
        image_shape = (*image_shape, 1)  # whose parameters are its channels
    encoder, decoder = networks.make(
        config, image_shape, likelihood.num_parameters or 1
    )
    model = models.DLGM(
        encoder=encoder,
        posterior=posterior_layers.make_posterior(
            config.posterior,
            latent_size * num_layers,
            context_scale=config.posterior.context_scale,
        ),
        decoder=decoder,
        likelihood=likelihood.name,
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
            transform=networks.make_mlp(config, hidden_units, size)
            if i > 0
            else None,
            name=f"stochastic_{num_layers - i}",
        )
        for i in range(num_layers)
    ]
