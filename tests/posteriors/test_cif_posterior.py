"""Continuously-indexed posteriors: exactness, gradients, life, refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.distributed import mirrored_strategy, on_two_cpus
from tests.layers.flows import ON_LINES
from tests.models import digits
from tfp_flows import layers
from tfp_flows.auxiliary import ContinuouslyIndexedFlow
from tfp_flows.losses import annealed_bound
from tfp_flows.posteriors import CIFPosterior, FlowPosterior

B, C, D, M, S = 3, 4, 2, 2, 5
NUM_INDICES = 8  # of two planar layers with two steps each, two a step
FLOAT64 = {"dtype": "float64"}
KEY = {"seed": 0, "step": 0, "purpose": "test"}
CONTEXT = np.random.default_rng(0).normal(size=(B, C))
FLOWS = {
    "planar": lambda seed: layers.PlanarFlow(2, seed=seed, **FLOAT64),
    "iaf": lambda seed: layers.IAFFlow(1, (6,), seed=seed, **FLOAT64),
}


def cif(flow="planar", shape=(None, C), scale=0.1, **kwargs):
    """One with two flow layers, and the weights of a trained one."""
    keras.utils.set_random_seed(0)
    posterior = CIFPosterior(
        D, [FLOWS[flow](i) for i in range(2)], 2, **FLOAT64, **kwargs
    )
    posterior.build(shape)
    rng = np.random.default_rng(1)
    for weight in posterior.trainable_weights:
        weight.assign_add(scale * rng.normal(size=weight.shape))
    return posterior


def log_joint(z):
    return -tf.reduce_sum(tf.math.log(tf.cosh(z - 0.5)), axis=-1)


# Exactness.


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("name", ON_LINES)
def test_identity_start_is_the_plain_flow(name, order):
    """s = t = 0 and r = q: the weight is that of the flows alone."""
    flow = [ON_LINES[name](1, seed=i, **FLOAT64) for i in range(2)]
    plain = FlowPosterior(D, flow, **FLOAT64)
    plain.build((None, C))
    indexed = CIFPosterior(
        D, flow, 2, order=order, identity_start=True, **FLOAT64
    )
    indexed.build((None, C))
    indexed.base.set_weights(plain._head.get_weights())
    noise = indexed.noise(B, S, **KEY)
    z, log_weight = indexed.sample_and_log_weight(
        noise, indexed.parameters(CONTEXT)
    )
    expected = plain.sample_and_log_weight(
        noise[..., :D], plain.parameters(CONTEXT)
    )
    np.testing.assert_allclose(z, expected[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_weight, expected[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", ["before", "after"])
def test_joint_density_is_that_of_the_noise_by_its_jacobian(order):
    posterior = cif(order=order)
    size = posterior.noise_size
    noise = posterior.noise(B, 1, **KEY)[0]
    flow = posterior.indexed_flow(posterior.parameters(CONTEXT))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(noise)
        base_noise, own, _ = posterior._noise.split(noise)
        z, paths = flow.forward(
            *posterior.base.push_forward(
                base_noise, posterior.base.parameters(CONTEXT)
            ),
            flow.split(own),
        )
        made = tf.unstack(tf.concat([z, *paths.indices], axis=-1), axis=-1)
    jacobian = np.stack([tape.gradient(y, noise) for y in made], axis=-2)
    assert jacobian.shape == (B, size, size)
    log_density = -0.5 * np.sum(noise**2 + np.log(2 * np.pi), axis=-1)
    expected = log_density - np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(paths.log_q, expected, rtol=1e-10)
    # And of given points, without what was computed on the way.
    z, *indices = map(tf.identity, (z, *paths.indices))
    np.testing.assert_allclose(
        flow.joint_log_prob(z, indices), expected, rtol=1e-9
    )
    np.testing.assert_allclose(
        flow.reverse_log_prob(indices, z), paths.log_r, rtol=1e-9
    )


@pytest.mark.slow
def test_more_auxiliary_samples_leave_samples_and_raise_the_bound():
    bounds, z = [], []
    for num_auxiliary_samples in (0, 1, 4, 16):
        posterior = cif(num_auxiliary_samples=num_auxiliary_samples, scale=0.05)
        rows = posterior.noise(1, 20_000, **KEY)
        first = D + NUM_INDICES
        rows = tf.concat([BASE_NOISE, rows[..., first:]], axis=-1)
        drawn, log_weight = posterior.sample_and_log_weight(
            rows, posterior.parameters(CONTEXT[:1])
        )
        z.append(drawn)
        bounds.append(np.mean(log_joint(drawn) + log_weight))
    for other in z[1:]:
        np.testing.assert_array_equal(other, z[0])
    assert np.all(np.diff(bounds) > 0)
    # A density on given points, from below, that grows as well.
    exact = -log_weight
    posterior = cif(scale=0.05)
    below = [
        np.mean(posterior.log_prob_lower_bound(z[0], CONTEXT[:1], m, seed=1))
        for m in (1, 4, 16)
    ]
    assert np.all(np.diff(below) > 0)
    assert below[-1] < np.mean(exact)


BASE_NOISE = np.random.default_rng(7).normal(size=(20_000, 1, D + NUM_INDICES))


# Gradients.


def _gradients(posterior, score, through):
    weights = {w.path: w.value for w in posterior.trainable_weights}
    with tf.GradientTape() as tape:
        z, log_weight = posterior.sample_and_log_weight(
            posterior.noise(B, S, **KEY),
            posterior.parameters(CONTEXT),
            score=score,
            through=through,
        )
        total = tf.reduce_sum(log_joint(z) + log_weight)
    return log_weight, tape.gradient(total, weights)


@pytest.mark.parametrize("num_auxiliary_samples", [0, M])
@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("flow", FLOWS)
def test_gradients_forwards_are_those_on_the_way_back(
    flow, order, num_auxiliary_samples
):
    posterior = cif(
        flow, order=order, num_auxiliary_samples=num_auxiliary_samples
    )

    def other_identity(x):
        return tf.identity(x)

    found = {}
    for score in (True, False):
        value, fast = _gradients(posterior, score, tf.identity)
        again, back = _gradients(posterior, score, other_identity)
        np.testing.assert_allclose(again, value, rtol=1e-9)
        for path, gradient in fast.items():
            assert np.any(gradient != 0), path
            np.testing.assert_allclose(
                gradient, back[path], rtol=1e-7, atol=1e-9, err_msg=path
            )
        found[score] = fast
    for path, gradient in found[True].items():
        # s and t are of q, r is not.
        same = np.allclose(gradient, found[False][path], rtol=1e-6)
        assert same == ("reverse" in path), path


@pytest.mark.slow
@pytest.mark.parametrize("num_auxiliary_samples", [0, 1])
def test_estimators_have_one_mean(num_auxiliary_samples):
    """Of the score of q nothing is missed; that of r is kept."""
    posterior = cif(num_auxiliary_samples=num_auxiliary_samples, shape=None)
    weights = [w.value for w in posterior.trainable_weights]
    groups, rows = 120, 200
    noise = posterior.noise(rows, groups, **KEY)

    def gradient(noise, estimator):
        with tf.GradientTape() as tape:
            bound, _ = annealed_bound(
                posterior,
                posterior.parameters(),
                lambda z: (log_joint(z), tf.zeros_like(z[..., 0])),
                noise,
                estimator=estimator,
            )
            mean = tf.reduce_mean(bound)
        flat = tape.gradient(mean, weights)
        return tf.concat([tf.reshape(g, [-1]) for g in flat], axis=0)

    def all_groups(estimator, num_samples):
        """Of `num_samples` samples a bound, in groups."""
        parts = tf.reshape(
            noise, [groups // num_samples, num_samples, rows, noise.shape[-1]]
        )
        one = tf.function(lambda n: gradient(n, estimator), autograph=False)
        return np.stack([one(part) for part in parts])

    for better, num_samples in (
        ("sticking_the_landing", 1),
        ("doubly_reparameterized", 4),
    ):
        difference = all_groups(better, num_samples) - all_groups(
            "reparameterized", num_samples
        )
        error = difference.std(axis=0) / np.sqrt(len(difference))
        assert np.any(error > 1e-5)
        assert np.all(np.abs(difference.mean(axis=0)) < 4.5 * error + 1e-9)


# Life.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flow", "num_auxiliary_samples"),
    [("planar", 0), pytest.param("iaf", 1, marks=pytest.mark.slow)],
)
def test_xla_changes_nothing(flow, num_auxiliary_samples):
    posterior = cif(flow, num_auxiliary_samples=num_auxiliary_samples)
    weights = [w.value for w in posterior.trainable_weights]

    def step(context):
        noise = posterior.noise(B, S, **KEY)
        with tf.GradientTape() as tape:
            bound, _ = annealed_bound(
                posterior,
                posterior.parameters(context),
                lambda z: (log_joint(z), tf.zeros_like(z[..., 0])),
                noise,
                estimator="sticking_the_landing",
            )
        return bound, tape.gradient(bound, weights)

    context = tf.constant(CONTEXT)
    compiled = tf.function(step, jit_compile=True, autograph=False)(context)
    for found, expected in zip(
        tf.nest.flatten(compiled), tf.nest.flatten(step(context)), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


def given_networks():
    return {
        "scale_and_shift_network": keras.layers.Dense(2 * D, "tanh", **FLOAT64),
        "auxiliary_network": [
            layers.MLP((3,), 4, name=f"own_{i}", **FLOAT64) for i in range(4)
        ],
        "reverse_network": keras.Sequential(
            [
                keras.layers.Dense(5, "gelu", **FLOAT64),
                keras.layers.Dense(4, **FLOAT64),
            ]
        ),
    }


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("order", ["before", "after"])
def test_rolled_steps_are_those_one_by_one(order, inverted):
    keras.utils.set_random_seed(0)
    flow = layers.RealNVPFlow(3, (6,), inverted=inverted, seed=0, **FLOAT64)
    posterior = CIFPosterior(D, flow, 2, order=order, **FLOAT64)
    posterior.build((None, C))
    rng = np.random.default_rng(1)
    for weight in posterior.trainable_weights:
        weight.assign_add(0.2 * rng.normal(size=weight.shape))
    parameters = posterior.parameters(CONTEXT)
    rolled = posterior.indexed_flow(parameters)
    (scan,) = rolled.steps
    order = [number for number, _, _ in scan.unrolled()]
    assert order == ([2, 1, 0] if inverted else [0, 1, 2])
    one_by_one = ContinuouslyIndexedFlow(
        rolled.base_distribution,
        [scan.make_step(member, own) for _, member, own in scan.unrolled()],
    )
    noise = tf.constant(rng.normal(size=(S, B, D + 6)))
    z, indices = tf.split(noise, [D, 6], axis=-1)
    log_prob = tf.reduce_sum(z, axis=-1)
    pieces = tf.split(indices, 3, axis=-1)
    in_order = [pieces[k] for k in order]
    for name, arguments in (
        ("forward", (z, log_prob)),
        ("inverse", (z,)),
        ("draw_indices", (z,)),
        ("push_gradient", (z, z)),
    ):
        found = getattr(rolled, name)(*arguments, [indices])
        expected = getattr(one_by_one, name)(*arguments, in_order)
        found, expected = (
            tf.nest.flatten(values) for values in (found, expected)
        )
        # The indices come in other pieces.
        first = 0 if name in ("inverse", "draw_indices") else 1
        own = expected[first : first + 3]
        sorted_by_number = [own[order.index(k)] for k in range(3)]
        joined = tf.concat(sorted_by_number, axis=-1)
        expected[first : first + 3] = [joined]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(
                one, other, rtol=1e-10, atol=1e-10, err_msg=name
            )


def test_layer_may_have_one_index():
    flow = layers.PlanarFlow(4, seed=0, **FLOAT64)
    every_step = CIFPosterior(D, flow, 2, **FLOAT64)
    one = CIFPosterior(D, flow, 2, index_every="layer", **FLOAT64)
    scaled = layers.NICEFlow(4, (6,), scaling=True, **FLOAT64)
    always_one = CIFPosterior(D, scaled, 2, **FLOAT64)
    sizes = [p.noise_size for p in (every_step, one, always_one)]
    assert sizes == [D + 8, D + 2, D + 2]
    for posterior in (one, always_one):
        posterior.build((None, C))
        _, log_weight = posterior.sample_and_log_weight(
            posterior.noise(B, S, **KEY), posterior.parameters(CONTEXT)
        )
        assert np.all(np.isfinite(log_weight))


@pytest.mark.parametrize("given", [False, True])
def test_config_makes_the_same_posterior(given):
    posterior = cif(
        order="after",
        base="low_rank",
        num_auxiliary_samples=1,
        **(given_networks() if given else {}),
    )
    again = CIFPosterior.from_config(posterior.get_config())
    again.build((None, C))
    assert [w.shape for w in again.weights] == [
        w.shape for w in posterior.weights
    ]
    again.set_weights(posterior.get_weights())
    noise = posterior.noise(B, S, **KEY)
    for found, expected in zip(
        again.sample_and_log_weight(noise, again.parameters(CONTEXT)),
        posterior.sample_and_log_weight(noise, posterior.parameters(CONTEXT)),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


def test_networks_of_steps_start_with_numbers_of_their_own():
    posterior = cif(scale=0.0, **given_networks())
    for name in ("scale_and_shift", "reverse"):
        first, *others = (
            layer.get_weights()[0]
            for layer in posterior._networks.given[name].layers
        )
        assert len(others) == 3
        assert all(np.all(first != other) for other in others)


@pytest.mark.slow
def test_model_trains_saves_and_refuses_a_density(tmp_path):
    x = digits.images(200)
    flow = [layers.PlanarFlow(2, seed=i) for i in range(2)]
    model = digits.compiled(posterior=CIFPosterior(3, flow, 2))
    model.build((None, 8, 8))
    assert model.gradient_estimator == "sticking_the_landing"
    before = {w.path: w.numpy() for w in model.trainable_weights}
    start = model.evaluate(x, verbose=0, return_dict=True)["auxiliary_elbo"]
    model.fit(x, batch_size=20, epochs=5, verbose=0)
    for weight in model.trainable_weights:
        assert np.any(weight.numpy() != before[weight.path]), weight.path
    bounds = model.bounds(x, 20)
    assert bounds["auxiliary_elbo"].mean() > start + 5.0
    with pytest.raises(NotImplementedError, match="`log_prob_lower_bound`"):
        model.posterior_distribution(x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for name, values in loaded.bounds(x, 20).items():
        np.testing.assert_allclose(values, bounds[name], rtol=1e-5, atol=1e-5)


def on_replicas(num_replicas):
    """The metrics of two steps, and a weight behind them, in float64."""
    x = digits.images(20).astype("float64")
    strategy = (
        mirrored_strategy()
        if num_replicas == 2
        else tf.distribute.get_strategy()
    )
    with strategy.scope():
        keras.utils.set_random_seed(0)
        flow = layers.PlanarFlow(2, seed=0, **FLOAT64)
        model = digits.compiled(
            encoder=layers.MLP([16], **FLOAT64),
            posterior=CIFPosterior(
                3, flow, 2, num_auxiliary_samples=1, **FLOAT64
            ),
            decoder=layers.MLP([16], output_size=64, **FLOAT64),
            **FLOAT64,
        )
        model.build((None, 8, 8))
    history = model.fit(x, batch_size=10, epochs=1, verbose=0).history
    return {
        **{name: values[0] for name, values in history.items()},
        "weights": np.concatenate(
            [np.ravel(w) for w in model.posterior.get_weights()]
        ),
    }


@pytest.mark.distributed
def test_two_replicas_train_like_one():
    one, two = (on_two_cpus(on_replicas, n) for n in (1, 2))
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-9, err_msg=name)


@pytest.mark.slow
def test_density_is_trained_by_its_lower_bound():
    """Two separate modes, from a Gaussian, by the direction of densities."""
    rng = np.random.default_rng(3)
    data = 0.3 * rng.normal(size=(2_000, 2)) + rng.choice([-2, 2], (2_000, 1))
    x = tf.constant(data, tf.float32)
    keras.utils.set_random_seed(0)
    posterior = CIFPosterior(
        2,
        [layers.RealNVPFlow(2, (16,), inverted=True, seed=i) for i in range(2)],
        1,
        identity_start=True,
    )
    posterior.build()
    optimizer = keras.optimizers.Adam(1e-2)
    variables = posterior.trainable_variables

    @tf.function(jit_compile=True, autograph=False)
    def step(i):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(
                posterior.log_prob_lower_bound(x, num_samples=2, step=i)
            )
        gradients = tape.gradient(loss, [v.value for v in variables])
        optimizer.apply(gradients, variables)
        return loss

    optimizer.build(variables)
    start = float(step(tf.constant(0)))
    for i in range(1, 300):
        end = float(step(tf.constant(i)))
    # The entropy of the mixture is 2 (0.5 log(2 pi e) + log 0.3) + log 2.
    entropy = np.log(2 * np.pi * np.e) + 2 * np.log(0.3) + np.log(2.0)
    assert start > entropy + 1.0
    assert entropy - 0.1 < end < entropy + 0.3


# Refusals.


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"auxiliary_size": 0}, ValueError, "`auxiliary_size` .* got 0"),
        ({"latent_size": 0}, ValueError, "`latent_size` must be .* got 0"),
        ({"order": "both"}, ValueError, "`order` must be one of 'before'"),
        ({"flow": []}, ValueError, "`flow` must hold at least one"),
        ({"flow": ["planar"]}, TypeError, "`flow` must be a flow layer"),
        ({"num_auxiliary_samples": -1}, ValueError, "integer >= 0; got -1"),
        ({"index_every": "flow"}, ValueError, "`index_every` must be 'step'"),
        ({"activation": "sine"}, ValueError, "`activation` must be one of"),
        ({"hidden_units": (0,)}, ValueError, "`hidden_units` must be a seq"),
        (
            {"reverse_network": "mlp"},
            TypeError,
            "`reverse_network` must be a Keras layer, a list",
        ),
        (
            {"auxiliary_network": [keras.layers.Dense(2)] * 2},
            ValueError,
            "`auxiliary_network` must have one layer for each of the 1 ind",
        ),
    ],
)
def test_bad_arguments(arguments, error, message):
    given = {
        "latent_size": D,
        "flow": [layers.PlanarFlow(1)],
        "auxiliary_size": 1,
    }
    with pytest.raises(error, match=message):
        CIFPosterior(**{**given, **arguments})


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("scale_and_shift_network", r"\[N, 4\].* of \[N, 2\]"),
        ("auxiliary_network", r"\[N, 4\].* of \[N, 2\]"),
        ("reverse_network", r"\[N, 4\].* of \[N, 6\]"),
    ],
)
def test_wrong_network_outputs(name, sizes):
    posterior = CIFPosterior(
        D, [layers.PlanarFlow(1)], 2, **{name: keras.layers.Dense(3)}
    )
    with pytest.raises(
        ValueError, match=f"`{name}` must return {sizes}; got .*3"
    ):
        posterior.build((None, C))


def test_bad_use():
    posterior = CIFPosterior(D, layers.PlanarFlow(1), 1)
    with pytest.raises(ValueError, match="must be built before it is used"):
        posterior.parameters()
    posterior.build()
    with pytest.raises(ValueError, match="`z` must have a last axis of size"):
        posterior.log_prob_lower_bound(np.zeros((5, 3), "float32"))
    with pytest.raises(ValueError, match="`num_samples` .*; got 0"):
        posterior.log_prob_lower_bound(np.zeros((5, 2), "float32"), None, 0)
