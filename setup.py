"""Packaging of tfp_flows; the version is read from `tfp_flows/__init__.py`."""

import pathlib
import re

from setuptools import find_packages, setup

_ROOT = pathlib.Path(__file__).resolve().parent
_URL = "https://github.com/tfp-flows/tfp-flows"


def read_version() -> str:
    """Returns `__version__` of the package, without importing it."""
    source = (_ROOT / "tfp_flows" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"$', source, re.MULTILINE)
    if match is None:
        raise RuntimeError("tfp_flows/__init__.py must define __version__.")
    return match.group(1)


def read_description() -> str:
    """README, its links and pictures absolute, as an index shows it alone."""
    text = (_ROOT / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"(!\[[^\]]*\]\()(?!\w+:|#)", rf"\g<1>{_URL}/raw/main/", text)
    return re.sub(
        r"((?<!!)\[[^\]]*\]\()(?!\w+:|#)", rf"\g<1>{_URL}/blob/main/", text
    )


# tf-keras is released for one minor version of TensorFlow, and TFP 0.25 imports
# it; so these three move together. Keras is separate from tf-keras: it is what
# the layers are written in. The lowest versions are those of Colab, where an
# install replaces nothing (colab/constraints.txt).
_INSTALL = [
    "tensorflow>=2.20,<2.22",
    "tf-keras>=2.20,<2.22",
    "tensorflow-probability>=0.25,<0.26",
    "keras>=3.13,<4",
    "numpy>=2.0,<3",
]
_TRAIN = [
    "absl-py>=1.4,<3",
    "importlib_resources>=6,<8",  # TFDS 4.9 downloads with it
    "matplotlib>=3.9,<4",
    "ml_collections>=1.0,<2",
    "scikit-learn>=1.5,<2",
    "scipy>=1.14,<2",
    # Keras's callback needs it, which TensorFlow 2.21 no longer brings; it
    # shows what the trainers write.
    "tensorboard>=2.20,<3",
    "tensorflow-datasets>=4.9.9,<5",
    "tqdm>=4.66,<5",
]
# For other people's posteriors (trainers/posteriors/).
_POSTERIORS = [
    *_TRAIN,
    "inference_gym>=0.0.5,<0.1",
]
# The compiler for TPUs, for a process without TensorFlow
# (benchmarks/tpu_compile.py), through parts of JAX that change with its minor
# versions. They bring no other version of what TensorFlow needs.
_TPU_CHECK = [
    "jax>=0.10.2,<0.11",
    "libtpu>=0.0.52,<0.1",
]
_TEST = [
    *_POSTERIORS,
    "arviz-base>=0.6,<2",
    "arviz-stats>=0.8,<2",  # to compare with
    "hypothesis>=6.100,<7",
    "ipykernel>=6.29,<8",
    "mpmath>=1.3,<2",
    "nbclient>=0.10,<1",
    "nbformat>=5.10,<6",
    "psutil>=6,<8",
    "pytest>=8.4,<10",
    "pytest-xdist>=3.6,<4",
]
# The site is for the 3.11 to 3.13 of the package, too.
_DOCS = [
    "mkdocs>=1.6,<2",
    "mkdocs-material>=9.6,<10",
    "mkdocstrings[python]>=0.29,<2",
]
# Other libraries, to be measured beside this one (benchmarks/peers.py), in an
# environment of their own. distrax is not among them, as it brings another TFP.
_PEERS = [
    *_TRAIN,
    "flowjax>=17,<20",
    "nflows>=0.14,<0.15",
    "normflows>=1.7,<2",
    "pyro-ppl>=1.9,<2",
    "zuko>=1.4,<2",
]
_DEV = [
    *_TEST,
    *_DOCS,
    "build>=1.2,<2",
    "mypy>=2.0,<3",
    "pre-commit>=4,<5",
    "ruff>=0.17.5,<0.18",
]

if __name__ == "__main__":
    setup(
        name="tfp-flows",
        version=read_version(),
        description=(
            "Normalizing flows for TensorFlow Probability and Keras 3: true "
            "bijectors, and layers that own their weights."
        ),
        long_description=read_description(),
        long_description_content_type="text/markdown",
        author="tfp_flows developers",
        url=_URL,
        project_urls={
            "Changelog": f"{_URL}/blob/main/CHANGELOG.md",
            "Documentation": f"{_URL}/tree/main/docs",
            "Issues": f"{_URL}/issues",
            "Source": _URL,
        },
        keywords=[
            "normalizing flows",
            "variational inference",
            "density estimation",
            "TensorFlow Probability",
            "Keras",
        ],
        license="Apache-2.0",
        license_files=["LICENSE"],
        python_requires=">=3.11,<3.14",
        packages=find_packages(include=["tfp_flows", "tfp_flows.*"]),
        package_data={"tfp_flows": ["py.typed"]},
        include_package_data=False,
        install_requires=_INSTALL,
        extras_require={
            "train": _TRAIN,
            "arviz": ["arviz-base>=0.6,<2"],
            "posteriors": _POSTERIORS,
            "test": _TEST,
            "docs": _DOCS,
            "peers": _PEERS,
            "tpu-check": _TPU_CHECK,
            "dev": _DEV,
        },
        classifiers=[
            "Development Status :: 3 - Alpha",
            "Intended Audience :: Science/Research",
            "Operating System :: OS Independent",
            "Programming Language :: Python :: 3",
            "Programming Language :: Python :: 3.11",
            "Programming Language :: Python :: 3.12",
            "Programming Language :: Python :: 3.13",
            "Typing :: Typed",
            "Topic :: Scientific/Engineering :: Artificial Intelligence",
        ],
    )
