"""Training of a density by maximum likelihood."""

import abc
from collections.abc import Hashable
from typing import Any, NamedTuple

import tensorflow as tf

from tfp_flows import replicas
from tfp_flows.models import row_passes
from tfp_flows.models.trained_model import TrainedModel
from tfp_flows.types import TensorLike

__all__ = ["MaximumLikelihoodModel", "NoiseKey"]


class NoiseKey(NamedTuple):
    """What the noise of a batch depends on, beside the model's seed."""

    first_row: TensorLike  # of the batch's examples
    step: TensorLike
    purpose: str


class MaximumLikelihoodModel(TrainedModel):
    """The steps of a model that maximises the mean of log p(x), in nats.

    A subclass has `_inputs` and `_log_likelihoods`, and calls `_init_metrics`
    with the names of what `_metrics_of` returns.
    """

    OBJECTIVE = "negative log-likelihood"
    METRICS = "log_likelihood"
    compiled_functions: dict[Any, Any]  # see `row_passes.passes`

    def _init_metrics(self, *names: str) -> None:
        super()._init_metrics(*names)
        # Not tracked by Keras, as an attribute would be.
        self.__dict__["compiled_functions"] = {}

    @property
    def _is_shared(self) -> bool:
        """Whether replicas share what is asked outside of `fit`."""
        return row_passes.is_shared(self.distribute_strategy)

    def _by_replicas(
        self,
        key: Hashable,
        function: row_passes.RowFunction,
        rows: Any,
        *,
        at_once: int,
        seed: int = 0,
        first_row: int = 0,
    ) -> tf.Tensor:
        """All results of `row_passes.passes`, `[N, ...]`."""
        passes = row_passes.passes(
            function,
            rows,
            seed=seed,
            at_once=at_once,
            strategy=self.distribute_strategy,
            cache=self.compiled_functions,
            key=key,
            first_row=first_row,
        )
        return tf.concat([part for _, part in passes], axis=0)

    @abc.abstractmethod
    def _inputs(self, data: Any) -> Any:
        """The tensors that a step computes with, each `[B, ...]`."""

    @abc.abstractmethod
    def _log_likelihoods(
        self, inputs: Any, key: NoiseKey, training: bool
    ) -> tf.Tensor:
        """`log p(x)`, or a bound on it, of each example, `[B]`."""

    def _metrics_of(self, log_likelihoods: tf.Tensor) -> dict[str, tf.Tensor]:
        """What is shown, by name, each `[B]`."""
        return {"log_likelihood": log_likelihoods}

    def _num_non_binary_in(self, inputs: Any) -> tf.Tensor | None:
        """How many values are neither 0 nor 1, if that matters."""
        del inputs
        return None

    @tf.autograph.experimental.do_not_convert
    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One update on a replica's share of a batch."""
        inputs, batch = self._begin(data)
        key = NoiseKey(batch.first_row, self._num_batches_trained(), "training")

        def objective() -> tuple[tf.Tensor, tf.Tensor]:
            log_likelihoods = self._log_likelihoods(inputs, key, training=True)
            return log_likelihoods, log_likelihoods

        loss, log_likelihoods = self._update_weights(objective, batch.size)
        return self._end(inputs, loss, log_likelihoods, batch)

    @tf.autograph.experimental.do_not_convert
    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The log-likelihood of a replica's share of a batch."""
        inputs, batch = self._begin(data)
        key = NoiseKey(self._count_evaluated(batch), 0, "evaluation")
        log_likelihoods = self._log_likelihoods(inputs, key, training=False)
        loss = self._loss(log_likelihoods, batch.size)
        return self._end(inputs, loss, log_likelihoods, batch)

    def _begin(self, data: Any) -> tuple[Any, replicas.GlobalBatch]:
        inputs = self._inputs(data)
        rows = tf.shape(tf.nest.flatten(inputs)[0])[0]
        return inputs, replicas.global_batch(rows)

    def _end(
        self,
        inputs: Any,
        loss: tf.Tensor,
        log_likelihoods: tf.Tensor,
        batch: replicas.GlobalBatch,
    ) -> dict[str, tf.Tensor]:
        return self._update_metrics(
            loss,
            self._metrics_of(log_likelihoods),
            batch,
            self._num_non_binary_in(inputs),
        )
