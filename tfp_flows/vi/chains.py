"""How far chains have mixed: R-hat and effective sample sizes.

Both of ranks, made normal, of chains split in two, so that they notice chains
that differ in location, scale or trend, with variances that need not exist.

References:
1. A. Vehtari, A. Gelman, D. Simpson, B. Carpenter and P.-C. Buerkner.
   Rank-Normalization, Folding, and Localization: An Improved R-hat for
   Assessing Convergence of MCMC. Bayesian Analysis 2021.
   https://arxiv.org/abs/1903.08008
"""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["effective_sample_size", "r_hat"]


def r_hat(draws: np.ndarray) -> np.ndarray:
    """The larger of the R-hats of location and of scale; 1 if mixed.

    Args:
      draws: `[num_results, num_chains, ...]`.
    """
    split = _split(draws)
    folded = np.abs(split - np.median(split, axis=(0, 1)))
    return np.maximum(_plain(_normal(split)), _plain(_normal(folded)))


def effective_sample_size(draws: np.ndarray) -> np.ndarray:
    """Of the bulk: how many independent draws all chains are worth.

    Args:
      draws: `[num_results, num_chains, ...]`.
    """
    split = _normal(_split(draws))
    return tfp.mcmc.effective_sample_size(
        tf.constant(split),
        cross_chain_dims=1,
        filter_beyond_positive_pairs=True,
    ).numpy()


def _split(draws: np.ndarray) -> np.ndarray:
    """Each chain as two, one after the other."""
    draws = np.asarray(draws, np.float64)
    half = len(draws) // 2
    return np.concatenate([draws[:half], draws[-half:]], axis=1)


def _normal(draws: np.ndarray) -> np.ndarray:
    """Normal scores of the ranks among all draws of a variable."""
    flat = draws.reshape([draws.shape[0] * draws.shape[1], -1])
    ranks = np.argsort(np.argsort(flat, axis=0), axis=0) + 1.0
    scores = tf.math.ndtri((ranks - 0.375) / (len(flat) + 0.25)).numpy()
    return scores.reshape(draws.shape)


def _plain(chains: np.ndarray) -> np.ndarray:
    length = len(chains)
    within = chains.var(axis=0, ddof=1).mean(axis=0)
    between = chains.mean(axis=0).var(axis=0, ddof=1)
    return np.sqrt((length - 1) / length + between / within)
