"""Pictures of a plane: the plane itself, its raw embedding, the patches of a region. No torch.

A place on the plane is (x, y) in cells, x to the right and y down; on the embedding it is in the embedding's units,
drawn the same way round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.patches import Circle, Polygon
from PIL import Image

from layerscope.drawing.canvas import INK, Canvas, Heading, Page, shortened, text_width
from layerscope.drawing.encoding import JPEG_SIDE, encode_jpeg, encode_png
from layerscope.drawing.render import Pixels
from layerscope.errors import DisplayError
from layerscope.network.geometry import Box
from layerscope.plane.grid import Plane
from layerscope.space.tiles import check_plane, plane_pixels

__all__ = ["Groups", "PlaneDrawn", "contact_sheet", "embedding_page", "plane_file", "plane_page"]

COLOURS = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
    "#7a5230",
    "#c9b800",
)  #: of groups; told apart by the colour-blind
OTHERS = "#b9b9b9"  #: of patches in no group that has a colour
_DPI = 200
_ACROSS, _MARGIN, _NARROW = 1582, 36, 1100  # pixels: of a picture on a page, of its border, of a page's text
_NEW = 20  # old patches that a new one is as strong as, where they lie over each other
_LETTERS, _SMALL = 7.5, 6.5  # points
_PNG_PIXELS = 1 << 22  # a plane with more is kept as JPEG
_JPEG_PIXELS = 1 << 29  # more take 2 GB to make
_QUALITY = 90
_GAP = 4  # pixels between the patches of a sheet
_HEADING = Heading(_MARGIN, first=30, lines=6, room=0.95)  # drawn, a title is a little wider

Outline = npt.ArrayLike  # (corners, 2): x and y
Placed = Callable[[npt.NDArray[np.floating]], npt.NDArray[np.floating]]  # from outlines to points of the page


@dataclass(frozen=True)
class PlaneDrawn:
    """What the pictures of a space say of it: how many patches it has, of how many pictures, how many its plane shows.

    ``arrangement``: "fill", each cell shows the patch nearest to its centre, or "one-to-one". ``field``: rows and
    columns of the input that a patch sees.
    """

    network: str
    layer: str
    field: tuple[int, int]
    patches: int
    pictures: int
    shown: int = 0
    arrangement: str = "fill"

    @property
    def patch(self) -> str:
        """What a patch is."""
        rows, columns = self.field
        return f"{rows}×{columns} pixels of one of {self.pictures:,} pictures"

    @property
    def title(self) -> str:
        """What a plane is of, and how much of it the plane shows."""
        share = self.shown / max(self.patches, 1)
        return f"{self.network}, {self.layer}: plane of {self.patches:,} patches, {share:.1%} shown"

    @property
    def caption(self) -> str:
        """How the plane came about, and what it leaves out."""
        if self.arrangement == "fill":
            rule = "Each cell shows the patch whose embedding is nearest to its centre"
        else:
            rule = "Each patch has a cell of its own, as near to its embedding as could be"
        hidden = self.patches - self.shown
        left = f"; {hidden:,} patches do not appear" if hidden else ""
        return f"{rule}{left}. A patch: {self.patch}."


@dataclass(frozen=True)
class Groups:
    """What colours the embedding: a group for each patch, -1 if unknown, and the groups' names. ``noun``: of what."""

    of: npt.NDArray[np.integer]
    names: tuple[str, ...]
    noun: str = "class"


# ------------------------------------------------------------------ the plane


