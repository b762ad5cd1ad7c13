"""What excites a channel most: where the best picture is known, where it lies, and that it goes on where it stopped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from layerscope import Network, Preprocessing, Unit, load_network
from layerscope.errors import LayerscopeError, NetworkError, UnsupportedOperationError
from layerscope.network.showing import Shown
from layerscope.reconstruction.descent import Class
from layerscope.synthesis import MaximiseOptions, invert, maximise
from layerscope.synthesis.canvas import canvas_of, canvas_of_classes, colours_of, inputs_of
from layerscope.synthesis.jitter import Move, drawn_moves, neighbours
from layerscope.synthesis.maximising import least_first, measured
from layerscope.synthesis.pixels import Pixels, eight_bits
from tests.support.excited import filled, small

QUICK = MaximiseOptions(steps=6)


# ------------------------------------------------------------------ the best picture, where it is known


@pytest.mark.parametrize("prior", ["none", "fourier"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_convolution_is_excited_most_by_its_filter(prior: str, channels: int) -> None:
    """With the mean square of the input taken off, w x - d |x|^2 / n is largest at n w / 2 d."""
    weights = torch.randn(2, channels, 5, 5, generator=torch.Generator().manual_seed(3))
    network, decay = filled(weights), 1000.0
    options = MaximiseOptions(prior=prior, steps=600, margin=0, decay=decay, shift=0.0, scaling=0.0)  # type: ignore[arg-type]
    for channel, one in enumerate(maximise(network, [Unit("0", 0), Unit("0", 1)], options=options)):
        assert one.pixels.shape == (5, 5, channels)
        best = weights[channel].permute(1, 2, 0).numpy() * weights[channel].numel() / (2 * decay)
        assert one.pixels / 255 - 0.5 == pytest.approx(best, abs=0.01)


def test_without_it_pixels_go_to_the_ends() -> None:
    weights = torch.randn(1, 3, 5, 5, generator=torch.Generator().manual_seed(3))
    options = MaximiseOptions(prior="none", steps=300, rate=1.0, margin=0, shift=0.0, scaling=0.0)
    (one,) = maximise(filled(weights), [Unit("0", 0)], options=options)
    best = (weights[0] > 0).permute(1, 2, 0).numpy() * 255
    assert np.abs(one.pixels.astype(int) - best).max() <= 3
    assert one.activation == pytest.approx(float(weights.abs().sum() / 2), rel=0.02)


@pytest.mark.parametrize("prior", ["none", "fourier"])
def test_derivatives_of_what_is_raised(prior: str) -> None:
    network = small(size=12).to(dtype=torch.float64)
    canvas = canvas_of(network, network.layer("3"), 2)
    shape = (3, canvas.height, canvas.width)
    drawn = Pixels.drawn(prior, shape, [5], colours=(2, 0, 1))  # type: ignore[arg-type]
    start = drawn.parameters.detach().double().requires_grad_()

    def raised(parameters: Tensor) -> Tensor:
        pictures = replace(drawn, parameters=parameters).pictures()
        return canvas.values(inputs_of(network, Move(0.7, -0.4, 1.03).of(pictures)))[0, 1]

    assert torch.autograd.gradcheck(raised, (start,), eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("prior", ["none", "fourier"])
def test_pixels_are_where_the_network_is(prior: str) -> None:
    drawn = Pixels.drawn(prior, (3, 6, 7), [1, 2], "meta", (0, 1, 2))  # type: ignore[arg-type]
    assert drawn.parameters.is_leaf
    assert drawn.pictures().device.type == "meta"


def test_colours_are_those_of_the_input() -> None:
    """Of a network that reads blue, green, red the same picture as of one that reads red, green, blue, mirrored."""
    weights = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(3))
    networks = [filled(weights), filled(weights.flip(1))]
    turned = replace(networks[1].preprocessing, order=(2, 1, 0))
    networks[1] = replace(networks[1], preprocessing=turned)
    assert [colours_of(network) for network in networks] == [(0, 1, 2), (2, 1, 0)]
    found, mirrored = (maximise(network, [Unit("0", 1)], options=QUICK)[0] for network in networks)
    assert np.abs(found.pixels.astype(int) - mirrored.pixels[..., ::-1]).max() <= 1
    assert not np.array_equal(found.pixels, mirrored.pixels)


@pytest.mark.parametrize(
    ("shown", "order", "colours"),
    [
        (None, None, None),
        ((3, 1, 0), None, (3, 1, 0)),
        ((3, 1, 1), None, None),
        ((2,), None, None),
        ("grey", None, None),
    ],
)
def test_which_channels_are_colours(
    shown: Shown, order: tuple[int, ...] | None, colours: tuple[int, ...] | None
) -> None:
    preprocessing = Preprocessing(9, 9, 9, (0.5,) * 4, (0.5,) * 4, shown=shown, order=order)
    network = Network.from_module(nn.Sequential(nn.Conv2d(4, 2, 3)), preprocessing=preprocessing)
    assert colours_of(network) == colours
    drawn = Pixels.drawn("fourier", (4, 9, 9), [1], colours=colours)
    waves = Pixels.drawn("fourier", (4, 9, 9), [1]).pictures().logit()
    mixed = drawn.pictures().logit()
    for channel in range(4):
        same = torch.allclose(waves[:, channel], mixed[:, channel], atol=1e-6)
        assert same == (channel not in (colours or ()))


# ------------------------------------------------------------------ what is reached


def test_it_is_excited_more_than_by_noise() -> None:
    network = small()
    noise = torch.rand(64, 3, 40, 40, generator=torch.Generator().manual_seed(2))
    for layer in ("0", "3"):
        strongest = network.representations(inputs_of(network, noise), [layer])[layer].amax((0, 2, 3))
        units = [Unit(layer, channel) for channel in range(len(strongest))]
        found = maximise(network, units, options=MaximiseOptions(steps=60))
        assert [one.seed.channel for one in found if isinstance(one.seed, Unit)] == list(range(len(units)))
        assert all(one.activation > high for one, high in zip(found, strongest.tolist(), strict=True))


def test_what_is_measured_is_what_is_written() -> None:
    network = small()
    (one,) = maximise(network, [Unit("3", 1)], options=QUICK)
    canvas = canvas_of(network, network.layer("3"), QUICK.margin)
    again = canvas.values(
        inputs_of(network, torch.from_numpy(one.pixels).permute(2, 0, 1)[None].float() / 255)
    )
    assert one.activation == pytest.approx(max(0.0, float(again[0, 1])))
    assert isinstance(one.seed, Unit)
    assert (one.seed.row, one.seed.column) == (canvas.row, canvas.column)


def test_moves_are_measured() -> None:
    """A flat picture is the same wherever it lies; a dot is lost."""
    weights = torch.zeros(1, 1, 5, 5)
    weights[..., 2, 2] = 1
    network = filled(weights)
    canvas = canvas_of(network, network.layer("0"), 0)
    flat, dot = (
        torch.full((1, 1, 5, 5), 200, dtype=torch.uint8),
        torch.full((1, 1, 5, 5), 127, dtype=torch.uint8),
    )
    dot[..., 2, 2] = 255
    found = [next(measured(canvas, [0], pixels)) for pixels in (flat, dot)]
    assert found[0].moved == pytest.approx((1, 1), abs=1e-4)
    assert found[1].moved is not None
    assert found[1].moved[0] < 0.8
    assert next(measured(canvas, [0], flat * 0)).moved is None


def test_moves() -> None:
    picture = torch.rand(1, 2, 12, 10, generator=torch.Generator().manual_seed(0))
    assert Move(2, -3).of(picture)[..., 2:, :-3] == pytest.approx(picture[..., :-2, 3:], abs=1e-5)
    half = Move(factor=2).of(torch.arange(8.0).expand(1, 1, 8, 8))[0, 0, 4]
    assert half.diff()[1:-1].tolist() == pytest.approx([0.5] * 5, abs=1e-5)
    assert len(set(neighbours(4, 0.05))) == 10


def test_the_least_activation_counts_most() -> None:
    reached = torch.tensor([[1.0, -2.0, 0.0], [1.1, -2.0, 0.0], [2.0, -3.0, 0.0]])
    weights = least_first(reached)
    assert weights.sum(0).tolist() == pytest.approx([1, 1, 1])
    assert weights[0, 0] > 0.95
    assert weights[2, 1] > 0.95
    assert weights[:, 2].tolist() == pytest.approx([1 / 3] * 3)
    assert torch.allclose(least_first(reached * 1e-6), weights)


def test_what_is_made_stands_moves() -> None:
    """More of the activation stays than where nothing was moved; what sees little is not moved."""
    torch.manual_seed(3)
    module = nn.Sequential(
        *(nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 5, stride=2), nn.ReLU()),
        nn.Conv2d(8, 4, 9),
    )
    network = Network.from_module(module, preprocessing=Preprocessing(80, 80, 80))
    units, still = [Unit("4", channel) for channel in range(4)], MaximiseOptions(shift=0, scaling=0)
    moved, unmoved = (maximise(network, units, options=options) for options in (MaximiseOptions(), still))
    for one, other in zip(moved, unmoved, strict=True):
        assert one.moved is not None
        assert other.moved is not None
        assert one.moved[0] > 0.6
        assert other.moved[0] < 0.4
        assert one.activation < other.activation
    small = [Unit("0", 1)]
    options = MaximiseOptions(scaling=0)
    (one,), (other,) = (maximise(network, small, options=options) for options in (options, still))
    assert np.array_equal(one.pixels, other.pixels)


def test_drawn_moves() -> None:
    """In turns some of the neighbours, each but a part of its way or a little beyond."""
    drawn = [drawn_moves(1, step, 4, 0.08, 7) for step in range(200)]
    whole = neighbours(4, 0.08)
    assert {len(moves) for moves in drawn} == {7}
    assert {sum(place in moves for moves in drawn) for place in range(10)} == {140}
    every = [(place, move) for moves in drawn for place, move in moves.items()]
    assert 5 < max(abs(move.down) for _, move in every) <= 6
    assert 0.88 <= min(move.factor for _, move in every) < 0.9
    for place, move in every:
        turned = move.down * whole[place].across - move.across * whole[place].down
        assert turned == pytest.approx(0, abs=1e-9)
        assert (move.factor - 1) * (whole[place].factor - 1) >= 0
    assert drawn_moves(1, 7, 4, 0.08, 7) == drawn[7] != drawn_moves(2, 7, 4, 0.08, 7)
    assert len(drawn_moves(1, 7, 4, 0.08, 20)) == 10
    assert len(drawn_moves(1, 7, 0, 0.08, 20)) == 2
    assert drawn_moves(1, 7, 0, 0, 20) == {0: Move()}
    late = drawn_moves(1, 7, 4, 0.08, 20, late=True)
    assert sum(move == whole[place] for place, move in late.items()) == 5


def test_pictures_of_one_channel_differ() -> None:
    network = small()
    options = MaximiseOptions(steps=40, each=3)
    found = maximise(network, [Unit("3", 0), Unit("3", 4)], options=options)
    assert [(one.seed.channel, one.number) for one in found if isinstance(one.seed, Unit)] == [
        (channel, number) for channel in (0, 4) for number in range(3)
    ]
    assert len({one.pixels.tobytes() for one in found}) == 6


def test_classes() -> None:
    network = load_network("alexcnn", "fashion")
    found = maximise(network, [Class(3), Unit("c2", 1), Class(8)], options=MaximiseOptions(steps=40))
    assert [str(one.seed).partition("@")[0] for one in found] == ["class 3", "c2:1", "class 8"]
    shown = torch.stack([torch.from_numpy(one.pixels) for one in found if isinstance(one.seed, Class)])
    inputs = inputs_of(network, shown.permute(0, 3, 1, 2).float() / 255)
    assert [names[0].index for names in network.predict(inputs)] == [3, 8]
    assert canvas_of_classes(network).values(inputs)[0, 3] == pytest.approx(found[0].activation, rel=1e-4)


def test_eight_bits() -> None:
    assert eight_bits(torch.tensor([0.0, 0.5, 0.999, 1.0])).tolist() == [0, 128, 255, 255]


# ------------------------------------------------------------------ what goes wrong


def test_what_cannot_be_excited() -> None:
    network = small()
    with pytest.raises(NetworkError, match="no layer '9'"):
        maximise(network, [Unit("9", 0)])
    with pytest.raises(NetworkError, match="channels 0 to 4, not 5"):
        maximise(network, [Unit("3", 5)])
    with pytest.raises(NetworkError, match="bfloat16, whose steps are too coarse; use float32"):
        maximise(network.to(dtype=torch.bfloat16), [Unit("3", 0)])
    assert maximise(network, []) == ()


class _Rounds(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.round()


def test_what_has_no_derivative_is_named() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3), _Rounds(), nn.Conv2d(2, 2, 1))
    network = Network.from_module(module, name="rounds", preprocessing=Preprocessing(9, 9, 9))
    with pytest.raises(UnsupportedOperationError, match="derivative of round in '1' is zero"):
        maximise(network, [Unit("2", 0)], options=QUICK)
    assert maximise(network, [Unit("0", 0)], options=QUICK)
    with pytest.raises(UnsupportedOperationError, match="round in '1'"):
        invert(network, torch.rand(3, 9, 9), ["2"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"seed": -1}, "seed = -1: give 0 to 9223372036854775807"),
        ({"seed": 2**63}, "give 0 to 9223372036854775807"),
        ({"decay": float("nan")}, "decay = nan: give 0 or more, no infinity"),
        ({"rate": float("inf")}, "rate = inf: give 0 or more, no infinity"),
        ({"diversity": -0.5}, "diversity = -0.5: give 0 or more"),
        ({"scaling": 1.0}, "scaling = 1.0: give 0 to 0.5"),
        ({"steps": 0}, "steps = 0: give 1 or more"),
        ({"margin": -1}, "margin = -1: give 0 or more"),
    ],
)
def test_options_out_of_range(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(LayerscopeError, match=words):
        MaximiseOptions(**wrong)


def test_what_is_not_finite_is_no_picture() -> None:
    with pytest.raises(LayerscopeError, match="pictures became NaN"):
        maximise(small(), [Unit("0", 0)], options=MaximiseOptions(steps=2, decay=1e300))


def test_a_network_that_gives_nan_is_said() -> None:
    network = filled(torch.full((1, 3, 5, 5), torch.nan))
    with pytest.raises(LayerscopeError, match="the network gives NaN: its weights are not finite"):
        maximise(network, [Unit("0", 0)], options=QUICK)


def test_a_dead_channel_stays_dead() -> None:
    weights = torch.zeros(1, 3, 5, 5)
    (one,) = maximise(filled(weights), [Unit("0", 0)], options=QUICK)
    assert one.activation == 0
    assert one.moved is None
    assert np.isfinite(one.pixels).all()
