"""What densities are trained, validated and tested on, by a config's word."""

import abc
from typing import Any

import numpy as np
import tensorflow as tf
from ml_collections import config_dict

from trainers.densities import planar_data, simulators, tables
from trainers.runs import batches, errors
from trainers.sources import images, sbibm

__all__ = [
    "DensityData",
    "PlanarStream",
    "Rows",
    "SimulatedRows",
    "TableRows",
    "load",
]

# "x" and, of a conditional density, "context", or an array of x alone.
Examples = Any


class DensityData(abc.ABC):
    """Examples for training by the step, and others, always the same ones.

    Attributes:
      name: by which results know them.
      validation: examples; may be none.
      test: examples.
    """

    name: str
    validation: Examples
    test: Examples

    @abc.abstractmethod
    def training_dataset(
        self, config: config_dict.ConfigDict, first_step: int
    ) -> tf.data.Dataset:
        """The batches of all steps from `first_step` on."""

    @abc.abstractmethod
    def to_adapt(self, config: config_dict.ConfigDict) -> Examples:
        """Training examples of which a model takes mean and scale."""

    @property
    @abc.abstractmethod
    def protocol(self) -> dict[str, Any]:
        """What results must be read with: splits and sizes."""

    @property
    def shapes(self) -> Any:
        """With a batch axis, as a model is built for them."""
        return tf.nest.map_structure(
            lambda part: (None, *part.shape[1:]), self.test
        )

    @property
    def event_size(self) -> int:
        """D, of the flattened x."""
        x = self.test["x"] if isinstance(self.test, dict) else self.test
        return int(np.prod(x.shape[1:]))

    @property
    def num_validation(self) -> int:
        """How many examples there are for validation."""
        return len(tf.nest.flatten(self.validation)[0])


class PlanarStream(DensityData):
    """Fresh points in the plane at every step; a fixed sample for the test."""

    def __init__(self, config: config_dict.ConfigDict) -> None:
        """Draws the test points.

        Args:
          config: as made by `configs/density_2d.py`.
        """
        self.source = planar_data.PLANAR_DATA[config.data.dataset]
        self.name = self.source.name
        seed = config.training.seed
        self.test = self.source.samples(
            config.evaluation.num_samples, seed=seed, purpose="test"
        )
        self.validation = self.test[:0]  # new points need none

    def training_dataset(
        self, config: config_dict.ConfigDict, first_step: int
    ) -> tf.data.Dataset:
        """See `DensityData`."""
        return batches.of_steps(
            lambda step: self.source.sample(
                config.training.batch_size,
                seed=config.training.seed,
                step=step,
                purpose="training",
            ),
            config,
            first_step,
        )

    def to_adapt(self, config: config_dict.ConfigDict) -> Examples:
        """See `DensityData`."""
        return self.source.samples(
            10_000, seed=config.training.seed, purpose="standardisation"
        )

    @property
    def protocol(self) -> dict[str, Any]:
        """See `DensityData`."""
        return {
            "dataset": self.name,
            "num_test": len(self.test),
            "training": "fresh points at every step",
        }


class Rows(DensityData):
    """Examples in memory, of which a step takes some."""

    def __init__(
        self,
        name: str,
        train: Examples,
        validation: Examples,
        test: Examples,
    ) -> None:
        """Keeps the examples; they become float32 when they are used."""
        self.name, self.train = name, train
        self.validation, self.test = validation, test

    @property
    def num_train(self) -> int:
        """How many examples there are for training."""
        return len(tf.nest.flatten(self.train)[0])

    def training_dataset(
        self, config: config_dict.ConfigDict, first_step: int
    ) -> tf.data.Dataset:
        """See `DensityData`."""
        with tf.device("CPU:0"):  # an accelerator's memory has better uses
            parts = tf.nest.map_structure(tf.constant, self.train)

        def batch_of_step(step: tf.Tensor) -> Any:
            rows = batches.rows_of_step(step, self.num_train, config)
            return tf.nest.map_structure(
                lambda part: tf.ensure_shape(
                    tf.cast(tf.gather(part, rows), tf.float32),
                    [config.training.batch_size, *part.shape[1:]],
                ),
                parts,
            )

        return batches.of_steps(batch_of_step, config, first_step)

    def to_adapt(self, config: config_dict.ConfigDict) -> Examples:
        """See `DensityData`."""
        del config
        return self.train

    @property
    def protocol(self) -> dict[str, Any]:
        """See `DensityData`."""
        return {
            "dataset": self.name,
            "num_train": self.num_train,
            "num_validation": self.num_validation,
            "num_test": len(tf.nest.flatten(self.test)[0]),
        }


