"""Draws as ArviZ takes them."""

import importlib
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.vi import event_space
from tfp_flows.vi.importance import ResampledDraws
from tfp_flows.vi.neural_transport import NeutraResult

__all__ = ["to_arviz"]


def to_arviz(draws: Any) -> Any:
    """A group `posterior` of draws, with the model's names.

    Args:
      draws: what `neutra` or `importance_resample` returned; or a nest of
        draws `[num_draws, ...]`, such as `surrogate.sample(1000)`, which count
        as one chain.

    Returns:
      An `xarray.DataTree` of arviz-base (ArviZ 1), or of an older ArviZ an
      `InferenceData`, with dimensions chain and draw in front.

    Raises:
      ImportError: neither is installed.
    """
    if isinstance(draws, NeutraResult):
        chains_first = tf.nest.map_structure(
            lambda values: np.swapaxes(np.asarray(values), 0, 1), draws.draws
        )
    else:
        if isinstance(draws, ResampledDraws):
            draws = draws.draws
        chains_first = tf.nest.map_structure(
            lambda values: np.asarray(values)[np.newaxis], draws
        )
    return _from_dict(_named(chains_first))


def _named(nest: Any) -> dict[str, np.ndarray]:
    names = event_space.leaf_names(nest)
    return dict(zip(names, tf.nest.flatten(nest), strict=True))


def _from_dict(posterior: dict[str, np.ndarray]) -> Any:
    try:
        base = importlib.import_module("arviz_base")
    except ImportError:
        pass
    else:
        return base.from_dict({"posterior": posterior})
    try:
        arviz = importlib.import_module("arviz")
    except ImportError as error:
        raise ImportError(
            "`to_arviz` needs arviz-base or ArviZ, which this package does not "
            "bring: `pip install arviz-base`."
        ) from error
    return arviz.from_dict(posterior=posterior)
