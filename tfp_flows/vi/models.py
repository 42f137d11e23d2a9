"""What a user's model is asked for, and what is refused of it."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import _tfp
from tfp_flows.vi import event_space, supports

__all__ = [
    "LogProb",
    "Space",
    "is_mix_of_precisions",
    "log_prob_of",
    "reason",
    "space_of",
]

tfb, tfd = tfp.bijectors, tfp.distributions
_Pinned = tfp.experimental.distributions.JointDistributionPinned

# Of a nest of variables `[S, ...]` to `[S]`, in nats.
LogProb = Callable[[Any], tf.Tensor]


class Space(NamedTuple):
    """Where the latent variables of a model lie.

    Attributes:
      names: of the variables, in the order of `tf.nest`.
      event_shape: the nest of their event shapes.
      dtype: float32 or float64, of all of them.
      bijector: from `[..., D]` to the nest of variables.
    """

    names: tuple[str, ...]
    event_shape: Any
    dtype: tf.DType
    bijector: event_space.EventSpace


def log_prob_of(model: Any, observed: Mapping[str, Any] | None) -> LogProb:
    """The log density of a nest of variables, up to a constant.

    Args:
      model: as in `build_flow_surrogate_posterior`.
      observed: of an unpinned joint distribution.

    Raises:
      TypeError: it is no model.
      ValueError: observed values are missing or have no place in it.
    """
    if not _is_joint(model):
        _check_function(model, observed)
        return lambda values: _tfp.call_fn(model, values)
    joint = _with_observed(model, observed)
    if isinstance(joint, _Pinned):
        return lambda values: joint.unnormalized_log_prob(values)
    return lambda values: joint.log_prob(values)


def space_of(
    model: Any,
    observed: Mapping[str, Any] | None,
    event_shape: Any = None,
    event_space_bijector: Any = None,
    dtype: Any = None,
) -> Space:
    """Where the latent variables of a model lie.

    Args:
      model: as in `build_flow_surrogate_posterior`.
      observed: of an unpinned joint distribution.
      event_shape: of a function, the nest of event shapes.
      event_space_bijector: a bijector onto the nest, or a nest of them with
        None for variables on the whole line. Default: None, the model's own.
      dtype: of a function. Default: None, float32.

    Raises:
      TypeError: see `log_prob_of`; or dtypes that differ.
      ValueError: see `log_prob_of`; or variables that no flow can have.
    """
    if _is_joint(model):
        joint = _with_observed(model, observed)
        if event_shape is not None or dtype is not None:
            raise ValueError(
                "`event_shape` and `dtype` must be left to a joint "
                f"distribution, which has its own; got {event_shape!r} and "
                f"{dtype!r}."
            )
        with _readable_mixes():
            names = _names(joint)
            _check_continuous(joint)
            dtypes = dict(zip(names, tf.nest.flatten(joint.dtype), strict=True))
            number_type = _one_dtype({**dtypes, **_dtypes_of_pins(joint)})
            event_shape = joint.event_shape
            _check_no_batch(joint, names)
            _check_shapes_of_pins(joint)
        onto_supports = _given(event_space_bijector, event_shape)
        if onto_supports is None:
            onto_supports = supports.joint_bijector(joint)
    else:
        _check_function(model, observed)
        if event_shape is None:
            raise ValueError(
                "`event_shape` must be given for a function: the shape of its "
                "argument, or a list or dict of shapes; got None."
            )
        number_type = tf.as_dtype(dtype or tf.float32)
        names = tuple(event_space.leaf_names(event_space.sealed(event_shape)))
        _one_dtype({"dtype": number_type})
        onto_supports = _given(event_space_bijector, event_shape)
        if onto_supports is None:
            onto_supports = _identities(event_shape)
    shapes = [tf.TensorShape(s) for s in event_space.flat_shapes(event_shape)]
    for name, shape in zip(names, shapes, strict=True):
        if not shape.is_fully_defined():
            raise ValueError(
                "`model` must have variables of known shapes; got "
                f"{shape} of {name!r}."
            )
    event_shape = event_space.pack_like(event_shape, shapes)
    bijector = event_space.EventSpace(
        onto_supports, onto_supports.inverse_event_shape(event_shape)
    )
    return Space(names, event_shape, number_type, bijector)


def _is_joint(model: Any) -> bool:
    return isinstance(model, _Pinned | tfd.JointDistribution)


def _check_function(model: Any, observed: Any) -> None:
    """Raises unless it can be called, as nothing is observed of it."""
    if isinstance(model, tfd.Distribution) or not callable(model):
        raise TypeError(
            "`model` must be a JointDistribution or a function that returns a "
            "log density, such as the `log_prob` of a distribution; got "
            f"{model!r}."
        )
    if observed is not None:
        raise ValueError(
            "`observed` must be None for a function, which has its data in "
            f"it; got {observed!r}."
        )


def _with_observed(model: Any, observed: Mapping[str, Any] | None) -> Any:
    """The model with its data in it."""
    if isinstance(model, _Pinned):
        if observed is not None:
            raise ValueError(
                "`observed` must be None for a model that is pinned; got "
                f"{sorted(observed)}."
            )
        return model
    names = list(model._flat_resolve_names())
    if observed is None:
        raise ValueError(
            "`model` must have its observed variables fixed, by "
            "`model.experimental_pin(name=value)` or `observed={name: value}` "
            "(`observed={}` if there are none); got a joint distribution of "
            f"{', '.join(names)} without."
        )
    unknown = sorted(set(observed) - set(names))
    if unknown:
        raise ValueError(
            f"`observed` must name variables of the model, {', '.join(names)}; "
            f"got {', '.join(unknown)}."
        )
    if set(observed) == set(names):
        raise ValueError(
            "`observed` must leave a variable to infer; got all of "
            f"{', '.join(names)}."
        )
    if not observed:
        return model
    with _readable_mixes():
        return model.experimental_pin(**observed)


def _names(joint: Any) -> tuple[str, ...]:
    """Of the latent variables, in the order of `tf.nest`."""
    names = _names_of_tensors(joint)
    if names is None:
        raise ValueError(
            "`model` must have variables that are tensors; got one that is a "
            "joint distribution itself, among "
            f"{', '.join(_names_in_order(joint))}."
        )
    return names


def _names_of_tensors(joint: Any) -> tuple[str, ...] | None:
    """Of its variables, in the order of `tf.nest`; None if one is joint."""
    in_order = list(_names_in_order(joint))
    if len(tf.nest.flatten(joint.dtype)) != len(in_order):
        return None
    return tuple(tf.nest.flatten(joint._model_unflatten(in_order)))


def _names_in_order(joint: Any) -> tuple[str, ...]:
    """Of the latent variables, in the model's own order."""
    return tuple(joint._flat_resolve_names())


