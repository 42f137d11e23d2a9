"""The estimators of the bounds' gradients, as a model uses them."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models import linear_gaussian as lg
from tfp_flows import schedules
from tfp_flows.bijectors import InverseAutoregressive
from tfp_flows.layers import IAFFlow, PlanarFlow
from tfp_flows.math.noise import normal_rows

SIGMAS = 4.5  # of the Monte Carlo error of a fixed seed
ESTIMATORS = (
    "reparameterized",
    "sticking_the_landing",
    "doubly_reparameterized",
)

both = pytest.mark.parametrize("num_layers", [1, 2])


def is_of_posterior(name):
    return name.startswith(("encoder", "posterior"))


def _formula(w, x, noise, estimator):
    """A scalar whose gradient in `w` is the estimator's, written out."""
    stopped = tf.nest.map_structure(tf.stop_gradient, w)
    loc, scale_tril = lg.posterior_parameters(w, x)
    xi = loc + tf.linalg.matvec(scale_tril, noise)
    log_weights = lg.log_joint(w, x, xi) - lg.log_posterior(loc, scale_tril, xi)
    if estimator == "reparameterized":
        return tf.reduce_sum(
            tf.math.log(tf.reduce_mean(tf.exp(log_weights), axis=0))
        )
    # Sum over s of weight_s d log p(x, xi_s) in the model's parameters and of
    # weight_s**2 d log w_s / d xi_s * d xi_s in the posterior's.
    weight = tf.exp(log_weights)
    weight = tf.stop_gradient(weight / tf.reduce_sum(weight, axis=0))
    through_model = weight * lg.log_joint(w, x, tf.stop_gradient(xi))
    through_xi = weight**2 * (
        lg.log_joint(stopped, x, xi)
        - lg.log_posterior(
            tf.stop_gradient(loc), tf.stop_gradient(scale_tril), xi
        )
    )
    return tf.reduce_sum(through_model + through_xi)


@both
@pytest.mark.parametrize(
    ("estimator", "num_samples"),
    [
        ("reparameterized", 1),
        ("reparameterized", 5),
        ("sticking_the_landing", 1),
        ("doubly_reparameterized", 5),
    ],
)
def test_gradient_for_given_noise_is_the_formulas(
    num_layers, estimator, num_samples
):
    model = lg.build(
        num_layers,
        gradient_estimator=estimator,
        num_importance_samples=num_samples,
    )
    x = lg.truth(model).sample(4)
    noise = lg.normal_noise(num_samples, 4, model.posterior.noise_size)
    ours = lg.gradients(model, lambda: tf.reduce_sum(lg.bound(model, x, noise)))
    expected = lg.gradients(
        model, lambda: _formula(lg.weights(model), x, noise, estimator)
    )
    for name, gradient in expected.items():
        assert np.any(gradient)
        np.testing.assert_allclose(
            ours[name], gradient, rtol=1e-10, atol=1e-10, err_msg=name
        )


@pytest.mark.parametrize(
    ("estimator", "num_samples"),
    [
        ("reparameterized", 1),
        ("sticking_the_landing", 1),
        ("doubly_reparameterized", 5),
    ],
)
def test_accumulated_update_is_the_mean_over_batches_of_other_noise(
    estimator, num_samples
):
    """Of the formulas at the noise of each batch; twice, to see it go on."""
    model = lg.build(
        gradient_estimator=estimator, num_importance_samples=num_samples
    )
    x = lg.truth(model).sample(2)
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=4)
    model.compile(optimizer, run_eagerly=True)
    for update in range(2):
        expected = {n: w.numpy() for n, w in lg.weights(model).items()}
        for k in range(4 * update, 4 * update + 4):
            rows = normal_rows(
                len(x),
                (num_samples, model.posterior.noise_size),
                seed=model.seed,
                step=k,
                purpose="training",
                dtype=tf.float64,
            )
            standard_normal = tf.transpose(rows, [1, 0, 2])
            gradients = lg.gradients(
                model,
                lambda drawn=standard_normal: _formula(
                    lg.weights(model), x, drawn, estimator
                ),
            )
            for name, gradient in gradients.items():
                expected[name] += 0.1 * gradient / (4 * len(x))
        # The same images in all four batches: only their noise differs.
        images = np.tile(x, [4, 1])
        model.fit(images, batch_size=len(x), shuffle=False, verbose=0)
        for name, weight in lg.weights(model).items():
            np.testing.assert_allclose(
                weight, expected[name], rtol=1e-6, atol=1e-9, err_msg=name
            )
    assert int(optimizer.iterations) == 2


