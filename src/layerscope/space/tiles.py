"""A plane as a pyramid of tiles, in the Deep Zoom format that tile viewers read. No torch.

The highest level is the plane itself; each level below is half as high and wide, rounded up, down to one pixel.
A tile lies at ``STEM_files/LEVEL/COLUMN_ROW.jpg`` and overlaps no other; ``STEM.dzi`` says how large all is. A tile
is made of the four above it, so the plane is never in memory whole.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

from layerscope.ahead import made_ahead
from layerscope.drawing.encoding import encode_jpeg, encode_png
from layerscope.drawing.render import Pixels
from layerscope.errors import DisplayError
from layerscope.network.geometry import Box
from layerscope.plane.grid import Plane

BLANK = np.uint8(244)  #: the grey of a cell without a patch
_QUALITY, _LOWER_QUALITY = 85, 75  # of the plane itself; of what is seen only reduced, a third of the bytes
_BRANCH = 2  # levels below the plane's own at which a branch is made in one go: 16 tiles of the plane
_WAITING = 6  # branches made ahead of who takes them; 1.5 MB each

File = tuple[str, bytes]
T = TypeVar("T")
A = TypeVar("A")


@dataclass(frozen=True)
class Tiling:
    """How an image is cut: into tiles of ``side`` pixels, an even number, as "jpg" or "png".

    A JPEG has quality 85, below the highest level 75.

    Raises DisplayError for another number or form.
    """

    side: int = 512
    form: Literal["jpg", "png"] = "jpg"

    def __post_init__(self) -> None:
        if self.side < 2 or self.side % 2 or self.form not in {"jpg", "png"}:
            raise DisplayError(
                f"tiles of {self.side} pixels as {self.form!r}: the side must be even and the form jpg or png"
            )

    def sizes(self, height: int, width: int) -> tuple[tuple[int, int], ...]:
        """Height and width of each level, the lowest (one pixel) first."""
        top = max(height - 1, width - 1).bit_length()
        return tuple((-(-height >> top - n), -(-width >> top - n)) for n in range(top + 1))

    def places(self, height: int, width: int) -> tuple[tuple[int, int], ...]:
        """Column and row of each tile of a level of this height and width."""
        rows, columns = -(-height // self.side), -(-width // self.side)
        return tuple((column, row) for row in range(rows) for column in range(columns))

    def names(self, height: int, width: int, stem: str = "plane") -> tuple[str, ...]:
        """The files of a pyramid, the descriptor last."""
        levels = enumerate(self.sizes(height, width))
        tiles = [self.name(stem, n, place) for n, size in levels for place in self.places(*size)]
        return *tiles, f"{stem}.dzi"

    def name(self, stem: str, level: int, place: tuple[int, int]) -> str:
        """The file of one tile, by column and row."""
        return f"{stem}_files/{level}/{place[0]}_{place[1]}.{self.form}"

    def descriptor(self, height: int, width: int) -> bytes:
        """What the ``.dzi`` file says."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008"'
            f' TileSize="{self.side}" Overlap="0" Format="{self.form}">\n'
            f'  <Size Width="{width}" Height="{height}"/>\n'
            "</Image>\n"
        ).encode()


def plane_tiles(
    plane: Plane, cells: Pixels, stem: str = "plane", *, tiling: Tiling | None = None, threads: int = 2
) -> Generator[File, None, None]:
    """Names and contents of a plane's pyramid, one by one, the descriptor last; always the same bytes.

    ``plane``: patch numbers (rows, columns), -1 for an empty cell; ``cells``: a picture of each patch, (N, side, side,
    3), which may be a memory-mapped file. Made in threads, a few tiles ahead; closing the generator stops them.
    A level's pixels are the averages of 2 x 2 of the level above, rounded once. Raises DisplayError if a cell names a
    patch that has no picture.
    """
    check_plane(plane, cells)
    return _Pyramid(plane, np.asarray(cells), stem, tiling or Tiling()).files(threads)


