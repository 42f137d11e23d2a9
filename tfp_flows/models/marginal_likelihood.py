"""Importance-sampled log marginal likelihood, with standard errors."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfp_flows._arguments import as_positive_integer
from tfp_flows.math import noise
from tfp_flows.models import objective

if TYPE_CHECKING:
    from tfp_flows.models.dlgm import DLGM

__all__ = ["LogMarginalLikelihood", "estimate"]

_CHUNKS_PER_CALL = 200  # between two moves of the progress bar


class LogMarginalLikelihood(NamedTuple):
    """Estimates of `log p(x)` in nats, one per image.

    `standard_errors` are those of each image's estimate, by the delta method.
    """

    estimates: np.ndarray
    standard_errors: np.ndarray
    num_importance_samples: int

    @property
    def mean(self) -> float:
        """Mean over the images."""
        return float(np.mean(self.estimates))

    @property
    def standard_error(self) -> float:
        """Of the mean, over the choice of images and over the samples.

        One image does not tell it: NaN.
        """
        size = len(self.estimates)
        if size == 1:
            return math.nan
        return float(np.std(self.estimates, ddof=1) / math.sqrt(size))


class _Weights(NamedTuple):
    """Running sums of `w / exp(log_max)` and of its square, each `[B]`."""

    log_max: tf.Tensor
    total: tf.Tensor
    total_of_squares: tf.Tensor


def estimate(
    model: "DLGM",
    x: Any,
    num_importance_samples: int = 1000,
    *,
    batch_size: int = 100,
    samples_per_chunk: int = 50,
    seed: int | None = None,
    jit_compile: bool | str = "auto",
    verbose: str | int = "auto",
) -> LogMarginalLikelihood:
    """Estimates `log p(x)` of every image by importance sampling from q.

        log p(x) ~ log (1/S sum_s w_s),    w_s = p(x, z_s) / q(z_s | x)

    a lower bound in expectation, by about `Var(w) / (2 S p(x)**2)` (Burda et
    al. 2016). Each image is encoded once; then chunks of samples pass through
    flow and decoder, and only running sums are kept, so that time is linear
    and memory constant in S. An image's noise is keyed by its index: the result
    does not depend on `batch_size`, but on `samples_per_chunk` it does, as on
    `seed`.

    Args:
      model: a built DLGM.
      x: checked images, `[N, *event_shape]`.
      num_importance_samples: S, for every image.
      batch_size: images at a time.
      samples_per_chunk: samples of each of them at a time.
      seed: of the noise. Default: None, the model's.
      jit_compile: whether XLA compiles it. Default: "auto", as the model's
        steps (yes, for a model that is not compiled).
      verbose: 0 for no progress bar. Default: "auto", a progress bar.

    Returns:
      Estimates and their standard errors, one per image, in nats.

    Raises:
      ValueError: a number is not a positive integer, or `seed` is out of range.
    """
    num_importance_samples = as_positive_integer(
        "num_importance_samples", num_importance_samples
    )
    batch_size = as_positive_integer("batch_size", batch_size)
    samples_per_chunk = as_positive_integer(
        "samples_per_chunk", samples_per_chunk
    )
    samples_per_chunk = min(samples_per_chunk, num_importance_samples)
    batch_size = min(batch_size, len(x))
    seed = model.seed if seed is None else seed
    noise.check_seed(seed)
    if jit_compile == "auto":
        jit_compile = model.jit_compile if model.compiled else True
    encode, accumulate = _compiled(
        model, samples_per_chunk, seed, bool(jit_compile)
    )
    num_chunks = -(-num_importance_samples // samples_per_chunk)
    progress = keras.utils.Progbar(
        len(x), verbose=1 if verbose == "auto" else verbose, unit_name="image"
    )
    estimates, errors = [], []
    for first in range(0, len(x), batch_size):
        batch, rows = _padded(x[first : first + batch_size], batch_size)
        parameters = encode(batch)
        weights = _no_weights(batch_size)
        for chunk in range(0, num_chunks, _CHUNKS_PER_CALL):
            last = min(chunk + _CHUNKS_PER_CALL, num_chunks)
            weights = accumulate(
                batch,
                parameters,
                weights,
                tf.constant(first, tf.int64),
                tf.constant(chunk, tf.int64),
                tf.constant(last, tf.int64),
                tf.constant(num_importance_samples, tf.int64),
            )
            progress.update(first + math.floor(rows * last / num_chunks))
        estimate, error = _log_mean(weights, num_importance_samples)
        estimates.append(estimate[:rows])
        errors.append(error[:rows])
    return LogMarginalLikelihood(
        np.concatenate(estimates),
        np.concatenate(errors),
        num_importance_samples,
    )


def _padded(x: Any, size: int) -> tuple[tf.Tensor, int]:
    """Repeats the last image, so that all batches have one shape."""
    x = tf.convert_to_tensor(x)
    rows = len(x)
    if rows == size:
        return x, rows
    return tf.concat([x, tf.repeat(x[-1:], size - rows, axis=0)], 0), rows


def _no_weights(size: int) -> _Weights:
    zeros = tf.zeros([size], tf.float64)
    return _Weights(zeros - math.inf, zeros, zeros)


def _log_mean(weights: _Weights, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Log of the mean weight and, by the delta method, its standard error."""
    mean = weights.total.numpy() / size
    mean_of_squares = weights.total_of_squares.numpy() / size
    with np.errstate(invalid="ignore", divide="ignore"):  # all weights 0
        log_mean = weights.log_max.numpy() + np.log(mean)
        relative_variance = np.maximum(mean_of_squares / mean**2 - 1.0, 0.0)
    # One sample has no variance: its error is not known.
    error = (
        np.sqrt(relative_variance / (size - 1)) if size > 1 else mean * np.nan
    )
    return log_mean, error


