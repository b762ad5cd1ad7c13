"""A product place by place in other words, ``einsum('bchw,bc->bchw', x, s)`` or ``addcmul(b, x, s)``, as products.

So what is known of a product is known of these: gates, rectifiers written out, fields, layers. Those of which one
factor alone sees the picture are linear as they are, and stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from string import ascii_letters
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Graph, Node

from layerscope.network.programs import kind_of

_ADDED = {"addcmul": torch.ops.aten.add.Tensor, "addcmul_": torch.ops.aten.add_.Tensor}


def with_plain_products(graph: Graph, program: ExportedProgram) -> Graph:
    """The operations of a program with such products as plain ones; the graph itself where it has none."""
    seeing = _seeing(graph, program)
    products = {node for node in graph.nodes if len(seeing.intersection(_factors(node))) > 1}
    if not products:
        return graph
    plain, found = Graph(), dict[Any, Any]()
    for node in graph.nodes:
        writer = _Writer(plain, found, node)
        found[node] = writer.product() if node in products else plain.node_copy(node, found.__getitem__)
    return plain


def _seeing(graph: Graph, program: ExportedProgram) -> set[Node]:
    """What is made from the picture."""
    given, found = set(program.graph_signature.user_inputs), set[Node]()
    for node in graph.nodes:
        if node.name in given or not found.isdisjoint(node.all_input_nodes):
            found.add(node)
    return found


def _factors(node: Node) -> Sequence[Any]:
    """The factors of a product in other words; none of anything else."""
    kind = kind_of(node.target) if node.op == "call_function" else ""
    if kind in _ADDED:
        return node.args[1:3]
    found: Any = node.args[1] if kind == "einsum" and _letters(node) else ()
    return tuple(found)


def _letters(node: Node) -> tuple[Sequence[str], str] | None:
    """A letter for each axis of the factors and of the result, of an einsum that sums over none; None of others."""
    equation: Any = node.args[0]
    factors: Any = node.args[1]
    read, arrow, result = equation.replace(" ", "").partition("->")
    names = read.split(",")
    dots = {
        factor.meta["val"].ndim - len(own) + len("...")
        for factor, own in zip(factors, names, strict=True)
        if "..." in own
    }  # how many axes they stand for
    free = [letter for letter in ascii_letters if letter not in equation]
    axes = "".join(free[: max(dots, default=0)])
    *each, whole = (own.replace("...", axes) for own in (*names, result))
    once = all(len(set(letters)) == len(letters) for letters in (*each, whole))
    return (each, whole) if arrow and len(dots) < 2 and once and set("".join(each)) == set(whole) else None


class _Writer:
    """Writes operations in place of one node of a program, with their results as torch would say them."""

    def __init__(self, graph: Graph, found: Mapping[Any, Any], node: Node) -> None:
        self.graph, self.found, self.node = graph, found, node

    def product(self) -> Node:
        """The node as products, and as a sum with what is added."""
        factors = [self.found[factor] for factor in _factors(self.node)]
        added = _ADDED.get(kind_of(self.node.target))
        if added is not None:
            value = self.node.kwargs.get("value", 1)
            scaled = {} if value == 1 else {"alpha": value}
            return self.call(added, self.found[self.node.args[0]], self.times(*factors), **scaled)
        letters = _letters(self.node)
        assert letters is not None
        each, whole = letters
        return reduce(self.times, (self.placed(*pair, whole) for pair in zip(factors, each, strict=True)))

    def times(self, one: Node, other: Node) -> Node:
        """Their product."""
        return self.call(torch.ops.aten.mul.Tensor, one, other)

    def placed(self, factor: Node, own: str, whole: str) -> Node:
        """A factor with its axes where they are in the result, and axes of length 1 for the others."""
        order = [own.index(letter) for letter in whole if letter in own]
        if order != sorted(order):
            factor = self.call(torch.ops.aten.permute.default, factor, order)
        for place, letter in enumerate(whole):
            if letter not in own:
                factor = self.call(torch.ops.aten.unsqueeze.default, factor, place)
        return factor

    def call(self, target: Any, *args: Any, **keywords: Any) -> Node:
        """One operation more."""
        made = self.graph.call_function(target, args, keywords)
        made.meta = dict(self.node.meta)
        if not kind_of(target).endswith("_"):
            values = [arg.meta["val"] if isinstance(arg, Node) else arg for arg in args]
            made.meta["val"] = target(*values, **keywords)
        return made
