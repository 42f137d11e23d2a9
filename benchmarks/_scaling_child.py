"""A measuring process of `scaling`: one model, trained in several ways."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfp_flows
from benchmarks import _measure
from benchmarks._dlgm_sizes import Sizes
from benchmarks._long_flow_child import versions
from trainers.runs import train_steps, workers

__all__ = ["main", "measure"]


def measure(
    ways: list[str],
    batch_sizes: list[int],
    num_devices: int,
    sizes: dict[str, int],
    num_flow_steps: int,
    window_steps: int,
    num_rounds: int,
    tf_config: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Seconds of every way, for each batch size, round by round.

    Args:
      ways: of `scaling.WAYS`; they take turns.
      batch_sizes: global ones, divided among replicas.
      num_devices: GPUs, or logical CPUs where there are none.
      sizes: of the networks, see `Sizes`.
      num_flow_steps: K.
      window_steps: steps that are timed at once, in one compiled call.
      num_rounds: how often.
      tf_config: the cluster, of one of several workers.
    """
    if tf_config is not None:
        os.environ["TF_CONFIG"] = json.dumps(tf_config)
    names = _devices(num_devices)
    strategies = {way: _strategy(way, names) for way in ways}
    is_chief = all(map(workers.is_chief, strategies.values()))
    seconds = {}
    for batch_size in batch_sizes:
        network = Sizes(**{**sizes, "batch": batch_size})
        calls = {
            way: _call(way, strategy, network, num_flow_steps, window_steps)
            if is_chief or way == "multi_worker"
            else lambda: None  # this one waits while the first does it alone
            for way, strategy in strategies.items()
        }
        for call in calls.values():
            call()  # compiles
        seconds[str(batch_size)] = _measure.in_turns(calls, num_rounds)
    return {
        "seconds": seconds,
        "devices": names,
        "is_chief": is_chief,
        "num_replicas": {
            way: strategy.num_replicas_in_sync
            for way, strategy in strategies.items()
        },
        "versions": {**versions(), "keras": keras.__version__},
    }


def _devices(count: int) -> list[str]:
    """Names of so many GPUs; without any, the CPU is split.

    Raises:
      ValueError: there are fewer GPUs.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        if count > 1:
            tf.config.set_logical_device_configuration(
                tf.config.list_physical_devices("CPU")[0],
                [tf.config.LogicalDeviceConfiguration()] * count,
            )
        return [f"CPU:{index}" for index in range(count)]
    if len(gpus) < count:
        raise ValueError(
            f"`replicas` must be at most the {len(gpus)} GPUs; got {count}."
        )
    return [f"GPU:{index}" for index in range(count)]


def _strategy(way: str, devices: list[str]) -> tf.distribute.Strategy:
    if way == "one_device":
        return tf.distribute.OneDeviceStrategy(devices[0])
    if way == "mirrored":
        return tf.distribute.MirroredStrategy(devices)
    if way == "multi_worker":
        return workers.strategy()
    return tf.distribute.get_strategy()


def _call(
    way: str,
    strategy: tf.distribute.Strategy,
    sizes: Sizes,
    num_flow_steps: int,
    window_steps: int,
) -> Callable[[], None]:
    """What takes the steps of a window, and waits for them."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = _model(sizes, num_flow_steps)
        model.compile(keras.optimizers.Adam(1e-3), jit_compile=way == "xla")
        model.optimizer.build(model.trainable_variables)
    images = np.random.default_rng(0).integers(
        0, 2, [sizes.batch, sizes.pixels]
    )
    dataset = tf.data.Dataset.from_tensors(images.astype(np.float32)).repeat()
    batches = iter(strategy.experimental_distribute_dataset(dataset))
    steps = train_steps.TrainSteps(model)

    def call() -> None:
        steps(batches, window_steps)
        steps.check()

    return call


def _model(sizes: Sizes, num_flow_steps: int) -> tfp_flows.models.DLGM:
    hidden = [sizes.hidden, sizes.hidden]
    model = tfp_flows.models.DLGM(
        encoder=tfp_flows.layers.MLP(hidden),
        posterior=tfp_flows.posteriors.FlowPosterior(
            sizes.latent, tfp_flows.layers.PlanarFlow(num_flow_steps)
        ),
        decoder=tfp_flows.layers.MLP(hidden, output_size=sizes.pixels),
        annealing=None,
    )
    model.build((None, sizes.pixels))
    return model


def main(task_file: str, result_file: str) -> None:
    """Reads a task, measures and writes the values."""
    task = json.loads(Path(task_file).read_text())
    Path(result_file).write_text(json.dumps(measure(**task)))


if __name__ == "__main__":
    main(*sys.argv[1:])
