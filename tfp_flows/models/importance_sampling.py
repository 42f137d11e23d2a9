"""Averages over many samples of the posterior, in constant memory."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np
import tensorflow as tf

from tfp_flows import losses, replicas
from tfp_flows._arguments import as_positive_integer
from tfp_flows.math import noise, tracing
from tfp_flows.models.row_passes import padded
from tfp_flows.posteriors.posterior import Parameters, Posterior

__all__ = ["LogMarginalLikelihood", "SampledModel", "bounds", "estimate"]

_CHUNKS_PER_CALL = 200  # between two moves of the progress bar
_SAMPLES_PER_CHUNK = 50  # of an image at once: bounds the memory


class SampledModel(Protocol):
    """What is asked of a model here; `compiled_functions` starts empty."""

    NOUN: str  # what an example is called
    posterior: Posterior
    seed: int
    compiled: bool
    jit_compile: bool
    compiled_functions: dict[Any, Any]
    distribute_strategy: tf.distribute.Strategy

    @property
    def bound_names(self) -> tuple[str, str, str]:
        """Of the bound, of its KL term, and of its reconstruction."""

    def encode(self, x: tf.Tensor) -> Parameters:
        """The posterior's parameters for images `[B, *event_shape]`."""

    def log_joint_terms(
        self, x: tf.Tensor, z: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`log p(x | z)` and `log p(z)`, each `[S, B]`."""


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

    def __str__(self) -> str:
        error = f" ± {self.standard_error:.3f}" * (len(self.estimates) > 1)
        return (
            f"log p(x) {self.mean:.3f}{error} nats per example, over "
            f"{len(self.estimates):,} with {self.num_importance_samples:,} "
            "importance samples each"
        )


def estimate(
    model: SampledModel,
    x: Any,
    num_importance_samples: int = 1000,
    *,
    batch_size: int = 100,
    samples_per_chunk: int = _SAMPLES_PER_CHUNK,
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
    `seed`. The replicas of the model's strategy share the images of a batch;
    of several workers all must call it, with the same images.

    Args:
      model: a built model, such as a DLGM.
      x: checked images, `[N, *event_shape]`.
      num_importance_samples: S, for every image.
      batch_size: images at a time.
      samples_per_chunk: samples of each of them at a time.
      seed: of the noise. Default: None, the model's.
      jit_compile: whether XLA compiles it. Default: "auto", as the model's
        steps, or yes for a model that is not compiled; not under a strategy.
      verbose: 0 for no progress bar. Default: "auto", a progress bar.

    Returns:
      Estimates and their standard errors, one per image, in nats.

    Raises:
      ValueError: a number is not a positive integer, `seed` is out of range, or
        XLA is to compile under a strategy.
    """
    num_importance_samples = as_positive_integer(
        "num_importance_samples", num_importance_samples
    )
    batch_size = as_positive_integer("batch_size", batch_size)
    samples_per_chunk = as_positive_integer(
        "samples_per_chunk", samples_per_chunk
    )
    sums = _sums(
        model,
        x,
        _WEIGHTS,
        num_importance_samples,
        batch_size=batch_size,
        samples_per_chunk=min(samples_per_chunk, num_importance_samples),
        seed=seed,
        jit_compile=jit_compile,
        verbose=verbose,
    )
    return LogMarginalLikelihood(
        *_log_mean(_Weights(*sums), num_importance_samples),
        num_importance_samples,
    )


def bounds(
    model: SampledModel,
    x: Any,
    num_samples: int,
    *,
    batch_size: int = 100,
    seed: int | None = None,
    jit_compile: bool | str = "auto",
    verbose: str | int = 0,
) -> dict[str, np.ndarray]:
    """The bound of every image and its two parts, as means over samples.

    Args:
      model: as of `estimate`; the noise depends on `num_samples`, `seed` and
        the image's index.
      x: checked images, `[N, *event_shape]`.
      num_samples: for every image.
      batch_size: as of `estimate`.
      seed: as of `estimate`.
      jit_compile: as of `estimate`.
      verbose: as of `estimate`. Default: 0, no progress bar.

    Returns:
      The bound, its KL term and its reconstruction, by the model's
      `bound_names`, each `[N]`, in nats.

    Raises:
      ValueError: a number is not a positive integer, `seed` is out of range, or
        XLA is to compile for several replicas.
    """
    num_samples = as_positive_integer("num_samples", num_samples)
    # The largest divisor, so that all chunks are full.
    samples_per_chunk = next(
        n for n in range(_SAMPLES_PER_CHUNK, 0, -1) if num_samples % n == 0
    )
    kl, reconstruction = (
        total / num_samples
        for total in _sums(
            model,
            x,
            _TERMS,
            num_samples,
            batch_size=as_positive_integer("batch_size", batch_size),
            samples_per_chunk=samples_per_chunk,
            seed=seed,
            jit_compile=jit_compile,
            verbose=verbose,
        )
    )
    parts = (reconstruction - kl, kl, reconstruction)
    return dict(zip(model.bound_names, parts, strict=True))


State = Any  # a tuple of tensors [B]


class _Quantity(NamedTuple):
    """What is summed over the samples of an image.

    Attributes:
      purpose: of the noise.
      start: the sums of B images before the first sample, each `[B]`.
      add: them and the terms of more samples, of which those at True count.
    """

    purpose: str
    start: Callable[[int], State]
    add: Callable[[State, losses.LogTerms, tf.Tensor], State]


def _sums(
    model: SampledModel,
    x: Any,
    quantity: _Quantity,
    num_samples: int,
    *,
    batch_size: int,
    samples_per_chunk: int,
    seed: int | None,
    jit_compile: bool | str,
    verbose: str | int,
) -> list[np.ndarray]:
    """The sums of every image, each `[N]`."""
    strategy = model.distribute_strategy
    batch_size = min(batch_size, len(x))
    batch_size += -batch_size % strategy.num_replicas_in_sync
    seed = model.seed if seed is None else seed
    noise.check_seed(seed)
    is_distributed = replicas.is_distributed(strategy)
    if jit_compile == "auto":
        jit_compile = not is_distributed and (
            model.jit_compile if model.compiled else tracing.has_xla()
        )
    elif jit_compile and is_distributed:
        raise ValueError(
            "`jit_compile` must not be True under a strategy, for whose "
            f"replicas XLA cannot compile; got {type(strategy).__name__}."
        )
    begin, accumulate, gather = _compiled(
        model, quantity, samples_per_chunk, bool(jit_compile)
    )
    num_chunks = -(-num_samples // samples_per_chunk)
    progress = keras.utils.Progbar(
        len(x),
        verbose=1 if verbose == "auto" else verbose,
        unit_name=model.NOUN,
    )
    batches = []
    for first in range(0, len(x), batch_size):
        batch, rows = padded(x[first : first + batch_size], batch_size)
        share, sums = begin(batch, tf.constant(first, tf.int64))
        for chunk in range(0, num_chunks, _CHUNKS_PER_CALL):
            last = min(chunk + _CHUNKS_PER_CALL, num_chunks)
            numbers = (chunk, last, num_samples, seed)
            sums = accumulate(
                share, sums, *(tf.constant(n, tf.int64) for n in numbers)
            )
            progress.update(first + math.floor(rows * last / num_chunks))
        batches.append([total.numpy()[:rows] for total in gather(sums)])
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def _compiled(
    model: SampledModel,
    quantity: _Quantity,
    samples_per_chunk: int,
    jit_compile: bool,
) -> tuple[Callable[..., Any], Callable[..., State], Callable[..., State]]:
    """The compiled functions, made once per model and setting.

    The first begins a batch, of which each replica takes its share and the sums
    before the first sample, the second adds samples to them, the last returns
    those of the whole batch.
    """
    cache, strategy = model.compiled_functions, model.distribute_strategy
    key = (quantity.purpose, samples_per_chunk, jit_compile, strategy)
    if key in cache:
        return cache[key]

    def begin(batch: tf.Tensor, first_row: tf.Tensor) -> tuple[_Share, State]:
        x, offset = replicas.own_rows(batch)
        share = _Share(x, first_row + offset, model.encode(x))
        return share, quantity.start(x.shape[0])

    def accumulate(
        share: _Share,
        sums: State,
        first_chunk: tf.Tensor,
        last_chunk: tf.Tensor,
        num_samples: tf.Tensor,
        seed: tf.Tensor,
    ) -> State:
        def add_chunk(chunk: tf.Tensor, sums: State) -> tuple[tf.Tensor, State]:
            standard_normal = model.posterior.noise(
                share.x.shape[0],
                samples_per_chunk,
                first_row=share.first_row,
                seed=seed,
                step=chunk,
                purpose=quantity.purpose,
            )
            _, terms = losses.annealed_bound(
                model.posterior,
                share.parameters,
                lambda z: model.log_joint_terms(share.x, z),
                standard_normal,
            )
            index = chunk * samples_per_chunk + tf.range(
                samples_per_chunk, dtype=tf.int64
            )
            return chunk + 1, quantity.add(sums, terms, index < num_samples)

        return tf.while_loop(
            lambda chunk, _: chunk < last_chunk, add_chunk, (first_chunk, sums)
        )[1]

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        return tf.function(
            lambda *arguments: strategy.run(function, args=arguments),
            jit_compile=jit_compile,
            autograph=False,
        )

    @tf.function(autograph=False)
    def gather(sums: State) -> State:
        return tuple(replicas.gathered(strategy, total) for total in sums)

    cache[key] = compiled(begin), compiled(accumulate), gather
    return cache[key]


class _Share(NamedTuple):
    """A replica's part of a batch, and what its images are encoded to."""

    x: tf.Tensor
    first_row: tf.Tensor  # among all images
    parameters: Parameters


class _Weights(NamedTuple):
    """Running sums of `w / exp(log_max)` and of its square, each `[B]`."""

    log_max: tf.Tensor
    total: tf.Tensor
    total_of_squares: tf.Tensor


def _no_weights(size: int) -> _Weights:
    zeros = tf.zeros([size], tf.float64)
    return _Weights(zeros - math.inf, zeros, zeros)


def _log_mean(weights: _Weights, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Log of the mean weight and, by the delta method, its standard error."""
    mean = weights.total / size
    mean_of_squares = weights.total_of_squares / size
    with np.errstate(invalid="ignore", divide="ignore"):  # all weights 0
        log_mean = weights.log_max + np.log(mean)
        relative_variance = np.maximum(mean_of_squares / mean**2 - 1.0, 0.0)
    # One sample has no variance: its error is not known.
    error = (
        np.sqrt(relative_variance / (size - 1)) if size > 1 else mean * np.nan
    )
    return log_mean, error


def _add_weights(
    weights: _Weights, terms: losses.LogTerms, used: tf.Tensor
) -> _Weights:
    log_weights = tf.cast(terms.log_weights, tf.float64)
    log_weights = tf.where(
        used[:, tf.newaxis], log_weights, tf.constant(-math.inf, tf.float64)
    )
    log_max = tf.maximum(weights.log_max, tf.reduce_max(log_weights, axis=0))
    # Of weights that are all 0 so far, the logs cannot be subtracted.
    offset = tf.where(tf.math.is_inf(log_max), tf.zeros_like(log_max), log_max)
    shrink = tf.exp(weights.log_max - offset)
    scaled = tf.exp(log_weights - offset)
    # Not `** 2`: a TPU has no float64, and needs 1,000 operations for a power.
    return _Weights(
        log_max,
        weights.total * shrink + tf.reduce_sum(scaled, axis=0),
        weights.total_of_squares * tf.square(shrink)
        + tf.reduce_sum(tf.square(scaled), axis=0),
    )


def _add_terms(sums: State, terms: losses.LogTerms, used: tf.Tensor) -> State:
    """Those of the KL term and of the reconstruction."""
    del used  # all of them
    kl = terms.log_posterior - terms.log_prior
    return tuple(
        total + tf.cast(tf.reduce_sum(values, axis=0), tf.float64)
        for total, values in zip(sums, (kl, terms.log_likelihood), strict=True)
    )


_WEIGHTS = _Quantity("log marginal likelihood", _no_weights, _add_weights)
_TERMS = _Quantity(
    "test elbo", lambda size: (tf.zeros([size], tf.float64),) * 2, _add_terms
)
