"""flowjax, on JAX."""

from collections.abc import Callable
from typing import Any

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flowjax import bijections, distributions, flows
from paramax import NonTrainable, unwrap

from benchmarks import _peers

__all__ = ["make"]


def make(flow: str, x: np.ndarray, settings: Any) -> _peers.Calls:
    """The functions that are timed; see `_peers`."""
    key = jax.random.key(settings.seed)
    if flow == "dlgm_planar":
        return {"step": _autoencoder_step(key, x, settings)}
    model = _model(flow, key, x.shape[-1], settings)
    points = jnp.asarray(x)

    def nll(model: Any, key: Any) -> Any:
        del key
        return -model.log_prob(points).mean()

    def free_energy(model: Any, key: Any) -> Any:
        z, log_q = model.sample_and_log_prob(key, (len(x),))
        distance = (z - _peers.ENERGY_MEAN) / _peers.ENERGY_SCALE
        return (log_q + 0.5 * (distance**2).sum(-1)).mean()

    is_of_data = flow in _peers.OF_DATA
    step, of_model = _training(nll if is_of_data else free_energy, model)
    calls = {
        "step": step,
        "samples": of_model(lambda m: m.sample(key, (len(x),))),
    }
    if flow != "planar":  # no inverse
        calls["density"] = of_model(lambda m: m.log_prob(points))
    return calls


def _model(flow: str, key: Any, size: int, settings: Any) -> Any:
    base = distributions.Normal(jnp.zeros(size))
    if flow == "planar":
        return flows.planar_flow(
            key, base_dist=base, flow_layers=settings.long, invert=False
        )
    splines = bijections.RationalQuadraticSpline(
        knots=settings.bins, interval=3.0
    )
    make = (
        flows.coupling_flow
        if flow == "nsf_coupling"
        else flows.masked_autoregressive_flow
    )
    return make(
        key,
        base_dist=base,
        transformer=splines if flow.startswith("nsf") else None,
        flow_layers=settings.steps,
        nn_width=settings.hidden[0],
        nn_depth=len(settings.hidden),
        invert=flow in _peers.OF_DATA,
    )


def _training(
    loss_of: Callable[[Any, Any], Any], model: Any
) -> tuple[Callable[[], Any], Callable[..., Any]]:
    """One update, and what compiles functions of the trained model."""
    parameters, static = equinox.partition(
        model,
        equinox.is_inexact_array,
        is_leaf=lambda leaf: isinstance(leaf, NonTrainable),
    )
    optimizer = optax.adam(_peers.LEARNING_RATE)
    state = [parameters, optimizer.init(parameters), jax.random.key(0)]

    def loss(parameters: Any, key: Any) -> Any:
        return loss_of(unwrap(equinox.combine(parameters, static)), key)

    @equinox.filter_jit
    def step(parameters: Any, moments: Any, key: Any) -> Any:
        key, now = jax.random.split(key)
        value, gradients = equinox.filter_value_and_grad(loss)(parameters, now)
        updates, moments = optimizer.update(gradients, moments)
        return equinox.apply_updates(parameters, updates), moments, key, value

    def update() -> float:
        *state[:], value = step(*state)
        return float(value)

    def of_model(function: Callable[[Any], Any]) -> Callable[[], Any]:
        @equinox.filter_jit
        def call(parameters: Any) -> Any:
            return function(unwrap(equinox.combine(parameters, static)))

        return lambda: np.asarray(call(state[0]))

    return update, of_model


class _Autoencoder(equinox.Module):
    encoder: Any
    head: Any
    decoder: Any
    flow: Any


def _autoencoder_step(
    key: Any, x: np.ndarray, settings: Any
) -> Callable[[], Any]:
    size, (width, *others) = x.shape[-1], settings.autoencoder
    images = jnp.asarray(
        np.random.default_rng(0).random([len(x), settings.pixels]) < 0.5,
        jnp.float32,
    )
    keys = jax.random.split(key, 4)
    depth = len(others)
    model = _Autoencoder(
        equinox.nn.MLP(
            *(settings.pixels, width, width, depth),
            final_activation=jax.nn.relu,
            key=keys[0],
        ),
        equinox.nn.Linear(width, 2 * size, key=keys[1]),
        equinox.nn.MLP(size, settings.pixels, width, depth + 1, key=keys[2]),
        flows.planar_flow(
            keys[3],
            base_dist=distributions.Normal(jnp.zeros(size)),
            cond_dim=width,
            flow_layers=settings.very_long,
            invert=False,
            width_size=width,
            depth=1,
        ).bijection,
    )

    def negative_elbo(model: Any, key: Any) -> Any:
        def of_image(image: Any, noise: Any) -> Any:
            features = model.encoder(image)
            loc, raw = jnp.split(model.head(features), 2)
            scale = jax.nn.softplus(raw)
            z, log_det = model.flow.transform_and_log_det(
                loc + scale * noise, features
            )
            log_q = -0.5 * (noise**2).sum() - jnp.log(scale).sum() - log_det
            cross_entropy = optax.sigmoid_binary_cross_entropy(
                model.decoder(z), image
            )
            return log_q + 0.5 * (z**2).sum() + cross_entropy.sum()

        noise = jax.random.normal(key, x.shape)
        return jax.vmap(of_image)(images, noise).mean()

    return _training(negative_elbo, model)[0]
