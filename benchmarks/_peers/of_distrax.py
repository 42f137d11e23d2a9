"""distrax, on JAX: spline couplings, with networks of plain JAX."""

from typing import Any

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import _peers

__all__ = ["make"]


def make(flow: str, x: np.ndarray, settings: Any) -> _peers.Calls:
    """The functions that are timed; see `_peers`."""
    del flow
    size, points = x.shape[-1], jnp.asarray(x)
    outputs = 3 * settings.bins + 1
    widths = [size, *settings.hidden, size * outputs]
    generator = np.random.default_rng(settings.seed)
    parameters = [
        [
            (
                jnp.asarray(
                    generator.normal(size=shape) / shape[0] ** 0.5, jnp.float32
                ),
                jnp.zeros(shape[1]),
            )
            for shape in zip(widths, widths[1:], strict=False)
        ]
        for _ in range(settings.steps)
    ]

    def distribution(parameters: Any) -> Any:
        mask = jnp.arange(size) < size // 2
        chain = []
        for layer in parameters:

            def network(x: Any, layer: Any = layer) -> Any:
                for i, (kernel, bias) in enumerate(layer):
                    x = x @ kernel + bias
                    if i < len(layer) - 1:
                        x = jax.nn.relu(x)
                return x.reshape([*x.shape[:-1], size, outputs])

            chain.append(
                distrax.MaskedCoupling(
                    mask=mask,
                    bijector=lambda p: distrax.RationalQuadraticSpline(
                        p, range_min=-3.0, range_max=3.0
                    ),
                    conditioner=network,
                )
            )
            mask = ~mask
        base = distrax.MultivariateNormalDiag(jnp.zeros(size))
        # Its inverse serves densities, the other way round than its forward.
        return distrax.Transformed(base, distrax.Inverse(distrax.Chain(chain)))

    optimizer = optax.adam(_peers.LEARNING_RATE)
    state = [parameters, optimizer.init(parameters)]

    @jax.jit
    def step(parameters: Any, moments: Any) -> Any:
        loss, gradients = jax.value_and_grad(
            lambda p: -distribution(p).log_prob(points).mean()
        )(parameters)
        updates, moments = optimizer.update(gradients, moments)
        return optax.apply_updates(parameters, updates), moments, loss

    def update() -> float:
        state[0], state[1], loss = step(*state)
        return float(loss)

    key = jax.random.key(1)
    sample = jax.jit(
        lambda p: distribution(p).sample(seed=key, sample_shape=(len(x),))
    )
    density = jax.jit(lambda p: distribution(p).log_prob(points))
    return {
        "step": update,
        "samples": lambda: np.asarray(sample(state[0])),
        "density": lambda: np.asarray(density(state[0])),
    }
