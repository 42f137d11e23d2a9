"""What is being traced: the body of a vectorized map, code for XLA."""

import tensorflow as tf

from tfp_flows._tfp import GraphOrParentsInXlaContext

__all__ = ["counts_only", "in_vectorized_map"]


def in_vectorized_map() -> bool:
    """Whether operations made now are the body of a vectorized map.

    `tf.vectorized_map`, and with it Jacobians and auto-batched models, makes
    other operations of them and drops their custom gradients: their own
    derivatives have to be right. TensorFlow tells it by the name of a scope
    alone. A function that was traced before, and is called in the body, is not
    seen.
    """
    if tf.executing_eagerly():
        return False
    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        scopes = graph.get_name_scope().split("/")
        if any(scope.startswith("loop_body") for scope in scopes):
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


def counts_only() -> bool:
    """Whether a loop must not end on a condition on the data.

    In a vectorized map such a loop becomes one that XLA cannot compile; it
    compiles one that counts.
    """
    if tf.executing_eagerly():
        return False
    graph = tf.compat.v1.get_default_graph()
    return GraphOrParentsInXlaContext(graph) and in_vectorized_map()
