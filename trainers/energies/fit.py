"""Fits a flow to a two-dimensional target by minimising the free energy."""

import math
import os
import time

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from ml_collections import config_dict

from configs.flows import FLOWS
from tfp_flows import targets
from tfp_flows.math import noise
from trainers import flows
from trainers.energies.surrogate import SurrogatePosterior
from trainers.runs import errors, progress, signals
from trainers.runs import workdir as workdirs

__all__ = [
    "TargetFit",
    "check_config",
    "checkpoint_manager",
    "train",
]

_POSITIVE = (
    "posterior.num_flow_steps",
    "posterior.initial_scale",
    "training.num_steps",
    "training.num_samples",
    "training.steps_per_execution",
    "training.checkpoint_steps",
    "training.checkpoints_to_keep",
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
    for key in (*_POSITIVE, *_NOT_NEGATIVE):
        group, name = key.split(".")
        value = config[group][name]
        if key in _POSITIVE and not value > 0:
            raise errors.InputError(f"`{key}` must be positive; got {value}.")
        if key in _NOT_NEGATIVE and not value >= 0:
            raise errors.InputError(
                f"`{key}` must not be negative; got {value}."
            )
    every = config.training.steps_per_execution
    if config.training.checkpoint_steps % every:
        raise errors.InputError(
            "`training.checkpoint_steps` must be a multiple of "
            f"`training.steps_per_execution`, {every}; "
            f"got {config.training.checkpoint_steps}."
        )


def _make_optimizer(config: config_dict.ConfigDict) -> keras.Optimizer:
    """Adam, warmed up linearly and then cooled along a cosine."""
    settings = config.optimizer
    warmup_steps = min(settings.warmup_steps, config.training.num_steps // 2)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else settings.learning_rate,
        decay_steps=config.training.num_steps - warmup_steps,
        alpha=settings.final_fraction,
        warmup_target=settings.learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
    return keras.optimizers.Adam(
        schedule,
        beta_2=settings.beta_2,
        global_clipnorm=settings.global_clipnorm or None,
    )


class TargetFit:
    """A surrogate posterior, its target and the state of its training."""

    def __init__(self, config: config_dict.ConfigDict) -> None:
        """Makes weights and optimizer as `config` says.

        Args:
          config: as made by `configs/energy_2d.py`.
        """
        self.config = config
        self.target = targets.get(config.data.target)
        self.posterior = SurrogatePosterior(
            flows.make_flow(config.posterior, seed=config.training.seed),
            initial_scale=config.posterior.initial_scale,
        )
        self.posterior.build((None, *self.target.event_shape))
        self.optimizer = _make_optimizer(config)
        self.optimizer.build(self.posterior.trainable_variables)
        self.step = tf.Variable(0, dtype=tf.int64, name="step")
        jit_compile = config.training.jit_compile
        self._compiled_train_steps = tf.function(
            self._train_steps, jit_compile=jit_compile
        )
        self.free_energy_terms = tf.function(
            self._free_energy_terms, jit_compile=jit_compile
        )
        self.log_prob = tf.function(self._log_prob, jit_compile=jit_compile)
        # Lists of tf.Variable: tf.train does not look into Keras variables.
        self.checkpoint = tf.train.Checkpoint(
            step=self.step,
            weights=[v.value for v in self.posterior.variables],
            optimizer=[v.value for v in self.optimizer.variables],
        )

    @property
    def num_parameters(self) -> int:
        """Number of weights that are trained."""
        return sum(
            math.prod(v.shape) for v in self.posterior.trainable_variables
        )

    def _noise(
        self, num_samples: int, step: tf.Tensor, purpose: str
    ) -> tf.Tensor:
        return noise.normal(
            [num_samples, *self.target.event_shape],
            seed=self.config.training.seed,
            step=step,
            purpose=purpose,
        )

    def _free_energy_terms(
        self, index: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Samples of evaluation batch `index` and their ln q - ln p~."""
        z, log_prob = self.posterior.sample_and_log_prob(
            self._noise(self.config.evaluation.batch_size, index, "evaluation")
        )
        return z, log_prob - self.target.unnormalized_log_prob(z)

    def _log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """Log density of any points, through the inverse of the flow."""
        return self.posterior.distribution().log_prob(z)

    def _train_step(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One optimizer step; returns free energy and gradient norm."""
        variables = self.posterior.trainable_variables
        standard_normal = self._noise(
            self.config.training.num_samples, step, "training"
        )
        with tf.GradientTape() as tape:
            z, log_prob = self.posterior.sample_and_log_prob(standard_normal)
            target_log_prob = self.target.unnormalized_log_prob(z)
            loss = tf.reduce_mean(
                log_prob - self._target_weight(step) * target_log_prob
            )
        gradients = tape.gradient(loss, [v.value for v in variables])
        self.optimizer.apply(gradients, variables)
        free_energy = tf.reduce_mean(log_prob - target_log_prob)
        return free_energy, tf.linalg.global_norm(gradients)

    def _target_weight(self, step: tf.Tensor) -> tf.Tensor | float:
        """Joint annealing: the weight of ln p~, which rises to 1."""
        annealing_steps = self.config.training.annealing_steps
        if not annealing_steps:
            return 1.0
        return tf.minimum(
            1.0, 0.01 + tf.cast(step, tf.float32) / annealing_steps
        )

    def _train_steps(self, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`count` steps in one loop; the tail of both outputs stays zero."""
        size = self.config.training.steps_per_execution
        first = tf.identity(self.step)

        def body(
            i: tf.Tensor,
            free_energies: tf.TensorArray,
            gradient_norms: tf.TensorArray,
        ) -> tuple[tf.Tensor, tf.TensorArray, tf.TensorArray]:
            free_energy, gradient_norm = self._train_step(
                first + tf.cast(i, tf.int64)
            )
            return (
                i + 1,
                free_energies.write(i, free_energy),
                gradient_norms.write(i, gradient_norm),
            )

        _, free_energies, gradient_norms = tf.while_loop(
            lambda i, *_: i < count,
            body,
            (
                tf.constant(0),
                tf.TensorArray(tf.float32, size, element_shape=[]),
                tf.TensorArray(tf.float32, size, element_shape=[]),
            ),
        )
        self.step.assign_add(tf.cast(count, tf.int64))
        return free_energies.stack(), gradient_norms.stack()

    def train_steps(self, count: int) -> dict[str, np.ndarray]:
        """Takes `count` steps, at most `training.steps_per_execution`.

        Args:
          count: number of optimizer steps.

        Returns:
          `free_energy` and `gradient_norm` of every step, `[count]`.

        Raises:
          NonFiniteError: if one of them is not finite, naming it and the step.
        """
        first = int(self.step)
        free_energy, gradient_norm = self._compiled_train_steps(
            tf.constant(count)
        )
        metrics = {
            "free_energy": free_energy.numpy()[:count],
            "gradient_norm": gradient_norm.numpy()[:count],
        }
        finite = {name: np.isfinite(v) for name, v in metrics.items()}
        if not all(v.all() for v in finite.values()):
            name, index = min(
                (
                    (n, int(np.argmin(v)))
                    for n, v in finite.items()
                    if not v.all()
                ),
                key=lambda pair: pair[1],
            )
            raise errors.NonFiniteError(
                f"`{name}` must stay finite; got {metrics[name][index]} at "
                f"step {first + index + 1}. The run was stopped; its last "
                "checkpoint is from before that step."
            )
        return metrics


def checkpoint_manager(
    fit: TargetFit, workdir: str
) -> tf.train.CheckpointManager:
    """The checkpoints of `workdir`; only its own surplus ones are removed."""
    return tf.train.CheckpointManager(
        fit.checkpoint,
        os.path.join(workdir, "checkpoints"),
        max_to_keep=fit.config.training.checkpoints_to_keep,
    )


def train(
    fit: TargetFit, workdir: str, termination: signals.Termination
) -> None:
    """Trains to the last step, resuming from the newest checkpoint if any.

    Args:
      fit: the state; changed in place.
      workdir: a directory that `workdir.prepare` has accepted.
      termination: whether to stop; it is put off during the steps.

    Raises:
      NonFiniteError: see `TargetFit.train_steps`. What was logged and saved
        before stays.
      Terminated: SIGTERM came; a checkpoint of that step is saved.
      Interrupted: the same for Ctrl-C.
    """
    settings = fit.config.training
    checkpoints = checkpoint_manager(fit, workdir)
    checkpoints.restore_or_initialize()
    metrics_log = workdirs.MetricsLog(workdir)
    metrics_log.rewind(int(fit.step))
    logging.info(
        "%s: %d %s steps, %s parameters; step %s of %s.",
        fit.target.name,
        fit.config.posterior.num_flow_steps,
        fit.config.posterior.flow,
        f"{fit.num_parameters:,}",
        f"{int(fit.step):,}",
        f"{settings.num_steps:,}",
    )
    with (
        termination.put_off(),
        progress.StepBar(
            settings.num_steps,
            int(fit.step),
            jit_compile=settings.jit_compile,
        ) as bar,
    ):
        while int(fit.step) < settings.num_steps:
            count = min(
                settings.steps_per_execution,
                settings.num_steps - int(fit.step),
            )
            start = time.perf_counter()
            metrics = fit.train_steps(count)
            seconds = time.perf_counter() - start
            step = int(fit.step)
            means = {
                name: float(np.mean(values, dtype=np.float64))
                for name, values in metrics.items()
            }
            metrics_log.append(
                {"step": step, **means, "seconds_per_step": seconds / count}
            )
            bar.update(count)
            bar.set_postfix(free_energy=f"{means['free_energy']:.4f}")
            is_last = step >= settings.num_steps
            is_stopped = termination.requested is not None
            if is_last or is_stopped or step % settings.checkpoint_steps == 0:
                checkpoints.save(step)
                logging.info(
                    "Step %d: free energy %.4f.", step, means["free_energy"]
                )
            if is_stopped:
                termination.stop(step, checkpoints.directory)
