"""Checks of the arguments of distributions with flows."""

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors import forward_and_log_det, inverse_and_log_det
from tfp_flows.layers import FlowLayer

__all__ = [
    "check_defined_together",
    "check_density_directions",
    "check_rank",
    "checked_coordinates",
    "checked_sample_shape",
    "definers",
    "is_own",
    "list_of_flows",
    "one_for_each",
]

_PACKAGE = __name__.partition(".")[0]


def one_for_each(
    inverted: bool | Sequence[bool], flows: Sequence[FlowLayer]
) -> list[bool]:
    """Whether each flow is inverted; raises unless there is one for each."""
    if isinstance(inverted, bool):
        return [inverted] * len(flows)
    if len(inverted) != len(flows) or not all(
        isinstance(value, bool) for value in inverted
    ):
        raise ValueError(
            "`inverted` must be a bool, or a list of one for each of the "
            f"{len(flows)} flows; got {inverted!r}."
        )
    return list(inverted)


def checked_coordinates(circular: Any, size: int) -> list[int]:
    """Those with a period, sorted; raises unless they are in `[0, size)`."""
    coordinates = [
        operator.index(i) if hasattr(i, "__index__") else -1 for i in circular
    ]
    if len(set(coordinates)) < len(coordinates) or not all(
        0 <= i < size for i in coordinates
    ):
        raise ValueError(
            f"`circular` must hold different coordinates from 0 to {size - 1}; "
            f"got {circular!r}."
        )
    return sorted(coordinates)


def checked_sample_shape(sample_shape: Any) -> tuple[int, ...]:
    """A number or a shape as a tuple of ints; NumPy's and TensorFlow's too."""
    try:
        sizes: tuple[Any, ...] = (operator.index(sample_shape),)
    except TypeError:
        try:
            sizes = tuple(operator.index(size) for size in sample_shape)
        except (TypeError, ValueError):
            sizes = (-1,)
    if min(sizes, default=0) < 0 or isinstance(sample_shape, bool):
        raise ValueError(
            "`sample_shape` must be an integer >= 0 or a shape of them; "
            f"got {sample_shape!r}."
        )
    return sizes


def check_rank(context: tf.Tensor) -> None:
    """Raises unless, as far as known, `context` is `[B, C]`."""
    shape = tf.convert_to_tensor(context).shape
    if shape.rank not in (None, 2):
        raise ValueError(
            f"`context` must have shape [B, C]; got {tuple(shape)}."
        )


def list_of_flows(
    flow: FlowLayer | Sequence[FlowLayer] | None, dtype: str
) -> list[FlowLayer]:
    """The layers; raises unless they are flow layers of that dtype."""
    if flow is None:
        return []
    flows = [flow] if isinstance(flow, FlowLayer) else flow
    if not isinstance(flows, Sequence) or not all(
        isinstance(f, FlowLayer) for f in flows
    ):
        raise TypeError(
            "`flow` must be a flow layer (e.g. `PlanarFlow`) or a list of "
            f"them; got {flow!r}."
        )
    for layer in flows:
        if layer.variable_dtype != dtype:
            raise ValueError(
                f"`flow` must hold layers of the posterior's dtype, {dtype}; "
                f"got {layer.variable_dtype}."
            )
    return list(flows)


def check_defined_together(layer: Any, name: str, other: str) -> None:
    """Raises unless the class that defines `name` has `other` of its own."""
    definer, of_other = definers(layer, name, other)
    if not issubclass(of_other, definer):
        raise NotImplementedError(
            f"`{other}` must be defined where `{name}` is, in "
            f"`{definer.__name__}`, as it is the gradient of what that returns;"
            f" got that of `{of_other.__name__}`. The gradient estimator "
            "'reparameterized' does without."
        )


def definers(layer: Any, *names: str) -> Iterator[type]:
    """The class that defines each of the layer's methods."""
    return (
        next(c for c in type(layer).__mro__ if name in vars(c))
        for name in names
    )


def is_own(flow: FlowLayer) -> bool:
    """Whether it is a flow layer of this package."""
    return type(flow).__module__.partition(".")[0] == _PACKAGE


def check_density_directions(
    flows: Sequence[FlowLayer],
    inverted: Sequence[bool],
    size: int,
    context_size: int | None,
) -> None:
    """Raises unless densities of given points can be computed.

    Flow layers of other packages may have one direction alone: they are tried.

    Args:
      flows: built.
      inverted: whether the inverse of each takes its place.
      size: D.
      context_size: of the contexts that they were built for.

    Raises:
      ValueError: a flow lacks the direction, towards the base, that they take.
    """
    for index, (flow, turned) in enumerate(zip(flows, inverted, strict=True)):
        if is_own(flow):
            continue
        context = None
        if context_size is not None:
            context = tf.zeros([1, context_size], flow.variable_dtype)
        towards_base = forward_and_log_det if turned else inverse_and_log_det
        try:
            towards_base(
                flow.bijector(context), tf.zeros([1, size], flow.variable_dtype)
            )
        except NotImplementedError as error:
            raise ValueError(
                "`flow` must have the direction of densities, from data to the "
                f"base; got `{type(flow).__name__}` as flow {index}, whose "
                f"{'forward' if turned else 'inverse'} map is missing: turn it "
                f"with `inverted={not turned}`, which then lacks samples."
            ) from error
