"""The base class of bijectors with a conditioner network."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._tfp import ps
from tfp_flows.bijectors.conditioners import Conditioner
from tfp_flows.bijectors.flow_bijector import OnePassBijector
from tfp_flows.bijectors.parameters import (
    check_batch_shapes,
    convert_parameters,
    interned,
)
from tfp_flows.bijectors.transformers import Transformer
from tfp_flows.types import TensorLike

__all__ = ["ConditionedBijector", "composite_if_declared", "setting"]

tfb = tfp.bijectors

ConditionerLike = Conditioner | Callable[..., tf.Tensor]


def composite_if_declared(cls: type) -> type:
    """Class decorator: composite tensors where all tensors are declared.

    A bijector with an opaque conditioner is none: as one, it would hide the
    variables of its conditioner.
    """
    composite: Any = type(
        cls.__name__,
        (cls, tfb.AutoCompositeTensorBijector),
        {
            "__doc__": cls.__doc__,
            "__module__": cls.__module__,
            # Where pickle finds it.
            "__qualname__": f"{cls.__qualname__}._composite_class",
        },
    )
    composite._composite_class = None
    cls._composite_class = composite  # type: ignore[attr-defined]
    return cls


def setting(name: str, doc: str) -> Any:
    """A property: the setting of the transformer of this (dotted) name."""
    return property(operator.attrgetter(f"_transformer.{name}"), doc=doc)


class ConditionedBijector(OnePassBijector):
    """A transformer whose parameters a conditioner computes from a part of `x`.

    A subclass says which part. It has tensors of its own (`_own_parameters`),
    and gets them and the conditioner's parameters back, member by member,
    through `_unpacked`.
    """

    _composite_class: Any = None
    # Whether a part of the coordinates can be mapped alone.
    _needs_elementwise = True
    # Own parameters that stand in for the `kinds` of the transformer.
    _own_kinds: tuple[str, ...] = ()

    def __new__(
        cls, conditioner: Any = None, *args: Any, **kwargs: Any
    ) -> "ConditionedBijector":
        """A composite tensor, if the conditioner declares its parameters."""
        composite = vars(cls).get("_composite_class")
        if composite and isinstance(conditioner, Conditioner):
            cls = composite
        return super().__new__(cls)

    def __init__(
        self,
        conditioner: ConditionerLike,
        conditioner_parameters: Mapping[str, TensorLike] | None,
        context: TensorLike | None,
        transformer: Transformer | None,
        own_parameters: Mapping[str, TensorLike | None],
        name: str,
        **kwargs: Any,
    ) -> None:
        """Checks and converts all tensors.

        Raises:
          TypeError: `conditioner` is no function, `transformer` is none that
            the bijector takes, or a tensor breaks a rule of
            `convert_parameters`.
          ValueError: `conditioner_parameters` are not those that the
            conditioner declares, or batch shapes do not broadcast.
        """
        if not isinstance(conditioner, Conditioner) and not callable(
            conditioner
        ):
            raise TypeError(
                "`conditioner` must be a Conditioner or a function; got "
                f"{type(conditioner).__name__}."
            )
        if not isinstance(transformer, Transformer) or (
            self._needs_elementwise and not transformer.is_elementwise
        ):
            kind = "an element-wise" if self._needs_elementwise else "a"
            raise TypeError(
                f"`transformer` must be {kind} Transformer; got "
                f"{transformer!r}."
            )
        names = tuple(conditioner_parameters or ())
        declared: tuple[str, ...] = ()
        if isinstance(conditioner, Conditioner):
            conditioner = interned(conditioner)
            declared = tuple(conditioner.event_ndims)
        if set(names) != set(declared):
            raise ValueError(
                "`conditioner_parameters` must have the names that "
                f"`conditioner` declares, {sorted(declared)}; got "
                f"{sorted(names)}."
            )
        own = {n: p for n, p in own_parameters.items() if p is not None}
        if context is not None:
            own["context"] = context
        with tf.name_scope(name) as name:
            converted = convert_parameters(
                **own, **dict(conditioner_parameters or {})
            )
        properties = self._parameter_properties(None)
        event_ndims = {name: properties[name].event_ndims for name in own}
        if isinstance(conditioner, Conditioner):
            event_ndims |= conditioner.event_ndims
        check_batch_shapes(converted, event_ndims)
        self._conditioner = conditioner
        self._transformer = interned(transformer)
        self._is_opaque = not isinstance(conditioner, Conditioner)
        self._own = tuple(own)
        self._context = converted.get("context")
        for name in own_parameters:
            setattr(self, f"_{name}", converted.get(name))
        self._conditioner_parameters = (
            {name: converted[name] for name in declared} if declared else None
        )
        dtypes = [p.dtype for p in converted.values()]
        super().__init__(
            forward_min_event_ndims=1,
            dtype=dtypes[0] if dtypes else None,
            name=name,
            **kwargs,
        )

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        del dtype  # The same for every dtype.
        return {
            "conditioner_parameters": tfp.util.ParameterProperties(
                event_ndims=cls._conditioner_event_ndims, is_preferred=False
            ),
            "context": tfp.util.ParameterProperties(
                event_ndims=1, is_preferred=False
            ),
        }

    def _conditioner_event_ndims(
        self, x_event_ndims: int = 1
    ) -> dict[str, int]:
        """The event ranks of the conditioner's parameters, by name."""
        if not isinstance(self._conditioner, Conditioner):
            return {}
        extra = x_event_ndims - 1
        return {
            name: ndims + extra
            for name, ndims in self._conditioner.event_ndims.items()
        }

    @property
    def conditioner(self) -> ConditionerLike:
        """The function that computes the parameters of the map."""
        return self._conditioner

    @property
    def transformer(self) -> Transformer:
        """What is done to the coordinates that are moved."""
        return self._transformer

    @property
    def conditioner_parameters(self) -> dict[str, Any] | None:
        """The conditioner's parameters by name; None if it is opaque."""
        if self._conditioner_parameters is None:
            return None
        # Not the wrapper that tf.Module puts around an attribute.
        return dict(self._conditioner_parameters)

    @property
    def context(self) -> Any:
        """What the map depends on beside `x`, `[..., C]`, or None."""
        return self._context

    def _constrained_parameters(self) -> tuple[tf.Tensor, ...]:
        return (
            *(self._constrain(name, self._tensor(name)) for name in self._own),
            *self._constrained_weights(),
        )

    def _constrained_weights(self) -> tuple[tf.Tensor, ...]:
        if not isinstance(self._conditioner, Conditioner):
            return ()
        names = tuple(self._conditioner_parameters or ())
        weights = self._conditioner.constrain(
            {
                name: tf.convert_to_tensor(weight)
                for name, weight in (self._conditioner_parameters or {}).items()
            }
        )
        return tuple(weights[name] for name in names)

    def _conditioner_sizes(self) -> tuple[int | None, int | None]:
        """The coordinates that the conditioner reads, and its outputs.

        None where they are not known.
        """
        num_inputs, num_outputs = self._sizes_of_conditioner()
        if num_inputs is not None:
            num_inputs //= self._transformer.num_features
        return num_inputs, num_outputs

    def _sizes_of_conditioner(self) -> tuple[int | None, int | None]:
        """The inputs and outputs of the conditioner, where they are known."""
        if not isinstance(self._conditioner, Conditioner):
            return None, None
        return self._conditioner.static_sizes(
            self._conditioner_parameters or {}
        )

    def _tensor(self, name: str) -> tf.Tensor:
        return tf.convert_to_tensor(getattr(self, f"_{name}"))

    def _constrain(self, name: str, value: tf.Tensor) -> tf.Tensor:
        """An own parameter under its constraint, if it has one."""
        del name
        return value

    def _unpacked(
        self, parameters: Sequence[tf.Tensor]
    ) -> tuple[dict[str, tf.Tensor], Callable[[tf.Tensor], tf.Tensor]]:
        """The own parameters of one member by name, and its conditioner."""
        own = dict(zip(self._own, parameters[: len(self._own)], strict=True))
        weights = dict(
            zip(
                self._conditioner_parameters or (),
                parameters[len(self._own) :],
                strict=True,
            )
        )
        context = own.pop("context", None)

        num_inputs = self._sizes_of_conditioner()[0]

        def conditioner(x: tf.Tensor) -> tf.Tensor:
            if not x.shape[-1:].is_compatible_with([num_inputs]):
                raise ValueError(
                    f"`conditioner` must take inputs [..., {x.shape[-1]}] for "
                    f"{type(self).__name__}; got one of {num_inputs} inputs."
                )
            if isinstance(self._conditioner, Conditioner):
                return self._conditioner.constrained_call(x, weights, context)
            if context is None:
                return self._conditioner(x)
            return self._conditioner(x, context)

        return own, conditioner

    def _kinds(
        self, x: tf.Tensor, own: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, ...]:
        """What the transformer needs to know of each coordinate, `[..., D]`.

        Args:
          x: `[..., D]`, D known statically.
          own: the own parameters of one member.
        """
        kinds = tuple(own[name] for name in self._own_kinds if name in own)
        return kinds or self._transformer.kinds(x.shape[-1], x.dtype)

    def _theta(
        self,
        x: tf.Tensor,
        conditioner: Callable[[tf.Tensor], tf.Tensor],
        num_moved: int | None,
        *kinds: tf.Tensor,
    ) -> tf.Tensor:
        """The conditioner's outputs at x, `[..., P, N]` for N moved."""
        output = conditioner(self._transformer.features(x, *kinds))
        size = self._transformer.num_parameters
        expected = None if num_moved is None else size * num_moved
        if not output.shape.rank or not output.shape[-1:].is_compatible_with(
            [expected]
        ):
            raise ValueError(
                f"`conditioner` must return outputs [..., {expected}]; got "
                f"shape {output.shape}."
            )
        # Of unknown size, x is masked, and as long as what is moved.
        rows = [size, ps.shape(x)[-1] if num_moved is None else num_moved]
        return tf.reshape(
            output, ps.concat([ps.shape(output)[:-1], rows], axis=0)
        )
