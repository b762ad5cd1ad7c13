"""A mean of every pixel, as the paper and Caffe's networks subtract, in place of one number for each channel."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from layerscope.errors import ImageError, NetworkError, shown
from layerscope.images.bands import SUFFIX, Bands, Decoded
from layerscope.images.decoding import load_picture


@dataclass(frozen=True)
class MeanImage:
    """The mean of every pixel: ``values`` (channels, height, width), float32, where 1 is white; known by its digest."""

    digest: str
    values: npt.NDArray[np.float32] = field(compare=False, repr=False)

    @classmethod
    def of(cls, values: npt.NDArray[np.float32]) -> MeanImage:
        """Of these values, whatever they come from."""
        plain = np.ascontiguousarray(values, "<f4")
        known = hashlib.sha256(repr(plain.shape).encode() + plain.tobytes()).hexdigest()
        return cls(known[:32], plain)

    @property
    def mean(self) -> tuple[float, ...]:
        """Of each channel."""
        return tuple(float(value) for value in self.values.mean(axis=(1, 2), dtype=np.float64))


def read_mean_image(
    path: str | Path,
    channels: int,
    sizes: tuple[tuple[int, int], ...],
    order: tuple[int, ...] | None,
    white: float,
) -> MeanImage:
    """The mean image in a file: an array (height, width, channels), or as Caffe has it (channels, height, width), of
    the input's channels, numbers up to ``white``; or a picture, whose channels ``order`` puts in the input's.

    ``sizes``: heights and widths that it may have. Raises NetworkError for others, and for other channels.
    """
    try:
        picture = load_picture(path)
    except ImageError as error:
        raise NetworkError(f"the mean image cannot be used: {error}") from error
    array = Path(path).suffix.lower() == SUFFIX
    own = _numbers(path, channels) / white if array else _levels(picture, channels, order)
    if own.shape[2:] != (channels,) or own.shape[:2] not in sizes:
        wanted = " or ".join(f"{height}x{width}x{channels}" for height, width in dict.fromkeys(sizes))
        raise NetworkError(
            f"the mean image {shown(path)} is {'x'.join(map(str, own.shape))} (height, width, channels), and the input "
            f"takes {wanted}; make it so"
        )
    return MeanImage.of(np.moveaxis(own, 2, 0).astype(np.float32))


def _numbers(path: str | Path, channels: int) -> npt.NDArray[np.float64]:
    """An array (height, width, channels); of Caffe's, whose channels come first, they are put last."""
    own = np.load(path, allow_pickle=False).astype(np.float64)
    own = own[..., None] if own.ndim == 2 else own
    first = own.shape[0] == channels and own.shape[2] != channels
    return np.moveaxis(own, 0, 2) if first else own


def _levels(picture: Decoded, channels: int, order: tuple[int, ...] | None) -> npt.NDArray[np.float64]:
    """A picture, in the channels of the input, with 1 as white."""
    if isinstance(picture, Image.Image) and channels == 1 and order is None:
        return np.asarray(picture.convert("L"), np.float64)[..., None] / 255
    own = picture.values if isinstance(picture, Bands) else np.asarray(picture)
    levels = own.astype(np.float64) / (255 if own.dtype == np.uint8 else 1)
    return levels[..., list(order)] if order is not None and max(order) < own.shape[2] else levels
