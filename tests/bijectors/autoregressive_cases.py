"""Cases of the autoregressive bijectors, for the conformance kit."""

import functools

import numpy as np
import tensorflow_probability as tfp

from tfp_flows.bijectors import MADEConditioner, Permutation, Scan
from tfp_flows.testing import BijectorCase, ParameterShape

tfb = tfp.bijectors


def conditioner(
    event_size,
    num_outputs,
    hidden_units=None,
    context_size=0,
    order=None,
    num_inputs=1,
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
        num_inputs=num_inputs,
    )


class _Family:
    """The bijector and its network, at every event size."""

    def __init__(
        self, bijector_class, num_inputs, num_outputs, context_size, order
    ):
        self.bijector_class = bijector_class
        self.num_inputs = num_inputs
        self.num_outputs = num_outputs
        self.context_size = context_size
        self.order = order

    def network(self, event_size):
        return conditioner(
            event_size,
            self.num_outputs,
            context_size=self.context_size,
            order=None if self.order is None else self.order(event_size),
            num_inputs=self.num_inputs,
        )

    def shapes(self, leading, event_shape):
        network = self.network(event_shape[0])
        shapes = {
            key: ParameterShape(shape, leading)
            for key, shape in network.parameter_shapes().items()
        }
        if self.context_size:
            shapes["context"] = ParameterShape((self.context_size,), leading)
        return shapes

    def build(self, **parameters):
        context = parameters.pop("context", None)
        num_inputs = parameters["kernel_0"].shape[-2]
        network = self.network(num_inputs // self.num_inputs)
        return self.bijector_class(network, parameters, context)

    def rolled(self, **parameters):
        """K members, before each of which the coordinates are reversed."""
        kernel = parameters["kernel_0"]
        backwards = np.arange(kernel.shape[-2] // self.num_inputs)[::-1]
        axes = [kernel.shape[0], *[1] * (kernel.shape.rank - 3)]
        order = np.broadcast_to(backwards, [*axes, len(backwards)])
        flow = self.build(**parameters)
        return Scan(tfb.Chain([flow, Permutation(order)]))


def autoregressive_cases(
    name,
    *,
    bijector_class,
    num_outputs,
    event_sizes,
    num_inputs=1,
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
      num_inputs: what the network reads of each coordinate.
      identity_at: parameters at whose zeros the map is the identity.
      context_size: C; 0: no context.
      order: maps D to the order of the coordinates; None: from the first on.
      num_members: K; None: no Scan.
      **settings: of the bijector.
    """
    family = _Family(
        functools.partial(bijector_class, **settings),
        num_inputs,
        num_outputs,
        context_size,
        order,
    )
    leading = () if num_members is None else (num_members,)
    for size in event_sizes:
        yield BijectorCase(
            f"{name}-{size}",
            family.build if num_members is None else family.rolled,
            event_shape=[size],
            parameter_shapes=functools.partial(family.shapes, leading),
            identity_at=identity_at,
            circular=settings.get("circular", False),
            autoregressive_order=(
                family.network(size).order if num_members is None else None
            ),
        )
