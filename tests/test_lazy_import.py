"""What an import of the package loads, each claim in a process of its own."""

import ast
import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest

import tfp_flows

ROOT = pathlib.Path(__file__).resolve().parents[1]
NEED_KERAS = ("layers", "losses", "models", "posteriors", "schedules", "vi")
FUNCTIONS = ("load_run",)  # all other names are sub-packages
WITHOUT_KERAS = tuple(sorted({*tfp_flows.__all__} - {*NEED_KERAS}))

# Importing TensorFlow tries to import Keras 3 (tf_keras with
# TF_USE_LEGACY_KERAS=1), and goes on without it if that fails. So the claim
# is about the modules of ours: who asks for Keras, and do they work without.
_IMPORTS_WITHOUT_KERAS = (
    f"WITHOUT_KERAS = {WITHOUT_KERAS}"
    + """
import builtins, sys

asked = []
original = builtins.__import__

def spy(name, globals=None, *args, **kwargs):
    importer = (globals or {}).get("__name__", "")
    if name.partition(".")[0] in ("keras", "tf_keras"):
        if importer.startswith("tfp_flows"):
            asked.append((importer, name))
    return original(name, globals, *args, **kwargs)

builtins.__import__ = spy
import tensorflow as tf
import tfp_flows

for name in WITHOUT_KERAS:
    getattr(tfp_flows, name)
assert not asked, asked

planar = tfp_flows.bijectors.Planar(
    u=tf.constant([0.5, 1.0]), w=tf.constant([1.0, -0.5]), b=tf.constant(0.1)
)
y = planar.forward(tf.constant([[0.3, -0.2]]))
x = planar.inverse(tf.identity(y))
tf.debugging.assert_near(x, [[0.3, -0.2]], atol=1e-5)
assert not asked, asked
"""
)


def _run(code, tmp_path, *, check=True, **environment):
    """Runs `code` in a new process where no choice of Keras is left over."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("KERAS_BACKEND", "TF_USE_LEGACY_KERAS")
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**inherited, "KERAS_HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


def test_package_loads_neither_tensorflow_nor_keras(tmp_path):
    code = """
import sys
import tfp_flows
dir(tfp_flows)
heavy = {"tensorflow", "tensorflow_probability", "keras", "tf_keras", "numpy"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    _run(code, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend", ["jax", pytest.param("torch", marks=pytest.mark.slow)]
)
def test_bijectors_work_under_another_keras_backend(tmp_path, backend):
    code = _IMPORTS_WITHOUT_KERAS + (
        "\n"
        f"for name in {NEED_KERAS}:\n"
        "    try:\n"
        "        getattr(tfp_flows, name)\n"
        "    except ImportError as error:\n"
        "        assert f'`tfp_flows.{name}` needs' in str(error), error\n"
        "        assert 'KERAS_BACKEND=tensorflow' in str(error), error\n"
        "    else:\n"
        "        raise AssertionError(f'tfp_flows.{name} was imported')\n"
    )
    if importlib.util.find_spec(backend) is None:
        code += "assert 'keras' not in sys.modules\n"
    _run(code, tmp_path, KERAS_BACKEND=backend)


@pytest.mark.slow
def test_bijectors_and_layers_work_with_legacy_keras(tmp_path):
    code = _IMPORTS_WITHOUT_KERAS + (
        "\n"
        "assert 'keras' not in sys.modules\n"
        "layer = tfp_flows.layers.PlanarFlow(num_flow_steps=2, seed=0)\n"
        "layer.build((None, 2))\n"
        "y = layer.bijector().forward(tf.zeros([3, 2]))\n"
        "assert y.shape == (3, 2), y.shape\n"
    )
    _run(code, tmp_path, TF_USE_LEGACY_KERAS="1")


def test_layers_refuse_another_backend_with_one_sentence(tmp_path):
    done = _run(
        "import tfp_flows.layers", tmp_path, check=False, KERAS_BACKEND="jax"
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert re.match(r"ImportError: `tfp_flows\.layers` needs .*'jax'", last)
    assert "KERAS_BACKEND=tensorflow" in last


def test_unknown_attribute_is_named():
    with pytest.raises(AttributeError, match="'tfp_flows'.*'bijector'"):
        tfp_flows.bijector  # noqa: B018


def test_subpackages_are_listed_once_and_sorted():
    names = tfp_flows.__all__
    assert names == sorted(set(names))
    assert set(names) <= set(dir(tfp_flows))
    public = {
        path.stem
        for path in (ROOT / "tfp_flows").iterdir()
        if not path.name.startswith(("_", ".")) and path.name != "py.typed"
    }
    assert set(names) - {*FUNCTIONS} == public


def test_type_checkers_see_every_subpackage():
    tree = ast.parse((ROOT / "tfp_flows" / "__init__.py").read_text())
    seen = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "tfp_flows"
        for alias in node.names
    ]
    assert seen == [n for n in tfp_flows.__all__ if n not in FUNCTIONS]


def test_version_is_the_one_that_setup_reads():
    spec = importlib.util.spec_from_file_location("_setup", ROOT / "setup.py")
    setup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(setup)
    assert setup.read_version() == tfp_flows.__version__


def test_keras_finds_our_classes_by_the_import_of_the_package(tmp_path):
    code = """
import sys
import tfp_flows, keras
from tfp_flows._keras_objects import REGISTERED

names = {f"tfp_flows>{n}" for some in REGISTERED.values() for n in some}
objects = keras.saving.get_custom_objects()
assert names == {n for n in objects if n.startswith("tfp_flows>")}
assert "tfp_flows.layers" not in sys.modules
layer = keras.saving.deserialize_keras_object({
    "module": "tfp_flows.layers.mlp", "class_name": "MLP",
    "config": {"hidden_units": [3]}, "registered_name": "tfp_flows>MLP",
})
assert type(layer) is tfp_flows.layers.MLP
for subpackage in tfp_flows.__all__:
    getattr(tfp_flows, subpackage)
ours = {n for n in objects if n.startswith("tfp_flows>")}
assert ours == names, ours ^ names
for subpackage, some in REGISTERED.items():
    for name in some:
        cls = getattr(getattr(tfp_flows, subpackage), name)
        assert objects[f"tfp_flows>{name}"] is cls, name
"""
    _run(code, tmp_path)
