"""FlowDensity: exact, normalised on every support, and one error for misuse."""

import math
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from configs.flows import FLOWS
from tests.distributed import mirrored_strategy, on_two_cpus
from tests.layers.flows import ON_LINES
from tfp_flows.layers import (
    MLP,
    IAFFlow,
    MAFFlow,
    PlanarFlow,
    SplineAutoregressiveFlow,
    SplineCouplingFlow,
)
from tfp_flows.models import FlowDensity
from tfp_flows.posteriors import (
    CIFPosterior,
    FlowDistribution,
    FlowPosterior,
    HamiltonianPosterior,
)

tfb = tfp.bijectors
HIDDEN = {"hidden_units": (8,)}


def _spline(**kwargs):
    return SplineCouplingFlow(2, num_bins=4, seed=0, **HIDDEN, **kwargs)


def _moved(model, scale=0.3, seed=0):
    """The same model, with weights away from the start."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        value = keras.ops.convert_to_numpy(weight)
        weight.assign(value + scale * rng.normal(size=value.shape))
    return model


def _says(*words):
    return pytest.raises(ValueError, match=".*".join(map(re.escape, words)))


def _fitted(model, x, epochs=1, learning_rate=1e-2, **kwargs):
    keras.utils.set_random_seed(0)
    model.compile(keras.optimizers.Adam(learning_rate), jit_compile=False)
    model.fit(x, batch_size=50, epochs=epochs, verbose=0, **kwargs)
    return model


def _pairs(count=200, seed=0):
    rng = np.random.default_rng(seed)
    context = rng.normal(size=[count, 3]).astype(np.float32)
    noise = rng.normal(size=[count, 2]).astype(np.float32)
    return {"x": context[:, :2] + 0.3 * noise, "context": context}


# Exactness.


def test_full_gaussian_reaches_the_maximum_likelihood():
    rng = np.random.default_rng(0)
    x = rng.normal(size=[400, 3]) @ rng.normal(size=[3, 3]) + [5.0, 0.0, -80.0]
    covariance = np.cov(x.T, bias=True)
    best = -0.5 * (
        3 * (1 + math.log(2 * math.pi)) + np.linalg.slogdet(covariance)[1]
    )
    model = FlowDensity(base="full", dtype="float64")
    steps = keras.optimizers.schedules.CosineDecay(0.1, 150)
    model.compile(keras.optimizers.Adam(steps), jit_compile=False)
    model.fit(x, batch_size=400, epochs=150, verbose=0)
    found = model.evaluate(x, verbose=0, return_dict=True)["log_likelihood"]
    assert abs(found - best) < 1e-4


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
    _moved(_fitted(model, x))
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


def _integral(model, low, high, n=400, change=None):
    """Of a density of two variables, by midpoints; `change`: of variables."""
    step = (high - low) / n
    axis = low + step * (np.arange(n) + 0.5)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape([-1, 2])
    grid = grid.astype(model.variable_dtype)
    log_det = 0.0
    if change is not None:
        log_det = change.forward_log_det_jacobian(grid, 1).numpy()
        grid = change.forward(grid).numpy()
    log_prob = model.log_prob(grid).numpy()
    return np.sum(np.exp(log_prob + log_det)) * step**2


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[] if name in ("maf", "real_nvp") else [pytest.mark.slow],
        )
        for name in ON_LINES
    ],
)
def test_densities_of_all_flows_integrate_to_one(name, inverted):
    """In the plane, in both orientations."""
    model = FlowDensity(ON_LINES[name](2, seed=0), inverted=inverted)
    model.build((None, 2))
    # Farther away the tails of NAF, inverted, reach beyond any grid.
    _moved(model, 0.02 if name == "naf" else 0.2)
    end, n = (45.0, 900) if name == "naf" else (14.0, 400)
    assert _integral(model, -end, end, n) == pytest.approx(1.0, abs=3e-3)


SUPPORTS = {
    "positive": ("positive", tfb.Exp()),
    "unit_interval": ("unit_interval", tfb.Sigmoid()),
    "interval": (tfb.Sigmoid(low=-1.0, high=3.0), tfb.Sigmoid(-1.0, 3.0)),
    "mixed": (
        ["positive", "real"],
        tfb.Blockwise([tfb.Exp(), tfb.Identity()]),
    ),
}


@pytest.mark.parametrize(
    "support",
    [
        pytest.param(s, marks=[] if s == "mixed" else [pytest.mark.slow])
        for s in SUPPORTS
    ],
)
def test_densities_on_supports_integrate_to_one(support):
    given, onto = SUPPORTS[support]
    model = FlowDensity(_spline(), support=given)
    rng = np.random.default_rng(0)
    x = onto.forward(rng.normal(size=[100, 2]).astype(np.float32)).numpy()
    _moved(_fitted(model, x), 0.1)
    # Over the support, by a change of variables; equally spaced there.
    change = tfb.Invert(tfb.Invert(onto))
    assert _integral(model, -12.0, 12.0, change=change) == pytest.approx(
        1.0, abs=3e-3
    )
    samples = model.sample(500, seed=1)
    assert np.all(np.isfinite(model.log_prob(samples)))


def test_density_on_the_simplex_integrates_to_one():
    model = FlowDensity(_spline(), support="simplex")
    rng = np.random.default_rng(0)
    x = rng.dirichlet([2.0, 3.0, 4.0], size=200).astype(np.float32)
    _moved(_fitted(model, x), 0.1)
    n = 500
    axis = (np.arange(n) + 0.5) / n
    first, second = np.meshgrid(axis, axis)
    inside = first + second < 1.0 - 0.5 / n
    grid = np.stack(
        [first[inside], second[inside], 1 - first[inside] - second[inside]], -1
    )
    total = np.sum(np.exp(model.log_prob(grid.astype(np.float32)))) / n**2
    # The cells that the edge cuts are left out by half.
    assert total == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(
        np.sum(model.sample(50, seed=0), axis=-1), 1.0, atol=1e-5
    )


@pytest.mark.parametrize(
    ("layer", "inverted"),
    [
        (SplineCouplingFlow, True),
        pytest.param(SplineCouplingFlow, False, marks=pytest.mark.slow),
        pytest.param(SplineAutoregressiveFlow, True, marks=pytest.mark.slow),
        pytest.param(SplineAutoregressiveFlow, False, marks=pytest.mark.slow),
    ],
)
def test_densities_of_periodic_variables(layer, inverted):
    """On a torus and on a cylinder: normalised, and without a seam."""
    rng = np.random.default_rng(0)
    # Around pi, where the seam is.
    angles = rng.normal(math.pi, 0.5, size=[200, 2]).astype(np.float32)
    for circular in (True, (1,)):
        flow = layer(2, num_bins=4, circular=circular, seed=0, **HIDDEN)
        model = FlowDensity(
            flow,
            support="circular" if circular is True else ["real", "circular"],
            inverted=inverted,
        )
        _moved(_fitted(model, angles, epochs=3), 0.1)
        n = 300
        turn = -math.pi + 2 * math.pi * (np.arange(n) + 0.5) / n
        line = turn if circular is True else 12 * turn / math.pi
        grid = np.stack(np.meshgrid(line, turn), -1).reshape([-1, 2])
        density = np.exp(model.log_prob(grid.astype(np.float32)))
        area = (line[1] - line[0]) * (turn[1] - turn[0])
        assert np.sum(density) * area == pytest.approx(1.0, abs=3e-3)
        x = np.stack([angles[:20, 0], np.full(20, math.pi)], -1)
        beside = np.float32([0.0, 1e-4])
        np.testing.assert_allclose(
            model.log_prob(x - beside), model.log_prob(x + beside), atol=2e-2
        )
        np.testing.assert_allclose(
            model.log_prob(x + 0.3),
            model.log_prob(x + 0.3 - np.float32([0.0, 2 * math.pi])),
            atol=1e-3,
        )
        np.testing.assert_allclose(
            model.log_prob(x - 0.3),
            model.distribution().log_prob(x - 0.3),
            atol=1e-4,
        )
        samples = model.sample(200, seed=1)[:, 1]
        assert np.all((samples >= -math.pi) & (samples <= math.pi))


@pytest.mark.slow
def test_density_of_rotated_angles_is_the_rotated_one():
    rng = np.random.default_rng(0)
    x = rng.normal(0.0, 0.5, size=[200, 1]).astype(np.float32)

    def model(x):
        flow = SplineAutoregressiveFlow(1, num_bins=4, circular=True, seed=0)
        model = FlowDensity(flow, support="circular", dtype="float32")
        return _fitted(model, x, epochs=60, learning_rate=2e-2)

    straight, rotated = model(x), model(x + 3.0)
    values = rng.normal(0.0, 0.5, size=[500, 1]).astype(np.float32)
    difference = straight.log_prob(values) - rotated.log_prob(values + 3.0)
    assert abs(np.mean(difference)) < 0.05


def test_flows_of_other_circles_are_refused():
    with _says("`flow` must be circular", "[0, 1]", "got []"):
        FlowDensity(_spline(), support="circular").build((None, 2))
    with _says("`flow` must be circular", "[]", "got [0, 1]"):
        FlowDensity(_spline(circular=True)).build((None, 2))
    with _says("`flow` must be circular", "[]", "got [0, 1]"):
        FlowPosterior(2, _spline(circular=True))
    with _says("`flow` must be circular", "[]", "got [1]"):
        CIFPosterior(2, _spline(circular=[1]), auxiliary_size=1)
    posterior = FlowPosterior(2, _spline(circular=True), circular=[0, 1])
    posterior.build()
    z, log_prob = posterior.sample_and_log_prob(sample_shape=5)
    np.testing.assert_allclose(posterior.log_prob(z), log_prob, atol=1e-5)
    with _says("`base` must be over R^D", "[0, 1]"):
        HamiltonianPosterior(posterior, num_bridges=2)


def test_mixture_base_is_what_its_samples_come_from():
    p = FlowDistribution(1, base="mixture", num_components=3)
    p.build()
    _moved(p, 2.0)
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
    with _says("`base` must be a Gaussian in a posterior"):
        FlowPosterior(2, base="mixture")


def test_dequantized_density_bounds_that_of_whole_numbers():
    """E_u log p(x + u) is below log P(x), and bits are nats in other units."""
    rng = np.random.default_rng(0)
    x = rng.binomial(5, 0.4, size=[300, 1])
    flow = SplineAutoregressiveFlow(1, num_bins=8, mixing="none", seed=0)
    model = _fitted(FlowDensity(flow, num_levels=6), x, epochs=5)
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
    with _says("whole numbers from 0 to 5", "got [6] in example 1"):
        model.log_prob(np.array([[1], [6]]))


# Conditional densities.


def test_conditional_density_learns_the_noise():
    train = _pairs(1000)
    model = FlowDensity(MAFFlow(2, seed=0, **HIDDEN), encoder=MLP([16]))
    _fitted(model, train, epochs=25)
    test = _pairs(500, seed=1)
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
    pairs = _pairs(40)
    model = _fitted(FlowDensity(base="full", encoder=MLP([4])), pairs)
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
    pairs = _pairs(100)
    scaled = {
        "x": 1e3 * pairs["x"] + 7e3,
        "context": 1e-3 * pairs["context"] - 1.0,
    }

    def model(data):
        keras.utils.set_random_seed(0)
        return _fitted(
            FlowDensity(_spline(dtype="float64"), dtype="float64"),
            data,
            epochs=2,
        )

    plain, other = model(pairs), model(scaled)
    np.testing.assert_allclose(
        plain.log_prob(pairs) - 2 * math.log(1e3),
        other.log_prob(scaled),
        atol=2e-3,
    )


# Life.


@pytest.mark.parametrize(
    "conditional", [pytest.param(False, marks=pytest.mark.slow), True]
)
def test_saved_and_loaded(tmp_path, conditional):
    data = _pairs(60)
    if not conditional:
        data = np.exp(data["x"])
    model = FlowDensity(
        [_spline(), PlanarFlow(2, seed=0)],
        base="mixture",
        num_components=2,
        support=None if conditional else [tfb.Exp(), tfb.Softplus(0.5)],
        encoder=MLP([4]) if conditional else None,
    )
    _moved(_fitted(model, data))
    path = str(tmp_path / "density.keras")
    model.save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_array_equal(loaded.log_prob(data), model.log_prob(data))
    loaded.fit(data, epochs=1, verbose=0)  # goes on


def _train_in_float64():
    data = {n: v.astype(np.float64) for n, v in _pairs(50).items()}
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
    return history.history, results, model.get_weights()


def _train_on_replicas():
    with mirrored_strategy().scope():
        return _train_in_float64()


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
        model = FlowDensity(_spline(), noise_scale=0.1)
        model.compile(keras.optimizers.Adam(1e-2), jit_compile=jit_compile)
        x = _pairs(100)["x"]
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
    _moved(posterior)
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
    pairs = _pairs(60)
    encoder = MLP([8], dtype="mixed_bfloat16")
    flow = _spline(dtype="mixed_bfloat16")
    model = FlowDensity(flow, encoder=encoder, dtype="mixed_bfloat16")
    _fitted(model, pairs)
    log_prob = model.log_prob(pairs)
    assert log_prob.dtype == tf.float32
    full = FlowDensity(_spline(), encoder=MLP([8]))
    full.build({"x": (None, 2), "context": (None, 3)})
    full.set_weights(model.get_weights())
    np.testing.assert_allclose(full.log_prob(pairs), log_prob, atol=0.1)


def test_noise_of_training_is_not_in_evaluation():
    x = _pairs(50)["x"]
    models = [
        _fitted(FlowDensity(base="full", noise_scale=scale), x, epochs=1)
        for scale in (0.0, 5.0)
    ]
    models[1].set_weights(models[0].get_weights())
    np.testing.assert_array_equal(*(m.log_prob(x) for m in models))


def test_images_are_events_too():
    x = np.random.default_rng(0).normal(size=[20, 2, 3, 1]).astype(np.float32)
    model = _fitted(FlowDensity(_spline()), x)
    assert model.log_prob(x).shape == [20]
    assert model.sample(3).shape == [3, 2, 3, 1]
    assert model.distribution().event_shape == [2, 3, 1]
    np.testing.assert_allclose(
        model.distribution().log_prob(x), model.log_prob(x), atol=1e-4
    )


# Bad input.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"support": "half"}, ["`support` must be one of real", "'half'"]),
        ({"support": ["real"]}, ["`support`", "each of the 2", "got 1"]),
        ({"num_components": 0}, ["`num_components`", "0"]),
        ({"num_levels": 0}, ["`num_levels`", "0"]),
        ({"noise_scale": -1.0}, ["`noise_scale`", "not negative", "-1"]),
        ({"base": "cauchy"}, ["`base` must be one of", "'cauchy'"]),
        ({"inverted": "yes"}, ["`inverted`", "'yes'"]),
        ({"event_shape": (0,)}, ["`event_shape`", "(0,)"]),
        ({"dtype": "float16"}, ["`dtype`", "float16"]),
    ],
)
def test_bad_arguments(arguments, words):
    with _says(*words):
        FlowDensity(**arguments).build((None, 2))


def test_other_layers_are_refused():
    with pytest.raises(TypeError, match="`flow` must be a flow layer"):
        FlowDensity(CIFPosterior(2, PlanarFlow(1), auxiliary_size=1))


def test_bad_data():
    pairs = _pairs(10)
    x, context = pairs["x"], pairs["context"]
    plain = _fitted(FlowDensity(base="full"), x)
    conditional = _fitted(FlowDensity(base="full"), pairs)
    positive = FlowDensity(base="full", support="positive")
    with _says("`x` must be finite", "NaN in example 3"):
        plain.fit(np.where(np.arange(10)[:, None] == 3, np.nan, x))
    with _says("`x` must lie in the support", "positive", "example 2"):
        positive.fit(np.where(np.arange(10)[:, None] == 2, -1.0, np.exp(x)))
    with _says("must hold no 'context'"):
        plain.fit(pairs)
    with _says("'x' and 'context'", "conditional", "no context"):
        conditional.fit(x)
    with _says("one context for each example", "10 examples and 9"):
        conditional.fit({"x": x, "context": context[:9]})
    with _says("`x` must hold examples of shape (2,)", "(3,)"):
        plain.log_prob(context)
    with _says("`context` must hold contexts of shape (3,)", "(2,)"):
        conditional.log_prob(x, x)
    with _says("`context` must be None"):
        plain.sample(3, context)
    with _says("`context` must be given"):
        conditional.sample(3)
    with _says("the model must be built"):
        FlowDensity().log_prob(x)
    with _says("got a dict with 'y'"):
        plain.fit({"y": x})
    with _says("`n` must be an integer"):
        plain.sample(0)
    with _says("must be finite here"):
        FlowDensity().fit(
            tf.data.Dataset.from_tensors(x).repeat(), steps_per_epoch=1
        )
    dataset = tf.data.Dataset.from_tensor_slices(np.exp(x) - 1.0).batch(5)
    positive.build((None, 2))
    positive.compile()
    with _says("`x` must lie in the support"):
        positive.evaluate(dataset, verbose=0)
