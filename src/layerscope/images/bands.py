"""Pictures of any number of channels: arrays in `.npy` files, TIFF files of a page per band, bands joined."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

from layerscope.errors import ImageError, said

SUFFIX = ".npy"
ARRAY = b"\x93NUMPY"  #: what an `.npy` file begins with
MOST_VALUES = 3 * 178_956_970  #: of a picture: as many as the largest in RGB has
LARGEST = 1e30  #: that a value may be: what stands for no data is larger, -3.4e38 as GDAL writes it

_DEEPEST = {np.dtype(np.uint8): 1, np.dtype(np.uint16): 65535}
_SUBFILE, _BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 254, 258, 262, 0
_BESIDE = 1 | 4  # pages that are a smaller copy of another, or its mask

# Numpy parses headers by Python's own parser, which in 3.11 fails at times where several threads are in it.
_ONE_HEADER = threading.Lock()

Turned: TypeAlias = Callable[[Image.Image], Image.Image]
_Values: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Bands:
    """A picture of any number of channels: ``values`` (height, width, channels), uint8, or float32 of any range.

    What integers of 8 and 16 bits hold is from 0 to 1, their greatest number being 1, as in any picture; other
    numbers are as they are. Raises ImageError for what has no pixel, more values than a picture may have, NaN, or
    values beyond LARGEST.
    """

    values: _Values
    colours: Image.Image | None = (
        None  #: what it is to a network of colours, or of their grey; None: nothing else
    )
    kind: str = ""  #: of the numbers in the file, where they have been scaled since

    def __post_init__(self) -> None:
        height, width, channels = self.values.shape
        if not self.values.size:
            raise ImageError(
                f"{height} x {width} x {channels}: it has no values; give it a height, a width and channels"
            )
        check_values(width, height, channels)
        if bad := self.values.size - int(np.isfinite(self.values).sum()):
            raise ImageError(
                f"{bad} of {self.values.size} values are NaN or infinite; fill them with a number before it is saved"
            )
        if self.values.max() > LARGEST or self.values.min() < -LARGEST:
            bad = int((np.abs(self.values) > LARGEST).sum())
            raise ImageError(
                f"{bad} of {self.values.size} values are beyond {LARGEST:g}, as what stands for no data is; fill them "
                "with a number before it is saved"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, as of a Pillow image."""
        return self.width, self.height

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.values.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.values.shape[0])

    @property
    def channels(self) -> int:
        """How many there are."""
        return int(self.values.shape[2])


Decoded: TypeAlias = Image.Image | Bands
"""What a picture's file becomes: RGB and upright, or bands."""


def check_values(width: int, height: int, channels: int, most: int = MOST_VALUES) -> None:
    """Raise ImageError, with the reason alone, for more values than a picture may have."""
    if width * height * channels > most:
        raise ImageError(
            f"{width} x {height} pixels of {channels} channels are over the limit of {most} values; make it smaller"
        )


# ------------------------------------------------------------------ arrays


def decode_array(encoded: bytes) -> Bands:
    """The picture that an `.npy` file holds. Raises ImageError, with the reason alone; nothing in it is executed."""
    file = io.BytesIO(encoded)
    try:
        major, _ = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        with _ONE_HEADER:
            shape, by_columns, kind = read(file)
    except Exception as error:  # of a damaged header numpy's parser raises too many kinds to list
        raise ImageError(
            f"a broken header of an array ({said(error)}); save it anew with numpy.save"
        ) from error
    _check_array(shape, kind)
    size, there = prod(shape) * kind.itemsize, len(encoded) - file.tell()
    if size != there:
        raise ImageError(f"its header says {size} bytes of values and there are {there}; copy it again")
    flat = np.frombuffer(encoded, kind, offset=file.tell())
    return bands_of(flat.reshape(shape, order="F" if by_columns else "C"))


def bands_of(values: npt.NDArray[Any]) -> Bands:
    """An array (height, width, channels) or (height, width) of integers or floats as a picture."""
    _check_array(values.shape, values.dtype)
    pixels = values[..., None] if values.ndim == 2 else values
    kind = values.dtype.newbyteorder("=")
    return Bands(_scaled(pixels, _DEEPEST.get(kind, 1)), kind=f"{kind}" if kind in _DEEPEST else "")


def _check_array(shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
    if kind.kind not in "uif":
        raise ImageError(f"an array of {kind}: it is to hold integers or floats; nothing pickled is read")
    if len(shape) not in (2, 3) or min(shape) < 0:
        raise ImageError(
            f"an array of shape {shape}: a picture is (height, width, channels) or (height, width), one in each file"
        )
    check_values(shape[1], shape[0], prod(shape[2:]))


def _scaled(values: npt.NDArray[Any], white: int) -> _Values:
    """8 bits as they are, others over ``white`` in float32."""
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values, np.uint8)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as that
        plain = np.ascontiguousarray(values, np.float32)
    return plain if white == 1 else plain / np.float32(white)


