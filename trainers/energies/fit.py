"""A posterior fitted to a target by minimising the free energy."""

import functools
import math
from collections.abc import Callable
from typing import Protocol

import keras
import tensorflow as tf
from ml_collections import config_dict

from tfp_flows import losses, posteriors, schedules
from tfp_flows.math import noise
from trainers import posterior_layers
from trainers.runs.training_run import TrainingRun

__all__ = ["EnergyModel", "EnergyRun", "Target"]


class Target(Protocol):
    """A density known up to its normaliser, and with it."""

    @property
    def name(self) -> str:
        """By which results know it."""

    @property
    def event_shape(self) -> tf.TensorShape:
        """Shape of one point, `[D]`."""

    @property
    def log_normalizer(self) -> float:
        """Log of the integral of `exp(unnormalized_log_prob(z))`."""

    def unnormalized_log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """`[..., D]` to `[...]`, in nats."""


class EnergyModel(keras.Model):
    """A posterior without a context, and the density that it is fitted to."""

    def __init__(self, config: config_dict.ConfigDict, target: Target) -> None:
        """Makes the weights, which the config's seed decides.

        To that end the global random generators of Python, NumPy and TensorFlow
        are seeded.

        Args:
          config: as made by `configs/energy_2d.py`.
          target: what to fit.
        """
        super().__init__(name="energy")
        self.target = target
        seed = config.training.seed
        keras.utils.set_random_seed(seed)
        self.posterior = posterior_layers.make_posterior(
            config.posterior, target.event_shape[0], seed=seed
        )
        self.posterior.build()
        steps = config.training.annealing_steps
        self.annealing = (
            schedules.JointAnnealing(steps)
            if steps
            else schedules.NoAnnealing()
        )
        self.built = True
        self._seed = seed
        # In which the base of the bridges is fitted alone.
        self._base_steps = 0
        if isinstance(self.posterior, posteriors.HamiltonianPosterior):
            share = config.training.get("base_share") or 0.0
            self._base_steps = round(share * config.training.num_steps)
        self._estimator = config.training.gradient_estimator
        self._num_samples = config.training.num_samples
        self._evaluation = config.evaluation
        names = ("free_energy", "gradient_norm")
        self._means = [
            keras.metrics.Mean(name)
            for name in (*names, *self.posterior.diagnostic_names)
        ]
        compiled = functools.partial(
            tf.function,
            jit_compile=config.training.jit_compile,
            autograph=False,
        )
        self.free_energy_terms = compiled(self._free_energy_terms)
        self.log_prob = compiled(self._log_prob)
        self.kl_bounds = compiled(self._kl_bounds)

    @property
    def metrics(self) -> list[keras.Metric]:
        """Running means of the free energy and of its gradient's norm."""
        return self._means

    def train_step(self) -> dict[str, tf.Tensor]:
        """One update, on noise that the step's number decides."""
        step = tf.convert_to_tensor(self.optimizer.iterations)
        if self._base_steps:
            gradients, values = tf.cond(
                step < self._base_steps,
                lambda: self._gradients(self.posterior.base, step),
                lambda: self._gradients(self.posterior, step),
            )
        else:
            gradients, values = self._gradients(self.posterior, step)
        self.optimizer.apply(gradients, self.trainable_variables)
        for mean, value in zip(self._means, values, strict=True):
            mean.update_state(value)
        return {mean.name: mean.result() for mean in self._means}

    def _gradients(
        self, posterior: posteriors.Posterior, step: tf.Tensor
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Those of the free energy of the posterior, or of its base alone.

        Returns:
          A gradient for each variable, and a value for each metric; zeros where
          the base has none.
        """
        with tf.GradientTape() as tape:
            bound, terms = losses.annealed_bound(
                posterior,
                posterior.parameters(),
                self._log_joint,
                self._noise(posterior, self._num_samples, step, "training"),
                self.annealing.weights(step),
                self._estimator,
            )
            loss = -tf.reduce_mean(bound)
        gradients = tape.gradient(
            loss,
            [v.value for v in self.trainable_variables],
            unconnected_gradients="zero",
        )
        values = {
            "free_energy": -terms.log_weights,
            "gradient_norm": tf.linalg.global_norm(gradients),
            **terms.diagnostics,
        }
        return gradients, [
            tf.reduce_mean(values.get(mean.name, 0.0)) for mean in self._means
        ]

    def _log_joint(self, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The target as the likelihood of a model whose prior is constant."""
        log_prob = self.target.unnormalized_log_prob(z)
        return log_prob, tf.zeros_like(log_prob)

    def _noise(
        self,
        posterior: posteriors.Posterior,
        num_samples: int,
        step: tf.Tensor,
        purpose: str,
    ) -> tf.Tensor:
        """One sample, `[1, N, noise_size]`, for each of N rows."""
        return noise.normal(
            [1, num_samples, posterior.noise_size],
            seed=self._seed,
            step=tf.cast(step, tf.int64),
            purpose=purpose,
        )

    def terms(
        self, num_samples: int, step: tf.Tensor, purpose: str
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Samples z `[N, D]`, minus their log weights, and their ln p~."""
        z, log_weight = self.posterior.sample_and_log_weight(
            self._noise(self.posterior, num_samples, step, purpose),
            self.posterior.parameters(),
            log_joint=self.target.unnormalized_log_prob,
        )
        z = z[0]
        return z, -log_weight[0], self.target.unnormalized_log_prob(z)

    def _free_energy_terms(
        self, index: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Samples of evaluation batch `index`, and their free energies."""
        z, log_posterior, log_target = self.terms(
            self._evaluation.batch_size, index, "evaluation"
        )
        return z, log_posterior - log_target

    def _kl_bounds(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Of samples of a CIF, whose means bracket the free energy of q(z).

        `log q(z)` is over-estimated with the indices that made z among those
        that it is averaged over, and under-estimated without.
        """
        settings = self._evaluation
        num_draws = settings.num_auxiliary_samples
        z, of_own, log_target = self.terms(
            settings.auxiliary_batch_size, index, "bounds"
        )
        lower = self.posterior.log_prob_lower_bound(
            z, num_samples=num_draws, seed=self._seed, step=index
        )
        upper = tf.reduce_logsumexp(
            tf.stack([of_own, lower + math.log(num_draws)]), axis=0
        ) - math.log(num_draws + 1)
        return upper - log_target, lower - log_target

    def _log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """Log density of any points, through the inverse of the flow."""
        return self.posterior.distribution().log_prob(z)


class EnergyRun(TrainingRun):
    """An `EnergyModel` in training; all its noise is drawn in the steps."""

    num_digits = 4

    def __init__(
        self,
        config: config_dict.ConfigDict,
        target: Target,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        """Makes everything as at the first step.

        Args:
          config: as made by `configs/energy_2d.py`, checked.
          target: what to fit.
          strategy: where to compute. Default: the current one.
        """
        make: Callable[[config_dict.ConfigDict], EnergyModel]
        make = functools.partial(EnergyModel, target=target)
        super().__init__(config, strategy or tf.distribute.get_strategy(), make)

    @property
    def watched(self) -> str:
        """The free energy."""
        return "free_energy"

    @property
    def description(self) -> str:
        """What is trained on what, for the log."""
        words = posterior_layers.in_words(self.config.posterior)
        return f"{self.model.target.name}: {words}"
