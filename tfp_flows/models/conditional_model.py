"""Maximum likelihood of examples given features of contexts, or not."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.layers.standardization import Standardization
from tfp_flows.math import noise
from tfp_flows.models import dlgm_parts
from tfp_flows.models.inputs import examples
from tfp_flows.models.inputs.images import InputRules, Region
from tfp_flows.models.inputs.prepare import prepare_checked
from tfp_flows.models.maximum_likelihood import (
    MaximumLikelihoodModel,
    NoiseKey,
)

__all__ = ["ConditionalModel"]


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
    def _takes_integers(self) -> bool:
        return False

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
        given = input_shape
        if not isinstance(given, Mapping):
            given = {"x": given}
        found = {n: tuple(shape)[1:] or (1,) for n, shape in given.items()}
        for name, shape in found.items():
            if any(n is None for n in shape):
                raise ValueError(
                    f"`input_shape` must be [B, ...] with known axes of "
                    f"{name}; got {tuple(given[name])}."
                )
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

    # Data.

    def _rules(self, argument: str) -> examples.Rules:
        def rules(name: str, shape: Any, **others: Any) -> InputRules:
            return InputRules(
                event_shape=shape or (),
                support="real",
                dtype=self.variable_dtype,
                likelihood="",
                argument=name,
                once=self._said,
                scalars=True,
                **others,
            )

        return {
            "x": rules(
                argument,
                self.event_shape,
                noun="example",
                region=self._region,
                integers=self._takes_integers,
            ),
            "context": rules("context", self.context_shape, noun="context"),
        }

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
