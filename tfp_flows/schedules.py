"""Annealing of the free energy, as functions of the global step.

The weights multiply the terms of a log weight: `a * log p(x|z) + b * log p(z)
- c * log q(z|x)`. Reported bounds have all weights 1. A step is one update, as
the optimizer counts them.
"""

import abc
import numbers
from typing import Any, NamedTuple

import tensorflow as tf

from tfp_flows._arguments import as_positive_integer
from tfp_flows._backend import require_tensorflow_backend
from tfp_flows.types import TensorLike

require_tensorflow_backend("tfp_flows.schedules")

import keras  # noqa: E402

__all__ = [
    "Annealing",
    "AnnealingWeights",
    "JointAnnealing",
    "KLAnnealing",
    "NoAnnealing",
    "get",
]


class AnnealingWeights(NamedTuple):
    """Weights of log p(x|z), log p(z) and log q(z|x), scalars."""

    likelihood: tf.Tensor
    prior: tf.Tensor
    posterior: tf.Tensor


class Annealing(abc.ABC):
    """A schedule of the weights in the free energy."""

    @abc.abstractmethod
    def beta(self, step: TensorLike, dtype: tf.DType = tf.float32) -> tf.Tensor:
        """The annealing factor at a step, in [0, 1].

        Args:
          step: the global step, counted from 0; may be a tensor.
          dtype: dtype of the result.
        """

    @abc.abstractmethod
    def weights(
        self, step: TensorLike, dtype: tf.DType = tf.float32
    ) -> AnnealingWeights:
        """The weights of the three terms at a step.

        Args:
          step: the global step, counted from 0; may be a tensor.
          dtype: dtype of the weights.
        """

    def planned(self, num_updates: int | None) -> "Annealing":
        """The schedule of a training of so many updates.

        Args:
          num_updates: of the whole training; None if nobody knows.

        Returns:
          The schedule itself, unless its length is a share of the updates.

        Raises:
          ValueError: its length is a share of an unknown number.
        """
        del num_updates
        return self

    @abc.abstractmethod
    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Annealing":
        """The schedule of a configuration that `get_config` returned."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return (
            type(self) is type(other)
            and isinstance(other, Annealing)
            and self.get_config() == other.get_config()
        )

    def __hash__(self) -> int:
        return hash((type(self), *self.get_config().items()))

    def __repr__(self) -> str:
        arguments = (f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({', '.join(arguments)})"


@keras.saving.register_keras_serializable(package="tfp_flows")
class NoAnnealing(Annealing):
    """All weights are 1 at every step."""

    def beta(self, step: TensorLike, dtype: tf.DType = tf.float32) -> tf.Tensor:
        """1."""
        del step
        return tf.ones([], dtype)

    def weights(
        self, step: TensorLike, dtype: tf.DType = tf.float32
    ) -> AnnealingWeights:
        """`(1, 1, 1)`."""
        one = self.beta(step, dtype)
        return AnnealingWeights(one, one, one)

    def get_config(self) -> dict[str, Any]:
        """There are no arguments."""
        return {}


class _Ramp(Annealing):
    """A factor that grows linearly from `initial` until it is 1."""

    num_steps: int | None
    initial: float
    share: float | None

    def __init__(
        self,
        num_steps: int | None,
        initial: float,
        share: float | None = None,
    ) -> None:
        if num_steps is not None:
            if share is not None:
                raise ValueError(
                    "`share` must be None where `num_steps` is given; got "
                    f"num_steps={num_steps!r}, share={share!r}."
                )
            num_steps = as_positive_integer("num_steps", num_steps)
        elif (
            not isinstance(share, numbers.Real)
            or isinstance(share, bool)
            or not 0 < float(share) <= 1
        ):
            raise ValueError(
                f"`share` must be a number in (0, 1]; got {share!r}."
            )
        if not (isinstance(initial, numbers.Real) and 0 <= float(initial) <= 1):
            raise ValueError(
                f"`initial` must be a number in [0, 1]; got {initial!r}."
            )
        self.num_steps = num_steps
        self.initial = float(initial)
        self.share = None if share is None else float(share)

    def planned(self, num_updates: int | None) -> Annealing:
        """The same ramp with `num_steps = share * num_updates`, rounded.

        Args:
          num_updates: of the whole training; None if nobody knows.

        Raises:
          ValueError: `share` is that of an unknown number.
        """
        if self.share is None:
            return self
        if num_updates is None:
            raise ValueError(
                "`num_steps` must be given to annealing if it is not known how "
                "many updates there will be; got a data set of unknown length "
                f"and share={self.share!r}. `steps_per_epoch` of `fit`, or "
                "`dataset.apply(tf.data.experimental.assert_cardinality(...))` "
                "says how many."
            )
        num_updates = as_positive_integer("num_updates", num_updates)
        num_steps = max(1, round(self.share * num_updates))
        return type(self)(num_steps=num_steps, initial=self.initial)

    def _known_steps(self) -> int:
        if self.num_steps is None:
            raise ValueError(
                "`num_steps` of annealing must be known; got "
                f"share={self.share!r} of an unknown number of updates. `fit` "
                "of a DLGM knows it; in a loop of your own call "
                "`model.plan_annealing(num_updates)` first, or give "
                "`num_steps`."
            )
        return self.num_steps

    def _ramp(self, rise: float, step: TensorLike, dtype: Any) -> tf.Tensor:
        """From `initial`, by `rise` in `num_steps`, up to 1."""
        num_steps = self._known_steps()
        step = tf.cast(step, dtype)
        one = tf.ones([], dtype)
        ramp = tf.minimum(one, self.initial + rise / num_steps * step)
        return tf.where(step < num_steps, ramp, one)  # not 1 by rounding

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        length = (
            {"num_steps": self.num_steps}
            if self.share is None
            else {"share": self.share}
        )
        return {**length, "initial": self.initial}


@keras.saving.register_keras_serializable(package="tfp_flows")
class JointAnnealing(_Ramp):
    """`beta = min(1, initial + step / num_steps)` on log p(x, z).

    The schedule of Rezende and Mohamed (2015): at first the free energy is
    little more than minus the entropy of the posterior.
    https://arxiv.org/abs/1505.05770
    """

    def __init__(
        self,
        num_steps: int | None = None,
        initial: float = 0.01,
        share: float | None = None,
    ) -> None:
        """Constructs the schedule.

        Args:
          num_steps: updates in which the factor grows by 1. Default: None,
            given by `share`, or else the paper's 10,000.
          initial: the factor at step 0. Default: 0.01.
          share: the same as a share of all updates, in (0, 1]; see
            `KLAnnealing`. Default: None.

        Raises:
          ValueError: `num_steps` is no positive integer, `share` is not in
            (0, 1], both are given, or `initial` is not in [0, 1].
        """
        if num_steps is None and share is None:
            num_steps = 10_000
        super().__init__(num_steps, initial, share)

    def beta(self, step: TensorLike, dtype: tf.DType = tf.float32) -> tf.Tensor:
        """`min(1, initial + step / num_steps)`."""
        return self._ramp(1.0, step, dtype)

    def weights(
        self, step: TensorLike, dtype: tf.DType = tf.float32
    ) -> AnnealingWeights:
        """`(beta, beta, 1)`."""
        beta = self.beta(step, dtype)
        return AnnealingWeights(beta, beta, tf.ones([], dtype))


@keras.saving.register_keras_serializable(package="tfp_flows")
class KLAnnealing(_Ramp):
    """`beta`, linear from `initial` to 1, on log q(z|x) - log p(z).

    Its length is a number of updates, or a share of all those that a `fit`
    takes from its first epoch to its last one. A later `fit` does not anneal
    again what is over.
    """

    def __init__(
        self,
        num_steps: int | None = None,
        initial: float = 0.0,
        share: float | None = None,
    ) -> None:
        """Constructs the schedule.

        Args:
          num_steps: the update from which on the factor is 1. Default: None,
            given by `share`.
          initial: the factor at step 0. Default: 0.
          share: `num_steps` as a share of all updates, in (0, 1]. Default:
            None, 1/6 unless `num_steps` is given.

        Raises:
          ValueError: `num_steps` is no positive integer, `share` is not in
            (0, 1], both are given, or `initial` is not in [0, 1].
        """
        if num_steps is None and share is None:
            share = 1 / 6
        super().__init__(num_steps, initial, share)

    def beta(self, step: TensorLike, dtype: tf.DType = tf.float32) -> tf.Tensor:
        """`min(1, initial + (1 - initial) * step / num_steps)`."""
        return self._ramp(1.0 - self.initial, step, dtype)

    def weights(
        self, step: TensorLike, dtype: tf.DType = tf.float32
    ) -> AnnealingWeights:
        """`(1, beta, beta)`."""
        beta = self.beta(step, dtype)
        return AnnealingWeights(tf.ones([], dtype), beta, beta)


_SCHEDULES = {"none": NoAnnealing, "joint": JointAnnealing, "kl": KLAnnealing}


def get(annealing: str | Annealing | None) -> Annealing:
    """Returns a schedule by its name, with its defaults.

    Args:
      annealing: "none" or None, "joint", "kl", or a schedule, which is
        returned as it is.

    Raises:
      ValueError: it is none of these.
    """
    if isinstance(annealing, Annealing):
        return annealing
    name = "none" if annealing is None else annealing
    if not isinstance(name, str) or name not in _SCHEDULES:
        raise ValueError(
            f"`annealing` must be one of {', '.join(_SCHEDULES)}, or a "
            f"schedule, or 'auto' of a model; got {annealing!r}."
        )
    return _SCHEDULES[name]()
