"""FlowDensity in use: figures that agree, contexts, saving, replicas."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from configs.flows import FLOWS
from tests.distributed import mirrored_strategy, on_two_cpus
from tests.layers.flows import ON_LINES
from tests.models.densities import (
    HIDDEN,
    adapted,
    fitted,
    moved,
    noisy_pairs,
    says,
    spline,
)
from tfp_flows.layers import (
    MLP,
    IAFFlow,
    MAFFlow,
    PlanarFlow,
    SplineAutoregressiveFlow,
)
from tfp_flows.models import FlowDensity
from tfp_flows.posteriors import (
    CIFPosterior,
    FlowDistribution,
    FlowPosterior,
    HamiltonianPosterior,
)

tfb = tfp.bijectors


@pytest.mark.parametrize(
    "name",
    [
        "maf",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("iaf", "planar")),
    ],
)
def test_log_prob_is_that_of_the_distribution_and_of_evaluate(name):
    model = FlowDensity(ON_LINES[name](2, seed=0))
    x = 3.0 + 2.0 * np.random.default_rng(0).normal(size=[60, 2])
    x = x.astype(np.float32)
    adapted(model, x, 0.3).compile(jit_compile=False)
    log_prob = model.log_prob(x)
    np.testing.assert_allclose(
        model.distribution().log_prob(x), log_prob, atol=2e-5
    )
    for batch_size in (60, 7):
        evaluated = model.evaluate(
            x, batch_size=batch_size, verbose=0, return_dict=True
        )
        np.testing.assert_allclose(
            evaluated["log_likelihood"], np.mean(log_prob), rtol=1e-5
        )
    np.testing.assert_allclose(
        model.predict(x, verbose=0), log_prob, rtol=1e-5, atol=1e-5
    )


def test_flows_of_other_circles_are_refused():
    with says("`flow` must be circular", "[0, 1]", "got []"):
        FlowDensity(spline(), support="circular").build((None, 2))
    with says("`flow` must be circular", "[]", "got [0, 1]"):
        FlowDensity(spline(circular=True)).build((None, 2))
    with says("`flow` must be circular", "[]", "got [0, 1]"):
        FlowPosterior(2, spline(circular=True))
    with says("`flow` must be circular", "[]", "got [1]"):
        CIFPosterior(2, spline(circular=[1]), auxiliary_size=1)
    posterior = FlowPosterior(2, spline(circular=True), circular=[0, 1])
    posterior.build()
    z, log_prob = posterior.sample_and_log_prob(sample_shape=5)
    np.testing.assert_allclose(posterior.log_prob(z), log_prob, atol=1e-5)
    with says("`base` must be over R^D", "[0, 1]"):
        HamiltonianPosterior(posterior, num_bridges=2)


def test_mixture_base_is_what_its_samples_come_from():
    p = FlowDistribution(1, base="mixture", num_components=3)
    p.build()
    moved(p, 2.0)
    z, log_prob = p.sample_and_log_prob(sample_shape=40_000, seed=3)
    np.testing.assert_allclose(p.log_prob(z), log_prob, rtol=1e-5, atol=1e-5)
    edges = np.linspace(-12, 12, 49)
    middles = np.stack([edges[:-1], edges[1:]], -1)
    points = middles[:, :1] + 0.5 * np.linspace(0.005, 0.995, 100)
    mass = np.exp(p.log_prob(points[..., None].astype(np.float32)))
    mass = mass.mean(axis=-1) * 0.5
    share = np.histogram(z[:, 0], edges)[0] / len(z)
    error = np.sqrt(mass * (1 - mass) / len(z))
    assert np.all(np.abs(share - mass) < 5 * error + 1e-4)
    with says("`base` must be a Gaussian in a posterior"):
        FlowPosterior(2, base="mixture")


def test_dequantized_density_bounds_that_of_whole_numbers():
    """E_u log p(x + u) is below log P(x), and bits are nats in other units."""
    rng = np.random.default_rng(0)
    x = rng.binomial(5, 0.4, size=[300, 1])
    flow = SplineAutoregressiveFlow(1, num_bins=8, mixing="none", seed=0)
    model = adapted(FlowDensity(flow, num_levels=6), x, 0.3)
    model.compile(jit_compile=False)
    values = np.linspace(0, 6, 6001)[:-1] + 0.0005
    density = np.exp(
        model.distribution().log_prob(values[:, None].astype(np.float32))
    ).reshape([6, 1000])
    probability = density.mean(axis=1)
    assert probability.sum() == pytest.approx(1.0, abs=1e-3)
    bound = np.log(density).mean(axis=1)
    many = model.log_prob(np.repeat(np.arange(6), 2000)).numpy()
    many = many.reshape([6, 2000])
    error = many.std(axis=1) / math.sqrt(2000)
    assert np.all(np.abs(many.mean(axis=1) - bound) < 5 * error + 1e-4)
    assert np.all(bound <= np.log(probability))
    logs = model.evaluate(x, verbose=0, return_dict=True)
    assert logs["bits_per_dim"] == pytest.approx(
        -logs["log_likelihood"] / math.log(2), rel=1e-5
    )
    assert set(np.unique(model.sample(200, seed=0))) <= set(range(6))
    again = model.evaluate(x, batch_size=7, verbose=0, return_dict=True)
    assert again["log_likelihood"] == pytest.approx(
        logs["log_likelihood"], rel=1e-5
    )
    # With the noise of each example, in batches too.
    np.testing.assert_allclose(
        model.predict(x, batch_size=7, verbose=0), model.log_prob(x), rtol=1e-4
    )
    with says("whole numbers from 0 to 5", "got [6] in example 1"):
        model.log_prob(np.array([[1], [6]]))


# Conditional densities.


@pytest.mark.slow
def test_conditional_density_learns_the_noise():
    train = noisy_pairs(1000)
    model = FlowDensity(MAFFlow(2, seed=0, **HIDDEN), encoder=MLP([16]))
    fitted(model, train, epochs=25)
    test = noisy_pairs(500, seed=1)
    found = np.mean(model.log_prob(test["x"], test["context"]))
    exact = -math.log(2 * math.pi) - 1 - 2 * math.log(0.3)
    assert exact - 0.15 < found < exact + 0.1
    samples = model.sample(400, test["context"][:3], seed=1)
    assert samples.shape == [400, 3, 2]
    np.testing.assert_allclose(
        np.mean(samples, axis=0), test["context"][:3, :2], atol=0.2
    )
    np.testing.assert_allclose(
        model.distribution(test["context"]).log_prob(test["x"]),
        model.log_prob(test),
        atol=2e-5,
    )


@pytest.mark.parametrize(
    "kind",
    [
        "dataset",
        *(
            pytest.param(k, marks=pytest.mark.slow)
            for k in ("arrays", "pydataset")
        ),
    ],
)
def test_forms_of_conditional_data_give_equal_figures(kind):
    pairs = noisy_pairs(40)
    model = adapted(FlowDensity(base="full", encoder=MLP([4])), pairs)
    model.compile(jit_compile=False)
    if kind == "dataset":
        data = tf.data.Dataset.from_tensor_slices(pairs).batch(15)
    elif kind == "pydataset":

        class _Batches(keras.utils.PyDataset):
            def __len__(self):
                return 2

            def __getitem__(self, index):
                part = slice(20 * index, 20 * (index + 1))
                return {name: values[part] for name, values in pairs.items()}

        data = _Batches()
    else:
        data = {name: tf.constant(values) for name, values in pairs.items()}
    expected = np.mean(model.log_prob(pairs))
    logs = model.evaluate(data, verbose=0, return_dict=True)
    assert logs["log_likelihood"] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(
        model.log_prob(data), model.log_prob(pairs), rtol=1e-6
    )


def test_standardisation_is_that_of_the_training_data():
    """Equal densities up to the log-det, for data in other units."""
    pairs = noisy_pairs(100)
    scaled = {
        "x": 1e3 * pairs["x"] + 7e3,
        "context": 1e-3 * pairs["context"] - 1.0,
    }

    def model(data):
        keras.utils.set_random_seed(0)
        flow = MAFFlow(2, seed=0, dtype="float64", **HIDDEN)
        return adapted(FlowDensity(flow, dtype="float64"), data)

    plain, other = model(pairs), model(scaled)
    np.testing.assert_allclose(
        plain.log_prob(pairs) - 2 * math.log(1e3),
        other.log_prob(scaled),
        atol=2e-3,  # of data in float32
    )


@pytest.mark.parametrize("size", [3, 9])
def test_constant_coordinates_are_named(size):
    x = np.random.default_rng(0).normal(size=[20, size]).astype("float32")
    x[:, 1:-1] = 0.3
    model = FlowDensity()
    named = ", ".join(map(str, range(1, min(size - 1, 6))))
    more = ", ..." if size == 9 else ""
    with pytest.warns(
        UserWarning,
        match=rf"constant values in {size - 2} of {size} coordinates: "
        rf"{named}{more}\. Leave them out",
    ):
        adapted(model, x)
    levels = FlowDensity(num_levels=4)
    adapted(levels, np.zeros([20, 2], "uint8"))  # dequantised, they vary


# Life.


@pytest.mark.parametrize(
    "conditional", [pytest.param(False, marks=pytest.mark.slow), True]
)
def test_saved_and_loaded(tmp_path, conditional):
    data = noisy_pairs(60)
    if not conditional:
        data = np.exp(data["x"])
    model = FlowDensity(
        [MAFFlow(2, seed=0, **HIDDEN), PlanarFlow(2, seed=0)],
        base="mixture",
        num_components=2,
        support=None if conditional else [tfb.Exp(), tfb.Softplus(0.5)],
        encoder=MLP([4]) if conditional else None,
    )
    adapted(model, data).compile(jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    path = str(tmp_path / "density.keras")
    model.save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_array_equal(loaded.log_prob(data), model.log_prob(data))
    context = data["context"][:2] if conditional else None
    np.testing.assert_array_equal(
        loaded.sample(3, context), model.sample(3, context)
    )
    loaded.fit(data, epochs=1, verbose=0)  # goes on


def _train_in_float64():
    data = {n: v.astype(np.float64) for n, v in noisy_pairs(50).items()}
    keras.utils.set_random_seed(0)
    model = FlowDensity(
        MAFFlow(2, seed=0, dtype="float64", **HIDDEN),
        encoder=keras.Sequential([keras.layers.Dense(5, dtype="float64")]),
        noise_scale=0.1,
        context_noise_scale=0.1,
        dtype="float64",
    )
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    history = model.fit(data, batch_size=20, epochs=2, verbose=0, shuffle=False)
    results = model.evaluate(data, batch_size=20, verbose=0)
    predicted = model.predict(data, batch_size=20, verbose=0)
    np.testing.assert_allclose(predicted, model.log_prob(data), rtol=1e-9)
    samples = model.sample(3, data["context"][:5], seed=1).numpy()
    return history.history, results, predicted, samples, model.get_weights()


def _train_on_replicas():
    with mirrored_strategy().scope():
        return _train_in_float64()


def _sampled_and_judged():
    x = noisy_pairs(7)["x"].astype(np.float64)
    keras.utils.set_random_seed(0)
    model = FlowDensity(
        IAFFlow(2, seed=0, dtype="float64", **HIDDEN), dtype="float64"
    )
    adapted(model, x)
    return model, model.sample(5, seed=1).numpy(), model.log_prob(x).numpy()


def test_strategies_compute_samples_and_densities():
    """Those of one process: what is asked outside of `fit` too."""
    plain, *expected = _sampled_and_judged()
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        model, *found = _sampled_and_judged()
    for values, others in zip(found, expected, strict=True):
        np.testing.assert_allclose(values, others, rtol=1e-12)
    assert set(model.compiled_functions) == {"log_prob", ("sample", 1)}
    assert not plain.compiled_functions


@pytest.mark.distributed
def test_two_replicas_change_nothing():
    one, two = on_two_cpus(_train_in_float64), on_two_cpus(_train_on_replicas)
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12),
        one,
        two,
    )


@pytest.mark.slow
def test_xla_changes_nothing():
    found = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(0)
        model = FlowDensity(spline(), noise_scale=0.1)
        model.compile(keras.optimizers.Adam(1e-2), jit_compile=jit_compile)
        x = noisy_pairs(100)["x"]
        history = model.fit(x, epochs=3, shuffle=False, verbose=0)
        found.append(history.history["log_likelihood"])
    np.testing.assert_allclose(*found, rtol=1e-4)


def test_flows_are_turned_to_densities():
    flows = [MAFFlow(1, **HIDDEN), IAFFlow(1, **HIDDEN)]
    flows.append(IAFFlow(1, inverted=True, **HIDDEN))
    model = FlowDensity(flows)
    model.build((None, 2))
    assert model._distribution.inverted == [False, True, False]
    for inverted in (False, True):
        model = FlowDensity([MAFFlow(1, **HIDDEN)], inverted=inverted)
        model.build((None, 2))
        assert model._distribution.inverted == [inverted]


def test_fast_directions_are_those_of_the_catalogue():
    for name, flow in FLOWS.items():
        expected = "inverse" if flow.fast_inverse else "forward"
        assert ON_LINES[name](1).fast_direction == expected


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("layer", [IAFFlow, MAFFlow])
def test_turned_flows_have_the_gradient_of_their_density(layer, inverted):
    """As a posterior, which needs it without the score."""
    flow = layer(2, inverted=inverted, seed=0, dtype="float64", **HIDDEN)
    posterior = FlowPosterior(2, flow, inverted=True, dtype="float64")
    posterior.build()
    moved(posterior)
    parameters = posterior.parameters()
    noise = tf.constant(np.random.default_rng(0).normal(size=[5, 2]))
    z, log_prob = posterior.push_forward(noise, parameters)
    with tf.GradientTape() as tape:
        tape.watch(z)
        expected = posterior.log_prob(z)
    np.testing.assert_allclose(log_prob, expected, atol=1e-9)
    np.testing.assert_allclose(
        posterior.log_prob_gradient(noise, parameters),
        tape.gradient(expected, z),
        atol=1e-8,
    )


def test_flows_stay_in_float32_under_mixed_precision():
    """The encoder computes in half precision, the density does not."""
    pairs = noisy_pairs(60)
    pairs["x"] += 1e3  # of which bfloat16 would leave nothing
    keras.utils.set_random_seed(0)
    encoder = MLP([8], dtype="mixed_bfloat16")
    flow = MAFFlow(2, seed=0, dtype="mixed_bfloat16", **HIDDEN)
    model = FlowDensity(flow, encoder=encoder, dtype="mixed_bfloat16")
    adapted(model, pairs).compile(jit_compile=False)
    log_prob = model.log_prob(pairs)
    assert log_prob.dtype == tf.float32
    logs = model.train_on_batch(pairs, return_dict=True)
    assert logs["log_likelihood"] == pytest.approx(np.mean(log_prob), rel=1e-5)
    log_prob = model.log_prob(pairs)
    np.testing.assert_allclose(
        model.predict(pairs, verbose=0), log_prob, rtol=1e-5
    )
    full = FlowDensity(MAFFlow(2, seed=0, **HIDDEN), encoder=MLP([8]))
    full.build({"x": (None, 2), "context": (None, 3)})
    full.set_weights(model.get_weights())
    # Of equal features: those of another encoder differ more in the tails.
    full._features = lambda context, *_, **settings: tf.cast(
        model._features(context, None, training=False), tf.float32
    )
    np.testing.assert_allclose(full.log_prob(pairs), log_prob, atol=0.1)


def test_noise_of_training_is_not_in_evaluation():
    pairs = noisy_pairs(50)
    model, without = (
        FlowDensity(
            base="full", noise_scale=scale, context_noise_scale=scale, seed=1
        )
        for scale in (1.0, 0.0)
    )
    adapted(model, pairs)
    without.build({"x": (None, 2), "context": (None, 3)})
    without.set_weights(model.get_weights())
    expected = without.log_prob(pairs)
    np.testing.assert_array_equal(model.log_prob(pairs), expected)
    np.testing.assert_allclose(model(pairs), expected, rtol=1e-5)
    np.testing.assert_allclose(
        without(pairs, training=True), expected, rtol=1e-5
    )
    noisy = model(pairs, training=True)
    assert np.mean(noisy) < np.mean(expected) - 0.3


def test_circles_bear_noise():
    """Beyond the seam, where a uniform base would have no density."""
    model = FlowDensity(support="circular", noise_scale=1.0)
    model.build((None, 1))
    x = np.linspace(-math.pi, math.pi, 50)[:, None].astype(np.float32)
    np.testing.assert_allclose(
        model(x, training=True), -math.log(2 * math.pi), rtol=1e-5
    )


def test_images_are_events_too():
    x = np.random.default_rng(0).normal(size=[20, 2, 3, 1]).astype(np.float32)
    model = adapted(FlowDensity(MAFFlow(2, seed=0, **HIDDEN)), x)
    assert model.log_prob(x).shape == [20]
    assert model.sample(3).shape == [3, 2, 3, 1]
    assert model.distribution().event_shape == [2, 3, 1]
    np.testing.assert_allclose(
        model.distribution().log_prob(x), model.log_prob(x), atol=1e-4
    )