def _compiled(
    model: "DLGM", samples_per_chunk: int, seed: int, jit_compile: bool
) -> tuple[Callable[..., Any], Callable[..., _Weights]]:
    """The two compiled functions, made once per model and setting."""
    cache = model.compiled_functions
    key = ("log_marginal_likelihood", samples_per_chunk, seed, jit_compile)
    if key not in cache:

        def accumulate(
            x: tf.Tensor,
            parameters: Any,
            weights: _Weights,
            first_row: tf.Tensor,
            first_chunk: tf.Tensor,
            last_chunk: tf.Tensor,
            num_samples: tf.Tensor,
        ) -> _Weights:
            def add_chunk(
                chunk: tf.Tensor, weights: _Weights
            ) -> tuple[tf.Tensor, _Weights]:
                log_weights = _log_weights(
                    model,
                    x,
                    parameters,
                    _noise(model, x, samples_per_chunk, seed, first_row, chunk),
                )
                index = chunk * samples_per_chunk + tf.range(
                    samples_per_chunk, dtype=tf.int64
                )
                return chunk + 1, _add(
                    weights, log_weights, index < num_samples
                )

            return tf.while_loop(
                lambda chunk, _: chunk < last_chunk,
                add_chunk,
                (first_chunk, _Weights(*weights)),
            )[1]

        cache[key] = (
            tf.function(model.encode, jit_compile=jit_compile, autograph=False),
            tf.function(accumulate, jit_compile=jit_compile, autograph=False),
        )
    return cache[key]


def _noise(
    model: "DLGM",
    x: tf.Tensor,
    samples: int,
    seed: int,
    first_row: tf.Tensor,
    chunk: tf.Tensor,
) -> tf.Tensor:
    """Standard normal `[samples, B, noise_size]`."""
    rows = noise.normal_rows(
        x.shape[0],
        (samples, model.posterior.noise_size),
        first_row=first_row,
        seed=seed,
        step=chunk,
        purpose="log marginal likelihood",
        dtype=model.posterior.variable_dtype,
    )
    return tf.transpose(rows, [1, 0, 2])


def _log_weights(
    model: "DLGM", x: tf.Tensor, parameters: Any, standard_normal: tf.Tensor
) -> tf.Tensor:
    z, log_posterior = model.posterior.push_forward(standard_normal, parameters)
    return objective.log_terms(
        model, x, z, log_posterior, training=False
    ).log_weights


def _add(
    weights: _Weights, log_weights: tf.Tensor, used: tf.Tensor
) -> _Weights:
    """Adds log weights `[S, B]` of which `used` `[S]` says which count."""
    log_weights = tf.cast(log_weights, tf.float64)
    log_weights = tf.where(
        used[:, tf.newaxis], log_weights, tf.constant(-math.inf, tf.float64)
    )
    log_max = tf.maximum(weights.log_max, tf.reduce_max(log_weights, axis=0))
    # Of weights that are all 0 so far, the logs cannot be subtracted.
    offset = tf.where(tf.math.is_inf(log_max), tf.zeros_like(log_max), log_max)
    shrink = tf.exp(weights.log_max - offset)
    scaled = tf.exp(log_weights - offset)
    return _Weights(
        log_max,
        weights.total * shrink + tf.reduce_sum(scaled, axis=0),
        weights.total_of_squares * shrink**2 + tf.reduce_sum(scaled**2, axis=0),
    )
