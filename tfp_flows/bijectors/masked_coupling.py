"""Coupling of the coordinates under a mask."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import math
from tfp_flows.bijectors._conditioned_bijector import (
    ConditionedBijector,
    ConditionerLike,
    composite_if_declared,
)
from tfp_flows.bijectors.parameters import last_axis, static_value
from tfp_flows.bijectors.transformers import Transformer
from tfp_flows.types import TensorLike

__all__ = ["MaskedCoupling"]


@composite_if_declared
class MaskedCoupling(ConditionedBijector):
    """Coupling under a mask: `y_i = f(x_i; theta_i(mask * x))` where it is 0.

    One part of the coordinates passes unchanged and decides, through a network
    of any kind, what an element-wise transformer f does to each of the others.
    `AdditiveCoupling` and `AffineCoupling` are those of a shift and of an
    affine map.

    #### Mathematical details

    - forward: `y = mask * x + (1 - mask) * f(x; theta(mask * x))`
    - forward log-det: `sum((1 - mask) * log f')`
    - inverse: `x = mask * y + (1 - mask) * f^-1(y; theta(mask * y))`
    - inverse log-det: minus the sum

    `mask` is 1 where a coordinate passes, 0 where it is moved.

    #### Shapes

    The event is `[D]`, D >= 2; the conditioner maps `[..., D]` to
    `[..., P D]`, blocks of D, for the P parameters of the transformer. `mask`:
    `[..., D]`; `context`: `[..., C]`; of `conditioner_parameters`, a kernel is
    `[..., I, O]`, a bias `[..., O]`.

        kernels [I, O], context none     x [N, D] -> y [N, D]   one map
        kernels [I, O], context [B, C]   x [B, D] -> y [B, D]   one per example
        kernels [I, O], bias_0 [B, O]    x [S, B, D] -> y [S, B, D]

    #### Cost

    That of the conditioner and of the transformer at all D coordinates, in both
    directions. Nothing is sequential in D; compiles with XLA.

    #### Example

    ```python
    import tensorflow as tf
    import tfp_flows

    bijectors = tfp_flows.bijectors
    transformer = bijectors.transformers.DeepSigmoidal(num_sigmoids=3)
    conditioner = bijectors.MLPConditioner(hidden_units=(16,))
    shapes = conditioner.parameter_shapes(
        input_size=4, output_size=4 * transformer.num_parameters
    )
    flow = bijectors.MaskedCoupling(
        conditioner,
        {name: tf.random.normal(shape) for name, shape in shapes.items()},
        transformer=transformer,
    )
    flow.inverse(tf.ones([3, 4]))  # any points
    ```

    #### References

    [1] L. Dinh, J. Sohl-Dickstein and S. Bengio. Density estimation using Real
        NVP. ICLR 2017. arXiv:1605.08803, eq. 9.
    """

    def __init__(
        self,
        conditioner: ConditionerLike,
        conditioner_parameters: Mapping[str, TensorLike] | None = None,
        context: TensorLike | None = None,
        mask: TensorLike | None = None,
        transformer: Transformer | None = None,
        validate_args: bool = False,
        name: str = "masked_coupling",
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Constructs a coupling under a mask.

        Args:
          conditioner: a `Conditioner`; or any function of `x` (and of the
            context, if one is given), Keras layers among them. Such a function
            is opaque: its weights stay its own, and the bijector is neither a
            composite tensor nor can it be a member of a `Scan`.
          conditioner_parameters: what a `Conditioner` declares, by name.
            Default: None, for a function.
          context: what the network depends on beside `x`. Shape `[..., C]`.
          mask: zeros and ones. Shape `[..., D]`. Default: None, ones for the
            first half (rounded up), zeros for the other.
          transformer: f, an element-wise one of `transformers`.
          validate_args: only reaches the base class. Default: False.
          name: name of the ops. Default: "masked_coupling".
          parameters: those of a subclass, for `tfb.Bijector`.

        Raises:
          TypeError: `conditioner` is no function, `transformer` is not
            element-wise; a `keras.Variable`, dtypes that differ, or a dtype
            other than float32 and float64.
          ValueError: names of parameters that differ from what `conditioner`
            declares; a mask that moves nothing, or everything, or of another
            size than the conditioner's inputs; at use, events of one
            coordinate, or outputs of another size than P D; where neither mask
            nor conditioner has a known size, events of unknown size.
        """
        super().__init__(
            conditioner,
            conditioner_parameters,
            context,
            transformer,
            own_parameters={"mask": mask},
            validate_args=validate_args,
            parameters=parameters or dict(locals()),
            name=name,
        )
        if self._mask is not None:
            _check_mask(self._mask)
            _check_mask_size(self._mask, self._conditioner_sizes()[0])

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        return {
            **super()._parameter_properties(dtype),
            "mask": tfp.util.ParameterProperties(
                event_ndims=1, is_preferred=False
            ),
        }

    @property
    def mask(self) -> Any:
        """Ones for what conditions, zeros for what is moved; None: halves."""
        return self._mask

    def _event_size(self) -> int | None:
        size = None if self._mask is None else last_axis(self._mask)
        return size or self._conditioner_sizes()[0]

    def _mask_for(
        self, x: tf.Tensor, own: Mapping[str, tf.Tensor]
    ) -> tf.Tensor:
        event_size = x.shape[-1]
        if event_size is not None and event_size < 2:
            raise ValueError(
                "`x` must have at least 2 coordinates, of which one conditions "
                f"the other; got shape {x.shape}."
            )
        if "mask" in own:
            return own["mask"]
        if event_size is None:
            raise ValueError(
                "`mask` must be given, with a known size, where neither `x` "
                "nor `conditioner` has a number of coordinates that is known "
                f"statically; got mask = None and x of shape {x.shape}."
            )
        return tf.constant(math.masks.first_half(event_size), x.dtype)

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._mapped_where_moved(
            self._transformer.forward, x, parameters
        )

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._mapped_where_moved(
            self._transformer.inverse, y, parameters
        )

    def _mapped_where_moved(
        self,
        function: Callable[..., tuple[tf.Tensor, tf.Tensor]],
        x: tf.Tensor,
        parameters: Sequence[tf.Tensor],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`function` where the mask is 0; the rest of x alone is read."""
        own, conditioner = self._unpacked(parameters)
        mask = self._mask_for(x, own)
        kinds = self._kinds(x, own)
        theta = self._theta(mask * x, conditioner, x.shape[-1], *kinds)
        y, terms = function(x, theta, *kinds)
        is_moved = tf.equal(mask, 0.0)
        y = tf.where(is_moved, y, self._transformer.wrapped(x, *kinds))
        terms = tf.where(is_moved, terms, 0.0) + tf.zeros_like(y)
        return y, tf.reduce_sum(terms, axis=-1)


def _check_mask_size(mask: Any, num_inputs: int | None) -> None:
    if not tf.TensorShape([last_axis(mask)]).is_compatible_with([num_inputs]):
        raise ValueError(
            f"`mask` must have shape [..., {num_inputs}], as `conditioner` "
            f"takes {num_inputs} coordinates; got {mask.shape}."
        )


def _check_mask(mask: Any) -> None:
    shape = tf.TensorShape(mask.shape)
    if shape.rank == 0 or (shape.rank and (shape[-1] or 2) < 2):
        raise ValueError(
            f"`mask` must have shape [..., D] with D >= 2; got {shape}."
        )
    values = static_value(mask)
    if values is None:
        return
    if not np.isin(values, (0, 1)).all():
        raise ValueError(
            "`mask` must hold zeros (moved) and ones (conditioning) alone; "
            f"got {values.tolist()}."
        )
    moved = values.shape[-1] - values.sum(axis=-1)
    if not ((moved > 0) & (moved < values.shape[-1])).all():
        raise ValueError(
            "`mask` must hold a zero and a one at least, so that something is "
            f"moved by something; got {values.tolist()}."
        )
