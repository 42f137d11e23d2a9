"""Slicing of a Scan by TFP, kept off the axis that counts the members."""

from typing import Any

import tensorflow as tf

from tfp_flows._tfp import BatchedComponentProperties, batch_slice

__all__ = ["SliceableScan"]


class SliceableScan:
    """A Scan as TFP's slicing is to see it: one part with its batch shape.

    TFP slices a bijector, also one inside a distribution, by slicing each of
    its parameters. Those of a Scan carry one axis more than it says, so TFP
    is told to slice this object instead: it is its own, only parameter.
    """

    _scan: Any
    _x_event_ndims: int

    def __new__(cls, sliced: Any) -> Any:
        """Where TFP makes the sliced object from its sliced parameter."""
        # Sliced by `...` alone, the parameter is as it was.
        return sliced._scan if isinstance(sliced, cls) else sliced

    @classmethod
    def of(cls, scan: Any) -> "SliceableScan":
        """The object to slice in place of `scan`."""
        sliceable = super().__new__(cls)
        sliceable._scan = scan
        return sliceable

    @classmethod
    def parameter_properties(cls) -> dict[str, Any]:
        """The one parameter, without event axes of its own."""
        return {
            "sliced": BatchedComponentProperties(
                event_ndims=lambda self, x_event_ndims: 0
            )
        }

    @property
    def parameters(self) -> dict[str, Any]:
        """The object itself."""
        return {"sliced": self}

    def experimental_batch_shape_tensor(self, x_event_ndims: int) -> tf.Tensor:
        """That of the Scan; TFP asks for it before it slices."""
        # As a parameter it is asked again, without event axes.
        self._x_event_ndims = x_event_ndims or self._x_event_ndims
        return self._scan.experimental_batch_shape_tensor(self._x_event_ndims)

    def _broadcast_parameters_with_batch_shape(
        self, batch_shape: tf.Tensor
    ) -> "SliceableScan":
        del batch_shape  # All ones; the members have all the axes already.
        return self

    def __getitem__(self, slices: tuple[Any, ...]) -> Any:
        members = batch_slice(
            self._scan.bijector,
            {},
            (slice(None), *slices),
            bijector_x_event_ndims=self._x_event_ndims,
        )
        return self._scan.copy(bijector=members)
