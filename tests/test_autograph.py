"""Nothing of the package is traced through AutoGraph.

It rewrites the source of every function that it meets, hundreds of them, before
the first step of a fit, for code that needs none.
"""

import ast
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.autograph.impl import api

from tfp_flows import bijectors, layers, models, posteriors

ROOT = pathlib.Path(__file__).resolve().parents[1]
PATHS = [
    path
    for folder in ("tfp_flows", "trainers", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def _functions(tree):
    """Lines of `tf.function` that leave AutoGraph on."""
    off = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and any(
            keyword.arg == "autograph"
            and isinstance(keyword.value, ast.Constant)
            and keyword.value.value is False
            for keyword in node.keywords
        ):
            # functools.partial(tf.function, ...) takes it first.
            off.update(map(id, (node.func, *node.args[:1])))
    for node in ast.walk(tree):
        if ast.unparse(node) == "tf.function" and id(node) not in off:
            yield node.lineno


def _uses_in(source):
    return list(_functions(ast.parse(source)))


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("@tf.function\ndef f(): ...", [1]),
        ("x = 1\n@tf.function(jit_compile=True)\ndef f(): ...", [2]),
        ("g = tf.function(f, autograph=True)", [1]),
        ("g = tf.function(f, autograph=False)", []),
        ("g = functools.partial(tf.function, autograph=False)", []),
    ],
)
def test_uses_are_found(source, lines):
    assert _uses_in(source) == lines


def test_every_function_is_traced_as_it_stands():
    found = {
        str(path.relative_to(ROOT)): lines
        for path in PATHS
        if (lines := _uses_in(path.read_text(encoding="utf-8")))
    }
    assert len(PATHS) > 300
    assert not found


@pytest.fixture
def converted(monkeypatch):
    """Names of the package's functions that AutoGraph rewrites."""
    names = []
    convert = api._convert_actual

    def convert_and_note(entity, context):
        if entity.__module__.startswith("tfp_flows"):
            names.append(entity.__qualname__)
        return convert(entity, context)

    monkeypatch.setattr(api, "_convert_actual", convert_and_note)
    return names


@pytest.mark.slow
def test_functions_of_users_convert_none_of_ours(converted):
    """Of their own loops, where AutoGraph is on unless they say otherwise."""
    model = models.DLGM(
        layers.MLP([3]),
        posteriors.FlowPosterior(2, layers.IAFFlow(1, (4,))),
        layers.MLP([3], output_size=4),
    )
    model.compile(keras.optimizers.Adam(), jit_compile=False)
    x = tf.constant(np.eye(4, dtype=np.float32))
    model.build(x.shape)
    density = models.FlowDensity(layers.MAFFlow(1, (4,)))
    density.compile(keras.optimizers.Adam(), jit_compile=False)
    density.build((None, 4))
    shift = bijectors.Planar(tf.ones([4]), tf.ones([4]), tf.zeros([]))

    @tf.function
    def step():
        for one in (model, density):
            one.train_step(x)
            one.test_step(x)
        y, _ = bijectors.forward_and_log_det(shift, x)
        return bijectors.inverse_and_log_det(shift, y)

    step()
    assert not converted
