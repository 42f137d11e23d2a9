"""K maps composed in one rolled loop, with a gradient that is one as well."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfp_flows._tfp import should_record_backprop
from tfp_flows.math import implicit, tracing

__all__ = ["Step", "compose", "iterate"]

# step(x, parameters of one member) -> (y, log-det)
Step = Callable[[tf.Tensor, Sequence[tf.Tensor]], tuple[tf.Tensor, tf.Tensor]]


def compose(
    step: Step,
    x: tf.Tensor,
    log_det_shape: tf.Tensor,
    stacked: Sequence[tf.Tensor],
    *,
    reverse: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies `step` for every member in turn and sums the log-dets.

    The graph does not grow with K. The gradient is a second rolled loop that
    differentiates one member at a time and writes each parameter's gradient
    once; automatic differentiation of a while loop would add a full-size
    tensor per parameter and member. It needs the K states: they are kept
    when a gradient tape is recording, else the forward loop keeps one state
    and a gradient asked for later runs it again. In a vectorized map under XLA
    the members stand one after the other, without a loop.

    Args:
      step: the map of one member; a function of its arguments alone, that
        keeps the shape and dtype of `x`.
      x: the first state, already broadcast to the shape of the result.
      log_det_shape: shape of the sum of the log-dets.
      stacked: the members' parameters, each `[K, ...]`.
      reverse: start with member K - 1.

    Returns:
      The last state, and the sum of the K log-dets.
    """
    loop = _Loop(step, _num_members(stacked), log_det_shape, reverse)
    if loop.is_unrolled():
        return loop.run(x, stacked, keep_states=False)[:2]
    keep_states = should_record_backprop([x, *stacked])

    @tf.custom_gradient
    def composed(x: tf.Tensor, *stacked: tf.Tensor) -> Any:
        y, log_det, states = loop.run(x, stacked, keep_states)

        def gradient(y_bar: tf.Tensor, log_det_bar: tf.Tensor) -> Any:
            # In the gradient of a branch they are tensors of another graph.
            here = tuple(map(tf.identity, stacked))
            kept = states
            if not keep_states:
                kept = loop.run(tf.identity(x), here, keep_states=True)[2]
            return loop.pull_back(kept, here, y_bar, log_det_bar)

        return (y, log_det), gradient

    return composed(x, *map(tf.identity, stacked))


def iterate(
    step: Callable[..., tuple[tf.Tensor, ...]],
    states: tuple[tf.Tensor, ...],
    stacked: Sequence[tf.Tensor],
    *,
    reverse: bool = False,
) -> tuple[tf.Tensor, ...]:
    """`states = step(*states, parameters)` for every member in turn.

    No derivative passes through.

    Args:
      step: of one member; keeps the shapes and dtypes of the states.
      states: the first ones.
      stacked: the members' parameters, each `[K, ...]`.
      reverse: start with member K - 1.
    """
    loop = _Loop(step, _num_members(stacked), (), reverse)
    states, stacked = tf.nest.map_structure(
        tf.stop_gradient, (states, tuple(stacked))
    )

    def body(i: tf.Tensor, *states: tf.Tensor) -> tuple[Any, ...]:
        after = step(*states, loop._member(stacked, i))
        return i + 1, *map(_in_shape_of, after, states)

    return loop._while(body, *states)[1:]


def _num_members(stacked: Sequence[tf.Tensor]) -> int | tf.Tensor:
    size = stacked[0].shape[0]
    return tf.shape(stacked[0])[0] if size is None else size


