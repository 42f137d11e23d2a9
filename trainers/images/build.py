"""From a config to the model."""

import math
from collections.abc import Callable, Sequence

import keras
from absl import logging
from ml_collections import config_dict

from tfp_flows import layers, losses, models, posteriors, schedules
from trainers import checks, flows, posterior_layers
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
_ACTIVATIONS = ("relu", "gelu", "silu", "softplus", "tanh", "maxout")

_CHOICES = {
    "data.dataset": tuple(IMAGE_SETS),
    # Training, validation and test images are all made binary.
    "model.likelihood": ("bernoulli",),
    "model.activation": _ACTIVATIONS,
    "model.networks": ("mlp", "convolutional"),
    "training.gradient_estimator": ("auto", *losses.GRADIENT_ESTIMATORS),
    "training.annealing": ("auto", *_ANNEALINGS),
    "optimizer.name": ("adam", "rmsprop"),
}
_POSITIVE_INTEGERS = (
    "model.latent_size",
    "model.num_stochastic_layers",
    "model.maxout_window",
    "model.kernel_size",
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
    checks.require(
        config,
        ["model.filters"],
        lambda filters: filters and all(n >= 1 for n in filters),
        "hold integers that are at least 1",
    )
    if (
        config.model.networks == "convolutional"
        and config.model.activation == "maxout"
    ):
        checks.refuse(
            config, "model.activation", "not be maxout for convolutions"
        )
    window = config.model.maxout_window
    for key in ("model.hidden_units", "model.stochastic_hidden_units"):
        units = checks.get(config, key)
        if not units or any(n < 1 for n in units):
            checks.refuse(config, key, "hold integers that are at least 1")
        if config.model.activation == "maxout" and any(
            n % window for n in units
        ):
            checks.refuse(
                config,
                key,
                f"hold multiples of `model.maxout_window`, {window}",
            )
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
    encoder, decoder = _networks(config, image_shape)
    model = models.DLGM(
        encoder=encoder,
        posterior=posterior_layers.make_posterior(
            config.posterior,
            latent_size * num_layers,
            context_scale=config.posterior.context_scale,
        ),
        decoder=decoder,
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


def _networks(
    config: config_dict.ConfigDict, image_shape: tuple[int, int]
) -> tuple[keras.layers.Layer, keras.layers.Layer]:
    """The encoder and the decoder, which returns one logit a pixel."""
    settings = config.model
    if settings.networks == "mlp":
        units, size = settings.hidden_units, math.prod(image_shape)
        return (
            _mlp(config, units, name="encoder"),
            _mlp(config, units, size, name="decoder"),
        )
    filters = tuple(settings.filters)
    shared = {
        "kernel_size": settings.kernel_size,
        "units": None,
        "activation": settings.activation,
    }
    return (
        layers.ConvolutionalEncoder(
            image_shape, filters, name="encoder", **shared
        ),
        layers.ConvolutionalDecoder(
            image_shape, filters[::-1], name="decoder", **shared
        ),
    )


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
