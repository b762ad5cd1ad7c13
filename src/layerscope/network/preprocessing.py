"""From a picture to a network's input and back: resize, centre crop, mean and standard deviation."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from layerscope.errors import ImageError, NetworkError

Interpolation = Literal["bilinear", "bicubic"]

PIXELS = "2"
"""Counts the ways in which a picture became pixels; 1 was Pillow's resize, whose order of axes goes by the shape."""

Place = tuple[float, float]
CENTRE: Place = (0.5, 0.5)

_REACH = 2  # pixels to each side that a filter reads, at most, where it does not reduce
_WHOLE = 16  # times the pixels that are seen: larger ones are not resized as a whole
_LATER = {"squash": False}  # fields that older studies do not have, and what was so then
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
    squash: bool = False  #: resize to the crop's shape and its margin, whatever shape the picture has

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the network's input."""
        return len(self.mean), self.height, self.width

    def about(self) -> dict[str, object]:
        """What a study says of it: what came to be said later only where it is not as it was without saying."""
        every = asdict(self)
        return {name: value for name, value in every.items() if name not in _LATER or value != _LATER[name]}

    def __str__(self) -> str:
        return f"Preprocessing({', '.join(f'{name}={value!r}' for name, value in self.about().items())})"

    def apply(self, picture: Image.Image | Tensor, place: Place = CENTRE) -> Tensor:
        """The input (channels, height, width), float32, for a picture of any size; grey for one channel.

        ``picture``: also what `resized` made of one. ``place``: as `crop` takes it. Raises NetworkError
        for other than 1 or 3 channels: a picture does not say what the others are.
        """
        if len(self.mean) not in (1, 3):
            raise NetworkError(
                f"a picture gives 1 channel (grey) or 3, not {len(self.mean)}; make the input yourself"
            )
        pixels = self._pixels(picture, place)
        table = _values(self.mean, self.deviation)
        values = np.empty(self.shape, np.float32)
        for channel in range(len(table)):
            np.take(table[channel], pixels[channel], out=values[channel], mode="clip")  # "raise" would copy
        return torch.from_numpy(values)

    def crop(self, picture: Image.Image, place: Place = CENTRE) -> Image.Image:
        """The part of the picture that the network sees, at its size, RGB, or L of a picture in L.

        ``place``: where it lies of all places down and across, each from 0 (top, left) to 1; its middle unless given.
        Within a grey level of Pillow's resize and centre crop. Of a long thin picture, which would be huge as a whole,
        only what lies under it is resized. Raises ImageError for a picture without pixels.
        """
        shown = picture if picture.mode in ("RGB", "L") else picture.convert("RGB")
        whole = self._resized(shown)
        if whole is not None:
            seen = self._part(whole, place).permute(1, 2, 0)
            return Image.fromarray(np.ascontiguousarray(seen.squeeze(2) if shown.mode == "L" else seen))
        down, across = self._size(shown)
        top, left = self._corner(down, across, place)
        columns = left * shown.width / across, (left + self.width) * shown.width / across
        rows = top * shown.height / down, (top + self.height) * shown.height / down
        return self._resize_part(shown, rows, columns)

    def resized(self, picture: Image.Image) -> Tensor | None:
        """The whole picture as `crop` resizes it, uint8 (channels, height, width); None of a long thin one."""
        return self._resized(self._coloured(picture))

    def _pixels(self, picture: Image.Image | Tensor, place: Place) -> npt.NDArray[np.uint8]:
        """What `crop` takes of a picture, (channels, height, width)."""
        whole = picture if isinstance(picture, Tensor) else self.resized(picture)
        if whole is not None:
            found: npt.NDArray[np.uint8] = self._part(whole, place).numpy()
            return found
        assert isinstance(picture, Image.Image)
        return np.atleast_3d(np.asarray(self.crop(self._coloured(picture), place))).transpose(2, 0, 1)

    def _resized(self, shown: Image.Image) -> Tensor | None:
        down, across = self._size(shown)
        if down * across > _WHOLE * self.height * self.width:
            return None
        pixels = torch.from_numpy(np.atleast_3d(np.array(shown))).permute(2, 0, 1)[None]
        return F.interpolate(pixels, (down, across), mode=self.interpolation, antialias=True)[0]

    def _coloured(self, picture: Image.Image) -> Image.Image:
        """In as many channels as the network sees."""
        mode = "RGB" if len(self.mean) == 3 else "L"
        return picture if picture.mode == mode else picture.convert(mode)

    def _size(self, picture: Image.Image) -> tuple[int, int]:
        """Height and width of the picture as a whole, resized."""
        width, height = picture.size
        if not width * height:
            raise ImageError(f"{width} x {height}: it has no pixels; leave it out")
        if self.squash:
            ratio = max(1.0, (self.resize or 0) / min(self.height, self.width))
            return int(self.height * ratio + 1e-9), int(self.width * ratio + 1e-9)
        covering = max(self.width / width, self.height / height)
        scale = max(covering, (self.resize or 0) / min(width, height))
        return max(self.height, int(height * scale + 1e-9)), max(self.width, int(width * scale + 1e-9))

    def _corner(self, down: int, across: int, place: Place) -> tuple[int, int]:
        return round((down - self.height) * place[0]), round((across - self.width) * place[1])

    def _part(self, whole: Tensor, place: Place) -> Tensor:
        top, left = self._corner(whole.shape[1], whole.shape[2], place)
        return whole[:, top : top + self.height, left : left + self.width]

    def _resize_part(
        self, shown: Image.Image, rows: tuple[float, float], columns: tuple[float, float]
    ) -> Image.Image:
        """From where to where it is seen. Columns, then rows: bicubic clips what overshoots in between."""
        margin = math.ceil(_REACH * max(1.0, (rows[1] - rows[0]) / self.height)) + 1
        first, last = max(0, math.floor(rows[0]) - margin), min(shown.height, math.ceil(rows[1]) + margin)
        kind, end = _FILTERS[self.interpolation], min(columns[1], shown.width)
        strip = shown.crop((0, first, shown.width, last))
        strip = strip.resize((self.width, last - first), kind, box=(columns[0], 0, end, last - first))
        below = min(rows[1] - first, last - first)
        return strip.resize((self.width, self.height), kind, box=(0, rows[0] - first, self.width, below))

    def picture(self, values: Tensor) -> npt.NDArray[np.uint8]:
        """The input (channels, height, width) as the pixels it came from, (height, width, channels) in 0..255."""
        pixels = values.detach().float().cpu().permute(1, 2, 0)
        pixels = pixels * torch.tensor(self.deviation) + torch.tensor(self.mean)
        shown: npt.NDArray[np.uint8] = pixels.mul(255).round().clamp(0, 255).byte().numpy()
        return shown


@lru_cache(16)
def _values(mean: tuple[float, ...], deviation: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """What each grey becomes in each channel, (channels, 256)."""
    greys = torch.arange(256).float().div(255)[:, None]
    values: npt.NDArray[np.float32] = (
        ((greys - torch.tensor(mean)) / torch.tensor(deviation)).T.contiguous().numpy()
    )
    return values


IMAGENET = Preprocessing()  #: what torchvision's ImageNet weights expect
