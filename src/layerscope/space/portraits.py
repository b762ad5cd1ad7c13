"""What Fig. 3 shows of a space: its regions zoomed, patches picked from them, and the portraits of their filters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
import torch

from layerscope.drawing.canvas import Page
from layerscope.drawing.panels import Outside
from layerscope.drawing.render import Pixels
from layerscope.drawing.sprites import read_sprite
from layerscope.errors import UnsupportedOperationError
from layerscope.filters.portraits import drawing_of, make_portraits
from layerscope.filters.sheets import STEP
from layerscope.images.sets import ImageSet
from layerscope.network.layers import Layer
from layerscope.network.network import Network
from layerscope.network.views import view_of
from layerscope.plane.grid import Plane
from layerscope.plane.regions import Region, describe_region
from layerscope.progress import Told
from layerscope.space.crops import crop_patches
from layerscope.space.figure import Answer, Pick, Zoom, space_page
from layerscope.space.sheets import about_plane, class_names
from layerscope.space.space import Space
from layerscope.space.zooms import CellBox, pick_patches, spread_boxes, zoom_box
from layerscope.study.folder import Study

ZOOMS, PICKS, FILTERS = 4, 2, 3  # regions, patches of each, filters of each patch
_LARGEST = 224  # pixels of a picked patch, at most


@dataclass(frozen=True, eq=False)
class Chosen:
    """A region of the plane to be shown: its number among the suggested, its part of the plane, patches of it."""

    number: int
    region: Region
    box: CellBox
    patches: tuple[int, ...]


def choose_zooms(space: Space) -> tuple[Chosen, ...]:
    """The first suggested regions, on the plane that a figure shows; without any, parts spread over that plane."""
    plane = space.planes[space.arrangement]
    if not space.suggested:
        return tuple(_part(space, plane, number, box) for number, box in enumerate(spread_boxes(plane), 1))
    found = []
    for number, region in enumerate(space.suggested[:ZOOMS], 1):
        if np.isin(plane, region.members).any():
            box = zoom_box(plane, region)
            found.append(Chosen(number, region, box, pick_patches(plane, box, region, space.pictures, PICKS)))
    return tuple(found)


def _part(space: Space, plane: Plane, number: int, box: CellBox) -> Chosen:
    """The patches that a part of the plane shows."""
    left, top, right, bottom = box
    shown = np.unique(plane[top:bottom, left:right])
    places = space.places_in(space.arrangement)
    region = describe_region(shown[shown >= 0], box, places, space.pictures, space.classes)
    return Chosen(number, region, box, pick_patches(plane, box, region, space.pictures, PICKS))


def portray_filters(
    study: Study,
    network: Network,
    images: ImageSet,
    space: Space,
    chosen: Sequence[Chosen],
    progress: Told | None,
) -> Study:
    """The study with the portraits of all filters that the figure shows, drawn as those that are there.

    The same study if it has no top patches of the layer, the rule does not cover the network, or portraits are
    patches alone: then the figure says that there are no portraits, and is drawn anew as soon as there are.
    """
    results = study.network(network.name)
    channels = _channels(space, chosen)
    swept = "top_patches" in results.results and pc.any(
        pc.equal(results.table("top_patches")["layer"].cast("string"), space.layer)
    )
    if not channels or not (swept and swept.as_py()):
        return study
    made = study.steps.get(f"{results.folder}/{STEP}", {})
    if made:
        network = network.to(dtype=getattr(torch, made["dtype"]))
    if drawing_of(study, network.name).rule is None:
        return study
    try:
        return make_portraits(
            study, network, images, layers=[space.layer], channels=channels, progress=progress
        )
    except UnsupportedOperationError:
        return study


def _channels(space: Space, chosen: Sequence[Chosen]) -> list[int]:
    """The filters that the figure shows."""
    patches = (patch for one in chosen for patch in one.patches)
    return sorted({channel for patch in patches for channel in space.strongest(patch, FILTERS).tolist()})


def space_figure(
    study: Study, network: Network, images: ImageSet, space: Space, chosen: Sequence[Chosen], cells: Pixels
) -> Page:
    """Fig. 3 of a space; ``cells``: a picture of each patch."""
    drawing = drawing_of(study, network.name)
    portraits = {} if drawing.rule is None else _portraits(study, network, space, chosen)
    zooms = [
        Zoom(
            one.number,
            one.box,
            _words(space, one.region),
            tuple(_picks(study, network, images, space, one, portraits, contrast)),
        )
        for one, contrast in zip(chosen, _contrasts(space, chosen), strict=True)
    ]
    plane = space.planes[space.arrangement]
    about = about_plane(space, space.arrangement)
    return space_page(plane, cells, about, zooms, rule=drawing.way, display=drawing.display)


def _words(space: Space, region: Region) -> str:
    words = f"{len(region.members):,} patches of {region.pictures:,} pictures"
    if region.label is not None:
        words += f", {region.label_share:.0%} {class_names(space)[region.label]}"
    return words if space.suggested else f"{words}; chosen to spread over the plane, for no cluster is stable"


def _contrasts(space: Space, chosen: Sequence[Chosen]) -> list[dict[int, float]]:
    """Of each region the contrast of every filter; of those suggested the study knows it."""
    if space.suggested:
        known = space.results.table(f"{space.folder}/region_filters")
        tables = [known.filter(pc.equal(known["region"], one.number)) for one in chosen]
    else:
        tables = [space.filters(one.region) for one in chosen]
    return [
        dict(zip(table["channel"].to_pylist(), table["contrast"].to_pylist(), strict=True))
        for table in tables
    ]


def _picks(
    study: Study,
    network: Network,
    images: ImageSet,
    space: Space,
    one: Chosen,
    portraits: Mapping[int, Answer],
    contrast: Mapping[int, float],
) -> Iterable[Pick]:
    patches = np.array(one.patches)
    boxes = space.boxes[patches]
    side = int(min(_LARGEST, max(8, (boxes[:, 2] - boxes[:, 0]).max(), (boxes[:, 3] - boxes[:, 1]).max())))
    pixels = np.empty((len(patches), side, side, 3), np.uint8)
    crop_patches(study, network, images, space.pictures[patches], boxes, pixels)
    rows = space.patches.take(patches).to_pylist()
    names = study.pictures["name"]
    for patch, shown, row in zip(one.patches, pixels, rows, strict=True):
        answers = tuple(
            Answer(
                channel,
                float(space.vectors[patch, channel]),
                contrast[channel],
                portraits[channel].sprite if channel in portraits else None,
                portraits[channel].outside if channel in portraits else (),
            )
            for channel in space.strongest(patch, FILTERS).tolist()
        )
        yield Pick(patch, shown, names[row["picture"]].as_py(), row["row"], row["column"], answers)


def _portraits(study: Study, network: Network, space: Space, chosen: Sequence[Chosen]) -> dict[int, Answer]:
    """The portraits there are of the filters that the figure shows, by channel."""
    results = study.network(network.name)
    if STEP not in results.results:
        return {}
    channels = _channels(space, chosen)
    table = results.table(STEP)
    found = {}
    for row in table.filter(pc.equal(table["layer"], space.layer)).to_pylist():
        if row["channel"] in channels and not row["dead"]:
            sprite = read_sprite(results.file(row["file"]))
            outside = _outside(row, network.layer(space.layer), network.input_shape[1:])
            found[row["channel"]] = Answer(row["channel"], 0.0, None, sprite, outside)
    return found


def _outside(row: Mapping[str, Any], layer: Layer, size: tuple[int, ...]) -> tuple[Outside, ...]:
    """Of each panel, how many rows and columns are not seen at the top, left, bottom and right."""
    places = zip(row["rows"], row["columns"], strict=True)
    return tuple(view_of(layer, *place, size).unseen for place in places)
