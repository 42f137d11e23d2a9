"""K members of one batched bijector, composed in one rolled loop."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import math
from tfp_flows._tfp import BatchedComponentProperties, CompositeTensor, ps
from tfp_flows.bijectors._scan_members import (
    Members,
    built,
    check_leading_axis,
    event_rank,
    leaves,
    members,
)
from tfp_flows.bijectors._scan_slicing import SliceableScan
from tfp_flows.bijectors.flow_bijector import OnePassBijector

__all__ = ["Scan"]

tfb = tfp.bijectors


class Scan(OnePassBijector):
    """Composes the K members of a bijector with batch shape `[K, ...]`.

    The first axis of every parameter counts the members. The graph holds one
    rolled loop, so that the time to build and compile it does not depend on K.

    #### Mathematical details

    With members `f_0, ..., f_{K-1}` and `x_0 = x`, `x_{k+1} = f_k(x_k)`:

    - forward: `y = x_K`; member 0 is applied first (`tfb.Chain` applies the
      last bijector of its list first)
    - forward log-det: `sum_k log|det df_k/dx_k|`, in the same loop
    - inverse: the members' inverses, member K - 1 first
    - inverse log-det: minus the sum, in the same loop

    #### Shapes

    The event is that of the member. A parameter has shape
    `[K, batch..., event...]`; the batch shape of the Scan is that of the
    members, and slicing a Scan slices the axes behind K.

        u [K, D],    w [K, D],    b [K]      x [N, D] -> y [N, D]
        u [K, B, D], w [K, B, D], b [K, B]   x [B, D] -> y [B, D]
        u [K, 1, D], w [K, B, D], b [K, B]   x [S, B, D] -> y [S, B, D]

    #### Invertibility

    That of the members.

    #### Cost

    K times a member's; sequential in K in both directions. Constraints on
    parameters are computed once for all members, outside the loop. The
    gradient is a second rolled loop: it needs the K states, which are kept
    only when a gradient tape is recording; without one, memory holds one
    state.

    #### What can be a member

    `Planar`, `Radial` and every other bijector here; bijectors of TFP or of
    your own whose declared tensor parameters (`_parameter_properties`) carry
    the leading K; and `tfb.Chain`s and `tfb.Invert`s of these. Bijectors that
    hold a function, a network or a `Scan` are refused.

    #### Example

    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    flow = tfp_flows.bijectors.Scan(
        tfp_flows.bijectors.Planar(
            u=tf.random.normal([8, 2]),  # K = 8 members, D = 2
            w=tf.random.normal([8, 2]),
            b=tf.zeros([8]),
        )
    )
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag([0.0, 0.0], [1.0, 1.0]), flow
    )
    samples, log_prob = q.experimental_sample_and_log_prob(100, seed=1)
    ```
    """

    _is_scannable = False

    def __new__(cls, bijector: Any = None, *args: Any, **kwargs: Any) -> "Scan":
        """A composite tensor, if the members are one."""
        # Otherwise it would hide the variables of its members.
        if cls is Scan and isinstance(bijector, CompositeTensor):
            cls = _CompositeScan
        return super().__new__(cls)

    def __init__(
        self,
        bijector: tfb.Bijector,
        validate_args: bool = False,
        name: str = "scan",
    ) -> None:
        """Constructs the composition.

        Args:
          bijector: the members, as one bijector with batch shape `[K, ...]`,
            K >= 1, whose events keep their rank; also what
            `tfp.experimental.util.make_trainable` returns for one.
          validate_args: whether to check values at run time; the members
            have a setting of their own. Default: False.
          name: name of the ops. Default: "scan".

        Raises:
          TypeError: `bijector` is none, or holds something else than
            declared tensor parameters (the message names the class).
          ValueError: a parameter does not carry the leading K, K = 0, or the
            bijector changes the rank of an event.
        """
        parameters = dict(locals())
        members_now = built(bijector)
        if not isinstance(members_now, tfb.Bijector):
            raise TypeError(
                "`bijector` must be a tfb.Bijector with batch shape [K, ...]; "
                f"got {type(bijector).__name__}."
            )
        event_ndims = event_rank(members_now)
        with tf.name_scope(name) as name:
            self._bijector = bijector
            check_leading_axis(members_now)
            super().__init__(
                forward_min_event_ndims=event_ndims,
                dtype=members_now.dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        del dtype  # The same for every dtype.
        return {
            "bijector": BatchedComponentProperties(
                event_ndims=lambda self, x_event_ndims: x_event_ndims
            )
        }

    @property
    def bijector(self) -> tfb.Bijector:
        """The members, as one bijector with batch shape `[K, ...]`."""
        return built(self._bijector)

    @property
    def num_members(self) -> int | tf.Tensor:
        """K; a tensor where it is not known statically."""
        event_ndims = self.forward_min_event_ndims
        return ps.convert_to_shape_tensor(
            self.bijector.experimental_batch_shape_tensor(event_ndims)
        )[0]

    @property
    def _tfp_batch_slice_provenance(self) -> tuple[Any, list[Any]]:
        """The object that TFP slices, here and inside distributions."""
        return SliceableScan.of(self), []

    @_tfp_batch_slice_provenance.setter
    def _tfp_batch_slice_provenance(self, value: Any) -> None:
        """TFP's note on how it made this slice; not needed."""

    def _get_parameterization(self) -> Any:
        # A DeferredModule hashes as what it builds, another one at every use.
        if built(self._bijector) is not self._bijector:
            return id(self)
        return super()._get_parameterization()

    def _batch_shape(self, x_event_ndims: int) -> tf.TensorShape:
        inner = self.bijector.experimental_batch_shape(x_event_ndims)
        return inner[1:]

    def _batch_shape_tensor(self, x_event_ndims: int) -> tf.Tensor:
        return self.bijector.experimental_batch_shape_tensor(x_event_ndims)[1:]

    def _broadcast_parameters_with_batch_shape(
        self, batch_shape: tf.Tensor, x_event_ndims: int
    ) -> "Scan":
        own = self.experimental_batch_shape_tensor(x_event_ndims)
        missing = max(
            0, ps.rank_from_shape(batch_shape) - ps.rank_from_shape(own)
        )
        inner = self.bijector[(slice(None), *[tf.newaxis] * missing, Ellipsis)]
        shape = ps.concat([[self.num_members], batch_shape], axis=0)
        return self.copy(
            bijector=inner._broadcast_parameters_with_batch_shape(
                shape, x_event_ndims
            )
        )

    def _event_size(self) -> None:
        return None

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([None] * int(self.forward_min_event_ndims))

    def _with_event_shape(self, name: str, point: tf.Tensor) -> tf.Tensor:
        for leaf in leaves(self.bijector):
            if isinstance(leaf, OnePassBijector):
                point = leaf._with_event_shape(name, point)
        return super()._with_event_shape(name, point)

    def _constrained_parameters(self) -> Members:
        return members(self.bijector, self.forward_min_event_ndims)

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._compose(
            parameters.forward, x, parameters.tensors, reverse=False
        )

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._compose(
            parameters.inverse, y, parameters.tensors, reverse=True
        )

    def _push_density_gradient(
        self, x: tf.Tensor, gradient: tf.Tensor, parameters: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x, _ = self._broadcast(x)
        gradient, _ = self._broadcast(gradient)
        return math.rolled_loop.iterate(
            parameters.push, (x, gradient), parameters.tensors
        )

    def _compose(
        self,
        step: math.rolled_loop.Step,
        x: tf.Tensor,
        parameters: Sequence[tf.Tensor],
        reverse: bool,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x, batch_shape = self._broadcast(x)
        return math.rolled_loop.compose(
            step, x, batch_shape, parameters, reverse=reverse
        )

    def _broadcast(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`x` in the shape of the result, and the batch part of it."""
        event_ndims = self.forward_min_event_ndims
        shape = ps.shape(x)
        event_start = ps.rank_from_shape(shape) - event_ndims
        batch_shape = ps.broadcast_shape(
            shape[:event_start],
            self.experimental_batch_shape_tensor(event_ndims),
        )
        shape = ps.concat([batch_shape, shape[event_start:]], axis=0)
        return tf.broadcast_to(x, shape), batch_shape


class _CompositeScan(Scan, tfb.AutoCompositeTensorBijector):
    """A Scan whose members are a composite tensor."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Scan:
        return super().__new__(cls)


_CompositeScan.__name__ = "Scan"
