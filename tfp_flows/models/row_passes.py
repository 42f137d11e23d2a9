"""Functions of rows, in passes of bounded size that replicas share."""

from collections.abc import Callable, Hashable, Iterator
from typing import Any

import tensorflow as tf

from tfp_flows import replicas
from tfp_flows.math import noise

__all__ = ["RowFunction", "is_shared", "padded", "passes"]

# Of rows, the index of the first one, and a seed.
RowFunction = Callable[[Any, Any, Any], tf.Tensor]


def is_shared(strategy: tf.distribute.Strategy) -> bool:
    """Whether passes are the work of a strategy's replicas, of one process."""
    return (
        tf.executing_eagerly()
        and replicas.is_distributed(strategy)
        and replicas.num_workers(strategy) == 1
    )


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
    first_row: int = 0,
) -> Iterator[tuple[int, tf.Tensor]]:
    """Calls a function for so many rows at a time.

    Under a strategy of one process each replica takes its share of them, in
    one graph. Several workers do it all themselves, each whatever it is asked.

    Args:
      function: of rows `[B, ...]`, of the index of the first of them and of
        the seed, from each row one of its result, `[B, ...]`.
      rows: `[N, ...]`, or a nest of them.
      seed: of the noise; graphs are the same for all.
      at_once: how many.
      strategy: whose replicas share them.
      cache: of the graphs.
      key: one of its keys; the function must be the same at every call.
      first_row: the index of the first of all.

    Yields:
      Of every pass the index of its first row, and the result.

    Raises:
      ValueError: `seed` is out of range.
    """
    noise.check_seed(seed)
    shared = is_shared(strategy)
    if shared and key not in cache:
        cache[key] = _shared(function, strategy)
    num_rows = len(tf.nest.flatten(rows)[0])
    at_once = min(at_once, num_rows)
    size = at_once + -at_once % strategy.num_replicas_in_sync
    for first in range(0, num_rows, at_once):
        part = tf.nest.map_structure(
            lambda rows, i=first: tf.convert_to_tensor(rows[i : i + at_once]),
            rows,
        )
        index = first_row + first
        if shared:
            count = min(at_once, num_rows - first)
            whole = tf.nest.map_structure(lambda x: padded(x, size)[0], part)
            numbers = (tf.constant(n, tf.int64) for n in (index, seed))
            result = cache[key](whole, *numbers)[:count]
        else:
            result = function(part, index, seed)
        yield first, result


def _shared(
    function: RowFunction, strategy: tf.distribute.Strategy
) -> Callable[[Any, tf.Tensor, tf.Tensor], tf.Tensor]:
    """The function as a graph in which each replica takes its rows."""

    def of_replica(whole: Any, first: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        shares = [replicas.own_rows(x) for x in tf.nest.flatten(whole)]
        rows = tf.nest.pack_sequence_as(whole, [rows for rows, _ in shares])
        return function(rows, first + shares[0][1], seed)

    @tf.function(autograph=False)
    def of_all(whole: Any, first: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        shares = strategy.run(of_replica, args=(whole, first, seed))
        return replicas.gathered(strategy, shares)

    return of_all
