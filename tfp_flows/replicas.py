"""What a replica knows of the global batch, and the one scaling of losses.

Under `tf.distribute` each replica holds a share of the global batch; the last
shares may be smaller or empty. Keras's optimizers add up the gradients of the
replicas, so the loss of a replica must be its share of the global mean:

    mean_over_global_batch(per_example, global_batch(local_size).size)

This is the only place where a loss is scaled for replicas. Without a strategy,
and outside of `strategy.run`, all functions see one replica; those of a
strategy are for use outside of it.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from tfp_flows.types import TensorLike

__all__ = [
    "GlobalBatch",
    "gathered",
    "global_batch",
    "global_sum",
    "is_distributed",
    "mean_over_global_batch",
    "num_workers",
    "own_rows",
]


class GlobalBatch(NamedTuple):
    """Where a replica's share lies in the global batch; scalars, int32.

    Attributes:
      first_row: row of the global batch at which the share begins.
      size: number of examples in the global batch.
    """

    first_row: tf.Tensor
    size: tf.Tensor


def _replicas() -> tf.distribute.ReplicaContext | None:
    """The context of one of several replicas, or None."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return None
    return context


def global_batch(local_size: TensorLike) -> GlobalBatch:
    """Row of a share in the global batch, and the global batch's size.

    The shares follow one another in the order of the replicas.

    Args:
      local_size: number of examples in this replica's share, 0 included.
    """
    local_size = tf.cast(local_size, tf.int32)
    context = _replicas()
    if context is None:
        return GlobalBatch(tf.zeros([], tf.int32), local_size)
    replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
    num_replicas = context.num_replicas_in_sync
    is_mine = tf.range(num_replicas) == replica
    # In float32, which every collective takes, and which counts to 2**24.
    mine = tf.where(is_mine, tf.cast(local_size, tf.float32), 0.0)
    sizes = tf.cast(context.all_reduce("SUM", mine), tf.int32)
    before = tf.range(num_replicas) < replica
    return GlobalBatch(
        first_row=tf.reduce_sum(tf.where(before, sizes, 0)),
        size=tf.reduce_sum(sizes),
    )


def own_rows(whole: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """This replica's rows of a batch that every replica holds.

    Args:
      whole: the global batch, of as many rows as can be divided among the
        replicas; their number is known.

    Returns:
      The rows, and the index of the first of them, int64.

    Raises:
      ValueError: the rows cannot be divided.
    """
    context = _replicas()
    if context is None:
        return whole, tf.zeros([], tf.int64)
    count, rest = divmod(whole.shape[0], context.num_replicas_in_sync)
    if rest:
        raise ValueError(
            "`whole` must have a multiple of "
            f"{context.num_replicas_in_sync} rows, the number of replicas; "
            f"got {whole.shape[0]}."
        )
    first = tf.cast(context.replica_id_in_sync_group, tf.int32) * count
    begin = tf.concat([[first], tf.zeros([whole.shape.rank - 1], tf.int32)], 0)
    rows = tf.slice(whole, begin, [count, *whole.shape[1:]])
    return rows, tf.cast(first, tf.int64)


def global_sum(tensors: Any) -> Any:
    """The sums of the tensors of a nest over the replicas."""
    context = _replicas()
    if context is None:
        return tensors
    return context.all_reduce("SUM", tensors)


def mean_over_global_batch(
    per_example: tf.Tensor, global_size: TensorLike
) -> tf.Tensor:
    """This replica's part of the mean over the global batch.

    The parts of all replicas add up to the mean, and so do their gradients.
    An empty share's part, and that of an empty batch, is 0.

    Args:
      per_example: one value per example of the share, `[B]`.
      global_size: number of examples in the global batch.
    """
    return tf.math.divide_no_nan(
        tf.reduce_sum(per_example), tf.cast(global_size, per_example.dtype)
    )


def is_distributed(strategy: tf.distribute.Strategy) -> bool:
    """Whether it is any but the one that is there when nobody chose one."""
    with strategy.scope():
        return tf.distribute.has_strategy()


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """How many processes compute, each with replicas of its own.

    One for all strategies but `MultiWorkerMirroredStrategy`: of a TPU's hosts
    too, one process alone gives the orders.
    """
    resolver = strategy.cluster_resolver
    if resolver is None or not isinstance(
        strategy, tf.distribute.MultiWorkerMirroredStrategy
    ):
        return 1
    cluster = resolver.cluster_spec().as_dict()
    return max(1, sum(len(addresses) for addresses in cluster.values()))


def gathered(strategy: tf.distribute.Strategy, share: Any) -> tf.Tensor:
    """The rows of all replicas, one after the other, of what `run` returned."""
    if strategy.num_replicas_in_sync == 1:
        return strategy.experimental_local_results(share)[0]
    return strategy.gather(share, axis=0)
