"""Coupling that moves the last half as one signal."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors._conditioned_bijector import (
    ConditionedBijector,
    ConditionerLike,
    composite_if_declared,
)
from tfp_flows.bijectors.transformers import Transformer
from tfp_flows.types import TensorLike

__all__ = ["SplitCoupling"]


@composite_if_declared
class SplitCoupling(ConditionedBijector):
    """Coupling of two parts: `y = [x_1, f(x_2; theta(x_1))]`.

    The first part of the coordinates passes unchanged and decides, through a
    network of any kind, what a transformer f does to the rest, one by one or
    together. `SplineCoupling`, `DataAdaptiveConvolution` and
    `ConvolutionCoupling` are those of a spline and of convolutions.

    #### Mathematical details

    `x_2` holds the last `M = D // 2` coordinates, `x_1` the others:

    - forward: `y_1 = x_1`, `y_2 = f(x_2; theta(x_1))`
    - forward log-det: `log|det df/dx_2|`
    - inverse: `x_1 = y_1`, `x_2 = f^-1(y_2; theta(y_1))`
    - inverse log-det: minus the forward log-det there

    #### Shapes

    The event is `[D]`, D >= 2; the conditioner maps `[..., D - M]` to
    `[..., P M]`, blocks of M, for the P parameters of the transformer.
    `context`: `[..., C]`; of `conditioner_parameters`, a kernel is
    `[..., I, O]`, a bias `[..., O]`.

        kernels [I, O], context none     x [N, D] -> y [N, D]   one map
        kernels [I, O], context [B, C]   x [B, D] -> y [B, D]   one per example
        kernels [I, O], bias_0 [B, O]    x [S, B, D] -> y [S, B, D]

    #### Cost

    That of the conditioner and the transformer, in both directions. Nothing is
    sequential in D; compiles with XLA.

    #### Example

    ```python
    import tensorflow as tf
    import tfp_flows

    bijectors = tfp_flows.bijectors
    conditioner = bijectors.MLPConditioner(hidden_units=(16,))
    shapes = conditioner.parameter_shapes(input_size=3, output_size=4)
    flow = bijectors.SplitCoupling(
        conditioner,
        {name: tf.random.normal(shape) for name, shape in shapes.items()},
        transformer=bijectors.transformers.Affine(),
    )
    flow.inverse(tf.ones([3, 5]))  # any points
    ```

    #### References

    [1] L. Dinh, J. Sohl-Dickstein and S. Bengio. Density estimation using Real
        NVP. ICLR 2017. arXiv:1605.08803, eq. 4-6.
    """

    _needs_elementwise = False
    # Arguments of a subclass: tensors that the transformer takes beside theta.
    _shared: tuple[str, ...] = ()

    def __init__(
        self,
        conditioner: ConditionerLike,
        conditioner_parameters: Mapping[str, TensorLike] | None = None,
        context: TensorLike | None = None,
        transformer: Transformer | None = None,
        validate_args: bool = False,
        name: str = "split_coupling",
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Constructs a coupling of two parts.

        Args:
          conditioner: a `Conditioner`; or any function of `x_1` (and of the
            context, if one is given), which is opaque, see `MaskedCoupling`.
          conditioner_parameters: what a `Conditioner` declares, by name.
            Default: None, for a function.
          context: what the network depends on beside `x_1`. Shape `[..., C]`.
          transformer: f, one of `transformers`.
          validate_args: only reaches the base class. Default: False.
          name: name of the ops. Default: "split_coupling".
          parameters: those of a subclass, for `tfb.Bijector`.

        Raises:
          TypeError: `conditioner` is no function, or `transformer` is none; a
            `keras.Variable`, dtypes that differ, or a dtype other than float32
            and float64.
          ValueError: names of parameters that differ from what `conditioner`
            declares; at use, events of one coordinate or of unknown size, or
            outputs of another size than P M.
        """
        parameters = parameters or dict(locals())
        super().__init__(
            conditioner,
            conditioner_parameters,
            context,
            transformer,
            own_parameters={
                key: parameters[key]
                for key in (*self._shared, *self._own_kinds)
            },
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    def _event_size(self) -> int | None:
        num_fixed, num_outputs = self._conditioner_sizes()
        if num_fixed is None or num_outputs is None:
            return None
        num_moved = num_outputs // self._transformer.num_parameters
        # Of another conditioner than this one needs, the outputs are refused.
        if num_moved not in (num_fixed, num_fixed - 1):
            return None
        return num_fixed + num_moved

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._half_mapped(self._transformer.forward, x, parameters)

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._half_mapped(self._transformer.inverse, y, parameters)

    def _half_mapped(
        self,
        function: Callable[..., tuple[tf.Tensor, tf.Tensor]],
        x: tf.Tensor,
        parameters: Sequence[tf.Tensor],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`function` of the last coordinates, of theta of the first."""
        event_size = x.shape[-1]
        if event_size is None or event_size < 2:
            raise ValueError(
                "`x` must have at least 2 coordinates, of which one conditions "
                "the other, and their number must be known statically; got "
                f"shape {x.shape}."
            )
        num_moved = event_size // 2
        sizes = [event_size - num_moved, num_moved]
        own, conditioner = self._unpacked(parameters)
        kinds = [tf.split(kind, sizes, axis=-1) for kind in self._kinds(x, own)]
        shared = [own[name] for name in self._shared if name in own]
        fixed, moved = tf.split(x, sizes, axis=-1)
        fixed = self._transformer.wrapped(fixed, *(kind for kind, _ in kinds))
        theta = self._theta(
            fixed, conditioner, num_moved, *(kind for kind, _ in kinds)
        )
        moved, terms = function(
            moved, theta, *shared, *(kind for _, kind in kinds)
        )
        return _joined(fixed, moved), tf.reduce_sum(terms, axis=-1)


def _joined(fixed: tf.Tensor, moved: tf.Tensor) -> tf.Tensor:
    """Both parts; the first is broadcast to the batch shape of the second."""
    shape = tf.concat([tf.shape(moved)[:-1], tf.shape(fixed)[-1:]], axis=0)
    full = tf.broadcast_to(fixed, shape)
    static = moved.shape[:-1].concatenate(fixed.shape[-1:])
    return tf.concat([tf.ensure_shape(full, static), moved], axis=-1)
