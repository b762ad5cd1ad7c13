"""Masks of objects: which pixels of a picture show the object; files beside pictures, in a folder, or boxes."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageDraw

from layerscope.errors import ImageError, said, shown
from layerscope.images.decoding import load_unconverted, rgb_of
from layerscope.images.sets import ImageSet, file_of

ALPHA = "alpha"  #: for `find_masks`: the pictures' own alpha channel
ENDINGS = (".mask.png", "_mask.png")  #: of a mask's name, after the stem of its picture's
_COLUMNS = ("name", "left", "top", "right", "bottom")
_CERTAIN = 128  # the least grey of a pixel that is more object than not

Box: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True)
class Masks(ABC):
    """The masks of some pictures. ``names``: of those that have one; ``place``: where they are, in words."""

    place: str

    @property
    @abstractmethod
    def names(self) -> frozenset[str]:
        """Of the pictures that have a mask."""

    @abstractmethod
    def load(self, name: str, size: tuple[int, int]) -> Image.Image:
        """The mask of a picture of that width and height, mode L: 255 the object, 0 all else, between them shares.

        Raises ImageError, with the reason alone, for a mask of another size, and for one that is no mask.
        """


def find_masks(images: ImageSet, place: str | Path | None = None) -> Masks:
    """The masks of pictures at a place; None: files beside the pictures, ``NAME.mask.png`` or ``NAME_mask.png``.

    A folder: files there, named as the picture, with ``.png`` in place of its ending, or as above. ``"alpha"``: the
    pictures' own alpha channel. A .csv file: boxes, columns name, left, top, right, bottom, in pixels from the upper
    left corner of the upright picture; several of one picture are one object. A picture without any is left out.
    Raises ImageError for a place that is absent, and for boxes that are none.
    """
    if place is None:
        return _MaskFiles("beside the pictures", dict(_beside(images)))
    if place == ALPHA:
        files = {name: file_of(images, index) for index, name in enumerate(images.names)}
        return _Alphas("in the pictures", {name: path for name, path in files.items() if path is not None})
    path = Path(place)
    if path.is_dir():
        return _MaskFiles(f"in {shown(path)}", dict(_in_folder(images, path)))
    if path.suffix.lower() == ".csv":
        boxes = _boxes(path)
        return _Boxes(f"in {shown(path)}", {name: boxes[name] for name in images.names if name in boxes})
    raise ImageError(f"{shown(path)}: neither a folder of masks nor a .csv of boxes, nor {ALPHA!r}; name one")


# ------------------------------------------------------------------ files


@dataclass(frozen=True)
class _MaskFiles(Masks):
    files: Mapping[str, tuple[Path, ...]]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.files)

    def load(self, name: str, size: tuple[int, int]) -> Image.Image:
        if len(self.files[name]) > 1:
            one, other, *_ = (path.name for path in self.files[name])
            raise ImageError(f"it has two masks, {shown(one)} and {shown(other)}; keep one")
        mask = _shares(load_unconverted(self.files[name][0]))
        if mask.size != size:
            raise ImageError(
                f"its mask is {mask.width} x {mask.height} and it is {size[0]} x {size[1]}; make it of its size"
            )
        return mask


def _shares(image: Image.Image) -> Image.Image:
    """The greys of a mask as it was saved."""
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] != 255:
        raise ImageError("its mask has transparent parts; save it in grey: white the object, black all else")
    greys = rgb_of(image)
    red, *others = greys.split()
    if any(band.tobytes() != red.tobytes() for band in others):
        raise ImageError("its mask has colours; save it in grey: white the object, black all else")
    _, highest = red.getextrema()
    if 0 < int(highest) < _CERTAIN:  # type: ignore[arg-type]  # one band has one highest value
        raise ImageError(
            f"its mask goes from 0 to {highest}; white (255) is the object: multiply the mask, or keep one class"
        )
    return red


def _beside(images: ImageSet) -> Iterator[tuple[str, tuple[Path, ...]]]:
    for index, name in enumerate(images.names):
        path = file_of(images, index)
        if path is not None:
            named = (path.with_name(path.stem + ending) for ending in ENDINGS)
            if found := tuple(mask for mask in named if mask.is_file()):
                yield name, found


def _in_folder(images: ImageSet, folder: Path) -> Iterator[tuple[str, tuple[Path, ...]]]:
    for index, name in enumerate(images.names):
        path, own = folder / name, file_of(images, index)
        named = dict.fromkeys([path, *(path.with_name(path.stem + end) for end in (".png", *ENDINGS))])
        found = tuple(m for m in named if m.is_file() and (own is None or not m.samefile(own)))
        if found:
            yield name, found


@dataclass(frozen=True)
class _Alphas(Masks):
    files: Mapping[str, Path]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.files)

    def load(self, name: str, size: tuple[int, int]) -> Image.Image:
        image = load_unconverted(self.files[name])
        if not image.has_transparency_data:
            raise ImageError("it has no alpha channel; save one with it, or leave it out")
        return image.convert("RGBA").getchannel("A")


# ------------------------------------------------------------------ boxes


@dataclass(frozen=True)
class _Boxes(Masks):
    boxes: Mapping[str, tuple[Box, ...]]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.boxes)

    def load(self, name: str, size: tuple[int, int]) -> Image.Image:
        mask = Image.new("L", size)
        for box in self.boxes[name]:
            left, top, right, bottom = (round(edge) for edge in box)
            if left < 0 or top < 0 or right > size[0] or bottom > size[1] or left >= right or top >= bottom:
                edges = ", ".join(f"{edge:g}" for edge in box)
                raise ImageError(
                    f"its box {edges} is not inside its {size[0]} x {size[1]} pixels; correct it"
                )
            ImageDraw.Draw(mask).rectangle((left, top, right - 1, bottom - 1), fill=255)
        return mask


def _boxes(path: Path) -> dict[str, tuple[Box, ...]]:
    """All boxes of a list, by the names of their pictures."""
    found: dict[str, tuple[Box, ...]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if not set(_COLUMNS) <= set(rows.fieldnames or ()):
                raise ImageError(f"line 1: begin it with {','.join(_COLUMNS)}")
            for row in rows:
                found[row["name"]] = (*found.get(row["name"], ()), _box(row, rows.line_num))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImageError(f"{shown(path)}: cannot be read ({said(error)}); check that it is there") from error
    except ImageError as error:
        raise ImageError(f"{shown(path)}: {error}") from error
    return found


def _box(row: Mapping[str, str], line: int) -> Box:
    try:
        left, top, right, bottom = (float(row[edge]) for edge in _COLUMNS[1:])
    except (TypeError, ValueError) as error:
        raise ImageError(f"line {line}: {', '.join(_COLUMNS[1:])} are not all numbers; correct it") from error
    if not all(map(isfinite, (left, top, right, bottom))):
        raise ImageError(f"line {line}: an edge is not finite; correct it")
    return left, top, right, bottom
