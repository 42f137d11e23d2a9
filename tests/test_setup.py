"""What the packaging says."""

import importlib.util
import pathlib
import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).parents[1]


def _setup():
    spec = importlib.util.spec_from_file_location("setup", ROOT / "setup.py")
    setup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(setup)
    return setup


def test_an_install_on_colab_replaces_nothing():
    setup = _setup()
    lines = (ROOT / "colab" / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    pins = {canonicalize_name(name): pins[name] for name in pins}
    asked = [Requirement(r) for r in (*setup._INSTALL, *setup._TEST)]
    asked = {canonicalize_name(r.name): r.specifier for r in asked}
    assert set(pins) <= set(asked)
    for name, version in pins.items():
        assert asked[name].contains(version), name


def test_who_trains_gets_tensorboard():
    """For Keras's callback, and to show what the trainers write."""
    setup = _setup()
    names = [requirement.split(">")[0] for requirement in setup._TRAIN]
    assert "tensorboard" in names
    assert set(setup._TRAIN) <= set(setup._TEST)


def test_the_description_links_to_what_an_index_can_reach():
    setup = _setup()
    text = setup.read_description()
    assert not re.findall(r"\]\((?!https?:|#)", text)
    assert f"]({setup._URL}/raw/main/docs/pictures/front.png)" in text
    assert f"]({setup._URL}/blob/main/docs/flows.md)" in text


def test_all_say_the_same_repository_and_version():
    setup = _setup()
    assert f"repo_url: {setup._URL}\n" in (ROOT / "mkdocs.yml").read_text()
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"version: {setup.read_version()}\n" in citation


def test_docs_have_the_pins_of_the_tpu_compiler():
    """For an environment of its own, where TensorFlow is not."""
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for requirement in _setup()._TPU_CHECK:
        assert f'"{requirement}"' in page
