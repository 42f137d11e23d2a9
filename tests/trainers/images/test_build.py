"""Tests of the models and optimizers that configs describe."""

import keras
import numpy as np
import pytest

from configs import binarized_mnist, digits, mnist
from tfp_flows import layers, schedules
from trainers.images import build
from trainers.runs import errors
from trainers.runs.optimizers import build_optimizer

ADAM, RMSPROP = keras.optimizers.Adam, keras.optimizers.RMSprop


def num_weights(layer):
    return sum(int(np.prod(v.shape)) for v in layer.trainable_weights)


def test_recipe_paper_is_that_of_rezende_and_mohamed():
    config = mnist.get_config("recipe=paper,flow=planar,K=80")
    model = build.build_model(config)
    for net in (model.encoder, model.decoder):
        # 400 hidden units, maxout over windows of 4: 100 outputs.
        (hidden,) = net.hidden_layers
        assert isinstance(hidden, layers.Maxout)
        assert (hidden.units, hidden.window) == (100, 4)
        assert hidden.linear.units == 400
    assert model.posterior.latent_size == 40
    assert model.posterior.base == "diagonal"
    (flow,) = model.posterior.flows
    assert isinstance(flow, layers.PlanarFlow)
    assert flow.num_flow_steps == 80
    assert num_weights(model.encoder) == 784 * 400 + 400
    assert num_weights(model.posterior) == (100 + 1) * (2 * 40 + 80 * 81)
    assert num_weights(model.decoder) == 40 * 400 + 400 + 100 * 784 + 784
    assert model.stochastic_layers == []
    assert model.likelihood.name == "bernoulli"
    assert model.num_importance_samples == 1

    optimizer = build_optimizer(config)
    assert isinstance(optimizer, RMSPROP)
    assert float(optimizer.learning_rate) == pytest.approx(1e-5)
    assert not isinstance(
        optimizer._learning_rate,
        keras.optimizers.schedules.LearningRateSchedule,
    )
    assert optimizer.momentum == 0.9

    assert isinstance(model.annealing, schedules.JointAnnealing)
    for step, beta in ((0, 0.01), (5_000, 0.51), (9_900, 1.0), (20_000, 1.0)):
        weights = model.annealing.weights(step)
        np.testing.assert_allclose(weights, [beta, beta, 1.0], rtol=1e-6)

    assert config.training.batch_size == 100
    assert config.training.num_steps == 500_000
    assert config.evaluation.num_importance_samples == 200
    assert model.posterior.flows[0].effective_context_scale == 1.0
    assert model.gradient_estimator == "reparameterized"


def test_recipe_modern_has_the_latents_of_the_paper():
    config = mnist.get_config("flow=planar,K=40")
    model = build.build_model(config)
    assert model.posterior.latent_size == 40
    assert num_weights(model.encoder) == 784 * 400 + 400 + 401 * 400
    assert model.annealing == schedules.KLAnnealing(10_000)
    assert model.posterior.flows[0].effective_context_scale == 1 / 40
    assert model.gradient_estimator == "sticking_the_landing"
    optimizer = build_optimizer(config)
    assert isinstance(optimizer, ADAM)
    rates = [
        float(optimizer._learning_rate(step))
        for step in (0, 500, 1_000, 30_500, 60_000)
    ]
    expected = [0.0, 1e-3, 2e-3, 0.5 * (2e-3 + 2e-5), 2e-5]
    np.testing.assert_allclose(rates, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("arg", "flow", "steps"),
    [
        ("flow=none", None, 0),
        ("flow=planar,K=3", layers.PlanarFlow, 3),
        ("flow=radial,K=5", layers.RadialFlow, 5),
    ],
)
def test_flow_is_the_one_asked_for(arg, flow, steps):
    flows = build.build_model(digits.get_config(arg)).posterior.flows
    assert [(type(f), f.num_flow_steps) for f in flows] == (
        [(flow, steps)] if flow else []
    )


def test_prior_is_the_one_asked_for_in_its_fast_direction():
    assert build.build_model(digits.get_config("flow=none")).prior is None
    for name, inverted in (("iaf", True), ("maf", False), ("planar", True)):
        config = digits.get_config(f"flow=none,prior={name},prior_K=2")
        prior = build.build_model(config).prior
        assert prior.latent_size == config.model.latent_size
        assert prior.distribution().batch_shape == []
        (flow,) = prior.flows
        assert (flow.num_flow_steps, flow.inverted) == (2, inverted)


def test_stochastic_layers_have_their_own_latents():
    config = digits.get_config("flow=planar,K=2,L=3")
    config.model.update({"latent_size": 5, "stochastic_hidden_units": (7,)})
    model = build.build_model(config)
    assert model.posterior.latent_size == 15
    top, *below = model.stochastic_layers
    assert top.units == 5
    assert num_weights(top) == 5
    assert len(below) == 2
    for layer in below:
        assert layer.units == 5
        assert num_weights(layer) == 5 + 6 * 7 + 8 * 5
    x = np.zeros([2, 8, 8], "float32")
    assert model(x).shape == (2, 8, 8)


