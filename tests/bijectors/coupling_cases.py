"""Cases of the bijectors that have a conditioner, for the conformance kit."""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import MLPConditioner, Orthogonal, Permutation, Scan
from tfp_flows.testing import BijectorCase, ParameterShape

tfb = tfp.bijectors

CONDITIONER = MLPConditioner(hidden_units=(4,), activation="tanh")
LAST = ("kernel_1", "bias_1")


def _build(bijector_class, conditioner, own, **parameters):
    """The bijector of a flat dictionary of all its parameters."""
    given = {name: parameters.pop(name) for name in own}
    return bijector_class(conditioner, parameters, **given)


def _rolled(bijector_class, conditioner, own, sizes, mixing, **parameters):
    """K members that alternate the moved half, behind a fixed mixing."""
    kernel, num_members = (
        parameters["kernel_0"],
        parameters["kernel_0"].shape[0],
    )
    ends = kernel.shape[-2], parameters["kernel_1"].shape[-1]
    size = next(d for d in range(2, 1_000) if sizes(d) == ends)
    # As many axes of the batch as the members have, of size 1.
    axes = [num_members, *[1] * (kernel.shape.rank - 3)]
    parts = [_build(bijector_class, conditioner, own, **parameters)]
    rng = np.random.default_rng(0)
    if "mask" in mixing:
        mask = np.arange(size) < size - size // 2
        masks = np.stack([mask, ~mask] * num_members)[:num_members]
        masks = tf.constant(masks.reshape([*axes, size]), kernel.dtype)
        parts = [parts[0].copy(mask=masks)]
    if "permutation" in mixing:
        orders = np.stack([rng.permutation(size) for _ in range(num_members)])
        parts.append(Permutation(orders.reshape([*axes, size])))
    if "orthogonal" in mixing:
        matrices = np.linalg.qr(rng.normal(size=[num_members, size, size]))[0]
        matrices = matrices.reshape([*axes, size, size])
        # Orthogonal to the last place in the dtype of the parameters.
        parts.append(Orthogonal(tf.constant(matrices, kernel.dtype)))
    return Scan(tfb.Chain(parts))


def _shapes(conditioner, own, sizes, leading, event_shape):
    """The parameters at an event shape; `sizes` maps D to (I, O)."""
    inputs, outputs = sizes(event_shape[0])
    shapes = {
        name: ParameterShape(shape, leading)
        for name, shape in conditioner.parameter_shapes(inputs, outputs).items()
    }
    for name, shape_of in own.items():
        constraint = None
        if name == "unconstrained_slope":  # a weak gate, as SLog declares it
            constraint = tfb.Shift(tf.constant(-2.0, tf.float64))
        shapes[name] = ParameterShape(
            shape_of(event_shape[0]), leading, constraint
        )
    return shapes


def coupling_cases(
    name,
    *,
    bijector_class,
    sizes,
    event_sizes,
    own=(),
    conditioner=CONDITIONER,
    identity_at=LAST,
    mixing=None,
    num_members=3,
    **settings,
):
    """One case for each event size; with `mixing`, of a Scan.

    Args:
      name: of the cases.
      bijector_class: takes a conditioner and its parameters.
      sizes: maps D to the sizes of the conditioner's inputs and outputs.
      event_sizes: values of D.
      own: other parameters: names to functions of D that give a shape.
      conditioner: of all members.
      identity_at: parameters at whose zeros the map is the identity.
      mixing: what stands between the members: names among "mask",
        "permutation" and "orthogonal"; None: no Scan.
      num_members: K.
      **settings: of the bijector.
    """
    own = dict(own)
    made = functools.partial(bijector_class, **settings)
    for size in event_sizes:
        build = functools.partial(_build, made, conditioner, tuple(own))
        leading = ()
        if mixing is not None:
            build = functools.partial(
                _rolled, made, conditioner, tuple(own), sizes, tuple(mixing)
            )
            leading = (num_members,)
        yield BijectorCase(
            f"{name}-{size}",
            build,
            event_shape=[size],
            parameter_shapes=functools.partial(
                _shapes, conditioner, own, sizes, leading
            ),
            identity_at=identity_at,
            circular=settings.get("circular", False),
        )
