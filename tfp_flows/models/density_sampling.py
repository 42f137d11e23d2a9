"""Samples of a density, in passes of bounded size."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_flows.posteriors.posterior import sample_noise

__all__ = ["sampled", "sampled_by_replicas"]

Push = Callable[[tf.Tensor, tf.Tensor | None], tf.Tensor]

_MOST_ROWS = 2**14  # of one pass, beyond which it is no faster per row
_MOST_NUMBERS = 2**20  # of noise in one pass


def sampled(
    push: Push,
    num_samples: int,
    context: tf.Tensor | None,
    *,
    noise_size: int,
    seed: int,
    dtype: str,
) -> tf.Tensor:
    """Pushes noise forward, of so many samples and contexts as memory bears.

    The noise is keyed by the row: of a sample where there is no context, else
    of its context. So the passes do not show in the samples.

    Args:
      push: from noise `[S, noise_size]` to samples `[S, ...]`; with contexts
        from `[S, B, noise_size]` and `[B, ...]` to `[S, B, ...]`.
      num_samples: how many, of each context.
      context: `[B, ...]`, or None.
      noise_size: how many numbers make a sample.
      seed: decides the noise.
      dtype: of the noise.

    Returns:
      `[num_samples, ...]`; with contexts `[num_samples, B, ...]`.
    """

    def noise(rows: int | tf.Tensor, per_row: int, first: int) -> tf.Tensor:
        return _noise(rows, per_row, noise_size, first, seed, dtype)

    most = _most(noise_size)
    if context is None:
        passes = [
            push(noise(min(most, num_samples - start), 1, start)[0], None)
            for start, _ in _parts(num_samples, most)
        ]
        return _joined(passes, axis=0)
    columns = []
    at_once = max(1, most // num_samples)
    for start, stop in _parts(context.shape[0], at_once):
        part = context[start:stop]
        drawn = noise(tf.shape(part)[0], num_samples, start)
        passes = [
            push(drawn[first:last], part)
            for first, last in _parts(num_samples, most)
        ]
        columns.append(_joined(passes, axis=0))
    return _joined(columns, axis=1)


def sampled_by_replicas(
    push: Push,
    num_samples: int,
    context: tf.Tensor | None,
    *,
    by_replicas: Callable[..., tf.Tensor],
    **settings: Any,
) -> tf.Tensor:
    """As `sampled`, each replica for its share of the samples, or contexts.

    Args:
      push: see `sampled`; the same at every call.
      num_samples: likewise.
      context: likewise.
      by_replicas: a model's, see `MaximumLikelihoodModel`.
      **settings: the others of `sampled`.
    """
    size, dtype = settings["noise_size"], settings["dtype"]

    def of_samples(rows: Any, first: Any, seed: Any) -> tf.Tensor:
        count = tf.shape(rows)[0]
        return push(_noise(count, 1, size, first, seed, dtype)[0], None)

    def of_contexts(part: Any, first: Any, seed: Any) -> tf.Tensor:
        drawn = _noise(tf.shape(part)[0], num_samples, size, first, seed, dtype)
        return _swapped(push(drawn, part))

    of_each = 1 if context is None else num_samples
    rows = by_replicas(
        ("sample", of_each),
        of_samples if context is None else of_contexts,
        # Of a sample without a context its index is all that is asked for.
        tf.zeros([num_samples, 0]) if context is None else context,
        at_once=max(1, _most(size) // of_each),
        seed=settings["seed"],
    )
    return rows if context is None else _swapped(rows)


def _noise(
    rows: int | tf.Tensor,
    per_row: int,
    size: int,
    first: Any,
    seed: Any,
    dtype: str,
) -> tf.Tensor:
    return sample_noise(
        rows,
        per_row,
        size,
        first_row=first,
        seed=seed,
        step=0,
        purpose="posterior",
        dtype=dtype,
    )


def _most(noise_size: int) -> int:
    """How many rows of noise, of so many numbers each, make one pass."""
    return max(1, min(_MOST_ROWS, _MOST_NUMBERS // max(1, noise_size)))


def _swapped(x: tf.Tensor) -> tf.Tensor:
    """With the first two axes in the other order."""
    return tf.transpose(x, [1, 0, *range(2, x.shape.rank)])


def _parts(size: int | None, most: int) -> list[tuple[int, int | None]]:
    """Bounds of parts of at most so many; one part if the size is unknown."""
    if size is None:
        return [(0, None)]
    return [(i, min(i + most, size)) for i in range(0, size, most)]


def _joined(parts: list[tf.Tensor], axis: int) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=axis)
