"""TFP's bijector cache, restricted to results that are still true."""

from typing import Any

import tensorflow as tf

from tfp_flows._tfp import BijectorCacheWithGreedyAttrs, could_possibly_record

__all__ = ["FreshCache"]

_READS = frozenset({"ReadVariableOp", "ResourceGather", "VariableShape"})


class FreshCache(BijectorCacheWithGreedyAttrs):
    """Value and log-det in one pass, and never a stale answer.

    TFP's cache answers with what it computed before, also after a variable
    among the parameters was assigned, and also inside a gradient tape that
    did not see the computation (the gradient is then None). Here an eager
    call is always computed. In a graph an answer serves again only in the
    same graph, on the same side of a tape's beginning, and as long as the
    graph has written no variable since.
    """

    def __get__(
        self, bijector: Any, bijector_class: Any = None
    ) -> "FreshCache":
        return super().__get__(bijector, (bijector_class, _context(bijector)))

    def _lookup(
        self, input: Any, forward_name: str, inverse_name: str, **kwargs: Any
    ) -> Any:
        if tf.executing_eagerly():
            return self._invoke(input, forward_name, kwargs, {})
        return super()._lookup(input, forward_name, inverse_name, **kwargs)

    def _attributes(
        self, input: Any, fn_name: str, **kwargs: Any
    ) -> dict[str, Any]:
        if tf.executing_eagerly():
            return {}
        return super()._attributes(input, fn_name, **kwargs)


def _context(bijector: Any) -> tuple[Any, ...]:
    """What must be the same for a cached answer to be true."""
    if bijector is None or tf.executing_eagerly():
        return ()
    graph = tf.compat.v1.get_default_graph()
    num_writes = 0
    if bijector.variables or bijector._is_opaque:
        num_writes = sum(_writes(op) for op in graph.get_operations())
    return id(graph), could_possibly_record(), num_writes


def _writes(op: tf.Operation) -> bool:
    return op.type not in _READS and any(
        tensor.dtype == tf.resource for tensor in op.inputs
    )
