"""Tiny runs on the embedded digits, and what they leave behind."""

import json

import tensorflow as tf

from configs import digits
from trainers.runs import train_steps

TIMES = ("seconds_per_step", "finished")


def make_config(arg="flow=none", **training):
    """A second or two of work, most of it for making the graphs."""
    config = digits.get_config(arg)
    config.data.num_validation = 50
    config.model.update({"latent_size": 3, "hidden_units": (16,)})
    config.training.update(
        {
            "num_steps": 60,
            "batch_size": 25,
            "steps_per_execution": 7,
            "log_steps": 10,
            "validation_steps": 20,
            "checkpoint_steps": 15,
            "jit_compile": False,
            **training,
        }
    )
    config.optimizer.warmup_steps = 5
    config.evaluation.update(
        {
            "num_elbo_samples": 8,
            "num_importance_samples": 20,
            "num_images": 30,
            "batch_size": 70,
        }
    )
    config.lock()
    return config


def flags(workdir, **training):
    """The same in the words of the command line, for seconds of steps."""
    values = {
        "config": "configs/digits.py:flow=planar,K=2",
        "workdir": workdir,
        "config.data.num_validation": 100,
        "config.model.latent_size": 4,
        "config.model.hidden_units": "(32,)",
        "config.training.steps_per_execution": 10,
        "config.training.log_steps": 50,
        "config.training.validation_steps": 100,
        "config.evaluation.num_importance_samples": 200,
        **{
            f"config.training.{name}": value for name, value in training.items()
        },
    }
    return [f"--{name}={value}" for name, value in values.items()]


def read(path):
    return json.loads(path.read_text())


def metrics(path):
    """metrics.jsonl without the times."""
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if k not in TIMES}
        for line in lines
    ]


def results(path):
    """results.json without the times."""
    found = read(path / "results.json")
    return {k: v for k, v in found.items() if k not in TIMES}


def checkpointed(path, name="checkpoints"):
    """The tensors of the newest checkpoint."""
    reader = tf.train.load_checkpoint(str(path / name))
    return {
        key: reader.get_tensor(key)
        for key in reader.get_variable_to_shape_map()
        if "OBJECT_GRAPH" not in key and "save_counter" not in key
    }


def checkpoint_steps(path, name="checkpoints"):
    """The steps of the checkpoints that count."""
    state = tf.train.get_checkpoint_state(str(path / name))
    return [
        int(prefix.rpartition("-")[2])
        for prefix in state.all_model_checkpoint_paths
    ]


def events(path):
    """(step, tag, value) of all scalars in the event files of a folder."""
    found = []
    for file in sorted(path.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            if event.HasField("session_log"):
                # What TensorBoard does at the start of a session.
                found = [e for e in found if e[0] < event.step]
            for value in event.summary.value:
                found.append((event.step, value.tag, value.simple_value))
    return found


def on_call(patch, step, action):
    """Does something before the call of the training step behind `step`."""
    call = train_steps.TrainSteps.__call__

    def patched(self, iterator, count):
        first = int(self._model.optimizer.iterations)
        if first <= step < first + count:
            action()
        call(self, iterator, count)

    patch.setattr(train_steps.TrainSteps, "__call__", patched)


def stop():
    raise KeyboardInterrupt
