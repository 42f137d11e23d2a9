"""The likelihood p(x|z) as a function of a decoder's output."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.likelihoods.bernoulli import bernoulli
from tfp_flows.likelihoods.discretized_logistic import discretized_logistic
from tfp_flows.likelihoods.gaussian import gaussian
from tfp_flows.likelihoods.logit_normal import logit_normal
from tfp_flows.math import noise
from tfp_flows.types import TensorLike

__all__ = ["SUPPORTS", "Likelihood", "get", "names"]

tfd = tfp.distributions

SUPPORTS = ("binary", "real", "unit_interval")


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """Makes a distribution over events of a decoder's output.

    `get` makes one from a name or from a callable. The last `event_ndims` axes
    of the output belong to the event, those before it to the batch. Output of
    less than 32 bits is cast to float32 first: log-likelihoods that sum
    hundreds of elements need it.

    #### Example

    ```python
    import tensorflow as tf
    import tfp_flows

    likelihood = tfp_flows.likelihoods.get("gaussian")
    outputs = tf.zeros([32, 28, 28, 2])  # loc and unconstrained scale
    images = tf.zeros([32, 28, 28, 1])
    likelihood.log_prob(outputs, images, event_ndims=3)  # shape [32]
    likelihood.mean(outputs, event_ndims=3)              # the images' shape
    ```

    Attributes:
      name: the name that `get` knows it by, or that of the callable.
      num_parameters: channels of the output per element of the event, in
        `num_parameters` equal parts of the last axis; None for a callable.
      support: where the data lie: "binary", "unit_interval" or "real".
      identifier: what `get` made it from, a name or a callable.
    """

    name: str
    num_parameters: int | None
    support: str
    identifier: str | Callable[[Any], tfd.Distribution]
    _make: Callable[[Any], tfd.Distribution] = dataclasses.field(repr=False)

    def distribution(
        self, outputs: TensorLike, event_ndims: int | None = 1
    ) -> tfd.Distribution:
        """The distribution of the data given a decoder's output.

        Args:
          outputs: `[..., *event_shape[:-1], num_parameters * C]`; anything for
            a callable.
          event_ndims: number of axes of one event of the data, at least 1.
            None, for a callable alone: as many as its distribution's events
            have.

        Returns:
          A distribution with the event's axes as event shape.

        Raises:
          ValueError: `outputs` or what a callable returns does not fit.
          TypeError: a callable returns no distribution.
        """
        if event_ndims is not None:
            _check_event_ndims(event_ndims)
        outputs = tf.nest.map_structure(_at_least_float32, outputs)
        if self.num_parameters is None:
            distribution = self._make(outputs)
            self._check_distribution(distribution, outputs, event_ndims)
            return distribution
        if event_ndims is None:
            raise ValueError(
                "`event_ndims` must be an integer under the likelihood "
                f"{self.name!r}; got None."
            )
        self._check_outputs(outputs.shape, event_ndims)
        return tfd.Independent(
            self._make(outputs), reinterpreted_batch_ndims=event_ndims
        )

    def log_prob(
        self, outputs: TensorLike, x: TensorLike, event_ndims: int | None = 1
    ) -> tf.Tensor:
        """`log p(x|z)` in nats, summed over the event's axes.

        Args:
          outputs: as in `distribution`.
          x: data of any real dtype, `[..., *event_shape]`.
          event_ndims: as in `distribution`.

        Returns:
          A tensor with the batch's axes, in float32 or float64.
        """
        distribution = self.distribution(outputs, event_ndims)
        return distribution.log_prob(tf.cast(x, distribution.dtype))

    def mean(
        self, outputs: TensorLike, event_ndims: int | None = 1
    ) -> tf.Tensor:
        """The mean of `distribution(outputs, event_ndims)`."""
        return self.distribution(outputs, event_ndims).mean()

    def sample(
        self,
        outputs: TensorLike,
        key: TensorLike,
        event_ndims: int | None = 1,
    ) -> tf.Tensor:
        """One draw of the data for each example of the output.

        Args:
          outputs: as in `distribution`.
          key: stateless seed as `tfp_flows.math.noise.key` returns it; equal
            keys give equal draws.
          event_ndims: as in `distribution`.
        """
        seed = noise.tfp_seed(key)
        return self.distribution(outputs, event_ndims).sample(seed=seed)

    def _check_outputs(self, shape: tf.TensorShape, event_ndims: int) -> None:
        if shape.rank is not None and shape.rank < event_ndims:
            raise ValueError(
                f"`outputs` must have at least {event_ndims} axes, those of "
                f"the event; got shape {shape}."
            )
        channels = None if shape.rank is None else shape[-1]
        if channels is not None and channels % self.num_parameters:
            raise ValueError(
                "`outputs` must have a last axis of even size under the "
                f"likelihood {self.name!r}, one half for loc and one for the "
                f"unconstrained scale; got shape {shape}."
            )

    def _check_distribution(
        self, distribution: Any, outputs: Any, event_ndims: int | None
    ) -> None:
        if not isinstance(distribution, tfd.Distribution):
            raise TypeError(
                f"the likelihood {self.name!r} must return a tfd.Distribution; "
                f"got a {type(distribution).__name__}."
            )
        event_shape = distribution.event_shape
        if event_ndims is None:
            event_ndims = event_shape.rank
        if event_shape.rank not in (None, event_ndims):
            raise ValueError(
                f"the likelihood {self.name!r} must return a distribution with "
                f"{event_ndims} event axes, as the data have; got event shape "
                f"{event_shape} and batch shape {distribution.batch_shape}: "
                "wrap it in tfd.Independent(distribution, "
                "reinterpreted_batch_ndims=...)."
            )
        batch_shape = distribution.batch_shape
        shape = tf.nest.flatten(outputs)[0].shape
        if batch_shape.rank is None or shape.rank is None:
            return
        has_batch = batch_shape.rank > 0 or shape.rank <= (event_ndims or 0)
        leading = shape[: batch_shape.rank]
        if not (has_batch and leading.is_compatible_with(batch_shape)):
            raise ValueError(
                f"the likelihood {self.name!r} must return a distribution "
                "whose batch shape is that of the leading axes of the "
                f"decoder's output, which has shape {shape}; got batch shape "
                f"{batch_shape} and event shape {event_shape}."
            )


def _check_event_ndims(event_ndims: Any) -> None:
    if isinstance(event_ndims, bool) or not isinstance(event_ndims, int):
        raise ValueError(
            f"`event_ndims` must be an integer; got {event_ndims!r}."
        )
    if event_ndims < 1:
        raise ValueError(f"`event_ndims` must be >= 1; got {event_ndims}.")


def _at_least_float32(x: TensorLike) -> tf.Tensor:
    x = tf.convert_to_tensor(x)
    return tf.cast(x, tf.float32) if x.dtype.size < 4 else x


_LIKELIHOODS = {
    name: Likelihood(name, num_parameters, support, name, make)
    for name, num_parameters, support, make in (
        ("bernoulli", 1, "binary", bernoulli),
        ("discretized_logistic", 2, "unit_interval", discretized_logistic),
        ("gaussian", 2, "real", gaussian),
        ("logit_normal", 2, "unit_interval", logit_normal),
    )
}


def names() -> tuple[str, ...]:
    """The names that `get` knows."""
    return tuple(_LIKELIHOODS)


def get(
    likelihood: str | Likelihood | Callable[[Any], tfd.Distribution],
) -> Likelihood:
    """Returns a likelihood by its name, or one made of a callable.

    Args:
      likelihood: one of `names()`; or a callable from the decoder's output to
        a `tfd.Distribution` with the data's axes as event shape and the
        batch's as batch shape. The callable's attribute `support`, if it has
        one, says where the data lie; else it is "real". A `Likelihood` is
        returned as it is.

    Raises:
      ValueError: the name, or the callable's `support`, is unknown.
      TypeError: it is neither a name nor callable.
    """
    if isinstance(likelihood, Likelihood):
        return likelihood
    if isinstance(likelihood, str):
        if likelihood not in _LIKELIHOODS:
            raise ValueError(
                f"`likelihood` must be one of {', '.join(_LIKELIHOODS)}, or a "
                f"callable; got {likelihood!r}."
            )
        return _LIKELIHOODS[likelihood]
    if not callable(likelihood):
        raise TypeError(
            f"`likelihood` must be one of {', '.join(_LIKELIHOODS)}, or a "
            f"callable; got {likelihood!r}."
        )
    support = getattr(likelihood, "support", "real")
    if support not in SUPPORTS:
        raise ValueError(
            f"`likelihood.support` must be one of {', '.join(SUPPORTS)}; got "
            f"{support!r}."
        )
    name = getattr(likelihood, "__name__", type(likelihood).__name__)
    return Likelihood(name, None, support, likelihood, likelihood)
