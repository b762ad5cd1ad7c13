"""Pictures that are no photographs, through VGG-16's real weights: in float32 what they are in float64.

Their edges are straight and their areas flat: in exact arithmetic, thousands of values of a max-pool's windows are
equal, and rounding differs between precisions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from PIL import Image, ImageDraw

from layerscope.errors import WeightsError
from layerscope.network.network import Network
from layerscope.reconstruction import switches
from layerscope.reconstruction.descent import reconstruct
from layerscope.reconstruction.rules import DECONVNET, Rule
from layerscope.zoo.loading import load_network


def _rectangle(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((70, 60, 169, 149), fill=(30, 90, 160))


def _logo(draw: ImageDraw.ImageDraw) -> None:
    draw.ellipse((50, 50, 170, 170), fill=(200, 20, 30))
    draw.rectangle((90, 90, 130, 200), fill=(20, 40, 200))
    draw.polygon([(20, 200), (60, 120), (100, 200)], fill=(0, 150, 60))


def _black_border(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((0, 30, 223, 193), fill=(120, 160, 90))
    draw.ellipse((60, 60, 130, 140), fill=(210, 190, 40))


def _saturated_sky(draw: ImageDraw.ImageDraw) -> None:
    draw.polygon([(0, 150), (80, 110), (150, 160), (223, 120), (223, 223), (0, 223)], fill=(60, 70, 50))
    draw.rectangle((100, 60, 108, 150), fill=(35, 30, 30))


PICTURES: dict[str, tuple[tuple[int, int, int], Callable[[ImageDraw.ImageDraw], None]]] = {
    "a rectangle on flat ground": ((200, 200, 200), _rectangle),
    "a logo": ((255, 255, 255), _logo),
    "a black border": ((0, 0, 0), _black_border),
    "a saturated sky": ((255, 255, 255), _saturated_sky),
}


@cache
def vgg16() -> Network:
    try:
        return load_network("vgg16", "imagenet-trunk")
    except WeightsError as error:
        pytest.skip(str(error))


def most_apart(name: str, rule: Rule) -> float:
    """The largest difference of any layer between float32 and float64, of its norm."""
    ground, draw = PICTURES[name]
    image = Image.new("RGB", (224, 224), ground)
    draw(ImageDraw.Draw(image))
    network = vgg16()
    picture = network.preprocessing.apply(image)[None]
    layers = [layer.name for layer in network.layers]
    single = reconstruct(network, picture, layers, rule=rule)
    whole = reconstruct(network.to(dtype=torch.float64), picture.double(), layers, rule=rule)
    return max(float((single[n] - whole[n]).norm() / whole[n].norm()) for n in layers)


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_in_float32_they_are_what_they_are_in_float64(name: str) -> None:
    assert most_apart(name, DECONVNET) < 1e-5


@pytest.mark.slow
def test_the_plain_maximum_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """On which of them, is the processor's: they round in other orders."""
    monkeypatch.setattr(switches, "least", lambda maxima: maxima)
    assert max(most_apart(name, DECONVNET) for name in PICTURES) > 1e-3
