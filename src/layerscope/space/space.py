"""One layer's representation space, read from a study: patches, embedding, planes, regions (the paper's Fig. 3).

Places on the plane are (x, y) in cells, from its left upper corner, x to the right and y downwards: the patch in the
middle of the second cell of the first row is at (1.5, 0.5).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from layerscope.disk.names import folders
from layerscope.disk.tables import read_json
from layerscope.errors import LayerscopeError, StudyError
from layerscope.plane.embedding import Affinities, Projection, Tsne, place
from layerscope.plane.grid import Grid
from layerscope.plane.nearest import nearest
from layerscope.plane.regions import (
    Region,
    describe_region,
    inside,
    region_filters,
    strongest_filters,
)
from layerscope.study.folder import NetworkResults, Study

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.int64]
ARRANGEMENTS = ("fill", "one-to-one")
_BEFORE = ("patches", "neighbours", "embedding")  # steps that a plane is made of


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The patches nearest to one: ``patches`` their numbers, ``distances``, the nearest first."""

    patches: Numbers
    distances: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Space:
    """The representation space of one layer of a study. Arrays are mapped from their files when asked for."""

    results: NetworkResults = field(repr=False)
    layer: str

    @classmethod
    def open(cls, study: Study, layer: str, network: str | None = None) -> Space:
        """The space of a layer; ``network``: whose, if the study has several. Raises StudyError if there is none."""
        if network is None and len(study.networks) != 1:
            raise StudyError(f"{study.path} has {', '.join(study.networks)}; say whose {layer} is meant")
        space = cls(study.network(network or study.networks[0]), layer)
        if layer not in space.results.layers.column("layer").to_pylist():
            raise StudyError(
                f"{space.network} has no layer {layer!r}; `layerscope layers` lists those it has"
            )
        at = f"{space.results.folder}/{space.folder}"
        plane = study.steps.get(f"{at}/plane")
        if plane is None:
            raise StudyError(
                f"{study.path} has no space of {layer} of {space.network}; "
                f"`layerscope space make {study.path} --layers {layer}` makes it"
            )
        if not all(_among(study.steps.get(f"{at}/{part}"), plane) for part in _BEFORE):
            raise StudyError(
                f"the space of {layer} of {space.network} in {study.path} was being made in another way and is not "
                "finished; run that `layerscope space make` again, it goes on from there"
            )
        return space

    @property
    def network(self) -> str:
        """Whose layer it is."""
        return self.results.name

    @cached_property
    def folder(self) -> str:
        """Where it is, below the network's folder."""
        return space_folder(self.results.layers["layer"].to_pylist(), self.layer)

    @cached_property
    def options(self) -> Mapping[str, Any]:
        """What the embedding was made with."""
        options: Mapping[str, Any] = self.results.study.steps[
            f"{self.results.folder}/{self.folder}/embedding"
        ]
        return options

    # -------------------------------------------------------------- what there is of each patch

    @cached_property
    def patches(self) -> pa.Table:
        """A row per patch: picture, row, column, and what it sees: top, left, bottom, right, in pixels of the input."""
        return self.results.table(f"{self.folder}/patches")

    @property
    def shortfall(self) -> str:
        """Why there are fewer patches than were asked for, and what to do, in one line; "" if there are as many."""
        found, asked, where = len(self.patches), self.options["count"], self.options["where"]
        if found >= asked:
            return ""
        pictures, of_each = len(np.unique(self.pictures)), int(np.bincount(self.pictures).max())
        (layer,) = (row for row in self.results.layers.to_pylist() if row["layer"] == self.layer)
        every = where == "all" or of_each == layer["rows"] * layer["columns"]
        which = "" if every else " that lie inside them"
        few = f"its {pictures:,} pictures have at most {of_each:,} each{which}"
        if self.options["per_picture"] is not None and of_each >= self.options["per_picture"]:
            few, which = f"at most {of_each:,} of a picture were asked for (--per-picture)", ""
        more = (
            "take more pictures, or --where all for patches that reach over a border"
            if which
            else "take more pictures"
        )
        return f"{self.layer} has {found:,} patches of {asked:,} asked for: {few}; {more}"

    @cached_property
    def vectors(self) -> npt.NDArray[np.float32]:
        """The activations of all filters at each patch, (N, channels)."""
        return np.asanyarray(self.results.array(f"{self.folder}/vectors"), np.float32)

    @cached_property
    def pictures(self) -> Numbers:
        """The study's picture of each patch."""
        numbers: Numbers = self.patches["picture"].to_numpy()
        return numbers

    @cached_property
    def boxes(self) -> Numbers:
        """What each patch sees, (N, 4): top, left, bottom, right."""
        return np.stack(
            [self.patches[side].to_numpy() for side in ("top", "left", "bottom", "right")], axis=1
        )

    @cached_property
    def classes(self) -> Numbers | None:
        """The class of each patch's picture, -1 unknown; None if the study has no labels."""
        labels = self.results.study.pictures["label"]
        if labels.null_count == len(labels):
            return None
        known: Numbers = labels.fill_null(-1).to_numpy()
        return known[self.pictures]

    @cached_property
    def points(self) -> npt.NDArray[np.float32]:
        """Where t-SNE put each patch, (N, 2), in its own unit."""
        return np.asarray(self.results.array(f"{self.folder}/embedding"), np.float32)

    @cached_property
    def grid(self) -> Grid:
        """The cells of the planes, in t-SNE's unit."""
        return Grid(**read_json(self.results.file(f"{self.folder}/grid.json")))

    @cached_property
    def places(self) -> npt.NDArray[np.float64]:
        """Where each patch is on the plane, (N, 2): x and y in cells."""
        return self._in_cells(self.points)

    @cached_property
    def planes(self) -> Mapping[str, npt.NDArray[np.int32]]:
        """The patch of each cell, (rows, columns), -1 in an empty one: by arrangement, "fill" and "one-to-one"."""
        held = self.results.results
        names = [name for name in ARRANGEMENTS if f"{self.folder}/planes/{name}" in held]
        return {
            name: np.asarray(self.results.array(f"{self.folder}/planes/{name}"), np.int32) for name in names
        }

    @property
    def arrangement(self) -> str:
        """The one to look at first: each patch once, if there are enough cells; it hides none and repeats none."""
        return "one-to-one" if "one-to-one" in self.planes else "fill"

    @cached_property
    def truth(self) -> pa.Table:
        """How true the planes are: a row per measure, its control beside it."""
        return self.results.table(f"{self.folder}/truth")

    def places_in(self, arrangement: str | None = None) -> npt.NDArray[np.float64]:
        """Where each patch stands in an arrangement: "fill", as `places`; "one-to-one", the centre of its cell.

        None, here as elsewhere: the arrangement to look at first. Raises StudyError for one that is not there.
        """
        plane = self._plane(arrangement)
        if (arrangement or self.arrangement) == "fill":
            return self.places
        rows, columns = np.nonzero(plane >= 0)
        found = np.empty((len(self.points), 2))
        found[plane[rows, columns]] = np.stack([columns, rows], axis=1) + 0.5
        return found

    def patch_at(self, x: float, y: float, arrangement: str | None = None) -> int:
        """The patch that the cell at a place of the plane shows. Raises StudyError if none does."""
        plane = self._plane(arrangement)
        row, column = (math.floor(value) if math.isfinite(value) else -1 for value in (y, x))
        if not (0 <= row < len(plane) and 0 <= column < plane.shape[1]) or plane[row, column] < 0:
            raise StudyError(
                f"no patch is shown at {x:g},{y:g}: the plane is {plane.shape[1]} cells wide and {len(plane)} high"
            )
        return int(plane[row, column])

    # -------------------------------------------------------------- regions and neighbours

    @cached_property
    def suggested(self) -> tuple[Region, ...]:
        """Regions found automatically, those spread over most pictures first."""
        groups, table = (
            self.results.array(f"{self.folder}/region_of"),
            self.results.table(f"{self.folder}/regions"),
        )
        return tuple(
            describe_region(
                np.flatnonzero(groups == number),
                _outline(row["x"], row["y"]),
                self.places,
                self.pictures,
                self.classes,
            )
            for number, row in enumerate(table.to_pylist())
        )

    def region(self, outline: npt.ArrayLike, arrangement: str | None = None) -> Region:
        """The patches in a box (left, top, right, bottom) or a polygon (corners (M, 2)), in cells; its edges are in.

        A patch is where it stands in the arrangement; the filled plane may show another, nearer one there. Raises
        LayerscopeError for a bad outline, or one that holds no patch.
        """
        places = self.places_in(arrangement)
        members = inside(places, outline)
        return describe_region(members, outline, places, self.pictures, self.classes)

    def filters(self, region: Region, by: Literal["contrast", "mean"] = "contrast") -> pa.Table:
        """Filters that fire more in a region than elsewhere ("contrast"), or most ("mean"), the first first."""
        return region_filters(self.vectors, region.members, by)

    def strongest(self, patch: int, count: int = 5) -> Numbers:
        """The filters with the highest activations at a patch, at most so many; none that is zero there."""
        return strongest_filters(self.vectors[self._checked(patch)], count)

    def nearest(
        self,
        patch: int,
        k: int = 10,
        *,
        on: Literal["representation", "plane"] = "representation",
        arrangement: str | None = None,
    ) -> Neighbours:
        """The ``k`` patches nearest to one, itself left out: in the representation, or on the plane (in cells)."""
        values = self.vectors if on == "representation" else self.places_in(arrangement)
        if not 1 <= k < len(values):
            raise LayerscopeError(
                f"{k} neighbours of {len(values) - 1} patches: ask for 1 to {len(values) - 1}"
            )
        apart = (np.array([patch]), np.arange(len(values)))
        found, distances = nearest(values[[self._checked(patch)]], values, k, apart=apart)
        return Neighbours(found[0], distances[0])

    def place(self, vectors: Array) -> npt.NDArray[np.float64]:
        """Where new vectors (M, channels) of the layer lie on the plane, (M, 2): x and y in cells."""
        projection = read_projection(self.results, self.folder)
        return self._in_cells(place(vectors, projection, self.points, Tsne(**self.options["tsne"])))

    def _plane(self, arrangement: str | None) -> npt.NDArray[np.int32]:
        name = arrangement or self.arrangement
        if name not in self.planes:
            raise StudyError(f"{self.layer} has no arrangement {name!r}; it has {', '.join(self.planes)}")
        return self.planes[name]

    def _in_cells(self, points: Array) -> npt.NDArray[np.float64]:
        return (points.astype(np.float64) - (self.grid.left, self.grid.top)) / self.grid.side

    def _checked(self, patch: int) -> int:
        if not 0 <= patch < len(self.points):
            raise StudyError(
                f"there is no patch {patch}; {self.layer} has {len(self.points)}, counted from 0"
            )
        return patch


