"""Examples of a density, with or without contexts: where they are in data."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.models.inputs.images import (
    InputRules,
    Region,
    conform,
    dense_spec,
    is_dataset,
    take,
    to_event_shape,
    without_labels,
)
from tfp_flows.models.inputs.prepare import (
    Check,
    filled,
    images_check,
    readable_errors,
    require,
)
from tfp_flows.models.once_warnings import OnceWarnings

__all__ = [
    "Rules",
    "batches",
    "blocks",
    "build_shapes",
    "examples_check",
    "one_check",
    "rules",
    "shapes",
    "split",
    "to_tensors",
]

_ENDLESS = (
    "`x` must be finite here; got an endless data set: call `adapt` with a "
    "part of it before `fit`."
)

# Of "x", and of "context" if there are contexts; None: the data decide.
Rules = Mapping[str, InputRules]


def rules(
    argument: str,
    x_shape: tuple[int, ...] | None,
    context_shape: tuple[int, ...] | None,
    dtype: str,
    once: OnceWarnings,
    region: Region | None,
    integers: bool,
) -> Rules:
    """What a density asks of its data.

    Args:
      argument: what messages call them.
      x_shape: of one example; None: the first data decide.
      context_shape: of one context, alike.
      dtype: what the model computes with.
      once: its warnings.
      region: where examples must lie. None: any finite numbers will do.
      integers: whether examples are whole numbers.
    """

    def of(name: str, shape: tuple[int, ...] | None, **others: Any) -> Any:
        return InputRules(
            event_shape=shape or (),
            support="real",
            dtype=dtype,
            likelihood="",
            argument=name,
            once=once,
            scalars=True,
            **others,
        )

    return {
        "x": of(
            argument,
            x_shape,
            noun="example",
            region=region,
            integers=integers,
            hint=", or give the model `num_levels`, L, if they are whole "
            "numbers from 0 to L - 1",
        ),
        "context": of("context", context_shape, noun="context"),
    }


def build_shapes(input_shape: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of one example and one context, of what `build` was given.

    Args:
      input_shape: `[B, ...]` of x, `[B]` of numbers, or a dict by name.

    Raises:
      ValueError: an axis is unknown, or there are other names.
    """
    given = input_shape
    if not isinstance(given, Mapping):
        given = {"x": given}
    if "x" not in given or not set(given) <= {"x", "context"}:
        raise ValueError(
            "`input_shape` must be that of x, or a dict of 'x' and, for a "
            f"conditional density, 'context'; got {input_shape}."
        )
    found = {n: tuple(shape)[1:] or (1,) for n, shape in given.items()}
    for name, shape in found.items():
        if any(n is None for n in shape):
            raise ValueError(
                f"`input_shape` must be [B, ...] with known axes of {name}; "
                f"got {tuple(given[name])}."
            )
    return found


def split(element: Any, argument: str = "x") -> tuple[dict[str, Any], bool]:
    """The parts of an element or its spec, and whether labels are ignored.

    An element is `x`, `{"x": x}` or `{"x": x, "context": c}`, or a tuple of one
    of them and of labels. Others raise a ValueError.
    """
    element, ignored = without_labels(element, argument)
    if not isinstance(element, Mapping):
        return {"x": element}, ignored
    if "x" not in element or not set(element) <= {"x", "context"}:
        keys = ", ".join(repr(key) for key in element) or "no keys"
        raise ValueError(
            f"`{argument}` must be examples, or a dict of 'x' and, for a "
            f"conditional density, 'context'; got a dict with {keys}."
        )
    return dict(element), ignored


def _checked_names(
    parts: Mapping[str, Any], rules: Rules, conditional: bool | None
) -> dict[str, Any]:
    """The parts; raises unless there is a context where it is wanted."""
    argument = rules["x"].argument
    if conditional and "context" not in parts:
        raise ValueError(
            f"`{argument}` must be a dict with 'x' and 'context', as the "
            "density is conditional; got no context."
        )
    if conditional is False and "context" in parts:
        raise ValueError(
            f"`{argument}` must hold no 'context', as the density was built "
            "without one; got one."
        )
    return dict(parts)


def _one_for_each(argument: str) -> str:
    return (
        f"`{argument}` must hold one context for each example; got {{}} "
        "examples and {} contexts."
    )


