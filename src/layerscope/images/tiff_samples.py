"""Bands that a TIFF file keeps as samples of one page, side by side at each pixel or plane after plane, as GDAL does.

Pillow reads pages of one grey, so it is given the same file with another directory, at its end, that calls what is
there so: each plane is a page; of samples side by side, there is one page as many times as wide.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

from layerscope.errors import ImageError
from layerscope.images.bands import Bands, Turned, bands_of, check_values

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOURS, _BIT_ORDER = 254, 256, 257, 258, 259, 262, 266
_ORIENTATION, _SAMPLES, _ROWS, _PLANAR, _PREDICTOR = 274, 277, 278, 284, 317
_TILE, _TILE_ROWS, _ALPHA, _KIND = 322, 323, 338, 339
_PLACES = {273: 279, 324: 325}  # of strips and of tiles: where, and how many bytes
_KEPT = (_HEIGHT, _COMPRESSION, _ROWS, _PREDICTOR, _TILE, _TILE_ROWS, _ORIENTATION)
_DEFAULTS = {
    _COMPRESSION: 1,
    _COLOURS: 1,
    _BIT_ORDER: 1,
    _ORIENTATION: 1,
    _SAMPLES: 1,
    _PLANAR: 1,
    _PREDICTOR: 1,
    _SUBFILE: 0,
}
_PREDICTING = frozenset({5, 8, 32946, 50000})  # LZW, deflate, zstd: differences may be taken before them
_PLAIN = _PREDICTING | {1, 32773}  # those that know nothing of samples: none and packbits, too
_MOST = (1 << 32) - 1  # where a directory of 32-bit numbers can point to
_REMEDY = "save a page or a file for each band, or .npy"

Tags = Mapping[int, Any]


@dataclass(frozen=True)
class Samples:
    """A TIFF file as one that has pages of one grey, and how its samples are found in those."""

    file: BinaryIO
    tags: Tags
    count: int
    planes: bool

    def read(self, image: Image.Image, turned: Turned) -> Bands:
        """The bands of the file opened. Raises ImageError with the reason alone."""
        kind = np.dtype(f"{'?uif'[_one(self.tags, _KIND, 1)]}{_one(self.tags, _BITS) // 8}")
        pages = []
        for page in range(self.count if self.planes else 1):
            image.seek(page)
            image.load()
            pages.append(np.asarray(turned(image)).astype(kind))
        values = np.stack(pages, 2) if self.planes else pages[0].reshape(len(pages[0]), -1, self.count)
        if self.differs:
            values = _summed(values, _one(self.tags, _TILE, values.shape[1]))
        bands = bands_of(values)
        return replace(bands, colours=_colours(values)) if _one(self.tags, _COLOURS) == 2 else bands

    @property
    def differs(self) -> bool:
        """Whether each pixel is the difference to the one before it, which is not known to who reads it as grey."""
        return not self.planes and _predictor(self.tags) == 2


def samples_of(file: BinaryIO) -> Samples | None:
    """The file as pages of one grey, if it keeps bands as samples; None for a picture like any other.

    Colours alone, and grey or colours with transparency, are one. Raises ImageError, with the reason alone, for
    samples that are no bands of one kind, or cannot be told apart, and for what Pillow reads wrongly.
    """
    start = file.tell()
    header = file.read(16)
    file.seek(start)
    if header[:4] not in (b"II*\0", b"MM\0*", b"II+\0"):
        return None
    pages = _directories(file, header)
    file.seek(start)
    if header[:1] == b"M" and any(map(_turned_round, pages)):
        raise ImageError(
            "signed numbers of 16 bits, compressed, the high byte first, which Pillow turns round; save it anew with "
            "the low byte first, or as .npy"
        )
    if not pages or not _are_bands(pages[0]):
        return None
    _check(pages)
    return _restated(file.read(), pages[0])


def _directories(file: BinaryIO, header: bytes) -> list[Tags]:
    """The tags of each page that is no smaller copy or mask of another; [] of what Pillow cannot read."""
    found: list[Tags] = []
    directory = TiffImagePlugin.ImageFileDirectory_v2(header if header[2:3] == b"+" else header[:8])
    places: set[int] = set()
    while directory.next and directory.next not in places:
        places.add(directory.next)
        try:
            file.seek(directory.next)
            directory.load(file)
            found.append(dict(directory))
        except (OSError, OverflowError, ValueError, KeyError, struct.error):
            return []  # what is wrong Pillow says when it opens the file
    return [tags for n, tags in enumerate(found) if n == 0 or not _one(tags, _SUBFILE) & 5]


def _one(tags: Tags, tag: int, default: int = 0) -> int:
    value = tags.get(tag, _DEFAULTS.get(tag, default))
    return int(value[0] if isinstance(value, tuple) else value)


def _predictor(tags: Tags) -> int:
    """1 where none can be, whatever is said: libtiff passes it over, too."""
    return _one(tags, _PREDICTOR) if _one(tags, _COMPRESSION) in _PREDICTING else 1


def _are_bands(tags: Tags) -> bool:
    """Whether there are samples that are neither colours nor transparency."""
    colours = {0: 1, 1: 1, 2: 3}.get(_one(tags, _COLOURS))
    extra = tags.get(_ALPHA, ())
    see_through = len(extra) == 1 and extra[0] in (1, 2)
    return colours is not None and _one(tags, _SAMPLES) > colours + see_through


def _turned_round(tags: Tags) -> bool:
    """Whether Pillow 13 gives other numbers than there are, where the high byte comes first."""
    signed = _one(tags, _BITS) == 16 and _one(tags, _KIND, 1) == 2
    return signed and _one(tags, _SAMPLES) == 1 and _one(tags, _COMPRESSION) != 1


def _check(pages: Sequence[Tags]) -> None:
    tags, count = pages[0], _one(pages[0], _SAMPLES)
    check_values(_one(tags, _WIDTH), _one(tags, _HEIGHT), count)
    said = f"{count} samples a pixel"
    kinds = {tags.get(tag, (1,)) for tag in (_BITS, _KIND)}
    bits, kind = _one(tags, _BITS), _one(tags, _KIND, 1)
    if bits not in (8, 16, 32) or kind not in ((1, 2, 3) if bits == 32 else (1, 2)):
        raise ImageError(f"{said} of {bits} bits, which is not read; {_REMEDY}")
    if any(len(set(kind if isinstance(kind, tuple) else (kind,))) > 1 for kind in kinds):
        raise ImageError(f"{said} of several kinds; {_REMEDY}, all alike")
    planes = _one(tags, _PLANAR) == 2
    known = _one(tags, _COMPRESSION) in _PLAIN and (planes or _predictor(tags) in (1, 2))
    if not known or (not planes and _one(tags, _ORIENTATION) != 1):
        raise ImageError(f"{said}, compressed or turned in a way that is not read; {_REMEDY}")
    if _one(tags, _BIT_ORDER) != 1:
        raise ImageError(f"{said}, the lowest bit first, which is not read; {_REMEDY}")
    if len(pages) > 1:
        raise ImageError(f"{said} on the first of {len(pages)} pages; {_REMEDY}")


def _restated(encoded: bytes, tags: Tags) -> Samples:
    order, count = ("<" if encoded[:1] == b"I" else ">"), _one(tags, _SAMPLES)
    planes = _one(tags, _PLANAR) == 2
    kept = {tag: _one(tags, tag) for tag in _KEPT if tag in tags or tag == _COMPRESSION}
    own: dict[int, Sequence[int]] = {tag: (value,) for tag, value in kept.items()}
    own |= {_BITS: (_one(tags, _BITS),), _COLOURS: (1,), _SAMPLES: (1,), _KIND: (_one(tags, _KIND, 1),)}
    if own[_BITS] == (16,):
        # of signed ones that are compressed and the other end first, Pillow 13 turns the bytes round
        own[_KIND] = (1,)
    wider = 1 if planes else count
    own[_WIDTH] = (_one(tags, _WIDTH) * wider,)
    if _TILE in own:
        own[_TILE] = (own[_TILE][0] * wider,)
    if not planes and _PREDICTOR in own:
        own[_PREDICTOR] = (1,)
    pages = [_places(tags, page, count) for page in range(count)] if planes else [_places(tags, 0, 1)]
    if max(len(encoded), *(n for page in pages for numbers in page.values() for n in numbers)) > _MOST:
        raise ImageError(f"samples that lie over 4 GB into the file; copy it again, or {_REMEDY}")
    made = bytearray(encoded + b"\0" * (len(encoded) % 2))
    made[:8] = encoded[:1] * 2 + struct.pack(f"{order}HI", 42, len(made))
    for number, places in enumerate(pages):
        made += _directory({**own, **places}, len(made), order, last=number == len(pages) - 1)
    return Samples(io.BytesIO(made), tags, count, planes)


def _places(tags: Tags, plane: int, planes: int) -> dict[int, Sequence[int]]:
    """Where the strips or tiles of one plane are."""
    found: dict[int, Sequence[int]] = {}
    for pair in _PLACES.items():
        for tag in pair:
            if tag in tags:
                each = ceil(len(tags[tag]) / planes)
                found[tag] = tags[tag][plane * each : (plane + 1) * each]
    return found


def _directory(tags: Mapping[int, Sequence[int]], start: int, order: str, *, last: bool) -> bytes:
    """A directory of 32-bit numbers that lies at ``start``; the next one follows it."""
    values, at = b"", start + 2 + 12 * len(tags) + 4
    entries = struct.pack(f"{order}H", len(tags))
    for tag, numbers in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        inside = len(numbers) == 1
        entries += struct.pack(f"{order}HHI", tag, 4, len(numbers))
        entries += packed if inside else struct.pack(f"{order}I", at + len(values))
        values += b"" if inside else packed
    return entries + struct.pack(f"{order}I", 0 if last else at + len(values)) + values


def _summed(values: npt.NDArray[Any], tile: int) -> npt.NDArray[Any]:
    """What differences add up to along a row, anew in each tile; integers wrap as they did when they were taken."""
    parts = [
        values[:, left : left + tile].cumsum(1, values.dtype) for left in range(0, values.shape[1], tile)
    ]
    return np.concatenate(parts, 1)


def _colours(values: npt.NDArray[Any]) -> Image.Image | None:
    """The first three in 8 bits, the high ones, as Pillow does; None where no number of theirs means white."""
    if values.dtype not in (np.uint8, np.uint16):
        return None
    high = values[..., :3] if values.dtype == np.uint8 else values[..., :3] >> 8
    return Image.fromarray(np.ascontiguousarray(high, np.uint8))
