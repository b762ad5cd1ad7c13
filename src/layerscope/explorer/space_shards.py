"""A layer's representation space: the shards ``FOLDER/layers/LAYER/space``, ``rows/K`` and ``columns/K``.

Activations are whole numbers from 0 to 255, a channel's largest being 255; 0 is exactly zero, or less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.disk.tables import read_bytes
from layerscope.errors import StudyError
from layerscope.explorer.contents import Copied, Made, copied, shard
from layerscope.explorer.shards import number, numbers, pack
from layerscope.explorer.subjects import Subject
from layerscope.plane.regions import Region
from layerscope.space.space import Space

LEVELS = 255  #: of an activation above zero
_ROWS, _COLUMNS = 1 << 18, 1 << 19  # values of one shard of rows, of columns
_LARGE = 64_000_000  # pixels of a plane
_FILTERS = 10  # named of a region
_BLOCK = 4_096  # patches whose vectors are read at once

Levels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Levelled:
    """Activations (N, channels) in levels: a value is level * scale[channel]."""

    levels: Levels
    scale: npt.NDArray[np.float64]

    @classmethod
    def of(cls, vectors: npt.NDArray[np.float32]) -> Levelled:
        """The level nearest to each value, but 0 only for what is not above zero."""
        scale = np.maximum(vectors.max(axis=0, initial=0).astype(np.float64), 0) / LEVELS
        steps = np.where(scale > 0, scale, 1)
        levels = np.empty(vectors.shape, np.uint8)
        for start in range(0, len(vectors), _BLOCK):
            block = vectors[start : start + _BLOCK]
            nearest = np.rint(block / steps).clip(1, LEVELS)
            levels[start : start + _BLOCK] = np.where(block > 0, nearest, 0)
        return cls(levels, scale)

    @cached_property
    def histogram(self) -> npt.NDArray[np.int64]:
        """(channels, 256): how many patches have each level."""
        return np.stack([np.bincount(column, minlength=LEVELS + 1) for column in self.levels.T])


@dataclass(frozen=True, eq=False)
class SpaceShards:
    """All that the site has of one layer's space."""

    subject: Subject
    layer: str

    @cached_property
    def space(self) -> Space:
        """The space. Raises StudyError as `Space.open` does."""
        return Space.open(self.subject.results.study, self.layer, self.subject.name)

    @property
    def levelled(self) -> Levelled:
        """The activations of its patches."""
        return _levelled(self)

    @cached_property
    def order(self) -> npt.NDArray[np.int64]:
        """The patches along a curve through the plane: near ones stand near each other."""
        return np.argsort(_along(self.space.places), kind="stable")

    @property
    def at(self) -> str:
        """Where its shards are, below data/."""
        return f"{self.subject.place}/layers/{self.subject.folders[self.layer]}"

    @property
    def sizes(self) -> tuple[int, int]:
        """Patches of one shard of rows, channels of one of columns."""
        patches, channels = self.space.vectors.shape
        return max(1, min(patches, _ROWS // channels)), max(1, min(channels, _COLUMNS // patches))

    def contents(self) -> Iterator[tuple[str, Made | Copied]]:
        """All shards and tiles, by their places on the site."""
        (patches, channels), (rows, columns) = self.space.vectors.shape, self.sizes
        yield shard(f"{self.at}/space", self.record)
        for k in range(-(-patches // rows)):
            yield shard(f"{self.at}/rows/{k}", partial(self._rows, k))
        for k in range(-(-channels // columns)):
            yield shard(f"{self.at}/columns/{k}", partial(self._columns, k))
        yield from self._tiles()

    def record(self) -> dict[str, Any]:
        """The shard of the space."""
        space, table = self.space, self.space.patches
        return {
            "patches": len(table),
            **{name: pack(table[name].to_numpy(), "i4") for name in ("picture", "row", "column")},
            "boxes": pack(space.boxes, "i4"),
            "points": pack(space.points, "f4"),
            "grid": {side: getattr(space.grid, side) for side in ("left", "top", "side")},
            "shortfall": space.shortfall,
            "planes": {name: self._plane(name) for name in space.planes},
            "first": space.arrangement,
            "regions": [self._region(number, region) for number, region in enumerate(space.suggested, 1)],
            "truth": [
                {**row, **{side: number(row[side]) for side in ("value", "control")}}
                for row in space.truth.to_pylist()
            ],
            "activations": self._activations(),
        }

    def _activations(self) -> dict[str, Any]:
        rows, columns = self.sizes
        ranks = np.empty(len(self.order), np.int64)
        ranks[self.order] = np.arange(len(ranks))
        return {
            "channels": len(self.levelled.scale),
            "scale": numbers(self.levelled.scale.tolist()),
            "histogram": pack(self.levelled.histogram, "i4"),
            **{"rows": rows, "order": pack(ranks, "i4"), "columns": columns},
        }

    def _rows(self, k: int) -> dict[str, Any]:
        size = self.sizes[0]
        return pack(self.levelled.levels[self.order[k * size : (k + 1) * size]].T, "u1")

    def _columns(self, k: int) -> dict[str, Any]:
        size = self.sizes[1]
        return pack(self.levelled.levels[self.order, k * size : (k + 1) * size].T, "u1")

    # -------------------------------------------------------------- planes and regions

    def _size(self, arrangement: str) -> tuple[int, int, int]:
        """Pixels: side of a tile, width and height of a plane as the study has it."""
        path = self.subject.results.file(f"{self.space.folder}/plane_{arrangement}.dzi")
        words = read_bytes(path).decode(errors="replace")
        found = [re.search(rf'{name}="([1-9]\d{{0,8}})"', words) for name in ("TileSize", "Width", "Height")]
        sizes = [int(match[1]) for match in found if match]
        if len(sizes) < 3:
            raise StudyError(
                f"{path} is damaged: it does not say how large the plane is; make the space anew"
            )
        return sizes[0], sizes[1], sizes[2]

    def _plane(self, arrangement: str) -> dict[str, Any]:
        tile, width, height = self._size(arrangement)
        cells, cut = self.space.planes[arrangement], _levels_left_out(arrangement, width, height)
        width, height = (-(-size >> cut) for size in (width, height))
        size = {"cell": width / cells.shape[1], "tile": tile, "width": width, "height": height}
        return {"cells": pack(cells, "i4"), **size}

    def _tiles(self) -> Iterator[tuple[str, Copied]]:
        study, names = self.subject.results.study, "|".join(self.space.planes)
        start, place = (f"{at}/{self.space.folder}" for at in (self.subject.folder, self.subject.place))
        tiles = re.compile(rf"{re.escape(start)}/plane_(({names})_files/(\d+)/\d+_\d+\.jpg)")
        sizes = {name: self._size(name)[1:] for name in self.space.planes}
        highest = {
            name: (max(size) - 1).bit_length() - _levels_left_out(name, *size) for name, size in sizes.items()
        }
        for found in filter(None, map(tiles.fullmatch, study.manifest["files"])):
            if int(found[3]) <= highest[found[2]]:
                yield f"{place}/{found[1]}", copied(study, found[0])

    def _region(self, count: int, region: Region) -> dict[str, Any]:
        outline = np.asarray(region.outline, float)
        if outline.shape == (4,):
            left, top, right, bottom = outline
            outline = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
        return {
            **{"number": count, "members": region.members.tolist(), "pictures": region.pictures},
            **{"spread": number(region.spread), "centre": region.centre},
            **{"label": region.label, "label_share": number(region.label_share)},
            "outline": [numbers(corner) for corner in outline.tolist()],
            "filters": [_shown(row) for row in self._contrasts.get(count, [])[:_FILTERS]],
        }

    @cached_property
    def _contrasts(self) -> dict[int, list[Mapping[str, Any]]]:
        """Of each suggested region its filters, those of most contrast first."""
        table = self.space.results.table(f"{self.space.folder}/region_filters")
        found: dict[int, list[Mapping[str, Any]]] = {}
        for row in table.to_pylist():
            found.setdefault(row["region"], []).append(row)
        return {region: sorted(rows, key=lambda row: -row["contrast"]) for region, rows in found.items()}


@lru_cache(maxsize=2)  # of a space of 100,000 patches, 50 MB
def _levelled(shards: SpaceShards) -> Levelled:
    return Levelled.of(shards.space.vectors)


def _levels_left_out(arrangement: str, width: int, height: int) -> int:
    """Of the highest levels of a plane's tiles: large filled planes are shown at half their size.

    They repeat some patches and miss others; the one-to-one plane has each in full.
    """
    return int(arrangement == "fill" and width * height > _LARGE)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: number(row[name]) for name in ("mean", "mean_elsewhere", "contrast")}
    return {"channel": row["channel"], **values}


def _along(places: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Where each place stands along a curve in Z (Morton): the bits of its cell's column and row, interleaved."""
    cells = np.floor(places - places.min(axis=0)).astype(np.int64)
    found = np.zeros(len(cells), np.int64)
    for bit in range(int(cells.max(initial=0)).bit_length()):
        for axis in (0, 1):
            found |= ((cells[:, axis] >> bit) & 1) << (2 * bit + axis)
    return found
