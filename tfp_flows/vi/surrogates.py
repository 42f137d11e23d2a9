"""Flow surrogate posteriors of a user's own model."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._arguments import as_positive_number
from tfp_flows.layers import FlowLayer, IAFFlow
from tfp_flows.math import noise
from tfp_flows.posteriors.flow_arguments import list_of_flows
from tfp_flows.types import TensorLike
from tfp_flows.vi import models
from tfp_flows.vi.event_space import EventSpace

__all__ = ["FlowParts", "build_flow_surrogate_posterior", "flow_parts"]

tfb, tfd = tfp.bijectors, tfp.distributions

BASES = ("full", "diagonal")


def build_flow_surrogate_posterior(
    model: Any,
    flow: FlowLayer | Sequence[FlowLayer] | None = None,
    base: str = "full",
    *,
    observed: Mapping[str, Any] | None = None,
    event_shape: Any = None,
    event_space_bijector: Any = None,
    initial_loc: TensorLike = 0.0,
    initial_scale: float = 0.3,
    dtype: Any = None,
    seed: int = 0,
    name: str = "flow_surrogate_posterior",
) -> tfd.Distribution:
    """A distribution of the latent variables of a model, for `fit` to train.

    With e standard normal on R^D and c the model's own map from R^D onto the
    supports of its variables,

        x = c(z),    z = loc + L f_n(... f_1(e)),
        log q(x) = log N(e; 0, I) - log|det dz/de| - log|det dx/dz|   (in nats)

    L is lower triangular with a positive diagonal: the flow bends, at a scale
    of 1, what the Gaussian has placed and shaped. The result has the structure
    and the names of the model, and owns `tf.Variable`s, which
    `tfp.vi.fit_surrogate_posterior` and `tfp_flows.vi.fit` train.

    The default flow is two inverse autoregressive steps with two hidden layers
    of 64 units, one pass for each draw. Of nine posteriors of known evidence it
    is closer to the seven that have a published bound than that, and misses
    Neal's funnel by 0.0002 nats; coupling splines, at thrice the time, are
    closer on four by more than the errors, and miss the funnel by 0.22 to 0.39.
    The density of points that the flow did not draw takes up to D passes
    through each step.

    Example:
    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp

    import tfp_flows

    tfd = tfp.distributions


    @tfd.JointDistributionCoroutineAutoBatched
    def model():
        scale = yield tfd.HalfNormal(1.0, name="scale")
        yield tfd.Sample(tfd.Normal(0.0, scale), 3, name="y")


    q = tfp_flows.vi.build_flow_surrogate_posterior(
        model.experimental_pin(y=[0.5, -1.0, 2.0])
    )
    q.sample(5).scale  # [5], positive
    ```

    Args:
      model: a joint distribution whose observed variables are pinned
        (`model.experimental_pin(y=...)`), or one that is not, with `observed`;
        or a function that returns the log density, up to a constant, of draws
        `[S, ...]`, with `event_shape`. As in `tfp.vi`, a dict is passed to it
        by name, a list or tuple by position.
      flow: a flow layer or a list of them, the first one applied first; their
        weights are the flow's initial values. `[]`: none, q is Gaussian before
        the map c. Default: None, `IAFFlow(2, (64, 64))`.
      base: "full", or "diagonal": then so is L.
      observed: values of an unpinned model by name; `{}` if it has none.
      event_shape: of a function, its argument's event shape, or a nest of them
        (lists, dicts, named tuples).
      event_space_bijector: c without the splitting: a bijector from a nest of
        unconstrained tensors onto the variables, or a nest of bijectors, with
        None for variables on all of R. Default: None, the model's default ones
        (of a simplex, stick breaking); of a function, the identity.
      initial_loc: of z, `[]` or `[D]`.
      initial_scale: of z, the standard deviations.
      dtype: of a function's argument. Default: None, float32.
      seed: of the default flow's weights, in [0, 2**31).
      name: of the distribution.

    Raises:
      TypeError: `model` is neither, dtypes of its variables and data differ, or
        `flow` holds something else than flow layers.
      ValueError: observed values are missing or unknown, a latent variable is
        discrete, the model has a batch shape, or an argument breaks its rule.
    """
    noise.check_seed(seed)
    if base not in BASES:
        raise ValueError(
            f"`base` must be one of {', '.join(BASES)}; got {base!r}."
        )
    as_positive_number("initial_scale", initial_scale)
    space = models.space_of(
        model, observed, event_shape, event_space_bijector, dtype
    )
    size, dtype = space.bijector.event_size, space.dtype
    flows = _flows(flow, dtype, seed)
    for layer in flows:
        if not layer.built:
            layer.build((None, size))
    loc = tf.Variable(_initial_loc(initial_loc, size, dtype), name="loc")
    affine = [tfb.Shift(loc), _scale(base, size, initial_scale, dtype)]
    standard_normal = tfd.MultivariateNormalDiag(
        tf.zeros([size], dtype), tf.ones([size], dtype)
    )
    # The last of a chain is applied first.
    bent = [layer.trainable_bijector() for layer in reversed(flows)]
    unconstrained = tfd.TransformedDistribution(
        standard_normal, tfb.Chain([*affine, *bent]), name="unconstrained"
    )
    return tfd.TransformedDistribution(unconstrained, space.bijector, name=name)


class FlowParts(NamedTuple):
    """What `build_flow_surrogate_posterior` made a distribution of.

    Attributes:
      flow: from standard normal `[..., D]` to z, the Gaussian part included.
      gaussian_variables: those of its last map, `loc + L`.
      space: from z to the variables.
      event_size: D.
      dtype: of all of it.
    """

    flow: tfb.Bijector
    gaussian_variables: tuple[tf.Variable, ...]
    space: EventSpace
    event_size: int
    dtype: tf.DType


def flow_parts(surrogate: tfd.Distribution) -> FlowParts | None:
    """Its parts, or None for a distribution of another origin."""
    if not isinstance(getattr(surrogate, "bijector", None), EventSpace):
        return None
    unconstrained = surrogate.distribution
    chain = unconstrained.bijector
    return FlowParts(
        chain,
        tuple(v for b in chain.bijectors[:2] for v in b.trainable_variables),
        surrogate.bijector,
        surrogate.bijector.event_size,
        unconstrained.dtype,
    )


def _flows(flow: Any, dtype: tf.DType, seed: int) -> list[FlowLayer]:
    if flow is None:
        return [IAFFlow(2, (64, 64), seed=seed, dtype=dtype.name)]
    flows = list_of_flows(flow, dtype.name)
    for layer in flows:
        if layer.fast_direction != "forward":
            warnings.warn(
                f"`flow` has a layer, {layer.name}, whose draws take a pass "
                "for each coordinate: `inverted=True` makes it one for all.",
                UserWarning,
                stacklevel=3,
            )
    return flows


def _initial_loc(given: TensorLike, size: int, dtype: tf.DType) -> np.ndarray:
    values = np.asarray(given, dtype.as_numpy_dtype)
    if values.shape not in ((), (size,)) or not np.isfinite(values).all():
        raise ValueError(
            f"`initial_loc` must be finite, of shape [] or [{size}]; got "
            f"{given!r}."
        )
    return np.broadcast_to(values, [size])


def _scale(
    base: str, size: int, initial_scale: float, dtype: tf.DType
) -> tfb.Bijector:
    diagonal = tf.fill([size], tf.constant(initial_scale, dtype))
    if base == "diagonal":
        scale = tfp.util.TransformedVariable(
            diagonal, tfb.Softplus(), name="scale"
        )
        return tfb.ScaleMatvecDiag(scale)
    scale_tril = tfp.util.TransformedVariable(
        tf.linalg.diag(diagonal),
        tfb.FillScaleTriL(diag_shift=None),  # TFP's is in float32
        name="scale_tril",
    )
    return tfb.ScaleMatvecTriL(scale_tril)
