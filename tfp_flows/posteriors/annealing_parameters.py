"""The weights of annealed dynamics: step sizes, betas and tempering."""

import math
from typing import Any

import keras
import tensorflow as tf

from tfp_flows._arguments import as_positive_number
from tfp_flows.layers.parameter_head import ParameterHead, ParameterSpec
from tfp_flows.math import hamiltonian

__all__ = ["BETAS", "TEMPERINGS", "AnnealingParameters", "check"]

TEMPERINGS = ("none", "quadratic", "free")
BETAS = ("learned", "linear", "ones")

# Of Caterini et al. (2018): T_0, and the factors alpha.
_INITIAL_TEMPERATURE, _INITIAL_FACTOR = 1.5, 0.9


class AnnealingParameters(ParameterHead):
    """What `math.hamiltonian.anneal` takes by name, from weights.

    step_sizes = largest_step_size * sigmoid(w)             [K, D]
    betas = cumsum(softmax(w))                              [K]
    T_0 = 1 + softplus(w)  or  alpha = sigmoid(w)           [] or [K]
    """

    def __init__(
        self,
        latent_size: int,
        num_bridges: int,
        tempering: str,
        betas: str,
        initial_step_size: float,
        largest_step_size: float,
        learn_step_sizes: bool,
        **kwargs: Any,
    ) -> None:
        """Constructs the layer; see `HamiltonianPosterior`."""
        self._num_bridges = num_bridges
        self._tempering = tempering
        self._betas = betas
        self._largest_step_size = largest_step_size
        specs = {}
        if num_bridges:
            specs["unconstrained_step_sizes"] = ParameterSpec(
                (num_bridges, latent_size),
                _constant(_logit(initial_step_size / largest_step_size)),
                trainable=learn_step_sizes,
            )
        if num_bridges > 1 and betas == "learned":
            specs["beta_logits"] = ParameterSpec((num_bridges,), _constant(0.0))
        if num_bridges and tempering == "quadratic":
            excess = math.log(math.expm1(_INITIAL_TEMPERATURE - 1.0))
            specs["unconstrained_temperature"] = ParameterSpec(
                (), _constant(excess)
            )
        if num_bridges and tempering == "free":
            specs["tempering_logits"] = ParameterSpec(
                (num_bridges,), _constant(_logit(_INITIAL_FACTOR))
            )
        super().__init__(specs, **kwargs)

    def parameters(
        self, context: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """`betas`, `step_sizes` and, with tempering, `tempering`."""
        weights = super().parameters(context)
        if not self._num_bridges:
            return {}
        dtype = tf.as_dtype(self.variable_dtype)
        betas = hamiltonian.linear_betas(self._num_bridges, dtype)
        if self._betas == "ones":
            betas = tf.ones_like(betas)
        if "beta_logits" in weights:
            grown = tf.cumsum(tf.nn.softmax(weights["beta_logits"]))
            betas = grown / grown[-1]  # which is 1 but for rounding
        parameters = {
            "betas": betas,
            "step_sizes": self._largest_step_size
            * tf.sigmoid(weights["unconstrained_step_sizes"]),
        }
        if "unconstrained_temperature" in weights:
            excess = tf.math.softplus(weights["unconstrained_temperature"])
            parameters["tempering"] = hamiltonian.quadratic_tempering(
                1.0 + excess, self._num_bridges
            )
        if "tempering_logits" in weights:
            parameters["tempering"] = tf.sigmoid(weights["tempering_logits"])
        return parameters


def check(
    tempering: str,
    betas: str,
    initial_step_size: float,
    largest_step_size: float,
) -> None:
    """Raises a ValueError unless all are as `HamiltonianPosterior` says."""
    for name, value, known in (
        ("tempering", tempering, TEMPERINGS),
        ("betas", betas, BETAS),
    ):
        if value not in known:
            raise ValueError(
                f"`{name}` must be one of {', '.join(known)}; got {value!r}."
            )
    as_positive_number("largest_step_size", largest_step_size)
    if not 0.0 < initial_step_size < largest_step_size:
        raise ValueError(
            "`initial_step_size` must be positive and less than "
            f"`largest_step_size`; got {initial_step_size!r} and "
            f"{largest_step_size!r}."
        )


def _constant(value: float) -> keras.initializers.Initializer:
    return keras.initializers.Constant(value)


def _logit(share: float) -> float:
    return math.log(share) - math.log1p(-share)
