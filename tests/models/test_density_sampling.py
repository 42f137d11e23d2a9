"""FlowDensity's samples: traced once, in passes that do not show in them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.layers import MAFFlow, SplineCouplingFlow
from tfp_flows.models import FlowDensity, density_sampling

HIDDEN = {"hidden_units": (8,)}


def _model(conditional=False, **kwargs):
    flow = MAFFlow(2, seed=0, dtype="float64", **HIDDEN)
    model = FlowDensity(flow, dtype="float64", **kwargs)
    shape = (None, 3)
    model.build({"x": shape, "context": (None, 2)} if conditional else shape)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        value = keras.ops.convert_to_numpy(weight)
        weight.assign(value + 0.3 * rng.normal(size=value.shape))
    return model


@pytest.mark.parametrize("num_contexts", [None, 5])
def test_passes_do_not_show(num_contexts, monkeypatch):
    """More samples than rows of a pass, fewer, and no whole number of them."""
    model = _model(num_contexts is not None)
    context = None
    if num_contexts is not None:
        context = np.random.default_rng(1).normal(size=[num_contexts, 2])
    whole = model.sample(7, context, seed=3)
    sizes = []
    push = model._push_forward
    monkeypatch.setattr(
        model,
        "_push_forward",
        lambda z, c: sizes.append(z.shape[:-1].num_elements()) or push(z, c),
    )
    for most in (1, 3, 7, 20, 34):
        sizes.clear()
        monkeypatch.setattr(density_sampling, "_MOST_ROWS", most)
        found = model.sample(7, context, seed=3)
        np.testing.assert_allclose(found, whole, rtol=1e-12, atol=1e-12)
        assert max(sizes) <= most
        assert sum(sizes) == 7 * (num_contexts or 1)


def test_events_of_many_numbers_take_passes_of_few_samples(monkeypatch):
    monkeypatch.setattr(density_sampling, "_MOST_NUMBERS", 10)
    sizes = []

    def push(z, context):
        sizes.append(len(z))
        return z

    for noise_size, expected in ((4, [2, 2, 1]), (11, [1] * 5)):
        sizes.clear()
        z = density_sampling.sampled(
            push, 5, None, noise_size=noise_size, seed=0, dtype="float32"
        )
        assert z.shape == [5, noise_size]
        assert sizes == expected


def test_one_trace_for_all_sizes_and_the_weights_as_they_are():
    model = _model(conditional=True)
    traces = []
    samples = model._samples
    model._samples = lambda *args: traces.append(1) or samples(*args)
    context = np.random.default_rng(1).normal(size=[4, 2])
    many = model.sample(6, context, seed=1)
    np.testing.assert_allclose(  # rows of a context are its own
        model.sample(6, context[:1], seed=1), many[:, :1], rtol=1e-12
    )
    assert model.sample(2, context).shape == [2, 4, 3]
    for weight in model.trainable_weights:
        weight.assign(0.5 * weight)
    changed = model.sample(6, context, seed=1)
    assert len(traces) == 1
    assert np.abs(changed - many).max() > 0.1


def test_samples_are_a_part_of_a_users_graph():
    model = _model()
    expected = model.sample(5, seed=2)
    for jit_compile in (False, True):
        inside = tf.function(
            lambda: model.sample(5, seed=2),
            jit_compile=jit_compile,
            autograph=False,
        )
        np.testing.assert_allclose(inside(), expected, rtol=1e-9)


@pytest.mark.slow
def test_samples_have_the_density():
    """The shares of cells of the plane are the integrals over them."""
    flow = SplineCouplingFlow(2, num_bins=4, seed=0, **HIDDEN)
    model = FlowDensity(flow)
    model.build((None, 2))
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        value = keras.ops.convert_to_numpy(weight)
        weight.assign(value + 0.2 * rng.normal(size=value.shape))
    n = 20_000
    x = model.sample(n, seed=1).numpy()
    edges = (
        np.quantile(x[:, 0], np.linspace(0.02, 0.98, 5)),
        np.quantile(x[:, 1], np.linspace(0.02, 0.98, 5)),
    )
    share = np.histogram2d(x[:, 0], x[:, 1], edges)[0] / n
    fine = [
        np.concatenate(
            [
                a + (b - a) * (np.arange(24) + 0.5) / 24
                for a, b in zip(e[:-1], e[1:], strict=True)
            ]
        )
        for e in edges
    ]
    grid = np.stack(np.meshgrid(*fine, indexing="ij"), -1).reshape([-1, 2])
    density = np.exp(model.log_prob(grid.astype(np.float32))).reshape(
        [4, 24, 4, 24]
    )
    area = np.diff(edges[0])[:, None] * np.diff(edges[1])[None]
    mass = density.mean(axis=(1, 3)) * area
    error = np.sqrt(mass * (1 - mass) / n)
    assert np.all(np.abs(share - mass) < 5 * error)


def test_densities_in_a_users_graph():
    """Values are not checked there; shapes are."""
    model = _model(conditional=True)
    rng = np.random.default_rng(0)
    x, context = rng.normal(size=[6, 3]), rng.normal(size=[6, 2])
    inside = tf.function(model.log_prob, autograph=False)
    np.testing.assert_allclose(
        inside(tf.constant(x), tf.constant(context)),
        model.log_prob(x, context),
        rtol=1e-12,
    )
    with pytest.raises(ValueError, match="of shape .3,."):
        inside(tf.constant(context), tf.constant(context))
