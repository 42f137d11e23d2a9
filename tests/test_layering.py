"""The import direction, read off the source with `ast`.

A module belongs to a *unit*: its sub-package or file of `tfp_flows` or of
`trainers` (a room), or its top-level folder. A unit may import the units that
`MAY_IMPORT` names, and itself; between modules there is no cycle, imports for
types counted.
"""

import ast
import json
import pathlib
import sys
import textwrap
from typing import NamedTuple

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = ("tfp_flows", "trainers", "configs", "benchmarks", "colab")
OURS = (*FOLDERS, "tests")

FOUNDATION = {"_arguments", "_tfp", "math", "replicas", "types"}
LEFT_OF_LAYERS = FOUNDATION | {"bijectors"}
LAYERS = LEFT_OF_LAYERS | {"_backend", "_keywords", "auxiliary", "layers"}
POSTERIORS = LAYERS | {
    "_count_metric",
    "losses",
    "posteriors",
    "schedules",
}
MODELS = POSTERIORS | {"likelihoods", "models", "targets"}
USERS = MODELS | {"vi"}
# The life of a run, and what all rooms of `trainers` may build on.
RUNS = {"trainers", "trainers.runs"}
MAKING = {
    "trainers.checks",
    "trainers.flows",
    "trainers.posterior_layers",
    "trainers.sources",
}
ROOM = USERS | RUNS | MAKING | {"configs", "tfp_flows"}
ROOMS = {
    "trainers.densities",
    "trainers.energies",
    "trainers.images",
    "trainers.posteriors",
}
RUN = ROOM | ROOMS
RIGHTMOST = RUN | {"testing", "trainers.report", "trainers.run"}

MAY_IMPORT = {
    # `__init__`, which is lazy
    "tfp_flows": {"_keras_objects", "_runs", "_tpu_build"},
    "_backend": set(),
    "_keras_objects": set(),
    "_keywords": set(),
    "_runs": {"_backend"},
    "_tpu_build": set(),
    "_arguments": FOUNDATION,
    "_count_metric": set(),
    "_tfp": FOUNDATION,
    "math": FOUNDATION,
    "replicas": FOUNDATION,
    "types": FOUNDATION,
    "bijectors": FOUNDATION,
    "auxiliary": LEFT_OF_LAYERS,
    "likelihoods": LEFT_OF_LAYERS,
    "losses": LEFT_OF_LAYERS | {"_backend", "likelihoods"},
    "schedules": LEFT_OF_LAYERS | {"_backend"},
    "targets": LEFT_OF_LAYERS,
    "testing": LEFT_OF_LAYERS,
    "layers": LAYERS,
    "posteriors": POSTERIORS,
    "models": MODELS,
    "vi": POSTERIORS,
    "configs": set(),
    "trainers": RUNS,
    "trainers.runs": RUNS | {"math", "replicas"},
    "trainers.sources": RUNS | {"configs", "math"},
    "trainers.checks": MODELS | RUNS | {"configs", "tfp_flows"},
    "trainers.flows": MODELS | {"configs", "tfp_flows", "trainers"},
    "trainers.posterior_layers": MODELS
    | {"configs", "tfp_flows", "trainers", "trainers.flows"},
    **dict.fromkeys(ROOMS, ROOM),
    "trainers.report": {"trainers", "configs"},
    "trainers.run": RUN,
    "trainers.main": RUNS | {"trainers.run"},
    "trainers.launch_local": {"trainers"},
    "trainers.sweeps": RUN | {"trainers.run"},
    "trainers.reproduce": RUN | {"trainers.report", "trainers.run"},
    "benchmarks": RIGHTMOST | {"trainers.launch_local"},
    "colab": RIGHTMOST,
}
NO_KERAS = LEFT_OF_LAYERS | {"auxiliary", "likelihoods", "targets", "testing"}
# The one place where the kit may import Keras: to see its variables refused.
KERAS_CHECK = ("testing", "check_keras_variables")
PRIVATE = ("tensorflow.python", "tensorflow_probability.python")
# What an installation of the package brings; trainers need the extra `train`.
INSTALLED = ("keras", "numpy", "tensorflow", "tensorflow_probability")
# What a function may ask for, and say what to install where it is missing.
OPTIONAL = {"vi": ("arviz", "arviz_base")}


