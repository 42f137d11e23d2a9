"""What the tests of FlowDensity share: small flows, data and fits."""

import re

import keras
import numpy as np
import pytest

from tfp_flows.layers import SplineCouplingFlow

HIDDEN = {"hidden_units": (8,)}


def spline(**kwargs):
    """A small coupling spline."""
    return SplineCouplingFlow(2, num_bins=4, seed=0, **HIDDEN, **kwargs)


def moved(model, scale=0.3, seed=0):
    """The same model, with weights away from the start."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        value = keras.ops.convert_to_numpy(weight)
        weight.assign(value + scale * rng.normal(size=value.shape))
    return model


def adapted(model, x, scale=0.1):
    """The same model with the moments of data, and weights elsewhere."""
    model.adapt(x)
    return moved(model, scale)


def says(*words):
    """A ValueError with these words in this order."""
    return pytest.raises(ValueError, match=".*".join(map(re.escape, words)))


def fitted(model, x, epochs=1, learning_rate=1e-2, **kwargs):
    """The same model after some updates."""
    keras.utils.set_random_seed(0)
    model.compile(keras.optimizers.Adam(learning_rate), jit_compile=False)
    model.fit(x, batch_size=50, epochs=epochs, verbose=0, **kwargs)
    return model


def noisy_pairs(count=200, seed=0):
    """x in the plane, at the first two of three numbers, with noise 0.3."""
    rng = np.random.default_rng(seed)
    context = rng.normal(size=[count, 3]).astype(np.float32)
    noise = rng.normal(size=[count, 2]).astype(np.float32)
    return {"x": context[:, :2] + 0.3 * noise, "context": context}
