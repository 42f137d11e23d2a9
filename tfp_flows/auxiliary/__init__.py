"""Samples with log weights, over tensors and callables; no Keras."""

from tfp_flows.auxiliary.anneal import anneal
from tfp_flows.auxiliary.continuously_indexed import ContinuouslyIndexedFlow
from tfp_flows.auxiliary.indexed_step import IndexedStep

__all__ = ["ContinuouslyIndexedFlow", "IndexedStep", "anneal"]
