"""XLA compiles the gradients of posteriors for batches of unknown size."""

import numpy as np
import pytest
import tensorflow as tf

from configs import flows as catalogue
from tests.posteriors.test_contract import D, flow_of
from tfp_flows.posteriors import CIFPosterior, FlowPosterior

CONTEXT_SIZE = 3
BASES = ("diagonal", "log_diagonal", "low_rank", "full", "fixed")


def gradients_of(posterior, jit_compile):
    """Of the mean log weight, with and without the score, in float64."""
    size = posterior.noise_size

    @tf.function(
        jit_compile=jit_compile,
        autograph=False,
        input_signature=[
            tf.TensorSpec([2, None, size], "float64"),
            tf.TensorSpec([None, CONTEXT_SIZE], "float64"),
        ],
    )
    def gradients(noise, context):
        found = []
        for score in (True, False):
            with tf.GradientTape() as tape:
                z, log_weight = posterior.sample_and_log_weight(
                    noise, posterior.parameters(context), score=score
                )
                loss = tf.reduce_mean(log_weight - tf.reduce_sum(z**2, -1))
            found += [loss] + tape.gradient(
                loss,
                posterior.trainable_weights,
                unconnected_gradients="zero",
            )
        return found

    rng = np.random.default_rng(0)
    noise, context = rng.normal(size=[2, 3, size]), rng.normal(size=[3, 3])
    return gradients(noise, context)


def check(posterior):
    posterior.build((None, CONTEXT_SIZE))
    for compiled, plain in zip(
        *(gradients_of(posterior, jit) for jit in (True, False)), strict=True
    ):
        np.testing.assert_allclose(compiled, plain, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("base", BASES)
def test_every_base(base):
    check(FlowPosterior(4, base=base, dtype="float64"))


@pytest.mark.slow
@pytest.mark.parametrize("name", catalogue.FLOWS)
def test_every_flow(name):
    check(FlowPosterior(D, flow_of(name), dtype="float64"))


@pytest.mark.slow
def test_an_index():
    check(CIFPosterior(D, flow_of("planar"), 2, dtype="float64"))
