"""The notebooks of colab/ run as they stand, and find what they say."""

import importlib.machinery
import importlib.metadata
import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import nbformat
import pytest
from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).parents[1]
COLAB = ROOT / "colab"
NUMBER = r"(-?\d+\.\d+)"
EXECUTE = "from nbclient.cli import main; main()"


def _code(name):
    """The sources of its code cells."""
    notebook = nbformat.read(COLAB / name, as_version=4)
    return [c.source for c in notebook.cells if c.cell_type == "code"]


INSTALL = next(c for c in _code("bijectors_in_tfp.ipynb") if "SOURCE =" in c)


def _executed(path, folder, **environment_of_it):
    """The notebook after all its cells ran in a kernel of their own."""
    output = folder / f"executed_{path.name}"
    # A kernel that inherits a backend shows no picture.
    environment = {**os.environ, **environment_of_it}
    environment.pop("MPLBACKEND", None)
    subprocess.run(
        [
            *(sys.executable, "-c", EXECUTE),
            *(f"--output={output}", "--timeout=900", path.name),
        ],
        cwd=path.parent,
        env=environment,
        check=True,
        timeout=1200,
    )
    return nbformat.read(output, as_version=4)


def _printed(notebook):
    return "".join(
        output.get("text", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.get("name") == "stdout"
    )


def _pictures(notebook):
    return sum(
        "image/png" in output.get("data", {})
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


@pytest.mark.slow
@pytest.mark.notebook
def test_bijectors_in_tfp(tmp_path):
    notebook = _executed(COLAB / "bijectors_in_tfp.ipynb", tmp_path)
    text = _printed(notebook)
    mu, spread = re.search(rf"mu = {NUMBER} \+- {NUMBER}", text).groups()
    # The ground truth of inference_gym: 5.76 +- 5.47.
    assert abs(float(mu) - 5.76) < 1.0
    assert abs(float(spread) - 5.47) < 1.0
    r_hat, v, spread = re.search(
        rf"R-hat of v {NUMBER}, v = {NUMBER} \+- {NUMBER}", text
    ).groups()
    assert float(r_hat) < 1.05
    assert abs(float(v)) < 0.5
    assert abs(float(spread) - 3.0) < 0.5
    assert "a true bijector: True" in text
    assert _pictures(notebook) == 4


def test_committed_notebooks_show_their_results():
    """With pictures, without errors, and without messages of a machine."""
    for path in sorted(COLAB.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert _pictures(notebook) >= 1, path
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                assert output.output_type != "error", path
                assert output.get("name") != "stderr", path


def test_notebooks_install_by_the_same_cell():
    for path in sorted(COLAB.glob("*.ipynb")):
        cells = _code(path.name)
        assert cells[0] == INSTALL, path


@pytest.fixture
def run_pip(monkeypatch):
    """The arguments of pip, which is not run."""
    commands = []
    monkeypatch.setattr(
        subprocess, "check_call", lambda words: commands.append(words[3:])
    )
    for name in ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL"):  # set by the cells
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.delenv("TFP_FLOWS_SOURCE", raising=False)
    return commands


@pytest.fixture
def is_missing(monkeypatch):
    """The package is not there, but a folder of its name is."""
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: importlib.machinery.ModuleSpec(name, None),
    )
    _pretend_installed(monkeypatch)


def _pretend_installed(monkeypatch, **versions):
    class Distribution:
        def __init__(self, version):
            self.version = version

    monkeypatch.setattr(
        importlib.metadata,
        "distributions",
        lambda name: [
            Distribution(version)
            for other, version in versions.items()
            if other == name.replace("-", "_")
        ],
    )


def test_nothing_is_installed_where_the_package_is(
    monkeypatch, tmp_path, run_pip
):
    monkeypatch.chdir(tmp_path)
    exec(INSTALL, {})
    assert run_pip == []


@pytest.mark.parametrize("where", [".", "colab", "tests/..", "beside"])
def test_a_checkout_in_the_usual_places_is_installed(
    monkeypatch, tmp_path, run_pip, is_missing, where
):
    folder = ROOT / where
    if where == "beside":
        folder = tmp_path
        (tmp_path / "tfp_flows").symlink_to(ROOT)
    monkeypatch.chdir(folder)
    exec(INSTALL, {})
    assert run_pip == [["install", "-q", f"{ROOT}[train]"]]


@pytest.mark.parametrize(
    ("source", "requirement"),
    [
        (str(ROOT), f"{ROOT}[train]"),
        (
            "https://example.org/flows.git",
            "tfp-flows[train] @ git+https://example.org/flows.git",
        ),
        (
            "git+ssh://git@example.org/flows",
            "tfp-flows[train] @ git+ssh://git@example.org/flows",
        ),
        (
            "https://example.org/tfp_flows-0.1.0-py3-none-any.whl",
            "tfp-flows[train] @ "
            "https://example.org/tfp_flows-0.1.0-py3-none-any.whl",
        ),
    ],
)
def test_what_source_names_is_installed(
    monkeypatch, tmp_path, run_pip, is_missing, source, requirement
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFP_FLOWS_SOURCE", source)
    exec(INSTALL, {})
    exec(INSTALL.replace('SOURCE = ""', f"SOURCE = {source!r}"), {})
    assert run_pip == [["install", "-q", requirement]] * 2
    Requirement(requirement.replace(f"{ROOT}[train]", "tfp-flows"))


@pytest.mark.parametrize("source", ["", "nowhere"])
def test_without_a_source_one_sentence_says_what_to_set(
    monkeypatch, tmp_path, run_pip, is_missing, source
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFP_FLOWS_SOURCE", source)
    with pytest.raises(FileNotFoundError, match=r"`SOURCE`.*URL") as error:
        exec(INSTALL, {})
    assert str(error.value).endswith(f"got {source!r}.")
    assert run_pip == []


def test_the_build_for_tpus_is_not_overwritten(
    monkeypatch, run_pip, is_missing
):
    _pretend_installed(monkeypatch, tensorflow_tpu="2.20.0")
    monkeypatch.chdir(ROOT)
    exec(INSTALL, {})
    assert run_pip == [["install", "-q", "--no-deps", f"{ROOT}[train]"]]


@pytest.mark.slow
@pytest.mark.notebook
def test_keras_vae(tmp_path):
    notebook = _executed(COLAB / "keras_vae.ipynb", tmp_path)
    text = _printed(notebook)
    elbos = dict(
        re.findall(
            rf"(no flow|planar|splines) +[\d,]+ weights, test ELBO {NUMBER}",
            text,
        )
    )
    elbos = {name: float(elbo) for name, elbo in elbos.items()}
    # Of other seeds the differences were 0.11 to 0.31.
    assert elbos["planar"] > elbos["no flow"] + 0.05
    assert elbos["splines"] > elbos["no flow"] + 0.05
    found = re.search(
        rf"test ELBO {NUMBER} nats \(without a flow {NUMBER}\),\s+"
        rf"log p\(x\) {NUMBER} \+- {NUMBER} .* gap is {NUMBER}",
        text,
    )
    elbo, plain, log_p, error, gap = map(float, found.groups())
    assert elbo > plain + 0.05
    assert -22.0 < elbo < log_p < -18.0
    assert error < 0.5
    assert 0.1 < gap < 0.6
    for saved, loaded in re.findall(rf"saved {NUMBER}, loaded {NUMBER}", text):
        assert saved == loaded
    assert text.count("loaded") == 2
    assert _pictures(notebook) == 5
