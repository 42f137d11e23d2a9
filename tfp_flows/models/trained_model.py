"""Updates of a model by its own loss: compiled, with XLA where it pays."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from tfp_flows import replicas
from tfp_flows._count_metric import Count
from tfp_flows.math import tracing
from tfp_flows.models import compilation, step_loops
from tfp_flows.models.checked_model import CheckedModel

__all__ = ["TrainedModel", "inner_optimizer"]


class TrainedModel(CheckedModel):
    """A checked model with a loss and metrics of its own.

    A subclass calls `_init_metrics`; its steps call `_update_weights` and
    `_update_metrics`.
    """

    jit_compile: bool  # Keras's, of what is compiled next
    train_function: Any
    test_function: Any
    _requested_jit_compile: bool | str = False
    # What the loss and the metrics are, for the message on others.
    OBJECTIVE = "loss"
    METRICS = "others"

    def _init_metrics(self, *names: str) -> None:
        self._trackers = {
            name: keras.metrics.Mean(name=name, dtype=self.variable_dtype)
            for name in names
        }
        self._num_evaluated = Count("num_evaluated")
        self._init_checked_inputs()

    @property
    def _xla_takes_any_batch(self) -> bool:
        """False if XLA compiles the steps for one size of batch alone."""
        return True

    @property
    def _num_flow_steps(self) -> int:
        """K, over all flows of the model."""
        return 0

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
            under a distribution strategy, when run eagerly, on the host of a
            TPU, for which there is none, or for posteriors that XLA
            compiles for one size of batch alone, and in `fit`
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
                    f"`{name}` must not be given, as a {type(self).__name__}'s "
                    f"loss is its {self.OBJECTIVE} and its metrics are "
                    f"{self.METRICS}; got {kwargs[name]!r}."
                )
        if tracing.rounds_products():
            self._said.rounded_products()
        self._requested_jit_compile = jit_compile
        if jit_compile == "auto":
            distributed = self._distribute_strategy is not None
            jit_compile = (
                not distributed
                and not kwargs.get("run_eagerly")
                and self._xla_takes_any_batch
                and tracing.has_xla()
            )
        self._fit_uses_xla: bool | None = None  # of the last `fit`
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        # Keras's has the dtype of `floatx`. Not by assignment, which would
        # list it among the model's own metrics as well.
        self.__dict__["_loss_tracker"] = keras.metrics.Mean(
            name="loss", dtype=self.variable_dtype
        )

    @contextlib.contextmanager
    def _fitting(self, num_batches: int | None) -> Iterator[None]:
        with self._compiled_for(num_batches):
            yield

    @contextlib.contextmanager
    def _compiled_for(self, num_batches: int | None) -> Iterator[None]:
        if self._requested_jit_compile != "auto" or not self.jit_compile:
            yield
            return
        uses_xla = bool(self._fit_uses_xla) or compilation.is_worth_xla(
            num_batches, self._num_flow_steps
        )
        if uses_xla and self._fit_uses_xla is False:
            self.train_function = self.test_function = None
        self._fit_uses_xla = self.jit_compile = uses_xla
        try:
            yield
        finally:
            self.jit_compile = True

    def make_train_function(self, force: bool = False) -> Any:
        """Keras's; under a strategy, several steps by a loop of our own."""
        before = self.train_function
        super().make_train_function(force)
        if self.train_function is not before:
            self.train_function = self._looped(
                self.train_step, self.train_function
            )
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        """Keras's; under a strategy, several steps by a loop of our own."""
        before = self.test_function
        super().make_test_function(force)
        if self.test_function is not before:
            self.test_function = self._looped(
                self.test_step, self.test_function
            )
        return self.test_function

    def _looped(self, step: Any, of_keras: Any) -> Any:
        if (
            self._distribute_strategy is None
            or self.steps_per_execution == 1
            or self.run_eagerly
        ):
            return of_keras
        return step_loops.make_step_loop(self, step, of_keras)

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

    def _num_batches_trained(self) -> tf.Tensor:
        """How many batches came before this one; it is in every checkpoint.

        `optimizer.iterations` counts updates, of which one may accumulate the
        gradients of several batches.
        """
        optimizer: Any = inner_optimizer(self.optimizer)
        # Private, but nothing else in Keras counts the batches.
        return tf.convert_to_tensor(optimizer._iterations)

    def _count_evaluated(self, batch: replicas.GlobalBatch) -> tf.Tensor:
        """The index of the replica's first example in this evaluation."""
        first_row = self._num_evaluated.value + tf.cast(
            batch.first_row, tf.int64
        )
        self._num_evaluated.update_state(batch.size)
        return first_row

    def _update_weights(
        self, objective: Callable[[], tuple[tf.Tensor, Any]], size: tf.Tensor
    ) -> tuple[tf.Tensor, Any]:
        """One step along the gradient of this replica's part of the loss.

        Args:
          objective: returns what to maximise, `[B]`, and anything else.
          size: number of examples in the global batch.

        Returns:
          This replica's part of the loss, and the other thing.
        """
        with tf.GradientTape() as tape:
            per_example, rest = objective()
            loss = self._loss(per_example, size)
            scaled_loss = self.optimizer.scale_loss(loss)
        variables = self.trainable_weights
        gradients = tape.gradient(scaled_loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss, rest

    def _loss(self, per_example: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        """Minus the mean over the global batch, and losses of the parts."""
        loss = replicas.mean_over_global_batch(-per_example, size)
        count = tf.distribute.get_strategy().num_replicas_in_sync
        others = [tf.cast(v, self.variable_dtype) for v in self.losses]
        return loss + (tf.add_n(others) / count if others else 0.0)

    def _update_metrics(
        self,
        loss: tf.Tensor,
        per_example: Mapping[str, tf.Tensor],
        batch: replicas.GlobalBatch,
        num_non_binary: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """Adds the global batch on every replica; returns what is logged.

        Args:
          loss: this replica's part.
          per_example: by the names of `_init_metrics`, each `[B]`.
          batch: the replica's place in the global one.
          num_non_binary: how many pixels of its share are neither 0 nor 1.
        """
        sums = {n: tf.reduce_sum(values) for n, values in per_example.items()}
        sums["loss"] = loss
        if num_non_binary is not None:
            sums["non_binary"] = tf.cast(num_non_binary, loss.dtype)
        totals = replicas.global_sum(sums)
        size = tf.cast(batch.size, loss.dtype)
        logs = {}
        for name, tracker in self._trackers.items():
            tracker.update_state(
                tf.math.divide_no_nan(totals[name], size), sample_weight=size
            )
            logs[name] = self._logged(tracker)
        self._loss_tracker.update_state(totals["loss"], sample_weight=size)
        logs["loss"] = self._logged(self._loss_tracker)
        if "non_binary" in totals:
            self._num_non_binary.update_state(totals["non_binary"])
        return logs

    def _logged(self, tracker: keras.metrics.Mean) -> tf.Tensor:
        """Its result, in a form whose mean over replicas Keras can take.

        Under several workers it averages over an axis that a scalar does not
        have (https://github.com/tensorflow/tensorflow/issues/72388).
        """
        result = tracker.result()
        return result if self._has_one_worker else result[tf.newaxis]


def inner_optimizer(optimizer: Any) -> Any:
    """That of a `LossScaleOptimizer`, else the same."""
    return getattr(optimizer, "inner_optimizer", optimizer)