class _ExamplesCheck:
    """Dictionaries of "x" and, where there is one, "context"; see `Check`."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        rules: Rules,
        conditional: bool | None,
    ) -> None:
        self._checks, self._rules = checks, rules
        self._conditional = conditional
        self.argument = rules["x"].argument

    def _parts(self, element: Any) -> dict[str, Any]:
        parts, ignored = split(element, self.argument)
        if ignored:
            self._rules["x"].once.labels()
        return _checked_names(parts, self._rules, self._conditional)

    def whole(self, data: Any) -> dict[str, Any]:
        return self._of_one_length(
            {n: self._checks[n].whole(p) for n, p in self._parts(data).items()}
        )

    def batch(self, element: Any, number: int) -> dict[str, np.ndarray]:
        return self._of_one_length(
            {
                name: self._checks[name].batch(part, number)
                for name, part in self._parts(element).items()
            }
        )

    def _of_one_length(self, parts: dict[str, Any]) -> dict[str, Any]:
        lengths = {name: len(part) for name, part in parts.items()}
        if len(set(lengths.values())) > 1:
            message = _one_for_each(self.argument)
            raise ValueError(message.format(lengths["x"], lengths["context"]))
        return parts

    def in_graph(
        self, element: Any, number: tf.Tensor | None
    ) -> dict[str, tf.Tensor]:
        parts = {
            name: self._checks[name].in_graph(part, number)
            for name, part in self._parts(element).items()
        }
        if "context" in parts:
            rows = {name: tf.shape(part)[0] for name, part in parts.items()}
            parts["x"] = require(
                tf.equal(rows["x"], rows["context"]),
                lambda: filled(
                    _one_for_each(self.argument), rows["x"], rows["context"]
                ),
                parts["x"],
            )
        return parts

    def after(self, first: Mapping[str, Any]) -> tuple["_ExamplesCheck", Any]:
        found = {n: self._checks[n].after(part) for n, part in first.items()}
        return _ExamplesCheck(
            {name: check for name, (check, _) in found.items()},
            self._rules,
            "context" in first,
        ), {name: spec for name, (_, spec) in found.items()}


def one_check(rules: InputRules) -> Check:
    """The check of one array, or of batches that Python code makes."""
    return images_check(rules, functools.partial(take, rules=rules))


def examples_check(
    data: Any, rules: Rules, conditional: bool | None = None
) -> Check:
    """What `prepare_checked` does with the elements of `data`.

    Args:
      data: what `fit` was given.
      rules: what the model asks of "x" and of "context".
      conditional: whether there must be contexts. Default: None, the data
        decide.

    Raises:
      ValueError: the data's own specs say that they do not fit.
    """
    if not is_dataset(data):
        checks = {name: one_check(one) for name, one in rules.items()}
        return _ExamplesCheck(checks, rules, conditional)
    argument = rules["x"].argument
    specs, _ = split(data.element_spec, argument)
    specs = _checked_names(specs, rules, conditional)
    checks = {}
    for name, spec in specs.items():
        spec = dense_spec(spec, data, argument)
        one, _ = conform(spec.shape, spec.dtype, rules[name], of_dataset=True)
        checks[name] = images_check(one, _as_it_is)
    return _ExamplesCheck(checks, rules, "context" in specs)


def _as_it_is(part: tf.Tensor) -> tf.Tensor:
    return part


def shapes(data: Any) -> dict[str, tuple[int | None, ...]]:
    """The shapes, with the batch axis, of what `prepare_checked` returned."""
    if is_dataset(data):
        parts, _ = split(data.element_spec)
        parts = {n: dense_spec(p, data, n) for n, p in parts.items()}
    else:
        if isinstance(data, keras.utils.PyDataset):
            data = data[0]
        parts, _ = split(data)
    return {
        name: (None, *tuple(part.shape)[1:]) for name, part in parts.items()
    }


def to_tensors(
    data: Any, event_shapes: Mapping[str, tuple[int, ...]], dtype: Any
) -> dict[str, tf.Tensor]:
    """A batch of a step, in the shapes and the dtype that a model computes in.

    Raises:
      ValueError: it has other parts than `event_shapes`, or other shapes.
    """
    parts, _ = split(data)
    missing = set(event_shapes) - set(parts)
    if missing:
        raise ValueError(
            "`x` must be a dict with 'x' and 'context', as the density is "
            "conditional; got no context."
        )
    tensors = {
        name: tf.cast(to_event_shape(parts[name], shape, name), dtype)
        for name, shape in event_shapes.items()
    }
    rows = {name: tensor.shape[0] for name, tensor in tensors.items()}
    if None not in rows.values() and len(set(rows.values())) > 1:
        raise ValueError(_one_for_each("x").format(rows["x"], rows["context"]))
    return tensors


def batches(prepared: Any, batch_size: int) -> Iterator[dict[str, Any]]:
    """Batches of what was prepared; raises for endless data sets.

    Args:
      prepared: as `prepare_checked` returns it.
      batch_size: of arrays.
    """
    if isinstance(prepared, dict):
        rows = len(prepared["x"])
        for first in range(0, rows, batch_size):
            yield {
                name: part[first : first + batch_size]
                for name, part in prepared.items()
            }
        return
    if isinstance(prepared, keras.utils.PyDataset):
        if prepared.num_batches is None:
            raise ValueError(_ENDLESS)
        # Python's own iteration would never end.
        with readable_errors():
            for i in range(prepared.num_batches):
                yield prepared[i][0]
        return
    if isinstance(prepared, tf.distribute.DistributedDataset):
        raise ValueError(
            "`x` must not be distributed yet here; got a distributed data set: "
            "call `adapt` with the data set that it was made of before `fit`."
        )
    if prepared.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(_ENDLESS)
    with readable_errors():
        yield from prepared


def blocks(prepared: Any, rows: int) -> Iterator[dict[str, np.ndarray]]:
    """As `batches`, all of `rows` examples but the last, of data sets too."""
    kept: list[dict[str, np.ndarray]] = []
    count = 0
    for batch in batches(prepared, rows):
        kept.append({name: np.asarray(part) for name, part in batch.items()})
        count += len(batch["x"])
        if count < rows:
            continue
        joined = _joined(kept)
        first = 0
        for first in range(rows, count + 1, rows):
            yield {n: part[first - rows : first] for n, part in joined.items()}
        kept = [{name: part[first:] for name, part in joined.items()}]
        count -= first
    if count:
        yield _joined(kept)


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {
        name: np.concatenate([part[name] for part in parts])
        for name in parts[0]
    }
