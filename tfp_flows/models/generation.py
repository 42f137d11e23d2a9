"""Images from a DLGM: samples of the model, and reconstructions."""

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfp_flows._arguments import as_positive_integer
from tfp_flows.math import noise
from tfp_flows.models import architecture

if TYPE_CHECKING:
    from tfp_flows.models.dlgm import DLGM

__all__ = ["reconstruct", "sample"]

_BATCH_SIZE = 500


def sample(model: "DLGM", n: int, seed: int, draws: bool) -> tf.Tensor:
    """See `DLGM.sample`."""
    n = as_positive_integer("n", n)
    model.require_built()
    batches = []
    for first in range(0, n, _BATCH_SIZE):
        rows = min(_BATCH_SIZE, n - first)
        z = _prior_sample(model, rows, first, seed)
        batches.append(_images(model, z, seed, first, draws, "sample"))
    return tf.concat(batches, axis=0)


def reconstruct(model: "DLGM", x: Any, seed: int, draws: bool) -> tf.Tensor:
    """See `DLGM.reconstruct`; `x` is `[N, *event_shape]` and checked."""
    batches = []
    for first in range(0, len(x), _BATCH_SIZE):
        batch = tf.convert_to_tensor(x[first : first + _BATCH_SIZE])
        standard_normal = noise.normal_rows(
            len(batch),
            (model.posterior.noise_size,),
            first_row=first,
            seed=seed,
            step=0,
            purpose="reconstruction",
            dtype=model.posterior.variable_dtype,
        )
        z, _ = model.posterior.push_forward(
            standard_normal, model.encode(batch)
        )
        batches.append(_images(model, z, seed, first, draws, "reconstruction"))
    return tf.concat(batches, axis=0)


def _prior_sample(model: "DLGM", rows: int, first: int, seed: int) -> tf.Tensor:
    """Latents of the prior, `[rows, D]`."""
    prior = model.prior
    if prior is not None and not hasattr(prior, "push_forward"):
        key = noise.key(seed=seed, step=first, purpose="prior")
        return prior.distribution().sample(rows, seed=noise.tfp_seed(key))
    size = model.posterior.latent_size if prior is None else prior.noise_size
    standard_normal = noise.normal_rows(
        rows,
        (size,),
        first_row=first,
        seed=seed,
        step=0,
        purpose="prior",
        dtype=model.posterior.variable_dtype,
    )
    if prior is None:
        return standard_normal
    return prior.push_forward(standard_normal, prior.parameters())[0]


def _images(
    model: "DLGM", z: tf.Tensor, seed: int, first: int, draws: bool, what: str
) -> tf.Tensor:
    outputs = model.decode(z)
    event_ndims = architecture.likelihood_event_ndims(
        model.likelihood, outputs, batch_ndims=1
    )
    if draws:
        key = noise.key(seed=seed, step=first, purpose=f"pixels of a {what}")
        images = model.likelihood.sample(outputs, key, event_ndims=event_ndims)
    else:
        images = model.likelihood.mean(outputs, event_ndims=event_ndims)
    return tf.reshape(images, [-1, *model.image_shape])
