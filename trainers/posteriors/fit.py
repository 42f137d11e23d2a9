"""One surrogate: `tfp_flows.vi.fit`, then its errors."""

import time
import warnings
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow_probability as tfp

from tfp_flows import vi
from trainers.posteriors.families import make_surrogate
from trainers.posteriors.targets import PosteriorTarget

__all__ = [
    "QUICK",
    "Settings",
    "evaluate",
    "fit",
    "largest_errors",
    "moment_errors",
]

tfd = tfp.distributions

_Surrogate: TypeAlias = tfd.Distribution | vi.AuxiliarySurrogate


class Settings(NamedTuple):
    """Equal for all targets and families."""

    num_steps: int = 10_000
    num_samples: int = 128  # a step
    learning_rate: float = 3e-3  # the cosine's start
    initial_scale: float = 0.3
    num_evaluation_samples: int = 200_000
    num_resampled: int = 200_000  # of as many proposals
    num_evidences: int = 10  # estimates of the log evidence
    num_evidence_samples: int = 20_000  # of each


QUICK = Settings(
    num_steps=200,
    num_evaluation_samples=2_000,
    num_resampled=500,
    num_evidences=2,
    num_evidence_samples=500,
)

_LEVEL = 1.96  # standard errors: 95 %


def fit(
    target: PosteriorTarget, family: str, seed: int, settings: Settings
) -> tuple[_Surrogate, dict[str, Any]]:
    """The trained surrogate, and what its training came to.

    Args:
      target: the posterior.
      family: a name of `trainers.posteriors.families`.
      seed: of initial weights and noise.
      settings: of the training.
    """
    surrogate = make_surrogate(family, target, settings.initial_scale, seed)
    start = time.perf_counter()
    found = vi.fit(
        target.log_prob,
        surrogate,
        num_steps=settings.num_steps,
        num_draws=settings.num_samples,
        learning_rate=settings.learning_rate,
        num_evaluation_draws=settings.num_evaluation_samples,
        seed=seed,
        verbose=False,
    )
    return surrogate, {
        "seconds": time.perf_counter() - start,
        "num_parameters": sum(
            int(np.prod(v.shape)) for v in surrogate.trainable_variables
        ),
        "num_gradients": settings.num_steps
        * settings.num_samples
        * _gradients_per_draw(surrogate),
        "free_energy": -found.elbo,
        "free_energy_standard_error": found.elbo_standard_error,
        "kl": target.log_normalizer - found.elbo,
        "kl_standard_error": float(
            np.hypot(
                found.elbo_standard_error, target.log_normalizer_standard_error
            )
        ),
        "log_normalizer": target.log_normalizer,
        "k_hat": found.k_hat,
        "has_converged": found.has_converged,
    }


def evaluate(
    target: PosteriorTarget,
    surrogate: _Surrogate,
    mean: np.ndarray,
    sd: np.ndarray,
    seed: int,
    settings: Settings,
) -> dict[str, Any]:
    """How far moments and evidence are from the posterior's.

    Args:
      target: the posterior.
      surrogate: a distribution of its coordinates.
      mean: of the target's variables, `[V]`.
      sd: likewise.
      seed: of the samples.
      settings: how many.

    Returns:
      For every variable the error of the mean in posterior standard deviations
      and the ratio of the standard deviations; the largest of either, of the
      surrogate's draws and of importance-resampled ones; estimates of the log
      evidence by importance sampling, in nats, with their standard errors, and
      how many of them cover the true one.
    """
    num_draws = settings.num_evaluation_samples
    if isinstance(surrogate, vi.AuxiliarySurrogate):
        draws = surrogate.sample(num_draws, seed=seed)
    else:
        draws = surrogate.sample(num_draws, seed=(seed, 1_000))
    with warnings.catch_warnings():
        # k-hat is among the results.
        warnings.filterwarnings("ignore", ".*has a k-hat of")
        resampled = vi.importance_resample(
            target.log_prob,
            surrogate,
            settings.num_resampled,
            num_proposals=num_draws,
            seed=seed,
        )
        evidences = [
            vi.log_evidence(
                target.log_prob,
                surrogate,
                settings.num_evidence_samples,
                seed=seed * settings.num_evidences + i,
            )
            for i in range(settings.num_evidences)
        ]
    mean_errors, sd_ratios = moment_errors(target, draws, mean, sd)
    return {
        "mean_errors": mean_errors.tolist(),
        "sd_ratios": sd_ratios.tolist(),
        **largest_errors(mean_errors, sd_ratios),
        "resampled": {
            **largest_errors(*moment_errors(target, resampled.draws, mean, sd)),
            "effective_sample_size": resampled.effective_sample_size,
        },
        "log_evidences": [found.log_evidence for found in evidences],
        "log_evidence_standard_errors": [
            found.standard_error for found in evidences
        ],
        "num_evidences_covered": sum(
            _is_covered(target, found) for found in evidences
        ),
    }


def largest_errors(
    mean_errors: np.ndarray, sd_ratios: np.ndarray
) -> dict[str, float]:
    """Of all variables, by name."""
    return {
        "largest_mean_error": float(np.abs(mean_errors).max()),
        "smallest_sd_ratio": float(sd_ratios.min()),
        "largest_sd_ratio": float(sd_ratios.max()),
    }


def _gradients_per_draw(surrogate: _Surrogate) -> int:
    """Of the target, in making one draw and its log weight."""
    posterior = getattr(surrogate, "posterior", None)
    bridges = getattr(posterior, "num_bridges", 0)
    return 1 + bridges * getattr(posterior, "num_leapfrog_steps", 1)


def _is_covered(target: PosteriorTarget, found: vi.LogEvidence) -> bool:
    """Whether the true evidence is within the estimate's 95 % interval."""
    error = found.log_evidence - target.log_normalizer
    return bool(
        abs(error)
        <= _LEVEL
        * np.hypot(found.standard_error, target.log_normalizer_standard_error)
    )


def moment_errors(
    target: PosteriorTarget, draws: Any, mean: np.ndarray, sd: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of means, in standard deviations, and ratios of standard deviations.

    Args:
      target: the posterior.
      draws: of its coordinates, `[..., D]`.
      mean: of its variables, `[V]`.
      sd: likewise.
    """
    values = np.asarray(target.variables(draws), np.float64)
    values = values.reshape([-1, values.shape[-1]])
    return (values.mean(axis=0) - mean) / sd, values.std(axis=0) / sd
