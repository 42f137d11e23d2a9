"""A user's own model with an amortized posterior, against closed forms."""

import math

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp

from tests.distributed import mirrored_strategy, on_two_cpus
from tests.models import digits
from tests.models.linear_gaussian import log_normal
from tfp_flows.layers import MLP, IAFFlow, PlanarFlow
from tfp_flows.models import DLGM, LogJointModel
from tfp_flows.posteriors import (
    CIFPosterior,
    FlowPosterior,
    HamiltonianPosterior,
)
from tfp_flows.schedules import JointAnnealing, KLAnnealing

tfb, tfd = tfp.bijectors, tfp.distributions

PLACES = np.linspace(-1.0, 1.0, 5)
DESIGN = np.stack([np.ones_like(PLACES), PLACES], axis=1)  # [n, 2]
NOISE, SPREAD = 0.4, np.array([1.5, 0.7])


@keras.saving.register_keras_serializable(package="tests")
class Regressions(keras.layers.Layer):
    """Lines of groups, whose coefficients have a common mean, a weight."""

    def build(self, x_shape, z_shape):
        del x_shape, z_shape
        self.mean = self.add_weight(name="mean", shape=(2,))

    def call(self, x, z, training=False):
        del training
        prior = tfd.MultivariateNormalDiag(
            tf.convert_to_tensor(self.mean), SPREAD
        )
        lines = tf.linalg.matmul(z, DESIGN, transpose_b=True)
        return prior.log_prob(z) + tf.reduce_sum(
            tfd.Normal(lines, tf.constant(NOISE, z.dtype)).log_prob(x), axis=-1
        )


def groups(count=64, seed=0):
    rng = np.random.default_rng(seed)
    z = np.array([0.5, -1.0]) + SPREAD * rng.normal(size=[count, 2])
    return z @ DESIGN.T + NOISE * rng.normal(size=[count, len(PLACES)])


def regression(posterior=None, **kwargs):
    keras.utils.set_random_seed(0)
    return LogJointModel(
        keras.layers.Dense(2, dtype="float64"),
        posterior or FlowPosterior(2, base="full", dtype="float64"),
        Regressions(dtype="float64"),
        dtype="float64",
        **kwargs,
    )


def fitted(model, epochs, x=None):
    x = groups() if x is None else x
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(0.05, epochs)
        ),
        jit_compile=False,
    )
    return model.fit(x, batch_size=len(x), epochs=epochs, verbose=0)


@pytest.mark.slow
def test_conjugate_regressions_reach_the_evidence_and_its_maximum():
    """Both are known: of the groups' posteriors, and of their common mean."""
    model, x = regression(), groups()
    history = fitted(model, epochs=600).history
    covariance = DESIGN * SPREAD**2 @ DESIGN.T + NOISE**2 * np.eye(5)
    precision = np.linalg.inv(covariance)
    mean = np.linalg.solve(
        DESIGN.T @ precision @ DESIGN, DESIGN.T @ precision @ x.mean(axis=0)
    )
    fitted_mean = np.asarray(model.log_joint.mean)
    np.testing.assert_allclose(fitted_mean, mean, atol=1e-2)
    evidence = log_normal(x, DESIGN @ fitted_mean, covariance)
    values = model.evaluate(x, verbose=0, return_dict=True)
    assert 0.0 <= evidence.mean() - values["elbo"] < 0.02
    np.testing.assert_allclose(
        values["elbo"], values["log_joint"] - values["negative_entropy"]
    )
    assert history["elbo"][0] < values["elbo"] - 1.0
    found = model.log_marginal_likelihood(x, 1_000, verbose=0)
    errors = (found.estimates - evidence) / found.standard_errors
    assert np.abs(errors).max() < 5.0
    assert found.standard_errors.max() < 0.02
    # The posteriors themselves.
    gain = np.linalg.inv(
        DESIGN.T @ DESIGN / NOISE**2 + np.diag(1.0 / SPREAD**2)
    )
    center = (x @ DESIGN / NOISE**2 + fitted_mean / SPREAD**2) @ gain
    assert np.mean(np.abs(model.posterior_mean(x) - center)) < 0.05
    expected = log_normal(np.zeros([64, 2]), 0.0, gain)  # at their centers
    q = model.posterior_distribution(x)
    assert np.mean(np.abs(q.log_prob(center) - expected)) < 0.1
    draws = model.sample_posterior(x, 4_000, seed=1).numpy()
    error = np.cov((draws - center).reshape([-1, 2]).T) - gain
    assert np.abs(error).max() < 0.05 * gain.max()