def weights(seed):
    config = digits.get_config("flow=planar,K=6,L=2")
    config.training.seed = seed
    return [w.numpy() for w in build.build_model(config).weights]


def test_seed_decides_the_initial_weights():
    first, again, other = weights(3), weights(3), weights(4)
    for left, right in zip(first, again, strict=True):
        np.testing.assert_array_equal(left, right)
    kernels = [
        (left, right)
        for left, right in zip(first, other, strict=True)
        if left.ndim > 1 and left.any()  # u of a planar flow is zero
    ]
    assert len(kernels) >= 8
    for left, right in kernels:
        assert not np.array_equal(left, right)
    # No two layers begin alike, not even up to a factor.
    drawn = np.corrcoef([w.ravel()[:60] for w, _ in kernels])
    assert np.abs(drawn - np.eye(len(drawn))).max() < 0.6


@pytest.mark.slow
def test_model_learns_with_the_optimizer():
    config = digits.get_config("flow=none")
    config.model.hidden_units = (16,)
    config.optimizer.update({"name": "rmsprop", "warmup_steps": 0})
    model = build.build_model(config)
    model.compile(build_optimizer(config), jit_compile=False)
    rng = np.random.default_rng(0)
    x = np.tile(rng.integers(0, 2, [1, 8, 8]), [50, 1, 1]).astype("float32")
    before = model.evaluate(x, verbose=0, return_dict=True)["elbo"]
    model.fit(x, batch_size=50, epochs=60, verbose=0)
    after = model.evaluate(x, verbose=0, return_dict=True)["elbo"]
    assert after > before + 5.0


@pytest.mark.parametrize(
    ("name", "optimizer", "values"),
    [
        ("adam", ADAM, {"beta_2": 0.99, "weight_decay": 0.1}),
        ("rmsprop", RMSPROP, {"rho": 0.8, "momentum": 0.7}),
    ],
)
def test_optimizer_has_the_settings(name, optimizer, values):
    config = digits.get_config()
    config.optimizer.update({"name": name, "global_clipnorm": 3.0, **values})
    made = build_optimizer(config)
    assert isinstance(made, optimizer)
    assert made.global_clipnorm == 3.0
    assert {key: getattr(made, key) for key in values} == values


def test_short_run_still_reaches_the_peak_of_the_schedule():
    config = digits.get_config()
    config.training.num_steps = 10
    config.optimizer.warmup_steps = 1_000
    schedule = build_optimizer(config)._learning_rate
    assert float(schedule(5)) == pytest.approx(1e-3)
    assert float(schedule(10)) == pytest.approx(1e-5)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("none", schedules.NoAnnealing()),
        ("joint", schedules.JointAnnealing(700, 0.01)),
        ("kl", schedules.KLAnnealing(700)),
    ],
)
def test_annealing_has_the_length_that_is_given(name, kind):
    config = digits.get_config()
    config.training.update({"annealing": name, "annealing_steps": 700})
    assert build.build_annealing(config) == kind


def test_annealing_is_planned_for_the_steps_of_the_config():
    for arg, name, expected in (
        ("flow=iaf,K=1", "auto", schedules.KLAnnealing(50)),
        ("flow=planar,K=1", "auto", schedules.KLAnnealing(50)),
        ("flow=none", "auto", schedules.NoAnnealing()),
        ("flow=planar,K=1", "kl", schedules.KLAnnealing(50)),
        ("flow=planar,K=1", "joint", schedules.JointAnnealing(10_000)),
    ):
        config = digits.get_config(arg)
        config.training.num_steps = 300
        config.training.annealing = name
        assert build.build_model(config).annealing == expected