def _by_loop(function, x, noise):
    return tf.add_n([function((x[i], noise[i])) for i in range(x.shape[0])])


def _by_map_fn(function, x, noise):
    return tf.reduce_sum(
        tf.map_fn(function, (x, noise), fn_output_signature=x.dtype)
    )


def _by_vectorized_map(function, x, noise):
    return tf.reduce_sum(tf.vectorized_map(function, (x, noise)))


def _by_while_loop(function, x, noise):
    return tf.while_loop(
        lambda i, _: i < x.shape[0],
        lambda i, total: (i + 1, total + function((x[i], noise[i]))),
        (0, tf.zeros([], x.dtype)),
        maximum_iterations=x.shape[0],
    )[1]


def _by_cond(function, x, noise):
    return tf.add_n(
        [
            tf.cond(
                tf.reduce_sum(x) < 1e6,  # not known when it is traced
                lambda i=i: function((x[i], noise[i])),
                lambda: tf.zeros([], x.dtype),
            )
            for i in range(x.shape[0])
        ]
    )


_WAYS = {
    "map_fn": _by_map_fn,
    "vectorized_map": _by_vectorized_map,
    "while_loop": _by_while_loop,
    "cond": _by_cond,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "num_samples", "mode"),
    [
        pytest.param(
            "sticking_the_landing", 1, "eager", marks=pytest.mark.slow
        ),
        ("sticking_the_landing", 1, "graph"),
        ("doubly_reparameterized", 3, "graph"),
        pytest.param(
            "doubly_reparameterized", 3, "xla", marks=pytest.mark.slow
        ),
    ],
)
def test_gradient_through_control_flow(estimator, num_samples, mode):
    """With the tape outside, it is that of a loop in Python."""
    model = lg.build(
        gradient_estimator=estimator, num_importance_samples=num_samples
    )
    x = tf.constant(lg.truth(model).sample(2))
    noise = tf.constant(lg.normal_noise(2, num_samples, 2))

    def bound_of_one(arguments):
        one, drawn = arguments
        return lg.bound(model, one[tf.newaxis], drawn[:, tf.newaxis])[0]

    def gradients(way, x, noise):
        return lg.gradients(model, lambda: way(bound_of_one, x, noise))

    if mode != "eager":
        gradients = tf.function(
            gradients, jit_compile=mode == "xla", autograph=False
        )
    expected = lg.gradients(model, lambda: _by_loop(bound_of_one, x, noise))
    for name, way in _WAYS.items():
        if name == "vectorized_map" and estimator == "doubly_reparameterized":
            with pytest.raises(
                LookupError, match=r"no gradient through `tf\.vectorized_map`"
            ):
                gradients(way, x, noise)
            continue
        found = gradients(way, x, noise)
        for path, gradient in expected.items():
            np.testing.assert_allclose(
                found[path], gradient, rtol=1e-9, atol=1e-9, err_msg=name
            )


def test_gradient_inside_of_vectorized_map():
    model = lg.build(
        gradient_estimator="doubly_reparameterized", num_importance_samples=3
    )
    x = tf.constant(lg.truth(model).sample(3))
    noise = tf.constant(lg.normal_noise(3, 3, 2))

    def gradients_of_one(arguments):
        one, drawn = arguments
        return lg.gradients(
            model,
            lambda: lg.bound(model, one[tf.newaxis], drawn[:, tf.newaxis])[0],
        )

    mapped = tf.vectorized_map(gradients_of_one, (x, noise))
    for i in range(3):
        for path, gradient in gradients_of_one((x[i], noise[i])).items():
            np.testing.assert_allclose(
                mapped[path][i], gradient, rtol=1e-9, atol=1e-9, err_msg=path
            )


