"""A flat area of a picture stays flat: whatever computes a convolution, it gives it one value.

Else a max-pool over it finds its maximum wherever rounding put it, and its switches are noise. Tiled ways, such as
Winograd's minimal filtering, do that: their rounding depends on the place in the tile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.kernels import onednn
from layerscope.network.capture import capture
from layerscope.network.convolution import prepare_convolutions, prepare_forward, transpose
from layerscope.network.readers import Window

LAYERS = {
    "VGG-16's c1_1": (3, 64, Window(3, 1, 1), 48),
    "VGG-16's c1_2": (64, 64, Window(3, 1, 1), 48),
    "VGG-16's c2_2": (128, 128, Window(3, 1, 1), 37),
    "VGG-16's c3_1": (128, 256, Window(3, 1, 1), 56),
    "VGG-16's c4_2": (512, 512, Window(3, 1, 1), 28),
    "VGG-16's c5_3": (512, 512, Window(3, 1, 1), 14),
    "AlexNet's c1": (3, 64, Window(11, 4, 2), 224),
    "AlexNet's c2": (64, 192, Window(5, 1, 2), 27),
    "AlexNet's c3": (192, 384, Window(3, 1, 1), 13),
    "AlexNet's c5": (256, 256, Window(3, 1, 1), 13),
}  #: inputs, outputs, window, height and width of the input
Way = Callable[[Tensor], Tensor]


def ways(module: torch.nn.Conv2d, size: int) -> dict[str, Way]:
    """Every way that a convolution, or the way back through it, is computed here."""
    graph = capture(torch.nn.Sequential(module, torch.nn.ReLU()).eval(), (module.in_channels, size, size))
    top = frozenset({graph.output})

    def run(prepared: Mapping[int, Way]) -> Way:
        return lambda values: graph.run(values, graph.output, top, prepared=prepared)[graph.output]

    found = {
        "torch's": run({}),
        "prepared": run(prepare_convolutions(graph, graph.output)),
        "rectifying": run(prepare_forward(graph, graph.output, top)),
    }
    if module.stride == (1, 1):
        axis = Window(module.kernel_size[0], 1, int(module.padding[0]))
        weight = module.weight.detach().transpose(0, 1).contiguous()
        found["back"] = transpose(weight, (axis, axis), 1, (size, size))
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("layer", LAYERS)
def test_a_flat_area_has_one_value(layer: str, dtype: torch.dtype) -> None:
    if dtype is torch.bfloat16 and not onednn.available(dtype):
        pytest.skip("this CPU does not compute it")
    inputs, outputs, window, size = LAYERS[layer]
    torch.manual_seed(0)
    module = torch.nn.Conv2d(inputs, outputs, window.kernel, window.stride, window.pad).to(dtype)
    level = torch.randn(1, inputs, 1, 1).relu().to(dtype)
    margin = -(-window.pad // window.stride)
    for rows in (1, 3):
        values = level.expand(rows, inputs, size, size).contiguous(memory_format=torch.channels_last)
        for name, way in ways(module, size).items():
            with torch.inference_mode():
                inner = way(values)[..., margin:-margin, margin:-margin]
            assert inner.any()
            assert is_flat(inner), (name, rows)


def is_flat(values: Tensor) -> bool:
    """Whether all of each map is one value: to the bit, in float64 up to a rounding far below that of ties."""
    maps = values.flatten(2).double()
    spread = maps.amax(2) - maps.amin(2)
    return bool((spread <= (2**-40 if values.dtype is torch.float64 else 0) * maps.abs().amax(2)).all())


def test_a_way_that_adds_in_another_order_here_and_there_is_seen() -> None:
    torch.manual_seed(0)
    weight, level = torch.randn(16, 512, 3, 3), torch.randn(1, 512, 1, 1).relu()
    values = level.expand(1, 512, 9, 9).contiguous(memory_format=torch.channels_last)
    one, other = F.conv2d(values, weight), F.conv2d(values.flip(1), weight.flip(1))
    assert is_flat(one)
    assert is_flat(other)
    one[..., ::2] = other[..., ::2]
    assert not is_flat(one)
