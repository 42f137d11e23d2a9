"""Densities by this library and by others, for `benchmarks/density.py`.

Each maker returns two functions: one update on the batch, and as many samples;
both wait for their result. A library is imported where it is used, and runs in
a process of its own, as TensorFlow and PyTorch do not bear each other:

    python -m benchmarks._density_peers LIBRARY FLOW SIZE SETTINGS

serves the pair, see `_peer_process`.
"""

import importlib.util
import json
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks._peer_process import Calls, serve

__all__ = ["PACKAGES", "installed", "main"]

Pair = tuple[Callable[[], Any], Callable[[], Any]]
PACKAGES = ("zuko", "nflows", "normflows", "flowjax", "torch", "jax")
_LEARNING_RATE = 1e-3


def installed(flow: str) -> list[str]:
    """This library and those of the others that are here and have the flow."""
    return [
        library
        for library, (package, flows, _) in _MAKERS.items()
        if flow in flows and importlib.util.find_spec(package)
    ]


def _ours(flow: str, x: np.ndarray, settings: Any) -> Pair:
    import keras
    import tensorflow as tf

    import tfp_flows

    keras.utils.set_random_seed(settings.seed)
    if flow == "maf":
        layer = tfp_flows.layers.MAFFlow(
            settings.steps, settings.hidden, activation="relu", seed=0
        )
    else:
        layer = tfp_flows.layers.SplineAutoregressiveFlow(
            settings.steps,
            settings.hidden,
            activation="relu",
            num_bins=settings.bins,
            mixing="permutation",
            seed=0,
        )
    model = tfp_flows.models.FlowDensity(layer, base="fixed")
    model.compile(keras.optimizers.Adam(_LEARNING_RATE), jit_compile=True)
    model.build((None, x.shape[-1]))
    model.optimizer.build(model.trainable_variables)
    step = tf.function(model.train_step, autograph=False, jit_compile=True)
    sample = tf.function(
        lambda: model.sample(len(x)), autograph=False, jit_compile=True
    )
    batch = tf.constant(x)
    return lambda: step(batch)["loss"].numpy(), lambda: sample().numpy()


def _tfp(flow: str, x: np.ndarray, settings: Any) -> Pair:
    import tensorflow as tf
    import tensorflow_probability as tfp

    tfb, tfd = tfp.bijectors, tfp.distributions
    del flow
    size = x.shape[-1]
    chain = []
    for _ in range(settings.steps):
        network = tfb.AutoregressiveNetwork(
            params=2, hidden_units=list(settings.hidden), activation="relu"
        )
        chain.append(tfb.MaskedAutoregressiveFlow(network))
        chain.append(tfb.Permute(list(range(size))[::-1]))
    distribution = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(size)), tfb.Chain(chain[:-1])
    )
    batch = tf.constant(x)
    distribution.log_prob(batch)  # makes the weights
    variables = distribution.trainable_variables
    # Adam, as Keras 3 takes no `tf.Variable`s.
    moments = [(tf.Variable(0 * v), tf.Variable(0 * v)) for v in variables]
    count = tf.Variable(0.0)

    @tf.function(autograph=False, jit_compile=True)
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(distribution.log_prob(batch))
        gradients = tape.gradient(loss, variables)
        count.assign_add(1.0)
        rate = _LEARNING_RATE * tf.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        for v, g, (m, s) in zip(variables, gradients, moments, strict=True):
            m.assign(0.9 * m + 0.1 * g)
            s.assign(0.999 * s + 0.001 * g * g)
            v.assign_sub(rate * m / (tf.sqrt(s) + 1e-8))
        return loss

    sample = tf.function(
        lambda: distribution.sample(len(x), seed=[0, 1]),
        autograph=False,
        jit_compile=True,
    )
    return lambda: step().numpy(), lambda: sample().numpy()


def _of_torch(
    make_loss: Callable[[Any], Any],
    make_samples: Callable[[], Any],
    parameters: Any,
    x: np.ndarray,
) -> Pair:
    import torch

    optimizer = torch.optim.Adam(parameters, lr=_LEARNING_RATE)
    batch = torch.from_numpy(x)

    def update() -> float:
        optimizer.zero_grad()
        loss = make_loss(batch)
        loss.backward()
        optimizer.step()
        return loss.item()

    def samples() -> Any:
        with torch.no_grad():
            return make_samples()

    return update, samples


def _zuko(flow: str, x: np.ndarray, settings: Any) -> Pair:
    import zuko

    arguments = {
        "features": x.shape[-1],
        "transforms": settings.steps,
        "hidden_features": settings.hidden,
    }
    model = (
        zuko.flows.MAF(**arguments)
        if flow == "maf"
        else zuko.flows.NSF(**arguments, bins=settings.bins)
    )
    return _of_torch(
        lambda batch: -model().log_prob(batch).mean(),
        lambda: model().sample((len(x),)),
        model.parameters(),
        x,
    )