def test_reparameterized_gradient_is_that_by_differences():
    """Of the importance-weighted bound, in directions drawn at random."""
    model = lg.build(2, num_importance_samples=5)
    x = lg.truth(model).sample(4)
    noise = lg.normal_noise(5, 4, 4)
    variables = lg.weights(model)
    gradients = lg.gradients(
        model, lambda: tf.reduce_sum(lg.bound(model, x, noise))
    )
    for seed, (name, w) in enumerate(variables.items()):
        direction = lg.normal_noise(*w.shape, seed=seed)
        start = w.numpy()
        values = []
        for step in (1e-5, -1e-5):
            w.assign(start + step * direction)
            values.append(np.sum(lg.bound(model, x, noise)))
        w.assign(start)
        slope = (values[0] - values[1]) / 2e-5
        assert np.sum(gradients[name] * direction) == pytest.approx(
            slope, rel=1e-6, abs=1e-6
        )


@pytest.mark.parametrize(
    ("estimator", "num_samples"),
    [("sticking_the_landing", 1), ("doubly_reparameterized", 5)],
)
def test_autoregressive_flows_are_not_inverted(
    estimator, num_samples, monkeypatch
):
    """And the gradient is that of the density of given points."""
    model = lg.build(
        1,
        "full",
        IAFFlow(2, (8,), dtype="float64", seed=0),
        gradient_estimator=estimator,
        num_importance_samples=num_samples,
    )
    lg.randomize(model, scale=0.3)
    x = lg.truth(model).sample(4)
    noise = lg.normal_noise(num_samples, 4, model.posterior.noise_size)

    def gradients():
        return lg.gradients(
            model, lambda: tf.reduce_sum(lg.bound(model, x, noise))
        )

    def by_density(self, standard_normal, parameters):
        z = tf.identity(self.push_forward(standard_normal, parameters)[0])
        with tf.GradientTape() as tape:
            tape.watch(z)
            log_prob = self.make_distribution(parameters).log_prob(z)
        return tape.gradient(log_prob, z)

    with monkeypatch.context() as patch:
        patch.setattr(type(model.posterior), "log_prob_gradient", by_density)
        expected = gradients()

    def invert(*_):
        raise AssertionError("A flow was inverted.")

    monkeypatch.setattr(InverseAutoregressive, "_inverse_and_log_det", invert)
    for name, gradient in gradients().items():
        np.testing.assert_allclose(
            gradient, expected[name], rtol=1e-8, atol=1e-9, err_msg=name
        )


class TestExactPosterior:
    """Where every sample has the same weight."""

    @pytest.mark.parametrize(
        ("estimator", "num_samples"),
        [
            ("sticking_the_landing", 1),
            ("doubly_reparameterized", 5),
        ],
    )
    @pytest.mark.parametrize(
        ("num_layers", "base", "flow_steps"),
        [(1, "low_rank", 0), (2, "full", 0), (2, "full", 2)],
    )
    def test_no_variance(
        self, num_layers, base, flow_steps, estimator, num_samples
    ):
        model = lg.build(
            num_layers,
            base,
            PlanarFlow(flow_steps, dtype="float64", seed=0)
            if flow_steps
            else None,
            gradient_estimator=estimator,
            num_importance_samples=num_samples,
        )
        exact = lg.set_exact_posterior(model)
        x = exact.sample(1)
        for seed in range(3):
            noise = lg.normal_noise(
                num_samples, 1, model.posterior.noise_size, seed=seed
            )
            gradients = lg.gradients(
                model, lambda n=noise: tf.reduce_sum(lg.bound(model, x, n))
            )
            for name, gradient in gradients.items():
                if is_of_posterior(name):
                    np.testing.assert_allclose(
                        gradient, 0.0, rtol=0, atol=1e-10, err_msg=name
                    )

    @pytest.mark.parametrize("num_samples", [1, 5])
    def test_reparameterized_has_variance(self, num_samples):
        model = lg.build(2, num_importance_samples=num_samples)
        x = lg.set_exact_posterior(model).sample(1)
        draws = [
            lg.gradients(
                model,
                lambda s=seed: tf.reduce_sum(
                    lg.bound(
                        model, x, lg.normal_noise(num_samples, 1, 4, seed=s)
                    )
                ),
            )
            for seed in range(5)
        ]
        for name in draws[0]:
            if is_of_posterior(name):
                spread = np.std([d[name] for d in draws], axis=0)
                assert np.max(spread) > 0.1, name


