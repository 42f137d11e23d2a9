"""What is being traced: the body of a vectorized map, code for XLA or a TPU."""

import functools

import tensorflow as tf

from tfp_flows._tfp import GraphOrParentsInXlaContext

__all__ = [
    "check_transform",
    "counts_only",
    "has_xla",
    "in_vectorized_map",
    "on_tpu",
    "rounds_products",
]

_TPU_STRATEGIES = (
    tf.distribute.TPUStrategy,
    tf.distribute.experimental.TPUStrategy,
)


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


def check_transform(dtype: tf.DType) -> None:
    """Refuses a Fourier transform of float64 where it is for a TPU.

    Its compiler has no complex numbers of that precision, and would say so in
    terms of operations that no user has written.

    Args:
      dtype: of the signal.

    Raises:
      NotImplementedError: under a strategy for TPUs.
    """
    if dtype == tf.float64 and on_tpu():
        raise NotImplementedError(
            "`dtype` must be float32 on a TPU for flows that convolve by "
            "Fourier transforms (circular, symmetric, data-adaptive and "
            "convolution couplings), as TPUs have no complex128; got float64."
        )


@functools.cache
def has_xla() -> bool:
    """Whether XLA compiles for the device that TensorFlow uses by itself.

    TensorFlow's build for TPUs has no XLA for their host.
    """
    try:
        with tf.init_scope():
            tf.function(
                lambda: tf.zeros([]), jit_compile=True, autograph=False
            )()
    except tf.errors.OpError:
        return False
    return True


def rounds_products() -> bool:
    """Whether products of float32 matrices are rounded to bfloat16.

    A TPU does so unless TensorFlow is told to compute them in full. Then maps
    and their log-dets do not fit each other: one orthogonal matrix of 64 rows
    changes `|z|^2 / 2` by 0.03 nats.
    """
    return (
        on_tpu() and tf.config.experimental.tensor_float_32_execution_enabled()
    )


def on_tpu() -> bool:
    """Whether operations made now are for one."""
    return isinstance(tf.distribute.get_strategy(), _TPU_STRATEGIES)
