"""How the parts of a model fit together: kinds, shapes, the top-down pass."""

import math
import numbers
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.layers.stochastic_layer import StochasticLayer
from tfp_flows.likelihoods import Likelihood
from tfp_flows.models.inputs.images import event_shapes_agree
from tfp_flows.posteriors import FlowPosterior, Posterior

__all__ = [
    "check_decoder",
    "check_likelihood_shape",
    "check_network",
    "check_posterior",
    "check_stochastic_layers",
    "context_size",
    "descend",
    "likelihood_event_ndims",
]


tfd = tfp.distributions


def check_network(name: str, network: Any) -> None:
    """Raises unless it is a Keras layer or model."""
    if not isinstance(network, keras.layers.Layer):
        raise TypeError(
            f"`{name}` must be a Keras layer or model; got {network!r}."
        )


def check_posterior(posterior: Any, owner: str) -> None:
    """Raises unless it is a posterior without a KL term of its own.

    Args:
      posterior: any object.
      owner: the model's class, for messages.
    """
    if not isinstance(posterior, Posterior):
        raise TypeError(
            "`posterior` must be a posterior layer such as `FlowPosterior`, a "
            f"`posteriors.Posterior`; got {posterior!r}."
        )
    if isinstance(posterior, FlowPosterior):
        _check_no_kl_term(posterior, owner)


def check_stochastic_layers(
    stochastic_layers: Sequence[StochasticLayer] | None, posterior: Posterior
) -> None:
    """Raises unless they fit each other, and the posterior covers all xi."""
    if stochastic_layers is None:
        return
    if not isinstance(stochastic_layers, Sequence):
        raise TypeError(
            "`stochastic_layers` must be a list of `StochasticLayer`s, from "
            f"the top down, or None; got {stochastic_layers!r}."
        )
    if not stochastic_layers:
        return
    for layer in stochastic_layers:
        if not isinstance(layer, StochasticLayer):
            raise TypeError(
                "`stochastic_layers` must hold `StochasticLayer`s, from the "
                f"top down; got {layer!r}."
            )
    if stochastic_layers[0].transform is not None:
        raise ValueError(
            "`stochastic_layers` must begin with the top layer, which has no "
            "`transform`; got one."
        )
    if any(layer.transform is None for layer in stochastic_layers[1:]):
        raise ValueError(
            "`stochastic_layers` below the top one must have a `transform`; "
            "got None."
        )
    sizes = [layer.units for layer in stochastic_layers]
    if posterior.latent_size != sum(sizes):
        raise ValueError(
            "`posterior.latent_size` must be the sum of the stochastic layers' "
            f"units, {' + '.join(map(str, sizes))} = {sum(sizes)}; "
            f"got {posterior.latent_size}."
        )


def _check_no_kl_term(posterior: FlowPosterior, owner: str) -> None:
    """Raises if its own KL term, that of an ordinary layer, was set up."""
    if posterior.prior is not None:
        raise ValueError(
            f"`posterior.prior` must be None in a {owner}, which has p(z) "
            f"from elsewhere; got {posterior.prior!r}."
        )
    kl_weight = posterior.kl_weight
    if not isinstance(kl_weight, numbers.Real) or kl_weight != 1.0:
        raise ValueError(
            f"`posterior.kl_weight` must be 1 in a {owner}: weigh the KL term "
            f"with `annealing`; got {kl_weight!r}."
        )


def descend(
    stochastic_layers: Sequence[StochasticLayer],
    pieces: Sequence[tf.Tensor],
    training: bool = False,
) -> tf.Tensor:
    """`h_1` of `(xi_L, ..., xi_1)`, `[N, D_l]` each."""
    h = None if stochastic_layers else pieces[0]
    for layer, xi in zip(stochastic_layers, pieces, strict=False):
        h = layer(xi) if h is None else layer(xi, h, training=training)
    return h


def context_size(features: Any, images: keras.KerasTensor) -> int:
    """C of the encoder's features; raises unless they are `[B, C]`."""
    shape = getattr(features, "shape", None)
    if shape is None or len(shape) != 2 or shape[-1] is None:
        got = features if shape is None else tuple(shape)
        raise ValueError(
            "`encoder` must return features of shape [B, C]; "
            f"got {got} for inputs of shape {tuple(images.shape[1:])}."
        )
    return shape[-1]


def check_decoder(
    likelihood: Likelihood,
    shape: tuple[int | None, ...],
    image_shape: Sequence[int],
) -> None:
    """Raises unless outputs of `shape` make the likelihood of an image."""
    per_element = likelihood.num_parameters
    if per_element is None:
        return
    wanted = per_element * math.prod(image_shape)
    sizes = [n for n in shape[1:] if n is not None]
    if len(sizes) < len(shape) - 1 or math.prod(sizes) != wanted:
        raise ValueError(
            f"`decoder` must return {wanted} numbers per example, "
            f"{per_element} for each element of images of shape "
            f"{image_shape} under the {likelihood.name} "
            f"likelihood; got shape {shape}."
        )
    pixels = (*sizes[:-1], sizes[-1] // per_element)
    if not event_shapes_agree(pixels, image_shape):
        raise ValueError(
            "`decoder` must return its numbers flat, or in the height and "
            f"width of images of shape {image_shape}; got shape {shape}."
        )


def likelihood_event_ndims(
    likelihood: Likelihood, outputs: tf.Tensor, batch_ndims: int
) -> int | None:
    """How many axes an event has, given the decoder's output.

    As many as the output behind the batch; a callable may make others of it.
    """
    if likelihood.num_parameters is None:
        return None
    return outputs.shape.rank - batch_ndims


def check_likelihood_shape(
    distribution: tfd.Distribution,
    batch_ndims: int,
    image_shape: Sequence[int],
) -> None:
    """Raises unless p(x | z) is over as many elements as an image has."""
    event_shape = distribution.event_shape
    if math.prod(event_shape) != math.prod(image_shape):
        raise ValueError(
            "`likelihood` must return a distribution over "
            f"{math.prod(image_shape)} elements, as images of shape "
            f"{tuple(image_shape)} have; got event shape {tuple(event_shape)}."
        )
    if not event_shapes_agree(event_shape, image_shape):
        raise ValueError(
            "`likelihood` must return a distribution over vectors, or over the "
            f"height and width of images of shape {tuple(image_shape)}; got "
            f"event shape {tuple(event_shape)}."
        )
    if distribution.batch_shape.rank != batch_ndims:
        raise ValueError(
            "`likelihood` must return a distribution whose batch axes are the "
            f"first {batch_ndims} of the decoder's output; got batch shape "
            f"{distribution.batch_shape}."
        )
