"""What a model asks of a posterior: samples, and what they weigh."""

import abc
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._keywords import ChecksKeywords
from tfp_flows.math import noise
from tfp_flows.types import TensorLike

__all__ = ["Parameters", "Posterior", "sample_noise"]

tfd = tfp.distributions

Parameters = dict[str, Any]


class Posterior(ChecksKeywords, keras.layers.Layer, abc.ABC):
    """q(z | context), known by its samples and their log weights.

    A sample z may come with auxiliary variables u that are integrated out. Its

        log_weight = -log q(z | context)                        without u
        log_weight = log r(u | z, context) - log q(z, u | context)   with u

    with any density r of the subclass. Either way, for any density p of z known
    up to its integral Z,

        E[exp(log p(z) + log_weight)] = Z,

    which is all that bounds, their gradients and importance sampling need.

    A subclass sets `latent_size`, defines `noise_size`, `parameters` and
    `sample_and_log_weight`, and `make_distribution` if its density is known.
    One that can say how a sample went defines `sample_with_diagnostics` too,
    and names what it says in `diagnostic_names`: a model's metrics.
    """

    latent_size: int
    diagnostic_names: tuple[str, ...] = ()
    # Whether samples follow the gradient of `log p(x, z)`.
    follows_log_joint: bool = False
    # What the error says where there is no density.
    _integrated_out = "auxiliary variables"
    _bound_on_density = ""

    @property
    def has_density(self) -> bool:
        """Whether q(z | context) can be evaluated: `make_distribution` is."""
        return type(self).make_distribution is not Posterior.make_distribution

    @property
    @abc.abstractmethod
    def noise_size(self) -> int:
        """How many standard normal numbers make one sample, u included."""

    @abc.abstractmethod
    def parameters(self, context: tf.Tensor | None = None) -> Parameters:
        """All that depends on the context `[B, C]`, as a nest of tensors."""

    @abc.abstractmethod
    def sample_and_log_weight(
        self,
        standard_normal: tf.Tensor,
        parameters: Parameters,
        *,
        log_joint: Callable[[tf.Tensor], tf.Tensor] | None = None,
        score: bool = True,
        through: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Samples and their log weights.

        Args:
          standard_normal: `[S, B, noise_size]`.
          parameters: as `parameters(context)` returns them.
          log_joint: `log p(x, z)`, `[S, B]`, of `z` `[S, B, D]`, for those that
            follow its gradient. None where no model is at hand.
          score: False: no derivative reaches the parameters of q at fixed z and
            u; those of r keep theirs.
          through: what z and u pass before they are used, in this weight or
            by the caller: the identity in value.

        Returns:
          z, `[S, B, D]`, and log weights `[S, B]`, in nats.
        """

    @property
    def can_leave_out_score(self) -> bool:
        """Whether `score=False` works: then models take it by default."""
        return False

    @property
    def xla_takes_any_batch(self) -> bool:
        """Whether XLA compiles its gradient for batches of unknown size."""
        return True

    @property
    def has_flow(self) -> bool:
        """Whether it is more than a Gaussian: then models anneal by default."""
        return False

    def _require_built(self) -> None:
        """Raises ValueError unless there are weights."""
        if not self.built:
            raise ValueError(
                f"`{self.name}` must be built before it is used; call "
                "`build((None, C))`, or `build()` where there is no context."
            )

    def sample_with_diagnostics(
        self,
        standard_normal: tf.Tensor,
        parameters: Parameters,
        *,
        log_joint: Callable[[tf.Tensor], tf.Tensor] | None = None,
        score: bool = True,
        through: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
    ) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
        """`sample_and_log_weight`, and `[S, B]` for each `diagnostic_names`."""
        z, log_weight = self.sample_and_log_weight(
            standard_normal,
            parameters,
            log_joint=log_joint,
            score=score,
            through=through,
        )
        return z, log_weight, {}

    def make_distribution(self, parameters: Parameters) -> tfd.Distribution:
        """q(z | context), of parameters as `parameters()` returns them.

        Raises:
          NotImplementedError: its density is not known.
        """
        del parameters
        raise NotImplementedError(
            f"`{type(self).__name__}` has no density of z that could be "
            f"evaluated: it is an integral over {self._integrated_out}. "
            "`sample_and_log_weight` gives log weights, whose average with "
            "`log p(x, z)` is a bound on `log p(x)`: a model's `bounds` and "
            f"`log_marginal_likelihood`{self._bound_on_density}."
        )

    def distribution(
        self, context: tf.Tensor | None = None
    ) -> tfd.Distribution:
        """q(z | context).

        Args:
          context: `[B, C]`, or None if nothing is amortized.

        Raises:
          NotImplementedError: its density is not known.
        """
        return self.make_distribution(self.parameters(context))

    def log_prob(
        self, z: tf.Tensor, context: tf.Tensor | None = None
    ) -> tf.Tensor:
        """`log q(z | context)`, in nats, at any points.

        Args:
          z: `[..., B, D]`; `[..., D]` where nothing is amortized.
          context: `[B, C]`, or None if nothing is amortized.

        Raises:
          NotImplementedError: its density is not known.
        """
        return self.distribution(context).log_prob(z)

    def noise(
        self,
        num_rows: int | tf.Tensor,
        num_samples: int,
        *,
        seed: int | tf.Tensor,
        step: TensorLike,
        purpose: str,
        first_row: TensorLike = 0,
    ) -> tf.Tensor:
        """Standard normal `[num_samples, num_rows, noise_size]`.

        Args:
          num_rows: B.
          num_samples: S.
          seed: of the run; a tensor in the graphs that serve all seeds.
          step: of the training, or number of the chunk.
          purpose: what it is for; other purposes give independent noise.
          first_row: of the examples among all that share the key.
        """
        return sample_noise(
            num_rows,
            num_samples,
            self.noise_size,
            first_row=first_row,
            seed=seed,
            step=step,
            purpose=purpose,
            dtype=self.variable_dtype,
        )


def sample_noise(
    num_rows: int | tf.Tensor, num_samples: int, size: int, **key: Any
) -> tf.Tensor:
    """`noise.normal_rows`, samples first: `[num_samples, num_rows, size]`."""
    rows = noise.normal_rows(num_rows, (num_samples, size), **key)
    return tf.transpose(rows, [1, 0, 2])
