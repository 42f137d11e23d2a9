"""Several processes that train together, as TF_CONFIG names them.

    TF_CONFIG='{"cluster": {"worker": ["a:2222", "b:2222"]},
                "task": {"type": "worker", "index": 0}}'

The first worker, or the `chief` where there is one, writes the workdir; all of
them read it.
"""

import functools
import json
import os
import re
import socket
import time
from typing import Any

import tensorflow as tf

from tfp_flows import replicas
from trainers.runs import errors

__all__ = ["count_configured", "is_chief", "strategy", "sum_over"]

_SECONDS_TO_START = 60.0
_TYPES = ("chief", "worker")
_ADDRESS = (
    r"[^:\s]+:\d{1,5}"  # no IPv6, which TensorFlow's servers are not told
)


def _config() -> dict[str, Any]:
    """What TF_CONFIG holds, checked; empty if it is not set.

    Raises:
      InputError: it is not what the module says.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text.strip():
        return {}

    def refused(rule: str, got: Any) -> errors.InputError:
        return errors.InputError(f"TF_CONFIG must {rule}; got {got!r}.")

    try:
        config = json.loads(text)
    except ValueError as error:
        raise refused("be JSON", text) from error
    cluster = config.get("cluster") if isinstance(config, dict) else None
    if not isinstance(cluster, dict) or not set(cluster) <= {*_TYPES}:
        raise refused(f"have a `cluster` of {' and '.join(_TYPES)}", cluster)
    for addresses in cluster.values():
        if not isinstance(addresses, list) or not all(
            isinstance(a, str) and re.fullmatch(_ADDRESS, a) for a in addresses
        ):
            raise refused("list addresses such as 'host:2222'", addresses)
    if len(cluster.get("chief", ())) > 1:
        raise refused("name one chief", cluster["chief"])
    task = config.get("task")
    if not isinstance(task, dict) or task.get("type") not in cluster:
        raise refused("have a `task` whose `type` is in the cluster", task)
    index, size = task.get("index"), len(cluster[task["type"]])
    if type(index) is not int or not 0 <= index < size:
        raise refused(f"have a `task` whose `index` is below {size}", index)
    return config


def count_configured() -> int:
    """How many processes TF_CONFIG names.

    Raises:
      InputError: it cannot be read.
    """
    return sum(map(len, _config().get("cluster", {}).values()))


@functools.cache
def strategy() -> tf.distribute.Strategy:
    """The strategy of TF_CONFIG; returns when all workers have come.

    Raises:
      InputError: TF_CONFIG is not set, or wrong.
      WorkerLostError: workers do not come within a minute.
    """
    config = _config()
    if not config:
        raise errors.InputError(
            "TF_CONFIG must be set for the strategy multi_worker; got nothing."
        )
    task, cluster = config["task"], config["cluster"]
    addresses = {
        (kind, index): address
        for kind, listed in cluster.items()
        for index, address in enumerate(listed)
    }
    own = addresses.pop((task["type"], task["index"]))
    _meet(own, list(addresses.values()))
    return tf.distribute.MultiWorkerMirroredStrategy()


def _meet(own: str, others: list[str]) -> None:
    """Returns when all workers listen.

    TensorFlow would wait for an hour, and could not be interrupted.

    Raises:
      InputError: the worker's own port is taken.
      WorkerLostError: naming those that did not come.
    """
    deadline = time.monotonic() + _SECONDS_TO_START
    port = int(own.rpartition(":")[2])
    try:
        # Until TensorFlow listens there itself.
        listener = socket.create_server(("", port), backlog=len(others) + 8)
    except (OSError, OverflowError) as error:
        raise errors.InputError(
            "TF_CONFIG must give each worker a port of its machine that is "
            f"free; got {own!r} ({error})."
        ) from error
    with listener:
        while missing := [one for one in others if not _answers(one)]:
            if time.monotonic() > deadline:
                raise errors.WorkerLostError(
                    "TF_CONFIG must name workers that start within "
                    f"{_SECONDS_TO_START:.0f} s of each other; got no answer "
                    f"of {', '.join(missing)}."
                )
            time.sleep(0.2)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2.0):
            return True
    except (OSError, OverflowError):
        return False


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the first of them."""
    if replicas.num_workers(strategy) == 1:
        return True
    resolver = strategy.cluster_resolver
    has_chief = "chief" in resolver.cluster_spec().as_dict()
    first = "chief" if has_chief else "worker"
    return (resolver.task_type, resolver.task_id) == (first, 0)


def sum_over(strategy: tf.distribute.Strategy, value: float) -> float:
    """The sum of the processes' numbers; all of them must ask for it."""
    return float(_summed(strategy)(tf.constant(value)))


@functools.cache
def _summed(strategy: tf.distribute.Strategy) -> Any:
    num_local = strategy.num_replicas_in_sync // replicas.num_workers(strategy)

    @tf.function(autograph=False)
    def summed(value: tf.Tensor) -> tf.Tensor:
        def of_replica() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            # Of the first replica in each process.
            index = tf.cast(context.replica_id_in_sync_group, tf.int32)
            own = tf.where(index % num_local == 0, value, 0.0)
            return context.all_reduce("SUM", own)

        return strategy.experimental_local_results(strategy.run(of_replica))[0]

    return summed
