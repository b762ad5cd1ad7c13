"""Representation spaces into a study: patches, their embedding, the planes, and how true they are (Fig. 3).

Each space is made in steps, which the study keeps: patches, neighbours, embedding, plane, pictures. A step that is
there, made the same way of the same things, is kept; so a run that was stopped goes on at the step it was in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any

from layerscope.disk.room import bytes_on_disk
from layerscope.drawing.canvas import figure_files
from layerscope.drawing.render import Pixels
from layerscope.errors import LayerscopeError
from layerscope.filters.portraits import drawing_of
from layerscope.filters.sheets import STEP as PORTRAITS
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.plane.clusters import groups_of, suggest_regions
from layerscope.plane.embedding import Tsne, lay_out, project, relate
from layerscope.plane.grid import Grid, arrange, fill
from layerscope.plane.libraries import check_libraries
from layerscope.plane.regions import contrasts
from layerscope.plane.truth import Embedded, measure_truth, truth_table
from layerscope.progress import Told, of, tell
from layerscope.space.crops import crop_patches
from layerscope.space.patches import count_patches, draw_patches
from layerscope.space.portraits import choose_zooms, portray_filters, space_figure
from layerscope.space.sheets import region_tables, space_sheets
from layerscope.space.space import Space, read_affinities, read_projection, space_folder
from layerscope.study.folder import Study
from layerscope.study.steps import OpenStep
from layerscope.sweep.one_pass import SweepOptions
from layerscope.sweep.patch_sample import PatchSample

_FORMAT = 1  # of what a space holds; raised when older ones are to be made anew
_CELLS = (8, 256)  # pixels along a cell: the least and the most


@dataclass(frozen=True)
class SpaceOptions:
    """How spaces are made: patches of each layer, t-SNE, and the plane's cells of ``side`` pixels.

    ``count``, ``where``, ``per_picture``, ``seed``: as `PatchSample` takes them. ``cells``: how many cells the planes
    have at least; None: as many as patches. Raises LayerscopeError for numbers out of range.
    """

    count: int = 10_000
    where: str = "auto"
    per_picture: int | None = None
    seed: int = 0
    tsne: Tsne = field(default_factory=Tsne)
    side: int = 48
    cells: int | None = None

    def __post_init__(self) -> None:
        if not _CELLS[0] <= self.side <= _CELLS[1]:
            raise LayerscopeError(f"cells of {self.side} pixels: take {_CELLS[0]} to {_CELLS[1]}")
        if self.cells is not None and self.cells < 1:
            raise LayerscopeError(f"a plane of {self.cells} cells: ask for 1 or more")
        self.sample(("any",))

    def sample(self, layers: tuple[str, ...]) -> PatchSample:
        """What draws the patches."""
        return PatchSample(layers, self.count, self.seed, self.per_picture, self.where)  # type: ignore[arg-type]


def make_spaces(
    study: Study,
    network: Network,
    images: ImageSet,
    layers: Sequence[str],
    *,
    options: SpaceOptions | None = None,
    settings: SweepOptions | None = None,
    progress: Told | None = None,
) -> Study:
    """Add the representation space of each layer to a study: patches, embedding, planes, pictures and measures.

    What is there already, made the same way, is kept. Raises StudyError if network or pictures are not those of the
    study, GeometryError for a layer without patches, EmbeddingError for too few patches or a dead layer.
    """
    check_libraries()
    drawing_of(study, network.name)
    options = options or SpaceOptions()
    makers = [_Maker(network, images, network.layer(name).name, options, progress) for name in layers]
    missing = [maker for maker in makers if not maker.holds(study, "patches")]
    if missing:
        study = _draw(study, missing, settings, progress)
    for maker in makers:
        study = maker.make(study)
    return study


def _draw(
    study: Study, makers: Sequence[_Maker], settings: SweepOptions | None, progress: Told | None
) -> Study:
    """Patches of all layers that lack them, in one pass."""
    first = makers[0]
    sample = first.options.sample(tuple(maker.layer for maker in makers))
    for layer, count in count_patches(study, first.network, sample).items():
        first.options.tsne.check(count, layer)
    found = draw_patches(study, first.network, first.images, sample, settings=settings, progress=progress)
    for maker in makers:
        patches = found[maker.layer]
        study = maker.add(study, "patches", {"patches": patches.table, "vectors": patches.vectors})
    return study


@dataclass(frozen=True)
class _Maker:
    """Makes the space of one layer, step by step."""

    network: Network
    images: ImageSet
    layer: str
    options: SpaceOptions
    progress: Told | None

    @property
    def depends_on(self) -> dict[str, dict[str, object]]:
        """What each step depends on, those before it included."""
        drawn = {name: getattr(self.options, name) for name in ("count", "where", "per_picture", "seed")}
        dtype = str(self.network.dtype).removeprefix("torch.")
        patches = {"layer": self.layer, "format": _FORMAT, "dtype": dtype, **drawn}
        near = ("perplexity", "components", "threads")
        tsne = asdict(self.options.tsne)
        neighbours = {**patches, "tsne": {name: tsne[name] for name in near}}
        embedding = {**patches, "tsne": tsne}
        plane = {**embedding, "cells": self.options.cells}
        return {
            **{"patches": patches, "neighbours": neighbours, "embedding": embedding, "plane": plane},
            "pictures": {**plane, "side": self.options.side},
        }

    @property
    def folder(self) -> str:
        """Where the space is, below the network's folder."""
        return space_folder([layer.name for layer in self.network.layers], self.layer)

    def holds(self, study: Study, step: str) -> bool:
        """Whether the study has the step, made the same way."""
        known = study.steps.get(f"{study.network(self.network.name).folder}/{self.folder}/{step}")
        options = self.drawn(study) if step == "pictures" else self.depends_on[step]
        return bool(known == json.loads(json.dumps(options)))

    def drawn(self, study: Study) -> dict[str, object]:
        """What the pictures depend on: also how the portraits are drawn that are in the figure."""
        portraits = study.steps.get(f"{study.network(self.network.name).folder}/{PORTRAITS}")
        return {**self.depends_on["pictures"], "portraits": portraits and dict(portraits)}

    def add(self, study: Study, step: str, results: Mapping[str, Any]) -> Study:
        """The study with a step's results, in the space's folder."""
        named = {f"{self.folder}/{name}": content for name, content in results.items()}
        return study.add(
            f"{self.folder}/{step}", named, network=self.network.name, options=self.depends_on[step]
        )

    def make(self, study: Study) -> Study:
        """All steps after the patches."""
        if not self.holds(study, "neighbours"):
            study = self.add(study, "neighbours", self._neighbours(study))
        if not self.holds(study, "embedding"):
            study = self.add(study, "embedding", self._embedding(study))
        if not self.holds(study, "plane"):
            results = self._plane(study)
            with self._open_pictures(study) as step:
                step.clear()  # those of another plane go before it does
            study = self.add(study, "plane", results)
        return study if self.holds(study, "pictures") else self._pictures(study)

    def _neighbours(self, study: Study) -> dict[str, Any]:
        tell(self._told, "neighbours")
        vectors = Space(study.network(self.network.name), self.layer).vectors
        projection = project(vectors, self.options.tsne)
        affinities = relate(projection.values, self.options.tsne)
        return {
            **{"components": projection.values, "mean": projection.mean, "axes": projection.axes},
            **{f"affinities/{name}": getattr(affinities, name) for name in ("indptr", "indices", "data")},
        }

    def _embedding(self, study: Study) -> dict[str, Any]:
        results = study.network(self.network.name)
        projection, affinities = read_projection(results, self.folder), read_affinities(results, self.folder)
        laid = lay_out(affinities, projection.values, self.options.tsne, self._told)
        about = {"kl": laid.kl, "method": laid.method, "patches": len(laid.points)}
        return {"embedding": laid.points, "embedding.json": (json.dumps(about, indent=1) + "\n").encode()}

    def _plane(self, study: Study) -> dict[str, Any]:
        """The planes, their regions, and how true they are."""
        tell(self._told, "plane")
        results = study.network(self.network.name)
        space = Space(results, self.layer)
        points = space.points
        grid = Grid.around(points, self.options.cells)
        planes = {"fill": fill(points, grid)}
        if grid.cells >= len(points):
            planes["one-to-one"] = arrange(points, grid)
        regions = suggest_regions((points - (grid.left, grid.top)) / grid.side, space.pictures, space.classes)
        groups = groups_of(regions, len(points))
        found = {
            "grid.json": (json.dumps(asdict(grid), indent=1) + "\n").encode(),
            "region_of": groups,
            **{f"planes/{name}": plane for name, plane in planes.items()},
            **region_tables(regions, contrasts(space.vectors, groups) if regions else ()),
        }
        tell(self._told, "measures")
        affinities = read_affinities(results, self.folder)
        measured = Embedded(
            *(space.vectors, points, space.pictures, planes, space.classes),
            affinities=affinities,
        )
        return {**found, "truth": truth_table(measure_truth(measured))}

    def _pictures(self, study: Study) -> Study:
        """All that is drawn."""
        space = Space(study.network(self.network.name), self.layer)
        zooms, side = choose_zooms(space), self.options.side
        study = portray_filters(study, self.network, self.images, space, zooms, self._told)
        with self._open_pictures(study) as step:
            step.clear()
            with bytes_on_disk(study.path, (len(space.points), side, side, 3)) as cells:
                self._crop(study, space, cells)
                sheets = space_sheets(space, cells, self._told)
                step.put_all((f"{self.folder}/{stem}", content) for stem, content in sheets)
                if zooms:
                    page = space_figure(study, self.network, self.images, space, zooms, cells)
                    step.put_all(figure_files(page, f"{self.folder}/figure", photographs=True))
            step.finish()
        return Study.open(study.path)

    def _open_pictures(self, study: Study) -> AbstractContextManager[OpenStep]:
        return study.open_step(
            f"{self.folder}/pictures", network=self.network.name, options=self.drawn(study)
        )

    @property
    def _told(self) -> Told | None:
        return of(self.layer, self.progress)

    def _crop(self, study: Study, space: Space, cells: Pixels) -> None:
        images, boxes = self.images, space.boxes
        crop_patches(study, self.network, images, space.pictures, boxes, cells, progress=self._told)
