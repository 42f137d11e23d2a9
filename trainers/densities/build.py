"""From a config to a model of a density."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from ml_collections import config_dict

from configs import binarized_mnist
from tfp_flows import models
from tfp_flows.math.networks import ACTIVATIONS
from tfp_flows.posteriors.gaussian_bases import BASES
from trainers import checks, flows
from trainers.densities import planar_data, simulators, tables
from trainers.densities.data import DensityData, SimulatedRows
from trainers.densities.dropout import Dropout
from trainers.runs import batches, data_run
from trainers.sources import images

__all__ = ["adapt", "build_model", "check_config"]

tfb = tfp.bijectors

_BINARY_IMAGES = tuple(
    name for name, known in images.IMAGE_SETS.items() if known.max_value == 1
)
# Of each experiment, what it can be trained on.
_DATASETS = {
    "density_2d": tuple(planar_data.PLANAR_DATA),
    "uci_density": tuple(tables.TABLES),
    "made": _BINARY_IMAGES,
    "sbibm": tuple(simulators.SIMULATORS),
}
# A parameter may lie on the boundary of its prior, its support is open.
_MARGIN = 1e-5


def check_config(config: config_dict.ConfigDict, num_replicas: int = 1) -> None:
    """Refuses a config that cannot be run.

    Args:
      config: as made by `configs/density_defaults.py`.
      num_replicas: among which a batch is divided.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    checks.one_of(config, "data.dataset", _DATASETS[config.model.name])
    checks.require(
        config,
        ["data.split"],
        lambda v: 0 <= v < tables.NUM_SPLITS,
        f"be from 0 to {tables.NUM_SPLITS - 1}",
    )
    checks.require(
        config,
        ["data.validation_share"],
        lambda v: 0 < v < 1,
        "be between 0 and 1",
    )
    checks.positive(config, "data.largest_input", "optimizer.learning_rate")
    checks.at_least(config, 0, "data.num_validation")
    checks.at_least(
        config,
        2,
        "data.num_simulations",
        "data.num_test",
        "evaluation.num_reference_draws",
    )
    checks.not_negative(
        config,
        "optimizer.warmup_steps",
        "optimizer.final_fraction",
        "optimizer.weight_decay",
        "optimizer.global_clipnorm",
    )
    checks.require(
        config, ["optimizer.beta_2"], lambda v: 0 <= v < 1, "be in [0, 1)"
    )
    checks.require(
        config,
        ["training.seed"],
        lambda v: 0 <= v < 2**31,
        "be in [0, 2**31)",
    )
    checks.at_least(
        config,
        1,
        "evaluation.batch_size",
        "evaluation.num_samples",
        "evaluation.grid_size",
    )
    checks.positive(config, "evaluation.half_width")
    data_run.check_config(config)
    batches.check_batch_size(config, num_replicas)
    if config.model.name == "made":
        _check_made(config)
    else:
        _check_flow_density(config, num_replicas)


def _check_made(config: config_dict.ConfigDict) -> None:
    checks.one_of(config, "model.activation", ACTIVATIONS)
    checks.at_least(config, 1, "model.num_masks")
    checks.one_of(config, "model.order", binarized_mnist.ORDERS)
    _check_units(config)


def _check_units(config: config_dict.ConfigDict) -> None:
    checks.require(
        config,
        ["model.hidden_units"],
        lambda units: units and all(n >= 1 for n in units),
        "hold integers that are at least 1",
    )


def _check_flow_density(
    config: config_dict.ConfigDict, num_replicas: int
) -> None:
    checks.one_of(config, "model.base", (*BASES, "mixture"))
    checks.at_least(config, 1, "model.num_components")
    checks.not_negative(
        config, "model.noise_scale", "model.context_noise_scale"
    )
    size, dataset = 2, config.data.dataset
    if config.model.name == "sbibm":
        size = simulators.SIMULATORS[dataset].num_parameters
    elif config.model.name == "uci_density":
        size = len(tables.TABLES[dataset].targets)
    if "hidden_units" in config.model:  # of an encoder
        _check_units(config)
        checks.require(
            config, ["model.dropout"], lambda v: 0 <= v < 1, "be in [0, 1)"
        )
        if config.model.dropout and num_replicas > 1:
            checks.refuse(
                config,
                "model.dropout",
                "be 0 on several replicas, whose masks would be equal",
            )
    checks.check_flow(config, "model", size)


def build_model(
    config: config_dict.ConfigDict, data: DensityData
) -> keras.Model:
    """The model with its initial weights, which the config's seed decides.

    To that end the global random generators of Python, NumPy and TensorFlow
    are seeded.

    Args:
      config: checked.
      data: whose shapes, and perhaps whose moments, the model takes.
    """
    keras.utils.set_random_seed(config.training.seed)
    if config.model.name == "made":
        return _made(config, data)
    settings = config.model
    is_conditional = "context" in data.shapes
    model = models.FlowDensity(
        flow=flows.make_flow(settings, seed=config.training.seed),
        base=settings.base,
        encoder=_encoder(config) if is_conditional else None,
        support=_support(data),
        standardize=settings.standardize,
        num_components=settings.num_components,
        noise_scale=settings.noise_scale,
        context_noise_scale=settings.context_noise_scale
        if is_conditional
        else 0.0,
        seed=config.training.seed,
    )
    model.build(data.shapes)
    adapt(model, config, data)
    return model


def _support(data: DensityData) -> tfb.Bijector | None:
    """Where a prior is uniform; None: everywhere."""
    if not isinstance(data, SimulatedRows):
        return None
    end = data.simulator.half_width * (1.0 + _MARGIN)
    return tfb.Sigmoid(low=tf.constant(-end), high=tf.constant(end))


def adapt(
    model: keras.Model, config: config_dict.ConfigDict, data: DensityData
) -> None:
    """Lets a model take mean and scale of the data, if the config says so.

    Args:
      model: as `build_model` returns it.
      config: of which it was made.
      data: perhaps others than it was made for.
    """
    if config.model.get("standardize"):
        model.adapt(data.to_adapt(config))


def _encoder(config: config_dict.ConfigDict) -> keras.Model:
    """From inputs to the features on which base and flow depend."""
    settings, parts = config.model, []
    for i, units in enumerate(settings.hidden_units):
        parts.append(keras.layers.Dense(units, settings.activation))
        if settings.dropout:
            seed = config.training.seed + i
            parts.append(Dropout(settings.dropout, seed=seed))
    return keras.Sequential(parts, name="encoder")


def _order(
    config: config_dict.ConfigDict, data: DensityData
) -> Sequence[int] | None:
    if config.model.order == "random":
        return None
    return range(math.prod(data.shapes[1:]))


def _made(config: config_dict.ConfigDict, data: DensityData) -> keras.Model:
    model = models.BernoulliMADE(
        tuple(config.model.hidden_units),
        config.model.activation,
        order=_order(config, data),
        event_shape=data.shapes[1:],
        seed=config.training.seed,
        num_masks=config.model.num_masks,
        direct_connections=config.model.direct_connections,
    )
    model.build(data.shapes)
    return model
