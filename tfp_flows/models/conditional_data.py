"""A model of `x`, or of `x` given a context: its data and their checks."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.models.inputs import examples
from tfp_flows.models.inputs.images import Region
from tfp_flows.models.inputs.prepare import prepare_checked
from tfp_flows.models.maximum_likelihood import MaximumLikelihoodModel

__all__ = ["ConditionalDataModel"]

# Examples at a time where nobody says how many, and numbers in them.
_MOST_EXAMPLES, _MOST_NUMBERS = 2_000, 2**20


class ConditionalDataModel(MaximumLikelihoodModel):
    """Data are `x`, `{"x": x}` or `{"x": x, "context": c}`, in any form.

    That is arrays, or data sets of batches. A subclass calls `_take_shapes`
    first in `build`.
    """

    context_shape: tuple[int, ...] | None
    encoder: keras.layers.Layer | None

    def _init_metrics(self, *names: str) -> None:
        super()._init_metrics(*names)
        self.autocast = False  # data stay in full precision

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


def _check_no_context(arguments: Mapping[str, Any]) -> None:
    """Raises if contexts are beside the data, not in them."""
    if "context" in arguments:
        raise ValueError(
            "`context` must come with the data, `{'x': x, 'context': context}`;"
            f" got {type(arguments['context']).__name__} as an argument."
        )