def _among(options: object, whole: object) -> bool:
    """Whether the options of an earlier step are among those of a later one, which has all of them."""
    if isinstance(options, dict) and isinstance(whole, dict):
        return all(name in whole and _among(value, whole[name]) for name, value in options.items())
    return options == whole


def _outline(x: Sequence[float], y: Sequence[float]) -> npt.NDArray[np.float64]:
    """The corners of a polygon; of two, the box (left, top, right, bottom) between them."""
    corners = np.stack([x, y], axis=1)
    return corners.ravel() if len(corners) == 2 else corners


def spaces_of(study: Study, network: str) -> tuple[str, ...]:
    """The layers of a network whose spaces are in a study, in the order of the network."""
    results = study.network(network)
    layers = results.layers["layer"].to_pylist()
    made = study.steps
    return tuple(layer for layer in layers if f"{results.folder}/{space_folder(layers, layer)}/plane" in made)


def select_spaces(study: Study, network: str, layers: str | Sequence[str]) -> tuple[str, ...]:
    """Of the spaces there are: "all", "conv", "even" (every second convolution), or those of these layers.

    Raises StudyError for a layer that the network has not, and if there is no space at all.
    """
    check_layers(study, network, layers)
    if not isinstance(layers, str):
        return tuple(layers)
    kinds = {row["layer"]: row["kind"] for row in study.network(network).layers.to_pylist()}
    convolutions = [layer for layer, kind in kinds.items() if kind == "conv2d"]
    linear = [layer for layer, kind in kinds.items() if kind == "linear"]
    words = {"all": list(kinds), "conv": convolutions, "even": [*convolutions[::2], *linear[-1:]]}
    found = tuple(layer for layer in spaces_of(study, network) if layer in words[layers])
    if not found:
        raise StudyError(
            f"{study.path} has no space of {network}; `layerscope space make {study.path} --layers NAME` makes one"
        )
    return found


