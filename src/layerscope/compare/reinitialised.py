"""Networks of the same architecture with some or all of their weights as they were before training."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from math import prod, sqrt

import torch
from torch import Tensor

from layerscope.network.graph import Operation, Parameter
from layerscope.network.network import Network

_WEIGHTED = ("conv2d", "linear")
_FRESH: Mapping[str, float] = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
_NORMS = ("batch_norm", "layer_norm", "group_norm", "instance_norm")


def weighted_layers(network: Network) -> tuple[str, ...]:
    """Names of the layers that have weights to learn, in the order they run."""
    graph = network.graph
    return tuple(
        layer.name
        for layer in network.layers
        if any(graph.operations[index].kind in _WEIGHTED for index in layer.operations)
    )


def reinitialise(network: Network, layers: Collection[str] | None = None, seed: int = 0) -> Network:
    """The network with the weights of these layers as He et al. 2015 begin; None: of all. The given one stays.

    Weights of convolutions and fully-connected layers are normal with variance 2 / inputs, which keeps every layer
    alive and its result depending on the picture; biases are 0, norms the identity. A tensor's values depend on its
    name and the seed alone, so what is random in two networks is the same in both. Tensors of other operations stay.
    To shuffle a layer's own weights would keep their mean, which is below 0: from the third convolution of VGG-16
    on its biases would be all that is left.
    """
    tensors, graph = dict(network.graph.tensors), network.graph
    for layer in network.layers:
        if layers is None or layer.name in layers:
            for index in layer.operations:
                tensors |= dict(_fresh(graph.operations[index], graph.tensors, seed))
    return replace(
        network, graph=replace(graph, tensors=tensors), weights="re-initialised", loading=None, exact=None
    )


def _fresh(operation: Operation, tensors: Mapping[str, Tensor], seed: int) -> Iterator[tuple[str, Tensor]]:
    named = {key: value.name for key, value in operation.arguments.items() if isinstance(value, Parameter)}
    for argument, name in named.items():
        if operation.kind in _WEIGHTED and argument == "weight":
            yield name, _normal(tensors[name], f"{seed} {name}")
        elif operation.kind in _WEIGHTED:
            yield name, torch.zeros_like(tensors[name])
        elif operation.kind in _NORMS:
            yield name, torch.full_like(tensors[name], _FRESH[argument])


def _normal(like: Tensor, key: str) -> Tensor:
    """Of the same shape, precision and layout; its values depend on the key."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little") >> 1
    values = torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))
    fresh = torch.empty_like(like)
    fresh.copy_(values * sqrt(2 / prod(like.shape[1:])))
    return fresh
