"""One training step of a DLGM-sized network, with a long flow or without.

The network is an encoder 784-400-400, a linear head, and a Bernoulli decoder
40-400-400-784; batch 100; Adam. The head computes, for every example, `loc`
and `scale` of a diagonal Gaussian of size `D = 40` and the parameters `u`,
`w`, `b` of `K` planar flow steps: `K * (2 * D + 1) + 2 * D` outputs, 6,560 at
`K = 80`.

The variants differ only in what they do with the flow parameters:

- `floor`: the same network and head *without the flow*. The flow parameters
  are computed and reduced by one `reduce_sum`, which enters the loss times
  `FLOOR_WEIGHT`; `z = loc + scale * eps`. Nothing else is left out: the
  gradient still passes through the whole head, and Adam updates all of it.
- `scan`: `tfd.TransformedDistribution` with `Scan(Planar(u, w, b))`.
- `chain`: the same with `tfb.Chain` of the same `K` planar bijectors.
- `scan_tf`: the planar formula in a plain `tf.scan`, a yardstick.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from benchmarks._dlgm_sizes import (
    DEFAULT_SIZES,
    FLOOR_WEIGHT,
    Sizes,
    head_width,
)

tfb = tfp.bijectors
tfd = tfp.distributions

__all__ = ["VARIANTS", "Posterior", "TrainingStep"]


class Posterior(NamedTuple):
    """A sample `z`, `log q(z | x)` and a penalty that joins the loss."""

    z: tf.Tensor
    log_prob: tf.Tensor
    penalty: tf.Tensor | float = 0.0


def floor(
    base: tfd.Distribution,
    z0: tf.Tensor,
    flow_parameters: tf.Tensor,
    num_flow_steps: int,
) -> Posterior:
    """The network alone: no flow, its parameters reduced by one sum."""
    del num_flow_steps
    penalty = FLOOR_WEIGHT * tf.reduce_sum(flow_parameters)
    return Posterior(z0, base.log_prob(z0), penalty)


def split_flow_parameters(
    flow_parameters: tf.Tensor, num_flow_steps: int, latent: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Splits `[B, K * (2 D + 1)]` into u, w `[K, B, D]` and b `[K, B]`."""
    steps = tf.reshape(flow_parameters, [-1, num_flow_steps, 2 * latent + 1])
    u, w, b = tf.split(
        tf.transpose(steps, [1, 0, 2]), [latent, latent, 1], axis=-1
    )
    return u, w, b[..., 0]


def scan(
    base: tfd.Distribution,
    z0: tf.Tensor,
    flow_parameters: tf.Tensor,
    num_flow_steps: int,
) -> Posterior:
    """All flow steps in one `Scan` bijector."""
    from tfp_flows.bijectors import Planar, Scan

    u, w, b = split_flow_parameters(
        flow_parameters, num_flow_steps, z0.shape[-1]
    )
    return _transformed(base, Scan(Planar(u, w, b)), z0)


def chain(
    base: tfd.Distribution,
    z0: tf.Tensor,
    flow_parameters: tf.Tensor,
    num_flow_steps: int,
) -> Posterior:
    """One planar bijector for each flow step, in a `tfb.Chain`."""
    from tfp_flows.bijectors import Planar

    u, w, b = split_flow_parameters(
        flow_parameters, num_flow_steps, z0.shape[-1]
    )
    # Unstacked, because the gradient of `u[k]` is a tensor as large as `u`.
    members = zip(tf.unstack(u), tf.unstack(w), tf.unstack(b), strict=True)
    # Chain applies the last bijector of its list first.
    steps = [Planar(*parameters) for parameters in members][::-1]
    return _transformed(base, tfb.Chain(steps), z0)


