"""Training and evaluation of a latent variable model by its bound."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows import losses, replicas, schedules
from tfp_flows._count_metric import Count
from tfp_flows.models import compilation, defaults, importance_sampling
from tfp_flows.models.annealing_plan import AnnealingPlan
from tfp_flows.models.checked_model import CheckedModel, count_non_binary
from tfp_flows.models.inputs.images import select_images, to_event_shape
from tfp_flows.posteriors.posterior import Posterior
from tfp_flows.types import TensorLike

__all__ = ["BATCH_SIZE", "LatentVariableModel"]

BATCH_SIZE = 500  # examples at a time where nobody says how many


class LatentVariableModel(CheckedModel):
    """The steps and metrics of a model that maximises a bound on log p(x).

    A subclass has `encode`, `log_likelihood`, `log_prior` and the attributes
    below, and calls `_init_latent_variable_model` when it has them.
    """

    posterior: Posterior
    num_importance_samples: int
    gradient_estimator: str
    seed: int
    jit_compile: bool  # Keras's, of what is compiled next
    compiled_functions: dict[Any, Any]
    _requested_jit_compile: bool | str = False
    train_function: Any
    _is_fitting = False
    _fit_updates: int | None = None  # of the `fit` that is on; None: not known

    def _init_latent_variable_model(
        self, annealing: str | schedules.Annealing | None
    ) -> None:
        self.annealing = annealing
        self._trackers = {
            name: keras.metrics.Mean(name=name, dtype=self.variable_dtype)
            for name in self._metric_names()
        }
        self._num_evaluated = Count("num_evaluated")
        # Not by assignment, which would make them state that `export` saves.
        self.__dict__["compiled_functions"] = {}
        self._init_checked_inputs()

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

    def compile(
        self,
        optimizer: str | keras.Optimizer = "adam",
        *,
        jit_compile: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        """Configures training.

        Args:
          optimizer: as in `keras.Model.compile`.
          jit_compile: whether XLA compiles the steps. Default: "auto", not
            under a distribution strategy, when run eagerly, or for posteriors
            that XLA compiles for one size of batch alone, and in `fit`
            only if that is long enough to make up for the seconds that
            compiling takes: `epochs * steps_per_epoch * (K + 8) >= 16_000` for
            K flow steps in all, which are 1,000 updates for K = 8, or if it is
            not known how long it is. Once `fit` is compiled, it stays so. With
            XLA and without, numbers are equal to rounding.
            `models/compilation.py` has the measurements.
          **kwargs: others of `keras.Model.compile`.

        Raises:
          ValueError: a `loss` or metrics are given; the model has its own. Or
            `jit_compile` is none of its values.
        """
        if jit_compile not in (True, False, "auto"):
            raise ValueError(
                "`jit_compile` must be True, False or 'auto'; "
                f"got {jit_compile!r}."
            )
        for name in ("loss", "metrics", "weighted_metrics", "loss_weights"):
            if kwargs.get(name) is not None:
                raise ValueError(
                    f"`{name}` must not be given, as a DLGM's loss is its free "
                    "energy and its metrics are elbo, kl and reconstruction; "
                    f"got {kwargs[name]!r}."
                )
        self._requested_jit_compile = jit_compile
        if jit_compile == "auto":
            distributed = self._distribute_strategy is not None
            jit_compile = (
                not distributed
                and not kwargs.get("run_eagerly")
                and self.posterior.xla_takes_any_batch
            )
        self._fit_uses_xla: bool | None = None  # of the last `fit`
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        # Keras's has the dtype of `floatx`. Not by assignment, which would
        # list it among the model's own metrics as well.
        self.__dict__["_loss_tracker"] = keras.metrics.Mean(
            name="loss", dtype=self.variable_dtype
        )

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
        optimizer = _inner_optimizer(getattr(self, "optimizer", None))
        accumulated = getattr(optimizer, "gradient_accumulation_steps", None)
        updates = num_batches
        if num_batches:
            updates = max(1, num_batches // (accumulated or 1))
        if num_batches != 0:
            self.plan_annealing(updates)
        self._is_fitting, self._fit_updates = True, updates
        try:
            with self._compiled_for(num_batches):
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

    @contextlib.contextmanager
    def _compiled_for(self, num_batches: int | None) -> Iterator[None]:
        if self._requested_jit_compile != "auto" or not self.jit_compile:
            yield
            return
        uses_xla = bool(self._fit_uses_xla) or compilation.is_worth_xla(
            num_batches,
            compilation.count_flow_steps(self.posterior, self.prior),
        )
        if uses_xla and self._fit_uses_xla is False:
            self.train_function = self.test_function = None
        self._fit_uses_xla = self.jit_compile = uses_xla
        try:
            yield
        finally:
            self.jit_compile = True

    def get_compile_config(self) -> dict[str, Any]:
        """As `compile` was called, so that "auto" is resolved anew."""
        config = super().get_compile_config()
        if not config:
            return config
        return {**config, "jit_compile": self._requested_jit_compile}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the saved model was."""
        config = keras.saving.deserialize_keras_object(config)
        self.compile(**{k: v for k, v in config.items() if v is not None})
        if self.built:
            self.optimizer.build(self.trainable_variables)

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

    def _num_batches_trained(self) -> tf.Tensor:
        """How many batches came before this one; it is in every checkpoint.

        `optimizer.iterations` counts updates, of which one may accumulate the
        gradients of several batches; the annealing follows that.
        """
        optimizer: Any = _inner_optimizer(self.optimizer)
        # Private, but nothing else in Keras counts the batches.
        return tf.convert_to_tensor(optimizer._iterations)

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
        with tf.GradientTape() as tape:
            bound, terms = self.annealed_bound(
                x, standard_normal, weights, training=True
            )
            loss = replicas.mean_over_global_batch(-bound, batch.size)
            loss += self._other_losses()
            scaled_loss = self.optimizer.scale_loss(loss)
        variables = self.trainable_weights
        gradients = tape.gradient(scaled_loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return self._update_metrics(x, loss, terms, batch)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The bound on a replica's share of a batch, without annealing."""
        x = self._in_event_shape(select_images(data))
        rows = tf.shape(x)[0]
        batch = replicas.global_batch(rows)
        first_row = self._num_evaluated.value + tf.cast(
            batch.first_row, tf.int64
        )
        bound, terms = self.annealed_bound(
            x, self._noise(first_row, rows, 0, "evaluation")
        )
        loss = replicas.mean_over_global_batch(-bound, batch.size)
        loss += self._other_losses()
        self._num_evaluated.update_state(batch.size)
        return self._update_metrics(x, loss, terms, batch)

    def _other_losses(self) -> tf.Tensor:
        """Regularisation losses of the parts, this replica's portion."""
        count = tf.distribute.get_strategy().num_replicas_in_sync
        losses = [tf.cast(v, self.variable_dtype) for v in self.losses]
        return tf.add_n(losses) / count if losses else 0.0

    def _update_metrics(
        self,
        x: tf.Tensor,
        loss: tf.Tensor,
        terms: losses.LogTerms,
        batch: replicas.GlobalBatch,
    ) -> dict[str, tf.Tensor]:
        """Adds the global batch on every replica; returns what is logged."""
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
        sums = {n: tf.reduce_sum(values) for n, values in per_example.items()}
        sums["loss"] = loss
        if self.likelihood.support == "binary":
            sums["non_binary"] = tf.cast(count_non_binary(x), loss.dtype)
        totals = replicas.global_sum(sums)
        size = tf.cast(batch.size, loss.dtype)
        logs = {}
        for name, tracker in self._trackers.items():
            tracker.update_state(
                tf.math.divide_no_nan(totals[name], size), sample_weight=size
            )
            logs[name] = tracker.result()
        self._loss_tracker.update_state(totals["loss"], sample_weight=size)
        logs["loss"] = self._loss_tracker.result()
        if "non_binary" in totals:
            self._num_non_binary.update_state(totals["non_binary"])
        return logs

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


def _inner_optimizer(optimizer: Any) -> Any:
    """That of a `LossScaleOptimizer`, else the same."""
    return getattr(optimizer, "inner_optimizer", optimizer)
