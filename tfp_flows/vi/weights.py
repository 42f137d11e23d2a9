"""Draws of a surrogate posterior, and their importance weights."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import density_gradients, forward_and_log_det
from tfp_flows.losses import gradient_estimators
from tfp_flows.math import noise, stable
from tfp_flows.types import TensorLike
from tfp_flows.vi import models
from tfp_flows.vi.auxiliary_surrogates import AuxiliarySurrogate
from tfp_flows.vi.models import LogProb
from tfp_flows.vi.surrogates import flow_parts

__all__ = ["Surrogate", "WeightedDraws", "check_start", "draw", "draw_many"]

tfd = tfp.distributions

Surrogate: TypeAlias = tfd.Distribution | AuxiliarySurrogate

_AT_ONCE = 5_000


class WeightedDraws(NamedTuple):
    """Draws of q, and what they weigh.

    Attributes:
      values: the nest of variables, `[S, ...]`.
      log_weights: `log p(x, y) - log q(x)`, `[S]`, in nats; of a surrogate with
        auxiliary variables, its log weight in place of `-log q(x)`.
    """

    values: Any
    log_weights: Any


def draw(
    log_prob: LogProb,
    surrogate: Surrogate,
    num_draws: int,
    *,
    seed: int,
    step: TensorLike,
    purpose: str,
    score: bool = True,
) -> WeightedDraws:
    """Draws and their log weights, differentiable in the surrogate's variables.

    Args:
      log_prob: see `models.log_prob_of`.
      surrogate: any distribution of the variables.
      num_draws: S.
      seed: decides them, with step and purpose.
      step: int64.
      purpose: other purposes give independent draws.
      score: False: only the derivative through the draws, not that of
        `log q` at fixed ones, whose mean is zero; for those that
        `build_flow_surrogate_posterior` made, and posterior layers that can.
    """
    key: dict[str, Any] = {"seed": seed, "step": step, "purpose": purpose}
    if isinstance(surrogate, AuxiliarySurrogate):
        return WeightedDraws(
            *surrogate.draw(log_prob, num_draws, score=score, **key)
        )
    parts = flow_parts(surrogate)
    if parts is None:
        values, log_q = surrogate.experimental_sample_and_log_prob(
            num_draws, seed=noise.tfp_seed(noise.key(**key))
        )
        return WeightedDraws(values, log_prob(values) - log_q)
    standard_normal = noise.normal(
        [num_draws, parts.event_size], dtype=parts.dtype, **key
    )
    z, log_det = forward_and_log_det(parts.flow, standard_normal)
    log_q = stable.standard_normal_log_prob(standard_normal) - log_det
    if not score:
        _, gradient = density_gradients.push(
            parts.flow, standard_normal, -standard_normal
        )
        log_q = gradient_estimators.without_score(z, log_q, gradient)
    values = parts.space.forward(z)
    log_det = parts.space.forward_log_det_jacobian(z, event_ndims=1)
    return WeightedDraws(values, log_prob(values) + log_det - log_q)


def draw_many(
    log_prob: LogProb,
    surrogate: Surrogate,
    num_draws: int,
    *,
    seed: int,
    purpose: str,
) -> WeightedDraws:
    """As many draws as asked for, made in parts and kept as arrays."""
    at_once = min(num_draws, _AT_ONCE)

    @tf.function(reduce_retracing=True, autograph=False)
    def part(step: tf.Tensor) -> WeightedDraws:
        return draw(
            log_prob,
            surrogate,
            at_once,
            seed=seed,
            step=step,
            purpose=purpose,
        )

    parts = [
        tf.nest.map_structure(np.asarray, part(tf.constant(i, tf.int64)))
        for i in range(-(-num_draws // at_once))
    ]
    values = tf.nest.map_structure(
        lambda *arrays: np.concatenate(arrays)[:num_draws],
        *(found.values for found in parts),
    )
    log_weights = np.concatenate([found.log_weights for found in parts])
    return WeightedDraws(values, log_weights[:num_draws].astype(np.float64))


def check_start(log_prob: LogProb, surrogate: Surrogate, seed: int) -> None:
    """Raises unless the model has a finite log density where q begins.

    Raises:
      TypeError: the model and the draws are of different dtypes.
      ValueError: it fails, or returns another shape than one number for each
        draw, or is not finite at some draws.
    """
    count = 7  # of no model's own size, most likely
    values = None
    try:
        values = surrogate.sample(count, seed=_start_seed(surrogate, seed))
        found = log_prob(values)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        surrogate_dtype = tf.as_dtype(tf.nest.flatten(surrogate.dtype)[0])
        told = f"{type(error).__name__}: {models.reason(error)}"
        if models.is_mix_of_precisions(error):
            raise TypeError(
                "`model` must compute in the dtype of the surrogate, "
                f"{surrogate_dtype.name}; got a mix of float32 and float64: "
                f"{told}"
            ) from error
        of_shapes = ""
        if values is not None:
            shapes = tf.nest.map_structure(lambda x: tuple(x.shape), values)
            of_shapes = f", of shapes {shapes}"
        raise ValueError(
            "`model` must return the log density of draws of the surrogate"
            f"{of_shapes}, under what is observed; got {told}"
        ) from error
    found = tf.convert_to_tensor(found)
    if found.dtype != _dtype(values):
        raise TypeError(
            "`model` must return log densities in the dtype of the surrogate, "
            f"{_dtype(values).name}; got {found.dtype.name}."
        )
    if found.shape != [count]:
        raise ValueError(
            "`model` must return one log density for each draw, of shape "
            f"[{count}] for {count} draws; got shape {found.shape}. Sums over "
            "the other axes may be missing (tfd.Sample, tfd.Independent), or "
            "the class of the joint distribution be ...AutoBatched."
        )
    is_finite = np.isfinite(found.numpy())
    if not is_finite.all():
        raise ValueError(
            "`model` must have a finite log density where the surrogate "
            f"begins; got {found.numpy()[~is_finite][0]} at "
            f"{count - is_finite.sum()} of {count} of its draws. `initial_loc` "
            "and a smaller `initial_scale` make it begin elsewhere."
        )


def _start_seed(surrogate: Surrogate, seed: int) -> Any:
    if isinstance(surrogate, AuxiliarySurrogate):
        return seed
    return noise.tfp_seed(
        noise.key(seed=seed, step=tf.constant(0, tf.int64), purpose="start")
    )


def _dtype(values: Any) -> tf.DType:
    return tf.as_dtype(tf.nest.flatten(values)[0].dtype)
