"""Encoders and decoders of images, by name."""

import math
from collections.abc import Sequence

import keras
from ml_collections import config_dict

from configs.image_defaults import NETWORKS
from tfp_flows import layers
from trainers import checks
from trainers.runs import errors

__all__ = ["check_config", "make", "make_mlp"]

_CONVOLUTIONAL = ("conv", "gated_conv")
_ACTIVATIONS = ("relu", "gelu", "silu", "softplus", "tanh", "maxout")


def check_config(config: config_dict.ConfigDict) -> None:
    """Refuses a config of which no networks can be made.

    Args:
      config: as made by `configs/image_defaults.py`.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    checks.one_of(config, "model.network", NETWORKS)
    checks.one_of(config, "model.activation", _ACTIVATIONS)
    checks.at_least(config, 1, "model.maxout_window", "model.kernel_size")
    checks.at_least(config, 0, "model.dense_units")
    checks.require(
        config,
        [
            "model.filters",
            "model.strides",
            "model.hidden_units",
            "model.stochastic_hidden_units",
        ],
        lambda numbers: numbers and all(n >= 1 for n in numbers),
        "hold integers that are at least 1",
    )
    settings = config.model
    if len(settings.strides) != len(settings.filters):
        checks.refuse(
            config,
            "model.strides",
            f"hold one for each of the {len(settings.filters)} `model.filters`",
        )
    if settings.network == "residual" and len(set(settings.hidden_units)) > 1:
        checks.refuse(
            config,
            "model.hidden_units",
            "be equal for a residual network",
        )
    if settings.activation == "maxout":
        _check_maxout(config)


def _check_maxout(config: config_dict.ConfigDict) -> None:
    if config.model.network != "mlp":
        checks.refuse(
            config,
            "model.activation",
            f"not be maxout for the network {config.model.network}",
        )
    window = config.model.maxout_window
    for key in ("model.hidden_units", "model.stochastic_hidden_units"):
        if any(n % window for n in checks.get(config, key)):
            checks.refuse(
                config,
                key,
                f"hold multiples of `model.maxout_window`, {window}",
            )


def make(
    config: config_dict.ConfigDict,
    image_shape: Sequence[int],
    num_parameters: int,
) -> tuple[keras.layers.Layer, keras.layers.Layer]:
    """The encoder and the decoder.

    Args:
      config: as made by `configs/image_defaults.py`, checked.
      image_shape: `(H, W)` or `(H, W, C)`.
      num_parameters: of the likelihood, outputs of the decoder for each pixel.

    Raises:
      InputError: strides are too many for the images.
    """
    settings, image_shape = config.model, tuple(image_shape)
    if settings.network in _CONVOLUTIONAL:
        return _convolutional(config, image_shape, num_parameters)
    output: int | tuple[int, ...] = math.prod(image_shape)
    if num_parameters > 1:
        output = (*image_shape[:-1], image_shape[-1] * num_parameters)
    if settings.network == "mlp":
        units = settings.hidden_units
        return (
            make_mlp(config, units, name="encoder"),
            make_mlp(config, units, output, name="decoder"),
        )
    shared = {
        "units": settings.hidden_units[0],
        "num_blocks": len(settings.hidden_units),
        "activation": settings.activation,
    }
    return (
        layers.ResidualMLP(name="encoder", **shared),
        layers.ResidualMLP(output_size=output, name="decoder", **shared),
    )


def make_mlp(
    config: config_dict.ConfigDict,
    hidden_units: Sequence[int],
    output_size: int | tuple[int, ...] | None = None,
    name: str | None = None,
) -> layers.MLP:
    """A multilayer perceptron of the config's activation."""
    return layers.MLP(
        tuple(hidden_units),
        output_size=output_size,
        activation=config.model.activation,
        maxout_window=config.model.maxout_window,
        name=name,
    )


def _convolutional(
    config: config_dict.ConfigDict,
    image_shape: tuple[int, ...],
    num_parameters: int,
) -> tuple[keras.layers.Layer, keras.layers.Layer]:
    settings = config.model
    filters, strides = tuple(settings.filters), tuple(settings.strides)
    if math.prod(strides) > min(image_shape[:2]):
        raise errors.InputError(
            "`model.strides` must have a product of at most the height and the "
            f"width of the images, {image_shape[0]} and {image_shape[1]}; got "
            f"{strides}, for the network {settings.network}."
        )
    shared = {
        "kernel_size": settings.kernel_size,
        "units": settings.dense_units or None,
        "activation": settings.activation,
        "gated": settings.network == "gated_conv",
    }
    return (
        layers.ConvolutionalEncoder(
            image_shape, filters, strides=strides, name="encoder", **shared
        ),
        layers.ConvolutionalDecoder(
            image_shape,
            filters[::-1],
            strides=strides[::-1],
            num_parameters=num_parameters,
            name="decoder",
            **shared,
        ),
    )
