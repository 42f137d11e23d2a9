"""A flow fitted to a two-dimensional target by minimising the free energy."""

import functools

import keras
import tensorflow as tf
from ml_collections import config_dict

from configs.flows import FLOWS
from tfp_flows import posteriors, schedules, targets
from tfp_flows.math import noise
from trainers import flows
from trainers.runs import errors, loop
from trainers.runs.training_run import TrainingRun

__all__ = ["EnergyModel", "EnergyRun", "check_config"]

_POSITIVE = (
    "posterior.num_flow_steps",
    "posterior.initial_scale",
    "training.num_samples",
    "optimizer.learning_rate",
    "evaluation.num_samples",
    "evaluation.batch_size",
    "evaluation.grid_size",
    "evaluation.half_width",
)
_NOT_NEGATIVE = (
    "training.seed",
    "training.annealing_steps",
    "optimizer.warmup_steps",
    "optimizer.final_fraction",
    "optimizer.global_clipnorm",
)


def check_config(config: config_dict.ConfigDict) -> None:
    """Refuses a config that cannot be run.

    Args:
      config: as made by `configs/energy_2d.py`.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    try:
        targets.get(config.data.target)
    except ValueError as error:
        raise errors.InputError(str(error)) from error
    if config.posterior.flow not in FLOWS:
        raise errors.InputError(
            f"`flow` must be one of {', '.join(FLOWS)}; "
            f"got {config.posterior.flow!r}."
        )
    loop.check_config(config)
    for key in (*_POSITIVE, *_NOT_NEGATIVE):
        group, name = key.split(".")
        value = config[group][name]
        if key in _POSITIVE and not value > 0:
            raise errors.InputError(f"`{key}` must be positive; got {value}.")
        if key in _NOT_NEGATIVE and not value >= 0:
            raise errors.InputError(
                f"`{key}` must not be negative; got {value}."
            )


class EnergyModel(keras.Model):
    """A posterior without a context, and the density that it is fitted to."""

    def __init__(self, config: config_dict.ConfigDict) -> None:
        """Makes the weights, which the config's seed decides.

        Args:
          config: as made by `configs/energy_2d.py`.
        """
        super().__init__(name="energy")
        self.target = targets.get(config.data.target)
        self.posterior = posteriors.FlowPosterior(
            self.target.event_shape[0],
            flow=flows.make_flow(config.posterior, seed=config.training.seed),
            base="log_diagonal",
            initial_scale=config.posterior.initial_scale,
        )
        self.posterior.build()
        steps = config.training.annealing_steps
        self.annealing = (
            schedules.JointAnnealing(steps)
            if steps
            else schedules.NoAnnealing()
        )
        self.built = True
        self._seed = config.training.seed
        self._num_samples = config.training.num_samples
        self._batch_size = config.evaluation.batch_size
        names = ("free_energy", "gradient_norm")
        self._means = [keras.metrics.Mean(name) for name in names]
        compiled = functools.partial(
            tf.function, jit_compile=config.training.jit_compile
        )
        self.free_energy_terms = compiled(self._free_energy_terms)
        self.log_prob = compiled(self._log_prob)

    @property
    def metrics(self) -> list[keras.Metric]:
        """Running means of the free energy and of its gradient's norm."""
        return self._means

    def train_step(self) -> dict[str, tf.Tensor]:
        """One update, on noise that the step's number decides."""
        step = tf.convert_to_tensor(self.optimizer.iterations)
        variables = self.trainable_variables
        weights = self.annealing.weights(step)
        with tf.GradientTape() as tape:
            log_prob, target_log_prob = self._terms(
                self._num_samples, step, "training"
            )[1:]
            loss = tf.reduce_mean(
                weights.posterior * log_prob
                - weights.likelihood * target_log_prob
            )
        gradients = tape.gradient(loss, [v.value for v in variables])
        self.optimizer.apply(gradients, variables)
        free_energy = tf.reduce_mean(log_prob - target_log_prob)
        values = (free_energy, tf.linalg.global_norm(gradients))
        for mean, value in zip(self._means, values, strict=True):
            mean.update_state(value)
        return {mean.name: mean.result() for mean in self._means}

    def _terms(
        self, num_samples: int, step: tf.Tensor, purpose: str
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Samples z `[N, 2]`, their ln q and their ln p~."""
        standard_normal = noise.normal(
            [num_samples, self.posterior.noise_size],
            seed=self._seed,
            step=tf.cast(step, tf.int64),
            purpose=purpose,
        )
        z, log_prob = self.posterior.push_forward(
            standard_normal, self.posterior.parameters()
        )
        return z, log_prob, self.target.unnormalized_log_prob(z)

    def _free_energy_terms(
        self, index: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Samples of evaluation batch `index` and their ln q - ln p~."""
        z, log_prob, target_log_prob = self._terms(
            self._batch_size, index, "evaluation"
        )
        return z, log_prob - target_log_prob

    def _log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """Log density of any points, through the inverse of the flow."""
        return self.posterior.distribution().log_prob(z)


class EnergyRun(TrainingRun):
    """An `EnergyModel` in training; all its noise is drawn in the steps."""

    watched = "free_energy"
    num_digits = 4

    def __init__(
        self,
        config: config_dict.ConfigDict,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        """Makes everything as at the first step.

        Args:
          config: as made by `configs/energy_2d.py`, checked.
          strategy: where to compute. Default: the current one.
        """
        super().__init__(
            config, strategy or tf.distribute.get_strategy(), EnergyModel
        )

    @property
    def description(self) -> str:
        """What is trained on what, for the log."""
        settings = self.config.posterior
        return f"{self.model.target.name}: " + flows.in_words(
            settings.flow, settings.num_flow_steps
        )
