import json
import sys
import types

import pytest

from tfp_flows import _backend


@pytest.fixture
def keras_not_imported(monkeypatch, tmp_path):
    """A new process, as far as the choice of a backend goes."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "keras.json"


def test_default_backend_is_accepted(keras_not_imported):
    _backend.require_tensorflow_backend("tfp_flows.layers")


@pytest.mark.parametrize("backend", ["jax", "torch", "numpy"])
def test_environment_variable_is_refused(
    keras_not_imported, monkeypatch, backend
):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    with pytest.raises(
        ImportError,
        match=rf"`tfp_flows\.layers` needs .* got '{backend}': .*"
        r"KERAS_BACKEND=tensorflow before .*TF_USE_LEGACY_KERAS",
    ):
        _backend.require_tensorflow_backend("tfp_flows.layers")


def test_configuration_file_is_refused(keras_not_imported):
    keras_not_imported.write_text(json.dumps({"backend": "jax"}))
    with pytest.raises(ImportError, match="got 'jax'"):
        _backend.require_tensorflow_backend("tfp_flows.layers")


def test_environment_variable_wins_over_the_file(
    keras_not_imported, monkeypatch
):
    keras_not_imported.write_text(json.dumps({"backend": "jax"}))
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    _backend.require_tensorflow_backend("tfp_flows.layers")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_useless_configuration_file_means_the_default(keras_not_imported, text):
    keras_not_imported.write_text(text)
    _backend.require_tensorflow_backend("tfp_flows.layers")


def test_empty_environment_variable_counts_as_unset(
    keras_not_imported, monkeypatch
):
    monkeypatch.setenv("KERAS_BACKEND", "")
    _backend.require_tensorflow_backend("tfp_flows.layers")


@pytest.mark.parametrize(
    ("environment", "loaded"), [("jax", "tensorflow"), ("tensorflow", "jax")]
)
def test_backend_of_an_imported_keras_wins(monkeypatch, environment, loaded):
    config = types.SimpleNamespace(backend=lambda: loaded)
    keras = types.SimpleNamespace(config=config)
    monkeypatch.setitem(sys.modules, "keras", keras)
    monkeypatch.setenv("KERAS_BACKEND", environment)
    if loaded == "tensorflow":
        _backend.require_tensorflow_backend("tfp_flows.layers")
    else:
        with pytest.raises(ImportError, match="got 'jax'"):
            _backend.require_tensorflow_backend("tfp_flows.layers")


def test_environment_is_read_as_keras_reads_it(monkeypatch):
    import keras

    monkeypatch.delitem(sys.modules, "keras")
    assert _backend._keras_backend() == keras.config.backend()
