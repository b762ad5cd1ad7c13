"""The way back through maxima, of channels, maps, cells and of two maps, against naive twins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.reconstruction.rules import DECONVNET, GRADIENT, GUIDED, Rule
from tests.oracles.reconstruction.operations import by_columns, largest
from tests.support.descent import Function, captured, down, noise

SHAPE = (4, 6, 5)
Twin = Callable[..., Tensor]  #: of a picture, and of the one at which all is held constant


def _rows(x: Tensor) -> Tensor:
    return x.flatten(2)


def _chosen(x: Tensor, x0: Tensor, windows: list[Any], result: tuple[int, ...]) -> Tensor:
    """Of each window (indices into a picture) the value of x where x0 is largest."""
    values = [x[0][w].flatten()[largest(x0[0][w])] for w in windows]
    return torch.stack(values).view(1, *result)


def _over_channels(x: Tensor, x0: Tensor) -> Tensor:
    windows = [(slice(None), i, j) for i in range(6) for j in range(5)]
    return _chosen(x, x0, windows, (6, 5))


def _over_map(x: Tensor, x0: Tensor) -> Tensor:
    return _chosen(x, x0, [(c,) for c in range(4)], (4, 1, 1))


def _cells(x: Tensor, x0: Tensor) -> Tensor:
    rows, columns = [(0, 2), (1, 3), (3, 5), (4, 6)], [(0, 2), (1, 4), (3, 5)]
    windows = [(c, slice(*r), slice(*k)) for c in range(4) for r in rows for k in columns]
    return _chosen(x, x0, windows, (4, 4, 3))


def _pool_1d(x: Tensor, x0: Tensor) -> Tensor:
    """Windows of 3 taps, 2 apart, one position of padding."""
    x, x0 = x.flatten(2), x0.flatten(2)
    windows = [
        (c, [p for p in range(2 * i - 1, 2 * i + 2) if 0 <= p < 30]) for c in range(4) for i in range(15)
    ]
    return _chosen(x, x0, windows, (4, 15))


def _larger(x: Tensor, x0: Tensor) -> Tensor:
    return torch.stack([(v, 2 * v - 0.5)[largest(torch.stack([v0, 2 * v0 - 0.5]))]
                        for v, v0 in zip(x.flatten(), x0.flatten(), strict=True)]).view(x.shape)  # fmt: skip


MAXIMA: dict[str, tuple[Callable[[Tensor], Tensor], Twin]] = {
    "over channels": (lambda x: x.amax(1), _over_channels),
    "over channels, with places": (lambda x: x.max(1)[0], _over_channels),
    "least over channels": (lambda x: -(-x).amin(1), _over_channels),
    "over the map": (lambda x: x.amax((2, 3), True), _over_map),
    "adaptive, whole": (lambda x: F.adaptive_max_pool2d(x, 1), _over_map),
    "adaptive": (lambda x: F.adaptive_max_pool2d(x, (4, 3)), _cells),
    "pool with places": (lambda x: F.max_pool2d(x, (6, 5), return_indices=True)[0], _over_map),
    "pool along one axis": (lambda x: F.max_pool1d(_rows(x), 3, 2, 1), _pool_1d),
    "of two maps": (lambda x: torch.maximum(x, 2 * x - 0.5), _larger),
    "of two maps by max": (lambda x: torch.max(x, 2 * x - 0.5), _larger),
    "less of two maps": (lambda x: -torch.minimum(-x, 0.5 - 2 * x), _larger),
}


@pytest.mark.parametrize("rule", [DECONVNET, GUIDED, GRADIENT], ids=lambda rule: rule.name)
@pytest.mark.parametrize("name", MAXIMA)
@pytest.mark.parametrize("flat", [False, True])
def test_every_maximum_has_switches(name: str, rule: Rule, flat: bool) -> None:
    """On noise, and on a picture of few grey values, where many are equal."""
    function, twin = MAXIMA[name]
    picture = noise(1, *SHAPE).round() + 0.5 if flat else noise(1, *SHAPE)
    graph = captured(Function(function), picture)
    signal = noise(3, *graph.operations[graph.output].shape, seed=1)
    expected = by_columns(lambda x: twin(x, picture), picture, signal)
    torch.testing.assert_close(down(graph, picture, signal, rule), expected, rtol=1e-9, atol=1e-11)


def test_a_maximum_with_a_constant_goes_back_where_the_map_was_larger() -> None:
    picture = noise(1, *SHAPE)
    graph = captured(Function(lambda x: torch.maximum(x, torch.full((4, 1, 1), 0.3))), picture)
    signal = noise(2, *SHAPE, seed=1)
    torch.testing.assert_close(down(graph, picture, signal, DECONVNET), signal * (picture >= 0.3))