GROUPS, ROWS = 30, 200
KL, JOINT = schedules.KLAnnealing(10), schedules.JointAnnealing(10)


@pytest.fixture(scope="module")
def gradients():
    """`gradients(estimator, noise, annealing weights)`, a dictionary."""
    model = lg.build(flow=PlanarFlow(2, dtype="float64", seed=0))
    for name, w in lg.weights(model).items():
        if "/planar_flow" in name:
            scale = 0.1 if name.endswith("kernel") else 1.0
            w.assign(w + scale * lg.normal_noise(*w.shape, seed=3))
    x = np.tile(lg.truth(model).sample(8), [ROWS // 8, 1])
    variables = lg.weights(model)

    def compute(estimator, noise, annealing):
        model.gradient_estimator = estimator  # while it is traced
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(lg.bound(model, x, noise, annealing))
        return tape.gradient(value, variables)

    signature = [
        tf.TensorSpec([None, ROWS, 2], tf.float64),
        schedules.AnnealingWeights(*[tf.TensorSpec([], tf.float64)] * 3),
    ]
    functions = {
        name: tf.function(
            functools.partial(compute, name), signature, autograph=False
        )
        for name in ESTIMATORS
    }
    return lambda name, *arguments: functions[name](*arguments)


class TestMeans:
    """Of estimators that share their noise, for a posterior with a flow."""

    def _deviation(self, gradients, estimator, num_samples, annealing=None):
        """Of the mean from the reparameterized one, in standard errors."""
        annealing = schedules.get(annealing).weights(3, tf.float64)
        draws = []
        for seed in range(GROUPS):
            noise = tf.constant(
                lg.normal_noise(num_samples, ROWS, 2, seed=seed)
            )
            plain = gradients("reparameterized", noise, annealing)
            other = gradients(estimator, noise, annealing)
            draws.append({n: other[n] - plain[n] for n in plain})
        deviations = []
        for name in draws[0]:
            differences = np.stack([d[name] for d in draws])
            mean = np.abs(np.mean(differences, axis=0))
            if is_of_posterior(name):
                error = np.std(differences, axis=0) / np.sqrt(GROUPS)
                deviations.append(np.max(mean / error))
            else:
                assert np.max(mean) < 1e-10  # the decoder's are equal
        return max(deviations)

    @pytest.mark.parametrize(
        ("estimator", "num_samples", "annealing"),
        [
            pytest.param(
                name,
                num_samples,
                annealing,
                id=f"{name} {annealing}",
                marks=() if is_quick else pytest.mark.slow,
            )
            for name, num_samples, annealing, is_quick in (
                ("sticking_the_landing", 1, None, True),
                ("doubly_reparameterized", 5, None, True),
                ("sticking_the_landing", 1, KL, False),
                ("doubly_reparameterized", 5, KL, True),
                ("sticking_the_landing", 1, JOINT, False),
                ("doubly_reparameterized", 5, JOINT, False),
            )
        ],
    )
    def test_are_equal(self, gradients, estimator, num_samples, annealing):
        deviation = self._deviation(
            gradients, estimator, num_samples, annealing
        )
        assert deviation < SIGMAS

    def test_the_error_is_small_enough_to_notice_a_bias(self, gradients):
        """Sticking the landing is biased for more than one sample."""
        deviation = self._deviation(gradients, "sticking_the_landing", 5)
        assert deviation > 20.0