def _in_shape_of(after: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(after, before.shape)


class _Loop(NamedTuple):
    step: Step
    num_members: int | tf.Tensor
    log_det_shape: tf.Tensor
    reverse: bool

    def run(
        self, x: tf.Tensor, stacked: Sequence[tf.Tensor], keep_states: bool
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """The last state, the sum of the log-dets, and all K inputs."""

        def body(
            i: tf.Tensor, x: tf.Tensor, total: tf.Tensor
        ) -> tuple[list[tf.Tensor], tf.Tensor, list[tf.Tensor]]:
            y, log_det = self._apply(x, self._member(stacked, i))
            total = _in_shape_of(total + log_det, total)
            return [y, total], i, [x] if keep_states else []

        total = tf.zeros(self.log_det_shape, x.dtype)
        like = [(x.dtype, x.shape)] if keep_states else []
        (y, total), kept = self._fold(body, [x, total], like)
        return y, total, kept[0] if keep_states else None

    def pull_back(
        self,
        states: tf.Tensor,
        stacked: Sequence[tf.Tensor],
        y_bar: tf.Tensor,
        log_det_bar: tf.Tensor,
    ) -> tuple[tf.Tensor | None, ...]:
        """The gradients to `x` and to every stacked parameter.

        Those of integers are None.
        """
        learned = [i for i, p in enumerate(stacked) if p.dtype.is_floating]

        def body(
            j: tf.Tensor, x_bar: tf.Tensor
        ) -> tuple[list[tf.Tensor], tf.Tensor, list[tf.Tensor]]:
            i = self.num_members - 1 - j
            member = self._member(stacked, i)

            def apply(
                x: tf.Tensor, *parameters: tf.Tensor
            ) -> tuple[tf.Tensor, tf.Tensor]:
                replaced = dict(zip(learned, parameters, strict=True))
                return self._apply(
                    x, [replaced.get(n, p) for n, p in enumerate(member)]
                )

            _, bars = implicit.vector_jacobian_product(
                apply,
                [tf.gather(states, i), *(member[n] for n in learned)],
                [x_bar, log_det_bar],
            )
            x_bar = tf.ensure_shape(bars[0], x_bar.shape)
            return [x_bar], self._index(i), bars[1:]

        like = [(stacked[n].dtype, stacked[n].shape[1:]) for n in learned]
        (x_bar,), grads = self._fold(body, [y_bar], like)
        stacked_bars: list[tf.Tensor | None] = [None] * len(stacked)
        for n, grad in zip(learned, grads, strict=True):
            stacked_bars[n] = tf.ensure_shape(grad, stacked[n].shape)
        return x_bar, *stacked_bars

    def is_unrolled(self) -> bool:
        """Whether it is no loop: XLA compiles no vectorized gradient of one."""
        return tracing.counts_only() and isinstance(self.num_members, int)

    def _apply(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        y, log_det = self.step(x, parameters)
        # A constant log-det comes without the batch axes.
        log_det = tf.broadcast_to(log_det, self.log_det_shape)
        return tf.ensure_shape(y, x.shape), log_det

    def _index(self, i: tf.Tensor) -> tf.Tensor:
        return self.num_members - 1 - i if self.reverse else i

    def _member(
        self, stacked: Sequence[tf.Tensor], i: tf.Tensor
    ) -> list[tf.Tensor]:
        index = self._index(i)
        if isinstance(index, int):  # of dense gradients
            return [p[index] for p in stacked]
        return [tf.gather(p, index) for p in stacked]

    def _fold(
        self,
        body: Callable[..., tuple[list[tf.Tensor], tf.Tensor, list[tf.Tensor]]],
        carry: list[tf.Tensor],
        like: Sequence[tuple[tf.DType, tf.TensorShape]],
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """`carry, place, values = body(i, *carry)` for i = 0, ..., K - 1.

        Returns the last carry, and the values stacked, each at its place.
        """
        if self.is_unrolled():
            columns: list[dict[int, tf.Tensor]] = [{} for _ in like]
            for i in range(self.num_members):
                carry, place, values = body(i, *carry)
                for column, value in zip(columns, values, strict=True):
                    column[place] = value
            order = range(self.num_members)
            return carry, [tf.stack([c[i] for i in order]) for c in columns]

        def step(i: tf.Tensor, *both: Any) -> tuple[Any, ...]:
            after, place, values = body(i, *both[: len(carry)])
            arrays = [
                array.write(place, value)
                for array, value in zip(both[len(carry) :], values, strict=True)
            ]
            return i + 1, *after, *arrays

        arrays = [self._array(*dtype_and_shape) for dtype_and_shape in like]
        _, *both = self._while(step, *carry, *arrays)
        # Tensors: an array that was made eagerly cannot be read in a graph.
        stacked = [array.stack() for array in both[len(carry) :]]
        return both[: len(carry)], stacked

    def _while(
        self, body: Callable[..., tuple[Any, ...]], *loop_vars: Any
    ) -> tuple[Any, ...]:
        return tf.while_loop(
            lambda i, *_: i < self.num_members,
            body,
            (0, *loop_vars),
            maximum_iterations=self.num_members,
        )

    def _array(self, dtype: tf.DType, shape: tf.TensorShape) -> tf.TensorArray:
        return tf.TensorArray(
            dtype,
            size=self.num_members,
            element_shape=shape,
            clear_after_read=False,
        )
