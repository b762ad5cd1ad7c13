"""Layers whose channels are their last axis, against the same network written in torch's order; axes nobody knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from layerscope.errors import GeometryError, NetworkError
from layerscope.network.network import Network, Unit
from layerscope.network.positions import arranged, index_of
from layerscope.reconstruction.descent import reconstruct
from layerscope.reconstruction.rules import GRADIENT
from layerscope.reconstruction.units import UnitAt, reconstruct_units
from layerscope.zoo.loading import read_architecture
from tests.support.channels_last import SIZE, summing, twins
from tests.support.descent import noise, small_network
from tests.support.small_networks import Written, conv

LAYERS = ("stem", "wide", "more", "end")


def test_layers_are_those_of_the_network_in_torchs_order() -> None:
    last, first = twins()
    for name in LAYERS:
        one, other = last.layer(name), first.layer(name)
        assert (one.channels, one.size, one.field) == (other.channels, other.size, other.field)
        assert one.field is not None
    assert (last.layer("norm").channels, last.layer("norm").size) == (4, (5, 7))
    assert last.layer("norm").field == last.layer("stem").field


def test_representations_are_those_of_the_network_in_torchs_order() -> None:
    last, first = twins()
    pictures = noise(2, 3, *SIZE)
    one, other = (network.representations(pictures, LAYERS) for network in (last, first))
    for name in LAYERS:
        torch.testing.assert_close(one[name], other[name], rtol=1e-12, atol=1e-12)
    assert one["wide"].shape == (2, 8, 6, 10)


@pytest.mark.parametrize(
    "unit", [Unit("wide", 5, 3, 2), Unit("wide", 7, 4, 7), Unit("more", 2, 0, 6), Unit("wide", 6)], ids=str
)
def test_a_unit_is_a_channel_row_and_column(unit: Unit) -> None:
    last, first = twins()
    pictures = noise(2, 3, *SIZE)
    one, other = (reconstruct(network, pictures, unit, rule=GRADIENT)[unit] for network in (last, first))
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    assert one.any()
    if unit.row is None:
        return
    (alone,) = reconstruct_units(last, pictures, [UnitAt(1, unit)], rule=GRADIENT)
    (beside,) = reconstruct_units(first, pictures, [UnitAt(1, unit)], rule=GRADIENT)
    assert alone.box == beside.box == last.box(unit) == first.box(unit)
    torch.testing.assert_close(alone.signal, beside.signal, rtol=1e-10, atol=1e-12)


def test_a_unit_out_of_range_is_refused_by_the_true_sizes() -> None:
    last, _ = twins()
    with pytest.raises(NetworkError, match="wide has channels 0 to 7, not 8"):
        last.check_unit(Unit("wide", 8, 0, 0))
    with pytest.raises(NetworkError, match="wide is 6x10: it has no position 6,0"):
        last.check_unit(Unit("wide", 0, 6, 0))


def _one_more(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([x.mean((2, 3))[:, None], x.flatten(2).transpose(1, 2)], 1)


#: what happens to a map (4, 5, 7), and the axes, channels and size it has then; None: nobody knows
CHANGES: dict[str, tuple[Any, tuple[str, ...] | None, int, tuple[int, int]]] = {
    "channels last": (lambda x: x.permute(0, 2, 3, 1), ("rows", "columns", "channels"), 4, (5, 7)),
    "two transpositions": (
        lambda x: x.transpose(1, 3).swapaxes(1, 2),
        ("rows", "columns", "channels"),
        4,
        (5, 7),
    ),
    "columns first": (lambda x: x.permute(0, 3, 1, 2), ("columns", "channels", "rows"), 4, (5, 7)),
    "channels in groups": (
        lambda x: x.reshape(-1, 2, 2, 5, 7),
        ("channels", "channels", "rows", "columns"),
        4,
        (5, 7),
    ),
    "channels in groups apart": (
        lambda x: x.reshape(-1, 2, 2, 5, 7).permute(0, 2, 3, 1, 4),
        ("channels", "rows", "channels", "columns"),
        4,
        (5, 7),
    ),
    "a vector": (lambda x: x.flatten(1), ("channels",), 140, (1, 1)),
    "a vector of what was last": (lambda x: x.permute(0, 2, 3, 1).flatten(1), ("channels",), 140, (1, 1)),
    "tokens": (lambda x: x.flatten(2).transpose(1, 2), ("positions", "channels"), 4, (5, 7)),
    "tokens of what was last": (
        lambda x: x.permute(0, 2, 3, 1).flatten(1, 2),
        ("positions", "channels"),
        4,
        (5, 7),
    ),
    "tokens and one more": (
        _one_more,
        ("positions", "channels"),
        4,
        (5, 7),
    ),
    "heads": (
        lambda x: x.flatten(2).transpose(1, 2).unflatten(2, (2, 2)).transpose(1, 2),
        ("channels", "positions", "channels"),
        4,
        (5, 7),
    ),
    "the mean over channels": (lambda x: x.mean(1), ("rows", "columns"), 1, (5, 7)),
    "the mean over rows": (lambda x: x.mean(2), ("channels", "columns"), 4, (1, 7)),
    "the mean of what was last": (lambda x: x.permute(0, 2, 3, 1).mean((1, 2)), ("channels",), 4, (1, 1)),
    "one axis more": (
        lambda x: x.unsqueeze(1),
        ("", "channels", "rows", "columns"),
        4,
        (5, 7),
    ),
    "a gate": (lambda x: x * x.mean((2, 3)).sigmoid()[:, :, None, None], ("channels", "rows", "columns"), 4, (5, 7)),
    "rows and channels as one": (lambda x: x.flatten(1, 2), None, 0, (1, 1)),
    "columns in windows": (
        lambda x: x[..., :6].reshape(-1, 4, 5, 2, 3),
        ("channels", "rows", "columns", "columns"),
        4,
        (5, 6),
    ),
    "columns in windows, every third beside it": (
        lambda x: x[..., :6].reshape(-1, 4, 5, 2, 3).transpose(3, 4).flatten(3),
        ("channels", "rows", "positions"),
        4,
        (5, 6),
    ),
    "windows, as tokens, and back": (
        lambda x: (
            x[:, :, :4, :6].unflatten(3, (2, 3)).unflatten(2, (2, 2)).permute(0, 2, 4, 3, 5, 1).reshape(-1, 6, 4)
            .reshape(-1, 2, 2, 2, 3, 4).permute(0, 1, 3, 2, 4, 5).flatten(1, 2).flatten(2, 3)
        ),
        ("rows", "columns", "channels"),
        4,
        (4, 6),
    ),
    "columns and rows as one": (lambda x: x.transpose(2, 3).flatten(2), ("channels", "positions"), 4, (5, 7)),
    "pictures in another place, and back": (
        lambda x: x.transpose(0, 1).flatten(1, 2).unflatten(1, (-1, 5)).transpose(0, 1).relu(),
        ("channels", "rows", "columns"),
        4,
        (5, 7),
    ),
    "windows of rows": (lambda x: x[:, :, :4].reshape(-1, 2, 2, 7), None, 0, (1, 1)),
    "the mean of windows": (lambda x: x[..., :6].reshape(-1, 4, 5, 2, 3).mean(4), None, 0, (1, 1)),
    "transposed and added": (lambda x: x[..., :5] + x[..., :5].transpose(2, 3), None, 0, (1, 1)),
    "products of positions": (lambda x: x.flatten(2).transpose(1, 2) @ x.flatten(2), None, 0, (1, 1)),
    "channels attended to": (
        lambda x: (x.flatten(2) @ x.flatten(2).transpose(1, 2)).softmax(-1) @ x.flatten(2),
        ("channels", "positions"),
        4,
        (5, 7),
    ),
    "products written out": (
        lambda x: torch.einsum("nchw,nkhw->nhwk", x, x.mean(1, keepdim=True).expand(-1, 6, -1, -1)),
        ("rows", "columns", "channels"),
        6,
        (5, 7),
    ),
    "positions mixed into others": (
        lambda x: torch.nn.functional.linear(x.flatten(2), torch.ones(3, 35)),
        ("channels", "channels"),
        12,
        (1, 1),
    ),
    "positions mixed into others, and added": (
        lambda x: x.flatten(2) + torch.nn.functional.linear(
            torch.nn.functional.linear(x.flatten(2), torch.ones(3, 35)), torch.ones(35, 3)
        ),
        ("channels", "positions"),
        4,
        (5, 7),
    ),
    "columns mixed into others": (
        lambda x: torch.nn.functional.linear(x, torch.ones(3, 7)),
        ("channels", "rows", "channels"),
        12,
        (5, 1),
    ),
    "a mean, copied": (
        lambda x: x.mean((2, 3), keepdim=True).expand(-1, -1, 5, 7),
        ("channels", "rows", "columns"),
        4,
        (5, 7),
    ),
    "a copy for each of more channels": (
        lambda x: x.mean(1).unsqueeze(1).expand(-1, 6, -1, -1),
        ("channels", "rows", "columns"),
        6,
        (5, 7),
    ),
    "the mean of what is alike in windows": (
        lambda x: x[..., :6].reshape(-1, 4, 5, 2, 3).mean(3),
        ("channels", "rows", "columns"),
        4,
        (5, 3),
    ),
    "a tap along tokens": (
        lambda x: torch.nn.functional.conv1d(x.flatten(2), torch.ones(6, 4, 1)),
        ("channels", "positions"),
        6,
        (5, 7),
    ),
    "heads as pictures, reduced": (
        lambda x: torch.nn.functional.avg_pool2d(x.reshape(-1, 2, 5, 7), 2).reshape(-1, 4, 2, 3),
        ("channels", "rows", "columns"),
        4,
        (2, 3),
    ),
    "one more token, taken apart and put back": (
        lambda x: torch.cat([_one_more(x)[:, :1], _one_more(x)[:, 1:] * 2], 1),
        ("positions", "channels"),
        4,
        (5, 7),
    ),
    "zeros before tokens": (
        lambda x: torch.nn.functional.pad(x.flatten(2).transpose(1, 2), (0, 0, 1, 0)) + _one_more(x),
        ("positions", "channels"),
        4,
        (5, 7),
    ),
    "tokens that others come in from": (
        lambda x: torch.nn.functional.pad(x.flatten(2), (3, 3), mode="circular"),
        None,
        0,
        (1, 1),
    ),
    "tokens pooled, two rows each": (
        lambda x: torch.nn.functional.avg_pool1d(x[:, :, :4].flatten(2), 14),
        ("channels", "rows"),
        4,
        (2, 1),
    ),
    "tokens pooled, some of two rows": (
        lambda x: torch.nn.functional.avg_pool1d(x[:, :, :4].flatten(2), 4), None, 0, (1, 1)),
    "tokens pooled, with gaps": (
        lambda x: torch.nn.functional.avg_pool1d(x[:, :, :4].flatten(2), 7, stride=14), None, 0, (1, 1)),
    "the one more token": (
        lambda x: _one_more(x)[:, :1],
        ("", "channels"),
        4,
        (1, 1),
    ),
    "some of the tokens": (
        lambda x: _one_more(x)[:, :3],
        None,
        0,
        (1, 1),
    ),
    "as another": (
        lambda x: x.flatten(2).reshape_as(x),
        ("channels", "rows", "columns"),
        4,
        (5, 7),
    ),
    "the batch within": (lambda x: x.transpose(0, 1).contiguous().relu(), None, 0, (1, 1)),
}  # fmt: skip


MOVED = ("channels last", "two transpositions", "columns first", "channels in groups apart")


@pytest.mark.parametrize("change", CHANGES)
def test_axes_are_followed_or_not_known(change: str) -> None:
    function, axes, channels, size = CHANGES[change]
    network = small_network(Written(lambda s, x: function(s.c(x)), c=conv()), (5, 7))
    operation = network.graph.operations[network.graph.output]
    assert operation.axes == axes
    if change in MOVED:
        assert str(network.geometry.fields[operation.index]) == "3/1"
    layer = network.layers[-1]
    if layer.result == operation.index:
        assert (layer.channels, layer.size) == (channels, size)


MOVES = (
    *("channels last", "two transpositions", "columns first", "channels in groups"),
    *("tokens", "tokens of what was last", "heads", "one axis more", "columns and rows as one"),
)  # fmt: skip
CUT = ("columns in windows", "columns in windows, every third beside it", "windows, as tokens, and back")


@pytest.mark.parametrize("change", [*MOVES, *CUT, "tokens and one more"])
def test_what_only_moves_is_put_back(change: str) -> None:
    """Every number is its own place in the map, so what is arranged says where each came from."""
    function, _, channels, (rows, columns) = CHANGES[change]
    network = small_network(Written(lambda s, x: function(s.c(x)), c=conv()), (5, 7))
    operation = network.graph.operations[network.graph.output]
    places = torch.arange(2 * 4 * 5 * 7.0).view(2, 4, 5, 7)
    found = arranged(operation, function(places))
    assert torch.equal(found, places[:, :, :rows, :columns].reshape(2, channels, rows, columns))


@pytest.mark.parametrize(
    "change",
    [*MOVES, *CUT, "tokens and one more", "channels in groups apart", "the mean over channels", "a vector"],
)
def test_a_channel_has_the_same_number_in_an_index_and_in_what_is_arranged(change: str) -> None:
    function, _, channels, (rows, columns) = CHANGES[change]
    network = small_network(Written(lambda s, x: function(s.c(x)), c=conv()), (5, 7))
    operation = network.graph.operations[network.graph.output]
    values = function(torch.randn(1, 4, 5, 7))
    found = arranged(operation, values).reshape(channels, rows, columns)
    for channel, row, column in [
        (0, 0, 0),
        (channels - 1, rows - 1, columns - 1),
        (channels // 2, rows // 2, 0),
    ]:
        assert values[0][index_of(operation, channel, row, column)] == found[channel, row, column]
        assert values[0][index_of(operation, channel, None, None)].sum() == pytest.approx(
            float(found[channel].sum()), abs=1e-5
        )


def test_the_digest_knows_of_axes_only_where_channels_are_not_the_first() -> None:
    """What was made of other networks before axes were followed is what is made now."""

    def both(network: Network) -> tuple[str, str]:
        graph = network.graph
        without = tuple(replace(operation, layout=None) for operation in graph.operations)
        return graph.digest, replace(graph, operations=without).digest

    last, first = twins()
    assert len({*both(last)}) == 2
    assert len({*both(first)}) == 1
    shuffled = Written(lambda s, x: s.c(x).unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2), c=conv())
    assert len({*both(small_network(shuffled, (5, 7)))}) == 1


def test_convnext_has_channels_rows_and_columns_in_every_layer() -> None:
    network = read_architecture("convnext_tiny")
    layer = network.layer("features.1.0.block.3")
    assert (layer.channels, layer.size, str(layer.field)) == (384, (56, 56), "28/4")
    assert all(layer.channels and layer.field for layer in network.layers)


def test_the_inside_of_attention_is_listed_as_it_is_and_refused() -> None:
    network = summing()
    inner, outer = network.layer("o"), network.layer("f")
    assert (inner.channels, inner.axes, inner.output, inner.field) == (0, None, (140, 4), None)
    assert (outer.channels, outer.size, outer.field) == (4, SIZE, None)
    with pytest.raises(
        NetworkError, match=r"^o \(linear\) gives 140x4 numbers, and it is not known which axes"
    ):
        reconstruct(network, noise(1, 3, *SIZE), Unit("o", 2, 1, 0), rule=GRADIENT)
    with pytest.raises(GeometryError, match="no receptive field of one size"):
        network.box(Unit("f", 1, 2, 3))
    one = Unit("f", 1, 2, 3)
    found = reconstruct(network, noise(1, 3, *SIZE), ["o", one], rule=GRADIENT)
    assert found["o"].any()
    (alone,) = reconstruct_units(network, noise(1, 3, *SIZE), [UnitAt(0, one)], rule=GRADIENT)
    torch.testing.assert_close(alone.signal, found[one][0])
