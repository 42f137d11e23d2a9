"""TensorFlow Probability's own bijectors, under XLA."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from benchmarks import _peers

__all__ = ["make"]

tfb, tfd = tfp.bijectors, tfp.distributions


def make(flow: str, x: np.ndarray, settings: Any) -> _peers.Calls:
    """The functions that are timed; see `_peers`."""
    size = x.shape[-1]
    chain: list[tfb.Bijector] = []
    for _ in range(settings.steps):
        chain.append(_bijector(flow, size, settings))
        chain.append(tfb.Permute(list(range(size))[::-1]))
    distribution = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(size)), tfb.Chain(chain[:-1])
    )
    points = tf.constant(x)
    distribution.log_prob(points)  # makes the weights

    def nll() -> tf.Tensor:
        return -tf.reduce_mean(distribution.log_prob(points))

    def free_energy() -> tf.Tensor:
        z, log_q = distribution.experimental_sample_and_log_prob(
            len(x), seed=[0, 1]
        )
        distance = (z - _peers.ENERGY_MEAN) / _peers.ENERGY_SCALE
        return tf.reduce_mean(log_q + 0.5 * tf.reduce_sum(distance**2, -1))

    return {
        "step": _step(
            nll if flow in _peers.OF_DATA else free_energy,
            distribution.trainable_variables,
        ),
        "samples": _compiled(lambda: distribution.sample(len(x), seed=[0, 1])),
        "density": _compiled(lambda: distribution.log_prob(points)),
    }


def _bijector(flow: str, size: int, settings: Any) -> tfb.Bijector:
    if flow == "nsf_coupling":
        return _coupling(size, settings)
    network = tfb.AutoregressiveNetwork(
        params=2, hidden_units=list(settings.hidden), activation="relu"
    )
    maf = tfb.MaskedAutoregressiveFlow(network)
    return maf if flow == "maf" else tfb.Invert(maf)


def _coupling(size: int, settings: Any) -> tfb.Bijector:
    """As the documentation of `RationalQuadraticSpline` has it."""
    bins, moved = settings.bins, size - size // 2
    widths = [size // 2, *settings.hidden, moved * (3 * bins - 1)]
    shapes = list(zip(widths, widths[1:], strict=False))
    weights = [
        (
            tf.Variable(tf.random.normal(shape) / shape[0] ** 0.5),
            tf.Variable(tf.zeros(shape[1])),
        )
        for shape in shapes
    ]

    class Splines(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = weights

        def __call__(
            self, x: tf.Tensor, num_moved: int, **_: Any
        ) -> tfb.Bijector:
            for i, (kernel, bias) in enumerate(self.weights):
                x = tf.linalg.matmul(x, kernel) + bias
                if i < len(self.weights) - 1:
                    x = tf.nn.relu(x)
            x = tf.reshape(x, [-1, num_moved, 3 * bins - 1])
            raw = tf.split(x, [bins, bins, bins - 1], axis=-1)
            sizes = [
                1e-2 + tf.nn.softmax(part) * (6.0 - bins * 1e-2)
                for part in raw[:2]
            ]
            return tfb.RationalQuadraticSpline(
                *sizes, 1e-2 + tf.nn.softplus(raw[2]), range_min=-3.0
            )

    return tfb.RealNVP(num_masked=size // 2, bijector_fn=Splines())


def _compiled(function: Callable[[], tf.Tensor]) -> Callable[[], Any]:
    call = tf.function(function, autograph=False, jit_compile=True)
    return lambda: call().numpy()


def _step(
    loss_of: Callable[[], tf.Tensor], variables: Any
) -> Callable[[], Any]:
    # Adam, as Keras 3 takes no `tf.Variable`s.
    moments = [(tf.Variable(0 * v), tf.Variable(0 * v)) for v in variables]
    count = tf.Variable(0.0)

    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of()
        gradients = tape.gradient(loss, variables)
        count.assign_add(1.0)
        rate = _peers.LEARNING_RATE
        rate *= tf.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        for v, g, (m, s) in zip(variables, gradients, moments, strict=True):
            m.assign(0.9 * m + 0.1 * g)
            s.assign(0.999 * s + 0.001 * g * g)
            v.assign_sub(rate * m / (tf.sqrt(s) + 1e-8))
        return loss

    return _compiled(step)