def scan_tf(
    base: tfd.Distribution,
    z0: tf.Tensor,
    flow_parameters: tf.Tensor,
    num_flow_steps: int,
) -> Posterior:
    """The planar formula by hand in a plain `tf.scan`."""
    parameters = split_flow_parameters(
        flow_parameters, num_flow_steps, z0.shape[-1]
    )

    def flow_step(
        state: tuple[tf.Tensor, tf.Tensor],
        step_parameters: tuple[tf.Tensor, tf.Tensor, tf.Tensor],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        z, fldj = state
        u, w, b = step_parameters
        wu = tf.reduce_sum(w * u, axis=-1)
        c = tf.nn.softplus(wu + math.log(math.e - 1.0)) - 1.0
        squared_norm = tf.reduce_sum(w * w, axis=-1) + 1e-12
        u_hat = u + ((c - wu) / squared_norm)[..., tf.newaxis] * w
        h = tf.tanh(tf.reduce_sum(w * z, axis=-1) + b)
        z = z + u_hat * h[..., tf.newaxis]
        return z, fldj + tf.math.log1p(c * (1.0 - h * h))

    z, fldj = tf.scan(
        flow_step, parameters, (z0, tf.zeros(z0.shape[:-1], z0.dtype))
    )
    return Posterior(z[-1], base.log_prob(z0) - fldj[-1])


def _transformed(
    base: tfd.Distribution, bijector: tfb.Bijector, z0: tf.Tensor
) -> Posterior:
    posterior = tfd.TransformedDistribution(base, bijector)
    z = posterior.bijector.forward(z0)
    fldj = posterior.bijector.forward_log_det_jacobian(z0, event_ndims=1)
    return Posterior(z, posterior.distribution.log_prob(z0) - fldj)


VARIANTS: dict[str, Callable[..., Posterior]] = {
    "scan": scan,
    "chain": chain,
    "scan_tf": scan_tf,
    "floor": floor,
}


class TrainingStep:
    """A network, its Adam state and one compiled training step.

    Calling it takes one step and returns the loss, the mean over the batch of
    the negative ELBO in nats (and the floor's penalty). The weights are a
    function of `seed` and the noise is an argument, so that all variants with
    a flow start from the same loss.
    """

    def __init__(
        self,
        variant: str,
        num_flow_steps: int,
        *,
        jit_compile: bool,
        sizes: Sizes = DEFAULT_SIZES,
        learning_rate: float = 1e-4,
        seed: int = 0,
    ) -> None:
        """Creates the variables; nothing is traced before the first call.

        Args:
          variant: a key of `VARIANTS`.
          num_flow_steps: number K of planar steps.
          jit_compile: whether the step is compiled by XLA.
          sizes: sizes of the network.
          learning_rate: of Adam.
          seed: of the weights.
        """
        self._posterior = VARIANTS[variant]
        self._num_flow_steps = num_flow_steps
        self._sizes = sizes
        self._learning_rate = learning_rate
        self._seed = seed
        self._encoder = self._dense_layers(
            [sizes.pixels, sizes.hidden, sizes.hidden], salt=1
        )
        self._head = self._dense_layers(
            [sizes.hidden, head_width(num_flow_steps, sizes.latent)], salt=2
        )
        self._decoder = self._dense_layers(
            [sizes.latent, sizes.hidden, sizes.hidden, sizes.pixels], salt=3
        )
        self.trainable_variables = [
            variable
            for layer in self._encoder + self._head + self._decoder
            for variable in layer
        ]
        self._moments = [
            (tf.Variable(tf.zeros_like(v)), tf.Variable(tf.zeros_like(v)))
            for v in self.trainable_variables
        ]
        self._step = tf.Variable(0, dtype=tf.int64)
        self._compiled = tf.function(
            self._train, jit_compile=jit_compile, autograph=False
        )

    def __call__(self, x: tf.Tensor, eps: tf.Tensor) -> float:
        """Takes one step and returns the loss before it.

        Args:
          x: images, `[batch, pixels]`.
          eps: standard normal noise, `[batch, latent]`.

        Returns:
          The loss; reading it waits until the step is done.
        """
        return float(self._compiled(x, eps).numpy())

    def loss(self, x: tf.Tensor, eps: tf.Tensor) -> tf.Tensor:
        """Returns the loss, without a step."""
        latent = self._sizes.latent
        hidden = _dense(x, self._encoder, last_activation=tf.nn.relu)
        outputs = _dense(hidden, self._head)
        loc = outputs[:, :latent]
        scale = tf.nn.softplus(outputs[:, latent : 2 * latent])
        base = tfd.MultivariateNormalDiag(loc, scale)
        z, log_q, penalty = self._posterior(
            base,
            loc + scale * eps,
            outputs[:, 2 * latent :],
            self._num_flow_steps,
        )
        logits = _dense(z, self._decoder)
        log_likelihood = -tf.reduce_sum(
            tf.nn.sigmoid_cross_entropy_with_logits(x, logits), axis=-1
        )
        log_prior = -0.5 * tf.reduce_sum(
            z * z + math.log(2.0 * math.pi), axis=-1
        )
        return penalty - tf.reduce_mean(log_likelihood + log_prior - log_q)

    def _train(self, x: tf.Tensor, eps: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = self.loss(x, eps)
        gradients = tape.gradient(loss, self.trainable_variables)
        self._step.assign_add(1)
        self._adam(gradients)
        return loss

    def _adam(
        self,
        gradients: list[tf.Tensor],
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
    ) -> None:
        step = tf.cast(self._step, tf.float32)
        for variable, (m, v), gradient in zip(
            self.trainable_variables, self._moments, gradients, strict=True
        ):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=tf.pow(beta_1, step),
                beta2_power=tf.pow(beta_2, step),
                lr=self._learning_rate,
                beta1=beta_1,
                beta2=beta_2,
                epsilon=epsilon,
                grad=gradient,
            )

    def _dense_layers(
        self, widths: list[int], salt: int
    ) -> list[tuple[tf.Variable, tf.Variable]]:
        layers = []
        for i, (fan_in, fan_out) in enumerate(
            zip(widths[:-1], widths[1:], strict=True)
        ):
            kernel = tf.random.stateless_normal(
                [fan_in, fan_out], [self._seed, 100 * salt + i], alg="philox"
            )
            layers.append(
                (
                    tf.Variable(kernel / math.sqrt(fan_in)),
                    tf.Variable(tf.zeros([fan_out])),
                )
            )
        return layers


def _dense(
    x: tf.Tensor,
    layers: list[tuple[tf.Variable, tf.Variable]],
    last_activation: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
) -> tf.Tensor:
    for i, (kernel, bias) in enumerate(layers):
        x = tf.matmul(x, kernel) + bias
        x = last_activation(x) if i == len(layers) - 1 else tf.nn.relu(x)
    return x
