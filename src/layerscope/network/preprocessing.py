"""From a picture to a network's input and back: resize, centre crop, mean and standard deviation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from layerscope.errors import ImageError, NetworkError

Interpolation = Literal["bilinear", "bicubic"]

PIXELS = "2"
"""Counts the ways in which a picture became pixels; 1 resized all of it, in the order of axes that Pillow chose."""

_REACH = 2  # pixels to each side that a filter reads, at most, where it does not reduce
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Preprocessing:
    """Resize the shorter side, crop the centre, scale to [0, 1], subtract the mean, divide by the deviation."""

    resize: int | None = 256  #: shorter side in pixels before the crop; None: the crop's own size
    height: int = 224
    width: int = 224
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    deviation: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: Interpolation = "bilinear"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the network's input."""
        return len(self.mean), self.height, self.width

    def apply(self, picture: Image.Image) -> Tensor:
        """The input (channels, height, width), float32, for a picture of any size; grey for one channel.

        Raises NetworkError for other than 1 or 3 channels: a picture does not say what the others are.
        """
        if len(self.mean) not in (1, 3):
            raise NetworkError(
                f"a picture gives 1 channel (grey) or 3, not {len(self.mean)}; make the input yourself"
            )
        seen = self.crop(picture if len(self.mean) == 3 else picture.convert("L"))
        pixels, table = np.atleast_3d(np.asarray(seen)), _values(self.mean, self.deviation)
        values = np.empty(self.shape, np.float32)
        for channel in range(len(table)):
            np.take(
                table[channel], pixels[..., channel], out=values[channel], mode="clip"
            )  # "raise" would copy
        return torch.from_numpy(values)

    def crop(self, picture: Image.Image) -> Image.Image:
        """The part of the picture that the network sees, at its size, RGB, or L of a picture in L.

        Made of the pixels under it alone, however long the picture is; within a grey level, for pictures of a few
        pixels two, of torchvision's resize of the whole and centre crop. Raises ImageError for a
        picture without pixels.
        """
        width, height = picture.size
        if not width * height:
            raise ImageError(f"{width} x {height}: it has no pixels; leave it out")
        covering = max(self.width / width, self.height / height)
        scale = max(covering, (self.resize or 0) / min(width, height))
        left, right = _seen(width, max(self.width, int(width * scale + 1e-9)), self.width)
        top, bottom = _seen(height, max(self.height, int(height * scale + 1e-9)), self.height)
        shown, kind = (
            picture if picture.mode in ("RGB", "L") else picture.convert("RGB"),
            _FILTERS[self.interpolation],
        )
        # Columns, then rows: bicubic clips what overshoots in between, and Pillow's own order goes by the shape.
        margin = math.ceil(_REACH * max(1.0, (bottom - top) / self.height)) + 1
        first, last = max(0, math.floor(top) - margin), min(height, math.ceil(bottom) + margin)
        strip = shown.crop((0, first, width, last)) if (first, last) != (0, height) else shown
        strip = strip.resize((self.width, last - first), kind, box=(left, 0, right, last - first))
        return strip.resize((self.width, self.height), kind, box=(0, top - first, self.width, bottom - first))

    def picture(self, values: Tensor) -> npt.NDArray[np.uint8]:
        """The input (channels, height, width) as the pixels it came from, (height, width, channels) in 0..255."""
        pixels = values.detach().float().cpu().permute(1, 2, 0)
        pixels = pixels * torch.tensor(self.deviation) + torch.tensor(self.mean)
        shown: npt.NDArray[np.uint8] = pixels.mul(255).round().clamp(0, 255).byte().numpy()
        return shown


def _seen(size: int, resized: int, wanted: int) -> tuple[float, float]:
    """Where the ``wanted`` pixels in the middle of ``resized`` begin and end among the ``size`` they are made of."""
    first = round((resized - wanted) / 2)
    return first * size / resized, min((first + wanted) * size / resized, size)


@lru_cache(16)
def _values(mean: tuple[float, ...], deviation: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """What each grey becomes in each channel, (channels, 256)."""
    greys = torch.arange(256).float().div(255)[:, None]
    values: npt.NDArray[np.float32] = (
        ((greys - torch.tensor(mean)) / torch.tensor(deviation)).T.contiguous().numpy()
    )
    return values


IMAGENET = Preprocessing()  #: what torchvision's ImageNet weights expect
