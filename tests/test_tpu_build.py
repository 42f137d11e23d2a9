"""The build for TPUs, and another one installed over it."""

import importlib.metadata
import warnings

import pytest

from tfp_flows import _tpu_build

LIBRARY = "tensorflow/libtensorflow_framework.so.2"


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Installs distributions that say how large the library is."""
    monkeypatch.setattr(
        importlib.metadata,
        "distribution",
        lambda name: (
            next(
                iter(
                    importlib.metadata.distributions(name=name, path=[tmp_path])
                ),
                None,
            )
            or missing(name)
        ),
    )
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.20.0")

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    def install(name, size):
        folder = tmp_path / f"{name.replace('-', '_')}-2.20.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: 2.20.0\n")
        (folder / "RECORD").write_text(f"{LIBRARY},sha256=abc,{size}\n")
        (tmp_path / LIBRARY).parent.mkdir(exist_ok=True)
        (tmp_path / LIBRARY).write_bytes(b"x" * size)

    return install


def test_a_build_that_was_installed_over_is_named(installed):
    installed("tensorflow-tpu", 7)
    installed("tensorflow", 5)
    with pytest.warns(RuntimeWarning, match=r"--no-deps tensorflow-tpu==2\.20"):
        _tpu_build.warn_if_overwritten()


@pytest.mark.parametrize(
    "order",
    [["tensorflow-tpu"], ["tensorflow"], ["tensorflow", "tensorflow-tpu"], []],
)
def test_other_installations_are_silent(installed, order):
    for size, name in enumerate(order):
        installed(name, size)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _tpu_build.warn_if_overwritten()
