"""Two replicas and XLA change nothing: same noise, same numbers."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.distributed import mirrored_strategy, on_two_cpus
from tfp_flows.layers import MLP, PlanarFlow
from tfp_flows.models import DLGM
from tfp_flows.posteriors import FlowPosterior
from tfp_flows.schedules import JointAnnealing

# Batches of 4, 4 and 1: the last leaves the second replica without examples.
N, X, D, BATCH_SIZE = 9, 6, 2, 4
_SEEN = []


def _images(rows=N):
    rng = np.random.default_rng(0)
    return rng.integers(0, 2, [rows, X]).astype(np.float64)


class _RecordingPosterior(FlowPosterior):
    """Keeps the noise of the steps that run eagerly, by replica."""

    def push_forward(self, standard_normal, parameters):
        if tf.executing_eagerly():
            context = tf.distribute.get_replica_context()
            replica = int(context.replica_id_in_sync_group)
            _SEEN.append((replica, standard_normal.numpy()))
        return super().push_forward(standard_normal, parameters)


def _model(posterior=FlowPosterior, has_flow=True, dtype="float64", **kwargs):
    keras.utils.set_random_seed(0)
    flow = PlanarFlow(2, seed=0, dtype=dtype) if has_flow else None
    return DLGM(
        encoder=keras.Sequential(
            [
                keras.layers.Dense(
                    5,
                    "tanh",
                    kernel_regularizer=keras.regularizers.L2(0.1),
                    dtype=dtype,
                )
            ]
        ),
        posterior=posterior(D, flow, dtype=dtype),
        decoder=MLP([5], output_size=X, activation="tanh", dtype=dtype),
        seed=3,
        dtype=dtype,
        **kwargs,
    )


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05),
    "adam": lambda: keras.optimizers.Adam(0.01),
}
SETTINGS = {
    "elbo": {},
    "iwae": {
        "num_importance_samples": 3,
        "gradient_estimator": "doubly_reparameterized",
        "annealing": JointAnnealing(num_steps=10),
    },
}


def _weights(model):
    return [w.numpy() for w in model.trainable_weights]


def _train(setting, optimizer, num_examples, epochs, **compile_arguments):
    """What `fit` and `evaluate` say, and the weights."""
    model = _model(**SETTINGS[setting])
    model.compile(OPTIMIZERS[optimizer](), **compile_arguments)
    before = model.jit_compile
    history = model.fit(
        _images(num_examples),
        batch_size=BATCH_SIZE,
        shuffle=False,
        epochs=epochs,
        validation_data=_images(5),
        verbose=0,
    ).history
    return {
        "history": history,
        # The test step is compiled already.
        "evaluate": model.evaluate(_images(7), batch_size=4, verbose=0),
        "weights": _weights(model),
        "steps": int(model.optimizer.iterations.numpy()),
        "jit_compile": before,
    }


def train_on_two(*args, **compile_arguments):
    strategy = mirrored_strategy()
    with strategy.scope():
        return _train(*args, **compile_arguments)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize(
    ("setting", "optimizer", "num_examples", "epochs", "per_execution"),
    [
        # 51 steps, as of every flow in test_workers.py, here of 3 epochs.
        ("elbo", "adam", 67, 3, 1),
        # Executions of two batches, of two, and of one; of one validation's.
        ("iwae", "adam", N, 4, 2),
    ],
)
def test_two_replicas_train_like_one_device(
    setting, optimizer, num_examples, epochs, per_execution
):
    arguments = (setting, optimizer, num_examples, epochs)
    two = on_two_cpus(
        train_on_two, *arguments, steps_per_execution=per_execution
    )
    one = _train(*arguments, jit_compile=False)
    steps = epochs * math.ceil(num_examples / BATCH_SIZE)
    assert one["steps"] == two["steps"] == steps
    assert two["jit_compile"] is False  # under "auto"
    names = {"elbo", "kl", "reconstruction", "loss"}
    if setting == "iwae":
        names.add("iwae_3")
    assert set(one["history"]) == names | {f"val_{name}" for name in names}
    for name, values in one["history"].items():
        np.testing.assert_allclose(
            two["history"][name], values, rtol=1e-10, err_msg=name
        )
    np.testing.assert_allclose(two["evaluate"], one["evaluate"], rtol=1e-10)
    start = _weights(_built(**SETTINGS[setting]))
    for on_two, on_one, before in zip(
        two["weights"], one["weights"], start, strict=True
    ):
        np.testing.assert_allclose(on_two, on_one, rtol=0, atol=1e-8)
        assert np.abs(on_one - before).max() > 1e-4


def _built(**kwargs):
    model = _model(**kwargs)
    model.build((None, X))
    return model


def _train_eagerly():
    """Three steps: what was logged, the weights, and the noise."""
    _SEEN.clear()
    model = _model(
        _RecordingPosterior, has_flow=False, num_importance_samples=2
    )
    model.compile(OPTIMIZERS["adam"](), run_eagerly=True)
    history = model.fit(
        _images(), batch_size=BATCH_SIZE, shuffle=False, verbose=0
    ).history
    return history, _weights(model), list(_SEEN)


def train_eagerly_on_two():
    with mirrored_strategy().scope():
        return _train_eagerly()


@pytest.mark.distributed
def test_replicas_take_their_rows_of_the_global_noise():
    logged_on_two, weights_on_two, noise_on_two = on_two_cpus(
        train_eagerly_on_two
    )
    first, second = (
        [noise for replica, noise in noise_on_two if replica == i]
        for i in range(2)
    )
    assert [n.shape[1] for n in first] == [2, 2, 1]
    assert [n.shape[1] for n in second] == [2, 2, 0]
    logged, weights, noise_on_one = _train_eagerly()
    one = [noise for _, noise in noise_on_one]
    for left, right, whole in zip(first, second, one, strict=True):
        assert whole.shape[0] == 2  # importance samples
        np.testing.assert_array_equal(np.concatenate([left, right], 1), whole)
    # No two of the rows, samples and steps are equal.
    everything = np.concatenate([n.reshape([-1, D]) for n in one])
    assert len(np.unique(everything, axis=0)) == 2 * N
    for name, values in logged.items():
        np.testing.assert_allclose(logged_on_two[name], values, rtol=1e-10)
    for on_two, on_one in zip(weights_on_two, weights, strict=True):
        np.testing.assert_allclose(on_two, on_one, rtol=0, atol=1e-8)


def share_on_two():
    """Rows of each call of the encoder, while log p(x) is estimated."""
    with mirrored_strategy().scope():
        model, seen = _built(), []
        encode = model.encode

        def recorded(x, **settings):
            seen.append(x.shape[0])
            return encode(x, **settings)

        model.encode = recorded
        model.log_marginal_likelihood(_images(), 2, batch_size=3, verbose=0)
        model.reconstruct(_images(5))
        with pytest.raises(ValueError, match="a strategy, .*got Mirr"):
            model.log_marginal_likelihood(_images(), 2, jit_compile=True)
    return seen


@pytest.mark.distributed
def test_replicas_share_the_images_of_a_model_in_use():
    # 3 images of an estimate, 5 of a reconstruction: they do not divide.
    assert on_two_cpus(share_on_two) == [2, 2, 3, 3]


def use_on_two():
    strategy = mirrored_strategy()
    with strategy.scope():
        return _use()


def _use():
    model = _built()
    model.compile("adam", jit_compile=False)
    estimate = model.log_marginal_likelihood(
        _images(), 20, samples_per_chunk=10, batch_size=4, verbose=0
    )
    return {
        "log p(x)": estimate.estimates,
        "errors": estimate.standard_errors,
        **model.bounds(_images(), 3, batch_size=5),
        "sample": model.sample(3, seed=1).numpy(),
        "reconstruct": model.reconstruct(_images(), seed=1).numpy(),
        "drawn": model.reconstruct(_images(), seed=1, draws=True).numpy(),
        "posterior mean": model.posterior_mean(_images()).numpy(),
        "predict": model.predict(_images(), batch_size=4, verbose=0),
    }


@pytest.mark.slow
@pytest.mark.distributed
def test_a_model_is_used_under_a_strategy_as_without():
    two = on_two_cpus(use_on_two)
    for name, values in _use().items():
        np.testing.assert_allclose(two[name], values, rtol=1e-10, err_msg=name)


# XLA.


def _float32_figures(jit_compile):
    model = _model(dtype="float32")
    model.compile(OPTIMIZERS["sgd"](), jit_compile=jit_compile)
    history = model.fit(
        _images(),
        batch_size=BATCH_SIZE,
        shuffle=False,
        epochs=3,
        verbose=0,
    ).history
    figures = {
        **history,
        "evaluate": model.evaluate(_images(), batch_size=5, verbose=0),
        "log p(x)": model.log_marginal_likelihood(
            _images(), 20, samples_per_chunk=10, verbose=0
        ).estimates,
        "sample": model.sample(3),
    }
    return figures, _weights(model)


@pytest.mark.slow
def test_xla_on_and_off():
    (on, weights_on), (off, weights_off) = map(_float32_figures, [True, False])
    for name, values in off.items():
        np.testing.assert_allclose(on[name], values, rtol=1e-4, err_msg=name)
    for weight_on, weight_off in zip(weights_on, weights_off, strict=True):
        np.testing.assert_allclose(weight_on, weight_off, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("requested", "run_eagerly", "expected"),
    [
        ("auto", False, True),
        ("auto", True, False),
        (True, False, True),
        (False, False, False),
    ],
)
def test_jit_compile(requested, run_eagerly, expected):
    model = _built()
    model.compile("sgd", jit_compile=requested, run_eagerly=run_eagerly)
    assert model.jit_compile is expected
    assert model.get_compile_config()["jit_compile"] == requested
