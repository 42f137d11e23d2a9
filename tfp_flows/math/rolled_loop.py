"""K maps composed in one rolled loop, with a gradient that is one as well."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfp_flows._tfp import ps, should_record_backprop

__all__ = ["Step", "compose"]

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
    and a gradient asked for later runs it again.

    Args:
      step: the map of one member; a function of its arguments alone, that
        keeps the shape and dtype of `x`.
      x: the first state, already broadcast to the shape of the result.
      log_det_shape: shape of the log-dets that `step` returns.
      stacked: the members' parameters, each `[K, ...]`.
      reverse: start with member K - 1.

    Returns:
      The last state, and the sum of the K log-dets.
    """
    num_members = ps.shape(stacked[0])[0]

    def member(k: tf.Tensor) -> list[tf.Tensor]:
        index = num_members - 1 - k if reverse else k
        return [tf.gather(p, index) for p in stacked_now]

    stacked_now: Sequence[tf.Tensor] = stacked

    def run(x: tf.Tensor, keep: bool) -> tuple[tf.Tensor, ...]:
        def body(k: tf.Tensor, x: tf.Tensor, total: tf.Tensor, *states):
            y, log_det = step(x, member(k))
            states = tuple(s.write(k, x) for s in states)
            return (k + 1, _like(y, x), _like(total + log_det, total), *states)

        states = (_array(x, num_members),) if keep else ()
        loop_vars = (0, x, tf.zeros(log_det_shape, x.dtype), *states)
        return tf.while_loop(
            lambda k, *_: k < num_members,
            body,
            loop_vars,
            maximum_iterations=num_members,
        )[1:]

    keep_states = should_record_backprop([x, *stacked])

    @tf.custom_gradient
    def composed(x: tf.Tensor, *stacked: tf.Tensor):
        y, log_det, *states = run(x, keep_states)

        def gradient(y_bar: tf.Tensor, log_det_bar: tf.Tensor):
            kept = states[0] if states else run(x, True)[2]

            def body(i: tf.Tensor, x_bar: tf.Tensor, *grads):
                k = num_members - 1 - i
                state, parameters = kept.read(k), member(k)
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    tape.watch([state, *parameters])
                    outputs = step(state, parameters)
                x_bar, *bars = tape.gradient(
                    outputs,
                    [state, *parameters],
                    output_gradients=[x_bar, log_det_bar],
                    unconnected_gradients=tf.UnconnectedGradients.ZERO,
                )
                index = num_members - 1 - k if reverse else k
                grads = tuple(
                    g.write(index, bar)
                    for g, bar in zip(grads, bars, strict=True)
                )
                return (i + 1, _like(x_bar, x), *grads)

            _, x_bar, *grads = tf.while_loop(
                lambda i, *_: i < num_members,
                body,
                (0, y_bar, *(_array(p[0], num_members) for p in stacked)),
                maximum_iterations=num_members,
            )
            return x_bar, *(
                _like(g.stack(), p) for g, p in zip(grads, stacked, strict=True)
            )

        return (y, log_det), gradient

    return composed(x, *stacked)


def _array(element: tf.Tensor, size: int | tf.Tensor) -> tf.TensorArray:
    return tf.TensorArray(
        element.dtype,
        size=size,
        element_shape=element.shape,
        clear_after_read=False,
    )


def _like(value: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(value, reference.shape)
