"""The annealed loss of a fit; metrics and validation are never annealed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models import linear_gaussian as lg
from tfp_flows import schedules
from tfp_flows.math import noise

NUM_EPOCHS = 5  # of one step each
# Keras keeps the loss in its floatx, float32.
LOSS_TOLERANCE = 1e-5


def log_terms(model, x, step):
    """Log likelihood, prior and posterior of the samples of a step, `[S, B]`.

    By the formulas of a linear-Gaussian model.
    """
    num_samples, size = model.num_importance_samples, model.posterior.noise_size
    rows = noise.normal_rows(
        len(x),
        (num_samples, size),
        seed=model.seed,
        step=step,
        purpose="training",
        dtype=tf.float64,
    )
    w = lg.weights(model)
    loc, scale_tril = lg.posterior_parameters(w, x)
    xi = loc + tf.linalg.matvec(scale_tril, tf.transpose(rows, [1, 0, 2]))
    log_prior = -0.5 * np.sum(xi**2 + lg.LOG_2PI, axis=-1)
    log_joint = lg.log_joint(w, x, xi).numpy()
    log_posterior = lg.log_posterior(loc, scale_tril, xi).numpy()
    return log_joint - log_prior, log_prior, log_posterior


def bound(log_weights):
    return np.mean(np.log(np.mean(np.exp(log_weights), axis=0)))


@pytest.mark.parametrize(
    ("annealing", "weights", "num_samples"),
    [
        (
            schedules.JointAnnealing(num_steps=3, initial=0.1),
            lambda t: (min(1.0, 0.1 + t / 3.0), min(1.0, 0.1 + t / 3.0), 1.0),
            1,
        ),
        (
            schedules.KLAnnealing(num_steps=3),
            lambda t: (1.0, min(1.0, t / 3.0), min(1.0, t / 3.0)),
            1,
        ),
        (
            schedules.KLAnnealing(num_steps=3, initial=0.1),
            lambda t: (1.0, *[min(1.0, 0.1 + 0.3 * t)] * 2),
            5,
        ),
    ],
    ids=["joint", "kl", "kl iwae"],
)
def test_fit(annealing, weights, num_samples):
    model = lg.build(
        annealing=annealing, num_importance_samples=num_samples, seed=7
    )
    x = lg.truth(model).sample(6)
    validation = lg.truth(model).sample(4, seed=1)
    # In a graph once, where the step must not be a constant.
    model.compile(
        keras.optimizers.SGD(0.0),
        jit_compile=False,
        run_eagerly=num_samples == 1,
    )

    history = model.fit(
        x,
        batch_size=len(x),
        epochs=NUM_EPOCHS,
        shuffle=False,
        validation_data=validation,
        verbose=0,
    ).history

    for step in range(NUM_EPOCHS):
        likelihood, prior, posterior = log_terms(model, x, step)
        a, b, c = weights(step)
        expected = {
            "elbo": np.mean(likelihood + prior - posterior),
            "kl": np.mean(posterior - prior),
            "reconstruction": np.mean(likelihood),
        }
        if num_samples > 1:
            expected[f"iwae_{num_samples}"] = bound(
                likelihood + prior - posterior
            )
        for name, value in expected.items():
            assert history[name][step] == pytest.approx(value, abs=1e-10), name
        loss = -bound(a * likelihood + b * prior - c * posterior)
        assert history["loss"][step] == pytest.approx(loss, abs=LOSS_TOLERANCE)
        best = "elbo" if num_samples == 1 else f"iwae_{num_samples}"
        assert history["val_loss"][step] == pytest.approx(
            -history[f"val_{best}"][step], abs=LOSS_TOLERANCE
        )
        # At equal weights it is the same noise and the same figure.
        assert history[f"val_{best}"][step] == history[f"val_{best}"][0]
