"""The documentation: README's size, links, examples, names, errors."""

import ast
import importlib
import inspect
import pathlib
import re
import subprocess
import sys
import zlib

import pytest

import tfp_flows
from configs.flows import FLOWS
from trainers.report.pages import PAGES

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGE_FILES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.rglob("*.md")),
]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]*)\)")
PACKAGES = [name for name in tfp_flows.__all__ if name != "load_run"]


def _read(path):
    return path.read_text(encoding="utf-8")


def _without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def _anchors(path):
    headings = re.findall(r"^#+ (.*)$", _without_code(_read(path)), re.M)
    slugs = (re.sub(r"[^\w\s-]", "", heading).strip() for heading in headings)
    return {re.sub(r"\s+", "-", slug).lower() for slug in slugs}


def test_readme_is_one_that_is_read():
    lines = _read(ROOT / "README.md").splitlines()
    assert len(lines) <= 250
    for block in re.findall(r"```python\n(.*?)```", "\n".join(lines), re.S):
        code = [line for line in block.splitlines() if line.strip()]
        assert len(code) <= 10, block


@pytest.mark.parametrize("path", PAGE_FILES, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(path):
    for link in LINK.findall(_without_code(_read(path))):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target), link


def test_every_page_is_in_the_navigation():
    navigation = _read(ROOT / "mkdocs.yml").partition("\nnav:\n")[2]
    named = re.findall(r"[:-] (\S+\.md)$", navigation, re.MULTILINE)
    found = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert sorted(named) == sorted(found)
    assert {page for page in PAGES if page != "README.md"} <= {
        f"docs/{page}" for page in found
    }


def test_every_flow_has_a_section_with_a_picture():
    text = _read(DOCS / "flows.md")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    by_name = {section.partition("\n")[0]: section for section in sections}
    assert list(by_name) == list(FLOWS)
    for name, section in by_name.items():
        picture = f"pictures/flows/{name}.png"
        assert f"]({picture})" in section
        assert (DOCS / picture).exists()
        assert f"`layers.{FLOWS[name].layer}`" in section
        assert re.search(r"^    \S", section, re.MULTILINE), "formula"
        for word in ("**Direction.**", "**Paper.**", "O(D"):
            assert word in section


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_documented(package):
    assert f"::: tfp_flows.{package}\n" in _read(DOCS / "api" / f"{package}.md")
    module = importlib.import_module(f"tfp_flows.{package}")
    missing = [
        name
        for name in module.__all__
        if (inspect.isclass(item := getattr(module, name)) or callable(item))
        and not (item.__doc__ or "").strip()
    ]
    assert not missing


def _said_in_source():
    """All text of the sources, pieces that stand together joined."""
    said = []
    for folder in ("tfp_flows", "trainers"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(_read(path))):
                if isinstance(node, ast.JoinedStr):
                    said.append(
                        "".join(
                            part.value
                            if isinstance(part, ast.Constant)
                            else "{}"
                            for part in node.values
                        )
                    )
                elif isinstance(node, ast.Constant):
                    said.append(str(node.value))
    return "\n".join(said)


def test_errors_of_the_faq_are_those_of_the_source():
    quoted = re.findall(r'^### "(.*)"$', _read(DOCS / "faq.md"), re.MULTILINE)
    assert len(quoted) >= 10
    said = _said_in_source()
    assert not [words for words in quoted if words not in said]


@pytest.mark.slow
def test_site_builds(tmp_path):
    pytest.importorskip("mkdocs", reason="the extra docs")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", tmp_path],
        cwd=ROOT,
        check=True,
        timeout=600,
    )
    inventory = zlib.decompress(
        (tmp_path / "objects.inv").read_bytes().split(b"zlib.\n", 1)[1]
    )
    names = {line.split(b" ")[0].decode() for line in inventory.splitlines()}
    for package in PACKAGES:
        module = importlib.import_module(f"tfp_flows.{package}")
        missing = {f"tfp_flows.{package}.{name}" for name in module.__all__}
        assert not missing - names
