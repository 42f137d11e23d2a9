"""Surrogates in the structure, and on the supports, of a user's model."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.vi import models
from tfp_flows import layers, vi

tfb, tfd = tfp.bijectors, tfp.distributions


def _strip(nest):
    """Not the tensors that a bijector remembers."""
    return tf.nest.map_structure(tf.identity, nest)


@pytest.mark.parametrize(
    "kind", ["auto_batched", "coroutine", "named", "sequential"]
)
def test_draws_have_the_structure_of_the_model(kind):
    model = models.schools(kind).experimental_pin(effects=models.EFFECTS)
    has_flow = kind == "auto_batched"
    flow = layers.PlanarFlow(2, seed=0) if has_flow else []
    q = vi.build_flow_surrogate_posterior(model, flow)
    assert q.batch_shape == []
    draws, log_prob = q.experimental_sample_and_log_prob(5, seed=(0, 1))
    expected = model.sample_unpinned(5, seed=2)
    tf.nest.assert_same_structure(draws, expected)
    for mine, theirs in zip(
        tf.nest.flatten(draws), tf.nest.flatten(expected), strict=True
    ):
        assert mine.shape == theirs.shape
        assert mine.dtype == theirs.dtype
    assert model.unnormalized_log_prob(draws).shape == [5]
    np.testing.assert_allclose(
        q.log_prob(_strip(draws)), log_prob, rtol=1e-4, atol=1e-4
    )
    # loc, L; and u, w, b of the flow.
    assert len(q.trainable_variables) == (5 if has_flow else 2)


def test_supports_hold_and_log_dets_are_those_of_the_free_numbers():
    q = vi.build_flow_surrogate_posterior(
        models.supports(), [], observed={}, initial_scale=1.0
    )
    unconstrained = q.distribution.sample(20, seed=(0, 1))
    values = q.bijector.forward(unconstrained)
    assert (values.positive > 0).numpy().all()
    np.testing.assert_allclose(tf.reduce_sum(values.simplex, -1), 1.0)
    assert (values.simplex > 0).numpy().all()
    gram = values.correlation @ tf.linalg.matrix_transpose(values.correlation)
    np.testing.assert_allclose(tf.linalg.diag_part(gram), 1.0)
    assert (np.diff(values.ordered) > 0).all()
    assert ((values.below > 0) & (values.below < values.positive)).numpy().all()

    # A numerical change of variables, by central differences.
    step = 1e-5 * np.eye(unconstrained.shape[-1])
    around = unconstrained[:, tf.newaxis, tf.newaxis] + [-step, step]
    free = models.free_numbers(q.bijector.forward(around)).numpy()
    jacobian = (free[:, 1] - free[:, 0]) / 2e-5
    expected = np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(
        q.bijector.forward_log_det_jacobian(unconstrained, 1),
        expected,
        rtol=1e-7,
    )
    np.testing.assert_allclose(
        q.log_prob(_strip(values)),
        q.distribution.log_prob(unconstrained) - expected,
        rtol=1e-6,
    )


def test_a_log_density_of_a_nest_is_called_as_tfp_calls_it():
    def log_prob(a, b):
        return tf.reduce_sum(a, -1) + tf.reduce_sum(b, [-1, -2])

    q = vi.build_flow_surrogate_posterior(
        log_prob,
        [],
        event_shape={"a": [2], "b": (1, 3)},
        event_space_bijector={"a": tfb.Exp(), "b": None},
    )
    draws = q.sample(4, seed=(0, 1))
    assert sorted(draws) == ["a", "b"]
    assert draws["b"].shape == [4, 1, 3]
    assert (draws["a"] > 0).numpy().all()
    q = vi.build_flow_surrogate_posterior(log_prob, [], event_shape=[[2], [3]])
    assert [part.shape for part in q.sample(4)] == [[4, 2], [4, 3]]
    q = vi.build_flow_surrogate_posterior(log_prob, [], event_shape=[])
    assert q.sample(4).shape == [4]


def test_tfp_trains_slices_and_copies_it():
    import keras

    model = models.schools("named").experimental_pin(effects=models.EFFECTS)
    q = vi.build_flow_surrogate_posterior(model, [])
    losses = tfp.vi.fit_surrogate_posterior(
        model.unnormalized_log_prob,
        q,
        optimizer=keras.optimizers.Adam(0.05),
        num_steps=40,
        sample_size=8,
        seed=(0, 1),
    ).numpy()
    assert losses[-10:].mean() < losses[:10].mean()
    draws = q.sample(3, seed=(0, 2))
    np.testing.assert_allclose(
        q[tf.newaxis].log_prob(_strip(draws)),
        q.log_prob(_strip(draws)),
        rtol=1e-5,
    )
    assert q[tf.newaxis].batch_shape == [1]
    assert q.copy().trainable_variables == q.trainable_variables


def test_variables_of_the_model_stay_its_own():
    width = tf.Variable(1.0)
    model = tfd.JointDistributionNamed(
        {
            "x": tfd.Uniform(0.0, width),
            "y": lambda x: tfd.Normal(x, 1.0),
        }
    )
    q = vi.build_flow_surrogate_posterior(model, [], observed={"y": 0.5})
    assert len(q.trainable_variables) == 2  # loc and L
    width.assign(1e-3)
    assert (q.sample(50, seed=(0, 1))["x"] < 1e-3).numpy().all()


def test_flow_starts_at_the_weights_of_the_layer_and_equal_seeds_are_equal():
    one, other = (
        vi.build_flow_surrogate_posterior(
            lambda x: tf.reduce_sum(x, -1), event_shape=[3], seed=seed
        )
        for seed in (1, 1)
    )
    for mine, theirs in zip(
        one.trainable_variables, other.trainable_variables, strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    # An identity flow behind loc and L.
    x = one.sample(4_000, seed=(0, 1)).numpy()
    np.testing.assert_allclose(x.std(axis=0), 0.3, rtol=0.1)


def test_a_flow_drawn_coordinate_by_coordinate_is_told_of():
    with pytest.warns(UserWarning, match="`inverted=True` makes it one"):
        vi.build_flow_surrogate_posterior(
            lambda x: x, layers.MAFFlow(1, (4,)), event_shape=[2]
        )
