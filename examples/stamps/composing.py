"""An object on a place that has nothing to do with it, and the mask of where it is."""

from __future__ import annotations

import numpy as np
from PIL import Image

# of Debian's packages, below their root
STAMPS, PLACES = "usr/share/tuxpaint/stamps", "usr/share/backgrounds"


def scaled(image: Image.Image, share: float) -> Image.Image:
    """The image at a share of its size, a pixel at least."""
    width, height = (max(1, round(length * share)) for length in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def without_border(stamp: Image.Image) -> Image.Image:
    """A cut-out, RGBA, without the empty border."""
    return stamp.crop(stamp.getchannel("A").getbbox())


def square_of(place: Image.Image, side: int, random: np.random.Generator) -> Image.Image:
    """A square of half the shorter side up to all of it, from anywhere, at a side of its own."""
    cut = int(random.integers(min(place.size) // 2, min(place.size) + 1))
    left, top = (int(random.integers(0, length - cut + 1)) for length in place.size)
    return place.resize((side, side), Image.Resampling.BICUBIC, (left, top, left + cut, top + cut))


def placed(
    stamp: Image.Image, background: Image.Image, random: np.random.Generator, border: int = 0
) -> tuple[Image.Image, Image.Image]:
    """The stamp anywhere on the background but for its border, whole; and the mask, 255 where it hides the place."""
    left, top = (
        border + int(random.integers(0, room - 2 * border - length + 1))
        for room, length in zip(background.size, stamp.size, strict=True)
    )
    picture, mask = background.copy(), Image.new("L", background.size)
    picture.paste(stamp, (left, top), stamp)
    mask.paste(stamp.getchannel("A"), (left, top))
    return picture, mask
