"""Continuously-indexed flows over bijectors and callables."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._arguments import as_integer, as_positive_integer
from tfp_flows._tfp import ps
from tfp_flows.auxiliary.indexed_scan import IndexedScan
from tfp_flows.auxiliary.indexed_step import IndexedStep, check_order
from tfp_flows.math import stable

__all__ = ["ContinuouslyIndexedFlow", "Paths"]

tfd = tfp.distributions

Indices = tuple[tf.Tensor, ...]


class Paths(NamedTuple):
    """Indices `u_1, ..., u_L`, each `[..., m_l]`, and their log densities.

    `log_q` is `log q(z, u_1, ..., u_L)` and `log_r` is `log r(u | z)`, in nats.
    """

    indices: Indices
    log_q: tf.Tensor
    log_r: tf.Tensor


class ContinuouslyIndexedFlow:
    """A density of z that is an integral over indices u of flows.

        z_0 ~ q_0,   u_l ~ q_l(u_l | z_(l-1)),   z_l = G_l(z_(l-1); u_l)
        log q(z, u) = log q_0(z_0)
            + sum_l log q_l(u_l | z_(l-1)) - log|det dG_l/dz_(l-1)|
        log r(u | z) = sum_l log r_l(u_l | z_l)

    for `z = z_L`. The marginal q(z) is not known. With any r, run backwards
    from z as the exact conditional of the indices would be, M further draws
    `u^m ~ r(u | z)` and the draw `u^0` that made z,

        log_weight = -log(1/(M+1) sum_(m=0..M) q(z, u^m) / r(u^m | z))

    has `E[exp(log p(z) + log_weight)] = Z` for any density p known up to its
    integral Z. `E[log p(z) + log_weight]` is a bound on log Z, below the one
    of the marginal, `E[log p(z) - log q(z)]`, which it reaches as M grows; for
    M = 0 the difference is `E[KL(q(u | z) || r(u | z))]`.

    Of given points, `log_prob_lower_bound` leaves out `u^0`: it is below
    `log q(z)` on average, by which it serves as a density to be maximised, and
    an average of `log p - log_prob_lower_bound` over z from q is above the
    marginal's bound. Both together bracket it.

    Example:
    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp

    import tfp_flows

    tfd = tfp.distributions
    kernel = tf.Variable(0.1 * tf.random.stateless_normal([1, 4], [0, 1]))
    step = tfp_flows.auxiliary.IndexedStep(
        bijector=tfp_flows.bijectors.Planar([1.0, 0.0], [2.0, 0.0], 0.0),
        scale_and_shift=lambda u: tf.split(u @ kernel, 2, axis=-1),
        auxiliary=lambda w: (w[..., :1], tf.zeros_like(w[..., :1])),
        reverse=lambda v: (v[..., :1], tf.zeros_like(v[..., :1])),
        auxiliary_size=1,
    )
    q = tfp_flows.auxiliary.ContinuouslyIndexedFlow(
        tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2)), [step]
    )
    target = tfp_flows.targets.get("u1")
    with tf.GradientTape() as tape:
        z, log_weight = q.sample_and_log_weight(
            100, seed=(0, 1), num_auxiliary_samples=4
        )
        bound = tf.reduce_mean(target.log_prob(z) + log_weight)
    tape.gradient(-bound, kernel)
    q.log_prob_lower_bound(z, num_samples=16, seed=(0, 2))  # below log q(z)
    ```

    References:
      [1]: Rob Cornish, Anthony Caterini, George Deligiannidis, Arnaud Doucet.
           Relaxing Bijectivity Constraints with Continuously Indexed
           Normalising Flows. ICML 2020. https://arxiv.org/abs/1909.13833
      [2]: Anthony Caterini, Rob Cornish, Dino Sejdinovic, Arnaud Doucet.
           Variational Inference with Continuously-Indexed Normalizing Flows.
           UAI 2021. https://arxiv.org/abs/2007.05426
    """

    def __init__(
        self,
        base_distribution: tfd.Distribution,
        steps: Sequence[IndexedStep | IndexedScan],
    ) -> None:
        """Constructs the flow.

        Args:
          base_distribution: q_0, of vectors `[D]`.
          steps: of the flow, the first to apply first.

        Raises:
          ValueError: the base is not over vectors.
          TypeError: `steps` holds something else than `IndexedStep`s.
          ValueError: the size or the order of one of them is none.
        """
        if base_distribution.event_shape.rank not in (None, 1):
            raise ValueError(
                "`base_distribution` must be over vectors; got event shape "
                f"{base_distribution.event_shape}."
            )
        steps = list(steps)
        for step in steps:
            if isinstance(step, IndexedScan):
                continue  # made by the library
            if not isinstance(step, IndexedStep):
                raise TypeError(
                    f"`steps` must hold `IndexedStep`s; got {step!r}."
                )
            as_positive_integer("auxiliary_size", step.auxiliary_size)
            check_order(step.order)
        self.base_distribution = base_distribution
        self.steps = steps

    # The joint of z and u.

    def split(self, indices: tf.Tensor) -> Indices:
        """Those of each step, `[..., m_l]`, of all behind each other."""
        sizes = [step.auxiliary_size for step in self.steps]
        return tuple(tf.split(indices, sizes, axis=-1))

    def forward(
        self, z: tf.Tensor, log_prob: tf.Tensor, noise: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, Paths]:
        """A sample and its indices, of a sample of the base and of noise.

        Args:
          z: of the base, `[..., D]`.
          log_prob: its log density there, `[...]`.
          noise: standard normal, `[..., m_l]` for each step.
        """
        indices, log_q, log_r = [], log_prob, tf.zeros_like(log_prob)
        for step, step_noise in zip(self.steps, noise, strict=True):
            z, u, more_q, more_r = step.forward(z, step_noise)
            indices.append(u)
            log_q, log_r = log_q + more_q, log_r + more_r
        return z, Paths(tuple(indices), log_q, log_r)

    def inverse(self, z: tf.Tensor, indices: Sequence[tf.Tensor]) -> Paths:
        """The log densities of given z and u, by the way back to the base.

        Args:
          z: `[..., D]`.
          indices: `[..., m_l]` for each step.
        """
        log_q = log_r = tf.zeros([], z.dtype)
        for step, u in zip(
            reversed(self.steps), reversed(tuple(indices)), strict=True
        ):
            z, more_q, more_r = step.inverse(z, u)
            log_q, log_r = log_q + more_q, log_r + more_r
        log_q += self.base_distribution.log_prob(tf.identity(z))
        return Paths(tuple(indices), log_q, log_r)

    def draw_indices(self, z: tf.Tensor, noise: Sequence[tf.Tensor]) -> Paths:
        """Draws of `r(u | z)`, from the last step to the first.

        Args:
          z: `[..., D]`.
          noise: standard normal for each step, `[M, ..., m_l]`.
        """
        indices: list[tf.Tensor] = []
        log_q = log_r = tf.zeros([], z.dtype)
        for step, step_noise in zip(
            reversed(self.steps), reversed(tuple(noise)), strict=True
        ):
            z, u, more_q, more_r = step.draw_index(z, step_noise)
            indices.insert(0, u)
            log_q, log_r = log_q + more_q, log_r + more_r
        log_q += self.base_distribution.log_prob(tf.identity(z))
        return Paths(tuple(indices), log_q, log_r)

    def push_gradient(
        self, z: tf.Tensor, gradient: tf.Tensor, indices: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, Indices]:
        """The gradients of `log q(z, u)` in z and u at fixed parameters.

        Carried along from the base, so that no autoregressive flow is inverted.
        No derivative passes through them.

        Args:
          z: of the base, `[..., D]`.
          gradient: of `log q_0` there.
          indices: as `forward` makes them of z.
        """
        of_indices = []
        for step, u in zip(self.steps, indices, strict=True):
            z, gradient, of_index = step.push_gradient(z, u, gradient)
            of_indices.append(of_index)
        return gradient, tuple(of_indices)

    def inverse_gradient(
        self, z: tf.Tensor, indices: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, Indices]:
        """The same for given z and u, by the way back to the base."""
        points = tf.nest.map_structure(tf.stop_gradient, (z, tuple(indices)))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(points)
            log_q = self.inverse(*points).log_q
        return tf.nest.map_structure(
            tf.stop_gradient, tape.gradient(log_q, points)
        )

    # Samples with weights, and bounds on the marginal.

    def sample_and_log_weight(
        self,
        sample_shape: int | Sequence[int] = (),
        seed: Any = None,
        num_auxiliary_samples: int = 0,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Samples, and log weights as above.

        Args:
          sample_shape: of the samples for each member of the base's batch.
          seed: as TFP takes it.
          num_auxiliary_samples: M. Default: 0.

        Returns:
          z, `[*sample_shape, *batch, D]`, and log weights without the last
          axis, in nats.

        Raises:
          ValueError: M is negative.
        """
        num_auxiliary_samples = as_integer(
            "num_auxiliary_samples", num_auxiliary_samples, 0
        )
        z, paths, seed = self._sample(sample_shape, seed)
        if not num_auxiliary_samples:
            return z, paths.log_r - paths.log_q
        further = self.draw_indices(
            z, self._noise(z, num_auxiliary_samples, seed)
        )
        return z, -log_mean_ratio(paths, further)

    def joint_sample(
        self, sample_shape: int | Sequence[int] = (), seed: Any = None
    ) -> tuple[tf.Tensor, Indices]:
        """Samples of `q(z, u)`.

        Args:
          sample_shape: of the samples for each member of the base's batch.
          seed: as TFP takes it.

        Returns:
          z, `[*sample_shape, *batch, D]`, and the indices of each step,
          `[*sample_shape, *batch, m_l]`.
        """
        z, paths, _ = self._sample(sample_shape, seed)
        return z, paths.indices

    def joint_log_prob(
        self, z: tf.Tensor, indices: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """`log q(z, u)` at any points, `[...]`, in nats.

        Args:
          z: `[..., D]`.
          indices: `[..., m_l]` for each step.
        """
        return self.inverse(z, indices).log_q

    def reverse_log_prob(
        self, indices: Sequence[tf.Tensor], z: tf.Tensor
    ) -> tf.Tensor:
        """`log r(u | z)` at any points, `[...]`, in nats.

        Args:
          indices: `[..., m_l]` for each step.
          z: `[..., D]`.
        """
        return self.inverse(z, indices).log_r

    def log_prob_lower_bound(
        self, z: tf.Tensor, num_samples: int = 1, seed: Any = None
    ) -> tf.Tensor:
        """`log(1/M sum_m q(z, u^m) / r(u^m | z))`, `u^m ~ r(u | z)`.

        Its expectation is at most `log q(z)`, does not fall as M grows, and
        tends to it. Differentiable in z and in all parameters, r's too.

        Args:
          z: any points, `[..., D]`.
          num_samples: M.
          seed: as TFP takes it.

        Returns:
          `[...]`, in nats.

        Raises:
          ValueError: `num_samples` is not a positive integer.
        """
        num_samples = as_positive_integer("num_samples", num_samples)
        z = tf.convert_to_tensor(z, self.base_distribution.dtype)
        paths = self.draw_indices(z, self._noise(z, num_samples, seed))
        return stable.log_mean_exp(paths.log_q - paths.log_r)

    def _sample(
        self, sample_shape: int | Sequence[int], seed: Any
    ) -> tuple[tf.Tensor, Paths, Any]:
        """Of the joint; and a seed for what else is drawn."""
        base, own, further = tfp.random.split_seed(
            seed, n=3, salt="ContinuouslyIndexedFlow"
        )
        z, log_prob = self.base_distribution.experimental_sample_and_log_prob(
            sample_shape, seed=base
        )
        noise = [draws[0] for draws in self._noise(z, 1, own)]
        return *self.forward(z, log_prob, noise), further

    def _noise(self, z: tf.Tensor, num_draws: int, seed: Any) -> Indices:
        """Standard normal `[M, ..., m_l]` for each step."""
        shape = ps.concat([[num_draws], ps.shape(z)[:-1]], axis=0)
        size = sum(step.auxiliary_size for step in self.steps)
        seed = tfp.random.sanitize_seed(seed, salt="ContinuouslyIndexedFlow")
        noise = tf.random.stateless_normal(
            ps.concat([shape, [size]], axis=0),
            seed,
            dtype=z.dtype,
            alg="philox",
        )
        return self.split(noise)


def log_mean_ratio(own: Paths, further: Paths) -> tf.Tensor:
    """`log(1/(M+1) sum_(m=0..M) q(z, u^m) / r(u^m | z))`, `[...]`.

    Args:
      own: that made z, `[...]`.
      further: draws of r, `[M, ...]`.
    """
    first = (own.log_q - own.log_r)[tf.newaxis]
    ratios = tf.concat([first, further.log_q - further.log_r], axis=0)
    return stable.log_mean_exp(ratios)
