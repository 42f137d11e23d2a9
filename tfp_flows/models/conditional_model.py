"""Maximum likelihood of examples given features of contexts, or not."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows._arguments import as_positive_integer
from tfp_flows.math import noise
from tfp_flows.models import density_sampling
from tfp_flows.models.compiled_functions import CompiledFunctions
from tfp_flows.models.inputs import examples
from tfp_flows.models.inputs.images import is_dataset
from tfp_flows.models.maximum_likelihood import NoiseKey
from tfp_flows.models.standardized_model import StandardizedModel

__all__ = ["ConditionalModel"]


class ConditionalModel(StandardizedModel):
    """Log-likelihoods and samples of a trained model.

    A subclass says what noise makes a sample, and how.
    """

    def _init_metrics(self, *names: str) -> None:
        super()._init_metrics(*names)
        self._compiled = CompiledFunctions()

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        """`log p(x | context)` of each example, `[N]`, as `log_prob`.

        Args:
          x: as in `fit`.
          **kwargs: others of `keras.Model.predict`.

        Raises:
          ValueError: data that the model cannot take.
        """
        self._num_evaluated.reset_state()
        return super().predict(x, **kwargs)

    def predict_step(self, data: Any) -> tf.Tensor:
        """The log-likelihoods of a replica's share of a batch."""
        inputs, batch = self._begin(data)
        key = NoiseKey(self._count_evaluated(batch), 0, "evaluation")
        return self._log_likelihoods(inputs, key, training=False)

    def log_prob(self, x: Any, context: Any = None) -> tf.Tensor:
        """`log p(x | context)` of each example, `[N]`, in nats.

        Of discrete data, the bound with the noise of `evaluate`. In a
        `tf.function`, values are not checked.

        Args:
          x: examples, in any form that `fit` takes.
          context: one for each, unless x holds them.

        Raises:
          ValueError: the model is not built, or cannot take the data.
        """
        self.require_built()
        if context is not None:
            if isinstance(x, Mapping) or is_dataset(x):
                raise ValueError(
                    "`context` must be None where `x` is a dict or a data set, "
                    f"which holds it; got {type(x).__name__} as `x`."
                )
            x = {"x": x, "context": context}
        if _is_symbolic(x):  # checked as far as its shape is known
            return self._log_prob(x, 0)
        prepared = self._checked(x, "x")
        found, first_row = [], 0
        for batch in examples.batches(prepared, self._examples_at_once):
            found.append(self._log_prob(batch, first_row))
            first_row += len(batch["x"])
        return tf.concat(found, axis=0)

    def _log_prob(self, batch: Any, first_row: int) -> tf.Tensor:
        def log_likelihoods(inputs: Any, row: Any, *_: Any) -> tf.Tensor:
            key = NoiseKey(row, 0, "evaluation")
            return self._log_likelihoods(inputs, key, training=False)

        inputs = self._inputs(batch)
        if self._is_shared:
            return self._by_replicas(
                "log_prob",
                log_likelihoods,
                inputs,
                at_once=self._examples_at_once,
                first_row=first_row,
            )
        return self._compiled.call(
            "log_prob",
            log_likelihoods,
            [inputs, tf.constant(first_row, tf.int64)],
            batch_axes=[1, 0],
        )

    def sample(self, n: int, context: Any = None, seed: int = 0) -> tf.Tensor:
        """Samples of `p(x | context)`; whole numbers where data are discrete.

        The first call traces the pass from noise to samples, for any n and any
        number of contexts; under a strategy, the first one of each n. Many
        samples take several passes, so that memory grows with the samples
        alone; to rounding, they are the same. For many calls of one size,
        `tf.function(lambda: model.sample(n, seed=seed), jit_compile=True)` is
        faster still.

        Args:
          n: how many, of each context.
          context: `[B, ...]`, of a conditional density.
          seed: decides the noise, in [0, 2**31).

        Returns:
          `[n, *event_shape]`; with contexts `[n, B, *event_shape]`.

        Raises:
          ValueError: the model is not built, n is not a positive integer, or
            the context does not fit.
          NotImplementedError: a flow has the direction of densities alone.
        """
        n = as_positive_integer("n", n)
        noise.check_seed(seed)
        self.require_built()
        context = self._checked_context(context)
        settings: dict[str, Any] = {
            "noise_size": self._noise_size,
            "seed": seed,
            "dtype": self.variable_dtype,
        }
        try:
            if self._is_shared:
                return density_sampling.sampled_by_replicas(
                    self._samples,
                    n,
                    context,
                    by_replicas=self._by_replicas,
                    **settings,
                )
            return density_sampling.sampled(
                self._push_forward, n, context, **settings
            )
        except NotImplementedError as error:
            raise NotImplementedError(
                "`sample` must have flows with the direction of samples, from "
                "the base to data; got one that lacks it."
            ) from error

    def _push_forward(
        self, standard_normal: tf.Tensor, context: tf.Tensor | None
    ) -> tf.Tensor:
        batch_axes = [standard_normal.shape.rank - 1]
        arguments = [standard_normal]
        if context is not None:
            batch_axes.append(1)
            arguments.append(context)
        return self._compiled.call(
            "sample", self._samples, arguments, batch_axes
        )

    @property
    def _noise_size(self) -> int:
        """How many standard normal numbers make one sample."""
        raise NotImplementedError

    def _samples(
        self, standard_normal: tf.Tensor, context: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The data that noise stands for, in the shape of examples.

        Args:
          standard_normal: `[S, noise_size]`; with contexts
            `[S, B, noise_size]`.
          context: `[B, ...]`, or None.
        """
        raise NotImplementedError


def _is_symbolic(x: Any) -> bool:
    """Whether examples, or contexts, are tensors of a graph in the making."""
    parts = x.values() if isinstance(x, Mapping) else [x]
    return any(map(tf.is_symbolic_tensor, parts))
