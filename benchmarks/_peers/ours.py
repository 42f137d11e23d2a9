"""This library: layers as they are, K steps in one rolled loop."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows
from benchmarks import _peers

__all__ = ["make", "make_calls"]

tfb, tfd = tfp.bijectors, tfp.distributions
layers = tfp_flows.layers
Flow = Callable[[Any, Any], tfb.Bijector]


def make(flow: str, x: np.ndarray, settings: Any) -> _peers.Calls:
    """The functions that are timed.

    Args:
      flow: one of `_peers.FLOWS`.
      x: `[B, D]`.
      settings: of the benchmark.
    """
    return make_calls(
        flow, x, settings, lambda layer, context: layer.bijector(context)
    )


def make_calls(
    flow: str, x: np.ndarray, settings: Any, bijector_of: Flow
) -> _peers.Calls:
    """The same, with a function from layer and context to the bijector."""
    keras.utils.set_random_seed(settings.seed)
    if flow == "dlgm_planar":
        return {"step": _autoencoder_step(x, settings, bijector_of)}
    layer = _layer(flow, settings)
    layer.build((None, x.shape[-1]))
    base = tfd.MultivariateNormalDiag(tf.zeros(x.shape[-1]))
    points = tf.constant(x)

    def distribution() -> tfd.Distribution:
        return tfd.TransformedDistribution(base, bijector_of(layer, None))

    def nll() -> tf.Tensor:
        return -tf.reduce_mean(distribution().log_prob(points))

    def free_energy() -> tf.Tensor:
        z, log_q = distribution().experimental_sample_and_log_prob(len(x))
        return tf.reduce_mean(log_q + energy(z))

    is_of_data = flow in _peers.OF_DATA
    return {
        "step": _step(
            nll if is_of_data else free_energy, layer.trainable_weights
        ),
        "samples": _compiled(lambda: distribution().sample(len(x))),
        "density": _compiled(lambda: distribution().log_prob(points)),
    }


def energy(z: tf.Tensor) -> tf.Tensor:
    """That of the target of posteriors, `[B]`."""
    distance = (z - _peers.ENERGY_MEAN) / _peers.ENERGY_SCALE
    return 0.5 * tf.reduce_sum(distance**2, axis=-1)


def _compiled(function: Callable[[], tf.Tensor]) -> Callable[[], Any]:
    call = tf.function(function, autograph=False, jit_compile=True)
    return lambda: call().numpy()


def _step(
    loss_of: Callable[[], tf.Tensor], weights: list[Any]
) -> Callable[[], Any]:
    optimizer = keras.optimizers.Adam(_peers.LEARNING_RATE)
    optimizer.build(weights)

    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of()
        gradients = tape.gradient(loss, [w.value for w in weights])
        optimizer.apply(gradients)
        return loss

    return _compiled(step)


def _layer(flow: str, settings: Any) -> layers.FlowLayer:
    network = {"hidden_units": settings.hidden, "activation": "relu"}
    splines = {**network, "num_bins": settings.bins, "mixing": "permutation"}
    make = {
        "maf": lambda: layers.MAFFlow(settings.steps, **network),
        "iaf": lambda: layers.IAFFlow(settings.steps, **network),
        "nsf_coupling": lambda: layers.SplineCouplingFlow(
            settings.steps, **splines
        ),
        "nsf_autoregressive": lambda: layers.SplineAutoregressiveFlow(
            settings.steps, **splines, inverted=True
        ),
        "planar": lambda: layers.PlanarFlow(settings.long),
        "radial": lambda: layers.RadialFlow(settings.long),
        "householder": lambda: layers.HouseholderFlow(
            1, num_householder_reflections=settings.reflections
        ),
    }
    return make[flow]()


def _autoencoder_step(
    x: np.ndarray, settings: Any, bijector_of: Flow
) -> Callable[[], Any]:
    size, hidden = x.shape[-1], settings.autoencoder
    images = tf.constant(
        np.random.default_rng(0).random([len(x), settings.pixels]) < 0.5,
        tf.float32,
    )
    encoder, decoder = (
        keras.Sequential(
            [*(keras.layers.Dense(n, "relu") for n in hidden), *last]
        )
        for last in ([], [keras.layers.Dense(settings.pixels)])
    )
    head = keras.layers.Dense(2 * size)
    layer = layers.PlanarFlow(settings.very_long)
    features = encoder(images)
    head(features)
    decoder(tf.zeros([1, size]))
    layer.build((None, size), features.shape)
    parts = (encoder, head, decoder, layer)
    weights = [w for part in parts for w in part.trainable_weights]

    def negative_elbo() -> tf.Tensor:
        features = encoder(images)
        loc, raw = tf.split(head(features), 2, axis=-1)
        q = tfd.TransformedDistribution(
            tfd.MultivariateNormalDiag(loc, tf.nn.softplus(raw)),
            bijector_of(layer, features),
        )
        z, log_q = q.experimental_sample_and_log_prob()
        log_p = -0.5 * tf.reduce_sum(z**2, axis=-1) - tf.reduce_sum(
            tf.nn.sigmoid_cross_entropy_with_logits(images, decoder(z)), axis=-1
        )
        return tf.reduce_mean(log_q - log_p)

    return _step(negative_elbo, weights)