# ------------------------------------------------------------------ one number a pixel


@dataclass(frozen=True, eq=False)
class Band:
    """One band of a picture, with its name for errors, and what its numbers are in words."""

    name: str
    kind: str
    values: _Values  #: (height, width, 1)


def band_of(name: str, source: Image.Image | Bands, turned: Turned) -> Band:
    """A picture of one number a pixel, loaded, as a band; ``turned``: as it says. Raises ImageError for several."""
    if isinstance(source, Bands):
        if source.channels != 1:
            raise ImageError(f"{name} has {source.channels} channels; a band has one")
        return Band(name, source.kind or f"{source.values.dtype}", source.values)
    if not _is_grey(source):
        raise ImageError(f"{name} is of mode {source.mode}; a band has one grey a pixel, of 8 bits or more")
    white, values = white_level(source), np.asarray(turned(source))
    if source.mode.startswith("I;16") and white_is_zero(source):
        values = (white or 0) - values
    kind = "uint16" if white else "uint8" if source.mode == "L" else f"as in mode {source.mode}"
    return Band(name, kind, _scaled(values, white or 1)[..., None])


def join(bands: Sequence[Band]) -> Bands:
    """Bands of one size and kind as one picture. Raises ImageError if one is not as the first."""
    first = bands[0]
    for band in bands:
        if band.values.shape != first.values.shape:
            (high, wide, _), (down, across, _) = band.values.shape, first.values.shape
            raise ImageError(
                f"{band.name} is {wide} x {high} and {first.name} is {across} x {down}; bands of a picture are of one "
                "size: resample them"
            )
        if band.kind != first.kind:
            raise ImageError(
                f"{band.name} has numbers {band.kind} and {first.name} {first.kind}; save all bands alike"
            )
    return Bands(np.concatenate([band.values for band in bands], axis=2))


def white_level(image: Image.Image) -> int | None:
    """The number that means white in greys of more than 8 bits; None: none does, as in 32 bits and floats.

    It is 65535, or 4095 in a 12-bit TIFF, which Pillow does not scale.
    """
    if image.mode.startswith("I;16"):
        bits = tiff_tag(image, _BITS)
        return (1 << bits[0]) - 1 if isinstance(bits, tuple) else 65535
    return (
        65535 if image.mode == "I" and image.format in ("PNG", "PPM") else None
    )  # formats of at most 16 bits


def white_is_zero(image: Image.Image) -> bool:
    """Whether a deep grey is still to be turned round."""
    return tiff_tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO


def tiff_tag(image: Image.Image, tag: int) -> object:
    """What a TIFF file says under a number, of the page it is at; None of other files."""
    return image.tag_v2.get(tag) if isinstance(image, TiffImagePlugin.TiffImageFile) else None


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("L", "I", "F") or image.mode.startswith("I;16")


# ------------------------------------------------------------------ pages


def pages_of(image: Image.Image) -> tuple[int, ...]:
    """The numbers of a TIFF file's pages, if they are bands: of one grey a pixel, without smaller copies and masks.

    () if it is a picture like any other: of at most 16 bits on a single page, or with colours on its first.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or not _is_grey(image):
        return ()
    pages = tuple(number for number in range(image.n_frames) if not _page_kind(image, number) & _BESIDE)
    image.seek(0)
    return pages if len(pages) > 1 or image.mode in ("I", "F") else ()


def _page_kind(image: TiffImagePlugin.TiffImageFile, number: int) -> int:
    image.seek(number)
    kind = image.tag_v2.get(_SUBFILE, 0)
    return kind if isinstance(kind, int) else 0


def read_pages(image: Image.Image, pages: Sequence[int], turned: Turned) -> Bands:
    """The bands of a TIFF file, in the order of its pages. Raises ImageError for pages of several sizes or kinds."""
    image.seek(pages[0])
    first = image.size, image.mode
    check_values(*image.size, len(pages))
    bands: list[Band] = []
    for number in pages:
        image.seek(number)
        if (image.size, image.mode) != first:
            these, those = (
                f"{wide} x {high} of mode {mode}" for (wide, high), mode in ((image.size, image.mode), first)
            )
            raise ImageError(
                f"page {number + 1} is {these} and page {pages[0] + 1} {those}; a picture's pages are bands of one "
                "size and kind: save each picture as a file"
            )
        image.load()
        bands.append(band_of(f"page {number + 1}", image, turned))
    return join(bands)
