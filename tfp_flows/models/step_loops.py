"""Several steps of `fit` or `evaluate` in one call, under a strategy.

Keras asks within each step of its loop whether there is a batch, by a `tf.cond`
around the step, which the replicas of a MirroredStrategy cannot be called from:
TensorFlow ends in "must feed a value for placeholder". Here the loop asks.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

__all__ = ["make_step_loop"]


def make_step_loop(
    model: keras.Model,
    step: Callable[[Any], dict[str, tf.Tensor]],
    otherwise: Callable[[Iterator[Any]], Any],
) -> Callable[[Iterator[Any]], Any]:
    """What Keras calls with an iterator once an execution.

    Args:
      model: compiled under a strategy, with `steps_per_execution`.
      step: its `train_step` or `test_step`, whose logs are equal on all
        replicas.
      otherwise: Keras's own, for iterators of other than a strategy's data.

    Returns:
      A function of an iterator that takes as many steps as there are, at most
      `steps_per_execution`, and returns the logs of the last one; it raises
      `StopIteration` if there was none.
    """
    strategy = model.distribute_strategy

    def one_step(batch: Any) -> dict[str, tf.Tensor]:
        logs = strategy.run(step, args=(batch,))
        return {
            name: strategy.experimental_local_results(log)[0]
            for name, log in logs.items()
        }

    compiled_step = tf.function(
        one_step, jit_compile=model.jit_compile or None, autograph=False
    )

    @tf.function(autograph=False)
    def loop(iterator: Any) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        limit = model.steps_per_execution

        def body(count: tf.Tensor, _: Any, batch: Any) -> tuple[Any, Any, Any]:
            logs = compiled_step(batch.get_value())
            # A batch that no step of this execution takes would be lost.
            next_batch = tf.cond(
                count + 1 < limit,
                iterator.get_next_as_optional,
                lambda: batch,
            )
            return count + 1, logs, next_batch

        first = iterator.get_next_as_optional()
        program = compiled_step.get_concrete_function(
            first.element_spec  # of the batch
        )
        no_logs = tf.nest.map_structure(
            lambda log: tf.zeros(log.shape, log.dtype),
            program.structured_outputs,
        )
        count, logs, _ = tf.while_loop(
            lambda count, _, batch: (count < limit) & batch.has_value(),
            body,
            (tf.constant(0), no_logs, first),
        )
        return count, logs

    def execute(iterator: Iterator[Any]) -> Any:
        if not isinstance(iterator, tf.distribute.DistributedIterator):
            return otherwise(iterator)
        count, logs = loop(iterator)
        if not count:
            raise StopIteration
        return logs

    return execute
