"""Maximum likelihood of examples given features of contexts, or not."""

import inspect
import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows._arguments import as_positive_integer
from tfp_flows.layers.moments import Moments
from tfp_flows.layers.standardization import Standardization
from tfp_flows.math import noise
from tfp_flows.models import density_sampling, dlgm_parts
from tfp_flows.models.compiled_functions import CompiledFunctions
from tfp_flows.models.inputs import examples
from tfp_flows.models.inputs.images import Region, is_dataset
from tfp_flows.models.inputs.prepare import prepare_checked
from tfp_flows.models.maximum_likelihood import (
    MaximumLikelihoodModel,
    NoiseKey,
)

__all__ = ["ConditionalModel"]

# Examples at a time where nobody says how many, and numbers in them.
_MOST_EXAMPLES, _MOST_NUMBERS = 2_000, 2**20


class ConditionalModel(MaximumLikelihoodModel):
    """A model of `x`, or of `x` given a context, in any form of data.

    Data are `x`, `{"x": x}` or `{"x": x, "context": c}`, arrays or data sets of
    batches. An encoder makes features of standardised contexts. A subclass sets
    the attributes below, says what it asks of `x`, and calls `_take_shapes`
    first in `build`.
    """

    context_shape: tuple[int, ...] | None
    encoder: keras.layers.Layer | None
    context_noise_scale: float  # of noise on contexts in training
    seed: int
    standardize: bool
    _standardization: Standardization

    def _init_metrics(self, *names: str) -> None:
        super()._init_metrics(*names)
        self.autocast = False  # data stay in full precision
        self._compiled = CompiledFunctions()

    @property
    def conditional(self) -> bool | None:
        """Whether there is a context; None if that is not known yet."""
        if self.built:
            return self.context_shape is not None
        return True if self.encoder is not None else None

    @property
    def _region(self) -> Region | None:
        """Where examples must lie; None: any finite numbers will do."""
        return None

    @property
    def _is_binary(self) -> bool:
        return False

    # Shapes.

    def _take_shapes(self, input_shape: Any) -> None:
        """Learns the shapes of examples and contexts from `build`'s argument.

        Args:
          input_shape: `[B, ...]` of x, or a dict of that by name.

        Raises:
          ValueError: an axis is unknown, or there is an encoder and no context.
        """
        found = examples.build_shapes(input_shape)
        self.event_shape = self.event_shape or found["x"]
        self.context_shape = found.get("context")
        if self.encoder is not None and self.context_shape is None:
            raise ValueError(
                "`input_shape` must be a dict of 'x' and 'context', as there "
                f"is an encoder; got {input_shape}."
            )

    @property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Of one example, and of one context if there are any."""
        shapes = {"x": self.image_shape}
        if self.context_shape is not None:
            shapes["context"] = self.context_shape
        return shapes

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes that the model was built for."""
        if not self.built:
            return None
        shapes = {name: (None, *shape) for name, shape in self._shapes.items()}
        return {"input_shape": shapes}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds the model as it was saved."""
        self.build(config["input_shape"])

    def _serving_spec(self) -> Any:
        specs = {
            name: keras.InputSpec(
                shape=(None, *shape), dtype=self.variable_dtype
            )
            for name, shape in self._shapes.items()
        }
        return specs["x"] if self.context_shape is None else specs

    @property
    def _examples_at_once(self) -> int:
        most = _MOST_NUMBERS // math.prod(self.image_shape)
        return max(1, min(_MOST_EXAMPLES, most))

    # Contexts.

    def _build_context(self) -> tuple[int | None, ...] | None:
        """Builds what turns contexts into features; their shape."""
        if self.context_shape is None:
            return None
        size = math.prod(self.context_shape)
        self._context_standardization = Standardization(
            dtype=self.variable_dtype, name="context_standardization"
        )
        self._context_standardization.build((None, size))
        if self.encoder is None:
            return (None, size)
        contexts = keras.KerasTensor(
            (None, *self.context_shape), dtype=self.variable_dtype
        )
        return (
            None,
            dlgm_parts.context_size(self.encoder(contexts), contexts),
        )

    def _normal(
        self, rows: tf.Tensor, size: int, key: NoiseKey, what: str
    ) -> tf.Tensor:
        return noise.normal_rows(
            rows,
            (size,),
            first_row=key.first_row,
            seed=self.seed,
            step=key.step,
            purpose=f"{key.purpose} {what}",
            dtype=self.variable_dtype,
        )

    def _features(
        self, context: tf.Tensor | None, key: NoiseKey | None, training: bool
    ) -> tf.Tensor | None:
        if context is None or self.context_shape is None:
            return None
        size = math.prod(self.context_shape)
        flat = self._context_standardization(tf.reshape(context, [-1, size]))
        if training and key is not None and self.context_noise_scale:
            flat += self.context_noise_scale * self._normal(
                tf.shape(flat)[0], size, key, "context noise"
            )
        if self.encoder is None:
            return flat
        return self.encoder(
            tf.reshape(flat, [-1, *self.context_shape]), training=training
        )

    # Standardisation.

    def _see_training_data(self, given: Any, prepared: Any) -> None:
        if not self.standardize or self._standardization.is_adapted:
            return
        if inspect.isgenerator(given):
            raise ValueError(
                "`x` must be data that can be read twice in the first `fit`, "
                "which takes their mean and scale; got a generator: call "
                "`adapt` with a part of them before, or make the model with "
                "standardize=False."
            )
        self._adapt(prepared)

    def adapt(self, x: Any) -> None:
        """Takes mean and scale of data, as the first `fit` does.

        The data are read once, in blocks, and their moments merged in float64:
        arrays and data sets of any batches give the same numbers.

        Args:
          x: as in `fit`, and finite.

        Raises:
          ValueError: data that the model cannot take.
        """
        self._adapt(self._prepare(x, "x"))

    def _adapt(self, prepared: Any) -> None:
        moments, of_contexts = Moments(), Moments()
        for block in examples.blocks(prepared, self._examples_at_once):
            moments.add(self._to_standardize(block["x"], moments.count))
            if len(self.context_shape or ()) == 1:
                of_contexts.add(block["context"])
        if not moments.count:
            raise ValueError("`x` must hold at least one batch; got none.")
        is_still = moments.is_still(self.variable_dtype)
        self._said.unbounded_density(is_still & self._should_vary)
        self._standardization.take(moments)
        if of_contexts.count:
            self._context_standardization.take(of_contexts)

    @property
    def _should_vary(self) -> np.ndarray:
        """Which of the numbers of `_to_standardize`, `[n]`, are not fixed."""
        raise NotImplementedError

    def _to_standardize(self, x: np.ndarray, first_row: int) -> np.ndarray:
        """Of examples, vectors `[N, n]` as `_standardization` takes them."""
        raise NotImplementedError

    # Data.

    def _rules(self, argument: str) -> examples.Rules:
        return examples.rules(
            argument,
            x_shape=self.event_shape,
            context_shape=self.context_shape,
            dtype=self.variable_dtype,
            once=self._said,
            region=self._region,
            integers=self._takes_integers,
        )

    def _checked(self, data: Any, argument: str) -> Any:
        rules = self._rules(argument)
        check = examples.examples_check(data, rules, self.conditional)
        return prepare_checked(data, check, self._has_one_worker)

    def _shape_to_build(self, prepared: Any, argument: str) -> Any:
        del argument
        return examples.shapes(prepared)

    def _inputs(self, data: Any) -> dict[str, tf.Tensor]:
        return examples.to_tensors(data, self._shapes, self.variable_dtype)

    def _checked_context(self, context: Any) -> tf.Tensor | None:
        """Contexts on their own, `[B, ...]`; raises unless they fit."""
        if self.context_shape is None:
            if context is not None:
                raise ValueError(
                    "`context` must be None, as the density was built without "
                    f"one; got {type(context).__name__}."
                )
            return None
        if context is None:
            raise ValueError(
                "`context` must be given, as the density is conditional; got "
                "None."
            )
        if isinstance(context, tf.Tensor) and tf.is_symbolic_tensor(context):
            return tf.cast(context, self.variable_dtype)
        rules = self._rules("x")["context"]
        return tf.convert_to_tensor(examples.one_check(rules).whole(context))

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains, as `keras.Model.fit` with the data alone; see the class.

        Raises:
          ValueError: data that the model cannot take.
        """
        _check_no_context(kwargs)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """The loss and the metrics of the class, per example; in nats.

        Raises:
          ValueError: data that the model cannot take.
        """
        _check_no_context(kwargs)
        return super().evaluate(x, *args, **kwargs)

    # Use of a trained model.

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


def _check_no_context(arguments: Mapping[str, Any]) -> None:
    """Raises if contexts are beside the data, not in them."""
    if "context" in arguments:
        raise ValueError(
            "`context` must come with the data, `{'x': x, 'context': context}`;"
            f" got {type(arguments['context']).__name__} as an argument."
        )


def _is_symbolic(x: Any) -> bool:
    """Whether examples, or contexts, are tensors of a graph in the making."""
    parts = x.values() if isinstance(x, Mapping) else [x]
    return any(map(tf.is_symbolic_tensor, parts))
