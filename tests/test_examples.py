"""The examples of README, docs and the docstrings run as they stand."""

import importlib
import pathlib
import pkgutil
import re
import textwrap

import pytest

import tfp_flows
from tests.trainers import image_runs
from trainers import run

ROOT = pathlib.Path(tfp_flows.__file__).parents[1]
# Calls in examples that take a minute, and pages that do together.
LONG = re.compile(r"vi\.neutra\(")
LONG_PAGES = ("densities", "keras", "posteriors", "tfp", "trainers")
BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


def _blocks(text):
    return [textwrap.dedent(code) for _, code in BLOCK.findall(text)]


def _example(code, name, is_long=False):
    is_long = is_long or LONG.search(code)
    marks = [pytest.mark.slow] if is_long else []
    return pytest.param(code, id=name, marks=marks)


def _examples():
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = page.read_text(encoding="utf-8")
        for number, code in enumerate(_blocks(text)):
            is_long = page.stem in LONG_PAGES
            yield _example(code, f"{page.stem}-{number}", is_long)
    packages = [n for n in tfp_flows.__all__ if n != "load_run"]
    for name in packages:
        package = importlib.import_module(f"tfp_flows.{name}")
        modules = [package.__name__]
        if hasattr(package, "__path__"):
            modules += [
                module.name
                for module in pkgutil.walk_packages(
                    package.__path__, f"{package.__name__}."
                )
            ]
        for module_name in modules:
            module = importlib.import_module(module_name)
            source = pathlib.Path(module.__file__).read_text(encoding="utf-8")
            for number, code in enumerate(_blocks(source)):
                yield _example(code, f"{module_name}-{number}")


EXAMPLES = list(_examples())


def test_the_examples_are_found():
    """README has several, and each bijector's docstring has one."""
    names = [example.id for example in EXAMPLES]
    assert sum(name.startswith("README") for name in names) >= 4
    for name in ("planar", "radial", "scan"):
        assert f"tfp_flows.bijectors.{name}-0" in names


# What README's examples print, below them.
PRINTED = re.compile(
    r"^```python\n((?:(?!^```).)*)^```\n\n^```text\n(.*?)^```",
    re.DOTALL | re.MULTILINE,
)
# Measured ones; those without a point, comma or per cent are given.
NUMBER = re.compile(r"-?\d+\.\d+|\d{1,3}(?:,\d{3})+|\d+(?=%)")


def _printed():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return {code: printed for code, printed in PRINTED.findall(readme)}


def _check_printed(found, shown):
    """Equal words, and numbers that differ by what another machine may do."""
    size = len(shown.splitlines())  # bars of progress stand before
    found = "\n".join(found.splitlines()[-size:])
    words = [
        re.sub(r"\s+", "", NUMBER.sub("#", text)) for text in (found, shown)
    ]
    assert words[0] == words[1]
    numbers = [
        [float(number.replace(",", "")) for number in NUMBER.findall(text)]
        for text in (found, shown)
    ]
    for number, wanted in zip(*numbers, strict=True):
        assert abs(number - wanted) < 0.2 + 0.3 * abs(wanted)


def test_readme_shows_what_its_quick_starts_print():
    assert len(_printed()) == 4


@pytest.mark.parametrize("code", EXAMPLES)
def test_example_runs(code, tmp_path, monkeypatch, capsys):
    if "load_run(" in code:  # of what a command before it has left behind
        monkeypatch.chdir(tmp_path)
        (workdir,) = re.findall(r'load_run\("(.*?)"\)', code)
        run.train_and_evaluate(image_runs.make_config(), workdir)
    exec(compile(code, "<example>", "exec"), {"__name__": "example"})
    if code in (printed := _printed()):
        _check_printed(capsys.readouterr().out, printed[code])
