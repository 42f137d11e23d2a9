"""Cases of the autoregressive bijectors, for the conformance kit."""

import functools

import numpy as np
import tensorflow_probability as tfp

from tfp_flows.bijectors import MADEConditioner, Permutation, Scan
from tfp_flows.testing import BijectorCase, ParameterShape

tfb = tfp.bijectors


def conditioner(
    event_size, num_outputs, hidden_units=None, context_size=0, order=None
):
    """A network as small as its masks allow."""
    return MADEConditioner(
        event_size,
        num_outputs,
        hidden_units=(max(4, event_size),)
        if hidden_units is None
        else hidden_units,
        activation="tanh",
        context_size=context_size,
        order=order,
    )


def _build(bijector_class, network, **parameters):
    context = parameters.pop("context", None)
    return bijector_class(network, parameters, context)


def _rolled(bijector_class, network, **parameters):
    """K members, before each of which the coordinates are reversed."""
    backwards = np.arange(network.event_size)[::-1]
    kernel = parameters["kernel_0"]
    axes = [kernel.shape[0], *[1] * (kernel.shape.rank - 3)]
    order = np.broadcast_to(backwards, [*axes, network.event_size])
    flow = _build(bijector_class, network, **parameters)
    return Scan(tfb.Chain([flow, Permutation(order)]))


def autoregressive_cases(
    name,
    *,
    bijector_class,
    num_outputs,
    event_sizes,
    identity_at=("kernel_1", "bias_1"),
    context_size=0,
    order=None,
    num_members=None,
    **settings,
):
    """One case for each event size; with `num_members`, of a Scan.

    Args:
      name: of the cases.
      bijector_class: takes a `MADEConditioner` and its parameters.
      num_outputs: that the bijector takes for each coordinate.
      event_sizes: values of D.
      identity_at: parameters at whose zeros the map is the identity.
      context_size: C; 0: no context.
      order: maps D to the order of the coordinates; None: from the first on.
      num_members: K; None: no Scan.
      **settings: of the bijector.
    """
    made = functools.partial(bijector_class, **settings)
    leading = () if num_members is None else (num_members,)
    for size in event_sizes:
        network = conditioner(
            size,
            num_outputs,
            context_size=context_size,
            order=None if order is None else order(size),
        )
        shapes = {
            key: ParameterShape(shape, leading)
            for key, shape in network.parameter_shapes().items()
        }
        if context_size:
            shapes["context"] = ParameterShape((context_size,), leading)
        build = _build if num_members is None else _rolled
        yield BijectorCase(
            f"{name}-{size}",
            functools.partial(build, made, network),
            event_shape=[size],
            parameter_shapes=shapes,
            identity_at=identity_at,
        )
