"""Posteriors that follow the gradient of the model's own log p(x, z)."""

from collections.abc import Callable
from typing import Any, Self

import keras
import tensorflow as tf

from tfp_flows._arguments import as_integer, as_positive_integer
from tfp_flows.auxiliary.anneal import check_persistence
from tfp_flows.math import hamiltonian
from tfp_flows.posteriors import annealing_parameters, explicit_base
from tfp_flows.posteriors.posterior import Parameters, Posterior

__all__ = ["HamiltonianPosterior"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class HamiltonianPosterior(Posterior):
    """Samples of a base that Hamiltonian dynamics take towards p(z | x).

    With `z_0 ~ q_0(z | x)`, the base, `rho_0` and all `xi_k` standard normal,
    and `U_k = -(beta_k log p(x, z) + (1 - beta_k) log q_0(z | x))`,

        rho'_k = eta rho_(k-1) + sqrt(1 - eta**2) xi_k        (rho'_1 = rho_0)
        (z_k, rho_k) = L leapfrog steps of U_k from (z_(k-1), rho'_k)
        log_weight = -log q_0(z_0 | x)
                     + sum_k (log N(rho_k; 0, I) - log N(rho'_k; 0, I))

    for k = 1, ..., K. Nothing is rejected: what the dynamics miss makes the
    weights uneven and the bound lower. Step sizes and betas are learned with
    the base, which tends to a Gaussian that is better calibrated (wider) than
    one that is trained alone; `base.distribution(context)` stays available.

    0 < eta < 1 is uncorrected Hamiltonian annealing [3], eta = 0 annealed
    Langevin dynamics (`LangevinPosterior`), and `persistence=1.0`,
    `betas="ones"` with a tempering the Hamiltonian autoencoder [2]. With K = 0
    it is the base.

    Each of the K L + 1 gradients of log p(x, z) is differentiated again. A
    decoder with relu, leaky_relu or maxout has no second derivatives, so that
    parts of the gradient are missing silently: take softplus, gelu or tanh (see
    `has_piecewise_linear_activation`). `log p(x, z)` must be that of all the
    data that share z: a latent per example is fine, the log likelihood of a
    mini-batch, scaled up, for global latents is not, as its noise enters the
    weights. Samples that go astray (a step too large for the density) keep
    their values, also where these are not finite: see
    `sample_with_diagnostics`. XLA compiles a base that is no diagonal Gaussian
    for batches of a known size only: a DLGM's `jit_compile="auto"` leaves it
    out then.

    Example:
    ```python
    import tensorflow as tf

    import tfp_flows

    target = tfp_flows.targets.get("u1")
    posterior = tfp_flows.posteriors.HamiltonianPosterior(
        tfp_flows.posteriors.FlowPosterior(latent_size=2), num_bridges=8
    )
    posterior.build()
    noise = tf.random.stateless_normal([16, 1, posterior.noise_size], [0, 0])
    z, log_weight = posterior.sample_and_log_weight(
        noise,
        posterior.parameters(),
        log_joint=target.unnormalized_log_prob,
    )
    bound = tf.reduce_mean(target.unnormalized_log_prob(z) + log_weight)
    ```

    References:
      [1]: Tim Salimans, Diederik Kingma, Max Welling. Markov Chain Monte Carlo
           and Variational Inference: Bridging the Gap. ICML 2015.
           https://arxiv.org/abs/1410.6460
      [2]: Anthony Caterini, Arnaud Doucet, Dino Sejdinovic. Hamiltonian
           Variational Auto-Encoder. NeurIPS 2018.
           https://arxiv.org/abs/1805.11328
      [3]: Tomas Geffner, Justin Domke. MCMC Variational Inference via
           Uncorrected Hamiltonian Annealing. NeurIPS 2021.
           https://arxiv.org/abs/2107.04150
    """

    diagnostic_names = ("energy_error", "non_finite")
    follows_log_joint = True
    _integrated_out = "the momenta of its dynamics"

    def __init__(
        self,
        base: Posterior,
        num_bridges: int,
        num_leapfrog_steps: int = 1,
        persistence: float = 0.9,
        tempering: str = "none",
        betas: str = "learned",
        initial_step_size: float = 0.05,
        largest_step_size: float = 0.5,
        learn_step_sizes: bool = True,
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          base: q_0, a posterior with a density, such as a `FlowPosterior`.
          num_bridges: K, at least 0.
          num_leapfrog_steps: L, of each bridge.
          persistence: eta, from 0 to 1.
          tempering: of the momentum, for `persistence=1.0`: "none", "quadratic"
            (a first temperature is learned) or "free" (a factor for each
            bridge is).
          betas: "learned", from `k / K` on; "linear", they stay there; or
            "ones": there are no densities on the way, and the base's is not
            asked for.
          initial_step_size: of all bridges and coordinates, in units of z.
          largest_step_size: the bound on what is learned, one for each bridge
            and coordinate, `largest_step_size * sigmoid(w)`.
          learn_step_sizes: whether they are. Default: True.
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          ValueError: an argument breaks its rule.
          TypeError: `base` is no posterior with a density.
        """
        explicit_base.check(base)
        num_bridges = as_integer("num_bridges", num_bridges, 0)
        num_leapfrog_steps = as_positive_integer(
            "num_leapfrog_steps", num_leapfrog_steps
        )
        annealing_parameters.check(
            tempering, betas, initial_step_size, largest_step_size
        )
        check_persistence(persistence, is_tempered=tempering != "none")
        super().__init__(**{"dtype": base.dtype_policy, **kwargs})
        if self.variable_dtype != base.variable_dtype:
            raise ValueError(
                "`base` must have the posterior's dtype, "
                f"{self.variable_dtype}; got {base.variable_dtype}."
            )
        self.base = base
        self.latent_size = base.latent_size
        self.num_bridges = num_bridges
        self.num_leapfrog_steps = num_leapfrog_steps
        self.persistence = float(persistence)
        self.tempering = tempering
        self.betas = betas
        self.initial_step_size = float(initial_step_size)
        self.largest_step_size = float(largest_step_size)
        self.learn_step_sizes = learn_step_sizes
        if num_bridges and betas != "ones":
            explicit_base.warn_of_sequential_inverse(
                base, 1 + num_bridges * num_leapfrog_steps
            )

    @property
    def has_flow(self) -> bool:
        """Whether the base has one."""
        return self.base.has_flow

    @property
    def can_leave_out_score(self) -> bool:
        """Whether the base can."""
        return self.base.can_leave_out_score

    @property
    def xla_takes_any_batch(self) -> bool:
        """Whether the base is diagonal, or no part of the dynamics."""
        return (
            not self.num_bridges
            or self.betas == "ones"
            or explicit_base.is_diagonal(self.base)
        )

    @property
    def noise_size(self) -> int:
        """How many standard normal numbers make one sample."""
        return self.base.noise_size + self._num_draws * self.latent_size

    @property
    def _num_draws(self) -> int:
        return hamiltonian.num_momentum_draws(
            self.num_bridges, self.persistence
        )

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        """Makes the weights for contexts of shape `input_shape`, or for none.

        Raises:
          ValueError: the base cannot take contexts of that shape.
        """
        if not self.base.built:  # a loaded one is
            self.base.build(input_shape)
        self._head = annealing_parameters.AnnealingParameters(
            self.latent_size,
            self.num_bridges,
            self.tempering,
            self.betas,
            self.initial_step_size,
            self.largest_step_size,
            self.learn_step_sizes,
            dtype=self.dtype_policy,
            name="annealing",
        )
        self._head.build(None)
        self.built = True

    def parameters(self, context: tf.Tensor | None = None) -> Parameters:
        """The base's, and `betas`, `step_sizes` and `tempering` (or `{}`).

        Args:
          context: `[B, C]`, or None if nothing is amortized.

        Raises:
          ValueError: the layer is not built, or the context does not fit.
        """
        self._require_built()
        return {
            "base": self.base.parameters(context),
            "annealing": self._head.parameters(),
        }

    def sample_and_log_weight(
        self,
        standard_normal: tf.Tensor,
        parameters: Parameters,
        *,
        log_joint: Callable[[tf.Tensor], tf.Tensor] | None = None,
        score: bool = True,
        through: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Posterior`.

        `score=False` leaves out the derivative of `log q_0(z_0)` in the
        parameters at fixed z_0, whose mean is zero; those of the dynamics, in
        the parameters of q_0 too, stay. `through` is what z_0 passes.

        Raises:
          ValueError: `log_joint` is None, unless K = 0.
        """
        return self.sample_with_diagnostics(
            standard_normal,
            parameters,
            log_joint=log_joint,
            score=score,
            through=through,
        )[:2]

    def sample_with_diagnostics(
        self,
        standard_normal: tf.Tensor,
        parameters: Parameters,
        *,
        log_joint: Callable[[tf.Tensor], tf.Tensor] | None = None,
        score: bool = True,
        through: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
    ) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
        """As `sample_and_log_weight`, and how the dynamics went.

        Returns:
          z, log weights, and two tensors `[S, B]` without derivatives:
          `energy_error`, the mean over the bridges of `|Delta H|`, in nats
          (about 0.1 to 1 is usual, much more says that the steps are too
          large), and `non_finite`, 1 where z or the log weight is not finite.

        Raises:
          ValueError: `log_joint` is None, unless K = 0.
        """
        if log_joint is None and self.num_bridges:
            raise ValueError(
                "`log_joint` must be given, as the samples follow its "
                f"gradient over {self.num_bridges} bridges; got None."
            )
        base_noise, momentum_noise = tf.split(
            standard_normal, [self.base.noise_size, -1], axis=-1
        )
        z, log_weight = self.base.sample_and_log_weight(
            base_noise, parameters["base"], score=score, through=through
        )
        energy_error = tf.zeros_like(log_weight)
        if self.num_bridges:
            assert log_joint is not None
            annealed = hamiltonian.anneal(
                z,
                log_joint,
                self._log_base(parameters["base"]),
                self._momenta(momentum_noise),
                num_leapfrog_steps=self.num_leapfrog_steps,
                persistence=self.persistence,
                **parameters["annealing"],
            )
            z, energy_error = annealed.z, annealed.energy_error
            log_weight += annealed.log_weight
        is_finite = tf.reduce_all(tf.math.is_finite(z), axis=-1)
        is_finite = tf.logical_and(is_finite, tf.math.is_finite(log_weight))
        diagnostics = {
            "energy_error": energy_error,
            "non_finite": 1.0 - tf.cast(is_finite, z.dtype),
        }
        return z, log_weight, diagnostics

    def _log_base(
        self, parameters: Parameters
    ) -> Callable[[tf.Tensor], tf.Tensor] | None:
        """`log q_0`, or None where it is no part of the dynamics."""
        if self.betas == "ones":
            return None
        distribution = self.base.make_distribution(parameters)
        # Not the tensor that a bijector remembers.
        return lambda z: distribution.log_prob(tf.identity(z))

    def _momenta(self, noise: tf.Tensor) -> tf.Tensor:
        """`[..., M D]` to `[M, ..., D]`."""
        return tf.stack(tf.split(noise, self._num_draws, axis=-1))

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "base": keras.saving.serialize_keras_object(self.base),
            "num_bridges": self.num_bridges,
            "num_leapfrog_steps": self.num_leapfrog_steps,
            "persistence": self.persistence,
            "tempering": self.tempering,
            "betas": self.betas,
            "initial_step_size": self.initial_step_size,
            "largest_step_size": self.largest_step_size,
            "learn_step_sizes": self.learn_step_sizes,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer, without its weights."""
        base = keras.saving.deserialize_keras_object(config["base"])
        return cls(**{**config, "base": base})
