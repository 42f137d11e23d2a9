"""Every flow of the catalogue can be made, and is what the catalogue says."""

import inspect

import pytest

from configs import image_defaults
from configs.flows import FLOWS
from tests.bijectors.kinds import members
from tfp_flows import bijectors, layers
from trainers.flows import make_flow, make_prior_flow


def settings(name):
    config = image_defaults.get_config("mnist", None)
    config.posterior.update(flow=name, num_flow_steps=2)
    config.posterior.num_orthogonal_columns = 3
    return config.posterior


def test_all_public_flow_layers_are_in_the_catalogue():
    public = {name: getattr(layers, name) for name in layers.__all__}
    flow_layers = {
        name
        for name, layer in public.items()
        if issubclass(layer, layers.FlowLayer) and not inspect.isabstract(layer)
    }
    assert flow_layers == {flow.layer for flow in FLOWS.values()}


@pytest.mark.parametrize("name", FLOWS)
def test_catalogue_says_what_the_flow_is(name):
    entry = FLOWS[name]
    layer = make_flow(settings(name), seed=0)
    layer.build((None, 4))
    flow = layer.bijector()

    assert type(layer).__name__ == entry.layer
    for argument, value in entry.settings.items():
        assert layer.get_config()[argument] == value
    assert isinstance(flow, bijectors.Scan) == entry.rolled
    kinds = {
        "coupling": layers.CouplingFlow,
        "autoregressive": layers.AutoregressiveFlow,
    }
    assert entry.kind in ("direct", *kinds)
    for kind, base in kinds.items():
        assert isinstance(layer, base) == (entry.kind == kind)
    found = {type(part).__name__ for part in members(flow)} - {"Scan"}
    assert set(entry.bijectors) == found & set(bijectors.__all__)


@pytest.mark.parametrize("name", ["planar", "maf"])
def test_prior_is_fast_where_densities_are(name):
    layer = make_prior_flow(settings(name), seed=0)
    assert layer.inverted == (name == "planar")


def test_no_flow_is_none():
    assert make_flow(settings("none")) is None
    assert make_prior_flow(settings("none")) is None
