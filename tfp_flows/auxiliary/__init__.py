"""Samples with log weights, over tensors and callables; no Keras."""

from tfp_flows.auxiliary.anneal import anneal

__all__ = ["anneal"]
