"""The notebooks of colab/ run as they stand, and find what they say."""

import glob
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import pathlib
import re
import runpy
import shlex
import subprocess
import sys

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).parents[1]
COLAB = ROOT / "colab"
NUMBER = r"(-?\d+\.\d+)"
EXECUTE = "from nbclient.cli import main; main()"


def _code(name):
    """The sources of its code cells."""
    notebook = nbformat.read(COLAB / name, as_version=4)
    return [c.source for c in notebook.cells if c.cell_type == "code"]


def setup_names():
    """What setup.py defines."""
    return runpy.run_path(str(ROOT / "setup.py"))


INSTALL = next(c for c in _code("bijectors_in_tfp.ipynb") if "SOURCE =" in c)
TPU_INSTALL = _code("tpu_dlgm.ipynb")[0]


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
        if path.name == "tpu_dlgm.ipynb":  # TensorFlow's build comes first
            assert cells.pop(0) == TPU_INSTALL
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


def test_a_source_that_is_none_is_one_sentence(
    monkeypatch, tmp_path, run_pip, is_missing
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFP_FLOWS_SOURCE", "nowhere")
    with pytest.raises(FileNotFoundError, match=r"`SOURCE`.*URL") as error:
        exec(INSTALL, {})
    assert str(error.value).endswith("got 'nowhere'.")
    assert run_pip == []


def test_without_a_source_the_package_index_is_asked(
    monkeypatch, tmp_path, run_pip, is_missing
):
    monkeypatch.chdir(tmp_path)
    exec(INSTALL, {})
    assert run_pip == [["install", "-q", "tfp-flows[train]"]]


def test_notebooks_open_in_colab_by_a_badge():
    repository = setup_names()["_URL"].removeprefix("https://github.com/")
    for path in sorted(COLAB.glob("*.ipynb")):
        first = nbformat.read(path, as_version=4).cells[0]
        assert (
            "(https://colab.research.google.com/github/"
            f"{repository}/blob/main/colab/{path.name})"
        ) in first.source


def test_the_build_for_tpus_is_not_overwritten(
    monkeypatch, run_pip, is_missing
):
    _pretend_installed(monkeypatch, tensorflow_tpu="2.20.0")
    monkeypatch.chdir(ROOT)
    exec(INSTALL, {})
    assert run_pip == [["install", "-q", "--no-deps", f"{ROOT}[train]"]]


@pytest.fixture
def has_tpu(monkeypatch, tmp_path):
    vendor = tmp_path / "vendor"
    vendor.write_text("0x1ae0\n")
    monkeypatch.setattr(glob, "glob", lambda _: ["/dev/vfio/0"])
    monkeypatch.setattr(pathlib.Path, "glob", lambda *_: [vendor])


BUILD_FOR_TPUS = {
    "tensorflow_tpu": "2.20.0",
    "tf_keras": "2.20.1",
    "tensorflow_probability": "0.25.0",
}


@pytest.mark.parametrize(
    "installed",
    [
        {},
        {"tensorflow": "2.20.0"},
        {**BUILD_FOR_TPUS, "tensorflow": "2.20.0"},  # installed over it
        {**BUILD_FOR_TPUS, "tf_keras": "2.19.0"},
    ],
)
def test_on_a_tpu_its_build_is_installed_alone(
    monkeypatch, run_pip, has_tpu, installed
):
    _pretend_installed(monkeypatch, **installed)
    exec(TPU_INSTALL, {})
    uninstall, with_dependencies, without = run_pip
    assert uninstall == [
        "uninstall",
        "-q",
        "-y",
        "tensorflow",
        "tensorflow-tpu",
    ]
    assert with_dependencies[:2] == ["install", "-q"]
    assert "tensorflow-tpu==2.20.0" in with_dependencies
    assert without[:3] == ["install", "-q", "--no-deps"]
    assert without[3:] == ["tf-keras==2.20.1", "tensorflow-probability==0.25.0"]


def test_on_a_tpu_with_its_build_nothing_is_installed(
    monkeypatch, run_pip, has_tpu
):
    _pretend_installed(monkeypatch, **BUILD_FOR_TPUS)
    exec(TPU_INSTALL, {})
    assert run_pip == []


def test_without_a_tpu_nothing_is_installed(monkeypatch, run_pip):
    monkeypatch.setattr(glob, "glob", lambda _: [])
    _pretend_installed(monkeypatch, tensorflow="2.20.0")
    exec(TPU_INSTALL, {})
    assert run_pip == []


def test_requirements_on_a_tpu_are_those_of_the_package(run_pip):
    scope = {}
    exec(TPU_INSTALL, scope)
    words = [*scope["WITH_DEPENDENCIES"], *scope["WITHOUT_DEPENDENCIES"]]
    guide = (ROOT / "docs" / "guides" / "devices.md").read_text("utf-8")
    block = guide.partition("<!-- tpu-install -->\n```bash\n")[2]
    assert set(words) <= set(shlex.split(block.partition("```")[0]))

    found = {r.name: r for r in map(Requirement, words)}
    assert not found["libtpu"].specifier.contains("0.0.32")
    for wanted in map(Requirement, setup_names()["_INSTALL"]):
        is_build = wanted.name == "tensorflow"
        given = found["tensorflow-tpu" if is_build else wanted.name].specifier
        pins = [each.version for each in given if each.operator == "=="]
        assert given == wanted.specifier or wanted.specifier.contains(pins[0])
    of_tfp = {
        canonicalize_name(Requirement(line).name)
        for line in importlib.metadata.requires("tensorflow-probability")
        if "extra ==" not in line
    }
    of_tensorflow = {"absl-py", "gast", "numpy", "six"}
    assert of_tfp <= set(found) | of_tensorflow


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


@pytest.mark.slow
@pytest.mark.notebook
def test_tpu_dlgm_goes_on_after_a_disconnect(tmp_path):
    """Without a TPU; of MNIST where TFDS finds it, else of digits."""
    environment = {"TPU_DLGM_FOLDER": str(tmp_path / "folder")}
    shorter = nbformat.read(COLAB / "tpu_dlgm.ipynb", as_version=4)
    (cell,) = [c for c in shorter.cells if "\nEPOCHS = " in c.source]
    cell.source = re.sub("EPOCHS = .*", "EPOCHS = 3", cell.source)
    nbformat.write(shorter, tmp_path / "shorter.ipynb")
    text = _printed(
        _executed(tmp_path / "shorter.ipynb", tmp_path, **environment)
    )
    assert "0 of 3 epochs were done before" in text
    before = float(re.search(f"validation ELBO {NUMBER}", text).group(1))

    notebook = _executed(COLAB / "tpu_dlgm.ipynb", tmp_path, **environment)
    text = _printed(notebook)
    name = re.search(r"(mnist|digits): ", text).group(1)
    least = {"mnist": -130.0, "digits": -30.0}[name]
    epochs = int(re.search(r"3 of (\d+) epochs were done", text).group(1))
    elbo = {
        kind: float(re.search(f"{kind} ELBO {NUMBER}", text).group(1))
        for kind in ("validation", "test")
    }
    assert elbo["validation"] > before + 3.0
    assert least < elbo["validation"] < 0.0
    assert least < elbo["test"] < 0.0
    log_p = re.search(rf"256 images {NUMBER}", text).group(1)
    assert least < float(log_p) < 0.0
    # Both runs compiled in their first epoch.
    found = re.search(r"([\d,]+) training images.* of (\d+) epochs after", text)
    assert int(found.group(1).replace(",", "")) > 100
    assert int(found.group(2)) == epochs - 2
    assert _pictures(notebook) == 3
