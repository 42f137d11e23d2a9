"""Training steps of a Keras model in one compiled call, watched for NaNs."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from trainers.runs import errors

__all__ = ["TrainSteps", "check_finite", "means"]


class _FirstNonFinite(NamedTuple):
    """Of every metric: the step at which it broke (0: never), its value."""

    step: tf.Tensor
    value: tf.Tensor


class TrainSteps:
    """Calls `model.train_step` for a number of steps at a time.

    The device notes which metric stops being finite and when, so that Python
    has to wait for it only when `check` is called.
    """

    def __init__(
        self, model: keras.Model, *, takes_batches: bool = True
    ) -> None:
        """Compiles nothing yet.

        Args:
          model: compiled and built; its `train_step` takes a bare batch and
            returns its running metrics.
          takes_batches: whether it does; without, it takes nothing, and XLA
            compiles all steps of a call as one program.
        """
        self._model = model
        self._names = [metric.name for metric in means(model)]
        self._notes: list[_FirstNonFinite] = []
        jit_loop = model.jit_compile and not takes_batches
        self._compiled = tf.function(
            self._steps, jit_compile=jit_loop or None, autograph=False
        )
        self._one_step: Callable[..., dict[str, tf.Tensor]] = (
            tf.function(model.train_step, jit_compile=True, autograph=False)
            if model.jit_compile and takes_batches
            else model.train_step
        )

    def __call__(self, iterator: Iterator[Any] | None, count: int) -> None:
        """Takes `count` steps on as many batches; None: on none."""
        self._notes.append(self._compiled(iterator, tf.constant(count)))

    def _steps(
        self, iterator: Iterator[Any] | None, count: tf.Tensor
    ) -> _FirstNonFinite:
        strategy = self._model.distribute_strategy

        def body(
            i: tf.Tensor, first: _FirstNonFinite
        ) -> tuple[tf.Tensor, _FirstNonFinite]:
            batch = () if iterator is None else (next(iterator),)
            logs = strategy.run(self._one_step, args=batch)
            # The metrics are those of all replicas, so any replica's will do.
            values = tf.stack(
                [
                    tf.reshape(strategy.experimental_local_results(log)[0], [])
                    for log in (logs[name] for name in self._names)
                ]
            )
            is_new = ~tf.math.is_finite(values) & (first.step == 0)
            step = tf.convert_to_tensor(self._model.optimizer.iterations)
            return i + 1, _FirstNonFinite(
                tf.where(is_new, tf.cast(step, tf.int64), first.step),
                tf.where(is_new, values, first.value),
            )

        none = _FirstNonFinite(
            tf.zeros([len(self._names)], tf.int64),
            tf.zeros([len(self._names)], self._model.variable_dtype),
        )
        return tf.while_loop(
            lambda i, _: i < count, body, (tf.constant(0), none)
        )[1]

    def check(self) -> None:
        """Waits for the device; raises if a metric was not finite.

        Raises:
          NonFiniteError: naming the metric, its value and the exact step.
        """
        notes, self._notes = self._notes, []
        for note in notes:
            steps = note.step.numpy()
            if steps.any():
                first = steps[steps > 0].min()
                broken = np.flatnonzero(steps == first)
                names = ", ".join(f"`{self._names[i]}`" for i in broken)
                values = ", ".join(str(v) for v in note.value.numpy()[broken])
                raise errors.NonFiniteError(
                    f"{names} must stay finite; got {values} at step {first}. "
                    "The run was stopped; its last checkpoint is from before "
                    "that step."
                )


def means(model: keras.Model) -> list[keras.Metric]:
    """The running metrics that are means, as opposed to counts."""
    return [m for m in model.metrics if isinstance(m, keras.metrics.Mean)]


@tf.function(autograph=False)
def _all_finite(values: list[tf.Tensor]) -> tf.Tensor:
    return tf.reduce_all(
        [tf.reduce_all(tf.math.is_finite(value)) for value in values]
    )


def check_finite(model: keras.Model) -> None:
    """Raises if a weight or a number of the optimizer is not finite.

    A step whose loss is finite can have a gradient that is not; its update
    shows in no metric before the next step.

    Raises:
      NonFiniteError: naming the weights and the step.
    """
    variables = [*model.weights, *model.optimizer.variables]
    values = [
        tf.convert_to_tensor(v)
        for v in variables
        if tf.as_dtype(v.dtype).is_floating
    ]
    if not _all_finite(values):
        step = int(tf.convert_to_tensor(model.optimizer.iterations))
        raise errors.NonFiniteError(
            "`weights` must stay finite; the update of step "
            f"{step} made them infinite or NaN. The "
            "run was stopped; its last checkpoint is from before that step."
        )