def check_layers(study: Study, network: str, layers: str | Sequence[str]) -> None:
    """Raise StudyError for a name that is no layer of the network in the study."""
    known = study.network(network).layers["layer"].to_pylist()
    for layer in () if isinstance(layers, str) else layers:
        if layer not in known:
            others = "; take another layer, or other networks by --network" if len(study.networks) > 1 else ""
            raise StudyError(
                f"{network} has no layer {layer!r} in {study.path}; `layerscope layers` lists those it has{others}"
            )


def stem_of(space: Space, out: Path) -> Path:
    """The name of files about a space outside its study: they say whose they are."""
    return out.with_name(f"{out.name}-{space.results.folder}-{space.folder.rpartition('/')[2]}")


def read_projection(results: NetworkResults, folder: str) -> Projection:
    """The components of a space's vectors, and how they are made of them."""
    values = np.asarray(results.array(f"{folder}/components"), np.float32)
    mean, axes = (np.asarray(results.array(f"{folder}/{name}"), np.float64) for name in ("mean", "axes"))
    return Projection(values, mean, axes)


def read_affinities(results: NetworkResults, folder: str) -> Affinities:
    """The affinities of a space's patches."""
    starts, places, values = (
        results.array(f"{folder}/affinities/{n}") for n in ("indptr", "indices", "data")
    )
    return Affinities(np.asarray(starts, np.int64), np.asarray(places, np.int64), np.asarray(values, float))


def space_folder(layers: Sequence[str], layer: str) -> str:
    """Where the space of one of a network's layers is, below the network's folder."""
    return f"spaces/{folders(layers)[layer]}"
