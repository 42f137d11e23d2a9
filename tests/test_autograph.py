"""Nothing of the package is traced through AutoGraph.

It rewrites the source of every function that it meets, a quarter of a second
each: most of the time to the first step of a fit, for code that needs none.
"""

import ast
import pathlib

import pytest

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
