"""Whether XLA compiles the steps of a `fit`, and what a user is told of it.

XLA takes seconds longer to compile a step than TensorFlow takes to make its
graph, and then each step takes less time, by more where a flow has more steps.
Medians in CPU time, on two cores, of `fit` of a `DLGM` with an amortized planar
flow of K steps and batches of 100; digits: 64-64-64 with 8 latents, mnist:
784-400-400 with 40:

    data    K   first step, s   step, ms       updates that make     asked of
                graph    XLA    graph    XLA   up for it             K
    digits  0     1.4    3.4      4.0    3.6   5,600                 2,000
            8     2.7    6.6      5.2    3.7   2,500                 1,000
           40     3.0    6.7     10.3    4.7     660                   334
           80     3.0    7.2     14.8    6.9     540                   182
    mnist   0     1.8    4.4     16.0   12.8     800                 2,000
            8     3.2    6.9     21.4   18.1   1,100                 1,000
           40     2.9    7.4     38.9   26.1     350                   334
           80     3.0    7.1     55.6   39.0     250                   182

So "auto" asks for `updates * (K + 8) >= 16,000`. The step of a validation takes
XLA about a second more, too.
"""

import importlib.util
import math
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.posteriors import FlowDistribution

__all__ = [
    "announce_xla",
    "check_callbacks",
    "count_flow_steps",
    "is_worth_xla",
    "planned_batches",
]

_LEAST_WORK = 16_000
_WORK_OF_NETWORKS = 8  # in flow steps


def is_worth_xla(num_updates: int | None, num_flow_steps: int) -> bool:
    """Whether so many updates make up for the time that XLA compiles.

    Args:
      num_updates: planned; None if nobody knows, which counts as many.
      num_flow_steps: K, over all flows of the model.

    Returns:
      Whether `num_updates * (K + 8)` is at least 16,000.
    """
    if num_updates is None:
        return True
    return num_updates * (num_flow_steps + _WORK_OF_NETWORKS) >= _LEAST_WORK


def count_flow_steps(*layers: Any) -> int:
    """How many steps the flows of posteriors have in all."""
    return sum(
        getattr(flow, "num_flow_steps", 1)
        for layer in layers
        if isinstance(layer, FlowDistribution)
        for flow in layer.flows
    )


def planned_batches(
    x: Any,
    *,
    epochs: int,
    batch_size: int | None,
    steps_per_epoch: int | None,
    validation_split: float,
) -> int | None:
    """How many batches `fit` takes from the first epoch to the last one.

    Epochs that `initial_epoch` leaves out are counted, so that a training that
    goes on is compiled as it was.

    Args:
      x: an array, a dict of arrays, or a data set of batches.
      epochs: as in Keras.
      batch_size: as in Keras; of arrays.
      steps_per_epoch: as in Keras.
      validation_split: as in Keras; of arrays.

    Returns:
      The number; None if the length of a data set is not known.
    """
    if steps_per_epoch is not None:
        return epochs * steps_per_epoch
    if isinstance(x, dict):
        x = next(iter(x.values()))
    try:
        length = len(x)
    except TypeError:  # of endless data sets, too
        return None
    if isinstance(x, np.ndarray | tf.Tensor):
        length = math.floor(length * (1.0 - (validation_split or 0.0)))
        length = math.ceil(length / (batch_size or 32))
    return epochs * length


def announce_xla(model: keras.Model, verbose: str | int) -> None:
    """Says, where Keras's bar is shown, why it will stand still at first."""
    if (
        model.compiled
        and model.jit_compile
        and model.train_function is None
        and verbose not in (0, "0")
        and keras.config.is_interactive_logging_enabled()
    ):
        sys.stdout.write(
            "Compiling with XLA before the first step; "
            "`compile(jit_compile=False)` does without.\n"
        )
        sys.stdout.flush()


def check_callbacks(callbacks: Any) -> None:
    """Refuses a callback that would fail after the first epoch.

    Raises:
      ImportError: for Keras's TensorBoard without the package tensorboard,
        which TensorFlow no longer brings.
    """
    listed = getattr(callbacks, "callbacks", callbacks)
    if not isinstance(listed, list | tuple):
        listed = [listed]
    if any(
        isinstance(callback, keras.callbacks.TensorBoard) for callback in listed
    ) and not importlib.util.find_spec("tensorboard"):
        raise ImportError(
            "`callbacks` must not hold a keras.callbacks.TensorBoard without "
            "the package tensorboard, which TensorFlow does not bring; got "
            "one. `pip install tensorboard` installs it, as does the extra "
            "`train`."
        )
