"""Maps `y_i = f(x_i; theta_i)`, where `theta_i` depends on the x before i."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfp_flows.math import implicit

__all__ = ["affine", "affine_inverse", "gated", "gated_inverse", "invert"]

# f(x, theta) -> (y, log dy/dx), for x [..., N] and theta [..., P, N].
Elementwise = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
# theta(x, *sources): [..., D] -> [..., P, D].
Conditioner = Callable[..., tf.Tensor]


def affine(
    x: tf.Tensor, shift: tf.Tensor, log_scale: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, log dy/dx)` with `y = x exp(log_scale) + shift`."""
    return x * tf.exp(log_scale) + shift, log_scale


def affine_inverse(
    y: tf.Tensor, shift: tf.Tensor, log_scale: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(x, log dx/dy)` of `affine`."""
    return (y - shift) * tf.exp(-log_scale), -log_scale


def gated(
    x: tf.Tensor, candidate: tf.Tensor, gate: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, log dy/dx)` with `y = g x + (1 - g) candidate`, `g = sigmoid(gate)`.

    `1 - g` is taken as `sigmoid(-gate)`, without cancellation.
    """
    log_gate = tf.math.log_sigmoid(gate)
    y = tf.sigmoid(gate) * x + tf.sigmoid(-gate) * candidate
    return y, log_gate


def gated_inverse(
    y: tf.Tensor, candidate: tf.Tensor, gate: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(x, log dx/dy)` of `gated`: `x = (y - candidate) / g + candidate`.

    `1 / g = 1 + exp(-gate)`, so `x = y + exp(-gate) (y - candidate)`.
    """
    x = y + tf.exp(-gate) * (y - candidate)
    return x, -tf.math.log_sigmoid(gate)


def invert(
    y: tf.Tensor,
    sources: Sequence[tf.Tensor],
    conditioner: Conditioner,
    forward: Elementwise,
    inverse: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    sequence: Sequence[int],
) -> tf.Tensor:
    """The x at which `forward(x, conditioner(x, *sources))` is `y`.

    One coordinate after the other, in one rolled loop of D passes through the
    conditioner. The gradient is that of the implicit function: a second loop
    solves the transposed triangular system, at the activations of one pass.

    Args:
      y: `[..., D]`, in the shape of the result.
      sources: floating-point tensors that the conditioner depends on.
      conditioner: `theta(x, *sources)`, `[..., P, D]`.
      forward: the map of one coordinate, and its log-derivative.
      inverse: what undoes it, without gradients.
      sequence: the coordinates, in the order in which they depend on one
        another.
    """
    size = len(sequence)
    coordinates = tf.constant(sequence, tf.int32)

    def search(y: tf.Tensor, *sources: tf.Tensor) -> tf.Tensor:
        def body(k: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            theta = conditioner(x, *sources)
            i = coordinates[k]
            x_i = inverse(
                tf.gather(y, [i], axis=-1), tf.gather(theta, [i], axis=-1)
            )
            is_i = tf.equal(tf.range(size), i)
            return k + 1, tf.ensure_shape(tf.where(is_i, x_i, x), x.shape)

        return _loop(size, body, tf.zeros_like(y))

    def update(x: tf.Tensor, y: tf.Tensor, *sources: tf.Tensor) -> tf.Tensor:
        return x + (y - forward(x, conditioner(x, *sources))[0])

    def pull_back(
        x_bar: tf.Tensor, x: tf.Tensor, y: tf.Tensor, *sources: tf.Tensor
    ) -> tf.Tensor:
        del y
        with tf.GradientTape(
            persistent=True, watch_accessed_variables=False
        ) as tape:
            tape.watch(x)
            value, log_derivative = forward(x, conditioner(x, *sources))
        inverse_diagonal = tf.exp(-log_derivative)

        # Each round settles one more coordinate of J' u = x_bar, J triangular.
        def body(k: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            product = tape.gradient(value, x, output_gradients=u)
            u += inverse_diagonal * (x_bar - product)
            return k + 1, tf.ensure_shape(u, x.shape)

        return _loop(size - 1, body, inverse_diagonal * x_bar)

    found = search(*map(tf.stop_gradient, (y, *sources)))
    return implicit.attach(found, update, pull_back, [y, *sources])


def _loop(
    num_steps: int,
    body: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    start: tf.Tensor,
) -> tf.Tensor:
    return tf.while_loop(
        lambda k, _: k < num_steps,
        body,
        (0, start),
        maximum_iterations=num_steps,
    )[1]