class Import(NamedTuple):
    """One name that a module imports or reaches by attribute access."""

    name: str  # dotted and absolute
    line: int
    function: str | None  # the outermost function around it
    for_types: bool  # under `if TYPE_CHECKING:`


class _Imports(ast.NodeVisitor):
    """Collects the imports of one module."""

    def __init__(self, module, is_package):
        self.found = []
        self._package = module if is_package else module.rpartition(".")[0]
        self._function = None
        self._for_types = False
        self._aliases = {}

    def _add(self, name, node):
        self.found.append(
            Import(name, node.lineno, self._function, self._for_types)
        )

    def visit_FunctionDef(self, node):
        outer, self._function = self._function, self._function or node.name
        self.generic_visit(node)
        self._function = outer

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_If(self, node):
        outer = self._for_types
        if ast.unparse(node.test).endswith("TYPE_CHECKING"):
            self._for_types = True
        for child in node.body:
            self.visit(child)
        self._for_types = outer
        for child in (node.test, *node.orelse):
            self.visit(child)

    def visit_Import(self, node):
        for alias in node.names:
            self._add(alias.name, node)
            name = alias.name if alias.asname else alias.name.split(".")[0]
            self._aliases[alias.asname or name] = name

    def visit_ImportFrom(self, node):
        parts = self._package.split(".")
        parts = parts[: len(parts) - node.level + 1] if node.level else []
        source = ".".join([*parts, node.module] if node.module else parts)
        for alias in node.names:
            name = f"{source}.{alias.name}"
            self._add(name, node)
            self._aliases[alias.asname or alias.name] = name

    def visit_Attribute(self, node):
        """Counts `tf.keras` and `tfp_flows.layers` as imports."""
        dotted = ast.unparse(node)
        head, _, rest = dotted.partition(".")
        if head in self._aliases and all(
            part.isidentifier() for part in dotted.split(".")
        ):
            self._add(f"{self._aliases[head]}.{rest}", node)
        else:
            self.generic_visit(node)

    def visit_Call(self, node):
        """Counts `importlib.import_module("name")` and `__import__`."""
        called = ast.unparse(node.func).rpartition(".")[2]
        if called in ("import_module", "__import__") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                self._add(name.value, node)
        self.generic_visit(node)


def _under(name, prefixes):
    return any(name == p or name.startswith(p + ".") for p in prefixes)


def _module(path):
    parts = pathlib.PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _unit(module):
    folder, _, rest = module.partition(".")
    name = rest.partition(".")[0]
    if folder not in ("tfp_flows", "trainers") or not name:
        return folder
    if folder == "trainers":
        return f"trainers.{name}"
    return "tfp_flows" if name.startswith("__") else name


def _imports(path, source):
    visitor = _Imports(_module(path), path.endswith("__init__.py"))
    visitor.visit(ast.parse(source, path))
    return visitor.found


def _refusal(path, imported):
    """Says which rule the import breaks, or returns None."""
    unit, name = _unit(_module(path)), imported.name
    inside = path.startswith("tfp_flows/")
    if _under(name, PRIVATE) and path != "tfp_flows/_tfp.py":
        return "private names are imported by tfp_flows/_tfp.py alone"
    if inside and _under(name, ["absl.flags", "absl.app"]):
        return "tfp_flows reads no flags"
    if unit in NO_KERAS and _under(
        name, ["keras", "tf_keras", "tensorflow.keras"]
    ):
        if (unit, imported.function) != KERAS_CHECK:
            return f"{unit} imports no Keras"
    if not _under(name, OURS):
        root = name.partition(".")[0]
        is_optional = imported.function and root in OPTIONAL.get(unit, ())
        if (
            inside
            and root not in (*INSTALLED, *sys.stdlib_module_names)
            and not is_optional
        ):
            return f"{root} is not installed with tfp_flows"
        return None
    if _under(name, ["tests"]):
        return "nothing imports tests"
    if unit not in MAY_IMPORT:
        return f"{unit} is not in MAY_IMPORT: add its row"
    target = _unit(name)
    if target == unit or target in MAY_IMPORT[unit]:
        return None
    if path == "tfp_flows/__init__.py" and (
        imported.for_types and name.startswith("tfp_flows.")
    ):
        return None
    return f"{unit} may not import {target}"


