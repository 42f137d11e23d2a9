"""`fit` and all else by two replicas, of one process or of two, as by one."""

import functools
import itertools
import json
import os
import pathlib
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.distributed import mirrored_strategy, on_two_cpus
from tfp_flows.layers import MLP, IAFFlow, PlanarFlow, SplineCouplingFlow
from tfp_flows.models import DLGM
from tfp_flows.posteriors import (
    CIFPosterior,
    FlowPosterior,
    HamiltonianPosterior,
)
from trainers import launch_local

ROOT = pathlib.Path(__file__).parents[2]
TIMEOUT = 900
# 51 steps, in one epoch: each costs workers a second. The last batch is of 1.
N, X, D, BATCH_SIZE = 201, 6, 2, 4

_FLOAT64 = {"dtype": "float64"}
_NETWORK = {"hidden_units": (8,), **_FLOAT64}
POSTERIORS = {
    "none": lambda: FlowPosterior(D, **_FLOAT64),
    "planar": lambda: FlowPosterior(D, PlanarFlow(2, seed=0, **_FLOAT64)),
    "iaf": lambda: FlowPosterior(D, IAFFlow(2, seed=0, **_NETWORK)),
    "spline_coupling": lambda: FlowPosterior(
        D, SplineCouplingFlow(2, seed=0, **_NETWORK)
    ),
    "cif": lambda: CIFPosterior(
        D, [PlanarFlow(1, seed=0, **_FLOAT64)], auxiliary_size=1
    ),
    "hamiltonian": lambda: HamiltonianPosterior(
        FlowPosterior(D, **_FLOAT64), num_bridges=2
    ),
}
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.02),
    "adam": lambda: keras.optimizers.Adam(0.01),
}
CASES = list(itertools.product(POSTERIORS, OPTIMIZERS))
# Under a strategy; 51 steps in executions of two, the last of one.
STEPS_PER_EXECUTION = {("planar", "adam"): 2}
# Both reach the optimizer by the same sums, so one flow stands for all.
OF_WORKERS = [c for c in CASES if c[1] == "adam" or c[0] in ("none", "planar")]


def _in_float64(function):
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        keras.config.set_floatx("float64")
        try:
            return function(*args, **kwargs)
        finally:
            keras.config.set_floatx("float32")

    return wrapped


@_in_float64
def _use(name, optimizer, steps_per_execution=1):
    """What a model says in training and afterwards, and its weights."""
    x = np.random.default_rng(0).integers(0, 2, [N, X]).astype(np.float64)
    keras.utils.set_random_seed(0)
    model = DLGM(
        encoder=MLP([5], output_size=5, activation="tanh", **_FLOAT64),
        posterior=POSTERIORS[name](),
        decoder=MLP([5], output_size=X, activation="tanh", **_FLOAT64),
        seed=3,
        **_FLOAT64,
    )
    model.compile(
        OPTIMIZERS[optimizer](),
        jit_compile=False,
        steps_per_execution=steps_per_execution,
    )
    fit = {"batch_size": BATCH_SIZE, "shuffle": False, "verbose": 0}
    if optimizer == "sgd":
        found = {"history": model.fit(x, **fit).history}
    else:
        found = {
            "history": model.fit(x, validation_data=x[:5], **fit).history,
            "evaluate": model.evaluate(
                x[:7], batch_size=4, verbose=0, return_dict=True
            ),
            "log p(x)": model.log_marginal_likelihood(
                x[:5], 20, batch_size=4, verbose=0
            ).estimates,
            "images": model.reconstruct(x[:5], seed=1).numpy(),
        }
    weights = [np.asarray(weight) for weight in model.trainable_weights]
    return found, weights


@functools.cache
def _alone(name, optimizer):
    return _use(name, optimizer)


def _check(found, case):
    """Raises unless it is what one process finds."""
    (found, weights), (wanted, weights_alone) = found, _alone(*case)
    assert set(found) == set(wanted)
    for part, value in wanted.items():
        values = value if isinstance(value, dict) else {"": value}
        others = found[part] if isinstance(value, dict) else {"": found[part]}
        assert set(others) == set(values)
        for name in values:
            np.testing.assert_allclose(
                others[name],
                values[name],
                rtol=1e-10,
                err_msg=f"{case} {part} {name}",
            )
    for left, right in zip(weights, weights_alone, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-8)


def _use_here(case):
    """Under the strategy of the scope."""
    return _use(*case, steps_per_execution=STEPS_PER_EXECUTION.get(case, 1))


def use_on_two(case):
    with mirrored_strategy().scope():
        return _use_here(case)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_two_replicas_compute_as_one_device(case):
    _check(on_two_cpus(use_on_two, case), case)


def main(path):
    """What a worker does; the first writes what it found."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    with strategy.scope():
        found = {case: _use_here(case) for case in OF_WORKERS}
    if strategy.cluster_resolver.task_id == 0:
        pathlib.Path(path).write_bytes(pickle.dumps(found))


@pytest.mark.slow
def test_two_workers_compute_as_one_process(tmp_path):
    path, ports = tmp_path / "found", launch_local.free_ports(2)
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    script = f"from tests.models.test_workers import main; main({str(path)!r})"
    logs = [(tmp_path / f"stderr{index}").open("w") for index in range(2)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={
                **os.environ,
                "TF_CONFIG": json.dumps(
                    {
                        "cluster": cluster,
                        "task": {"type": "worker", "index": index},
                    }
                ),
            },
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        for index, log in enumerate(logs)
    ]
    try:
        for case in OF_WORKERS:
            _alone(*case)
        for index, process in enumerate(processes):
            error = tmp_path / f"stderr{index}"
            assert process.wait(TIMEOUT) == 0, error.read_text()[-3000:]
    finally:
        for process, log in zip(processes, logs, strict=True):
            process.kill()
            process.wait()
            log.close()
    found = pickle.loads(path.read_bytes())
    assert set(found) == set(OF_WORKERS)
    for case in OF_WORKERS:
        _check(found[case], case)
