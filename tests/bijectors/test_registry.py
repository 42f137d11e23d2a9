"""The registry leaves out no public bijector, and what holds for all of it."""

import inspect

import pytest
import tensorflow_probability as tfp

from tests.bijectors.kinds import KINDS, MIXINGS, members
from tests.bijectors.registry import CASES
from tfp_flows import bijectors

BASES = (bijectors.FlowBijector, bijectors.DeclaredTensors)


def test_all_public_bijectors_are_here():
    """In the registry, or among the mixings, which have no free parameter."""
    public = [getattr(bijectors, name) for name in bijectors.__all__]
    classes = [
        item
        for item in public
        if inspect.isclass(item)
        and issubclass(item, tfp.bijectors.Bijector)
        and item not in BASES
    ]
    cases = [
        case.fresh(case.parameters("registry", ()), "float64") for case in CASES
    ]
    # By name: a preset is no stand-in for its class of any transformer.
    found = {
        type(part).__name__
        for b in (*cases, *MIXINGS.values())
        for part in members(b)
    }
    assert classes
    assert {item.__name__ for item in classes} <= found


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind, case in KINDS.items()
        if len(case.parameters("registry", ())) > 1
    ],
)
def test_batch_shapes_that_do_not_broadcast_are_refused(kind):
    """When it is made: at use the message would be of some op inside."""
    case = KINDS[kind]
    values = case.parameters("registry", (3,))
    name = next(iter(values))
    with pytest.raises(
        ValueError, match="must have (batch shapes that b|parameters of shape)"
    ):
        case.fresh({**values, name: values[name][:2]}, "float64")
