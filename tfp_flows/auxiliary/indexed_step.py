"""One step of a continuously-indexed flow, in all its directions."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import (
    density_gradients,
    forward_and_log_det,
    inverse_and_log_det,
)
from tfp_flows.bijectors._scan_members import Members
from tfp_flows.math import stable

__all__ = ["ORDERS", "IndexedStep", "Member", "check_order"]

tfb = tfp.bijectors

ORDERS = ("before", "after")
_ZERO = tf.UnconnectedGradients.ZERO

_Network = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def check_order(order: str) -> None:
    """Raises ValueError unless it is one of `ORDERS`."""
    if order not in ORDERS:
        raise ValueError(
            f"`order` must be one of {', '.join(map(repr, ORDERS))}; got "
            f"{order!r}."
        )


class Member(NamedTuple):
    """One of the members of a `Scan`, for the slices of their tensors."""

    members: Members
    slices: Sequence[tf.Tensor]

    def forward(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The image, and the log-det."""
        return self.members.forward(x, self.slices)

    def inverse(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The point whose image it is, and the log-det."""
        return self.members.inverse(y, self.slices)

    def push(
        self, x: tf.Tensor, gradient: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The image, and the gradient of the density there."""
        return self.members.push(x, gradient, self.slices)


class IndexedStep(NamedTuple):
    """A bijector g and an affine map that an auxiliary u makes another one.

        u ~ q(u | w) = N(loc, exp(log_scale)**2),  loc, log_scale = auxiliary(w)
        z = G(w; u) = g((w + t(u)) * exp(s(u)))       order "before"
        z = G(w; u) = g(w) * exp(s(u)) + t(u)         order "after"
        log|det dG/dw| = sum s(u) + log|det g'|,   s, t = scale_and_shift(u)

    and a density `r(u | z)`, Gaussian alike, of `loc, log_scale = reverse(v)`:
    v is z, or where the affine map stands before g, `g^(-1)(z)`, a function of
    z alone that nearer stands to u.

    Attributes:
      bijector: g, of vectors `[..., D]`.
      scale_and_shift: from u `[..., m]` to s and t, each `[..., D]`.
      auxiliary: from w `[..., D]` to the parameters of q(u | w), `[..., m]`.
      reverse: from v `[..., D]` to those of r(u | z), alike.
      auxiliary_size: m.
      order: one of `ORDERS`; "before" is that of the published runs, "after"
        that of the paper's formulas.
    """

    bijector: tfb.Bijector | Member
    scale_and_shift: _Network
    auxiliary: _Network
    reverse: _Network
    auxiliary_size: int
    order: str = "before"

    def forward(
        self, w: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """From w and standard normal `[..., m]` to z and u.

        Returns:
          z, u, `log q(u | w) - log|det dG/dw|`, and `log r(u | z)`.
        """
        u, log_q = _draw(self.auxiliary(w), noise)
        if self.order == "before":
            place, affine_log_det = self._affine(w, u)
            z, log_det = self._forward(place)
        else:
            moved, log_det = self._forward(w)
            z, affine_log_det = self._affine(moved, u)
            place = z
        log_r = _log_prob(self.reverse(place), u)
        return z, u, log_q - log_det - affine_log_det, log_r

    def inverse(
        self, z: tf.Tensor, u: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """From z and u to w.

        Returns:
          w, `log q(u | w) - log|det dG/dw|`, and `log r(u | z)`.
        """
        place, log_det = self._place(z)
        log_r = _log_prob(self.reverse(place), u)
        w, log_det = self._rest_of_inverse(place, u, log_det)
        return w, _log_prob(self.auxiliary(w), u) + log_det, log_r

    def draw_index(
        self, z: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """From z and standard normal `[..., m]` to `u ~ r(u | z)` and w.

        Returns:
          w, u, `log q(u | w) - log|det dG/dw|`, and `log r(u | z)`.
        """
        place, log_det = self._place(z)
        u, log_r = _draw(self.reverse(place), noise)
        w, log_det = self._rest_of_inverse(place, u, log_det)
        return w, u, _log_prob(self.auxiliary(w), u) + log_det, log_r

    def push_gradient(
        self, w: tf.Tensor, u: tf.Tensor, gradient: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The gradient of a joint log density on its way through the step.

        Given `d log q(w) / dw` it is that of `log q(z, u)`, as
        `bijectors.density_gradients` has it of a bijector's; indices of the
        steps before are held fixed. No derivative passes through.

        Returns:
          z, and the gradients to z and to u.
        """
        w, u, gradient = map(tf.stop_gradient, (w, u, gradient))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch((w, u))
            log_q = _log_prob(self.auxiliary(w), u)
        of_w, of_u = tape.gradient(log_q, (w, u), unconnected_gradients=_ZERO)
        gradient += of_w
        if self.order == "before":
            place, _ = self._affine(w, u)
            gradient, more = self._push_through_affine(place, u, gradient)
            z, gradient = self._push(place, gradient)
        else:
            moved, gradient = self._push(w, gradient)
            z, _ = self._affine(moved, u)
            gradient, more = self._push_through_affine(z, u, gradient)
        return tuple(map(tf.stop_gradient, (z, gradient, of_u + more)))

    def _push_through_affine(
        self, y: tf.Tensor, u: tf.Tensor, gradient: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """From a gradient before the affine map to those behind, y and u."""
        y = tf.stop_gradient(y)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch((y, u))
            x, log_det = self._inverse_affine(y, u)
            total = tf.reduce_sum(gradient * x, axis=-1) + log_det
        return tape.gradient(total, (y, u), unconnected_gradients=_ZERO)

    def _forward(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if isinstance(self.bijector, Member):
            return self.bijector.forward(x)
        return forward_and_log_det(self.bijector, x)

    def _inverse(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if isinstance(self.bijector, Member):
            return self.bijector.inverse(y)
        return inverse_and_log_det(self.bijector, y)

    def _push(
        self, x: tf.Tensor, gradient: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if isinstance(self.bijector, Member):
            return self.bijector.push(x, gradient)
        return density_gradients.push(self.bijector, x, gradient)

    def _place(self, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What r looks at, and the log-det of the way there from z."""
        # Not the tensor for which the bijector's cache has an answer.
        z = tf.identity(z)
        if self.order == "before":
            return self._inverse(z)
        return z, tf.zeros(tf.shape(z)[:-1], z.dtype)

    def _rest_of_inverse(
        self, place: tf.Tensor, u: tf.Tensor, log_det: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        w, affine_log_det = self._inverse_affine(place, u)
        log_det += affine_log_det
        if self.order == "before":
            return w, log_det
        w, more = self._inverse(w)
        return w, log_det + more

    def _affine(
        self, x: tf.Tensor, u: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        scale, shift = self.scale_and_shift(u)
        if self.order == "before":
            y = (x + shift) * tf.exp(scale)
        else:
            y = x * tf.exp(scale) + shift
        return y, tf.reduce_sum(scale, axis=-1)

    def _inverse_affine(
        self, y: tf.Tensor, u: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        scale, shift = self.scale_and_shift(u)
        if self.order == "before":
            x = y * tf.exp(-scale) - shift
        else:
            x = (y - shift) * tf.exp(-scale)
        return x, -tf.reduce_sum(scale, axis=-1)


def _draw(
    parameters: tuple[tf.Tensor, tf.Tensor], noise: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """A sample of a Gaussian, and its log density."""
    loc, log_scale = parameters
    log_prob = stable.standard_normal_log_prob(noise)
    return (
        loc + tf.exp(log_scale) * noise,
        log_prob - tf.reduce_sum(log_scale, axis=-1),
    )


def _log_prob(
    parameters: tuple[tf.Tensor, tf.Tensor], u: tf.Tensor
) -> tf.Tensor:
    loc, log_scale = parameters
    standardized = (u - loc) * tf.exp(-log_scale)
    log_prob = stable.standard_normal_log_prob(standardized)
    return log_prob - tf.reduce_sum(log_scale, axis=-1)
