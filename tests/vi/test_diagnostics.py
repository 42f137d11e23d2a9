"""k-hat, R-hat and effective sample sizes, beside ArviZ's."""

import sys
import types

import numpy as np
import pytest
from arviz_stats.base.array import array_stats
from scipy import stats

from tfp_flows import vi
from tfp_flows.vi import chains, pareto


@pytest.mark.parametrize("k", [0.2, 0.6, 1.2])
def test_k_hat_is_the_shape_of_the_tail(k):
    weights = stats.genpareto(k).rvs(20_000, random_state=0) + 1.0
    log_weights = np.log(weights)
    smoothed = pareto.smooth(log_weights)
    assert abs(smoothed.k_hat - k) < 0.15
    expected, k_hat = array_stats.psislw(-log_weights)  # of minus the weights
    assert abs(smoothed.k_hat - k_hat) < 0.03
    mine = smoothed.log_weights - np.log(np.exp(smoothed.log_weights).sum())
    np.testing.assert_allclose(mine, expected, atol=0.1)


def test_k_hat_of_few_equal_or_lost_weights():
    rounding = 1e-7 * np.random.default_rng(0).normal(size=100)
    assert pareto.smooth(rounding).k_hat == -np.inf
    assert pareto.smooth(np.arange(10.0)).k_hat == np.inf  # a tail of two
    lost = np.where(np.arange(1_000) % 2, -np.inf, 0.0)
    lost += np.random.default_rng(0).normal(size=1_000)
    assert np.isfinite(pareto.smooth(lost).k_hat)


@pytest.mark.parametrize(
    ("k_hat", "words"),
    [
        (0.1, "`log_evidence` is reliable"),
        (0.6, "usable, with many draws"),
        (0.9, "not reliable: fit with more steps"),
        (np.inf, "misses mass"),
    ],
)
def test_advice_names_what_to_do(k_hat, words):
    assert words in pareto.advice(k_hat)


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_r_hat_and_effective_sample_size_are_those_of_arviz(offset):
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(400, 4, 2))
    for i in range(1, 400):
        draws[i] = 0.5 * draws[i - 1] + np.sqrt(0.75) * draws[i]
    draws[:, 0] += offset
    axes = {"chain_axis": 0, "draw_axis": 1}
    by_chain = np.moveaxis(draws, 0, 1)
    np.testing.assert_allclose(
        chains.r_hat(draws), array_stats.rhat(by_chain, **axes), atol=2e-3
    )
    if not offset:  # of chains that differ they count otherwise
        np.testing.assert_allclose(
            chains.effective_sample_size(draws),
            array_stats.ess(by_chain, **axes),
            rtol=0.15,
        )


def _result():
    draws = {"a": np.arange(6.0).reshape(3, 2), "b": np.zeros([3, 2, 4])}
    return vi.NeutraResult(draws, {}, {}, 0.9, 0.5, 10, True)


def test_to_arviz_puts_chains_first():
    tree = vi.to_arviz(_result())
    assert tree["posterior"]["a"].dims == ("chain", "draw")
    np.testing.assert_array_equal(tree["posterior"]["a"].values[1], [1, 3, 5])
    tree = vi.to_arviz([np.zeros([5]), np.ones([5, 2])])
    assert tree["posterior"]["x1"].shape == (1, 5, 2)


def test_to_arviz_takes_an_older_arviz_or_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz_base", None)
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(ImportError, match="pip install arviz-base"):
        vi.to_arviz(_result())
    old = types.SimpleNamespace(from_dict=lambda posterior: posterior)
    monkeypatch.setitem(sys.modules, "arviz", old)
    found = vi.to_arviz(_result())
    assert found["b"].shape == (2, 3, 4)