def plane_file(plane: Plane, cells: Pixels, stem: str, about: PlaneDrawn) -> tuple[str, bytes]:
    """Name and content of the plane as one image: ``stem.png`` up to 4 megapixels, else ``stem.jpg``.

    ``cells``: a picture of each patch, (N, side, side, 3). Made strip by strip; the image says itself what it is of.
    Raises DisplayError for a plane more than 65,500 pixels high or wide, or of more than 537 megapixels.
    """
    check_plane(plane, cells)
    side = cells.shape[1]
    height, width = plane.shape[0] * side, plane.shape[1] * side
    if max(height, width) > JPEG_SIDE or height * width > _JPEG_PIXELS:
        raise DisplayError(
            f"the plane of {about.layer} is {width} x {height} pixels, too many for one image "
            f"(at most {JPEG_SIDE} along a side and {_JPEG_PIXELS:,} in all); use its tiles, or smaller cells"
        )
    image = Image.new("RGB", (width, height))
    for row in range(plane.shape[0]):
        image.paste(Image.fromarray(_row(plane, cells, row)), (0, row * side))
    words = f"{about.title}. {about.caption}"
    if height * width <= _PNG_PIXELS:
        return f"{stem}.png", encode_png(image, {"Description": words})
    return f"{stem}.jpg", encode_jpeg(image, _QUALITY, words)


def plane_page(plane: Plane, cells: Pixels, about: PlaneDrawn, outlines: Sequence[Outline] = ()) -> Page:
    """The plane as a figure, with numbered outlines of regions, in cells; the first is number 1.

    A cell is reduced, or enlarged, to a whole number of pixels, so that the plane is about as wide as the page.
    """
    check_plane(plane, cells)
    pixels = _fitted(plane, cells)
    page = _Column(about.title, about.caption, pixels.shape[1])
    left, top = page.picture(pixels)
    scale = pixels.shape[1] / plane.shape[1]
    _draw_outlines(page.canvas, outlines, lambda xy: (xy * scale + (left, top)) * page.canvas.pixel)
    return page.cut()


def _row(plane: Plane, cells: Pixels, row: int) -> Pixels:
    side = cells.shape[1]
    return np.ascontiguousarray(
        plane_pixels(plane, cells, Box(row * side, 0, (row + 1) * side, plane.shape[1] * side))
    )


