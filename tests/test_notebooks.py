"""The notebooks of colab/ run as they stand, and find what they say."""

import os
import pathlib
import re
import subprocess
import sys

import nbformat
import pytest

COLAB = pathlib.Path(__file__).parents[1] / "colab"
EXECUTE = "from nbclient.cli import main; main()"


def _executed(name, folder):
    """The notebook after all its cells ran in a kernel of their own."""
    path = folder / name
    # A kernel that inherits a backend shows no picture.
    environment = dict(os.environ)
    environment.pop("MPLBACKEND", None)
    subprocess.run(
        [
            *(sys.executable, "-c", EXECUTE),
            *(f"--output={path}", "--timeout=900", name),
        ],
        cwd=COLAB,
        env=environment,
        check=True,
        timeout=1200,
    )
    return nbformat.read(path, as_version=4)


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
    notebook = _executed("bijectors_in_tfp.ipynb", tmp_path)
    text = _printed(notebook)
    number = r"(-?\d+\.\d+)"
    mu, spread = re.search(rf"mu = {number} \+- {number}", text).groups()
    # The ground truth of inference_gym: 5.76 +- 5.47.
    assert abs(float(mu) - 5.76) < 1.0
    assert abs(float(spread) - 5.47) < 1.0
    r_hat, v, spread = re.search(
        rf"R-hat of v {number}, v = {number} \+- {number}", text
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
