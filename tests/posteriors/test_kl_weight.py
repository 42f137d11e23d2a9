"""`FlowPosterior.kl_weight`, as it changes from epoch to epoch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.layers import MLP
from tfp_flows.models import DLGM
from tfp_flows.posteriors import FlowPosterior
from tfp_flows.schedules import JointAnnealing, KLAnnealing

SETTINGS = {
    "eager": {"run_eagerly": True},
    "graph": {"jit_compile": False},
    "xla": {"jit_compile": True},
}
X = np.ones([4, 3], np.float32)


def zero_loss(y_true, y_pred):
    return 0.0 * tf.reduce_sum(y_pred, axis=-1)


def make(kl_weight, run_eagerly=False, jit_compile=False):
    """A model whose loss is the weighted KL term, and which does not learn."""
    keras.utils.set_random_seed(0)
    posterior = FlowPosterior(
        2, initial_scale=0.1, kl_weight=kl_weight, name="posterior"
    )
    model = keras.Sequential([keras.Input((3,)), posterior])
    model.compile(
        keras.optimizers.SGD(0.0),
        zero_loss,
        run_eagerly=run_eagerly,
        jit_compile=jit_compile,
    )
    return model


def losses(model, epochs=1, callback=None):
    """Of one step per epoch, in units of those with weight 1."""
    unit = make(1.0, run_eagerly=True)
    unit.set_weights(model.get_weights())  # and at the same noise
    callbacks = [] if callback is None else [callback]
    weighted, unweighted = (
        m.fit(X, X, epochs=epochs, verbose=0, callbacks=c).history["loss"]
        for m, c in ((model, callbacks), (unit, []))
    )
    return np.divide(weighted, unweighted)


def setting(target):
    """A callback that calls `target(epoch)` before each epoch."""
    return keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: target(epoch)
    )


VALUES = [0.25, 1.0, 1000.0]


@pytest.mark.parametrize("name", SETTINGS)
def test_numbers_set_between_epochs_have_effect(name, tmp_path):
    model = make(0.5, **SETTINGS[name])
    np.testing.assert_allclose(losses(model), [0.5], rtol=1e-5)
    posterior = model.get_layer("posterior")

    def assign(epoch):
        posterior.kl_weight = VALUES[epoch]

    np.testing.assert_allclose(
        losses(model, 3, setting(assign)), VALUES, rtol=1e-5
    )
    assert posterior.kl_weight == 1000.0
    model.save(tmp_path / "model.keras")
    model = keras.saving.load_model(
        tmp_path / "model.keras", custom_objects={"zero_loss": zero_loss}
    )
    posterior = model.get_layer("posterior")
    assert posterior.kl_weight == 1000.0
    np.testing.assert_allclose(losses(model), [1000.0], rtol=1e-5)
    np.testing.assert_allclose(
        losses(model, 3, setting(assign)), VALUES, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("eager", keras.Variable),
        ("graph", tf.Variable),
        ("xla", keras.Variable),
    ],
)
def test_variables_have_effect_and_are_not_trained(name, kind):
    variable = kind(0.5)
    model = make(variable, **SETTINGS[name])
    np.testing.assert_allclose(losses(model), [0.5], rtol=1e-5)
    found = losses(model, 2, setting(lambda e: variable.assign(VALUES[e])))
    np.testing.assert_allclose(found, VALUES[:2], rtol=1e-5)
    posterior = model.get_layer("posterior")
    posterior.kl_weight = 7.0
    assert posterior.kl_weight is variable
    assert float(variable.numpy()) == 7.0
    np.testing.assert_allclose(losses(model), [7.0], rtol=1e-5)
    assert posterior.get_config()["kl_weight"] == 7.0
    assert len(posterior.trainable_weights) == 3
    assert len(posterior.non_trainable_weights) == 1


@pytest.mark.parametrize("name", SETTINGS)
def test_schedules_follow_the_training_calls(name, tmp_path):
    model = make(KLAnnealing(4, initial=0.2), **SETTINGS[name])
    np.testing.assert_allclose(losses(model, 2), [0.2, 0.4], rtol=1e-5)
    unit = make(1.0).evaluate(X, X, verbose=0)
    assert model.evaluate(X, X, verbose=0) == pytest.approx(unit, rel=1e-5)
    model.save(tmp_path / "model.keras")
    model = keras.saving.load_model(
        tmp_path / "model.keras", custom_objects={"zero_loss": zero_loss}
    )
    np.testing.assert_allclose(losses(model, 3), [0.6, 0.8, 1.0], rtol=1e-5)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1.0, "must not be negative; got -1.0"),
        ("kl", "must .*got 'kl': give a number, a scalar"),
        (tf.Variable([0.5]), "must be a scalar"),
        (tf.Variable(1), "must be a scalar of floating point"),
        (JointAnnealing(), "must not .*take a KLAnnealing"),
        (KLAnnealing(share=0.5), "must not have a share.*give `num_steps`"),
    ],
)
def test_other_values_are_refused(value, message):
    with pytest.raises(ValueError, match=f"`kl_weight` {message}"):
        FlowPosterior(2, kl_weight=value)
    posterior = FlowPosterior(2)
    with pytest.raises(ValueError, match=f"`kl_weight` {message}"):
        posterior.kl_weight = value


def test_what_compiled_code_would_not_see_is_refused():
    posterior = FlowPosterior(2)
    posterior.kl_weight = KLAnnealing(10)
    posterior.build((None, 3))
    with pytest.raises(ValueError, match=r"`kl_weight` is KLAnn.*got 0\.5"):
        posterior.kl_weight = 0.5
    posterior = FlowPosterior(2)
    posterior.build((None, 3))
    with pytest.raises(ValueError, match="takes no other variable.*got KLAnn"):
        posterior.kl_weight = KLAnnealing(10)
    posterior = FlowPosterior(2)
    DLGM(MLP([2]), posterior, MLP([2], 16))
    with pytest.raises(ValueError, match=r"stay 1\.0 in a DLGM.*got 0\.5"):
        posterior.kl_weight = 0.5