def _fitted(plane: Plane, cells: Pixels) -> Pixels:
    """The plane with cells of so many pixels that it fits a page."""
    columns, side = plane.shape[1], cells.shape[1]
    cell = min(max(1, _ACROSS // columns), max(1, 2 * _ACROSS // plane.shape[0]))
    cell = min(2, cell // side) * side if cell >= side else cell
    how = Image.Resampling.NEAREST if cell >= side else Image.Resampling.BOX
    strips = (Image.fromarray(_row(plane, cells, row)) for row in range(plane.shape[0]))
    return np.concatenate([np.asarray(strip.resize((columns * cell, cell), how)) for strip in strips])


def _draw_outlines(canvas: Canvas, outlines: Sequence[Outline], placed: Placed) -> None:
    """Outlines, white between dark so that they show on anything; then their numbers, over all of them."""
    corners = [placed(np.asarray(outline, float)) for outline in outlines]
    for own in corners:
        for width, colour in ((2.6, INK), (1.2, "white")):
            canvas.patch(
                Polygon(own, closed=True, fill=False, edgecolor=colour, linewidth=width, joinstyle="round")
            )
    for number, own in enumerate(corners, 1):
        words = str(number)
        wide, high = text_width(words, _LETTERS, "bold") + 4, _LETTERS + 2
        x, y = own[np.lexsort((own[:, 0], own[:, 1]))[0]]
        x, y = max(0.0, x - wide / 2), max(0.0, y - high / 2)
        canvas.box(x, y, wide, high, INK)
        canvas.text(x + wide / 2, y + high - 2.2, words, _LETTERS, color="white", weight="bold")


# ------------------------------------------------------------------ the raw embedding


def embedding_page(
    points: npt.NDArray[np.floating],
    about: PlaneDrawn,
    groups: Groups | None = None,
    outlines: Sequence[Outline] = (),
) -> Page:
    """The embedding (N, 2) as a scatter plot without axes, for t-SNE's have no meaning; x to the right, y down.

    Points beyond the patches that ``about`` speaks of are new ones, and each is as strong as many.
    Colours: of the largest groups; all others are grey. Where points lie over each other their colours mix, in no
    order, and the more there are, the stronger. Raises DisplayError if points and groups differ in number, or one is
    not finite.
    """
    _check_points(points, about, groups)
    points = points.astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.maximum(high - low, (float((high - low).max()) or 1.0) / 4)
    radius = float(np.clip(220 / math.sqrt(len(points)), 1.0, 6.0))
    border = math.ceil(radius) + 8
    scale = float((_ACROSS - 2 * border) / span.max())
    height, width = (math.ceil(side * scale) + 2 * border for side in (span[1], span[0]))
    corner = (low + high - span) / 2 - border / scale
    colours, entries = _coloured(len(points), groups)
    new = f" and {len(points) - about.patches:,} new ones" if len(points) > about.patches else ""
    page = _Column(
        f"{about.network}, {about.layer}: embedding of {about.patches:,} patches{new}",
        f"A dot is a patch ({about.patch}), where t-SNE puts it: close ones are alike; long distances, sizes and "
        f"directions mean nothing. {_key(groups, entries)}",
        width,
    )
    page.legend(entries)
    as_many = np.where(np.arange(len(points)) < about.patches, 1, _NEW)
    left, top = page.picture(_dots((points - corner) * scale, colours, as_many, (height, width), radius))
    _draw_outlines(
        page.canvas, outlines, lambda xy: ((xy - corner) * scale + (left, top)) * page.canvas.pixel
    )
    return page.cut()


def _check_points(points: npt.NDArray[np.floating], about: PlaneDrawn, groups: Groups | None) -> None:
    if points.ndim != 2 or points.shape[1] != 2 or not points.size or not np.isfinite(points).all():
        raise DisplayError(f"the embedding of {about.layer} is not N finite points (N, 2); make it anew")
    if groups is not None and len(groups.of) != len(points):
        raise DisplayError(
            f"there are {len(points)} points but groups of {len(groups.of)}; give one for each patch"
        )


def _coloured(
    count: int, groups: Groups | None
) -> tuple[npt.NDArray[np.float64], list[tuple[str, str, int]]]:
    """A colour in [0, 1] for each point, and the legend: name, colour, number of points."""
    if groups is None:
        return np.tile(_rgb(COLOURS[0]), (count, 1)), []
    sizes = np.bincount(groups.of[groups.of >= 0], minlength=len(groups.names))
    largest = np.argsort(-sizes, kind="stable")[: len(COLOURS)]
    largest = largest[sizes[largest] > 0]
    colours = np.tile(_rgb(OTHERS), (count, 1))
    entries = []
    for group, colour in zip(largest.tolist(), COLOURS, strict=False):
        colours[groups.of == group] = _rgb(colour)
        entries.append((groups.names[group], colour, int(sizes[group])))
    rest = count - sum(size for _, _, size in entries)
    return colours, [*entries, ("others", OTHERS, rest)] if rest else entries


def _key(groups: Groups | None, entries: Sequence[tuple[str, str, int]]) -> str:
    if groups is None:
        return "The darker, the more patches lie there."
    few = f", of the {len(COLOURS)} largest" if len(entries) > len(COLOURS) else ""
    return f"Colour: {groups.noun}{few}."


def _rgb(colour: str) -> npt.NDArray[np.float64]:
    return np.array([int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)])


def _dots(
    places: npt.NDArray[np.floating],
    colours: npt.NDArray[np.float64],
    as_many: npt.NDArray[np.integer],
    size: tuple[int, int],
    radius: float,
) -> Pixels:
    """Discs on white, each as of so many: at a pixel the mean colour of those that cover it, the more the stronger."""
    height, width = size
    reach = np.arange(-math.ceil(radius), math.ceil(radius) + 1)
    right, down = (grid.ravel() for grid in np.meshgrid(reach, reach))
    weights = np.clip(radius + 0.5 - np.hypot(right, down), 0, 1)
    right, down, weights = right[weights > 0], down[weights > 0], weights[weights > 0]
    x, y = np.rint(places).astype(np.int64).T
    summed = np.zeros((height * width, 4))
    for shift, weight in zip(down * width + right, weights, strict=True):
        index = y * width + x + shift
        for channel in range(3):
            np.add.at(summed[:, channel], index, weight * as_many * colours[:, channel])
        np.add.at(summed[:, 3], index, weight * as_many)
    covered = summed[:, 3:]
    mean = summed[:, :3] / np.maximum(covered, 1e-12)
    opaque = 1 - 0.35**covered
    shown: Pixels = np.rint(255 * (1 - opaque * (1 - mean))).astype(np.uint8).reshape(height, width, 3)
    return shown


# ------------------------------------------------------------------ the patches of a region


def contact_sheet(
    cells: Pixels,
    patches: npt.NDArray[np.integer],
    about: PlaneDrawn,
    name: str,
    *,
    most: int = 200,
    words: str = "",
) -> Page:
    """The first ``most`` of the patches of a region, by number, in the order given, row by row.

    ``cells``: a picture of each patch; ``name``: of the region; ``words``: more of it, for the caption, such as its
    filters. Raises DisplayError if the region holds no patch.
    """
    if not len(patches):
        raise DisplayError(f"{name} of {about.layer} holds no patch; draw a larger one")
    shown = np.asarray(cells)[patches[:most]]
    sheet = _grid(
        shown.repeat(max(1, 72 // cells.shape[1]), axis=1).repeat(max(1, 72 // cells.shape[1]), axis=2)
    )
    rest = f" The first {len(shown):,} are shown." if len(shown) < len(patches) else ""
    page = _Column(
        f"{about.network}, {about.layer}: {name}, {len(patches):,} of {about.patches:,} patches",
        f"A patch: {about.patch}.{rest} {words}",
        sheet.shape[1],
    )
    page.picture(sheet)
    return page.cut()


def _grid(panels: Pixels) -> Pixels:
    """Squares (N, side, side, 3) row by row, half again as wide as high, or as wide as text needs and a page allows."""
    count, side = panels.shape[:2]
    step = side + _GAP
    wide = max(math.ceil(math.sqrt(1.5 * count)), -(-_NARROW // step))
    columns = max(1, min(count, wide, (_ACROSS + _GAP) // step))
    rows = -(-count // columns)
    grid = np.full((rows * columns, step, step, 3), 255, np.uint8)
    grid[:count, :side, :side] = panels
    return plane_pixels(np.arange(rows * columns).reshape(rows, columns), grid)[:-_GAP, :-_GAP]


# ------------------------------------------------------------------ pages


class _Column:
    """A page with title and caption, on which a legend and a picture come below each other. Lengths in pixels."""

    def __init__(self, title: str, caption: str, width: int) -> None:
        self.canvas = Canvas.blank(_DPI)
        self.width = max(width, _NARROW)
        self.y = _HEADING.draw(self.canvas, title, caption, self.width)

    def legend(self, entries: Sequence[tuple[str, str, int]]) -> None:
        """A dot, a name and a number for each, in as many lines as they need."""
        pixel, x = self.canvas.pixel, _MARGIN
        for name, colour, count in entries:
            words = f"{shortened(name, self.width * pixel / 4, _SMALL)} ({count:,})"
            wide = 26 + math.ceil(text_width(words, _SMALL) / pixel)
            if x > _MARGIN and x + wide > _MARGIN + self.width:
                x, self.y = _MARGIN, self.y + 26
            self.canvas.patch(
                Circle(((x + 8) * pixel, (self.y + 2) * pixel), 7 * pixel, color=colour, linewidth=0)
            )
            self._write(x + 22, words, _SMALL, below=8)
            x += wide + 24
        self.y += 30 if entries else 0

    def picture(self, pixels: Pixels) -> tuple[int, int]:
        """Put the picture beneath all else; returns its left and top."""
        (height, width), top, pixel = pixels.shape[:2], self.y, self.canvas.pixel
        self.canvas.image(pixels, _MARGIN * pixel, top * pixel, width * pixel, height * pixel)
        self.y += height
        return _MARGIN, top

    def cut(self) -> Page:
        """The page, as large as what is on it."""
        pixel = self.canvas.pixel
        return self.canvas.cut((self.width + 2 * _MARGIN) * pixel, (self.y + _MARGIN) * pixel)

    def _write(self, x: int, words: str, size: float, below: int = 0, **style: str) -> None:
        pixel = self.canvas.pixel
        self.canvas.text(x * pixel, (self.y + below) * pixel, words, size, ha="left", **style)