POSTERIORS = {
    "planar": lambda: FlowPosterior(digits.LATENT_SIZE, PlanarFlow(2, seed=0)),
    "cif": lambda: CIFPosterior(
        digits.LATENT_SIZE, PlanarFlow(2, seed=0), auxiliary_size=1
    ),
    "hamiltonian": lambda: HamiltonianPosterior(
        FlowPosterior(digits.LATENT_SIZE), num_bridges=2
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", POSTERIORS)
def test_of_the_parts_of_a_dlgm_it_is_that_dlgm(name):
    """Noise, bounds, evidence and one update, in float32."""
    x = digits.images(20)
    dlgm, other = (
        digits.compiled(
            posterior=POSTERIORS[name](),
            decoder=keras.Sequential(
                [keras.layers.Dense(8, "tanh"), keras.layers.Dense(64)]
            ),
            seed=3,
        )
        for _ in range(2)
    )
    for built in (dlgm, other):
        built.build((None, 8, 8))
    other.set_weights(dlgm.get_weights())

    def log_joint(x, z):
        return tf.add(*other.log_joint_terms(x, z))

    model = LogJointModel(other.encoder, other.posterior, log_joint, seed=3)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    model.build((None, 8, 8))
    bound = dlgm.bound_names[0]
    assert model.bound_names[0] == bound
    np.testing.assert_allclose(
        model.evaluate(x, verbose=0, return_dict=True)[bound],
        dlgm.evaluate(x, verbose=0, return_dict=True)[bound],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        model.log_marginal_likelihood(x[:4], 8, verbose=0).estimates,
        dlgm.log_marginal_likelihood(x[:4], 8, verbose=0).estimates,
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        model.bounds(x[:4], 4)[bound], dlgm.bounds(x[:4], 4)[bound], rtol=1e-5
    )
    if not dlgm.posterior.has_density:
        with pytest.raises(NotImplementedError, match="has no density"):
            model.posterior_distribution(x)
        assert model.sample_posterior(x, 2).shape == [2, 20, 3]
    logs = [m.train_on_batch(x, return_dict=True) for m in (model, dlgm)]
    np.testing.assert_allclose(*(log[bound] for log in logs), rtol=1e-5)
    for ours, theirs in zip(
        model.trainable_weights,
        dlgm.encoder.trainable_weights + dlgm.posterior.trainable_weights,
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def gamma_poisson(x, z):
    """Counts of a rate, Gamma(3, 1) a priori."""
    return tfd.Gamma(
        tf.constant(3.0, z.dtype), tf.constant(1.0, z.dtype)
    ).log_prob(z[..., 0]) + tf.reduce_sum(tfd.Poisson(z).log_prob(x), axis=-1)


def gamma_poisson_evidence(x):
    total, n = x.sum(axis=-1), x.shape[-1]
    log_gamma = scipy.special.gammaln
    return (
        log_gamma(3.0 + total)
        - log_gamma(3.0)
        - (3.0 + total) * math.log(1.0 + n)
        - log_gamma(1.0 + x).sum(axis=-1)
    )


def dirichlet_categorical(x, z):
    """Counts of three kinds, their shares Dirichlet(2, 2, 2) a priori."""
    prior = tfd.Dirichlet(tf.constant([2.0, 2.0, 2.0], z.dtype))
    return prior.log_prob(z) + tf.reduce_sum(x * tf.math.log(z), axis=-1)


def dirichlet_categorical_evidence(x):
    log_gamma = scipy.special.gammaln
    return (
        log_gamma(6.0)
        - 3.0 * log_gamma(2.0)
        + log_gamma(2.0 + x).sum(axis=-1)
        - log_gamma(6.0 + x.sum(axis=-1))
    )


SUPPORTS = {
    "positive": (gamma_poisson, gamma_poisson_evidence, 1, "positive"),
    "bijector": (gamma_poisson, gamma_poisson_evidence, 1, tfb.Softplus()),
    "list": (gamma_poisson, gamma_poisson_evidence, 1, ["positive"]),
    "simplex": (
        dirichlet_categorical,
        dirichlet_categorical_evidence,
        2,
        "simplex",
    ),
}


@pytest.mark.parametrize("name", SUPPORTS)
def test_evidence_on_a_support(name):
    log_joint, evidence, latent_size, support = SUPPORTS[name]
    x = np.random.default_rng(1).poisson(2.0, [3, 3]).astype("float64")
    keras.utils.set_random_seed(0)
    model = LogJointModel(
        keras.layers.Dense(2, dtype="float64"),
        FlowPosterior(latent_size, initial_scale=1.5, dtype="float64"),
        log_joint,
        support=support,
        dtype="float64",
    )
    model.build((None, 3))
    found = model.log_marginal_likelihood(x, 20_000, verbose=0)
    errors = (found.estimates - evidence(x)) / found.standard_errors
    assert np.abs(errors).max() < 4.0, errors
    assert found.standard_errors.max() < 0.2
    z = model.sample_posterior(x, 50)
    assert z.shape == [50, 3, latent_size + (name == "simplex")]
    assert np.all(z > 0.0)
    if name == "simplex":
        np.testing.assert_allclose(tf.reduce_sum(z, axis=-1), 1.0)
    # Its density is that of what it draws.
    q = model.posterior_distribution(x)
    y = tf.random.stateless_normal([3, latent_size], [0, 1], dtype="float64")
    z, log_det = (
        model._bijector.forward(y),
        model._bijector.forward_log_det_jacobian(y, event_ndims=1),
    )
    np.testing.assert_allclose(
        q.log_prob(tf.identity(z)),
        q.distribution.log_prob(y) - log_det,
        rtol=1e-9,
    )
    assert model(x).shape == z.shape


def test_draws_are_keyed_by_the_example():
    model, x = regression(), groups(600)
    model.build((None, 5))
    draws = model.sample_posterior(x, 3, seed=2)
    np.testing.assert_allclose(
        model.sample_posterior(x[:520], 3, seed=2), draws[:, :520]
    )
    assert not np.allclose(model.sample_posterior(x, 3, seed=3), draws)


def test_saved_and_loaded(tmp_path):
    model = regression(
        FlowPosterior(
            2,
            IAFFlow(1, (4,), seed=0, dtype="float64"),
            dtype="float64",
        ),
        support=[tfb.Shift(tf.constant(-20.0, "float64")), "real"],
        annealing=JointAnnealing(num_steps=3),
        num_importance_samples=2,
        seed=4,
    )
    fitted(model, epochs=4)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = groups(6)
    assert loaded.annealing == model.annealing
    assert len(loaded.trainable_weights) == len(model.trainable_weights)
    assert "mean" in [w.name for w in loaded.trainable_weights]
    assert loaded.evaluate(x, verbose=0) == model.evaluate(x, verbose=0)
    np.testing.assert_array_equal(
        loaded.sample_posterior(x, 2), model.sample_posterior(x, 2)
    )


def two_replicas():
    with mirrored_strategy().scope():
        model = regression()
        model.compile(keras.optimizers.Adam(0.05), jit_compile=False)
    return trained_on(model)


def trained_on(model):
    model.fit(groups(9), batch_size=4, epochs=2, shuffle=False, verbose=0)
    elbo = model.evaluate(groups(9), batch_size=4, verbose=0, return_dict=True)
    draws = model.sample_posterior(groups(9), 3, seed=1).numpy()
    weights = [w.numpy() for w in model.trainable_weights]
    return elbo["elbo"], [*weights, draws]


@pytest.mark.distributed
def test_two_replicas_train_like_one():
    model = regression()
    model.compile(keras.optimizers.Adam(0.05), jit_compile=False)
    elbo, weights = trained_on(model)
    other_elbo, others = on_two_cpus(two_replicas)
    np.testing.assert_allclose(other_elbo, elbo, rtol=1e-12)
    for weight, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(other, weight, rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_xla_changes_nothing():
    found = []
    for jit_compile in (False, True):
        model = regression()
        model.compile(keras.optimizers.Adam(0.05), jit_compile=jit_compile)
        found.append(trained_on(model)[0])
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_defaults_of_compile_and_counts():
    """Whole numbers are data like others."""
    model = LogJointModel(
        MLP([4]), FlowPosterior(1), gamma_poisson, support="positive"
    )
    model.compile("adam")
    x = np.random.default_rng(0).poisson(3.0, [10, 3])
    history = model.fit(x, batch_size=4, epochs=2, verbose=0).history
    assert np.isfinite(history["elbo"]).all()
    assert list(history)[:2] == ["elbo", "log_joint"]
    with pytest.raises(ValueError, match="`x` must be finite.* got NaN"):
        model.fit(np.full([4, 3], np.nan, np.float32), verbose=0)


class Dropped(keras.layers.Layer):
    """It has no `training`, but a layer that has."""

    def __init__(self):
        super().__init__()
        self.dropout = keras.layers.Dropout(0.5, seed=0)

    def call(self, x, z):
        return tf.reduce_sum(self.dropout(tf.ones_like(z)) * z, -1) + x[:, 0]


def test_training_reaches_the_layers_within():
    model = LogJointModel(MLP([4]), FlowPosterior(2), Dropped())
    model.build((None, 3))
    x, z = tf.ones([4, 3]), tf.ones([2, 4, 2])
    for training, is_plain in ((False, True), (True, False)):
        found, _ = model.log_joint_terms(x, z, training)
        assert np.allclose(found, 3.0) is is_plain


@pytest.mark.slow
def test_weights_of_a_layer_learn_under_dynamics():
    base = FlowPosterior(2, base="full", dtype="float64")
    model = regression(HamiltonianPosterior(base, num_bridges=2))
    model.build((None, 5))
    before = {w.path: w.numpy() for w in model.trainable_weights}
    fitted(model, epochs=2)
    for layer in (model.log_joint, base, model.posterior, model.encoder):
        assert layer.trainable_weights
        for weight in layer.trainable_weights:
            change = np.abs(weight.numpy() - before[weight.path])
            assert change.max() > 1e-5, weight.path


def test_log_det_of_several_supports():
    model = LogJointModel(
        MLP([4]),
        FlowPosterior(3),
        lambda x, z: tf.reduce_sum(z, axis=-1) + 0.0 * x[:, 0],
        support=["positive", "real", "unit_interval"],
    )
    model.build((None, 2))
    y = np.random.default_rng(0).normal(size=[4, 5, 3]).astype("float32")
    found, rest = model.log_joint_terms(tf.zeros([5, 2]), tf.constant(y))
    sigmoid = scipy.special.expit(y[..., 2])
    expected = np.exp(y[..., 0]) + y[..., 1] + sigmoid + y[..., 0]
    expected += np.log(sigmoid * (1.0 - sigmoid))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert not np.any(rest)


@keras.saving.register_keras_serializable(package="tests")
def registered_log_joint(x, z):
    return tf.reduce_sum(-z * z, axis=-1) + x[:, 0]


class Holder:
    def log_joint(self, x, z):
        return registered_log_joint(x, z)


def test_functions_are_saved_if_they_can_be_found_again(tmp_path):
    path = tmp_path / "model.keras"
    model = LogJointModel(MLP([4]), FlowPosterior(2), registered_log_joint)
    model.build((None, 3))
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert loaded.log_joint is registered_log_joint
    other = LogJointModel(MLP([4]), FlowPosterior(2), Holder().log_joint)
    other.build((None, 3))
    with pytest.raises(
        ValueError, match="`log_joint` must be a layer or a fun"
    ):
        other.save(path)


class WeighsThePrior(JointAnnealing):
    def weights(self, step, dtype=tf.float32):
        weights = super().weights(step, dtype)
        return weights._replace(likelihood=tf.ones([], dtype))


def sums_examples(x, z):
    return tf.reduce_sum(z, axis=[-1, -2]) + tf.reduce_sum(x)


def in_single(x, z):
    return tf.cast(tf.reduce_sum(z, axis=-1) + x[:, 0], tf.float32)


def over_a_wrong_axis(x, z):
    return tf.reduce_sum(z, axis=1) + tf.zeros_like(x[:1, :2])


def _functional():
    x, z = keras.Input([3]), keras.Input([2])
    return keras.Model([x, z], keras.layers.Add()([x[:, 0], z[:, 0]]))


BAD = {
    "functional": (
        {"log_joint": _functional()},
        TypeError,
        r"`log_joint` must have `call\(x, z\)`",
    ),
    "other dtype": (
        {"posterior": FlowPosterior(2)},
        ValueError,
        "`posterior` must have the model's dtype, float64; got float32",
    ),
    "own annealing": (
        {"annealing": WeighsThePrior(10, initial=0.1)},
        ValueError,
        "`annealing` must weigh",
    ),
    "matrices": (
        {"support": tfb.FillTriangular()},
        ValueError,
        "`support` must be a bijector of numbers or vectors",
    ),
    "blocks": (
        {
            "support": tfb.Blockwise(
                [tfb.Exp(), tfb.Identity()], block_sizes=[1, 2]
            )
        },
        ValueError,
        "`support` must be",
    ),
    "single bijector": (
        {"support": tfb.Shift(tf.constant(1.0, tf.float32))},
        ValueError,
        "`support` must be that of vectors of 2 numbers in float64",
    ),
    "no support": ({"support": []}, ValueError, "`support` must hold one"),
    "fails": (
        {"log_joint": lambda x, z: x @ z},
        ValueError,
        "`log_joint` must take examples and latent variables",
    ),
    "no function": ({"log_joint": 3}, TypeError, "`log_joint` must be a func"),
    "KL annealing": (
        {"annealing": KLAnnealing(num_steps=10)},
        ValueError,
        "`annealing` must weigh",
    ),
    "KL annealing by name": (
        {"annealing": "kl"},
        ValueError,
        "`annealing` must weigh",
    ),
    "circle": ({"support": "circular"}, ValueError, "no 'circular' variables"),
    "more variables": (
        {"support": ["real"] * 3},
        ValueError,
        "`posterior.latent_size` = 2; got one of 3",
    ),
    "unknown support": ({"support": "round"}, ValueError, "`support` must be"),
    "prior": (
        {"posterior": FlowPosterior(2, prior=FlowPosterior(2))},
        ValueError,
        "`posterior.prior` must be None in a LogJointModel",
    ),
    "no posterior": (
        {"posterior": MLP([2])},
        TypeError,
        "`posterior` must be a posterior layer",
    ),
    "one number": (
        {"log_joint": sums_examples},
        ValueError,
        r"`log_joint` must return one number for each draw and example",
    ),
    "wrong axis": (
        {"log_joint": over_a_wrong_axis},
        ValueError,
        r"shape \[S, B\]",
    ),
    "dtype": ({"log_joint": in_single}, ValueError, "must return float64"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name):
    changed, error, message = BAD[name]
    arguments = {
        "encoder": keras.layers.Dense(2, dtype="float64"),
        "posterior": FlowPosterior(2, dtype="float64"),
        "log_joint": lambda x, z: tf.reduce_sum(z, axis=-1) + x[:, 0],
        "dtype": "float64",
    }
    with pytest.raises(error, match=message):
        LogJointModel(**{**arguments, **changed}).build((None, 5))


def test_bad_data_are_called_examples():
    model = regression()
    x = groups(4)
    x[2, 1] = np.nan
    with pytest.raises(ValueError, match="got NaN in example 2"):
        model.evaluate(x, verbose=0)
    model.build((None, 5))
    with pytest.raises(ValueError, match="hold examples of shape"):
        model.evaluate(groups(4)[:, :3], verbose=0)
    with pytest.raises(ValueError, match="`loss` must not be given"):
        model.compile("adam", loss="mse")


def test_annealing_is_that_of_the_joint():
    """KL annealing, DLGM's default behind flows, does not come by itself."""
    flow = FlowPosterior(2, PlanarFlow(1, dtype="float64"), dtype="float64")
    model = regression(flow)
    model.compile("adam")
    assert model.annealing.weights(0) == (1.0, 1.0, 1.0)
    model.annealing = "joint"
    assert float(model.annealing.planned(100).weights(0).likelihood) < 1.0
    with pytest.raises(ValueError, match="`annealing` must weigh"):
        model.annealing = "kl"


def test_a_dlgm_and_it_refuse_a_kl_weight_of_their_own():
    posterior = FlowPosterior(2)
    LogJointModel(MLP([2]), posterior, sums_examples)
    with pytest.raises(ValueError, match="in a LogJointModel"):
        posterior.kl_weight = 0.5
    posterior = FlowPosterior(2)
    DLGM(MLP([2]), posterior, MLP([2], 16))
    with pytest.raises(ValueError, match="in a DLGM"):
        posterior.kl_weight = 0.5
