"""Cases of the Householder and Sylvester flows, for the conformance kit."""

import functools

import numpy as np

from tfp_flows.bijectors import (
    Householder,
    Scan,
    SylvesterHouseholder,
    SylvesterOrthogonal,
    SylvesterTriangular,
)
from tfp_flows.testing import BijectorCase, ParameterShape, parameter_shapes_of

NUM_MEMBERS = 4


def _rolled(bijector_class, **parameters):
    return Scan(bijector_class(**parameters))


def _alternating(**parameters):
    """K triangular members, every other one of which is reversed."""
    b = parameters["b"]
    axes = [b.shape[0], *[1] * (b.shape.rank - 2)]
    is_reversed = np.reshape(np.arange(b.shape[0]) % 2 == 1, axes)
    return Scan(SylvesterTriangular(is_reversed=is_reversed, **parameters))


def _narrow(num_rows, has_units, leading, event_shape):
    """Shapes with at most `num_rows` vectors, and as many units."""
    (size,) = event_shape
    rows = min(num_rows, size)
    shapes = {"vectors": ParameterShape((rows, size), leading)}
    if has_units:
        triangle = ParameterShape((rows * (rows + 1) // 2,), leading)
        b = ParameterShape((rows,), leading)
        shapes |= {"r1": triangle, "r2": triangle, "b": b}
    return shapes


def _case(name, build, event_size, identity_at, shapes=None, is_rolled=False):
    """`shapes(leading, event_shape)`; None: those that the class declares."""
    leading = (NUM_MEMBERS,) if is_rolled else ()
    if shapes is not None:
        shapes = functools.partial(shapes, leading)
    elif is_rolled:
        shapes = parameter_shapes_of(getattr(build, "func", build), leading)
    return BijectorCase(
        f"scan-{name}-{event_size}" if is_rolled else f"{name}-{event_size}",
        functools.partial(_rolled, build) if is_rolled else build,
        event_shape=[event_size],
        parameter_shapes=shapes,
        identity_at=identity_at,
    )


def householder_cases():
    """In one dimension there is nothing to learn."""
    for size in (2, 3, 64):
        # At 64, D reflections would round more than the kit allows to float32.
        shapes = None if size <= 8 else functools.partial(_narrow, 8, False)
        for is_rolled in (False, True) if size == 3 else (False,):
            yield _case(
                "householder",
                Householder,
                size,
                ["vectors"],
                shapes,
                is_rolled,
            )


def sylvester_cases():
    """Each kind by itself and rolled, with M = D and M < D.

    Where vectors are learned, not in one dimension. An inverse of M units takes
    its time: not every kind at every size.
    """
    case = functools.partial(_case, identity_at=["r1"])
    for size, num_units, is_rolled in (
        (3, 2, False),
        (8, 3, True),
        (64, 8, False),
    ):
        yield case(
            "sylvester-orthogonal",
            SylvesterOrthogonal,
            size,
            shapes=functools.partial(_narrow, num_units, True),
            is_rolled=is_rolled,
        )
    for name, bijector_class, size, is_rolled in (
        ("sylvester-orthogonal", SylvesterOrthogonal, 2, False),
        ("sylvester-householder", SylvesterHouseholder, 2, False),
        ("sylvester-householder", SylvesterHouseholder, 3, True),
        ("sylvester-householder", SylvesterHouseholder, 8, False),
        ("sylvester-triangular", SylvesterTriangular, 1, False),
    ):
        yield case(name, bijector_class, size, is_rolled=is_rolled)
    yield case(
        "sylvester-triangular",
        functools.partial(SylvesterTriangular, is_reversed=True),
        3,
    )
    yield BijectorCase(
        "scan-sylvester-triangular-2",
        _alternating,
        event_shape=[2],
        parameter_shapes=parameter_shapes_of(
            SylvesterTriangular, leading=(NUM_MEMBERS,)
        ),
        identity_at=["r1"],
    )
