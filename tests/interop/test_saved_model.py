"""`tf.saved_model` of modules that hold flows."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.interop import flows
from tfp_flows.bijectors import Planar, Scan

tfd = tfp.distributions


class Exported(tf.Module):
    """A distribution over flows with variables, and what is exported."""

    def __init__(self, name):
        super().__init__()
        self.parameters = flows.variables(name)
        self.posterior = flows.posterior(name, self.parameters)

    @tf.function(
        input_signature=[tf.TensorSpec([None, flows.EVENT_SIZE], tf.float64)],
        autograph=False,
    )
    def log_prob(self, y):
        return self.posterior.log_prob(y)

    @tf.function(
        input_signature=[tf.TensorSpec([2], tf.int32)], autograph=False
    )
    def sample(self, seed):
        return self.posterior.sample(4, seed=seed)


def _assert_same_functions(loaded, module, y):
    np.testing.assert_allclose(
        loaded.log_prob(y), module.log_prob(y), atol=flows.TOLERANCE
    )
    np.testing.assert_allclose(
        loaded.sample([1, 2]), module.sample([1, 2]), atol=flows.TOLERANCE
    )


def _points(num):
    return np.random.default_rng(7).normal(size=(num, flows.EVENT_SIZE))


@pytest.mark.parametrize("name", flows.NAMES)
def test_loaded_functions_equal_the_saved_ones(name, tmp_path):
    module = Exported(name)
    assert len(module.trainable_variables) == 3
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    # Any number of points.
    for num in (1, 5):
        _assert_same_functions(loaded, module, _points(num))


def test_variables_of_a_loaded_model_can_be_trained(tmp_path):
    module = Exported("radial")
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    y = tf.constant(_points(5))
    _, expected = flows.value_and_gradients(
        lambda: module.log_prob(y), dict(module.parameters)
    )
    _, gradients = flows.value_and_gradients(
        lambda: loaded.log_prob(y), dict(loaded.parameters)
    )
    flows.assert_close(gradients, expected)
    for key, gradient in gradients.items():
        loaded.parameters[key].assign_sub(0.1 * gradient)
        module.parameters[key].assign_sub(0.1 * gradient)
    _assert_same_functions(loaded, module, y)


LOAD_WITHOUT_THE_PACKAGE = """
import sys
import numpy as np
import tensorflow as tf

path, result = sys.argv[1:]
loaded = tf.saved_model.load(path)
y = np.load(path + "/y.npy")
np.savez(result, log_prob=loaded.log_prob(y), sample=loaded.sample([1, 2]))
assert "tfp_flows" not in sys.modules
"""


@pytest.mark.slow
def test_another_process_loads_it_without_the_package(tmp_path):
    flow = tfp.experimental.util.make_trainable(
        Planar,
        batch_and_event_shape=[flows.NUM_MEMBERS, flows.EVENT_SIZE],
        parameter_dtype=tf.float64,
    )
    module = Exported("scan_planar")
    module.posterior = tfd.TransformedDistribution(flows.base(), Scan(flow))
    path, result = str(tmp_path / "model"), str(tmp_path / "result.npz")
    tf.saved_model.save(module, path)
    y = _points(5)
    np.save(path + "/y.npy", y)
    subprocess.run(
        [sys.executable, "-c", LOAD_WITHOUT_THE_PACKAGE, path, result],
        check=True,
    )
    found = np.load(result)
    np.testing.assert_allclose(
        found["log_prob"], module.log_prob(y), atol=flows.TOLERANCE
    )
    np.testing.assert_allclose(
        found["sample"], module.sample([1, 2]), atol=flows.TOLERANCE
    )
