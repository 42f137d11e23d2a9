"""The same flows by this library and by others, for `benchmarks/peers.py`.

A module for each library, whose `make(flow, x, settings)` makes the functions
that are timed, of points `[B, D]` and settings, for each flow that the library
has, in the form that the library's own documentation shows. A library is
imported where it is used, and runs in a process of its own, as TensorFlow and
PyTorch do not bear each other:

    python -m benchmarks._peers LIBRARY FLOW SIZE SETTINGS

Flows of data are fitted to the points by maximum likelihood. The others are
posteriors, and minimise the free energy of a Gaussian, `ENERGY_SCALE` wide
around `ENERGY_MEAN`. A `step` is one update by Adam; `samples` come as many as
there are points; `density` is that of the points.
"""

import importlib.util
from collections.abc import Collection, Mapping

from benchmarks._peer_process import Calls

__all__ = [
    "ENERGY_MEAN",
    "ENERGY_SCALE",
    "FLOWS",
    "LEARNING_RATE",
    "LIBRARIES",
    "OF_DATA",
    "Calls",
    "installed",
]

FLOWS = (
    "maf",
    "iaf",
    "nsf_coupling",
    "nsf_autoregressive",
    "planar",
    "radial",
    "householder",
    "dlgm_planar",
)
OF_DATA = ("maf", "nsf_coupling", "nsf_autoregressive")
ENERGY_MEAN, ENERGY_SCALE = 1.0, 0.5
LEARNING_RATE = 1e-3

# Module here and package, by the library's name.
LIBRARIES: Mapping[str, tuple[str, str]] = {
    "tfp_flows": ("ours", "tfp_flows"),
    "tfp_flows, unrolled": ("ours_unrolled", "tfp_flows"),
    "TFP": ("of_tfp", "tensorflow_probability"),
    "flowjax": ("of_flowjax", "flowjax"),
    "distrax": ("of_distrax", "distrax"),
    "zuko": ("of_zuko", "zuko"),
    "nflows": ("of_nflows", "nflows"),
    "normflows": ("of_normflows", "normflows"),
    "pyro": ("of_pyro", "pyro"),
}
# What each has, which is known without importing it.
_HAS: Mapping[str, tuple[str, ...]] = {
    "tfp_flows": FLOWS,
    "tfp_flows, unrolled": FLOWS,
    "TFP": ("maf", "iaf", "nsf_coupling"),
    "flowjax": (
        *("maf", "iaf", "nsf_coupling", "nsf_autoregressive"),
        *("planar", "dlgm_planar"),
    ),
    "distrax": ("nsf_coupling",),
    "zuko": ("maf", "iaf", "nsf_coupling", "nsf_autoregressive"),
    "nflows": (
        *("maf", "iaf", "nsf_coupling", "nsf_autoregressive"),
        "householder",
    ),
    "normflows": (
        # Its "MAF" draws samples in one pass, which is called IAF elsewhere.
        *("iaf", "nsf_coupling", "nsf_autoregressive"),
        *("planar", "radial"),
    ),
    "pyro": (
        *("maf", "iaf", "nsf_coupling", "nsf_autoregressive"),
        *("planar", "radial", "householder", "dlgm_planar"),
    ),
}


def installed(flow: str, elsewhere: Collection[str] = ()) -> list[str]:
    """The libraries that have the flow and are here, ours first.

    Args:
      flow: one of `FLOWS`.
      elsewhere: libraries of other environments.
    """
    return [
        library
        for library, (_, package) in LIBRARIES.items()
        if flow in _HAS[library]
        and (library in elsewhere or importlib.util.find_spec(package))
    ]
