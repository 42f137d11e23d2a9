"""Training and evaluation of a latent variable model by its bound."""

import abc
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import losses, replicas, schedules
from tfp_flows._arguments import as_positive_integer
from tfp_flows.math import noise
from tfp_flows.models import (
    compilation,
    defaults,
    dlgm_parts,
    importance_sampling,
    row_passes,
)
from tfp_flows.models.annealed_model import AnnealedModel
from tfp_flows.models.annealing_plan import AnnealingPlan
from tfp_flows.models.checked_model import count_non_binary
from tfp_flows.models.event_shapes import static_event_shape
from tfp_flows.models.inputs.images import select_images, to_event_shape
from tfp_flows.posteriors import FlowPosterior, Posterior
from tfp_flows.types import TensorLike

__all__ = ["BATCH_SIZE", "LatentVariableModel"]

tfd = tfp.distributions

BATCH_SIZE = 500  # examples at a time where nobody says how many


class LatentVariableModel(AnnealedModel):
    """The steps and metrics of a model that maximises a bound on log p(x).

    A subclass has `log_joint_terms`, and calls `_init_latent_variable_model`.
    """

    encoder: keras.layers.Layer
    posterior: Posterior
    num_importance_samples: int
    gradient_estimator: str
    seed: int
    compiled_functions: dict[Any, Any]
    OBJECTIVE = "free energy"
    METRICS = "elbo, kl and reconstruction"
    # What `log q(z | x) - log p(z)` and `log p(x | z)` are called.
    TERM_NAMES: tuple[str, str] = ("kl", "reconstruction")
    # Arguments that `get_config` returns as the constructor takes them.
    PLAIN: tuple[str, ...] = ("dtype",)

    def _init_latent_variable_model(
        self,
        encoder: keras.layers.Layer,
        posterior: Posterior,
        annealing: str | schedules.Annealing | None,
        num_importance_samples: int,
        gradient_estimator: str,
        seed: int,
    ) -> None:
        """Checks and takes the arguments that all these models have."""
        dlgm_parts.check_network("encoder", encoder)
        kind = type(self).__name__
        dlgm_parts.check_posterior(posterior, kind)
        if posterior.variable_dtype != self.variable_dtype:
            raise ValueError(
                "`posterior` must have the model's dtype, "
                f"{self.variable_dtype}; got {posterior.variable_dtype}."
            )
        if isinstance(posterior, FlowPosterior):
            posterior.fix_kl_weight(
                f"in a {kind}, which weighs the KL term with `annealing`"
            )
        num_importance_samples = as_positive_integer(
            "num_importance_samples", num_importance_samples
        )
        noise.check_seed(seed)
        if gradient_estimator == "auto":
            gradient_estimator = defaults.gradient_estimator(
                posterior, num_importance_samples
            )
        losses.check_gradient_estimator(
            gradient_estimator, num_importance_samples
        )
        self.encoder = encoder
        self.posterior = posterior
        self.num_importance_samples = num_importance_samples
        self.gradient_estimator = gradient_estimator
        self.seed = int(seed)
        self.annealing = annealing
        self._init_metrics(*self._metric_names())
        # Not by assignment, which would make them state that `export` saves.
        self.__dict__["compiled_functions"] = {}

    @property
    def _xla_takes_any_batch(self) -> bool:
        return self.posterior.xla_takes_any_batch

    @property
    def _num_flow_steps(self) -> int:
        return compilation.count_flow_steps(self.posterior)

    @property
    def bound_names(self) -> tuple[str, str, str]:
        """What the bound and its two terms are called, in metrics and `bounds`.

        "elbo", "kl" and "reconstruction"; where the posterior has no density,
        "auxiliary_elbo", a lower bound on the ELBO, and "auxiliary_kl", an
        upper one on the KL.
        """
        posterior_term, likelihood_term = self.TERM_NAMES
        auxiliary = "" if self.posterior.has_density else "auxiliary_"
        return (
            f"{auxiliary}elbo",
            f"{auxiliary}{posterior_term}",
            likelihood_term,
        )

    def _metric_names(self) -> list[str]:
        names = list(self.bound_names)
        names.extend(self.posterior.diagnostic_names)
        if self.num_importance_samples > 1:
            names.append(f"iwae_{self.num_importance_samples}")
        return names

    def _plan_of(
        self, annealing: str | schedules.Annealing | None
    ) -> AnnealingPlan:
        default = defaults.annealing(
            self.posterior, self.num_importance_samples
        )
        return AnnealingPlan(annealing, default)

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict | None = None
    ) -> Any:
        """The model, without its weights."""

        def restored(value: Any) -> Any:
            if isinstance(value, dict):
                return keras.saving.deserialize_keras_object(
                    value, custom_objects=custom_objects
                )
            if isinstance(value, list):
                return [restored(v) for v in value]
            return value

        return cls(
            **{
                name: value if name in cls.PLAIN else restored(value)
                for name, value in config.items()
            }
        )

    def _common_config(self) -> dict[str, Any]:
        """The arguments that all these models have."""
        serialize = keras.saving.serialize_keras_object
        given = self._annealing.given
        return {
            "encoder": serialize(self.encoder),
            "posterior": serialize(self.posterior),
            "annealing": given if given == "auto" else serialize(given),
            "num_importance_samples": self.num_importance_samples,
            "gradient_estimator": self.gradient_estimator,
            "event_shape": self.event_shape,
            "seed": self.seed,
        }

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

    def _build_posterior(self, input_shape: tuple[int | None, ...]) -> None:
        """Learns the shape of examples; builds encoder and posterior."""
        if self.event_shape is None:
            self.event_shape = static_event_shape(input_shape)
        images = keras.KerasTensor(
            (None, *self.image_shape), dtype=self.variable_dtype
        )
        context_size = dlgm_parts.context_size(self.encoder(images), images)
        if not self.posterior.built:
            self.posterior.build((None, context_size))

    def encode(self, x: tf.Tensor, training: bool = False) -> Any:
        """The parameters of q(z | x): all that depends on the examples.

        Args:
          x: `[B, *event_shape]`.
          training: passed to the encoder.
        """
        return self.posterior.parameters(self.encoder(x, training=training))

    @abc.abstractmethod
    def log_joint_terms(
        self, x: tf.Tensor, z: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`log p(x | z)` and `log p(z)`, each `[S, B]`, of `z` `[S, B, D]`."""

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

    @tf.autograph.experimental.do_not_convert
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

    @tf.autograph.experimental.do_not_convert
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
        parts = (
            terms.log_weights,
            terms.log_posterior - terms.log_prior,
            terms.log_likelihood,
        )
        per_sample = {
            **dict(zip(self.bound_names, parts, strict=True)),
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
        non_binary = count_non_binary(x) if self._is_binary else None
        return self._update_metrics(loss, per_example, batch, non_binary)

    # Use of a trained model.

    def posterior_distribution(self, x: Any) -> tfd.Distribution:
        """q(z | x), batch shape `[N]`; its `log_prob` takes any z.

        Args:
          x: examples in any form that `fit` takes.

        Raises:
          ValueError: the model is not built, or cannot take the examples.
        """
        x = tf.convert_to_tensor(self._checked_images(x))
        return self.posterior.make_distribution(self.encode(x))

    def posterior_mean(self, x: Any) -> tf.Tensor:
        """The z that the posterior makes of no noise: of a Gaussian, its mean.

        Args:
          x: images in any form that `fit` takes.

        Returns:
          `[N, D]`.

        Raises:
          ValueError: the model is not built, or cannot take the images.
        """
        passes = self._passes(
            lambda x, *_: self._latents(x, self._no_noise(x))[0],
            self._checked_images(x),
            "posterior mean",
        )
        return tf.concat([means for _, means in passes], axis=0)

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
          Arrays `[N]`, by `bound_names`.

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

    def _passes(
        self,
        function: row_passes.RowFunction,
        rows: Any,
        *key: Hashable,
        seed: int = 0,
    ) -> Iterator[tuple[int, tf.Tensor]]:
        """See `row_passes.passes`; the function is the same for equal keys."""
        return row_passes.passes(
            function,
            rows,
            seed=seed,
            at_once=BATCH_SIZE,
            strategy=self.distribute_strategy,
            cache=self.compiled_functions,
            key=("passes", *key),
        )

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
