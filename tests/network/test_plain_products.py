"""A product place by place is one in other words, too; what sums is none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from layerscope.network.capture import capture
from layerscope.network.gates import gates, rectified
from layerscope.network.graph import Graph
from tests.support.descent import Function, noise


def read(function: Callable[..., Tensor]) -> tuple[Graph, list[str]]:
    """A network of one convolution on pictures of 4x6x6, checked against its own forward, and its kinds."""
    torch.manual_seed(0)
    module = Function(function, nn.Conv2d(4, 4, 1)).eval()
    with torch.no_grad():
        graph = capture(module, (4, 6, 6))
        picture = noise(3, 4, 6, 6).to(torch.float32)
        found = graph.run(picture, graph.output, frozenset({graph.output}))[graph.output]
        assert_close(found, module(picture))
    return graph, [operation.kind for operation in graph.operations]


def gate(x: Tensor, a: nn.Module) -> Tensor:
    made: Tensor = a(x).mean((2, 3)).sigmoid()
    return made


PRODUCTS: dict[str, Callable[..., Tensor]] = {
    "a plain one": lambda x, a: x * gate(x, a)[:, :, None, None],
    "einsum": lambda x, a: torch.einsum("bchw,bc->bchw", x, gate(x, a)),
    "einsum, the gate first and axes at the end": lambda x, a: torch.einsum(
        "bc, bhwc -> bchw", gate(x, a), x.permute(0, 2, 3, 1)
    ),
    "einsum, with axes left unnamed": lambda x, a: torch.einsum("...hw,...->...hw", x, gate(x, a)),
    "addcmul": lambda x, a: torch.addcmul(a(x), x, gate(x, a)[:, :, None, None], value=3),
    "addcmul in place": lambda x, a: a(x).addcmul_(gate(x, a)[:, :, None, None], x),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_in_other_words_has_a_gate_as_the_plain_one(name: str) -> None:
    graph, kinds = read(PRODUCTS[name])
    assert not {"einsum", "addcmul"} & set(kinds)
    (product,) = [o for o in graph.operations if o.kind == "mul"]
    (held,) = gates(graph, product)
    assert held in product.inputs
    assert graph.operations[held].shape in ((4, 1, 1), (4,))
    assert product.axes == ("channels", "rows", "columns")


def test_a_rectifier_written_out_is_one_by_einsum_too() -> None:
    graph, _ = read(lambda x, a: torch.einsum("bchw,bchw->bchw", y := a(x), y.sigmoid()))
    (product,) = [o for o in graph.operations if o.kind == "mul"]
    assert rectified(graph, product) is not None


@pytest.mark.parametrize(
    "function",
    [
        lambda x, a: torch.einsum("bchw,bc->bhw", x, gate(x, a)),
        lambda x, a: torch.einsum("bchw,bc", x, gate(x, a)) + x[:, 0],
        lambda x, a: torch.einsum("bcii,bc->bci", x, gate(x, a)),
        lambda x, a: torch.einsum("bchw,c->bchw", x, a.bias),
        lambda x, a: torch.einsum("bchw->bhwc", x),
    ],
)
def test_what_sums_or_has_one_map_alone_stays_as_it_is(function: Callable[..., Tensor]) -> None:
    _, kinds = read(function)
    assert "einsum" in kinds
    assert "mul" not in kinds


def test_a_program_of_the_user_is_not_changed() -> None:
    module = Function(PRODUCTS["einsum"], nn.Conv2d(4, 4, 1)).eval()
    free = {0: torch.export.Dim.DYNAMIC}
    program = torch.export.export(module, (torch.zeros(2, 4, 6, 6),), dynamic_shapes=(free,))
    before = str(program.graph)
    assert "einsum" not in [operation.kind for operation in capture(program, (4, 6, 6)).operations]
    assert str(program.graph) == before
