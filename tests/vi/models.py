"""Models that the tests of `tfp_flows.vi` share."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfb, tfd = tfp.bijectors, tfp.distributions

EFFECTS = np.array([28, 8, -3, 7, -1, 1, 18, 12], np.float32)
ERRORS = np.array([15, 10, 16, 11, 9, 11, 10, 18], np.float32)


def _schools_coroutine():
    avg = yield tfd.Normal(0.0, 10.0, name="avg")
    scale = yield tfd.LogNormal(5.0, 1.0, name="scale")
    standard = yield tfd.Sample(tfd.Normal(0.0, 1.0), 8, name="standard")
    yield tfd.Normal(avg + scale * standard, ERRORS, name="effects")


def schools(kind="auto_batched"):
    """The eight schools, each kind of joint distribution, not pinned."""
    if kind == "auto_batched":
        return tfd.JointDistributionCoroutineAutoBatched(_schools_coroutine)
    parts = {
        "avg": tfd.Normal(0.0, 10.0),
        "scale": tfd.LogNormal(5.0, 1.0),
        "standard": tfd.Sample(tfd.Normal(0.0, 1.0), 8),
        "effects": lambda avg, scale, standard: tfd.Independent(
            tfd.Normal(
                avg[..., tf.newaxis] + scale[..., tf.newaxis] * standard,
                ERRORS,
            ),
            1,
        ),
    }
    if kind == "named":
        return tfd.JointDistributionNamed(parts)
    root = tfd.JointDistributionCoroutine.Root

    @tfd.JointDistributionCoroutine
    def coroutine():
        avg = yield root(tfd.Normal(0.0, 10.0, name="avg"))
        scale = yield root(tfd.LogNormal(5.0, 1.0, name="scale"))
        standard = yield root(
            tfd.Sample(tfd.Normal(0.0, 1.0), 8, name="standard")
        )
        yield parts["effects"](avg, scale, standard).copy(name="effects")

    if kind == "coroutine":
        return coroutine
    assert kind == "sequential"
    return tfd.JointDistributionSequential(
        [
            tfd.Normal(0.0, 10.0, name="avg"),
            tfd.LogNormal(5.0, 1.0, name="scale"),
            tfd.Sample(tfd.Normal(0.0, 1.0), 8, name="standard"),
            lambda standard, scale, avg: parts["effects"](
                avg, scale, standard
            ).copy(name="effects"),
        ]
    )


def supports(dtype=tf.float64):
    """One variable on each kind of support, some on ones that depend."""
    zero, one = tf.zeros([], dtype), tf.ones([], dtype)

    @tfd.JointDistributionCoroutineAutoBatched
    def model():
        yield tfd.Sample(tfd.Normal(zero, one), 2, name="vector")
        positive = yield tfd.Gamma(one + one, one, name="positive")
        yield tfd.Dirichlet(tf.ones([3], dtype), name="simplex")
        yield tfd.CholeskyLKJ(3, one + one, name="correlation")
        yield tfd.TransformedDistribution(
            tfd.Sample(tfd.Normal(zero, one), 3),
            tfb.Ascending(),
            name="ordered",
        )
        yield tfd.Uniform(zero, positive, name="below")

    return model


def free_numbers(values):
    """The numbers of `supports` that its densities are of, `[S, D]`."""
    lower = tf.stack(
        [values.correlation[..., i, j] for i, j in ((1, 0), (2, 0), (2, 1))],
        axis=-1,
    )
    return tf.concat(
        [
            values.vector,
            values.positive[..., tf.newaxis],
            values.simplex[..., :-1],
            lower,
            values.ordered,
            values.below[..., tf.newaxis],
        ],
        axis=-1,
    )
