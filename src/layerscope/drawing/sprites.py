"""The portrait of one filter as a picture file: its patches in a row, beneath each what the filter keeps of it.

A file says itself what it is of, so that a run which finds it knows whether to keep it. No torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from layerscope.drawing.encoding import JPEG_SIDE, encode_jpeg, encode_png
from layerscope.drawing.render import Pixels
from layerscope.errors import ImageError, said

PNG_SIDE = 32  #: panels up to so many pixels high and wide are kept as PNG, larger ones as JPEG
_QUALITY = 90
_MOST_NOTES = 1250  # panels of which a JPEG's comment has room for what they say
_KEY = "portrait"
_LIGHT, _DARK = (228, 230, 242), (198, 203, 226)
_STRIPE = 4  # pixels from one stripe to the next


def hatched(height: int, width: int) -> Pixels:
    """What a filter does not see: pale blue, with diagonal stripes a little darker."""
    rows, columns = np.indices((height, width))
    stripes = (rows + columns) % _STRIPE == 0
    pixels: Pixels = np.where(stripes[..., None], _DARK, _LIGHT).astype(np.uint8)
    return pixels


def draw_sprite(
    size: tuple[int, int], columns: Sequence[tuple[tuple[slice, slice], *tuple[Pixels, ...]]]
) -> Pixels:
    """All panels (height, width) of a filter: patches above, reconstructions below, hatched outside.

    A column: the rows and columns that the filter sees, and the pixels of its panels there: both, or the patch alone.
    """
    height, width = size
    rows = max(len(both) for _, *both in columns)
    sprite = np.tile(hatched(height, width), (rows, len(columns), 1))
    for number, ((down, across), *both) in enumerate(columns):
        for row, pixels in enumerate(both):
            panel = sprite[row * height : (row + 1) * height, number * width : (number + 1) * width]
            panel[down, across] = pixels
    return sprite


def suffix(size: tuple[int, int], count: int) -> str:
    """What the file of so many panels (height, width) ends in."""
    small, large = max(size) <= PNG_SIDE, max(2 * size[0], count * size[1]) > JPEG_SIDE
    return ".png" if small or large or count > _MOST_NOTES else ".jpg"


def encode_sprite(
    sprite: Pixels, ending: str, about: Mapping[str, Any], *, quality: int = _QUALITY, fine: bool = True
) -> bytes:
    """The file, with what it says about itself: PNG, or JPEG with colours at full resolution unless not ``fine``."""
    words, image = json.dumps(about, sort_keys=True), Image.fromarray(sprite)
    if ending == ".png":
        return encode_png(image, {_KEY: words})
    return encode_jpeg(image, quality, words, fine=fine, fitted=True)


def read_about(path: Path) -> dict[str, Any]:
    """What a portrait says about itself; empty if the file is none."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            found = json.loads(image.info.get(_KEY) or image.info.get("comment") or "{}")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return {}
    return found if isinstance(found, dict) else {}


def read_sprite(path: Path) -> Pixels:
    """The pixels of a portrait. Raises ImageError if the file is missing or damaged."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(
            f"cannot read the picture {path}: {said(error)}; remove it and run the same again"
        ) from error
