"""On which devices a run computes: chosen once, by name.

default       one device: the GPU if there is one, else the CPU
mirrored      all GPUs of this machine, or all logical CPUs
multi_worker  all devices of the processes that TF_CONFIG names
tpu           all cores of a TPU
auto          the workers of TF_CONFIG if it names several, else a TPU if
              the machine shows one and TensorFlow's build is for TPUs, else
              all GPUs of this machine if it has several, else one device
"""

import contextlib
import dataclasses
import functools
import glob
import importlib.metadata
import os
from collections.abc import Iterator

import tensorflow as tf
from absl import logging

from tfp_flows import replicas
from tfp_flows.math import tracing
from trainers.runs import errors, workers

__all__ = ["NAMES", "Devices", "make", "watch"]

NAMES = ("auto", "default", "mirrored", "multi_worker", "tpu")
_TPU_BUILD = "tensorflow-tpu"
# What a collective operation ends with when another worker is lost.
_OF_LOSS = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnavailableError,
)


@dataclasses.dataclass(frozen=True)
class Devices:
    """Where a run computes, and what this process does of it.

    Attributes:
      strategy: of `tf.distribute`.
    """

    strategy: tf.distribute.Strategy

    @property
    def num_replicas(self) -> int:
        """How many share every batch."""
        return self.strategy.num_replicas_in_sync

    @property
    def num_workers(self) -> int:
        """How many processes they belong to."""
        return replicas.num_workers(self.strategy)

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes."""
        return workers.is_chief(self.strategy)

    @property
    def reader(self) -> str:
        """The name of this process; empty if it is the chief."""
        if self.is_chief:
            return ""
        resolver = self.strategy.cluster_resolver
        return f"{resolver.task_type} {resolver.task_id}"

    @property
    def may_compile(self) -> bool:
        """Whether XLA may be asked to compile a step: for one device alone.

        On a TPU it compiles unasked, and on its host there is none.
        """
        return not replicas.is_distributed(self.strategy) and tracing.has_xla()

    def any_worker(self, value: bool) -> bool:
        """Whether it is true in any of the processes; all of them must ask."""
        if self.num_workers == 1:
            return value
        return workers.sum_over(self.strategy, float(value)) > 0.0

    def of_chief(self, value: int) -> int:
        """The chief's number, below 2**24; all processes must ask."""
        if self.num_workers == 1:
            return value
        own = float(value if self.is_chief else 0)
        return int(workers.sum_over(self.strategy, own))

    def check_same_step(self, step: int, workdir: str) -> None:
        """Refuses a workdir from which workers read different steps.

        Raises:
          InputError: in all of them.
        """
        if self.any_worker(step % 2**24 != self.of_chief(step % 2**24)):
            raise errors.InputError(
                "`workdir` must show all workers the same checkpoints; got "
                f"step {step} of {workdir!r} here, and another in one of them."
            )

    def wait(self) -> None:
        """Returns when all processes have come here."""
        self.any_worker(False)


@contextlib.contextmanager
def watch(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns what TensorFlow raises for a lost worker into a line.

    Raises:
      WorkerLostError: another worker stopped answering.
    """
    try:
        yield
    except (tf.errors.OpError, errors.StorageError) as error:
        # Saving is something that all workers do, too.
        cause = error.__cause__ or error
        if not isinstance(cause, _OF_LOSS):
            raise
        if replicas.num_workers(strategy) == 1:
            raise
        reason = " ".join(str(cause.message).split())
        raise errors.WorkerLostError(
            f"another worker stopped answering ({reason[:200]}); the same "
            "command, given to all of them, goes on from the last checkpoint."
        ) from error


def make(name: str = "auto", tpu: str = "local") -> Devices:
    """Returns the devices of that name.

    Args:
      name: one of `NAMES`; see the module.
      tpu: name or address of the TPU, for "tpu".

    Returns:
      Them, under a strategy of `tf.distribute`.

    Raises:
      InputError: for any other name, for devices that are not there, or for
        workers that are not as TF_CONFIG says.
    """
    if name not in NAMES:
        raise errors.InputError(
            f"`strategy` must be one of {', '.join(NAMES)}; got {name!r}."
        )
    if name == "auto":
        name = _picked()
    if name == "multi_worker":
        return Devices(workers.strategy())
    if name == "tpu":
        return Devices(_on_tpu(tpu))
    if name == "mirrored":
        return Devices(_mirrored())
    return Devices(tf.distribute.get_strategy())


def _picked() -> str:
    """What "auto" stands for here; says so."""
    num_workers = workers.count_configured()
    if num_workers > 1:
        logging.info("Computing on %d workers of TF_CONFIG.", num_workers)
        return "multi_worker"
    if _has_tpu():
        logging.info("Computing on a TPU.")
        return "tpu"
    num_gpus = len(tf.config.list_physical_devices("GPU"))
    logging.info("Computing on %s.", _devices_in_words(num_gpus))
    return "mirrored" if num_gpus > 1 else "default"


def _devices_in_words(num_gpus: int) -> str:
    if num_gpus > 1:
        return f"{num_gpus} GPUs, each with its share of every batch"
    return "one GPU" if num_gpus else "the CPU"


def _has_tpu() -> bool:
    """Whether this TensorFlow can use one, and the machine shows one."""
    try:
        importlib.metadata.version(_TPU_BUILD)
    except importlib.metadata.PackageNotFoundError:
        return False
    shown = glob.glob("/dev/accel[0-9]*") + glob.glob("/dev/vfio/[0-9]*")
    return bool(shown) or "TPU_NAME" in os.environ


@functools.cache
def _mirrored() -> tf.distribute.Strategy:
    # One per process: each numbers its collective operations from the start,
    # and TensorFlow takes those of a second one for those of the first.
    return tf.distribute.MirroredStrategy()


@functools.cache
def _on_tpu(tpu: str) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (
        tf.errors.OpError,
        ImportError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        reason = " ".join(str(getattr(error, "message", error)).split())
        raise errors.InputError(
            "`tpu` must name a TPU that this TensorFlow can reach, which is "
            f"its build {_TPU_BUILD}; got {tpu!r} ({reason[:200]})."
        ) from error
    # Else the TPU rounds what it multiplies to bfloat16, in flows too, whose
    # maps and log-dets then no longer fit each other.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    return tf.distribute.TPUStrategy(resolver)
