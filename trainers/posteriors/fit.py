"""One surrogate: `tfp.vi.fit_surrogate_posterior`, then its errors."""

import time
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from arviz_stats.base.array import array_stats

from trainers.posteriors.families import make_surrogate
from trainers.posteriors.targets import PosteriorTarget

__all__ = ["QUICK", "Settings", "evaluate", "fit"]

tfd = tfp.distributions


class Settings(NamedTuple):
    """Equal for all targets and families."""

    num_steps: int = 20_000
    num_samples: int = 64  # a step
    learning_rate: float = 1e-2  # the cosine's start
    initial_scale: float = 0.3
    num_evaluation_samples: int = 200_000
    chunk_size: int = 20_000  # samples at once: bounds the memory


QUICK = Settings(num_steps=200, num_evaluation_samples=2_000, chunk_size=1_000)


def fit(
    target: PosteriorTarget, family: str, seed: int, settings: Settings
) -> tuple[tfd.Distribution, dict[str, Any]]:
    """The trained surrogate, and what its training was.

    Args:
      target: the posterior.
      family: a name of `trainers.posteriors.families`.
      seed: of initial weights and noise.
      settings: of the training.
    """
    surrogate = make_surrogate(
        family, target.event_size, settings.initial_scale, seed
    )
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, settings.num_steps
    )
    start = time.perf_counter()
    losses = tfp.vi.fit_surrogate_posterior(
        target.log_prob,
        surrogate,
        optimizer=keras.optimizers.Adam(schedule, global_clipnorm=100.0),
        num_steps=settings.num_steps,
        sample_size=settings.num_samples,
        jit_compile=True,
        seed=(seed, 1),
    ).numpy()
    return surrogate, {
        "final_loss": float(np.mean(losses[-len(losses) // 20 :])),
        "seconds": time.perf_counter() - start,
        "num_parameters": sum(
            int(np.prod(v.shape)) for v in surrogate.trainable_variables
        ),
    }


def evaluate(
    target: PosteriorTarget,
    surrogate: tfd.Distribution,
    mean: np.ndarray,
    sd: np.ndarray,
    seed: int,
    settings: Settings,
) -> dict[str, Any]:
    """How far the surrogate's moments are from the posterior's.

    Args:
      target: the posterior.
      surrogate: a distribution of its coordinates.
      mean: of the target's variables, `[V]`.
      sd: likewise.
      seed: of the samples.
      settings: how many.

    Returns:
      For every variable the error of the mean in posterior standard deviations
      and the ratio of the standard deviations; the free energy in nats with its
      standard error; Pareto's k-hat of the importance weights.
    """

    @tf.function(jit_compile=True)
    def draw(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        z, log_prob = surrogate.experimental_sample_and_log_prob(
            settings.chunk_size, seed=seed
        )
        return target.variables(z), target.log_prob(z) - log_prob

    variables, log_weights = [], []
    for i in range(settings.num_evaluation_samples // settings.chunk_size):
        values, weights = draw(tf.constant([seed, 1_000 + i]))
        variables.append(values.numpy().astype(np.float64))
        log_weights.append(weights.numpy().astype(np.float64))
    drawn, weights = np.concatenate(variables), np.concatenate(log_weights)
    _, k_hat = array_stats.psislw(weights)
    mean_errors = (drawn.mean(axis=0) - mean) / sd
    sd_ratios = drawn.std(axis=0) / sd
    return {
        "mean_errors": mean_errors.tolist(),
        "sd_ratios": sd_ratios.tolist(),
        "largest_mean_error": float(np.abs(mean_errors).max()),
        "smallest_sd_ratio": float(sd_ratios.min()),
        "largest_sd_ratio": float(sd_ratios.max()),
        "free_energy": float(-weights.mean()),
        "free_energy_standard_error": float(
            weights.std(ddof=1) / np.sqrt(len(weights))
        ),
        "k_hat": float(k_hat),
    }
