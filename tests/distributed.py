"""Runs functions on two logical CPUs, in one extra process per session.

TensorFlow splits the CPU before its first use or never, so the process of the
tests itself keeps one. The other process is started by the first test that
needs it, and stays: the imports are paid once.

    def two_replicas():                # at the top level of a test module
        strategy = mirrored_strategy()
        ...
        return {"loss": loss.numpy()}  # anything that can be pickled

    @pytest.mark.distributed
    def test_loss():
        result = on_two_cpus(two_replicas)

An exception raised there is raised here, with its traceback.
"""

import concurrent.futures
import functools
import gc
import multiprocessing
import sys

TIMEOUT_SECONDS = 300


def on_two_cpus(function, *args, **kwargs):
    """Returns `function(*args, **kwargs)` as the other process computes it.

    The function is found there by its module and name, so it has to be at the
    top level of a module; arguments and result are pickled.
    """
    future = _process().submit(_call, function, args, kwargs)
    return future.result(timeout=TIMEOUT_SECONDS)


@functools.cache
def mirrored_strategy():
    """The one `MirroredStrategy` of the other process.

    TensorFlow numbers the collective operations of each strategy from the
    start, so those of a second one would meet the shapes of the first.
    """
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@functools.cache
def _process():
    return concurrent.futures.ProcessPoolExecutor(
        max_workers=1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_split_the_cpu,
    )


def _split_the_cpu():
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    tf.config.set_visible_devices([], "GPU")


def _call(function, args, kwargs):
    try:
        return function(*args, **kwargs)
    finally:
        keras = sys.modules.get("keras")
        if keras is not None and hasattr(keras, "utils"):
            keras.utils.clear_session(free_memory=False)
        gc.collect()


def on_a_tpu(monkeypatch):
    """Makes TensorFlow say that operations are for a TPU; there is none."""
    import tensorflow as tf

    strategy = object.__new__(tf.distribute.TPUStrategy)
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: strategy)
