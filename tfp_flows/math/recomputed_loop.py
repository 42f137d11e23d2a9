"""A rolled loop whose gradient is another one, which runs each step again.

Automatic differentiation of a `tf.while_loop` keeps all that every step
computed, and XLA compiles it only if no gradient in it computes a shape. Here
the states are kept alone, and a step is differentiated where it is run again,
so that whatever XLA compiles outside of a loop it compiles in this one. Unlike
that of `rolled_loop`, the step may use any tensors and variables around it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

__all__ = ["fold"]

Tensors = tuple[tf.Tensor, ...]


def fold(
    step: Callable[..., Sequence[tf.Tensor]],
    state: Sequence[tf.Tensor],
    num_steps: int,
) -> Tensors:
    """`state = step(i, *state)` for i = 0, ..., num_steps - 1.

    Derivatives reach the first state, the variables and all tensors that the
    step uses. In eager mode they are the tape's own.

    Args:
      step: keeps number, shapes and dtypes of the states.
      state: tensors of floating point.
      num_steps: how many, at least 1.
    """
    state = tuple(state)
    if tf.executing_eagerly():
        return _run(step, state, num_steps)[0]
    used = _used_tensors(step, state)

    @tf.custom_gradient
    def folded(*sources: tf.Tensor) -> Any:
        after, kept = _run(step, sources[: len(state)], num_steps, keep=True)

        def gradient(
            *bars: tf.Tensor, variables: Sequence[tf.Variable] = ()
        ) -> Any:
            of_state, of_used, of_variables = _pull_back(
                step, kept, bars, used, variables, num_steps
            )
            gradients = [*of_state, *of_used]
            return (gradients, list(of_variables)) if variables else gradients

        return after, gradient

    return folded(*state, *map(tf.identity, used))


def _run(
    step: Callable[..., Sequence[tf.Tensor]],
    state: Tensors,
    num_steps: int,
    keep: bool = False,
) -> tuple[Tensors, Tensors]:
    """The last state, and the states before each step, stacked."""
    arrays = [
        tf.TensorArray(
            x.dtype, num_steps, element_shape=x.shape, clear_after_read=False
        )
        for x in (state if keep else ())
    ]

    def body(i: tf.Tensor, state: Tensors, arrays: Any) -> Any:
        written = [a.write(i, x) for a, x in zip(arrays, state, strict=keep)]
        return i + 1, _alike(step(i, *state), state), written

    _, after, arrays = _while(body, num_steps, state, arrays)
    return after, tuple(array.stack() for array in arrays)


def _pull_back(
    step: Callable[..., Sequence[tf.Tensor]],
    kept: Tensors,
    bars: Tensors,
    used: Sequence[tf.Tensor],
    variables: Sequence[tf.Variable],
    num_steps: int,
) -> tuple[Tensors, Tensors, Tensors]:
    """The gradients to the first state, the used tensors, the variables."""

    def body(j: tf.Tensor, bars: Tensors, *sums: Tensors) -> Any:
        i = num_steps - 1 - j
        state = [
            tf.ensure_shape(tf.gather(x, i), bar.shape)
            for x, bar in zip(kept, bars, strict=True)
        ]
        # What an operation made here has for its input.
        graph = tf.compat.v1.get_default_graph()
        here = [graph.capture(x) for x in used]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([*state, *here, *variables])
            after = step(i, *state)
        of_state, *terms = tape.gradient(
            after,
            (state, here, list(variables)),
            output_gradients=list(bars),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        sums = tuple(
            tuple(
                total + tf.ensure_shape(tf.convert_to_tensor(x), total.shape)
                for total, x in zip(of_kind, some, strict=True)
            )
            for of_kind, some in zip(sums, terms, strict=True)
        )
        return j + 1, _alike(of_state, bars), *sums

    zeros = (
        tuple(map(tf.zeros_like, some)) for some in (used, list(variables))
    )
    return _while(body, num_steps, tuple(bars), *zeros)[1:]


def _used_tensors(
    step: Callable[..., Sequence[tf.Tensor]], state: Tensors
) -> list[tf.Tensor]:
    """The tensors of floating point that are not arguments of the step."""
    specs = [tf.TensorSpec(x.shape, x.dtype) for x in state]
    traced = tf.function(step, autograph=False).get_concrete_function(
        tf.TensorSpec([], tf.int32), *specs
    )
    return [x for x in traced.captured_inputs if x.dtype.is_floating]


def _while(
    body: Callable[..., Any], num_steps: int, *loop_vars: Any
) -> tuple[Any, ...]:
    return tf.while_loop(
        lambda i, *_: i < num_steps,
        body,
        (0, *loop_vars),
        maximum_iterations=num_steps,
    )


def _alike(after: Sequence[tf.Tensor], before: Tensors) -> Tensors:
    return tuple(
        tf.ensure_shape(a, b.shape) for a, b in zip(after, before, strict=True)
    )
