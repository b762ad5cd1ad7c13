"""A region of a plane that a user has drawn: its patches as a table and as a contact sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from layerscope.disk.tables import publish_content
from layerscope.drawing.canvas import Page, save_figure
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.plane.regions import Region
from layerscope.space.crops import crop_patches
from layerscope.space.pictures import contact_sheet
from layerscope.space.sheets import about_plane, caption, class_names
from layerscope.space.space import Space, stem_of

_MOST, _SIDE = 200, 72  # patches on a sheet, pixels of one


def region_patches(space: Space, region: Region) -> pa.Table:
    """The patches of a region, a row each: patch, picture, its name and class (null: unknown), row, column, and box.

    The box: top, left, bottom, right of what the patch sees, in pixels of the input.
    """
    table = space.patches.take(pa.array(region.members))
    pictures = space.results.study.pictures.take(table["picture"])
    known = class_names(space)
    classes = [None if label is None else known[label] for label in pictures["label"].to_pylist()]
    table = table.add_column(0, "patch", pa.array(region.members))
    table = table.add_column(2, "name", pictures["name"])
    return table.add_column(3, "class", pa.array(classes, pa.string()))


def save_region(
    space: Space, network: Network, images: ImageSet, region: Region, out: Path
) -> tuple[Path, ...]:
    """Its patches as a figure and a table, its filters as another, named after ``out``, the network and the layer."""
    stem = stem_of(space, out)
    page = show_region(space, network, images, region)
    patches, _ = publish_content(stem, region_patches(space, region))
    filters, _ = publish_content(stem.with_name(f"{stem.name}-filters"), space.filters(region))
    return patches, filters, *save_figure(page, stem)


def show_region(
    space: Space, network: Network, images: ImageSet, region: Region, name: str = "region"
) -> Page:
    """The first 200 patches of a region, by number, and its filters. Raises StudyError for other pictures."""
    shown = region.members[:_MOST]
    panels = np.empty((len(shown), _SIDE, _SIDE, 3), np.uint8)
    crop_patches(space.results.study, network, images, space.pictures[shown], space.boxes[shown], panels)
    words = caption(space, region, space.filters(region))
    return contact_sheet(panels, np.arange(len(region.members)), about_plane(space), name, words=words)
