"""Training and evaluation of a latent variable model by its bound."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows import losses, replicas, schedules
from tfp_flows.models import compilation, defaults, importance_sampling
from tfp_flows.models.annealing_plan import AnnealingPlan
from tfp_flows.models.checked_model import count_non_binary
from tfp_flows.models.inputs.images import select_images, to_event_shape
from tfp_flows.models.trained_model import TrainedModel, inner_optimizer
from tfp_flows.posteriors.posterior import Posterior
from tfp_flows.types import TensorLike

__all__ = ["BATCH_SIZE", "LatentVariableModel"]

BATCH_SIZE = 500  # examples at a time where nobody says how many


class LatentVariableModel(TrainedModel):
    """The steps and metrics of a model that maximises a bound on log p(x).

    A subclass has `encode`, `log_likelihood`, `log_prior` and the attributes
    below, and calls `_init_latent_variable_model` when it has them.
    """

    posterior: Posterior
    num_importance_samples: int
    gradient_estimator: str
    seed: int
    compiled_functions: dict[Any, Any]
    OBJECTIVE = "free energy"
    METRICS = "elbo, kl and reconstruction"
    _is_fitting = False
    _fit_updates: int | None = None  # of the `fit` that is on; None: not known

    def _init_latent_variable_model(
        self, annealing: str | schedules.Annealing | None
    ) -> None:
        self.annealing = annealing
        self._init_metrics(*self._metric_names())
        # Not by assignment, which would make them state that `export` saves.
        self.__dict__["compiled_functions"] = {}

    @property
    def _xla_takes_any_batch(self) -> bool:
        return self.posterior.xla_takes_any_batch

    @property
    def _num_flow_steps(self) -> int:
        return compilation.count_flow_steps(self.posterior, self.prior)

    @property
    def bound_names(self) -> tuple[str, str]:
        """What the bound and its KL term are called, in metrics and `bounds`.

        "elbo" and "kl"; where the posterior has no density, "auxiliary_elbo",
        a lower bound on the ELBO, and "auxiliary_kl", an upper one on the KL.
        """
        if self.posterior.has_density:
            return "elbo", "kl"
        return "auxiliary_elbo", "auxiliary_kl"

    def _metric_names(self) -> list[str]:
        names = [*self.bound_names, "reconstruction"]
        names.extend(self.posterior.diagnostic_names)
        if self.num_importance_samples > 1:
            names.append(f"iwae_{self.num_importance_samples}")
        return names

    @property
    def annealing(self) -> schedules.Annealing:
        """The schedule of the free energy's weights; may be set.

        What is set is one of `tfp_flows.schedules`, a name, None, or "auto".
        If its length is a share of the updates, it is known from `fit` on.
        """
        return self._annealing.schedule

    @annealing.setter
    def annealing(self, value: str | schedules.Annealing | None) -> None:
        default = defaults.annealing(
            self.posterior, self.num_importance_samples
        )
        plan = AnnealingPlan(value, default)
        if self._is_fitting:
            plan.plan(self._fit_updates, self._num_updates())
        self._annealing = plan
        self._forget_train_function()

    def _forget_train_function(self) -> None:
        """Compiled steps have the schedule in them; a `fit` needs new ones."""
        if self._is_fitting and self.train_function is not None:
            self.make_train_function(force=True)
        else:
            self.train_function = None

    def plan_annealing(self, num_updates: int | None) -> None:
        """Says how many updates there will be, if annealing is a share of them.

        `fit` does that. A loop around `train_step` or `train_on_batch` does it
        before its first update. Annealing that is over is not begun again.

        Args:
          num_updates: of the whole training, those before included; None if
            nobody knows: then "auto" does not anneal, and says so once.

        Raises:
          ValueError: it is not a positive integer, or it is None and the share
            was given to the constructor.
        """
        before = self._annealing.in_force
        if not self._annealing.plan(num_updates, self._num_updates()):
            self._said.unknown_length()
        now = self._annealing.in_force
        if now is not before and now != before:
            self._forget_train_function()

    def _num_updates(self) -> int:
        """How many updates there were."""
        optimizer = getattr(self, "optimizer", None)
        if optimizer is None:
            return 0
        return int(tf.convert_to_tensor(optimizer.iterations))  # mirrored too

    @contextlib.contextmanager
    def _fitting(self, num_batches: int | None) -> Iterator[None]:
        optimizer = inner_optimizer(getattr(self, "optimizer", None))
        accumulated = getattr(optimizer, "gradient_accumulation_steps", None)
        updates = num_batches
        if num_batches:
            updates = max(1, num_batches // (accumulated or 1))
        if num_batches != 0:
            self.plan_annealing(updates)
        self._is_fitting, self._fit_updates = True, updates
        try:
            with super()._fitting(num_batches):
                yield
        finally:
            self._is_fitting = False
        plan, step = self._annealing, self._num_updates()
        plan.settle(step)
        ends = getattr(plan.in_force, "num_steps", None) is not None
        if step and ends and plan.anneals(step):
            self._said.still_annealed(plan.in_force, step)

    def get_build_config(self) -> dict[str, Any] | None:
        """That of Keras, and how long annealing takes, for files to go on."""
        config, plan = super().get_build_config(), self._annealing.get_config()
        return {**(config or {}), "annealing": plan} if plan else config

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds the model as it was saved."""
        config = dict(config)
        plan = config.pop("annealing", {})
        super().build_from_config(config)
        self._annealing.restore(plan)

    def _in_event_shape(self, x: tf.Tensor) -> tf.Tensor:
        return tf.cast(to_event_shape(x, self.image_shape), self.variable_dtype)

    def _noise(
        self, first_row: tf.Tensor, rows: tf.Tensor, step: Any, purpose: str
    ) -> tf.Tensor:
        """Standard normal `[S, B, noise_size]`, each row with a key."""
        return self.posterior.noise(
            rows,
            self.num_importance_samples,
            first_row=first_row,
            seed=self.seed,
            step=step,
            purpose=purpose,
        )

    def log_joint_terms(
        self, x: tf.Tensor, z: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`log p(x | z)` and `log p(z)`, each `[S, B]`, of `z` `[S, B, D]`."""
        log_likelihood = self.log_likelihood(x, z, training=training)
        return log_likelihood, self.log_prior(z)

    def annealed_bound(
        self,
        x: tf.Tensor,
        standard_normal: tf.Tensor,
        weights: Sequence[TensorLike] = (1.0, 1.0, 1.0),
        training: bool = False,
    ) -> tuple[tf.Tensor, losses.LogTerms]:
        """The bound of each example, in training with its gradient's estimator.

        Args:
          x: `[B, *event_shape]`.
          standard_normal: `[S, B, noise_size]`.
          weights: annealing of the three terms. Default: ones.
          training: passed to encoder and decoder; False: no gradient is needed.

        Returns:
          The annealed bound `[B]`, and the terms without annealing.
        """
        # Without a gradient, a second pass through the flow is for nothing.
        estimator = self.gradient_estimator if training else "reparameterized"
        return losses.annealed_bound(
            self.posterior,
            self.encode(x, training=training),
            lambda z: self.log_joint_terms(x, z, training),
            standard_normal,
            weights,
            estimator,
        )

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One update on a replica's share of a batch."""
        x = self._in_event_shape(select_images(data))
        rows = tf.shape(x)[0]
        batch = replicas.global_batch(rows)
        step = tf.convert_to_tensor(self.optimizer.iterations)
        standard_normal = self._noise(
            batch.first_row, rows, self._num_batches_trained(), "training"
        )
        schedule = self._annealing.in_force
        weights = schedule.weights(step, dtype=self.variable_dtype)
        loss, terms = self._update_weights(
            lambda: self.annealed_bound(
                x, standard_normal, weights, training=True
            ),
            batch.size,
        )
        return self._log_terms(x, loss, terms, batch)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The bound on a replica's share of a batch, without annealing."""
        x = self._in_event_shape(select_images(data))
        rows = tf.shape(x)[0]
        batch = replicas.global_batch(rows)
        first_row = self._count_evaluated(batch)
        bound, terms = self.annealed_bound(
            x, self._noise(first_row, rows, 0, "evaluation")
        )
        loss = self._loss(bound, batch.size)
        return self._log_terms(x, loss, terms, batch)

    def _log_terms(
        self,
        x: tf.Tensor,
        loss: tf.Tensor,
        terms: losses.LogTerms,
        batch: replicas.GlobalBatch,
    ) -> dict[str, tf.Tensor]:
        """Adds the terms to the metrics; returns what is logged."""
        bound_name, kl_name = self.bound_names
        per_sample = {
            bound_name: terms.log_weights,
            kl_name: terms.log_posterior - terms.log_prior,
            "reconstruction": terms.log_likelihood,
            **terms.diagnostics,
        }
        per_example = {
            name: tf.reduce_mean(values, axis=0)
            for name, values in per_sample.items()
        }
        if self.num_importance_samples > 1:
            per_example[f"iwae_{self.num_importance_samples}"] = (
                losses.importance_weighted_bound(terms.log_weights)
            )
        is_binary = self.likelihood.support == "binary"
        return self._update_metrics(
            loss, per_example, batch, count_non_binary(x) if is_binary else None
        )

    # Use of a trained model.

    def posterior_mean(self, x: Any) -> tf.Tensor:
        """The z that the posterior makes of no noise: of a Gaussian, its mean.

        Args:
          x: images in any form that `fit` takes.

        Returns:
          `[N, D]`.

        Raises:
          ValueError: the model is not built, or cannot take the images.
        """
        return self._in_batches(
            lambda x, _: self._latents(x, self._no_noise(x))[0], x
        )

    def bounds(
        self, x: Any, num_samples: int, **kwargs: Any
    ) -> dict[str, np.ndarray]:
        """Bound, KL term and reconstruction of each image, in nats.

        See `tfp_flows.models.importance_sampling.bounds`. Two models of one
        seed are compared on the same noise.

        Args:
          x: images in any form that `fit` takes.
          num_samples: S, of which these are means; memory does not grow with
            it.
          **kwargs: others of `importance_sampling.bounds`.

        Returns:
          Arrays `[N]`, by `bound_names` and "reconstruction".

        Raises:
          ValueError: the model is not built, it cannot take the images, or an
            argument is bad.
        """
        return importance_sampling.bounds(
            self, self._checked_images(x), num_samples, **kwargs
        )

    def log_marginal_likelihood(
        self,
        x: Any,
        num_importance_samples: int = 1000,
        **kwargs: Any,
    ) -> importance_sampling.LogMarginalLikelihood:
        """Importance-sampled `log p(x)` of each image, in nats.

        See `tfp_flows.models.importance_sampling.estimate`.

        Args:
          x: images in any form that `fit` takes.
          num_importance_samples: S; memory does not grow with it.
          **kwargs: others of `estimate`.

        Returns:
          Estimates and their standard errors, one per image.

        Raises:
          ValueError: the model is not built, it cannot take the images, or an
            argument is bad.
        """
        return importance_sampling.estimate(
            self, self._checked_images(x), num_importance_samples, **kwargs
        )

    def _in_batches(
        self, function: Callable[[tf.Tensor, int], tf.Tensor], x: Any
    ) -> tf.Tensor:
        """A function of images and of the first one's index, of all images."""
        x = self._checked_images(x)
        batches = [
            function(tf.convert_to_tensor(x[first : first + BATCH_SIZE]), first)
            for first in range(0, len(x), BATCH_SIZE)
        ]
        return tf.concat(batches, axis=0)

    def _no_noise(self, x: tf.Tensor) -> tf.Tensor:
        """The middle of the noise of one sample, `[1, B, noise_size]`."""
        return tf.zeros(
            [1, tf.shape(x)[0], self.posterior.noise_size],
            self.posterior.variable_dtype,
        )

    def _latents(
        self, x: tf.Tensor, standard_normal: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Samples of q(z | x), `[S, B, D]`."""
        return self.posterior.sample_and_log_weight(
            standard_normal,
            self.encode(x, training=training),
            log_joint=lambda z: tf.add(*self.log_joint_terms(x, z, training)),
        )[0]
