"""Bad input is refused by one sentence, before any training."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.vi import models
from tfp_flows import layers, vi

tfd = tfp.distributions

BUILD = vi.build_flow_surrogate_posterior


def _with(latent):
    """A model of one latent variable and one observed."""
    return tfd.JointDistributionNamed({"z": latent, "y": tfd.Normal(0.0, 1.0)})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: BUILD(models.schools()),
            ValueError,
            "`model` must have its observed variables fixed.* got a joint "
            "distribution of avg, scale, standard, effects without",
        ),
        (
            lambda: BUILD(models.schools(), observed={"outcome": 1.0}),
            ValueError,
            "`observed` must name variables of the model, avg, .*; got outcome",
        ),
        (
            lambda: BUILD(
                models.schools(),
                observed=dict.fromkeys(
                    ("avg", "scale", "standard", "effects"), 1.0
                ),
            ),
            ValueError,
            "`observed` must leave a variable to infer; got all",
        ),
        (
            lambda: BUILD(
                models.schools().experimental_pin(effects=models.EFFECTS),
                observed={"avg": 1.0},
            ),
            ValueError,
            r"`observed` must be None for a model that is pinned; got \['avg'",
        ),
        (
            lambda: BUILD(tfd.Normal(0.0, 1.0), event_shape=[]),
            TypeError,
            "`model` must be a JointDistribution or a function.*`log_prob` of",
        ),
        (
            lambda: BUILD(lambda x: x, event_shape=[2], observed={"y": 1}),
            ValueError,
            "`observed` must be None for a function",
        ),
        (
            lambda: BUILD(lambda x: x),
            ValueError,
            "`event_shape` must be given for a function",
        ),
        (
            lambda: BUILD(lambda x: x, event_shape=[2], dtype=tf.bfloat16),
            TypeError,
            "`model` must have all its variables .* got dtype: bfloat16",
        ),
        *(
            (
                lambda latent=latent: BUILD(_with(latent), observed={"y": 0.0}),
                ValueError,
                "`model` must have continuous latent variables, .* got 'z', of "
                f"{kind}",
            )
            for kind, latent in (
                ("Bernoulli", tfd.Bernoulli(0.5)),
                ("Poisson", tfd.Poisson(2.0)),
                ("Sample", tfd.Sample(tfd.Categorical([0.0, 1.0]), 3)),
            )
        ),
        (
            lambda: BUILD(
                _with(tfd.Normal(np.float64(0.0), 1.0)), observed={"y": 0.0}
            ),
            TypeError,
            "all in float64; got z: float64, y: float32",
        ),
        (
            lambda: BUILD(
                models.schools(),
                observed={"effects": tf.ones([8], tf.float64)},
            ),
            TypeError,
            "got avg: float32, .* effects: float64",
        ),
        (
            lambda: BUILD(
                _with(tfd.Normal([0.0, 1.0], 1.0)), observed={"y": 0.0}
            ),
            ValueError,
            r"of batch shape \[\]; got batch shape \(2,\) of 'z'.*AutoBatched",
        ),
        (
            lambda: BUILD(
                _with(
                    tfd.JointDistributionSequential(
                        [tfd.Normal(0.0, 1.0), tfd.Normal(0.0, 1.0)]
                    )
                ),
                observed={"y": 0.0},
            ),
            ValueError,
            "`model` must have variables that are tensors; got one that is a",
        ),
        *(
            (
                lambda y=y: BUILD(models.schools(), observed={"effects": y}),
                ValueError,
                r"`effects` must be observed in the shape of its variable, "
                rf"\(8,\); got {got}. A model .*AutoBatched",
            )
            for y, got in (
                (0.0, r"\(\)"),  # TFP would count it eight times
                ([0.0] * 7, r"\(7,\)"),
                ([[0.0] * 8], r"\(1, 8\)"),
            )
        ),
        (
            lambda: BUILD(
                tfd.JointDistributionNamedAutoBatched(
                    {
                        "w": tfd.Sample(tfd.Normal(0.0, 1.0), 2),
                        "y": lambda w: tfd.Normal(
                            tf.linalg.matvec(np.ones([3, 2]), w), 1.0
                        ),
                    }
                ),
                observed={"y": [0.0, 1.0, 2.0]},
            ),
            TypeError,
            "`model` must compute in float32 alone, or in float64 alone; got "
            "both: .*cast the model's constants",
        ),
        (
            lambda: BUILD(
                lambda x: x,
                layers.PlanarFlow(2, dtype="float64"),
                event_shape=[2],
            ),
            ValueError,
            "`flow` must hold layers of the posterior's dtype, float32; got",
        ),
        (
            lambda: BUILD(lambda x: x, "planar", event_shape=[2]),
            TypeError,
            "`flow` must be a flow layer .* got 'planar'",
        ),
        (
            lambda: BUILD(lambda x: x, base="low_rank", event_shape=[2]),
            ValueError,
            "`base` must be one of full, diagonal; got 'low_rank'",
        ),
        (
            lambda: BUILD(lambda x: x, event_shape=[2], initial_scale=0.0),
            ValueError,
            "`initial_scale` must be positive and finite; got 0.0",
        ),
        (
            lambda: BUILD(lambda x: x, event_shape=[2], initial_loc=[1, 2, 3]),
            ValueError,
            r"`initial_loc` must be finite, of shape \[\] or \[2\]; got",
        ),
        (
            lambda: BUILD(
                lambda x: x, event_shape=[[2], [3]], event_space_bijector=[None]
            ),
            ValueError,
            "`event_space_bijector` must be a bijector, or hold one or None",
        ),
    ],
)
def test_build_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


def _fit(log_prob, event_shape=(2,), **kwargs):
    q = BUILD(log_prob, [], event_shape=event_shape)
    return vi.fit(log_prob, q, num_steps=10, verbose=False, **kwargs)


def _normal(x):
    return tf.reduce_sum(-0.5 * x * x, axis=-1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: _fit(lambda x: -x * x),
            ValueError,
            r"of shape \[7\] for 7 draws; got shape \(7, 2\). Sums over",
        ),
        (
            lambda: _fit(lambda x: tf.reduce_sum(-x * x)),
            ValueError,
            r"of shape \[7\] for 7 draws; got shape \(\)",
        ),
        (
            lambda: _fit(lambda x: tf.reduce_sum(tf.math.log(x), -1)),
            ValueError,
            "finite log density where the surrogate begins; got nan at .* of 7",
        ),
        (
            lambda: _fit(lambda x: _normal(x * tf.ones([2], tf.float64))),
            TypeError,
            "dtype of the surrogate, float32; got a mix of float32 and float64",
        ),
        (
            lambda: _fit(lambda x: tf.cast(_normal(x), tf.float64)),
            TypeError,
            "log densities in the dtype of the surrogate, float32; got float64",
        ),
        (
            lambda: _fit(lambda x: _normal(x * tf.ones([3]))),
            ValueError,
            r"draws of the surrogate, of shapes \(7, 2\), under .*; got Inv",
        ),
        (
            lambda: _fit(_normal, gradient_estimator="score"),
            ValueError,
            "`gradient_estimator` must be one of auto, .*; got 'score'",
        ),
        (
            lambda: _fit(_normal, num_warm_up_steps=3),
            ValueError,
            "`num_warm_up_steps` must be less than `num_steps`, and 0 where",
        ),
        (
            lambda: _fit(_normal, learning_rate=-1.0),
            ValueError,
            "`learning_rate` must be positive and finite; got -1.0",
        ),
        (
            lambda: _fit(_normal, num_draws=0),
            ValueError,
            "`num_draws` must be an integer >= 1; got 0",
        ),
        (lambda: _fit(_normal, seed=-1), ValueError, "`seed` must be in"),
        (
            lambda: vi.fit(_normal, tfd.Normal([0.0, 0.0], 1.0)),
            ValueError,
            "`surrogate` must have trainable variables",
        ),
        (
            lambda: vi.neutra(_normal, tfd.Normal([0.0, 0.0], 1.0)),
            ValueError,
            "`surrogate` must be one that `build_flow_surrogate_posterior`",
        ),
        (
            lambda: vi.neutra(_normal, BUILD(_normal, [], event_shape=[2]), 0),
            ValueError,
            "`num_results` must be an integer >= 1; got 0",
        ),
        *(
            (
                lambda name=name, value=value: vi.neutra(
                    _normal,
                    BUILD(_normal, [], event_shape=[2]),
                    **{name: value},
                ),
                ValueError,
                f"`{name}` must be",
            )
            for name, value in (
                ("method", "gibbs"),
                ("num_chains", 1),
                ("initial_step_size", 0.0),
            )
        ),
        (
            lambda: vi.log_evidence(
                _normal, BUILD(_normal, [], event_shape=[2]), 10
            ),
            ValueError,
            "`num_draws` must be an integer >= 25; got 10",
        ),
    ],
)
def test_what_follows_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_density_that_fails_later_is_told_of():
    def log_prob(x):  # finite where it begins, not where it is highest
        return tf.reduce_sum(tf.math.log(2.0 - x) + 40.0 * x, axis=-1)

    q = BUILD(log_prob, [], event_shape=[2])
    with pytest.raises(FloatingPointError, match="got none at .* steps up to"):
        vi.fit(
            log_prob, q, num_steps=200, learning_rate=0.5, verbose=False, seed=1
        )
