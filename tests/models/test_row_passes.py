"""Passes over rows give what one call gives, on one device and on two."""

import numpy as np
import pytest
import tensorflow as tf

from tests.distributed import mirrored_strategy, on_two_cpus
from tfp_flows.models.row_passes import passes

ROWS = np.arange(14.0).reshape(7, 2)


def _passed(strategy, at_once=3):
    """Every row's sum, index and seed; how many rows each call had."""
    seen, cache = [], {}

    def sums(rows, first, seed):
        seen.append(rows.shape[0])
        index = tf.range(rows.shape[0], dtype=tf.int64) + first
        total = tf.reduce_sum(rows, axis=-1)
        seeds = tf.fill([rows.shape[0]], tf.cast(seed, rows.dtype))
        return tf.stack([total, tf.cast(index, rows.dtype), seeds], axis=-1)

    for seed in (2, 5):  # the second time from the cache
        found = list(
            passes(
                sums,
                ROWS,
                seed=seed,
                at_once=at_once,
                strategy=strategy,
                cache=cache,
                key="sums",
            )
        )
    firsts, parts = zip(*found, strict=True)
    return firsts, np.concatenate(parts), seen


def _on_two():
    # A pass of 3 rows, and the last one of 1, do not divide.
    return _passed(mirrored_strategy())


def _check(firsts, values):
    assert firsts == (0, 3, 6)
    np.testing.assert_array_equal(values[:, 0], ROWS.sum(axis=1))
    np.testing.assert_array_equal(values[:, 1], np.arange(len(ROWS)))
    np.testing.assert_array_equal(values[:, 2], 5.0)


def test_one_device():
    firsts, values, seen = _passed(tf.distribute.get_strategy())
    _check(firsts, values)
    assert seen == [3, 3, 1] * 2


def test_a_strategy_of_one_replica_runs_them_too():
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    firsts, values, seen = _passed(strategy)
    _check(firsts, values)
    assert seen == [3]  # traced once, for all passes


@pytest.mark.distributed
def test_replicas_share_the_rows():
    firsts, values, seen = on_two_cpus(_on_two)
    _check(firsts, values)
    assert seen == [2, 2]
