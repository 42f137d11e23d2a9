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

# Reflections at larger events, where D of them would take much time.
NUM_REFLECTIONS = 8


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


def _cases(name, build, event_size, identity_at, parameter_shapes):
    """The bijector and its Scan; None: the shapes that it declares."""
    bijector_class = getattr(build, "func", build)
    for is_rolled in (False, True):
        leading = (NUM_MEMBERS,) if is_rolled else ()
        shapes = parameter_shapes
        if shapes is not None:
            shapes = functools.partial(shapes, leading)
        elif is_rolled:
            shapes = parameter_shapes_of(bijector_class, leading)
        yield BijectorCase(
            f"scan-{name}-{event_size}"
            if is_rolled
            else f"{name}-{event_size}",
            functools.partial(_rolled, build) if is_rolled else build,
            event_shape=[event_size],
            parameter_shapes=shapes,
            identity_at=identity_at,
        )


def householder_cases():
    """In one dimension there is nothing to learn."""
    for size in (2, 3, 8, 64):
        shapes = functools.partial(_narrow, NUM_REFLECTIONS, False)
        yield from _cases(
            "householder",
            Householder,
            size,
            ["vectors"],
            shapes if size > NUM_REFLECTIONS else None,
        )


def sylvester_cases():
    """Each kind by itself and rolled, with M = D and M < D."""
    cases = functools.partial(_cases, identity_at=["r1"])
    declared = {"parameter_shapes": None}
    for size in (1, 2):
        yield from cases(
            "sylvester-orthogonal", SylvesterOrthogonal, size, **declared
        )
    for size, num_units in ((3, 2), (8, 3), (64, 8)):
        yield from cases(
            "sylvester-orthogonal",
            SylvesterOrthogonal,
            size,
            parameter_shapes=functools.partial(_narrow, num_units, True),
        )
    for size in (2, 3, 8):
        yield from cases(
            "sylvester-householder", SylvesterHouseholder, size, **declared
        )
    yield from cases("sylvester-triangular", SylvesterTriangular, 1, **declared)
    for size in (3, 64):
        yield BijectorCase(
            f"sylvester-triangular-{size}",
            functools.partial(SylvesterTriangular, is_reversed=size == 3),
            event_shape=[size],
            identity_at=["r1"],
        )
    for size in (2, 8):
        yield BijectorCase(
            f"scan-sylvester-triangular-{size}",
            _alternating,
            event_shape=[size],
            parameter_shapes=parameter_shapes_of(
                SylvesterTriangular, leading=(NUM_MEMBERS,)
            ),
            identity_at=["r1"],
        )
