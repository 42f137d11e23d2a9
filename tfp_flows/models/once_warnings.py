"""What a model tells its user once."""

import inspect
import warnings
from typing import Any

import numpy as np

__all__ = ["OnceWarnings"]

_MOST_NAMED = 5


class OnceWarnings:
    """Warnings that are said once by each owner of an instance."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def labels(self) -> None:
        """Says once that labels are ignored."""
        self._warn("Labels are ignored: the model is fitted to x alone.")

    def non_binary(self, likelihood: str) -> None:
        """Says once what values between 0 and 1 mean to a binary likelihood."""
        self._warn(
            f"The likelihood {likelihood} got values other than 0 and 1: what "
            "it returns is then no log-likelihood of binary images. To draw "
            "binary images anew in each pass: `dataset.map(lambda x: tf.cast("
            "tf.random.uniform(tf.shape(x), dtype=x.dtype) < x, x.dtype))`. "
            "Grey values have likelihood='logit_normal', 'gaussian' or "
            "'discretized_logistic'."
        )

    def unknown_length(self) -> None:
        """Says once why "auto" does not anneal."""
        self._warn(
            "The KL term is not annealed, as annealing='auto' would for this "
            "posterior, because it is not known how many batches the data set "
            "has: give `steps_per_epoch`, or a schedule with `num_steps`."
        )

    def still_annealed(self, annealing: Any, num_updates: int) -> None:
        """Says once that what `fit` leaves is not yet what was wanted."""
        self._warn(
            f"`fit` ended after {num_updates:,} updates, while `annealing` "
            f"weighs the terms of the bound; got {annealing!r}. The model is "
            "not yet trained on the bound itself: train on, or anneal over "
            "fewer updates or a smaller share of them.",
            kind="still_annealed",
        )

    def no_second_derivatives(
        self, posterior: str, part: str = "decoder"
    ) -> None:
        """Says once what a piecewise linear decoder costs the posterior."""
        self._warn(
            f"`{part}` has relu, leaky_relu, maxout or the like, of no second "
            f"derivatives; the gradient of `{posterior}`, whose samples follow "
            "that of log p(x, z), lacks parts of it. Take softplus, gelu or "
            "tanh."
        )

    def rounded_products(self) -> None:
        """Says once what a TPU makes of float32 unless it is told not to."""
        self._warn(
            "A TPU rounds the matrices that it multiplies to bfloat16, in "
            "flows too, whose log-dets then are those of other maps. For "
            "float32, before the model is compiled: "
            "`tf.config.experimental.enable_tensor_float_32_execution(False)`."
        )

    def unbounded_density(self, is_constant: np.ndarray) -> None:
        """Says once which coordinates `[D]` do not vary, if some do not."""
        (places,) = np.nonzero(is_constant)
        if not places.size:
            return
        named = ", ".join(map(str, places[:_MOST_NAMED]))
        more = ", ..." if places.size > _MOST_NAMED else ""
        self._warn(
            "`x` should vary in each coordinate, or the density has no bound "
            "and training raises it without end; got constant values in "
            f"{places.size} of {is_constant.size} coordinates: {named}{more}. "
            "Leave them out, give `noise_scale`, or `num_levels` if data are "
            "whole numbers.",
            kind="unbounded_density",
        )

    def _warn(self, message: str, kind: str | None = None) -> None:
        if (kind or message) in self._said:
            return
        self._said.add(kind or message)
        level, frame = 0, inspect.currentframe()
        while frame is not None:  # to code that is not a library's
            package = frame.f_globals.get("__name__", "").partition(".")[0]
            if package not in ("tfp_flows", "keras", "contextlib"):
                break
            level, frame = level + 1, frame.f_back
        warnings.warn(message, UserWarning, stacklevel=level + 1)