def _check_continuous(joint: Any) -> None:
    distributions = joint._get_single_sample_distributions()
    for name, distribution in zip(
        _names_in_order(joint), distributions, strict=True
    ):
        types = tf.nest.flatten(distribution.dtype)
        is_floating = all(tf.as_dtype(t).is_floating for t in types)
        if not is_floating or supports.of_distribution(distribution) is None:
            raise ValueError(
                "`model` must have continuous latent variables, as a flow has; "
                f"got {name!r}, of {type(distribution).__name__.lstrip('_')}. "
                "Observe it, or sum it out (tfd.MixtureSameFamily, "
                "tfd.HiddenMarkovModel)."
            )


def _dtypes_of_pins(joint: Any) -> dict[str, tf.DType]:
    """Of the observed values that are no whole numbers."""
    if not isinstance(joint, _Pinned):
        return {}
    return {
        name: value.dtype
        for name, pin in joint.pins.items()
        for value in tf.nest.flatten(pin)
        if value.dtype.is_floating
    }


def _check_shapes_of_pins(joint: Any) -> None:
    """Raises unless data have the shapes of their variables.

    TFP would broadcast them, and count one number many times.
    """
    if not isinstance(joint, _Pinned):
        return
    whole = joint.distribution
    names = _names_of_tensors(whole)
    if names is None:
        return
    shapes = event_space.flat_shapes(whole.event_shape)
    for name, shape in zip(names, shapes, strict=True):
        value = joint.pins.get(name)
        if value is not None and not value.shape.is_compatible_with(shape):
            raise ValueError(
                f"`{name}` must be observed in the shape of its variable, "
                f"{tf.TensorShape(shape)}; got {value.shape}. A model whose "
                "variables depend on others by broadcasting is one of the "
                "...AutoBatched classes."
            )