@pytest.mark.parametrize(
    ("name", "num_steps", "warns"),
    [
        ("kl", 700, True),
        ("kl", 701, False),
        ("none", 700, False),
        ("joint", 700, True),
    ],
)
def test_annealing_that_outlasts_training_is_named(
    name, num_steps, warns, caplog
):
    config = digits.get_config()
    config.training.update({"annealing": name, "num_steps": num_steps})
    if name != "joint":  # it has its 10,000 steps by itself
        config.training.annealing_steps = 700
    build.build_annealing(config)
    assert ("still annealed when training ends" in caplog.text) == warns


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.likelihood", "poisson", "one of bernoulli, .*; got 'poisson'"),
        ("model.activation", "sin", "one of relu, .*, maxout; got 'sin'"),
        ("model.network", "lstm", "one of mlp, residual, .*; got 'lstm'"),
        ("model.network", "con", r"one of .*; got 'con': did you mean conv\?"),
        ("model.strides", (2,), r"each of the 2 `model.filters`; got \(2,\)"),
        ("model.dense_units", -1, "at least 0; got -1"),
        ("model.filters", (8, 0), r"integers .*; got \(8, 0\)"),
        ("model.kernel_size", 0, "at least 1; got 0"),
        ("posterior.name", "vae", "one of flow, cif, .*; got 'vae'"),
        ("posterior.order", "beside", "one of before, after; got 'beside'"),
        ("posterior.auxiliary_size", 0, "at least 1; got 0"),
        ("posterior.num_bridges", -1, "at least 0; got -1"),
        ("posterior.largest_step_size", 0.0, "positive and .*; got 0.0"),
        ("model.latent_size", 0, "at least 1; got 0"),
        ("model.num_stochastic_layers", 0, "at least 1; got 0"),
        ("model.hidden_units", (), r"integers .*; got \(\)"),
        ("model.hidden_units", (30, -1), r"integers .*; got \(30, -1\)"),
        (
            "posterior.base",
            "block",
            "one of diagonal, .*, full, .*; got 'block'",
        ),
        ("posterior.flow", "nice", "one of none, planar, .*; got 'nice'"),
        ("posterior.num_flow_steps", 0, "at least 1; got 0"),
        ("training.annealing", "cyclic", "one of auto, none, .*; got 'cyclic'"),
        ("training.annealing_steps", 0, "at least 1; got 0"),
        ("training.annealing_steps", 9, "with .* kl or joint, .*; got 9"),
        ("training.gradient_estimator", "score", "one of auto, .* got 'score'"),
        ("training.num_importance_samples", 0, "at least 1; got 0"),
        ("training.seed", -1, "not be negative.*; got -1"),
        ("training.seed", 2**31, "less than .*; got 2147483648"),
        ("optimizer.name", "sgd", "one of adam, rmsprop; got 'sgd'"),
        ("optimizer.learning_rate", 0.0, "positive and finite; got 0.0"),
        ("optimizer.learning_rate", float("nan"), "positive .*; got nan"),
        ("optimizer.momentum", 1.0, r"in \[0, 1\); got 1.0"),
        ("optimizer.warmup_steps", -1, "not be negative.*; got -1"),
        ("optimizer.global_clipnorm", -1.0, "not be negative.*; got -1.0"),
        ("optimizer.weight_decay", -1.0, "not be negative.*; got -1.0"),
        ("posterior.context_scale", 0.0, "positive and finite; got 0.0"),
        ("posterior.num_orthogonal_columns", 0, "at least 1; got 0"),
        ("posterior.num_householder_reflections", 0, "at least 1; got 0"),
        ("posterior.conditioner_activation", "sin", "one of elu, .*'sin'"),
        ("posterior.conditioner_hidden_units", (8, 0), r"integers .*\(8, 0\)"),
        ("prior.flow", "nice", "one of none, planar, .*; got 'nice'"),
        ("prior.num_flow_steps", 2, "be 0 without a flow; got 2"),
        ("prior.num_orthogonal_columns", 0, "at least 1; got 0"),
        ("posterior.num_bins", 1, "at least 2; got 1"),
        ("posterior.num_sigmoids", 0, "at least 1; got 0"),
        ("posterior.tail_bound", -1.0, "positive and finite; got -1.0"),
        ("prior.num_bins", 1, "at least 2; got 1"),
        ("prior.tail_bound", 0.0, "positive and finite; got 0.0"),
    ],
)
def test_bad_setting_is_refused(key, value, message):
    config = digits.get_config()
    build.check_config(config)
    group, name = key.split(".")
    config[group][name] = value
    with pytest.raises(errors.InputError, match=f"`{key}` must .*{message}"):
        build.build_model(config)


def test_settings_that_exclude_each_other():
    config = digits.get_config("flow=none")
    config.posterior.num_flow_steps = 4
    with pytest.raises(errors.InputError, match="0 without a flow; got 4"):
        build.check_config(config)
    config = digits.get_config("flow=conf,K=2")
    config.model.latent_size = 1
    with pytest.raises(errors.InputError, match="2 for a coupling; got 1"):
        build.check_config(config)
    config = digits.get_config("flow=sylvester_orthogonal,K=2")
    config.posterior.num_orthogonal_columns = 11
    with pytest.raises(errors.InputError, match="latents, 10; got 11"):
        build.check_config(config)
    config = digits.get_config("flow=none,prior=iaf")
    config.prior.conditioner_hidden_units = (16, 9)
    with pytest.raises(
        errors.InputError,
        match=r"`prior.conditioner_hidden_units` must .* at least 10, the "
        r"number of latents; got \(16, 9\)",
    ):
        build.check_config(config)
    config = binarized_mnist.get_config("recipe=paper")
    config.model.hidden_units = (402,)
    with pytest.raises(errors.InputError, match=r"window`, 4; got \(402,\)"):
        build.check_config(config)
    config = digits.get_config()
    config.training.update(
        {
            "gradient_estimator": "sticking_the_landing",
            "num_importance_samples": 2,
        }
    )
    with pytest.raises(errors.InputError, match="biased"):
        build.check_config(config)
