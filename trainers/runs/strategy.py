"""On which devices a run computes, chosen once and by name."""

import functools

import tensorflow as tf
from absl import logging

from trainers.runs import errors

__all__ = ["NAMES", "make"]

NAMES = ("auto", "default", "mirrored")


def make(name: str = "auto") -> tf.distribute.Strategy:
    """Returns the strategy of that name.

    Args:
      name: "default" (one device), "mirrored" (all GPUs of this machine, or all
        logical CPUs where there is none), or "auto": mirrored with two GPUs or
        more, else default.

    Returns:
      A `tf.distribute` strategy.

    Raises:
      InputError: for any other name.
    """
    if name not in NAMES:
        raise errors.InputError(
            f"`strategy` must be one of {', '.join(NAMES)}; got {name!r}."
        )
    if name == "auto":
        num_gpus = len(tf.config.list_physical_devices("GPU"))
        name = "mirrored" if num_gpus > 1 else "default"
        logging.info("Computing on %s.", _devices_in_words(num_gpus))
    return _mirrored() if name == "mirrored" else tf.distribute.get_strategy()


def _devices_in_words(num_gpus: int) -> str:
    if num_gpus > 1:
        return f"{num_gpus} GPUs, each with its share of every batch"
    return "one GPU" if num_gpus else "the CPU"


@functools.cache
def _mirrored() -> tf.distribute.Strategy:
    # One per process: each numbers its collective operations from the start,
    # and TensorFlow takes those of a second one for those of the first.
    return tf.distribute.MirroredStrategy()