def _cycle(edges):
    """Returns one cycle of a graph as a list of modules, or None."""
    done, path = set(), []

    def search(module):
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return None
        path.append(module)
        for target in sorted(edges.get(module, ())):
            if found := search(target):
                return found
        done.add(path.pop())
        return None

    for module in sorted(edges):
        if found := search(module):
            return found
    return None


def violations(sources):
    """Returns what breaks the import direction.

    `sources` maps a path, relative to the root of the project, to source text.
    """
    modules = {_module(path) for path in sources}
    found, edges = [], {}
    for path, source in sorted(sources.items()):
        targets = edges.setdefault(_module(path), set())
        for imported in _imports(path, source):
            if refusal := _refusal(path, imported):
                found.append(
                    f"{path}:{imported.line}: {imported.name}: {refusal}"
                )
            # The longest prefix that is a module: the rest is a name in it.
            name = imported.name
            while name and name not in modules:
                name = name.rpartition(".")[0]
            if name:  # imports for types are imports
                targets.add(name)
    if cycle := _cycle({m: t - {m} for m, t in edges.items()}):
        found.append("cycle: " + " -> ".join(cycle))
    return found


def _notebook_source(text):
    """Returns the code of a notebook, without its shell and magic lines."""
    cells = json.loads(text)["cells"]
    lines = [
        line
        for cell in cells
        if cell["cell_type"] == "code"
        for line in "".join(cell["source"]).splitlines()
    ]
    return "\n".join(x for x in lines if not x.lstrip().startswith(("%", "!")))


def _tree():
    sources = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            text = path.relative_to(ROOT).as_posix()
            if path.suffix == ".py":
                sources[text] = path.read_text(encoding="utf-8")
            elif path.suffix == ".ipynb" and ".ipynb_checkpoints" not in text:
                source = path.read_text(encoding="utf-8")
                sources[text] = _notebook_source(source)
    return sources


def test_tree_keeps_the_import_direction():
    sources = _tree()
    assert "tfp_flows/bijectors/planar.py" in sources
    assert "trainers/main.py" in sources
    assert violations(sources) == []


