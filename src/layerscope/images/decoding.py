"""Picture files decoded upright into RGB, or into bands; what is wrong with a bad one is said in a line."""

import io
import logging
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from layerscope.errors import ImageError, said, shown
from layerscope.images.band_files import band_files, band_names
from layerscope.images.bands import (
    ARRAY,
    SUFFIX,
    Band,
    Decoded,
    band_of,
    decode_array,
    join,
    pages_of,
    read_pages,
    white_is_zero,
    white_level,
)
from layerscope.images.libtiff import hearing, listening
from layerscope.images.tiff_samples import samples_of
from layerscope.shared import Shared

T = TypeVar("T")

MAX_PIXELS = 178_956_970
"""The most pixels a picture may have unless told otherwise: half a gigabyte as RGB."""

MAX_BYTES = 3 * MAX_PIXELS
"""The most bytes a file may have: as many as the largest picture has as RGB."""

# Named one by one. Of Pillow's others, EPS starts a program on the file's contents, and JPEG 2000 gives
# pixels for some truncated files.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF")

# ImageOps.exif_transpose writes the rest of the EXIF data anew, and fails where some of it is damaged: on 47 of 2,684
# damaged JPEG files that are read.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Picture:
    """A decoded picture, upright, RGB or bands, and the file it came from."""

    path: Path
    image: Decoded


@dataclass(frozen=True)
class BadImage:
    """A file that is no usable picture; the reason is one line, without the path, and says what to do."""

    path: Path
    reason: str


# ------------------------------------------------------------------ reading


def read_images(
    paths: Iterable[str | Path], *, strict: bool = False, max_pixels: int = MAX_PIXELS
) -> Iterator[Picture | BadImage]:
    """Decodes one picture at a time, as it is asked for; a bad file is a BadImage in its place.

    With strict, the first bad file raises ImageError instead.
    """
    for path in map(Path, paths):
        if strict:
            yield Picture(path, load_picture(path, max_pixels=max_pixels))
        else:
            yield _picture_or_bad(path, max_pixels)


def _picture_or_bad(path: Path, max_pixels: int) -> Picture | BadImage:
    try:
        return Picture(path, _read(path, max_pixels))
    except ImageError as error:
        return BadImage(path, str(error))


def load_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture in a file: 8-bit RGB, turned as its EXIF says, the first frame if it has several.

    Transparent parts are laid over white. Greys of 9 to 16 bits are scaled so that white is 255; of 16-bit
    colours Pillow keeps the high byte. 32-bit and float greys are refused: none of their values means white.
    Colour profiles are not applied. The size is read from the header, before anything is decoded.
    Raises ImageError for a file that is absent, broken, truncated, no picture, or of more than max_pixels.
    """
    with _named(path), _opened(Path(path), 3 * max(max_pixels, MAX_PIXELS)) as file:
        return _decoded(file, max_pixels, _upright_rgb)


def load_picture(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Decoded:
    """As `load_image`; but an `.npy` file, a TIFF of several grey pages or of 32 bits, and files of one band each,
    named as ``scene/{B04,B03,B02}.tif``, are `Bands`, of as many channels as there are."""
    with _named(path):
        return _read(Path(path), max_pixels)


@contextmanager
def _named(path: str | Path) -> Iterator[None]:
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{shown(Path(path))}: {error}") from error


def load_unconverted(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture in a file in its own mode, upright: for what is not meant to be looked at, such as masks.

    Raises ImageError as `load_image` does, with the reason alone.
    """
    with _opened(Path(path), 3 * max(max_pixels, MAX_PIXELS)) as file:
        return _decoded(file, max_pixels, _upright)


def encoded_image(path: str | Path) -> bytes:
    """What a picture file holds, undecoded; the ImageError of a file that gives nothing is its reason alone."""
    with _opened(Path(path), MAX_BYTES) as file, _errors_explained():
        return file.read()


def encoded_files(path: str | Path) -> tuple[bytes, ...]:
    """What the files of a picture hold, one or one for each band. Raises ImageError as `encoded_image`."""
    names = band_names(path)
    if not names:
        return (encoded_image(path),)
    return tuple(
        _of_band(name, partial(encoded_image, one)) for name, one in zip(names, band_files(path), strict=True)
    )


