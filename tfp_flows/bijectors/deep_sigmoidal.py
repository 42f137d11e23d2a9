"""Deep sigmoidal flow, `y = logit(sum_j w_j sigmoid(a_j x + b_j))`."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows import math
from tfp_flows.bijectors._coordinatewise import CoordinatewiseBijector
from tfp_flows.types import TensorLike

__all__ = ["DeepSigmoidal"]

# H where only the shape of an event is known.
_DEFAULT_NUM_UNITS = 8


class DeepSigmoidal(CoordinatewiseBijector):
    """Sigmoidal layer: `y = logit(sum_j w_j sigmoid(a_j x + b_j))`.

    A mixture of H sigmoids, between logits, coordinate by coordinate. It bends
    each coordinate into any number of modes. A deep sigmoidal flow [1] is
    several such layers, one after the other: `Scan` of this bijector.

    #### Mathematical details

    Coordinate by coordinate, with `c_j = a_j * x + b_j`, `s = sigmoid` and
    `S = sum_j w_j s(c_j)`:

    - forward: `y = log(S) - log(1 - S)`
    - forward log-det: the sum over coordinates of
      `log(sum_j w_j a_j s(c_j) s(-c_j)) - log(S) - log(1 - S)`
    - inverse: the one root, which lies between the least and the largest
      `(y - b_j) / a_j`
    - inverse log-det: minus the forward log-det at that root

    where `w = softmax(unconstrained_weights) > 0`, of sum 1 over j,
    `a = softplus(unconstrained_slopes + log(e - 1)) > 0` and `b = offsets`.
    `y` is between the least and the largest `c_j`; towards both ends it
    goes over into a straight line, of the slope of the flattest unit.

    #### Shapes

    The event is `[D]`; all three parameters: `[..., D, H]`.

        [D, H]       x [B, D] -> y [B, D]        one map
        [B, D, H]    x [B, D] -> y [B, D]        one per example
        [B, D, H]    x [S, B, D] -> y [S, B, D]

    #### Invertibility

    Always invertible, on the whole line.

    #### Cost

    Forward and log-det: `O(D H)`. Inverse: that for each step of a root
    search, Newton's method inside a bracket, at most
    `tfp_flows.math.root_finding.MAX_MONOTONE_STEPS` steps (5 as a rule; all
    of them under XLA inside `tf.vectorized_map`). No part is sequential in D;
    all of it compiles with XLA.

    #### Numerics

    Value, log-det and all gradients are finite and right to rounding for
    `|x|` and `|y|` of 1e4 and more, in float32 too. `unconstrained_slopes =
    offsets = 0` is the identity for all weights, to rounding. Weights are at
    least 1e-8 / H, slopes at least 1e-3: the inverse stretches by up to 1e3 at
    both ends, and by more where steep units leave a flat part between them.
    Its gradients are those of the implicit function, of every order.

    #### Example

    ```python
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    flow = tfp_flows.bijectors.DeepSigmoidal(  # D = 1, H = 2
        unconstrained_weights=[[0.0, 0.5]],
        unconstrained_slopes=[[2.0, 2.0]],
        offsets=[[-3.0, 3.0]],
    )
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag([0.0], [1.0]), tfp.bijectors.Invert(flow)
    )
    q.log_prob([[2.0], [0.0]])  # two modes; any points; shape [2], in nats
    ```

    #### References

    [1] C.-W. Huang, D. Krueger, A. Lacoste and A. Courville. Neural
        autoregressive flows. ICML 2018. arXiv:1804.00779, section 3.1.
        Deviations: the shift of the softplus, so that zeros are the
        identity; the bounds on weights and slopes.
    """

    _tensors = dict.fromkeys(
        ("unconstrained_weights", "unconstrained_slopes", "offsets"),
        _DEFAULT_NUM_UNITS,
    )

    def __init__(
        self,
        unconstrained_weights: TensorLike,
        unconstrained_slopes: TensorLike,
        offsets: TensorLike,
        validate_args: bool = False,
        name: str = "deep_sigmoidal",
    ) -> None:
        """Constructs one sigmoidal layer.

        Args:
          unconstrained_weights: logits of `w`. Shape `[..., D, H]`.
          unconstrained_slopes: `a` before the softplus. Shape `[..., D, H]`.
          offsets: `b`. Shape `[..., D, H]`.
          validate_args: whether to check values at run time. No value is
            invalid, so this only reaches the base class. Default: False.
          name: name of the ops. Default: "deep_sigmoidal".

        Raises:
          ValueError: a parameter has less than two axes, or has D = 0 or
            H = 0, or they differ in D or H; at use, events of another size.
          TypeError: a `keras.Variable`, dtypes that differ, or a dtype other
            than float32 and float64.
        """
        super().__init__(dict(locals()))

    def _check_tensors(self) -> None:
        _check_same_units(**self._kept())

    @property
    def unconstrained_weights(self) -> Any:
        """Logits of the weights, `[..., D, H]`."""
        return self._unconstrained_weights

    @property
    def unconstrained_slopes(self) -> Any:
        """Slopes before the softplus, `[..., D, H]`."""
        return self._unconstrained_slopes

    @property
    def offsets(self) -> Any:
        """Offsets, `[..., D, H]`."""
        return self._offsets

    def _constrained(self, *parameters: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return math.sigmoidal.constrain(*parameters)

    def _map(
        self, direction: str, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        function = getattr(math.sigmoidal, direction)
        return function(x, math.sigmoidal.Units(*parameters))


def _check_same_units(**parameters: Any) -> None:
    """Raises unless all the parameters, `[..., D, H]`, have one D and H."""
    shapes = {}
    for name, value in parameters.items():
        shape = tf.TensorShape(value.shape)
        if shape.rank is None:
            continue
        if shape.rank < 2 or 0 in shape[-2:].as_list():
            raise ValueError(
                f"`{name}` must have shape [..., D, H] with D >= 1 and "
                f"H >= 1; got {shape}."
            )
        shapes[name] = shape[-2:]
    first = next(iter(shapes.values()), None)
    if not all(shape.is_compatible_with(first) for shape in shapes.values()):
        names = " and ".join(f"`{name}`" for name in shapes)
        got = " and ".join(str(parameters[name].shape) for name in shapes)
        raise ValueError(f"{names} must end in the same sizes D, H; got {got}.")
