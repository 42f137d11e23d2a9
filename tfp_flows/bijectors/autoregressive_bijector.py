"""Maps of each coordinate, shaped by those before it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfp_flows import math
from tfp_flows._tfp import ps
from tfp_flows.bijectors._conditioned_bijector import (
    ConditionedBijector,
    ConditionerLike,
    composite_if_declared,
)
from tfp_flows.bijectors.made_conditioner import MADEConditioner
from tfp_flows.bijectors.transformers import Transformer
from tfp_flows.types import TensorLike

__all__ = ["AutoregressiveBijector"]


@composite_if_declared
class AutoregressiveBijector(ConditionedBijector):
    """`y_i = f(x_i; theta_i)`, where `theta_i` depends on the x before i.

    What an element-wise transformer f does to each coordinate is decided,
    through a network of any kind, by those that come before it.
    `InverseAutoregressive`, `SplineAutoregressive` and `NeuralAutoregressive`
    are those of affine or gated maps, splines and mixtures of sigmoids. For
    densities of given points take its `tfb.Invert`, which for
    `transformers.Inverse(transformers.Affine())` is `MaskedAutoregressive`.

    #### Mathematical details

    - forward: `y_i = f(x_i; theta_i(x))`, all coordinates at once
    - forward log-det: `sum_i log f'(x_i; theta_i(x))`
    - inverse: `x_i = f^-1(y_i; theta_i(x))`, one coordinate after the other
    - inverse log-det: minus the sum

    #### Shapes

    The event is `[D]`; the conditioner maps `[..., D]` to `[..., P D]`, blocks
    of D, for the P parameters of the transformer. `context`: `[..., C]`; of
    `conditioner_parameters`, a kernel is `[..., I, O]`, a bias `[..., O]`.

        kernels [I, O], context none     x [N, D] -> y [N, D]   one map
        kernels [I, O], context [B, C]   x [B, D] -> y [B, D]   one per example

    #### Cost

    Forward: one pass through the network. Inverse: at most D passes in one
    rolled loop, see `InverseAutoregressive`.

    #### Example

    ```python
    import tensorflow as tf
    import tfp_flows

    bijectors = tfp_flows.bijectors
    transformer = bijectors.transformers.Shift()
    network = bijectors.MADEConditioner(
        event_size=4, num_outputs=transformer.num_parameters
    )
    shapes = network.parameter_shapes()
    flow = bijectors.AutoregressiveBijector(
        network,
        {name: tf.random.normal(shape) for name, shape in shapes.items()},
        transformer=transformer,
    )
    flow.inverse(tf.ones([3, 4]))  # any points
    ```

    #### References

    [1] D. Kingma, T. Salimans, R. Jozefowicz, X. Chen, I. Sutskever and M.
        Welling. Improving Variational Inference with Inverse Autoregressive
        Flow. NeurIPS 2016. arXiv:1606.04934, eq. 10-14.
    """

    def __init__(
        self,
        conditioner: ConditionerLike,
        conditioner_parameters: Mapping[str, TensorLike] | None = None,
        context: TensorLike | None = None,
        transformer: Transformer | None = None,
        validate_args: bool = False,
        name: str = "autoregressive",
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Constructs an autoregressive map.

        Args:
          conditioner: a `MADEConditioner` with `num_outputs=P`; any other
            `Conditioner`, or any function of `x` (and of the context, if one is
            given), which is opaque (not scannable, not composite), must keep
            the order from the first to the last coordinate itself.
          conditioner_parameters: what a `Conditioner` declares, by name.
            Default: None, for a function.
          context: what the network depends on beside `x`. Shape `[..., C]`.
          transformer: f, an element-wise one of `transformers`.
          validate_args: only reaches the base class. Default: False.
          name: name of the ops. Default: "autoregressive".
          parameters: those of a subclass, for `tfb.Bijector`.

        Raises:
          TypeError: `conditioner` is no function, `transformer` is not
            element-wise; a `keras.Variable`, dtypes that differ, or a dtype
            other than float32 and float64.
          ValueError: names of parameters that differ from what `conditioner`
            declares, or another number of outputs than P; at use, outputs of
            another size than P D, or a context of another size.
        """
        parameters = parameters or dict(locals())
        super().__init__(
            conditioner,
            conditioner_parameters,
            context,
            transformer,
            own_parameters={key: parameters[key] for key in self._own_kinds},
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )
        if isinstance(conditioner, MADEConditioner):
            self._check_sizes_of(conditioner)

    def _check_sizes_of(self, conditioner: MADEConditioner) -> None:
        expected = self._transformer.num_parameters
        if conditioner.num_outputs != expected:
            raise ValueError(
                "`conditioner.num_outputs` must be the number of parameters of "
                f"each coordinate of {type(self).__name__}, {expected}; got "
                f"{conditioner.num_outputs}."
            )
        expected = self._transformer.num_features
        if conditioner.num_inputs != expected:
            raise ValueError(
                f"`conditioner.num_inputs` must be {expected}, what "
                f"{type(self).__name__} has it read of each coordinate; got "
                f"{conditioner.num_inputs}."
            )

    def _event_size(self) -> int | None:
        if isinstance(self._conditioner, MADEConditioner):
            return self._conditioner.event_size
        return None

    def _theta_at(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        if x.shape[-1] is None:
            raise ValueError(
                "`x` must have a number of coordinates that is known "
                f"statically; got shape {x.shape}."
            )
        own, conditioner = self._unpacked(parameters)
        return self._theta(x, conditioner, x.shape[-1], *self._kinds(x, own))

    def _applied(
        self,
        method: Callable[..., Any],
        x: tf.Tensor,
        parameters: Sequence[tf.Tensor],
    ) -> Callable[[tf.Tensor, tf.Tensor], Any]:
        """A method of the transformer, of points like x and of theta."""
        kinds = self._kinds(x, self._unpacked(parameters)[0])
        return lambda x, theta: method(x, theta, *kinds)

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._parallel(x, parameters)

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._sequential(y, parameters)

    def _push_density_gradient(
        self,
        x: tf.Tensor,
        gradient: tf.Tensor,
        parameters: Sequence[tf.Tensor],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return math.autoregressive.push_density_gradient(
            x,
            gradient,
            lambda x: self._theta_at(x, parameters),
            self._applied(self._transformer.forward, x, parameters),
        )

    def _parallel(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`(y, log|det dy/dx|)`."""
        forward = self._applied(self._transformer.forward, x, parameters)
        y, log_derivative = forward(x, self._theta_at(x, parameters))
        log_derivative = tf.broadcast_to(log_derivative, ps.shape(y))
        return y, tf.reduce_sum(log_derivative, axis=-1)

    def _sequential(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`(x, log|det dx/dy|)`."""

        def theta(x: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
            return self._theta_at(x, parameters)

        # The loop needs the shape of the result from the start.
        shape = ps.shape(self._theta_at(y, parameters))
        y = tf.broadcast_to(
            y,
            ps.concat(
                [ps.broadcast_shape(shape[:-2], ps.shape(y)[:-1]), shape[-1:]],
                axis=0,
            ),
        )
        x = math.autoregressive.invert(
            y,
            parameters,
            conditioner=theta,
            forward=self._applied(self._transformer.forward, y, parameters),
            inverse=self._applied(self._transformer.root, y, parameters),
            sequence=self._sequence(y),
        )
        _, log_det = self._parallel(x, parameters)
        return x, -log_det

    def _sequence(self, y: tf.Tensor) -> Sequence[int]:
        if isinstance(self._conditioner, MADEConditioner):
            return self._conditioner.sequence
        if y.shape[-1] is None:
            raise ValueError(
                "`y` must have a number of coordinates that is known "
                f"statically; got shape {y.shape}."
            )
        return range(y.shape[-1])
