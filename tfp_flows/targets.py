"""Two-dimensional densities that flows are fitted to, with their ln Z.

Four are proportional to `exp(-U(z))`, with the `U` of Rezende and Mohamed
(2015), Table 1:

* `u1`: a ring of radius 2, cut into two half moons;
* `u2`: a sine wave;
* `u3`: a sine wave that splits in two around `z_1 = 1`;
* `u4`: a sine wave that splits in two from `z_1 = 1` on.

`u2`, `u3` and `u4` do not depend on `z_1` far out, so they have no finite
integral: a fit could spread for ever and its Kullback-Leibler divergence would
mean nothing. A smooth window is therefore added to these three energies, the
same for every flow,

    sum_i 0.5 * (max(0, |z_i| - 4) / 0.1)**2,

zero inside the square `[-4, 4]**2` and a narrow Gaussian edge around it. It is
no part of the paper. `log_normalizer` is ln Z of the density as it stands here,
window included, so `KL(q || p) = E_q[ln q - ln p~] + ln Z` is exact.

Two are equal mixtures of Gaussians of standard deviation 1/4 on a square
lattice of spacing 2, those of Caterini et al. (2021), and normalised (ln Z is
0):

* `mog9`: 3 by 3 modes, from -2 to 2;
* `mog16`: 4 by 4 modes, from -3 to 3.

A perfect fit to all but m of n modes has a divergence of `ln(n / (n - m))`.

References:
1. D. J. Rezende and S. Mohamed. Variational Inference with Normalizing Flows.
   ICML 2015. https://arxiv.org/abs/1505.05770
2. A. L. Caterini, R. Cornish, D. Sejdinovic and A. Doucet. Variational
   Inference with Continuously-Indexed Normalizing Flows. UAI 2021.
   https://arxiv.org/abs/2007.05426
"""

import dataclasses
import itertools
import math
from collections.abc import Callable

import tensorflow as tf

from tfp_flows.types import TensorLike

__all__ = ["Target", "get", "names"]

_WINDOW_HALF_WIDTH = 4.0
_WINDOW_SCALE = 0.1
_MODE_SCALE = 0.25

Modes = tuple[tuple[float, float], ...]


def _gaussian(x: tf.Tensor, scale: float) -> tf.Tensor:
    """The exponent of a Gaussian bump of height one."""
    return -0.5 * tf.square(x / scale)


