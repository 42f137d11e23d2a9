"""What is known of where operations will run."""

import pytest
import tensorflow as tf

from tests.distributed import on_a_tpu
from tfp_flows import bijectors
from tfp_flows.math import tracing


@pytest.mark.parametrize(
    "bijector", [bijectors.CircularConvolution, bijectors.SymmetricConvolution]
)
def test_no_float64_transforms_on_a_tpu(monkeypatch, bijector):
    on_a_tpu(monkeypatch)
    flow = bijector(tf.zeros([4]))
    assert flow.inverse(flow.forward(tf.ones([3, 4]))).shape == [3, 4]
    flow = bijector(tf.zeros([4], tf.float64))
    message = "`dtype` must be float32 on a TPU .*circular.* got float64"
    for direction in (flow.forward, flow.inverse):
        with pytest.raises(NotImplementedError, match=message):
            direction(tf.ones([3, 4], tf.float64))


def test_xla_is_asked_for_by_auto_where_it_is(monkeypatch):
    """TensorFlow's build for TPUs has none for their host."""
    assert tracing.has_xla()
    tracing.has_xla.cache_clear()

    def refuse(*_, **arguments):
        def call():
            raise tf.errors.NotFoundError(None, None, "no XLA_CPU_JIT")

        return call

    monkeypatch.setattr(tf, "function", refuse)
    assert not tracing.has_xla()
    tracing.has_xla.cache_clear()
