"""What a user does with a DLGM, and what it refuses."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models.digits import compiled, images, model
from tfp_flows.layers import MLP, PlanarFlow, StochasticLayer
from tfp_flows.posteriors import FlowPosterior

tfd = tfp.distributions


@pytest.fixture(scope="module")
def trained():
    dlgm = compiled(learning_rate=3e-3)
    history = dlgm.fit(
        images(400), validation_data=images(100), epochs=8, verbose=0
    )
    return dlgm, history.history


def test_training_raises_the_elbo_and_logs_its_parts(trained):
    _, history = trained
    assert history["elbo"][-1] > history["elbo"][0] + 5
    for prefix in ("", "val_"):
        elbo, kl, reconstruction, loss = (
            np.array(history[prefix + name])
            for name in ("elbo", "kl", "reconstruction", "loss")
        )
        np.testing.assert_allclose(elbo, reconstruction - kl, rtol=1e-5)
        np.testing.assert_allclose(loss, -elbo, rtol=1e-5)


def test_evaluate_does_not_depend_on_the_batch_size(trained):
    dlgm, _ = trained
    x = images(50)
    whole = dlgm.evaluate(x, batch_size=50, verbose=0)
    parts = dlgm.evaluate(x, batch_size=16, verbose=0, return_dict=True)
    np.testing.assert_allclose(
        whole,
        [parts[name] for name in ("loss", "elbo", "kl", "reconstruction")],
        rtol=1e-5,
    )
    assert whole == dlgm.evaluate(x, batch_size=50, verbose=0)


def test_all_forms_of_images_are_one(trained):
    dlgm, _ = trained
    x = images(20)
    expected = dlgm.evaluate(x, verbose=0)
    forms = [
        x.reshape(20, 64),
        x[..., None],
        x.astype(bool),
        x.astype(np.float64).tolist(),
        tf.constant(x),
        tf.data.Dataset.from_tensor_slices({"image": x}).batch(7),
        tf.data.Dataset.from_tensor_slices(x[..., None]).batch(20),
    ]
    for form in forms:
        np.testing.assert_allclose(
            dlgm.evaluate(form, verbose=0), expected, rtol=1e-5
        )


def test_labels_are_ignored_and_this_is_said_once():
    dlgm = compiled(run_eagerly=True)
    labelled = tf.data.Dataset.from_tensor_slices(
        (images(20), np.zeros(20))
    ).batch(10)
    with pytest.warns(UserWarning, match="Labels are ignored"):
        dlgm.fit(labelled, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dlgm.fit(images(10), np.zeros(10), verbose=0)


@pytest.mark.parametrize("kind", ["array", "data set"])
def test_non_binary_images_warn_once(kind):
    dlgm = compiled(run_eagerly=True)
    x = images(20) * 0.5
    data = x if kind == "array" else tf.data.Dataset.from_tensors(x)
    with pytest.warns(UserWarning, match=r"dataset\.map") as record:
        dlgm.fit(data, epochs=2, verbose=0)
    assert len(record) == 1
    assert "no log-likelihood of binary images" in str(record[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dlgm.evaluate(data, verbose=0)


def test_samples_and_reconstructions(trained):
    dlgm, _ = trained
    x = images(6)
    for make in (dlgm.sample, lambda n, **kw: dlgm.reconstruct(x[:n], **kw)):
        means = make(6, seed=1)
        assert means.shape == (6, 8, 8)
        assert float(tf.reduce_min(means)) > 0
        assert float(tf.reduce_max(means)) < 1
        np.testing.assert_array_equal(means, make(6, seed=1))
        assert np.abs(means - make(6, seed=2)).max() > 1e-3
        # The noise is keyed by the index.
        np.testing.assert_allclose(means[:3], make(3, seed=1), atol=1e-6)
        draws = make(6, seed=1, draws=True).numpy()
        assert set(np.unique(draws)) == {0.0, 1.0}
        assert np.abs(draws - means).mean() < 0.5
    np.testing.assert_allclose(
        dlgm.predict(x, verbose=0, batch_size=4), dlgm(x), rtol=1e-5
    )


def test_data_sets_are_reconstructed_like_arrays(trained):
    dlgm, _ = trained
    x = images(7)
    dataset = tf.data.Dataset.from_tensor_slices({"image": x}).batch(3)
    np.testing.assert_array_equal(
        dlgm.reconstruct(dataset, seed=1), dlgm.reconstruct(x, seed=1)
    )
    with pytest.raises(ValueError, match="`x` must be finite here; got an end"):
        dlgm.reconstruct(dataset.repeat())


def test_posterior_distribution_is_that_of_the_encoder(trained):
    dlgm, _ = trained
    x = images(5)
    q = dlgm.posterior_distribution(x)
    assert isinstance(q, tfd.Distribution)
    assert (q.batch_shape, q.event_shape) == ((5,), (3,))
    z, log_prob = dlgm.posterior.sample_and_log_prob(dlgm.encoder(x), seed=1)
    np.testing.assert_allclose(q.log_prob(z), log_prob, rtol=1e-4)


@pytest.mark.parametrize(
    ("likelihood", "num_parameters"),
    [
        ("bernoulli", 1),
        ("logit_normal", 2),
        ("gaussian", 2),
        ("discretized_logistic", 2),
        (lambda out: tfd.Independent(tfd.Normal(out, 0.5), 1), 1),
    ],
)
def test_every_likelihood_trains_and_generates(likelihood, num_parameters):
    dlgm = compiled(
        run_eagerly=True, likelihood=likelihood, num_parameters=num_parameters
    )
    x = images(40)
    if likelihood in ("logit_normal", "gaussian", "discretized_logistic"):
        x = np.round(0.9 * x * 255 + 10) / 255
    history = dlgm.fit(x, epochs=3, verbose=0).history
    assert np.isfinite(history["elbo"]).all()
    assert history["elbo"][-1] > history["elbo"][0]
    assert dlgm.sample(2, draws=True).shape == (2, 8, 8)
    assert np.isfinite(dlgm.reconstruct(x[:2])).all()


@pytest.mark.slow
def test_trainable_prior_is_sampled_and_learned():
    prior = FlowPosterior(3, PlanarFlow(2, seed=1))
    dlgm = compiled(run_eagerly=True, prior=prior)
    dlgm.fit(images(40), verbose=0)
    before = dlgm.sample(4, seed=0).numpy()
    assert dlgm.prior.trainable_weights
    dlgm.fit(images(40), epochs=2, verbose=0)
    prior._head.weights[0].assign_add(tf.fill([3], 2.0))
    assert np.abs(dlgm.sample(4, seed=0) - before).max() > 0.01


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"likelihood": "poisson"},
            r"`likelihood` must be .*bernoulli.*logit_normal.*got 'poisson'",
        ),
        (
            {"num_importance_samples": 0},
            "`num_importance_samples` must be an integer >= 1; got 0",
        ),
        (
            {"gradient_estimator": "score"},
            "`gradient_estimator` must be one of .*sticking_the_landing",
        ),
        (
            {
                "gradient_estimator": "sticking_the_landing",
                "num_importance_samples": 2,
            },
            "biased.*doubly_reparameterized",
        ),
        ({"annealing": "cosine"}, "`annealing` must be one of .*joint"),
        (
            {"stochastic_layers": [StochasticLayer(2), StochasticLayer(2)]},
            "must have a `transform`",
        ),
        (
            {
                "stochastic_layers": [
                    StochasticLayer(2),
                    StochasticLayer(2, keras.layers.Dense(2)),
                ]
            },
            r"`posterior.latent_size` must be the sum .*2 \+ 2 = 4; got 3",
        ),
        ({"event_shape": (8, 0)}, "`event_shape` must hold positive"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        model(**kwargs)


def test_parts_that_do_not_fit():
    with pytest.raises(ValueError, match="`posterior.prior` must be None in"):
        model(posterior=FlowPosterior(3, prior=FlowPosterior(3)))
    with pytest.raises(ValueError, match="`posterior.kl_weight` must be 1"):
        model(posterior=FlowPosterior(3, kl_weight=0.5))
    with pytest.raises(TypeError, match="`posterior` must be a posterior"):
        model(posterior=keras.layers.Dense(3))
    with pytest.raises(
        ValueError, match=r"`encoder` must return features of shape \[B, C\]"
    ):
        model(encoder=keras.layers.Reshape([8, 8])).build((None, 8, 8))
    with pytest.raises(
        ValueError, match=r"`decoder` must return 64 .*got shape \(None, 63\)"
    ):
        model(decoder=MLP([4], output_size=63)).build((None, 8, 8))
    with pytest.raises(ValueError, match="`loss` must not be given"):
        model().compile("adam", loss="mse")


@pytest.mark.parametrize(
    "method",
    ["fit", "evaluate", "predict", "reconstruct", "log_marginal_likelihood"],
)
def test_bad_images_are_one_clear_error(method):
    def call(x):
        dlgm = compiled(event_shape=(8, 8))
        verbose = {} if method == "reconstruct" else {"verbose": 0}
        return getattr(dlgm, method)(x, **verbose)

    x = images(4)
    with pytest.raises(ValueError, match=r"images of shape \(8, 8\).*\(7, 8\)"):
        call(x[:, 1:])
    with pytest.raises(ValueError, match=r"\[0, 1\].*bernoulli"):
        call(2 * x)
    with pytest.raises(ValueError, match=r"uint8.*/ 255"):
        call((255 * x).astype(np.uint8))
    x[2, 3, 3] = np.nan
    with pytest.raises(ValueError, match="`x` must be finite.*NaN.*example 2"):
        call(x)


@pytest.mark.parametrize("likelihood", ["logit_normal", "discretized_logistic"])
def test_images_outside_the_unit_interval(likelihood):
    dlgm = compiled(likelihood=likelihood, num_parameters=2)
    with pytest.raises(ValueError, match=rf"\[0, 1\].*{likelihood}"):
        dlgm.fit(3 * images(4), verbose=0)


def test_bad_images_in_a_data_set_are_one_clear_error():
    x = images(20)
    x[13, 0, 0] = np.inf
    dataset = tf.data.Dataset.from_tensor_slices(x).batch(5)
    with pytest.raises(
        ValueError, match="`x` must be finite.*inf.*example 3.*batch 2"
    ):
        compiled(run_eagerly=True).fit(dataset, verbose=0)
    with pytest.raises(ValueError, match="`validation_data` must be finite"):
        compiled(run_eagerly=True).fit(
            images(4), validation_data=dataset, verbose=0
        )


def test_sample_of_an_unbuilt_model():
    with pytest.raises(ValueError, match="must be built"):
        model().sample(1)
    with pytest.raises(ValueError, match="`n` must be an integer >= 1"):
        compiled().sample(0)
