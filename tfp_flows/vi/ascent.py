"""Compiled steps that raise an ELBO, with a bar and a check of each."""

import sys
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.math import tracing

__all__ = ["Progress", "climb", "is_worth_xla"]

_MOST_SKIPPED = 0.1  # of the last steps
_WINDOW = 100
# XLA takes half a minute to compile a step of milliseconds.
_STEPS_WORTH_XLA = 10_000


class Progress:
    """Keras's bar over all steps of a `fit`, with the ELBO and its error.

    Args:
      num_steps: of all stages together.
      is_shown: False: silent.
    """

    NUM_UPDATES = 50

    def __init__(self, num_steps: int, is_shown: bool) -> None:
        self.steps_per_update = max(1, num_steps // self.NUM_UPDATES)
        names = ("elbo", "elbo_error")
        self._bar = (
            keras.utils.Progbar(
                num_steps, unit_name="step", stateful_metrics=names
            )
            if is_shown
            else None
        )

    def show(self, step: int, elbos: np.ndarray) -> None:
        """Shows the mean of the last steps' ELBOs, in nats."""
        if self._bar is not None and len(elbos):
            error = elbos.std() / np.sqrt(len(elbos))
            self._bar.update(
                step, [("elbo", elbos.mean()), ("elbo_error", error)]
            )

    def say(self, text: str) -> None:
        """Writes a line, where the bar is shown."""
        if self._bar is not None:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()


def climb(
    elbo: Callable[[tf.Tensor], tf.Tensor],
    variables: Sequence[tf.Variable],
    optimizer: keras.Optimizer,
    steps: range,
    *,
    jit_compile: bool,
    may_fall_back: bool,
    progress: Progress,
) -> np.ndarray:
    """Raises an ELBO; returns its estimates, one for each step, in nats.

    A step whose ELBO or gradient is not finite counts as one of gradient zero.

    Args:
      elbo: an unbiased estimate, as a function of the step (int64).
      variables: to change.
      optimizer: new; of the negative ELBO.
      steps: their numbers, which key the noise.
      jit_compile: whether XLA compiles the step.
      may_fall_back: whether it may do without where XLA cannot.
      progress: the bar.

    Raises:
      FloatingPointError: more than a tenth of a hundred steps were not finite.
    """
    optimizer.build(variables)

    # One tensor, as thousands of small ones that are kept pin the memory of the
    # large ones beside them.
    history = tf.Variable(
        tf.fill([len(steps)], tf.constant(np.nan, variables[0].dtype)),
        trainable=False,
    )

    def update(step: tf.Tensor) -> None:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            value = elbo(step)
            loss = -value
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        is_finite = tf.reduce_all(
            [tf.math.is_finite(value)]
            + [tf.reduce_all(tf.math.is_finite(g)) for g in gradients]
        )
        optimizer.apply(
            [tf.where(is_finite, g, tf.zeros_like(g)) for g in gradients],
            variables,
        )
        value = tf.where(is_finite, tf.cast(value, history.dtype), np.nan)
        history.scatter_nd_update([[step - steps.start]], [value])

    compiled = tf.function(update, jit_compile=jit_compile, autograph=False)
    start = 0
    for done, step in enumerate(steps, 1):
        number = tf.constant(step, tf.int64)
        try:
            compiled(number)
        except tf.errors.OpError:
            if not (jit_compile and may_fall_back and done == 1):
                raise
            progress.say("XLA cannot compile this model: done without.")
            compiled = tf.function(update, autograph=False)
            compiled(number)
        if done % progress.steps_per_update == 0 or done == len(steps):
            found = history.numpy()[:done]
            _check_finite(found[-_WINDOW:], step)
            block = found[start:]
            progress.show(step + 1, block[np.isfinite(block)])
            start = done
    return history.numpy().astype(np.float64)


def is_worth_xla(num_steps: int) -> bool:
    """Whether XLA is there, and so many steps make up for its compiling."""
    return num_steps >= _STEPS_WORTH_XLA and tracing.has_xla()


def _check_finite(last: np.ndarray, step: int) -> None:
    num_lost = int(np.sum(~np.isfinite(last)))
    if num_lost > max(1.0, _MOST_SKIPPED * len(last)):
        raise FloatingPointError(
            "`model` must have a finite log density, with a finite gradient, "
            f"at the surrogate's draws; got none at {num_lost} of {len(last)} "
            f"steps up to step {step + 1:,}. A smaller `learning_rate` or "
            "`initial_scale`, float64, or other coordinates of the model help."
        )
