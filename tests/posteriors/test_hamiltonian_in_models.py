"""A DLGM whose posterior follows the gradient of the model itself."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.distributed import mirrored_strategy, on_two_cpus
from tests.models import digits
from tfp_flows.layers import MLP
from tfp_flows.posteriors import FlowPosterior, HamiltonianPosterior

N = 9  # batches of 4, 4 and 1: the last leaves a replica without examples


def _model(dtype="float64", num_bridges=3, **kwargs):
    posterior = HamiltonianPosterior(
        FlowPosterior(3, dtype=dtype), num_bridges, initial_step_size=0.1
    )
    keras.utils.set_random_seed(0)
    parts = {
        "encoder": MLP([8], dtype=dtype),
        "decoder": MLP([8], 64, activation="softplus", dtype=dtype),
        "dtype": dtype,
    }
    return digits.compiled(posterior=posterior, **parts, **kwargs)


def _train(jit_compile=False):
    model = _model(jit_compile=jit_compile)
    history = model.fit(
        digits.images(N),
        batch_size=4,
        epochs=2,
        shuffle=False,
        verbose=0,
        validation_data=digits.images(5),
    ).history
    return history, [w.numpy() for w in model.trainable_weights]


def _train_on_two():
    with mirrored_strategy().scope():
        return _train()


def _check_equal(found, expected):
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9),
        found,
        expected,
    )


@pytest.mark.slow
@pytest.mark.distributed
def test_two_replicas_train_as_one():
    _check_equal(on_two_cpus(_train_on_two), _train())


@pytest.mark.slow
def test_xla_trains_as_a_graph_does():
    _check_equal(_train(jit_compile=True), _train())


def test_training_moves_all_weights_and_is_saved(tmp_path):
    x = digits.images(40)
    model = _model("float32", 2, run_eagerly=True)
    model.build((None, 8, 8))
    before = {w.path: w.numpy() for w in model.trainable_weights}
    history = model.fit(x, batch_size=20, epochs=5, verbose=0).history
    assert history["energy_error"][-1] > 0
    assert history["non_finite"][-1] == 0
    for weight in model.trainable_weights:
        assert np.any(weight.numpy() != before[weight.path]), weight.path
    assert history["auxiliary_elbo"][-1] > history["auxiliary_elbo"][0] + 3.0
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.test_on_batch(x), model.test_on_batch(x), rtol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("base", "compiles"), [("diagonal", True), ("full", False)]
)
def test_auto_leaves_out_xla_where_it_takes_no_batch_of_unknown_size(
    base, compiles
):
    posterior = HamiltonianPosterior(FlowPosterior(3, base=base), 2)
    decoder = MLP([8], 64, activation="softplus")
    model = digits.compiled(
        posterior=posterior, decoder=decoder, jit_compile="auto"
    )
    assert model.jit_compile == compiles
    # The last batch has another size.
    model.fit(digits.images(30), batch_size=20, verbose=0)


@pytest.mark.parametrize("activation", ["relu", "softplus"])
def test_piecewise_linear_decoder_is_warned_of(activation):
    decoder = MLP([8], 64, activation=activation)
    posterior = HamiltonianPosterior(FlowPosterior(3), 2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        digits.model(posterior, decoder=decoder)
        digits.model(FlowPosterior(3), decoder=decoder)
    said = [str(w.message) for w in caught if "second derivatives" in str(w)]
    assert len(said) == (activation == "relu")


@pytest.mark.slow
def test_bridges_tighten_the_bound_of_a_model():
    """At one and the same decoder, and base."""
    x = digits.images(60)
    bounds = []
    for num_bridges in (0, 8):
        model = _model("float32", num_bridges)
        model.build((None, 8, 8))
        bounds.append(model.bounds(x, 50)["auxiliary_elbo"].mean())
    assert bounds[1] > bounds[0] + 0.02
