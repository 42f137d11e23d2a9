"""Batches of training steps, each a function of (config, step) alone.

So a resumed run needs no more than the step's number to see the same data.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from ml_collections import config_dict

from trainers.runs import errors

__all__ = ["check_batch_size", "of_steps", "rows_of_step"]


def check_batch_size(config: config_dict.ConfigDict, num_replicas: int) -> None:
    """Refuses a batch that cannot be divided among replicas.

    Args:
      config: with `training.batch_size`.
      num_replicas: how many there are.

    Raises:
      InputError: if it cannot.
    """
    batch_size = config.training.batch_size
    if batch_size < 1 or batch_size % num_replicas:
        raise errors.InputError(
            "`training.batch_size` must be a positive multiple of the number "
            f"of replicas, {num_replicas}; got {batch_size}."
        )


def rows_of_step(
    step: tf.Tensor, num_rows: int, config: config_dict.ConfigDict
) -> tf.Tensor:
    """Which rows a step trains on, `[training.batch_size]`.

    An epoch takes the rows in a random order and leaves out those that do not
    fill a last batch.

    Args:
      step: how many steps came before, int64.
      num_rows: at least `training.batch_size`.
      config: with that and `training.seed`.
    """
    batch_size = config.training.batch_size
    steps_per_epoch = num_rows // batch_size
    first = step % steps_per_epoch * batch_size
    return tf.random.experimental.index_shuffle(
        first + tf.range(batch_size, dtype=tf.int64),
        seed=tf.stack(
            [
                tf.constant(config.training.seed, tf.int64),
                step // steps_per_epoch,
            ]
        ),
        max_index=num_rows - 1,
    )


def of_steps(
    batch_of_step: Callable[[tf.Tensor], Any],
    config: config_dict.ConfigDict,
    first_step: int,
) -> tf.data.Dataset:
    """The batches of the steps `first_step` .. `training.num_steps - 1`.

    Args:
      batch_of_step: from a step's number to its batch.
      config: with `training.num_steps`.
      first_step: number of steps that were taken before.
    """
    return (
        tf.data.Dataset.range(first_step, config.training.num_steps)
        .map(batch_of_step, num_parallel_calls=2, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
    )