@contextlib.contextmanager
def _readable_mixes() -> Iterator[None]:
    """Says in a sentence what TensorFlow says of float32 beside float64."""
    try:
        yield
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        if str(error).startswith("`") or not is_mix_of_precisions(error):
            raise
        raise TypeError(
            "`model` must compute in float32 alone, or in float64 alone; got "
            f"both: {reason(error)} NumPy's arrays are float64: cast the "
            "model's constants, `x.astype('float32')`."
        ) from error


def is_mix_of_precisions(error: Exception) -> bool:
    """Whether TensorFlow, or TFP, complains of float32 beside float64."""
    told = str(error)
    return all(
        re.search(kind, told)
        for kind in (r"\bfloat(32)?\b", r"\b(float64|double)\b")
    )


def reason(error: Exception) -> str:
    """Its last line: what stands before tells where it happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _one_dtype(dtypes: dict[str, Any]) -> tf.DType:
    types = {name: tf.as_dtype(value) for name, value in dtypes.items()}
    kinds = set(types.values())
    if len(kinds) > 1 or not kinds <= {tf.float32, tf.float64}:
        listed = ", ".join(f"{n}: {t.name}" for n, t in types.items())
        raise TypeError(
            "`model` must have all its variables and data in float32, or all "
            f"in float64; got {listed}."
        )
    return kinds.pop()


def _check_no_batch(joint: Any, names: tuple[str, ...]) -> None:
    # One for all of an auto-batched model, else one for each variable.
    shapes = tf.nest.flatten(joint.batch_shape)
    if len(shapes) == 1:
        shapes *= len(names)
    for name, shape in zip(names, shapes, strict=True):
        if shape.rank:
            raise ValueError(
                "`model` must be one model, of batch shape []; got batch shape "
                f"{shape} of {name!r}. Wrap it in tfd.Sample or "
                "tfd.Independent, or take the ...AutoBatched class of the "
                "joint distribution."
            )


def _given(bijector: Any, event_shape: Any) -> tfb.Bijector | None:
    """A user's bijector, or nest of them, as one; None if there is none."""
    if bijector is None or isinstance(bijector, tfb.Bijector):
        return bijector
    leaves = tf.nest.flatten(bijector)
    if len(leaves) != len(event_space.flat_shapes(event_shape)) or not all(
        leaf is None or isinstance(leaf, tfb.Bijector) for leaf in leaves
    ):
        raise ValueError(
            "`event_space_bijector` must be a bijector, or hold one or None "
            f"for each variable of `event_shape`; got {bijector!r}."
        )
    filled = [tfb.Identity() if leaf is None else leaf for leaf in leaves]
    return tfb.JointMap(event_space.pack_like(event_shape, filled))


def _identities(event_shape: Any) -> tfb.Bijector:
    if event_space.is_shape(event_shape):
        return tfb.Identity()
    count = len(event_space.flat_shapes(event_shape))
    return tfb.JointMap(
        event_space.pack_like(event_shape, [tfb.Identity()] * count)
    )
