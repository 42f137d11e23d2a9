"""Points whose size or rank a graph does not know."""

from collections.abc import Callable, Sequence

import tensorflow as tf

__all__ = ["Map", "map_of_unknown_rank", "with_event_shape"]

Map = Callable[[tf.Tensor, Sequence[tf.Tensor]], tuple[tf.Tensor, tf.Tensor]]


def with_event_shape(
    name: str, point: tf.Tensor, event_shape: tf.TensorShape, kind: str
) -> tf.Tensor:
    """The point, with the static shape of its event as far as it is known.

    Args:
      name: what the point is called in the error.
      point: `[..., *event_shape]`, or of unknown rank, which is left as it is.
      event_shape: `[D]` or of more axes, of known rank.
      kind: the class of the bijector, for the error.

    Raises:
      ValueError: the point has another event shape, or too few axes.
    """
    shape = tf.TensorShape(point.shape)
    if shape.rank is None:
        return point
    start = shape.rank - event_shape.rank
    if start < 0 or not shape[start:].is_compatible_with(event_shape):
        sizes = ", ".join("D" if n is None else str(n) for n in event_shape)
        raise ValueError(
            f"`{name}` must have shape [..., {sizes}] for {kind}; got {shape}."
        )
    event = shape[start:].merge_with(event_shape)
    if event.as_list() == shape[start:].as_list():
        return point
    return tf.ensure_shape(point, [None] * start + event.as_list())


def map_of_unknown_rank(
    name: str,
    function: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    point: tf.Tensor,
    batch_shape: tf.Tensor,
    event_ndims: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`function` of a point of unknown rank, value and log-det.

    The batch axes of the point that those of the bijector's parameters meet
    are kept; all before them become one.

    Args:
      name: what the point is called in the error.
      function: maps a point of known rank to a value of its event shape and to
        a log-det, whose batch shape is that of point and parameters.
      point: of unknown rank.
      batch_shape: that of the parameters, a vector of known length.
      event_ndims: the number of axes of an event.

    Raises:
      ValueError: the rank of the parameters is not known either.
    """
    batch_shape = tf.convert_to_tensor(batch_shape, tf.int32)
    batch_ndims = batch_shape.shape[0]
    if batch_ndims is None:
        raise ValueError(
            f"`{name}` must have a rank that is known statically where that of "
            f"the parameters is not; got shape {point.shape}."
        )
    shape = tf.shape(point)
    outer, event = shape[:-event_ndims], shape[-event_ndims:]
    padded = tf.concat([tf.ones([batch_ndims], tf.int32), outer], axis=0)
    cut = tf.size(padded) - batch_ndims
    flat = tf.concat(
        [[tf.reduce_prod(padded[:cut])], padded[cut:], event], axis=0
    )
    rank = 1 + batch_ndims + event_ndims
    value, log_det = function(
        tf.ensure_shape(tf.reshape(point, flat), [None] * rank)
    )
    log_det = tf.broadcast_to(log_det, tf.shape(value)[:-event_ndims])
    full = tf.broadcast_dynamic_shape(outer, batch_shape)
    return (
        tf.reshape(value, tf.concat([full, event], axis=0)),
        tf.reshape(log_det, full),
    )
