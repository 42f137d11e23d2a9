"""What computes the parameters of a coupling or an autoregressive map."""

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfp_flows import math
from tfp_flows._arguments import as_integer, check_positive_integers
from tfp_flows.bijectors.parameters import last_axis

__all__ = ["Conditioner", "FunctionConditioner", "MLPConditioner"]


class Conditioner(abc.ABC):
    """A pure function `conditioner(x, parameters, context)`.

    It holds no tensors: its `parameters`, a flat dictionary, are handed to the
    bijector beside it as `conditioner_parameters`, so that they are batched,
    scanned, copied and differentiated like those of every other bijector.
    Instances are settings: hashable, and equal if they compute the same.
    """

    @property
    @abc.abstractmethod
    def event_ndims(self) -> Mapping[str, int]:
        """The rank of each parameter of one map, by name."""

    @abc.abstractmethod
    def __call__(
        self,
        x: tf.Tensor,
        parameters: Mapping[str, tf.Tensor],
        context: tf.Tensor | None,
    ) -> tf.Tensor:
        """The outputs `[..., O]` for inputs `[..., I]`.

        Args:
          x: `[..., I]`.
          parameters: tensors whose batch axes, in front of those that
            `event_ndims` counts, broadcast against those of `x`.
          context: `[..., C]`, or None.
        """

    def static_sizes(
        self, parameters: Mapping[str, Any]
    ) -> tuple[int | None, int | None]:
        """I and O, where the shapes of the parameters give them statically."""
        del parameters
        return None, None

    def constrain(
        self, parameters: Mapping[str, tf.Tensor]
    ) -> Mapping[str, tf.Tensor]:
        """What `constrained_call` takes; computed once for all members."""
        return parameters

    def constrained_call(
        self,
        x: tf.Tensor,
        parameters: Mapping[str, tf.Tensor],
        context: tf.Tensor | None,
    ) -> tf.Tensor:
        """The outputs, of parameters that `constrain` returned."""
        return self(x, parameters, context)


@dataclasses.dataclass(frozen=True)
class FunctionConditioner(Conditioner):
    """A function of your own; define it once, at the top of a module.

    Example:
    ```python
    import tensorflow as tf

    import tfp_flows


    def scaled_sine(x, parameters, context):
        return parameters["scale"] * tf.sin(x)


    flow = tfp_flows.bijectors.AdditiveCoupling(
        tfp_flows.bijectors.FunctionConditioner(scaled_sine, {"scale": 1}),
        {"scale": tf.ones([4])},
        mask=[1.0, 1.0, 0.0, 0.0],
    )
    flow.inverse(tf.zeros([4]))
    ```

    Attributes:
      function: maps `(x, parameters, context)` to the outputs.
      ndims: the rank of each parameter of one map, by name.
    """

    function: Callable[..., tf.Tensor]
    ndims: Any = ()

    def __post_init__(self) -> None:
        # A tuple, so that instances can be compared and hashed.
        object.__setattr__(self, "ndims", tuple(dict(self.ndims).items()))

    @property
    def event_ndims(self) -> Mapping[str, int]:
        """The rank of each parameter of one map, by name."""
        return dict(self.ndims)

    def __call__(
        self,
        x: tf.Tensor,
        parameters: Mapping[str, tf.Tensor],
        context: tf.Tensor | None,
    ) -> tf.Tensor:
        """`function(x, parameters, context)`."""
        return self.function(x, parameters, context)


@dataclasses.dataclass(frozen=True)
class MLPConditioner(Conditioner):
    """A multilayer perceptron; a context enters its first layer.

        h_0 = activation(x kernel_0 + context context_kernel + bias_0)
        h_i = activation(h_(i-1) kernel_i + bias_i)
        output = h_(n-1) kernel_n + bias_n

    Without a context there is no `context_kernel`. An *amortized* `bias_0`, one
    per example, does the same as a context: it is what a layer computes of it.

    Attributes:
      hidden_units: sizes of the n hidden layers; none makes it affine.
      activation: elu, gelu, relu, silu or tanh.
      context_size: C, or 0 without a context.
    """

    hidden_units: Sequence[int] = (64, 64)
    activation: str = "gelu"
    context_size: int = 0

    def __post_init__(self) -> None:
        units = check_positive_integers("hidden_units", self.hidden_units)
        object.__setattr__(self, "hidden_units", units)
        context_size = as_integer("context_size", self.context_size, 0)
        object.__setattr__(self, "context_size", context_size)
        if self.activation not in math.networks.ACTIVATIONS:
            known = ", ".join(math.networks.ACTIVATIONS)
            raise ValueError(
                f"`activation` must be one of {known}; got {self.activation!r}."
            )

    @property
    def event_ndims(self) -> Mapping[str, int]:
        """2 for kernels, 1 for biases."""
        return {
            name: len(shape) for name, shape in self.parameter_shapes().items()
        }

    def parameter_shapes(
        self, input_size: int = 1, output_size: int = 1
    ) -> dict[str, tuple[int, ...]]:
        """The shapes of the parameters of one map, by name."""
        sizes = (input_size, *self.hidden_units, output_size)
        shapes: dict[str, tuple[int, ...]] = {}
        for i, (inputs, outputs) in enumerate(
            zip(sizes[:-1], sizes[1:], strict=True)
        ):
            shapes[f"kernel_{i}"] = (inputs, outputs)
            shapes[f"bias_{i}"] = (outputs,)
        if self.context_size:
            shapes["context_kernel"] = (self.context_size, sizes[1])
        return shapes

    def static_sizes(
        self, parameters: Mapping[str, Any]
    ) -> tuple[int | None, int | None]:
        """Those of the first and of the last kernel."""
        first = tf.TensorShape(parameters["kernel_0"].shape)
        last = parameters[f"kernel_{len(self.hidden_units)}"]
        return first[-2] if (first.rank or 0) > 1 else None, last_axis(last)

    def __call__(
        self,
        x: tf.Tensor,
        parameters: Mapping[str, tf.Tensor],
        context: tf.Tensor | None,
    ) -> tf.Tensor:
        """See the class."""
        return math.networks.multilayer_perceptron(
            x,
            parameters,
            context,
            num_hidden_layers=len(self.hidden_units),
            activation=self.activation,
        )
