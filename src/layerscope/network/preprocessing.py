"""From a picture to a network's input and back: resize, centre crop, mean and standard deviation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from layerscope.errors import ImageError, NetworkError
from layerscope.kernels.resampling import Interpolation, Pixels, axis, look_up, resample

PIXELS = "2"
"""Counts the ways in which a picture became pixels; 1 was Pillow's resize, whose order of axes its version decides."""


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
        pixels = self._pixels(picture if len(self.mean) == 3 else picture.convert("L"))
        return torch.from_numpy(look_up(pixels, _values(self.mean, self.deviation)))

    def crop(self, picture: Image.Image) -> Image.Image:
        """The part of the picture that the network sees, at its size, RGB, or L of a picture in L.

        The pixels are those of torchvision's resize and centre crop, columns resized first.
        Raises ImageError for a picture without pixels.
        """
        seen = Image.fromarray(self._pixels(picture))
        return seen.getchannel(0) if picture.mode == "L" else seen

    def _pixels(self, picture: Image.Image) -> Pixels:
        """What `crop` shows, (height, width, 3); no other pixels of the picture are touched, however long it is."""
        width, height = picture.size
        if not width * height:
            raise ImageError(f"{width} x {height}: it has no pixels; leave it out")
        covering = max(self.width / width, self.height / height)
        scale = max(covering, (self.resize or 0) / min(width, height))
        size = (max(self.width, int(width * scale + 1e-9)), max(self.height, int(height * scale + 1e-9)))
        left, top = round((size[0] - self.width) / 2), round((size[1] - self.height) / 2)
        columns = axis(width, size[0], left, self.width, self.interpolation)
        rows = axis(height, size[1], top, self.height, self.interpolation)
        part = picture.crop((columns.start, rows.start, columns.stop, rows.stop))
        return resample(np.asarray(part.convert("RGB")), rows, columns)

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
