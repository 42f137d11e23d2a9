"""Sizes of the DLGM-sized network, apart from TensorFlow."""

from typing import NamedTuple

__all__ = ["DEFAULT_SIZES", "FLOOR_WEIGHT", "Sizes", "head_width"]

# The floor's sum enters the loss times this: small beside the ELBO, while
# the work does not depend on it.
FLOOR_WEIGHT = 1e-6


class Sizes(NamedTuple):
    """Sizes of the network; the defaults are those of the benchmark."""

    pixels: int = 784
    hidden: int = 400
    latent: int = 40
    batch: int = 100


DEFAULT_SIZES = Sizes()


def head_width(num_flow_steps: int, latent: int) -> int:
    """Outputs of the head: `u, w, b` of every flow step, `loc`, `scale`."""
    return num_flow_steps * (2 * latent + 1) + 2 * latent
