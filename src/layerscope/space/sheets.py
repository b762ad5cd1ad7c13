"""All that is drawn of a space: its planes as images and tiles, its embedding, its regions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from layerscope.ahead import made_ahead
from layerscope.disk.tables import Content
from layerscope.drawing.canvas import Page, figure_files, page_image
from layerscope.drawing.encoding import encode_png
from layerscope.drawing.render import Pixels
from layerscope.errors import DisplayError
from layerscope.plane.clusters import convex_hull
from layerscope.plane.regions import Region
from layerscope.progress import Count, Told
from layerscope.space.pictures import (
    Groups,
    PlaneDrawn,
    contact_sheet,
    embedding_page,
    plane_file,
    plane_page,
)
from layerscope.space.space import Space
from layerscope.space.tiles import Tiling, plane_tiles

_FILTERS = 5  # named in a region's caption


def about_plane(space: Space, arrangement: str = "fill") -> PlaneDrawn:
    """What the pictures of a space say of it."""
    top, left, bottom, right = space.boxes[0].tolist()
    shown = space.planes[arrangement] if arrangement in space.planes else np.empty(0, np.int32)
    return PlaneDrawn(
        space.network,
        space.layer,
        (bottom - top, right - left),
        len(space.points),
        len(np.unique(space.pictures)),
        len(np.unique(shown[shown >= 0])),
        arrangement,
    )


def space_sheets(space: Space, cells: Pixels, progress: Told | None) -> Iterator[tuple[str, Content]]:
    """Names and contents of all files, below the space's folder. ``cells``: a picture of each patch."""
    yield from figure_files(
        embedding_page(space.places, about_plane(space), _groups(space)), "embedding_plot"
    )
    regions = space.suggested
    for name, plane in space.planes.items():
        yield from _whole(plane, cells, f"plane_{name}", about_plane(space, name))
        yield from _tiles(plane, cells, f"plane_{name}", progress)
    drawn = itertools.chain(_outlined(space, cells, regions), _contacts(space, cells, regions))
    pages = ((stem, page_image(page), page.dpi) for stem, page in drawn)
    for (stem, *_), content in made_ahead(_encoded, pages, 1, 6):
        yield f"{stem}.png", content


def _encoded(drawn: tuple[str, Image.Image, float]) -> bytes:
    """The file of a page of photographs; those of the filled plane repeat."""
    stem, image, dpi = drawn
    return encode_png(image, dpi=dpi, photograph="fill" not in stem)


def _outlined(space: Space, cells: Pixels, regions: Sequence[Region]) -> Iterator[tuple[str, Page]]:
    """Each plane with the outlines of the regions."""
    for name, plane in space.planes.items():
        places = space.places_in(name)
        outlines = [_corners(convex_hull(places[region.members])) for region in regions]
        yield f"plane_{name}_regions", plane_page(plane, cells, about_plane(space, name), outlines)


def _contacts(space: Space, cells: Pixels, regions: Sequence[Region]) -> Iterator[tuple[str, Page]]:
    """The patches of each region."""
    filters, about = space.results.table(f"{space.folder}/region_filters"), about_plane(space)
    for number, region in enumerate(regions, 1):
        words = caption(space, region, filters.filter(pc.equal(filters["region"], number)))
        page = contact_sheet(cells, region.members, about, f"suggested region {number}", words=words)
        yield f"regions/{number:02d}", page


def caption(space: Space, region: Region, filters: pa.Table) -> str:
    """What a region is, in words: its pictures, its class, and the filters that fire more in it than elsewhere."""
    best = sorted(filters.to_pylist(), key=lambda row: (-row["contrast"], row["channel"]))[:_FILTERS]
    named = ", ".join(f"{row['channel']} ({row['contrast']:.2f})" for row in best)
    words = f"From {region.pictures:,} pictures. Filters by contrast: {named}."
    if region.label is None:
        return words
    return f"{words} {region.label_share:.0%} are of the class {class_names(space)[region.label]}."


def class_names(space: Space) -> Sequence[str]:
    """The names of the study's classes, or their numbers."""
    study = space.results.study
    known = study.manifest["inputs"]["images"]["classes"]
    highest = max((label for label in study.pictures["label"].to_pylist() if label is not None), default=-1)
    return known or [f"class {label}" for label in range(highest + 1)]


def _corners(outline: np.ndarray) -> np.ndarray:
    """A box (left, top, right, bottom) as its corners; a polygon as it is."""
    if outline.ndim == 2:
        return outline
    left, top, right, bottom = outline.tolist()
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _groups(space: Space) -> Groups | None:
    classes = space.classes
    return None if classes is None else Groups(classes, tuple(class_names(space)))


def _whole(plane: np.ndarray, cells: Pixels, stem: str, about: PlaneDrawn) -> Iterator[tuple[str, Content]]:
    """The plane as one image, unless it is too large for any: then its tiles have to do."""
    try:
        yield plane_file(plane, cells, stem, about)
    except DisplayError as error:
        yield f"{stem}.txt", f"{error}\n".encode()


def _tiles(
    plane: np.ndarray, cells: Pixels, stem: str, progress: Told | None
) -> Iterator[tuple[str, Content]]:
    side = cells.shape[1]
    of = len(Tiling().names(plane.shape[0] * side, plane.shape[1] * side, stem))
    done = Count(progress, "tiles", of, "tiles")
    for file in plane_tiles(plane, cells, stem):
        yield file
        done()


def region_tables(regions: Sequence[Region], contrasts: Sequence[pa.Table]) -> Mapping[str, Content]:
    """Suggested regions as tables: one row each, one row for each of its filters, and the region of each patch."""
    rows = [
        {
            "region": number,
            "patches": len(region.members),
            "pictures": region.pictures,
            "spread": region.spread,
            "centre": region.centre,
            "label": region.label,
            "label_share": region.label_share,
            "x": region.outline.reshape(-1, 2)[:, 0].tolist(),
            "y": region.outline.reshape(-1, 2)[:, 1].tolist(),
        }
        for number, region in enumerate(regions, 1)
    ]
    filters = [
        table.add_column(0, "region", pa.array([number] * len(table), pa.int64()))
        for number, table in enumerate(contrasts, 1)
    ]
    return {
        "regions": pa.Table.from_pylist(rows, schema=_REGIONS),
        "region_filters": pa.concat_tables([_REGION_FILTERS.empty_table(), *filters]),
    }


_NUMBERS = pa.list_(pa.float64())
_REGIONS = pa.schema(
    {
        **{"region": pa.int64(), "patches": pa.int64(), "pictures": pa.int64(), "spread": pa.float64()},
        **{
            "centre": pa.int64(),
            "label": pa.int64(),
            "label_share": pa.float64(),
            "x": _NUMBERS,
            "y": _NUMBERS,
        },
    }
)
_REGION_FILTERS = pa.schema(
    {
        **{"region": pa.int64(), "channel": pa.int64()},
        **dict.fromkeys(
            ("mean", "mean_elsewhere", "fires", "fires_elsewhere", "contrast", "z"), pa.float64()
        ),
    }
)
