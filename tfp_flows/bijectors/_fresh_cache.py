"""TFP's bijector cache, restricted to results that are still true."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._tfp import (
    BijectorCacheWithGreedyAttrs,
    PossibleTapeGradientTypes,
    could_possibly_record,
    pack_tangents,
)
from tfp_flows.bijectors._evaluation import shared_passes
from tfp_flows.bijectors._own_images import (
    differentiated_anew,
    recall,
    remember,
    tensors_of,
)

__all__ = ["FreshCache"]

_READS = frozenset({"ReadVariableOp", "ResourceGather", "VariableShape"})

Pass = tuple[Any, dict[str, Any]]


class FreshCache(BijectorCacheWithGreedyAttrs):
    """Value and log-det in one pass, and never a stale answer.

    TFP's cache answers with what it computed before, also after a variable
    among the parameters was assigned, and also inside a gradient tape that
    did not see the computation (the gradient is then None).

    Here all calls within one evaluation of a `tfd.TransformedDistribution`
    share their passes (`_evaluation`). Beyond, in eager mode, the way back from
    an own image is known as long as the parameters have the same values; all
    else is computed. In a graph both directions of a pass serve again, in the
    same graph, on the same side of a tape's beginning, and as long as the graph
    has written no variable since. Either way derivatives are those of the
    direction that was asked for: the way back is `differentiated_anew`, and in
    the direction of the pass it serves only those tapes that recorded it.
    """

    def __get__(
        self, bijector: Any, bijector_class: Any = None
    ) -> "FreshCache":
        return super().__get__(bijector, (bijector_class, _context(bijector)))

    def value_and_log_det(
        self, input: Any, direction: str
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Both of one pass in the direction, "forward" or "inverse"."""
        name, other_name = self._forward_name, self._inverse_name
        if direction == "inverse":
            name, other_name = other_name, name
        output, attributes = self._pass(input, name, other_name, {})
        return output, attributes[f"{direction[0]}ldj"]

    def _lookup(
        self, input: Any, forward_name: str, inverse_name: str, **kwargs: Any
    ) -> Any:
        return self._pass(input, forward_name, inverse_name, kwargs)[0]

    def _attributes(
        self, input: Any, fn_name: str, **kwargs: Any
    ) -> dict[str, Any]:
        other_name = self._inverse_name
        if fn_name == other_name:
            other_name = self._forward_name
        return dict(self._pass(input, fn_name, other_name, kwargs)[1])

    def _pass(
        self, input: Any, name: str, other_name: str, kwargs: dict[str, Any]
    ) -> Pass:
        """The image of `input` by the method `name`, and its attributes."""
        bijector, shared = self.bijector, shared_passes()
        key = (id(bijector), name, id(input))
        if shared is not None and key in shared:
            return shared[key][-2:]
        if tf.executing_eagerly():
            output, attributes = self._eager_pass(input, name, kwargs)
        else:
            output, attributes = self._graph_pass(
                input, name, other_name, kwargs
            )
        if shared is not None:
            # The objects too, so that nothing else gets their identities.
            shared[key] = bijector, input, output, attributes
            key = (id(bijector), other_name, id(output))
            shared[key] = bijector, output, input, attributes
        return output, attributes

    def _eager_pass(
        self, input: Any, name: str, kwargs: dict[str, Any]
    ) -> Pass:
        forward = name == self._forward_name
        known = recall(self.bijector, input, forward)
        if known is not None:
            return known[0], _log_dets(known[1], forward)
        attributes: dict[str, Any] = {}
        output = self._invoke(input, name, kwargs, attributes)
        remember(self.bijector, input, output, attributes, forward)
        return output, attributes

    def _graph_pass(
        self, input: Any, name: str, other_name: str, kwargs: dict[str, Any]
    ) -> Pass:
        attributes = super()._attributes(input, name, **kwargs)
        attributes["is_new"] = False
        output = super()._lookup(input, name, other_name, **kwargs)
        if attributes["is_new"]:
            attributes["name"] = name
            # Tensors that nobody else can watch.
            attributes["recorded"] = [
                tf.identity(output),
                tf.identity(attributes["fldj"]),
            ]
            return output, attributes
        if attributes["name"] == name:
            if not could_possibly_record() or self._is_recorded(
                input, attributes["recorded"]
            ):
                return output, attributes
        elif not self.bijector._is_opaque:
            forward = name == self._forward_name
            known = differentiated_anew(
                self.bijector,
                input,
                forward,
                (output, attributes["fldj" if forward else "ildj"]),
                self.bijector._constrained_parameters(),
            )
            if known is not None:
                return known[0], _log_dets(known[1], forward)
        attributes = {}
        return self._invoke(input, name, kwargs, attributes), attributes

    def _invoke(
        self,
        input: Any,
        fn_name: str,
        kwargs: dict[str, Any],
        attributes: dict[str, Any],
    ) -> Any:
        attributes["is_new"] = True
        return super()._invoke(input, fn_name, kwargs, attributes)

    def _is_recorded(self, input: Any, recorded: list[tf.Tensor]) -> bool:
        """Whether the tapes that would record a pass now have recorded this.

        They cannot be told apart, but counted up to one.
        """
        if self.bijector._is_opaque:
            return False
        parameters = self.bijector._constrained_parameters()
        sources = [input, *tensors_of(parameters)]
        if pack_tangents(sources).tangents:
            return False
        num_tapes = PossibleTapeGradientTypes(sources)
        return num_tapes < 2 and num_tapes == PossibleTapeGradientTypes(
            recorded
        )


def _log_dets(log_det: tf.Tensor, forward: bool) -> dict[str, Any]:
    if forward:
        return {"fldj": log_det, "ildj": -log_det}
    return {"fldj": -log_det, "ildj": log_det}


def _context(bijector: Any) -> tuple[Any, ...]:
    """What must be the same for a cached answer to be true."""
    if bijector is None or tf.executing_eagerly():
        return ()
    graph = tf.compat.v1.get_default_graph()
    num_writes = 0
    if bijector.variables or bijector._is_opaque or _holds_functions(bijector):
        num_writes = sum(_writes(op) for op in graph.get_operations())
    return id(graph), could_possibly_record(), num_writes


def _holds_functions(bijector: Any) -> bool:
    # They may read variables that they do not track.
    return any(
        isinstance(module, tfp.util.DeferredTensor)
        for module in bijector.submodules
    )


def _writes(op: tf.Operation) -> bool:
    return op.type not in _READS and any(
        tensor.dtype == tf.resource for tensor in op.inputs
    )
