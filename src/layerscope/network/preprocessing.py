"""From a picture to a network's input and back: resize, centre crop, mean and standard deviation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from layerscope.errors import NetworkError


@dataclass(frozen=True)
class Preprocessing:
    """Resize the shorter side, crop the centre, scale to [0, 1], subtract the mean, divide by the deviation."""

    resize: int | None = 256  #: shorter side in pixels before the crop; None: the crop's own size
    height: int = 224
    width: int = 224
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    deviation: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

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
        mode = "L" if len(self.mean) == 1 else "RGB"
        pixels = np.atleast_3d(
            np.asarray(self.crop(picture if picture.mode == mode else picture.convert(mode)))
        )
        greys = torch.arange(256).float().div(255)[:, None]
        values = ((greys - torch.tensor(self.mean)) / torch.tensor(self.deviation)).T.contiguous().numpy()
        return torch.from_numpy(np.stack([values[c][pixels[..., c]] for c in range(len(self.mean))]))

    def crop(self, picture: Image.Image) -> Image.Image:
        """The part of the picture that the network sees, at its size (as torchvision resizes and crops)."""
        width, height = picture.size
        covering = max(self.width / width, self.height / height)
        scale = max(covering, (self.resize or 0) / min(width, height))
        size = (max(self.width, int(width * scale + 1e-9)), max(self.height, int(height * scale + 1e-9)))
        filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
        resized = picture.resize(size, filters[self.interpolation])
        left, top = round((size[0] - self.width) / 2), round((size[1] - self.height) / 2)
        return resized.crop((left, top, left + self.width, top + self.height))

    def picture(self, values: Tensor) -> npt.NDArray[np.uint8]:
        """The input (channels, height, width) as the pixels it came from, (height, width, channels) in 0..255."""
        pixels = values.detach().float().cpu().permute(1, 2, 0)
        pixels = pixels * torch.tensor(self.deviation) + torch.tensor(self.mean)
        shown: npt.NDArray[np.uint8] = pixels.mul(255).round().clamp(0, 255).byte().numpy()
        return shown


IMAGENET = Preprocessing()  #: what torchvision's ImageNet weights expect
