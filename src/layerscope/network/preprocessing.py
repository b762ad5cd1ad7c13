"""From a picture to a network's input and back: channels, resize, centre crop, mean and standard deviation."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from layerscope.errors import ImageError
from layerscope.images.bands import Bands, Decoded
from layerscope.kernels.threads import loading_kernels
from layerscope.network.mean_image import MeanImage
from layerscope.network.showing import Shown, mixed, panels_of, words_of

Interpolation = Literal["bilinear", "bicubic"]

PIXELS = "2"
"""Counts the ways in which a picture became pixels; 1 was Pillow's resize, whose order of axes goes by the shape."""

Place = tuple[float, float]
CENTRE: Place = (0.5, 0.5)

_REACH = 2  # pixels to each side that a filter reads, at most, where it does not reduce
_WHOLE = 16  # times the pixels that are seen: larger ones are not resized as a whole
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_LATER: dict[str, Any] = {
    "squash": False,
    "order": None,
    "mean_image": None,
    "shown": None,
    "shown_range": (0.0, 1.0),
}  # fields that older studies do not have, and what was so then

_Values: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
_Source: TypeAlias = Image.Image | _Values  # RGB or L, or (height, width, channels of the input)


@dataclass(frozen=True)
class Preprocessing:
    """Resize the shorter side, crop the centre, scale to [0, 1], subtract the mean, divide by the deviation.

    The input has as many channels as ``mean`` has numbers. `Bands` of other numbers than 8 and 16 bits are not scaled.
    """

    resize: int | None = 256  #: shorter side in pixels before the crop; None: the crop's own size
    height: int = 224
    width: int = 224
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    deviation: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: Interpolation = "bilinear"
    squash: bool = False  #: resize to the crop's shape and its margin, whatever shape the picture has
    order: tuple[int, ...] | None = (
        None  #: which channel of a picture each of the input is; None: as they come
    )
    mean_image: MeanImage | None = None  #: subtracted in place of the mean, which is then its own
    shown: Shown = (
        None  #: channels of the input that are shown: 3 as red, green and blue, 1 in grey, or "grey"
    )
    shown_range: tuple[float, float] = (0.0, 1.0)  #: what of a picture is shown as black and as white

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the network's input."""
        return len(self.mean), self.height, self.width

    def about(self) -> dict[str, object]:
        """What a study says of it: what came to be said later only where it is not as it was without saying."""
        every = asdict(replace(self, mean_image=None))
        every["mean_image"] = None if self.mean_image is None else self.mean_image.digest
        return {name: value for name, value in every.items() if name not in _LATER or value != _LATER[name]}

    def __str__(self) -> str:
        return f"Preprocessing({', '.join(f'{name}={value!r}' for name, value in self.about().items())})"

    def apply(self, picture: Decoded | _Values, place: Place = CENTRE) -> Tensor:
        """The input (channels, height, width), float32, for a picture of any size; grey for one channel.

        ``picture``: also what `resized` made of one. ``place``: as `crop` takes it. Raises ImageError for a picture
        of another number of channels than the input has or ``order`` asks for.
        """
        return self.values(self.pixels(picture, place), place)

    def values(self, pixels: npt.NDArray[Any], place: Place = CENTRE) -> Tensor:
        """What `pixels` found, (channels, height, width), as the network's input of this shape, float32."""
        found = np.empty(pixels.shape, np.float32)
        found[...] = pixels
        if pixels.dtype == np.uint8:
            found /= 255
        values = torch.from_numpy(found)
        found -= self._mean(values, place).numpy()
        found /= _upright(self.deviation, values).numpy()
        return values

    def values_of_many(
        self, pixels: _Values, mirrored: npt.NDArray[np.bool_], found: npt.NDArray[np.float32]
    ) -> Tensor:
        """The same of (pictures, height, width, channels) at once, some mirrored; there is no mean image.

        (pictures, channels, height, width), channels last in memory, which is that of ``found``, shaped as ``pixels``.
        """
        if found.shape != pixels.shape:  # a compiled walk would write beyond its end
            raise ValueError(f"{found.shape} is no room for {pixels.shape}")
        if pixels.dtype == np.uint8:
            with loading_kernels():
                from layerscope.kernels.levels_compiled import look_up
            look_up(pixels, self._by_grey, mirrored, found)
        else:
            found[~mirrored], found[mirrored] = pixels[~mirrored], pixels[mirrored, :, ::-1]
            rows, width = found.reshape(-1, found[0, 0].size), pixels.shape[2]
            rows -= np.tile(np.array(self.mean, np.float32), width)
            rows /= np.tile(np.array(self.deviation, np.float32), width)
        return torch.from_numpy(found).permute(0, 3, 1, 2)

    @cached_property
    def _by_grey(self) -> tuple[npt.NDArray[np.float32], ...]:
        """What each grey of 8 bits becomes in each channel, (256,)."""
        greys = np.broadcast_to(np.arange(256, dtype=np.uint8), (len(self.mean), 1, 256))
        return tuple(self.values(greys)[:, 0].numpy())

    def normalised(self, pixels: Tensor, place: Place = CENTRE) -> Tensor:
        """Pixels (..., channels, height, width), 1 as white, less the mean, over the deviation.

        A mean image is subtracted where they are of the input's size; of others its mean in each channel.
        """
        return (pixels - self._mean(pixels, place)) / _upright(self.deviation, pixels)

    def _mean(self, like: Tensor, place: Place) -> Tensor:
        if self.mean_image is None or tuple(like.shape[-2:]) != (self.height, self.width):
            return _upright(self.mean, like)
        part = self._part(self.mean_image.values.transpose(1, 2, 0), place).transpose(2, 0, 1)
        return torch.from_numpy(part).to(like)

    def crop(self, picture: Image.Image, place: Place = CENTRE) -> Image.Image:
        """The part of the picture that the network sees, at its size, RGB, or L of a picture in L.

        ``place``: where it lies of all places down and across, each from 0 (top, left) to 1; its middle unless given.
        Within a grey level of Pillow's resize and centre crop. Of a long thin picture, which would be huge as a whole,
        only what lies under it is resized. Raises ImageError for a picture without pixels.
        """
        shown = picture if picture.mode in ("RGB", "L") else picture.convert("RGB")
        seen = self._cropped(shown, place)
        return Image.fromarray(np.ascontiguousarray(seen.squeeze(2) if shown.mode == "L" else seen))

    def check(self, picture: Decoded) -> None:
        """Raise ImageError, with the reason alone, for a picture of channels that the network cannot see."""
        self._source(picture)

    def misfit(self, picture: Decoded) -> str:
        """Why the network cannot see a picture of these channels; "" if it can."""
        try:
            self.check(picture)
        except ImageError as error:
            return str(error)
        return ""

    def resized(self, picture: Decoded) -> _Values | None:
        """The whole picture as `apply` resizes it, (height, width, channels), uint8 or float32; None: long and thin."""
        return self._resized(self._source(picture))

    def pixels(self, picture: Decoded | _Values, place: Place = CENTRE) -> _Values:
        """What the network sees of a picture before it is normalised, (channels, height, width).

        uint8, or float32 with 1 as white. ``picture`` and ``place`` as `apply` takes them.
        """
        if isinstance(picture, np.ndarray):
            return self._part(picture, place).transpose(2, 0, 1)
        return self._cropped(self._source(picture), place).transpose(2, 0, 1)

    def _source(self, picture: Decoded) -> _Source:
        """The picture in the channels that the network sees."""
        wanted = len(self.mean)
        if isinstance(picture, Bands) and self.order is None and wanted in (1, 3):
            picture = picture.colours or picture
        if isinstance(picture, Image.Image) and self.order is None and wanted in (1, 3):
            mode = "RGB" if wanted == 3 else "L"
            return picture if picture.mode == mode else picture.convert(mode)
        own = picture.values if isinstance(picture, Bands) else np.asarray(picture.convert("RGB"))
        there = own.shape[2]
        if self.order is not None and max(self.order) < there:
            return own[..., list(self.order)]
        if self.order is not None or there != wanted:
            some = ", or choose some by --order" if self.order is None and there > wanted else ""
            if own.shape[0] == wanted and self.order is None:
                some = "; if its channels come first, move them last"
            needs = f"takes {wanted}" if self.order is None else f"is to see channel {max(self.order)} of it"
            raise ImageError(
                f"it has {there} channels ({own.shape[0]} x {own.shape[1]} x {there}) and the network {needs}; give "
                f"pictures of its own channels, as .npy, TIFF of a page per band, or a file per band{some}"
            )
        return own

    def _cropped(self, source: _Source, place: Place) -> _Values:
        """What is seen, (height, width, channels)."""
        whole = self._resized(source)
        if whole is not None:
            return self._part(whole, place)
        wide, high = _sides(source)
        down, across = self._size(wide, high)
        top, left = self._corner(down, across, place)
        columns = left * wide / across, (left + self.width) * wide / across
        rows = top * high / down, (top + self.height) * high / down
        return np.concatenate([self._resize_part(band, rows, columns) for band in _pictures(source)], axis=2)

    def _resized(self, source: _Source) -> _Values | None:
        down, across = self._size(*_sides(source))
        if down * across > _WHOLE * self.height * self.width:
            return None
        pixels = torch.from_numpy(np.atleast_3d(np.array(source))).permute(2, 0, 1)[None]
        found = F.interpolate(pixels, (down, across), mode=self.interpolation, antialias=True)[0]
        whole: _Values = found.permute(1, 2, 0).numpy()
        return whole

    def _size(self, width: int, height: int) -> tuple[int, int]:
        """Height and width of a picture as a whole, resized."""
        if not width * height:
            raise ImageError(f"{width} x {height}: it has no pixels; leave it out")
        if self.squash:
            ratio = max(1.0, (self.resize or 0) / min(self.height, self.width))
            return int(self.height * ratio + 1e-9), int(self.width * ratio + 1e-9)
        covering = max(self.width / width, self.height / height)
        scale = max(covering, (self.resize or 0) / min(width, height))
        return max(self.height, int(height * scale + 1e-9)), max(self.width, int(width * scale + 1e-9))

    @property
    def whole(self) -> tuple[int, int]:
        """Height and width of a square picture as a whole, resized."""
        return self._size(self.height, self.height)

    def _corner(self, down: int, across: int, place: Place) -> tuple[int, int]:
        return round((down - self.height) * place[0]), round((across - self.width) * place[1])

    def _part(self, whole: npt.NDArray[Any], place: Place) -> npt.NDArray[Any]:
        top, left = self._corner(whole.shape[0], whole.shape[1], place)
        return whole[top : top + self.height, left : left + self.width]

    def _resize_part(
        self, shown: Image.Image, rows: tuple[float, float], columns: tuple[float, float]
    ) -> _Values:
        """From where to where it is seen. Columns, then rows: bicubic clips what overshoots in between."""
        margin = math.ceil(_REACH * max(1.0, (rows[1] - rows[0]) / self.height)) + 1
        first, last = max(0, math.floor(rows[0]) - margin), min(shown.height, math.ceil(rows[1]) + margin)
        kind, end = _FILTERS[self.interpolation], min(columns[1], shown.width)
        strip = shown.crop((0, first, shown.width, last))
        strip = strip.resize((self.width, last - first), kind, box=(columns[0], 0, end, last - first))
        below = min(rows[1] - first, last - first)
        return np.atleast_3d(
            np.asarray(
                strip.resize((self.width, self.height), kind, box=(0, rows[0] - first, self.width, below))
            )
        )

    # -------------------------------------------------------------- shown

    def picture(self, values: Tensor) -> npt.NDArray[np.uint8]:
        """The input (channels, height, width) as the pixels it came from, (height, width, channels) in 0..255."""
        like = values.detach().float().cpu()
        pixels = like * _upright(self.deviation, like) + self._mean(like, CENTRE)
        return self._levels(pixels.permute(1, 2, 0))

    def _levels(self, pixels: Tensor) -> npt.NDArray[np.uint8]:
        """What lies in the range shown, in 0..255."""
        low, high = self.shown_range
        levels = pixels if (low, high) == (0.0, 1.0) else (pixels - low) / (high - low)
        shown: npt.NDArray[np.uint8] = levels.mul(255).round().clamp(0, 255).byte().numpy()
        return shown

    def seen(self, picture: Decoded) -> Image.Image:
        """The part of a picture that the network sees, RGB, as one panel."""
        if isinstance(picture, Image.Image) and self.shown is None and len(self.mean) in (1, 3):
            return self.crop(picture.convert("L" if len(self.mean) == 1 else "RGB")).convert("RGB")
        pixels = self.pixels(picture).transpose(1, 2, 0)
        greys = torch.from_numpy(np.ascontiguousarray(pixels)).float()
        levels = self.one(self._levels(greys.div(255) if pixels.dtype == np.uint8 else greys))
        return Image.fromarray(levels.squeeze(2) if levels.shape[2] == 1 else levels).convert("RGB")

    def one(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values (height, width, channels of the input), of a picture or a signal, as one panel, of 1 or 3 channels."""
        return mixed(values, self.shown, self.order)

    def words(self, *, each: bool = True) -> str:
        """What is said of the channels that `each` shows, or `one`; "" of a picture's own colours."""
        return words_of(self.shown, self.order, len(self.mean), each=each)

    def each(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """As `one`, but where channels are shown in grey, a panel for each, side by side and row by row."""
        return panels_of(values, self.shown, self.order)


def _upright(numbers: tuple[float, ...], like: Tensor) -> Tensor:
    """One number for each channel, (channels, 1, 1)."""
    return torch.tensor(numbers, dtype=like.dtype, device=like.device)[:, None, None]


def _sides(source: _Source) -> tuple[int, int]:
    """Width and height."""
    return source.size if isinstance(source, Image.Image) else (source.shape[1], source.shape[0])


def _pictures(source: _Source) -> list[Image.Image]:
    """As what Pillow resizes: the picture itself, or one of each channel."""
    if isinstance(source, Image.Image):
        return [source]
    return [Image.fromarray(np.ascontiguousarray(band)) for band in np.moveaxis(source, 2, 0)]


IMAGENET = Preprocessing()  #: what torchvision's ImageNet weights expect