class TableRows(Rows):
    """Rows of a table: standardised targets as x, given the inputs.

    Attributes:
      table: with the names of its columns and the scales of its targets.
    """

    def __init__(self, name: str, table: tables.TableSplit) -> None:
        """Names the parts as `FlowDensity` takes them."""
        self.table = table
        super().__init__(
            name,
            *(
                {"x": targets, "context": inputs}
                for inputs, targets in (
                    table.train,
                    table.validation,
                    table.test,
                )
            ),
        )

    @property
    def protocol(self) -> dict[str, Any]:
        """See `DensityData`."""
        return {
            **super().protocol,
            "test_rows": "published"
            if self.table.is_published
            else "a tenth, seeded",
            "inputs": list(self.table.input_names),
            "targets": list(self.table.target_names),
            "target_scales": self.table.target_scales.tolist(),
        }


class SimulatedRows(Rows):
    """Simulations: parameters as x, given the data that they led to.

    Attributes:
      simulator: of which they are.
      references: draws of the posteriors, given observations.
    """

    def __init__(
        self, config: config_dict.ConfigDict, references: sbibm.References
    ) -> None:
        """Simulates.

        Args:
          config: as made by `configs/sbibm.py`.
          references: of the same simulator.

        Raises:
          InputError: the references are none of the simulator's.
        """
        settings, seed = config.data, config.training.seed
        self.simulator = simulators.SIMULATORS[settings.dataset]
        self.references = references
        expected = (self.simulator.num_observed, self.simulator.num_parameters)
        found = references.observations.shape[-1], references.draws.shape[-1]
        if found != expected:
            raise errors.InputError(
                "`sbibm` must have observations and parameters of "
                f"{settings.dataset} of sizes {expected}; got {found}."
            )

        def simulated(n: int, purpose: str) -> dict[str, np.ndarray]:
            names = ("x", "context")
            drawn = self.simulator.simulate(n, seed=seed, purpose=purpose)
            return dict(zip(names, drawn, strict=True))

        rows = simulated(settings.num_simulations, "training")
        first = round(settings.validation_share * settings.num_simulations)
        super().__init__(
            settings.dataset,
            train={name: part[first:] for name, part in rows.items()},
            validation={name: part[:first] for name, part in rows.items()},
            test=simulated(settings.num_test, "test"),
        )


def load(
    config: config_dict.ConfigDict, data_dir: str | None = None
) -> DensityData:
    """The data that a checked config names.

    Args:
      config: as made by `configs/density_defaults.py`.
      data_dir: folder of the tables or of TFDS data, if they are needed.

    Raises:
      InputError: they are not there, or do not fill one batch.
    """
    settings = config.data
    if config.model.name == "density_2d":
        return PlanarStream(config)
    found: Rows
    if config.model.name == "sbibm":
        found = SimulatedRows(config, sbibm.load(settings.dataset))
    elif settings.dataset in tables.TABLES:
        table = tables.load(
            settings.dataset,
            settings.split,
            validation_share=settings.validation_share,
            largest_input=settings.largest_input,
            data_dir=data_dir,
        )
        found = TableRows(settings.dataset, table)
    else:
        splits = images.load_images(
            settings.dataset, data_dir, settings.num_validation
        )
        found = Rows(splits.name, splits.train, splits.validation, splits.test)
    batch_size = config.training.batch_size
    if batch_size > found.num_train:
        raise errors.InputError(
            "`training.batch_size` must be at most the number of training "
            f"examples, {found.num_train}; got {batch_size}."
        )
    return found
