"""What a prior and a density need, without the rest of a posterior."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models import digits
from tfp_flows.layers import PlanarFlow
from tfp_flows.posteriors import FlowDistribution, FlowPosterior

K = 2


@pytest.mark.parametrize("context_size", [None, 4])
def test_log_prob_of_samples(context_size):
    p = FlowDistribution(3, PlanarFlow(K, seed=0), base="full")
    context = None
    if context_size is not None:
        context = np.random.default_rng(0).normal(size=[5, 4]).astype("float32")
    p.build(None if context is None else context.shape)
    z, log_prob = p.sample_and_log_prob(context, 6)
    np.testing.assert_allclose(
        p.log_prob(tf.identity(z), context), log_prob, rtol=1e-4
    )
    assert log_prob.shape == ([6] if context is None else [6, 5])
    # Nothing of a layer that is called, such as the number of its calls.
    assert p.weights == p.trainable_weights


def test_samples_and_weights_are_those_of_a_posterior():
    found = []
    for kind in (FlowDistribution, FlowPosterior):
        keras.utils.set_random_seed(0)
        p = kind(3, PlanarFlow(K), base="low_rank", rank=2)
        p.build()
        found.append([*p.sample_and_log_prob(None, 4), *p.trainable_weights])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_as_a_models_prior(tmp_path):
    model = digits.compiled(prior=FlowDistribution(3, PlanarFlow(K, seed=0)))
    model.fit(digits.images(20), verbose=0)
    images = model.sample(4, seed=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.prior) is FlowDistribution
    np.testing.assert_allclose(loaded.sample(4, seed=1), images, rtol=1e-5)
