"""Where what is excited lies: the pixels that a unit sees, and a margin."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from layerscope import Network, Preprocessing, Unit
from layerscope.synthesis import MaximiseOptions, maximise
from layerscope.synthesis.canvas import canvas_of, canvas_of_classes, inputs_of, results_of
from tests.support.excited import small


@pytest.mark.parametrize("layer", ["0", "2", "3"])
@pytest.mark.parametrize("margin", [2, 5])
def test_a_canvas_is_a_part_of_a_picture(layer: str, margin: int) -> None:
    """What a unit gives for the canvas is what it gives where the same pixels lie in a whole picture."""
    network = small()
    canvas = canvas_of(network, network.layer(layer), margin)
    assert canvas.layer is not None
    assert canvas.layer.field is not None
    assert (canvas.height, canvas.width) == tuple(side + 2 * margin for side in canvas.layer.field.size)
    pixels = torch.rand(2, 3, canvas.height, canvas.width, generator=torch.Generator().manual_seed(1))
    whole, stride = torch.full((2, 3, 40, 40), 0.5), canvas.layer.field.stride[0]
    whole[..., 8 : 8 + canvas.height, 8 : 8 + canvas.width] = pixels
    there = network.representations(inputs_of(network, whole), [layer])[layer]
    assert canvas.row is not None
    place = canvas.row + 8 // stride
    found = canvas.values(inputs_of(network, pixels))
    assert found.clamp(min=0) == pytest.approx(there[:, :, place, place].clamp(min=0), abs=1e-5)
    box = canvas.layer.field.box(canvas.row, canvas.row)
    assert box.top >= 0
    assert box.bottom <= canvas.height
    assert abs(box.top + box.bottom - canvas.height) <= stride


@pytest.mark.parametrize("layer", ["0", "3", "5"])
@pytest.mark.parametrize("margin", [0, 1, 5, 9, 30])
def test_no_more_is_run_than_a_unit_sees(layer: str, margin: int) -> None:
    """The same as from all of the canvas; and nothing outside what is run changes it."""
    torch.manual_seed(2)
    module = nn.Sequential(
        *(nn.Conv2d(3, 4, 5, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)),
        *(nn.Conv2d(4, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 5, 3, padding=2, dilation=2)),
    )
    network = Network.from_module(module.eval(), preprocessing=Preprocessing(75, 75, 75))
    canvas = canvas_of(network, network.layer(layer), margin)
    pixels = torch.rand(2, 3, canvas.height, canvas.width)
    (maps,) = results_of(network, pixels, [canvas.operation.index]).values()
    torch.testing.assert_close(canvas.values(pixels), canvas.of_unit(maps), rtol=1e-5, atol=1e-6)
    rows, columns = canvas.seen
    other = torch.rand(2, 3, canvas.height, canvas.width)
    other[..., rows, columns] = pixels[..., rows, columns]
    assert torch.equal(canvas.values(other), canvas.values(pixels))
    assert margin < 5 or pixels[..., rows, columns].numel() < pixels.numel()


@pytest.mark.parametrize("margin", [1, 2, 16])
def test_branches_that_round_sizes_differently(margin: int) -> None:
    """As on all of the canvas: one rounds down, one up."""

    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
            self.down, self.up = nn.Conv2d(4, 4, 2, stride=2), nn.Conv2d(4, 4, 1, stride=2)

        def forward(self, pictures: Tensor) -> Tensor:
            first = self.first(pictures)
            return self.last(self.down(first) + self.up(first))  # type: ignore[no-any-return]

    network = Network.from_module(Branches().eval(), preprocessing=Preprocessing(64, 64, 64))
    canvas = canvas_of(network, network.layer("last"), margin)
    pixels = torch.rand(1, 3, canvas.height, canvas.width)
    (maps,) = results_of(network, pixels, [canvas.operation.index]).values()
    torch.testing.assert_close(canvas.values(pixels), canvas.of_unit(maps), rtol=1e-5, atol=1e-6)


class Joined(nn.Module):
    """A convolution that rounds sizes up beside a pool that rounds them down."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1)
        self.up, self.down = nn.Conv2d(4, 4, 3, stride=2, padding=1), nn.MaxPool2d(2)

    def forward(self, pictures: Tensor) -> Tensor:
        first = self.first(pictures)
        return self.last(torch.cat([self.up(first), self.down(first)], 1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("margin", [0, 1, 2, 5, 29, 40])
@pytest.mark.parametrize("size", [64, 30])
def test_a_canvas_on_which_branches_would_not_meet(margin: int, size: int) -> None:
    """Of another parity than the input: run with more beyond it, a unit gives what it gives in a whole picture."""
    torch.manual_seed(3)
    preprocessing = Preprocessing(size, size, size, (0.5,) * 3, (0.5,) * 3)
    network = Network.from_module(Joined().eval(), preprocessing=preprocessing)
    layer = network.layer("last")
    assert layer.field is not None
    canvas = canvas_of(network, layer, margin)
    side = min(size, layer.field.size[0] + 2 * margin)
    assert (canvas.height, canvas.width) == (side, side)
    pixels = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    whole = torch.full((2, 3, size, size), 0.5)
    whole[..., :side, :side] = pixels
    there = network.representations(inputs_of(network, whole), ["last"])["last"]
    found = canvas.values(inputs_of(network, pixels))
    torch.testing.assert_close(found, canvas.of_unit(there), rtol=1e-5, atol=1e-5)
    other = pixels.clone()
    other[..., canvas.height // 2, canvas.width // 2] += 0.3
    assert not torch.equal(canvas.values(inputs_of(network, other)), found)
    (one,) = maximise(network, [Unit("last", 1)], options=MaximiseOptions(steps=2, margin=margin))
    assert one.pixels.shape == (side, side, 3)


def test_a_canvas_is_no_larger_than_the_input() -> None:
    network = small()
    canvas = canvas_of(network, network.layer("3"), 100)
    assert (canvas.height, canvas.width, canvas.row) == (40, 40, 10)
    whole = canvas_of(network, network.layer("6"), 2)
    assert (whole.height, whole.width, whole.row) == (40, 40, None)
    assert not whole.rectified
    assert canvas_of(network, network.layer("3"), 1).rectified


def test_an_operation_that_takes_one_size_needs_all_of_the_input() -> None:
    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 4, 3, padding=1)
            self.places = nn.Parameter(torch.randn(1, 4, 40, 40))

        def forward(self, pictures: Tensor) -> Tensor:
            return torch.relu(self.convolution(pictures) + self.places)

    network = Network.from_module(Placed(), preprocessing=Preprocessing(40, 40, 40))
    canvas = canvas_of(network, network.layers[-1], 2)
    assert (canvas.height, canvas.width) == (40, 40)
    (one,) = maximise(network, [Unit(network.layers[-1].name, 2)], options=MaximiseOptions(steps=6))
    assert one.pixels.shape == (40, 40, 3)


def test_a_unit_sees_its_field_or_all() -> None:
    network = small(size=32)
    assert canvas_of(network, network.layer("0"), 16).sees == (3, 3)
    assert canvas_of(network, network.layer("6"), 16).sees == (32, 32)
    assert canvas_of_classes(network).sees == (32, 32)