def _nflows(flow: str, x: np.ndarray, settings: Any) -> Pair:
    from nflows import distributions, flows, transforms

    size, (width, *_) = x.shape[-1], settings.hidden
    steps: list[Any] = []
    for _ in range(settings.steps):
        steps.append(transforms.ReversePermutation(size))
        arguments = {
            "features": size,
            "hidden_features": width,
            "num_blocks": len(settings.hidden) - 1,
            "use_residual_blocks": False,
        }
        if flow == "maf":
            made = transforms.MaskedAffineAutoregressiveTransform(**arguments)
        else:
            splines = "MaskedPiecewiseRationalQuadraticAutoregressiveTransform"
            made = getattr(transforms, splines)(
                **arguments,
                num_bins=settings.bins,
                tails="linear",
                tail_bound=3.0,
            )
        steps.append(made)
    model = flows.Flow(
        transforms.CompositeTransform(steps),
        distributions.StandardNormal([size]),
    )
    return _of_torch(
        lambda batch: -model.log_prob(batch).mean(),
        lambda: model.sample(len(x)),
        model.parameters(),
        x,
    )


def _normflows(flow: str, x: np.ndarray, settings: Any) -> Pair:
    import normflows

    size, (width, *_) = x.shape[-1], settings.hidden
    steps: list[Any] = []
    for _ in range(settings.steps):
        if flow == "maf":
            steps.append(
                normflows.flows.MaskedAffineAutoregressive(
                    size, width, num_blocks=len(settings.hidden) - 1
                )
            )
        else:
            steps.append(
                normflows.flows.AutoregressiveRationalQuadraticSpline(
                    size,
                    len(settings.hidden) - 1,
                    width,
                    num_bins=settings.bins,
                )
            )
        steps.append(normflows.flows.Permute(size, mode="swap"))
    model = normflows.NormalizingFlow(
        normflows.distributions.DiagGaussian(size, trainable=False), steps
    )
    return _of_torch(
        model.forward_kld,
        lambda: model.sample(len(x)),
        model.parameters(),
        x,
    )


def _flowjax(flow: str, x: np.ndarray, settings: Any) -> Pair:
    import equinox
    import jax
    import jax.numpy as jnp
    import optax
    from flowjax import bijections, distributions, flows
    from paramax import NonTrainable, unwrap

    width, depth = settings.hidden[0], len(settings.hidden)
    transformer = (
        None
        if flow == "maf"
        else bijections.RationalQuadraticSpline(
            knots=settings.bins, interval=3.0
        )
    )
    model = flows.masked_autoregressive_flow(
        jax.random.key(settings.seed),
        base_dist=distributions.Normal(jnp.zeros(x.shape[-1])),
        transformer=transformer,
        flow_layers=settings.steps,
        nn_width=width,
        nn_depth=depth,
        invert=True,
    )
    parameters, static = equinox.partition(
        model,
        equinox.is_inexact_array,
        is_leaf=lambda leaf: isinstance(leaf, NonTrainable),
    )
    optimizer = optax.adam(_LEARNING_RATE)
    state = [parameters, optimizer.init(parameters)]
    batch = jnp.asarray(x)

    def loss_of(parameters: Any) -> Any:
        model = unwrap(equinox.combine(parameters, static))
        return -model.log_prob(batch).mean()

    @equinox.filter_jit
    def step(parameters: Any, moments: Any) -> Any:
        loss, gradients = equinox.filter_value_and_grad(loss_of)(parameters)
        updates, moments = optimizer.update(gradients, moments)
        return equinox.apply_updates(parameters, updates), moments, loss

    @equinox.filter_jit
    def sample(parameters: Any) -> Any:
        model = unwrap(equinox.combine(parameters, static))
        return model.sample(jax.random.key(1), (len(x),))

    def update() -> float:
        state[0], state[1], loss = step(*state)
        return float(loss)

    return update, lambda: np.asarray(sample(state[0]))


_MAKERS: dict[str, tuple[str, tuple[str, ...], Callable[..., Pair]]] = {
    "tfp_flows": ("tfp_flows", ("maf", "nsf"), _ours),
    "TFP": ("tensorflow_probability", ("maf",), _tfp),
    "zuko": ("zuko", ("maf", "nsf"), _zuko),
    "nflows": ("nflows", ("maf", "nsf"), _nflows),
    "normflows": ("normflows", ("maf", "nsf"), _normflows),
    "flowjax": ("flowjax", ("maf", "nsf"), _flowjax),
}


def main(library: str, flow: str, size: str, settings: str) -> None:
    """See the module's docstring."""
    given = types.SimpleNamespace(**json.loads(settings))
    x = np.random.default_rng(given.seed).normal(size=[given.batch, int(size)])

    def make() -> Calls:
        pair = _MAKERS[library][2](flow, x.astype(np.float32), given)
        return dict(zip(("update", "samples"), pair, strict=True))

    serve(make)


if __name__ == "__main__":
    main(*sys.argv[1:])