def test_every_unit_of_the_package_has_a_row():
    units = {_unit(_module(path)) for path in _tree()}
    assert units <= set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("path", "source", "rule"),
    [
        (
            "tfp_flows/bijectors/a.py",
            "from tensorflow_probability.python.internal import dtype_util",
            "private names",
        ),
        (
            "trainers/runs/a.py",
            "from tensorflow_probability.python import internal",
            "private names",
        ),
        (
            "benchmarks/a.py",
            """
            import tensorflow_probability as tfp
            tfp.python.internal.dtype_util
            """,
            "private names",
        ),
        (
            "tfp_flows/math/a.py",
            "import tensorflow.python.framework.ops",
            "private names",
        ),
        ("tfp_flows/math/a.py", "import keras", "math imports no Keras"),
        (
            "tfp_flows/bijectors/a.py",
            "def f():\n    from keras import ops",
            "bijectors imports no Keras",
        ),
        (
            "tfp_flows/bijectors/a.py",
            "import tensorflow as tf\ntf.keras.layers.Dense(1)",
            "bijectors imports no Keras",
        ),
        (
            "tfp_flows/bijectors/a.py",
            "import importlib\nimportlib.import_module('keras.src')",
            "bijectors imports no Keras",
        ),
        ("tfp_flows/targets.py", "import tf_keras", "targets imports no Keras"),
        ("tfp_flows/testing/a.py", "import keras", "testing imports no Keras"),
        (
            "tfp_flows/testing/a.py",
            "def check_shapes():\n    import keras",
            "testing imports no Keras",
        ),
        ("tfp_flows/layers/a.py", "from absl import flags", "reads no flags"),
        (
            "tfp_flows/math/a.py",
            "import scipy.special",
            "scipy is not installed",
        ),
        (
            "tfp_flows/math/a.py",
            "from tfp_flows import bijectors",
            "math may not import bijectors",
        ),
        (
            "tfp_flows/math/a.py",
            "from ..bijectors import planar",
            "math may not import bijectors",
        ),
        (
            "tfp_flows/bijectors/__init__.py",
            "from ..layers import planar_flow",
            "bijectors may not import layers",
        ),
        (
            "tfp_flows/bijectors/a.py",
            """
            from typing import TYPE_CHECKING
            if TYPE_CHECKING:
                from tfp_flows.layers import PlanarFlow
            """,
            "bijectors may not import layers",
        ),
        (
            "tfp_flows/bijectors/a.py",
            "import tfp_flows\ntfp_flows.layers.PlanarFlow",
            "bijectors may not import layers",
        ),
        (
            "tfp_flows/targets.py",
            "import tfp_flows.layers",
            "targets may not import layers",
        ),
        (
            "tfp_flows/testing/a.py",
            "from tfp_flows import targets",
            "testing may not import targets",
        ),
        (
            "tfp_flows/likelihoods/a.py",
            "import keras",
            "likelihoods imports no Keras",
        ),
        (
            "tfp_flows/likelihoods/a.py",
            "from tfp_flows import losses",
            "likelihoods may not import losses",
        ),
        (
            "tfp_flows/losses/a.py",
            "from tfp_flows import layers",
            "losses may not import layers",
        ),
        (
            "tfp_flows/schedules.py",
            "from tfp_flows import losses",
            "schedules may not import losses",
        ),
        (
            "tfp_flows/layers/a.py",
            "from tfp_flows import posteriors",
            "layers may not import posteriors",
        ),
        (
            "tfp_flows/models/a.py",
            "import trainers.run",
            "models may not import trainers",
        ),
        (
            "tfp_flows/models/a.py",
            "from configs import energy_2d",
            "models may not import configs",
        ),
        (
            "tfp_flows/__init__.py",
            "from tfp_flows import math",
            "tfp_flows may not import math",
        ),
        (
            "configs/a.py",
            "import tfp_flows",
            "configs may not import tfp_flows",
        ),
        (
            "configs/a.py",
            "from trainers import run",
            "configs may not import trainers",
        ),
        (
            "trainers/runs/a.py",
            "import benchmarks.long_flow",
            "trainers.runs may not import benchmarks",
        ),
        (
            "trainers/runs/a.py",
            "from trainers.images import data",
            "trainers.runs may not import trainers.images",
        ),
        (
            "trainers/energies/a.py",
            "def f():\n    from trainers.images.data import load",
            "trainers.energies may not import trainers.images",
        ),
        (
            "trainers/images/a.py",
            "from trainers import run",
            "trainers.images may not import trainers.run",
        ),
        (
            "trainers/report/a.py",
            "from trainers.runs import workdir",
            "trainers.report may not import trainers.runs",
        ),
        (
            "trainers/run.py",
            "from trainers.sweeps import digits",
            "trainers.run may not import trainers.sweeps",
        ),
        (
            "trainers/novelty/a.py",
            "from trainers.runs import workdir",
            "trainers.novelty is not in MAY_IMPORT",
        ),
        (
            "trainers/images/a.py",
            "from tests.bijectors import registry",
            "nothing imports tests",
        ),
        (
            "tfp_flows/novelty.py",
            "from tfp_flows import math",
            "novelty is not in MAY_IMPORT",
        ),
        (
            "tfp_flows/vi/a.py",
            "from tfp_flows import models",
            "vi may not import models",
        ),
        (
            "tfp_flows/models/a.py",
            "from tfp_flows import vi",
            "models may not import vi",
        ),
        (
            "tfp_flows/vi/a.py",
            "import arviz_base",
            "arviz_base is not installed with tfp_flows",
        ),
    ],
)
def test_wrong_import_is_reported(path, source, rule):
    found = violations({path: textwrap.dedent(source)})
    assert any(rule in text for text in found), found
    assert all(text.startswith(path) for text in found), found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "tfp_flows/_tfp.py",
            "from tensorflow_probability.python.internal import dtype_util",
        ),
        (
            "tfp_flows/__init__.py",
            """
            from typing import TYPE_CHECKING
            if TYPE_CHECKING:
                from tfp_flows import bijectors, layers
            """,
        ),
        (
            "tfp_flows/testing/a.py",
            "def check_keras_variables():\n    import keras",
        ),
        ("tfp_flows/layers/a.py", "import keras\nfrom tfp_flows import math"),
        (
            "tfp_flows/losses/a.py",
            "import keras\nfrom tfp_flows import likelihoods",
        ),
        (
            "tfp_flows/models/a.py",
            "from tfp_flows import likelihoods, losses, schedules, targets",
        ),
        (
            "tfp_flows/vi/a.py",
            """
            from tfp_flows import layers, losses, posteriors
            def f():
                import arviz_base
            """,
        ),
        ("configs/a.py", "import ml_collections\nfrom configs import b"),
        ("trainers/runs/a.py", "import sklearn"),
        (
            "trainers/main.py",
            "from absl import flags\nfrom trainers import run",
        ),
        ("trainers/images/a.py", "from tfp_flows import math, models"),
        ("trainers/sweeps/a.py", "from trainers.images import data"),
        ("benchmarks/a.py", "from tfp_flows import __version__, testing"),
    ],
)
def test_right_import_is_not_reported(path, source):
    assert violations({path: textwrap.dedent(source)}) == []


