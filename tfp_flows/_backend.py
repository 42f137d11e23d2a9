"""Keras 3 must run on TensorFlow for the sub-packages that build on it."""

import json
import os
import pathlib
import sys

__all__ = ["require_tensorflow_backend"]


def require_tensorflow_backend(subpackage: str) -> None:
    """Refuses another backend of Keras 3 than TensorFlow.

    Call it before the sub-package imports Keras: importing Keras with a backend
    that is not installed fails on its own, without saying what to set.

    Args:
      subpackage: full name of the sub-package that needs the backend, for the
        message.

    Raises:
      ImportError: if Keras 3 runs, or would run, on another backend.
    """
    backend = _keras_backend()
    if backend != "tensorflow":
        raise ImportError(
            f"`{subpackage}` needs Keras 3 on its TensorFlow backend; got "
            f"{backend!r}: set the environment variable "
            "KERAS_BACKEND=tensorflow before anything imports keras "
            "(TF_USE_LEGACY_KERAS has no effect on this)."
        )


def _keras_backend() -> str:
    """Returns the backend Keras 3 has or would choose, without importing it."""
    config = getattr(sys.modules.get("keras"), "config", None)
    if config is not None:
        return config.backend()
    return (
        os.environ.get("KERAS_BACKEND") or _configured_backend() or "tensorflow"
    )


def _configured_backend() -> str | None:
    """Returns the backend that Keras's own `keras.json` names, if any."""
    user = os.path.expanduser("~")
    default = os.path.join(
        user if os.access(user, os.W_OK) else "/tmp", ".keras"
    )
    home = os.path.expanduser(os.environ.get("KERAS_HOME", default))
    path = pathlib.Path(home) / "keras.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return config.get("backend") if isinstance(config, dict) else None