def plane_pixels(plane: Plane, cells: Pixels, part: Box | None = None) -> Pixels:
    """The pixels of a plane, or of a part of it: (height, width, 3)."""
    side = cells.shape[1]
    part = part or Box(0, 0, plane.shape[0] * side, plane.shape[1] * side)
    top, left = part.top // side, part.left // side
    numbers = plane[top : -(-part.bottom // side), left : -(-part.right // side)]
    found = np.asarray(cells)[numbers]
    found[numbers < 0] = BLANK
    rows, columns = numbers.shape
    pixels: Pixels = found.transpose(0, 2, 1, 3, 4).reshape(rows * side, columns * side, 3)
    down, across = part.top - top * side, part.left - left * side
    return pixels[down : down + part.height, across : across + part.width]


def check_plane(plane: Plane, cells: Pixels) -> None:
    """Raise DisplayError unless a plane and the pictures of its patches fit."""
    if plane.ndim != 2 or not plane.size or not np.issubdtype(plane.dtype, np.integer):
        raise DisplayError(
            f"a plane is an integer array (rows, columns), none 0; got {plane.dtype} {plane.shape}"
        )
    shape = cells.shape
    if cells.dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or not cells.size:
        raise DisplayError(
            f"pictures of patches are a uint8 array (N, side, side, 3), none 0; got {cells.dtype} {shape}"
        )
    if plane.max() >= len(cells) or plane.min() < -1:
        raise DisplayError(
            f"the plane names patches {plane.min()} to {plane.max()}, but there are pictures of {len(cells)}; "
            "give those of all patches, and -1 for an empty cell"
        )


@dataclass(frozen=True, eq=False)
class _Pyramid:
    """A plane and how it is cut. A place is a column and a row of tiles."""

    plane: Plane
    cells: Pixels
    stem: str
    tiling: Tiling

    @property
    def size(self) -> tuple[int, int]:
        side = self.cells.shape[1]
        return self.plane.shape[0] * side, self.plane.shape[1] * side

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        return self.tiling.sizes(*self.size)

    def files(self, threads: int) -> Generator[File, None, None]:
        """Branches in threads, then what is beneath them."""
        level = max(0, len(self.sizes) - 1 - _BRANCH)
        halves: dict[tuple[int, int], Image.Image] = {}
        places = self.tiling.places(*self.sizes[level])
        for place, (files, half) in made_ahead(lambda at: self._branch(level, at), places, threads, _WAITING):
            yield from files
            halves[place] = half
        while level > 0:
            level, above, halves = level - 1, halves, {}
            for place in self.tiling.places(*self.sizes[level]):
                image = self._joined(level, place, above)
                yield self._file(level, place, image)
                halves[place] = image.reduce(2)
        yield f"{self.stem}.dzi", self.tiling.descriptor(*self.size)

    def _branch(self, level: int, place: tuple[int, int]) -> tuple[list[File], Image.Image]:
        """A tile with all that are above it, and its image at half its size."""
        files: list[File] = []
        return files, self._grow(level, place, files)

    def _grow(self, level: int, place: tuple[int, int], files: list[File]) -> Image.Image:
        if level == len(self.sizes) - 1:
            image = Image.fromarray(np.ascontiguousarray(self._pixels(place)))
        else:
            above = {at: self._grow(level + 1, at, files) for at in self._above(level, place)}
            image = self._joined(level, place, above)
        files.append(self._file(level, place, image))
        return image.reduce(2)

    def _pixels(self, place: tuple[int, int]) -> Pixels:
        box = self._box(len(self.sizes) - 1, place)
        return plane_pixels(self.plane, self.cells, box)

    def _box(self, level: int, place: tuple[int, int]) -> Box:
        """The pixels of its level that a tile holds."""
        (height, width), side = self.sizes[level], self.tiling.side
        top, left = place[1] * side, place[0] * side
        return Box(top, left, min(top + side, height), min(left + side, width))

    def _above(self, level: int, place: tuple[int, int]) -> list[tuple[int, int]]:
        """The at most four tiles of the next level that a tile is made of."""
        there = self.tiling.places(*self.sizes[level + 1])
        columns, rows = there[-1]
        four = [(2 * place[0] + right, 2 * place[1] + down) for down in (0, 1) for right in (0, 1)]
        return [(column, row) for column, row in four if column <= columns and row <= rows]

    def _joined(
        self, level: int, place: tuple[int, int], above: Mapping[tuple[int, int], Image.Image]
    ) -> Image.Image:
        """A tile from those above it, which are at half their size."""
        box, half = self._box(level, place), self.tiling.side // 2
        image = Image.new("RGB", (box.width, box.height))
        for column, row in self._above(level, place):
            image.paste(above[column, row], ((column - 2 * place[0]) * half, (row - 2 * place[1]) * half))
        return image

    def _file(self, level: int, place: tuple[int, int], image: Image.Image) -> File:
        quality = _QUALITY if level == len(self.sizes) - 1 else _LOWER_QUALITY
        content = encode_jpeg(image, quality) if self.tiling.form == "jpg" else encode_png(image)
        return self.tiling.name(self.stem, level, place), content