def test_cycle_inside_a_folder_is_reported():
    sources = {
        "tfp_flows/math/__init__.py": "from tfp_flows.math import a, b",
        "tfp_flows/math/a.py": "from tfp_flows.math import b",
        "tfp_flows/math/b.py": "def f():\n    from tfp_flows.math.a import g",
    }
    assert violations(sources) == [
        "cycle: tfp_flows.math.a -> tfp_flows.math.b -> tfp_flows.math.a"
    ]


def test_cycle_through_the_package_itself_is_reported():
    sources = {
        "trainers/runs/__init__.py": "from trainers.runs import a",
        "trainers/runs/a.py": "from trainers.runs import name_of_the_package",
    }
    assert violations(sources) == [
        "cycle: trainers.runs -> trainers.runs.a -> trainers.runs"
    ]


def test_cycle_of_imports_for_types_is_reported():
    sources = {
        "tfp_flows/models/__init__.py": "from tfp_flows.models.a import A",
        "tfp_flows/models/a.py": "from tfp_flows.models import b",
        "tfp_flows/models/b.py": """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from tfp_flows.models.a import A
""",
    }
    assert violations(sources) == [
        "cycle: tfp_flows.models.a -> tfp_flows.models.b -> tfp_flows.models.a"
    ]


def test_siblings_are_no_cycle():
    sources = {
        "trainers/runs/__init__.py": "from trainers.runs import a, b",
        "trainers/runs/a.py": "from trainers.runs import b",
        "trainers/runs/b.py": "",
    }
    assert violations(sources) == []


def test_notebook_is_read_without_its_shell_lines():
    cells = [
        {"cell_type": "markdown", "source": ["import keras"]},
        {"cell_type": "code", "source": ["!pip install x\n", "%time\n", "a=1"]},
    ]
    assert _notebook_source(json.dumps({"cells": cells})) == "a=1"