def decode_image(encoded: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """What `load_image` makes of a file with these bytes; its ImageError is the reason alone."""
    return _decoded(io.BytesIO(encoded), max_pixels, _upright_rgb)


def decode_files(encoded: Sequence[bytes], path: str | Path = "", *, max_pixels: int = MAX_PIXELS) -> Decoded:
    """What `load_picture` makes of a file with these bytes, or of those of the bands that ``path`` names."""
    if len(encoded) == 1:
        return _decoded_picture(encoded[0], max_pixels)
    return join(
        [
            _of_band(name, partial(_decoded_band, name, one, max_pixels))
            for name, one in zip(band_names(path), encoded, strict=True)
        ]
    )


def _of_band(name: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except ImageError as error:
        raise ImageError(f"band {shown(name)}: {error}") from error


def _decoded_picture(encoded: bytes, max_pixels: int) -> Decoded:
    if encoded.startswith(ARRAY):
        return decode_array(encoded)
    return _decoded_file(io.BytesIO(encoded), max_pixels)


def _decoded_file(file: BinaryIO, max_pixels: int) -> Decoded:
    """A picture of any channels."""
    with DECODING, _errors_explained():
        samples = samples_of(file)
    if samples is None:
        return _decoded(file, max_pixels, _upright_or_bands)
    limit = max_pixels * (1 if samples.planes else samples.count)
    return _decoded(samples.file, limit, lambda image: samples.read(image, _upright))


def _decoded_band(name: str, encoded: bytes, max_pixels: int) -> Band:
    if encoded.startswith(ARRAY):
        band = band_of("it", decode_array(encoded), _upright)
    else:
        band = _decoded(io.BytesIO(encoded), max_pixels, lambda image: band_of("it", image, _upright))
    return replace(band, name=f"band {shown(name)}")


def _read(path: Path, max_pixels: int) -> Decoded:
    """load_picture, with the reason alone in the error."""
    if path.suffix.lower() == ".tar" and path.is_file():
        raise ImageError(
            "a tar shard, which `study`, `evaluate` and `train` read; unpack it to give its pictures"
        )
    if band_names(path) or path.suffix.lower() == SUFFIX:
        return decode_files(encoded_files(path), path, max_pixels=max_pixels)
    with _opened(path, 3 * max(max_pixels, MAX_PIXELS)) as file:
        return _decoded_file(file, max_pixels)


def _decoded(file: BinaryIO, max_pixels: int, made: Callable[[ImageFile.ImageFile], T]) -> T:
    with DECODING, _errors_explained(), hearing() as wrong, Image.open(file, formats=FORMATS) as image:
        check_pixels(*image.size, max_pixels)
        image.load()
        _refuse(wrong)
        found = made(image)
        _refuse(wrong)
        return found


def _refuse(wrong: Sequence[str]) -> None:
    if wrong:
        raise OSError(wrong[0])


def _upright_or_bands(image: ImageFile.ImageFile) -> Decoded:
    pages = pages_of(image)
    return read_pages(image, pages, _upright) if pages else _upright_rgb(image)


def check_bytes(size: int, limit: int = MAX_BYTES) -> None:
    """Raise ImageError, with the reason alone, for more bytes than a picture may have."""
    if size > limit:
        raise ImageError(f"{size} bytes are more than the limit of {limit}; save it smaller, or compressed")


def _opened(path: Path, limit: int) -> BinaryIO:
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_size:
            check_bytes(status.st_size, limit)
            return path.open("rb")
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot be opened ({said(error)}); check the path and its permissions") from error
    if stat.S_ISREG(status.st_mode):
        raise ImageError("the file is empty; copy it again from where it came")
    raise ImageError("not a file; name a picture file")


def check_pixels(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Raise ImageError, with the reason alone, for more pixels than a picture may have."""
    if width * height > max_pixels:
        raise ImageError(
            f"{width} x {height} = {width * height} pixels are more than the limit of {max_pixels}; "
            "make it smaller; only from Python can the limit be raised (load_image and read_images: max_pixels)"
        )


@contextmanager
def _errors_explained() -> Iterator[None]:
    """Turns what Pillow raises on a bad file into ImageError; its decoders raise too many kinds to list.

    The reason keeps Pillow's words, and the cause stays attached.
    """
    try:
        yield
    except (ImageError, MemoryError):  # a lack of memory is no fault of the file
        raise
    except UnidentifiedImageError as error:
        known = ", ".join(FORMATS)
        raise ImageError(
            f"no picture of a known format ({known}), or a broken header; convert or replace it"
        ) from error
    except Exception as error:
        raise ImageError(f"broken or truncated ({said(error)}); copy it again or save it anew") from error


@contextmanager
def _strict_and_quiet() -> Iterator[None]:
    """For a while, Pillow refuses truncated files, leaves sizes to us and keeps its warnings, and libtiff's, to
    itself."""
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    log, silence = logging.getLogger("PIL"), logging.NullHandler()
    log.addHandler(silence)  # only keeps Python from printing what no handler of the user's takes
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
    try:
        with warnings.catch_warnings(), listening():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before
        log.removeHandler(silence)


DECODING = Shared(_strict_and_quiet)
"""What every decode holds. Hold it around many in threads: Python's warning filters stay put meanwhile."""


# ------------------------------------------------------------------ to upright RGB


def _upright_rgb(image: ImageFile.ImageFile) -> Image.Image:
    """The loaded picture without its metadata, so that nobody turns it a second time."""
    bare = image.mode == "RGB" and not image.getexif() and not image.has_transparency_data
    upright = _upright(image, image if bare else rgb_of(image))
    upright.info = {}
    return upright


def _upright(image: Image.Image, shown: Image.Image | None = None) -> Image.Image:
    """What is shown of a picture, or the picture itself, turned as its EXIF says."""
    orientation, shown = image.getexif().get(ExifTags.Base.Orientation), shown or image
    return shown.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else shown


def rgb_of(image: Image.Image) -> Image.Image:
    """A loaded picture in RGB, transparent parts over white. Raises ImageError for greys without a white."""
    if image.mode.startswith(("I", "F")):
        return _deep_grey(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    over_white = Image.new("RGB", image.size, "white")
    over_white.paste(layer, mask=layer)
    return over_white


def _deep_grey(image: Image.Image) -> Image.Image:
    """A grey of more than 8 bits: 0 to 0, its white to 255, in between rounded to the nearest."""
    white = white_level(image)
    if white is None:
        raise ImageError(
            f"its greys (Pillow mode {image.mode}) have no defined white; save it as 8 or 16 bits"
        )
    shade = ((np.arange(white + 1) * 255 + white // 2) // white).astype(np.uint8)
    if white_is_zero(image):
        shade = shade[::-1]
    if "transparency" in image.info:
        shade[image.info["transparency"]] = 255
    return Image.fromarray(shade[np.asarray(image)]).convert("RGB")
