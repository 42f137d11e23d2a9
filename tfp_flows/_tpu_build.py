"""Says when TensorFlow's build for TPUs lies under another build of it."""

import importlib.metadata
import os
import warnings

__all__ = ["warn_if_overwritten"]

_TPU_BUILD = "tensorflow-tpu"
_LIBRARY = "libtensorflow_framework.so.2"


def warn_if_overwritten() -> None:
    """Warns if `tensorflow` was installed over `tensorflow-tpu`.

    Both install the same files. As tf-keras requires `tensorflow` by that name,
    pip installs it beside the other one, of which the last file written counts.
    """
    if not _is_overwritten():
        return
    version = importlib.metadata.version(_TPU_BUILD)
    warnings.warn(
        f"TensorFlow must be its build {_TPU_BUILD} to see a TPU; got "
        "the build `tensorflow`, installed over it, as tf-keras asks for that. "
        "`pip uninstall -y tensorflow` and `pip install --force-reinstall "
        f"--no-deps {_TPU_BUILD}=={version}` bring it back; then install "
        "tf-keras and tfp-flows with --no-deps.",
        RuntimeWarning,
        stacklevel=3,
    )


def _is_overwritten() -> bool:
    try:
        build = importlib.metadata.distribution(_TPU_BUILD)
        importlib.metadata.distribution("tensorflow")
    except importlib.metadata.PackageNotFoundError:
        return False
    for file in build.files or ():
        if file.name == _LIBRARY and file.size is not None:
            path = file.locate()
            return os.path.exists(path) and os.path.getsize(path) != file.size
    return False
