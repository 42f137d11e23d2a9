"""Every bijector that has to pass the conformance kit; one line adds one."""

import functools

from tfp_flows.bijectors import Planar, Radial, Scan
from tfp_flows.testing import BijectorCase, parameter_shapes_of

SIZES = (1, 2, 3, 8, 64)
NUM_MEMBERS = 4


def _scan(bijector_class, **parameters):
    return Scan(bijector_class(**parameters))


def _cases(
    name, bijector_class, event_sizes=SIZES, identity_at=(), rolled=True
):
    """The bijector and, unless it cannot be rolled, its Scan."""
    for size in event_sizes:
        yield BijectorCase(
            f"{name}-{size}",
            bijector_class,
            event_shape=[size],
            identity_at=identity_at,
        )
        if rolled:
            yield BijectorCase(
                f"scan-{name}-{size}",
                functools.partial(_scan, bijector_class),
                event_shape=[size],
                parameter_shapes=parameter_shapes_of(
                    getattr(bijector_class, "func", bijector_class),
                    leading=(NUM_MEMBERS,),
                ),
                identity_at=identity_at,
            )


CASES = [
    *_cases("planar", Planar, identity_at=["u"]),
    *_cases(
        "planar-paper",
        functools.partial(Planar, constraint="paper"),
        event_sizes=(2, 8),
    ),
    *_cases(
        "radial",
        Radial,
        identity_at=["unconstrained_alpha", "unconstrained_beta"],
    ),
]
