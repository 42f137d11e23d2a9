"""The protocol of a flow layer: it owns weights and returns a bijector."""

import abc
import math
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._arguments import as_positive_integer, check_precision
from tfp_flows._keywords import ChecksKeywords, check_keywords
from tfp_flows.bijectors import Scan
from tfp_flows.layers._of_the_bijector import OfTheBijector
from tfp_flows.layers.parameter_head import ParameterHead, ParameterSpec

__all__ = ["FlowLayer"]

tfb = tfp.bijectors


class FlowLayer(ChecksKeywords, keras.layers.Layer, abc.ABC):
    """A flow of `num_flow_steps` equal steps whose parameters are learned.

    The parameters are weights (*shared* by all examples), or weights plus a
    linear function of a context `[B, C]` (*amortized*: one flow per example,
    batch shape `[B]`). Under optimizers like Adam, whose steps do not shrink
    with the gradient, the parameters of a long flow jump together as the
    context's part learns. A `context_scale` of `1 / num_flow_steps`, the
    default, keeps what one update does to the whole flow from growing with its
    length.

    A subclass names its parameters, their shapes and
    initializers, and makes one bijector with batch shape
    `[num_flow_steps, ...]` of them, which is rolled by `Scan`. The layer owns
    the weights; the bijector is made anew, from tensors, at every use.
    """

    # That in which the bijector, not inverted, is computed at once.
    FAST_DIRECTION = "forward"

    # What TFP, or a user, looks for first in a layer given as a bijector.
    _is_injective = OfTheBijector()
    forward = OfTheBijector()
    forward_dtype = OfTheBijector()
    forward_event_shape = OfTheBijector()
    forward_log_det_jacobian = OfTheBijector()
    forward_min_event_ndims = OfTheBijector()
    inverse = OfTheBijector()
    inverse_dtype = OfTheBijector()
    inverse_event_shape = OfTheBijector()
    inverse_log_det_jacobian = OfTheBijector()
    inverse_min_event_ndims = OfTheBijector()

    def __init__(
        self,
        num_flow_steps: int,
        amortized: bool | None = None,
        seed: int | None = None,
        context_scale: float | None = None,
        inverted: bool = False,
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          num_flow_steps: K, the number of steps, at least 1.
          amortized: whether the parameters depend on a context. Default: None,
            they do if the layer is built with one, as it is in a posterior.
          seed: makes the initial weights reproducible. Default: None.
          context_scale: positive; slows (below 1) the learning of the context's
            part, as above, and does not change where it starts. Default: None,
            `1 / num_flow_steps`; of flows whose steps have a network, 1.
          inverted: whether the bijector is the inverse of the K steps. Then
            the direction in which they are computed at once serves densities
            of given points, as a prior needs, instead of samples; of `MAFFlow`
            it is the other way round. Default: False.
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          TypeError: an argument of another name (the message says which one
            is meant).
          ValueError: `num_flow_steps` is not a positive integer,
            `context_scale` is not positive and finite, or `dtype` has
            variables of another type than float32 and float64.
        """
        check_keywords(type(self), kwargs)
        num_flow_steps = as_positive_integer("num_flow_steps", num_flow_steps)
        if context_scale is not None and not 0 < context_scale < math.inf:
            raise ValueError(
                "`context_scale` must be positive and finite, or None; got "
                f"{context_scale!r}."
            )
        super().__init__(**kwargs)
        check_precision(self)
        self.num_flow_steps = num_flow_steps
        self.amortized = amortized
        self.seed = seed
        self.context_scale = context_scale
        self.inverted = inverted

    @property
    def effective_context_scale(self) -> float:
        """`context_scale`, or what None stands for."""
        if self.context_scale is None:
            return self._default_context_scale()
        return self.context_scale

    def _default_context_scale(self) -> float:
        return 1.0 / self.num_flow_steps

    @property
    def fast_direction(self) -> str:
        """The one in which each step costs one pass: "forward" or "inverse".

        Forward is that of samples, inverse that of densities of given points.
        """
        if not self.inverted:
            return self.FAST_DIRECTION
        return "inverse" if self.FAST_DIRECTION == "forward" else "forward"

    @property
    def is_scan(self) -> bool:
        """Whether the bijector is a `Scan` of the steps, or its inverse."""
        return type(self)._composed is FlowLayer._composed

    @abc.abstractmethod
    def _parameter_specs(self, event_size: int) -> dict[str, ParameterSpec]:
        """Event shape and initializers of each parameter of one step."""

    @abc.abstractmethod
    def _steps(self, **parameters: tf.Tensor) -> tfb.Bijector:
        """All the steps, as one bijector with batch shape `[K, ...]`."""

    def build(
        self,
        inputs_shape: tuple[int | None, ...],
        context_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        """Makes the weights.

        Args:
          inputs_shape: `[..., D]`, with D the size of the events.
          context_shape: `[B, C]`, or None.

        Raises:
          ValueError: D or C is not known, or `amortized=True` without context.
        """
        event_size = last_axis("inputs_shape", inputs_shape)
        if context_shape is not None:
            last_axis("context_shape", context_shape)
        elif self.amortized:
            raise ValueError(
                f"`context_shape` must be given, as `{self.name}` has "
                "amortized=True; got None."
            )
        specs = self._parameter_specs(event_size)
        self._fixed = tuple(n for n, s in specs.items() if not s.trainable)
        self._head = ParameterHead(
            specs,
            self.num_flow_steps,
            context_scale=self.effective_context_scale,
            dtype=self.dtype_policy,
            name="parameters",
        )
        self._head.build(None if self.amortized is False else context_shape)
        self.built = True

    def parameters(
        self, context: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """The parameters of all steps by name, `[K, (B,) *event_shape]`.

        Args:
          context: `[B, C]` if the layer is amortized, else ignored.

        Raises:
          ValueError: the layer is not built, or the context does not fit.
        """
        if not self.built:
            raise ValueError(
                f"`{self.name}` must be built before its bijector is used; "
                "call it once, or `build((None, D))`."
            )
        return self._head.parameters(context)

    def make_bijector(self, parameters: dict[str, tf.Tensor]) -> tfb.Bijector:
        """The flow with parameters as `parameters()` returns them."""
        flow = self._composed(parameters)
        return tfb.Invert(flow) if self.inverted else flow

    def _composed(self, parameters: dict[str, tf.Tensor]) -> tfb.Bijector:
        """All the steps, one after the other."""
        return Scan(self._steps(**parameters))

    def bijector(self, context: tf.Tensor | None = None) -> tfb.Bijector:
        """The flow with the weights as they are now; differentiable.

        Args:
          context: `[B, C]` if the layer is amortized, else ignored.

        Returns:
          A bijector with batch shape `[B]` if amortized, else `[]`.

        Raises:
          ValueError: the layer is not built, or the context does not fit.
        """
        return self.make_bijector(self.parameters(context))

    def frozen_bijector(self, context: tf.Tensor | None = None) -> tfb.Bijector:
        """The flow on constants: later changes of the weights do not reach it.

        For use in TFP models that outlive the Keras layer. Call it eagerly.

        Args:
          context: as in `bijector`.

        Raises:
          ValueError: the layer is not built, or the context does not fit.
        """
        return self.make_bijector(
            {
                name: tf.constant(keras.ops.convert_to_numpy(tensor))
                for name, tensor in self.parameters(context).items()
            }
        )

    def trainable_bijector(self) -> tfb.Bijector:
        """The flow on `tf.Variable`s of its own, which start at the weights.

        For TFP models that train it themselves, as
        `tfp.vi.fit_surrogate_posterior` does: the bijector owns the variables,
        and the layer is no longer needed. Call it eagerly.

        Raises:
          ValueError: the layer is not built, or its parameters are amortized.
        """
        if self.built and self._head.amortized:
            raise ValueError(
                "`trainable_bijector` must be called on a layer whose "
                f"parameters are shared; got `{self.name}`, built with a "
                "context, of which its parameters are a function. Train the "
                "layer itself, through `bijector(context)`; take the flow of a "
                "given context by `frozen_bijector(context)`; or build a layer "
                "with `amortized=False`."
            )
        return self.make_bijector(
            {
                name: tf.constant(keras.ops.convert_to_numpy(tensor))
                if name in self._fixed
                else tf.Variable(tensor, name=name)
                for name, tensor in self.parameters().items()
            }
        )

    def call(
        self, inputs: tf.Tensor, context: tf.Tensor | None = None
    ) -> tf.Tensor:
        """`bijector(context).forward(inputs)`; `[..., D]`."""
        flow = self.bijector(context)
        return flow.forward(tf.cast(inputs, self.variable_dtype))

    def compute_output_shape(
        self,
        inputs_shape: tuple[int | None, ...],
        context_shape: tuple[int | None, ...] | None = None,
    ) -> tuple[int | None, ...]:
        """The shape of the inputs."""
        del context_shape
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "num_flow_steps": self.num_flow_steps,
            "amortized": self.amortized,
            "seed": self.seed,
            "context_scale": self.context_scale,
            "inverted": self.inverted,
        }

    def _normal(
        self, scale: float, offset: int
    ) -> keras.initializers.Initializer:
        """Normal initial values; other parameters draw other numbers."""
        return keras.initializers.RandomNormal(
            stddev=scale, seed=self._seed(offset)
        )

    def _context_kernel(
        self, scale: float, offset: int
    ) -> keras.initializers.Initializer:
        """A kernel whose outputs vary by about a tenth of `scale` at first."""
        return keras.initializers.VarianceScaling(
            (0.1 * scale) ** 2,
            mode="fan_in",
            distribution="normal",
            seed=self._seed(offset),
        )

    def _seed(self, offset: int) -> int | None:
        """A seed for one parameter, or None if the user gave none."""
        return None if self.seed is None else self.seed + offset


def last_axis(name: str, shape: tuple[int | None, ...]) -> int:
    """The size of the events or of the context, which must be known."""
    if not shape or shape[-1] is None:
        raise ValueError(
            f"`{name}` must end in a known size; got {tuple(shape)}."
        )
    return shape[-1]
