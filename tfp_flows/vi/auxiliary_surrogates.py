"""Surrogates with auxiliary variables, of which only log weights are known."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfp_flows._arguments import as_positive_integer
from tfp_flows.math import noise
from tfp_flows.posteriors import Posterior
from tfp_flows.types import TensorLike
from tfp_flows.vi import models

__all__ = ["AuxiliarySurrogate", "build_auxiliary_surrogate_posterior"]


_AT_ONCE = 5_000  # draws


class AuxiliarySurrogate:
    """Draws of a model's latent variables, and their log weights.

    It stands where `fit`, `importance_resample` and `log_evidence` take a
    distribution. It is none: its density is an integral.
    """

    def __init__(
        self, posterior: Posterior, space: models.Space, log_prob: Any
    ) -> None:
        """See `build_auxiliary_surrogate_posterior`.

        Args:
          posterior: built, without a context.
          space: where the variables lie.
          log_prob: see `models.log_prob_of`.
        """
        self.posterior = posterior
        self._space = space
        self._log_prob = log_prob

    @property
    def trainable_variables(self) -> tuple[tf.Variable, ...]:
        """Those of the posterior layer."""
        weights = self.posterior.trainable_weights
        return tuple(weight.value for weight in weights)

    @property
    def dtype(self) -> tf.DType:
        """Of all variables."""
        return self._space.dtype

    def sample(self, num_draws: int, seed: int = 0) -> Any:
        """Draws of the variables, `[num_draws, ...]`, in the model's structure.

        Dynamics follow the model that the surrogate was built for.

        Args:
          num_draws: how many; made in parts, so that memory grows with the
            draws alone.
          seed: decides them, in [0, 2**31).

        Raises:
          ValueError: an argument breaks its rule.
        """
        num_draws = as_positive_integer("num_draws", num_draws)
        noise.check_seed(seed)
        parts = []
        for step, first in enumerate(range(0, num_draws, _AT_ONCE)):
            standard_normal = self._noise(
                min(_AT_ONCE, num_draws - first),
                seed=seed,
                step=step,
                purpose="vi.sample",
            )
            z, _ = self._push(standard_normal, self._log_prob, True)
            parts.append(self._space.bijector.forward(z))
        return tf.nest.map_structure(lambda *v: tf.concat(v, axis=0), *parts)

    def draw(
        self,
        log_prob: models.LogProb,
        num_draws: int,
        *,
        seed: int,
        step: TensorLike,
        purpose: str,
        score: bool,
    ) -> tuple[Any, tf.Tensor]:
        """Draws, and `log p(x, y)` plus their log weights; see `weights.draw`.

        Args:
          log_prob: of the nest of variables.
          num_draws: S.
          seed: decides them, with step and purpose.
          step: int64.
          purpose: other purposes give independent draws.
          score: False: no derivative of `log q` at fixed draws.
        """
        standard_normal = self._noise(
            num_draws, seed=seed, step=step, purpose=purpose
        )
        z, log_weight = self._push(standard_normal, log_prob, score)
        values, log_joint = self._joint(z, log_prob)
        return values, log_joint + log_weight

    def _noise(self, num_draws: int, **key: Any) -> tf.Tensor:
        return noise.normal(
            [1, num_draws, self.posterior.noise_size], dtype=self.dtype, **key
        )

    def _push(
        self, standard_normal: tf.Tensor, log_prob: models.LogProb, score: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """z, `[S, D]`, and log weights `[S]`, of noise `[1, S, noise_size]`."""
        z, log_weight = self.posterior.sample_and_log_weight(
            standard_normal,
            self.posterior.parameters(),
            log_joint=lambda z: self._joint(z[0], log_prob)[1][tf.newaxis],
            score=score,
        )
        return z[0], log_weight[0]

    def _joint(
        self, z: tf.Tensor, log_prob: models.LogProb
    ) -> tuple[Any, tf.Tensor]:
        """The variables of z, and `log p(x, y)` with their log-det."""
        bijector = self._space.bijector
        values = bijector.forward(z)
        log_det = bijector.forward_log_det_jacobian(z, event_ndims=1)
        return values, log_prob(values) + log_det


def build_auxiliary_surrogate_posterior(
    model: Any,
    posterior: Posterior,
    *,
    observed: Mapping[str, Any] | None = None,
    event_shape: Any = None,
    event_space_bijector: Any = None,
    dtype: Any = None,
) -> AuxiliarySurrogate:
    """A surrogate whose density is an integral: a CIF, or annealed dynamics.

    With c the model's own map from R^D onto the supports of its variables,
    `x = c(z)`, and auxiliary variables u of the posterior layer integrated out,

        E[log p(x, y) + log|det dx/dz| + log_weight] <= ELBO <= log p(y),

    which `fit` raises, and calls ELBO; `importance_resample` and
    `log_evidence` take the same weights. A `HamiltonianPosterior` takes draws
    of its base along the gradient of the model's own log density.

    Example:
    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp

    import tfp_flows

    tfd = tfp.distributions


    @tfd.JointDistributionCoroutineAutoBatched
    def model():
        scale = yield tfd.HalfNormal(1.0, name="scale")
        yield tfd.Sample(tfd.Normal(0.0, scale), 3, name="y")


    pinned = model.experimental_pin(y=[0.5, -1.0, 2.0])
    q = tfp_flows.vi.build_auxiliary_surrogate_posterior(
        pinned,
        tfp_flows.posteriors.HamiltonianPosterior(
            tfp_flows.posteriors.FlowPosterior(1), num_bridges=2
        ),
    )
    result = tfp_flows.vi.fit(pinned, q, num_steps=20, verbose=False)
    ```

    Args:
      model: as in `build_flow_surrogate_posterior`; so are all below.
      posterior: a layer without a context, of `latent_size` D, the number of
        unconstrained variables; built here, if it is not yet.
      observed: values of an unpinned model by name.
      event_shape: of a function.
      event_space_bijector: c, where the model's own is not wanted.
      dtype: of a function's argument.

    Raises:
      TypeError: `posterior` is no posterior layer, or as in
        `build_flow_surrogate_posterior`.
      ValueError: it is of another size or dtype than the model, or as there.
    """
    if not isinstance(posterior, Posterior):
        raise TypeError(
            "`posterior` must be a posterior layer, such as a "
            f"`HamiltonianPosterior`; got {posterior!r}."
        )
    space = models.space_of(
        model, observed, event_shape, event_space_bijector, dtype
    )
    if posterior.latent_size != space.bijector.event_size:
        raise ValueError(
            "`posterior.latent_size` must be the number of the model's "
            f"unconstrained variables, {space.bijector.event_size}; got "
            f"{posterior.latent_size}."
        )
    if tf.as_dtype(posterior.variable_dtype) != space.dtype:
        raise ValueError(
            f"`posterior` must have the model's dtype, {space.dtype.name}; got "
            f"{posterior.variable_dtype}."
        )
    if not posterior.built:
        posterior.build()
    return AuxiliarySurrogate(
        posterior, space, models.log_prob_of(model, observed)
    )
