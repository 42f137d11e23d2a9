"""The measuring processes of `marginal_likelihood`, one task each."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfp_flows
from benchmarks import _measure
from benchmarks._long_flow_child import versions

__all__ = ["make_model", "memory", "rates", "usual_way"]


def make_model(num_flow_steps: int, sizes: dict[str, int]) -> Any:
    """A DLGM with plain networks and an amortized planar flow."""
    layers = tfp_flows.layers
    hidden = (sizes["hidden"], sizes["hidden"])
    flow = layers.PlanarFlow(num_flow_steps, seed=0) if num_flow_steps else None
    keras.utils.set_random_seed(0)
    model = tfp_flows.models.DLGM(
        encoder=layers.MLP(hidden),
        posterior=tfp_flows.posteriors.FlowPosterior(sizes["latent"], flow),
        decoder=layers.MLP(hidden, output_size=sizes["pixels"]),
        event_shape=(sizes["pixels"],),
    )
    model.build((None, sizes["pixels"]))
    return model


def images(sizes: dict[str, int]) -> np.ndarray:
    """One batch of random binary images."""
    generator = np.random.default_rng(0)
    shape = (sizes["batch"], sizes["pixels"])
    return generator.integers(0, 2, shape).astype(np.float32)


def usual_way(
    model: Any, samples_per_chunk: int
) -> Callable[[tf.Tensor, int], tf.Tensor]:
    """Log mean weight `[B]`; every sample's copy of an image is encoded.

    The chunks, the noise and the running sums are those of
    `log_marginal_likelihood`; what differs is that the batch is repeated
    before the encoder, not after it.
    """

    def log_weights(x: tf.Tensor, chunk: tf.Tensor) -> tf.Tensor:
        repeated = tf.tile(x, [samples_per_chunk, 1])
        standard_normal = model.posterior.noise(
            x.shape[0],
            samples_per_chunk,
            seed=model.seed,
            step=chunk,
            purpose="log marginal likelihood",
        )
        standard_normal = tf.reshape(
            standard_normal, [1, repeated.shape[0], model.posterior.noise_size]
        )
        _, terms = model.annealed_bound(repeated, standard_normal)
        return tf.reshape(terms.log_weights, [samples_per_chunk, x.shape[0]])

    @tf.function(jit_compile=True, autograph=False)
    def add_chunk(
        x: tf.Tensor, total: tf.Tensor, chunk: tf.Tensor
    ) -> tf.Tensor:
        log_sum = tf.reduce_logsumexp(log_weights(x, chunk), axis=0)
        return tf.reduce_logsumexp(
            tf.stack([total, tf.cast(log_sum, tf.float64)]), axis=0
        )

    def estimate(x: tf.Tensor, num_chunks: int) -> tf.Tensor:
        # One call per chunk: in a compiled loop XLA would move the encoder,
        # which does not depend on the chunk, in front of the loop.
        total = tf.fill([x.shape[0]], tf.constant(-1e300, tf.float64))
        for chunk in range(num_chunks):
            total = add_chunk(x, total, tf.constant(chunk, tf.int64))
        return total - math.log(num_chunks * samples_per_chunk)

    return estimate


def rates(
    num_flow_steps: int,
    sizes: dict[str, int],
    num_samples: int,
    samples_per_chunk: int,
    num_repeats: int,
) -> dict[str, Any]:
    """Seconds of each way for `batch` images times `num_samples` samples.

    Both take turns, in an order drawn anew for every round.
    """
    model = make_model(num_flow_steps, sizes)
    x = images(sizes)
    usual = usual_way(model, samples_per_chunk)
    batch = tf.constant(x)
    num_chunks = num_samples // samples_per_chunk

    def ours() -> np.ndarray:
        return model.log_marginal_likelihood(
            x,
            num_samples,
            batch_size=len(x),
            samples_per_chunk=samples_per_chunk,
            jit_compile=True,
            verbose=0,
        ).estimates

    ways = {"ours": ours, "usual": lambda: usual(batch, num_chunks).numpy()}
    estimates = {name: way() for name, way in ways.items()}  # compiles
    seconds = _measure.in_turns(ways, num_repeats)
    difference = np.abs(estimates["ours"] - estimates["usual"]).max()
    return {
        "seconds": seconds,
        "largest_difference": float(difference),
        "versions": versions(),
    }


def memory(
    num_flow_steps: int,
    sizes: dict[str, int],
    num_samples: int,
    samples_per_chunk: int,
) -> dict[str, Any]:
    """Peak resident set of a process that takes `num_samples` samples."""
    model = make_model(num_flow_steps, sizes)
    model.log_marginal_likelihood(
        images(sizes),
        num_samples,
        samples_per_chunk=samples_per_chunk,
        verbose=0,
    )
    return {"peak_memory_mib": _measure.peak_memory_mib()}


def main(task_file: str, result_file: str) -> None:
    """Reads a task, runs it and writes its values."""
    task = json.loads(Path(task_file).read_text())
    function = {"rates": rates, "memory": memory}[task.pop("task")]
    Path(result_file).write_text(json.dumps(function(**task)))


if __name__ == "__main__":
    main(*sys.argv[1:])
