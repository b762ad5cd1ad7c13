"""What does not see the picture, nor how many there are, is computed once, when a network is read.

So weights made of others (weight and spectral norm, pruning masks, standardised or scaled ones) are plain weights, and
masks that are filled in place are plain tensors.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from layerscope.errors import NetworkError
from layerscope.network.graph import Parameter


class Constants:
    """The values of those nodes of an exported program that do not see the picture. ``state``: its tensors by name."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state
        self.values: dict[Any, Any] = {}
        self.own = {_storage(value) for value in state.values()}  # memory of the network, never written to

    def tensor(self, node: Any, name: str) -> None:
        """Note that a node is one of the network's own tensors. Raises NetworkError for what is none."""
        if not isinstance(self.state[name], Tensor):
            raise NetworkError(
                f"the network holds a {type(self.state[name]).__name__} that its forward uses; only tensors can be read"
            )
        self.values[node] = self.state[name].detach()

    def compute(self, node: Any) -> bool:
        """Compute an operation as it is written, in place where it says so; False if it is no constant."""
        target = node.target
        of_a_kind = is_of_a_kind(getattr(target, "__name__", ""))
        sources = node.all_input_nodes[1 if of_a_kind else 0 :]
        if not all(source in self.values for source in sources) or not _is_settled(node):
            return False
        args, keywords = torch.fx.node.map_arg((node.args, node.kwargs), self._value)
        if isinstance(target, OpOverload) and target._schema.is_mutable and _storage(args[0]) in self.own:
            return False
        self.values[node] = target(*args, **keywords)
        return True

    def keep(self, node: Any) -> Any:
        """A constant as an argument: a tensor of the network, with the values it has now."""
        value = self.values[node]
        if not isinstance(value, Tensor):
            return value
        name = f"~{node.name}~{value._version}"  # after the network's own, whichever precision they have
        if name not in self.state:
            self.state[name] = value.detach().clone()
        return Parameter(name)

    def _value(self, source: Any) -> Any:
        if source in self.values:
            return self.values[source]
        like = source.meta["val"]
        shape = [n if isinstance(n, int) else 0 for n in like.shape]
        return torch.empty(shape, dtype=like.dtype, device=like.device)


def is_of_a_kind(name: str) -> bool:
    """Whether of what an operation reads only type and size count."""
    return name.startswith("new_") or "_like" in name


def _is_settled(node: Any) -> bool:
    """Whether it is an operation of torch that gives the same each time, and of one size."""
    if not isinstance(node.target, OpOverload) and node.target is not operator.getitem:
        return False
    value = node.meta.get("val")
    parts = value if isinstance(value, (tuple, list)) else [value]
    return torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ()) and all(
        isinstance(part, Tensor) and all(isinstance(n, int) for n in part.shape) for part in parts
    )


def _storage(value: Any) -> int:
    return int(value.untyped_storage().data_ptr()) if isinstance(value, Tensor) else 0