def _log_add_exp(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.reduce_logsumexp(tf.stack([a, b], axis=-1), axis=-1)


def _norm(z: tf.Tensor) -> tf.Tensor:
    """Euclidean norm over the last axis, with the gradient 0 at the origin."""
    squared = tf.reduce_sum(tf.square(z), axis=-1)
    is_zero = tf.equal(squared, 0.0)
    root = tf.sqrt(tf.where(is_zero, tf.ones_like(squared), squared))
    return tf.where(is_zero, tf.zeros_like(squared), root)


# The paper's symbols: w1, w2 and w3 are functions of the first coordinate.
def _w1(z1: tf.Tensor) -> tf.Tensor:
    return tf.sin(0.5 * math.pi * z1)


def _w2(z1: tf.Tensor) -> tf.Tensor:
    return 3.0 * tf.exp(_gaussian(z1 - 1.0, 0.6))


def _w3(z1: tf.Tensor) -> tf.Tensor:
    return 3.0 * tf.sigmoid((z1 - 1.0) / 0.3)


def _log_u1(z: tf.Tensor) -> tf.Tensor:
    z1 = z[..., 0]
    ring = _gaussian(_norm(z) - 2.0, 0.4)
    moons = _log_add_exp(_gaussian(z1 - 2.0, 0.6), _gaussian(z1 + 2.0, 0.6))
    return ring + moons


def _log_u2(z: tf.Tensor) -> tf.Tensor:
    z1, z2 = tf.unstack(z, axis=-1)
    return _gaussian(z2 - _w1(z1), 0.4)


def _log_u3(z: tf.Tensor) -> tf.Tensor:
    z1, z2 = tf.unstack(z, axis=-1)
    wave = z2 - _w1(z1)
    return _log_add_exp(_gaussian(wave, 0.35), _gaussian(wave + _w2(z1), 0.35))


def _log_u4(z: tf.Tensor) -> tf.Tensor:
    z1, z2 = tf.unstack(z, axis=-1)
    wave = z2 - _w1(z1)
    return _log_add_exp(_gaussian(wave, 0.4), _gaussian(wave + _w3(z1), 0.35))


def _log_window(z: tf.Tensor) -> tf.Tensor:
    excess = tf.maximum(tf.abs(z) - _WINDOW_HALF_WIDTH, 0.0)
    return tf.reduce_sum(_gaussian(excess, _WINDOW_SCALE), axis=-1)


@dataclasses.dataclass(frozen=True)
class Target:
    """A density on the plane, known up to its normaliser and with it.

    Works in the dtype of its argument: float32, float64, or float32 for
    Python numbers.

    #### Example

    ```python
    import tensorflow as tf
    import tfp_flows

    target = tfp_flows.targets.get("u1")
    z = tf.zeros([100, 2])
    target.unnormalized_log_prob(z)  # shape [100]
    target.log_prob(z)               # the same less `target.log_normalizer`
    ```

    Attributes:
      name: the name that `get` knows it by.
      log_density: `-U(z)` before any window, `[..., 2]` to `[...]`.
      log_normalizer: ln of the integral of `exp(unnormalized_log_prob(z))`.
      windowed: whether the window of the module's docstring is added.
      modes: the means of a mixture's components; none for the energies.
      mode_scale: their standard deviation; None for the energies.
    """

    name: str
    log_density: Callable[[tf.Tensor], tf.Tensor] = dataclasses.field(
        repr=False
    )
    log_normalizer: float
    windowed: bool
    modes: Modes = ()
    mode_scale: float | None = None

    @property
    def event_shape(self) -> tf.TensorShape:
        """Shape of one point."""
        return tf.TensorShape([2])

    def unnormalized_log_prob(self, z: TensorLike) -> tf.Tensor:
        """Log density up to a constant: `-U(z)`, less the window if any.

        Args:
          z: points, `[..., 2]`.

        Returns:
          A tensor of shape `[...]` in the dtype of `z`.

        Raises:
          ValueError: if the last axis of `z` is known not to be of size 2.
        """
        z = tf.convert_to_tensor(z)
        if z.dtype.is_integer:
            z = tf.cast(z, tf.float32)
        if z.shape.rank == 0 or z.shape[-1:] != self.event_shape:
            raise ValueError(
                f"`z` must have a last axis of size 2; got shape {z.shape}."
            )
        log_prob = self.log_density(z)
        return log_prob + _log_window(z) if self.windowed else log_prob

    def log_prob(self, z: TensorLike) -> tf.Tensor:
        """Log density: `unnormalized_log_prob(z) - log_normalizer`."""
        return self.unnormalized_log_prob(z) - self.log_normalizer


def _mixture(name: str, modes_per_side: int) -> Target:
    """Equal Gaussians on a square lattice of spacing 2 around the origin."""
    side = [2.0 * i - (modes_per_side - 1) for i in range(modes_per_side)]
    modes = tuple(itertools.product(side, side))
    log_constant = math.log(len(modes) * 2.0 * math.pi * _MODE_SCALE**2)

    def log_density(z: tf.Tensor) -> tf.Tensor:
        difference = z[..., tf.newaxis, :] - tf.constant(modes, z.dtype)
        bumps = tf.reduce_sum(_gaussian(difference, _MODE_SCALE), axis=-1)
        return tf.reduce_logsumexp(bumps, axis=-1) - log_constant

    return Target(name, log_density, 0.0, False, modes, _MODE_SCALE)


# ln Z by Gauss-Legendre quadrature in float64, converged to all digits shown
# (tests/test_targets.py computes them again).
_TARGETS = {
    target.name: target
    for target in (
        Target("u1", _log_u1, 1.87750162610971, windowed=False),
        Target("u2", _log_u2, 2.11294134117260, windowed=True),
        Target("u3", _log_u3, 2.67255712909208, windowed=True),
        Target("u4", _log_u4, 2.72469445187324, windowed=True),
        _mixture("mog9", 3),
        _mixture("mog16", 4),
    )
}


def names() -> tuple[str, ...]:
    """The names that `get` knows."""
    return tuple(_TARGETS)


def get(name: str) -> Target:
    """Returns the target of that name.

    Args:
      name: one of `names()`.

    Returns:
      A `Target`.

    Raises:
      ValueError: if there is no target of that name.
    """
    if name not in _TARGETS:
        raise ValueError(
            f"`target` must be one of {', '.join(_TARGETS)}; got {name!r}."
        )
    return _TARGETS[name]
