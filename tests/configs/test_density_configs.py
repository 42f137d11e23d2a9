"""Tests of the configurations of densities of data."""

import importlib
import inspect
import re

import pytest

from configs import (
    binarized_mnist,
    density_2d,
    density_defaults,
    flows,
    sbibm,
    uci_density,
)
from configs.flows import FLOWS
from trainers.densities import build, planar_data, simulators, tables

GROUPS = {"data", "model", "training", "optimizer", "evaluation"}
ARGS = {
    density_2d: (
        None,
        "data=checkerboard,flow=none",
        "data=pinwheel,flow=planar,K=7",
        *(f"flow={flow},runlocal" for flow in FLOWS),
    ),
    uci_density: (
        None,
        *(
            f"data={data},model={model},split=19"
            for data in uci_density.DATA
            for model in uci_density.MODELS
        ),
        "runlocal",
    ),
    sbibm: (
        None,
        "data=slcp,simulations=100000,flow=spline_coupling,K=7",
        "data=gaussian_mixture,runlocal",
    ),
    binarized_mnist: (
        "model=made",
        "model=made,hidden=8000,layers=2,masks=32",
        "runlocal,model=made",
    ),
}


@pytest.mark.parametrize("module", ARGS)
def test_every_variant_can_be_run(module):
    for arg in ARGS[module]:
        config = module.get_config(arg)
        build.check_config(config)
        assert set(config) == GROUPS
        if arg and "runlocal" in arg:
            assert config.training.num_steps <= 500
            assert config.training.validation_steps <= 100


def test_variants_say_data_models_and_splits():
    config = density_2d.get_config("data=pinwheel,flow=maf,K=3")
    assert config.data.dataset == "pinwheel"
    assert (config.model.flow, config.model.num_flow_steps) == ("maf", 3)
    assert density_2d.get_config("flow=none").model.num_flow_steps == 0
    config = uci_density.get_config("data=energy,model=mdn,split=3")
    assert config.data.split == 3
    assert (config.model.flow, config.model.base) == ("none", "mixture")
    config = sbibm.get_config("simulations=50,flow=maf,K=2")
    assert config.data.num_simulations == 50
    assert (config.model.flow, config.model.num_flow_steps) == ("maf", 2)
    config = binarized_mnist.get_config("model=made,hidden=20,layers=2,masks=3")
    assert config.model.hidden_units == (20, 20)
    assert config.model.num_masks == 3
    assert config.model.order == "random"
    config = binarized_mnist.get_config("model=made,order=raster")
    assert config.model.order == "raster"
    assert binarized_mnist.get_config("flow=none").model.name == "dlgm"


def test_known_data_are_those_of_the_trainers():
    assert set(density_2d.DATA) == set(planar_data.PLANAR_DATA)
    assert set(uci_density.DATA) == set(tables.TABLES)
    assert len(uci_density.SPLITS) == tables.NUM_SPLITS
    assert set(sbibm.DATA) == set(simulators.SIMULATORS)


@pytest.mark.parametrize("data", uci_density.DATA)
def test_models_are_compared_under_equal_settings(data):
    configs = [
        uci_density.get_config(f"data={data},model={model}")
        for model in uci_density.MODELS
    ]
    own = {"kind", "flow", "num_flow_steps", "base", "num_components"}
    for config in configs[1:]:
        for group in GROUPS:
            keys = set(config[group]) - own
            for key in keys:
                assert config[group][key] == configs[0][group][key]


def test_flows_are_compared_under_equal_settings():
    first = density_2d.get_config("flow=planar")
    for flow in FLOWS:
        config = density_2d.get_config(f"flow={flow}")
        config.model.update(
            flow="planar", num_flow_steps=first.model.num_flow_steps
        )
        assert config == first


@pytest.mark.parametrize(
    ("module", "arg", "message"),
    [
        (density_2d, "data=moons", "`data` must be one of two_moons"),
        (density_2d, "flow=nice", "`flow` must be one of none, planar"),
        (density_2d, "flow=none,K=3", "`K` must not be given with flow=none"),
        (uci_density, "model=nf", "`model` must be one of gaussian, mdn"),
        (uci_density, "split=20", "`split` must be one of 0, 1"),
        (sbibm, "data=lotka", "`data` must be one of two_moons, gaussian_m"),
        (sbibm, "flow=none", "`flow` must be one of planar"),
        (binarized_mnist, "model=made,K=2", "one of model=made, order="),
        (binarized_mnist, "model=vae", "one of flow=.*; got 'model=vae'"),
    ],
)
def test_unknown_variant_is_refused(module, arg, message):
    with pytest.raises(ValueError, match=message):
        module.get_config(arg)


@pytest.mark.parametrize("module", ["density_2d", "sbibm", "uci_density"])
def test_command_in_the_header_names_a_variant_that_exists(module):
    module = importlib.import_module(f"configs.{module}")
    path, arg = re.search(
        r"--config=configs/(\w+)\.py:(\S*)", module.__doc__
    ).groups()
    assert module.__name__ == f"configs.{path}"
    build.check_config(module.get_config(arg))


def test_every_key_is_explained():
    explained = set()
    for function in (
        density_defaults.get_config,
        density_defaults.add_flow,
        flows.add_settings,
        density_2d.get_config,
        uci_density.get_config,
        sbibm.get_config,
        binarized_mnist._made,
    ):
        lines = inspect.getsource(function).splitlines()
        for before, line in zip(lines, lines[1:], strict=False):
            match = re.match(r"    (?:config\.)?(\w+)\.(\w+) = .*", line)
            if match and ("#" in line or before.strip().startswith("#")):
                group, key = match.groups()
                explained.add(("model" if group == "group" else group, key))
    for module, args in ARGS.items():
        config = module.get_config(args[0])
        keys = {(group, key) for group in config for key in config[group]}
        # Values whose name, or the function that takes them, says it all.
        assert keys - explained <= {
            ("data", "dataset"),
            ("model", "name"),
            ("model", "flow"),
            ("model", "num_flow_steps"),
            ("model", "base"),
            ("model", "hidden_units"),
        }
