"""Functions of rows, in passes of bounded size that replicas share."""

from collections.abc import Callable, Hashable, Iterator
from typing import Any

import tensorflow as tf

from tfp_flows import replicas
from tfp_flows.math import noise

__all__ = ["RowFunction", "padded", "passes"]

# Of rows, the index of the first one, and a seed.
RowFunction = Callable[[tf.Tensor, Any, Any], tf.Tensor]


def padded(rows: Any, size: int) -> tuple[tf.Tensor, int]:
    """Repeats the last of N rows up to a size; the rows, and N."""
    rows = tf.convert_to_tensor(rows)
    count = len(rows)
    if count == size:
        return rows, count
    rest = tf.repeat(rows[-1:], size - count, axis=0)
    return tf.concat([rows, rest], 0), count


def passes(
    function: RowFunction,
    rows: Any,
    *,
    seed: int,
    at_once: int,
    strategy: tf.distribute.Strategy,
    cache: dict[Any, Any],
    key: Hashable,
) -> Iterator[tuple[int, tf.Tensor]]:
    """Calls a function for so many rows at a time.

    Under a strategy of one process each replica takes its share of them, in
    one graph. Several workers do it all themselves, each whatever it is asked.

    Args:
      function: of rows `[B, ...]`, of the index of the first of them and of
        the seed, from each row one of its result, `[B, ...]`.
      rows: `[N, ...]`.
      seed: of the noise; graphs are the same for all.
      at_once: how many.
      strategy: whose replicas share them.
      cache: of the graphs.
      key: one of its keys; the function must be the same at every call.

    Yields:
      Of every pass the index of its first row, and the result.

    Raises:
      ValueError: `seed` is out of range.
    """
    noise.check_seed(seed)
    at_once = min(at_once, len(rows))
    is_shared = (
        tf.executing_eagerly()
        and replicas.is_distributed(strategy)
        and replicas.num_workers(strategy) == 1
    )
    if is_shared and key not in cache:
        cache[key] = _shared(function, strategy)
    size = at_once + -at_once % strategy.num_replicas_in_sync
    for first in range(0, len(rows), at_once):
        part = rows[first : first + at_once]
        if is_shared:
            whole, count = padded(part, size)
            numbers = (tf.constant(n, tf.int64) for n in (first, seed))
            result = cache[key](whole, *numbers)[:count]
        else:
            result = function(tf.convert_to_tensor(part), first, seed)
        yield first, result


def _shared(
    function: RowFunction, strategy: tf.distribute.Strategy
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """The function as a graph in which each replica takes its rows."""

    def of_replica(
        whole: tf.Tensor, first: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        rows, offset = replicas.own_rows(whole)
        return function(rows, first + offset, seed)

    @tf.function(autograph=False)
    def of_all(
        whole: tf.Tensor, first: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        shares = strategy.run(of_replica, args=(whole, first, seed))
        return replicas.gathered(strategy, shares)

    return of_all
