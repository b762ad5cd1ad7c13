"""A representation space as one figure: its plane, regions of it, patches picked there, their filters (Fig. 3).

A place on the plane is (x, y) in cells, x to the right and y down; lengths on the page are in pixels. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.patches import Rectangle
from PIL import Image

from layerscope.drawing.canvas import FAINT, INK, Canvas, Heading, Page, fitted, text_width
from layerscope.drawing.panels import ZEROS, Outside, fitted_panel
from layerscope.drawing.render import Pixels, show_signal
from layerscope.errors import DisplayError
from layerscope.plane.grid import Plane
from layerscope.space.pictures import PlaneDrawn
from layerscope.space.tiles import BLANK, check_plane, plane_pixels
from layerscope.space.zooms import CellBox, cell_of

_DPI = 300
# Pixels:
_MARGIN, _GAP, _BETWEEN = 48, 4, 40  # border, between panels, between columns and between zooms
_PLANE, _LEAST = 2700, 1000  # the plane's width at most, and at least if the zooms are lower
_ZOOM = (600, 880)  # the side of a zoom, at least and at most
_PICK, _ABOUT = 190, 240  # the side of a picked patch, the width of all about it
_PANEL, _ENLARGED = 96, 128  # the side of a panel that is reduced, and at most of one enlarged
_NARROW, _WIDE = 300, 2120  # the width of a filter at least, of the panels of all filters of a patch at most
_LABEL, _NAME, _HEAD = 42, 26, 54  # heights: words above a filter, a line below a patch, a zoom's words
_ROWS, _FILTERS = 16, 30  # between the patches of a zoom, between filters
_LARGE, _LETTERS, _SMALL, _TINY = 14.0, 8.0, 7.0, 6.0  # points
_FEW, _MANY = 2, 6  # panels of a filter
_MOST = (12, 6, 8)  # zooms, patches of one, filters of one
_HEADING = Heading(_MARGIN, 40, 48, 40, 40, _LARGE, _SMALL, lines=8, room=0.97)
_TOGETHER = 512  # cells resized at a time
_CONTRAST = "; then its contrast: how often, of a patch of the region and another, the former excites it more"
_DRAWN = "A filter is its patches, the strongest first, and beneath them what it keeps of them"
_BARE = "No filter here has a portrait: `layerscope filters` draws them, by `--rule gradient` of any layer"

Shape = tuple[int, int]  # height and width
Bounds = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True, eq=False)
class Answer:
    """What a filter answers to a patch: its activation there, its contrast in the region, and its portrait.

    ``sprite``: patches above, reconstructions below, as `draw_sprite` makes them; None: the filter has no portrait.
    ``outside``: for each panel of a row, rows and columns that are not seen at the top, left, bottom and right.
    """

    channel: int
    activation: float
    contrast: float | None = None
    sprite: Pixels | None = None
    outside: tuple[Outside, ...] = ()


@dataclass(frozen=True, eq=False)
class Pick:
    """A patch of a zoom, by number: what it sees, as large as there is, its picture and position, and its filters."""

    patch: int
    pixels: Pixels
    picture: str
    row: int
    column: int
    filters: tuple[Answer, ...]


@dataclass(frozen=True, eq=False)
class Zoom:
    """A part of the plane shown larger: its number there, its box, what it is in words, patches picked from it."""

    number: int
    box: CellBox
    words: str
    picks: tuple[Pick, ...]


# ------------------------------------------------------------------ the page


@dataclass(frozen=True)
class _Arrangement:
    """Where things are on the page, in pixels. ``cell``: of the plane; ``zoom``: most of its sides.

    ``panel``: height and width of one; ``panels`` and ``filters``: most in a row.
    """

    cell: int
    plane: Shape
    zoom: int
    panel: Shape
    panels: int
    filters: int
    zero: float | None

    @property
    def block(self) -> int:
        """Width of a filter."""
        return max(self.panels * (self.panel[1] + _GAP) - _GAP, _NARROW)

    @property
    def row(self) -> int:
        """Height of a picked patch with its filters."""
        return max(_LABEL + 2 * self.panel[0] + _GAP, _LABEL + _PICK + 2 * _NAME)

    @property
    def columns(self) -> tuple[int, int, int, int]:
        """Where plane, zooms, patches and filters begin."""
        zooms = _MARGIN + self.plane[1] + _BETWEEN
        patches = zooms + self.zoom + _BETWEEN
        return _MARGIN, zooms, patches, patches + _ABOUT + _FILTERS

    @property
    def right(self) -> int:
        """Where the filters end."""
        return self.columns[3] + self.filters * (self.block + _FILTERS) - _FILTERS

    def rows(self, count: int) -> int:
        """Height of so many picked patches."""
        return count * (self.row + _ROWS) - _ROWS

    def cell_in(self, zoom: Zoom) -> int:
        """Side of a cell of a zoom."""
        left, top, right, bottom = zoom.box
        return max(1, self.zoom // max(right - left, bottom - top))

    def height(self, zoom: Zoom) -> int:
        """Of a zoom with all beside it, its words left out."""
        return max(self.rows(len(zoom.picks)), self.cell_in(zoom) * (zoom.box[3] - zoom.box[1]))


def space_page(
    plane: Plane,
    cells: Pixels,
    about: PlaneDrawn,
    zooms: Sequence[Zoom],
    *,
    rule: str = "deconvnet",
    display: str = "signed",
) -> Page:
    """The plane with numbered outlines; beside it each zoom, its patches, and the filters that answer most to each.

    ``cells``: a picture of each patch, (N, side, side, 3); ``rule`` and ``display``: how portraits were made. Of a
    portrait the first 2 to 6 panels are shown: the more filters, the fewer. Raises DisplayError for no
    zoom, too many of anything, a box outside the plane, or a picked patch that its zoom does not show.
    """
    check_plane(plane, cells)
    _check(plane, zooms)
    layout = _lay_out(plane, zooms, display)
    pen = _Pen(Canvas.blank(_DPI))
    words = _caption(about, zooms, layout, (rule, show_signal(np.zeros((1, 1, 3)), display).rule))
    top = y = _HEADING.draw(pen.canvas, about.title, words, layout.right - _MARGIN)
    for zoom in zooms:
        _draw_zoom(pen, layout, zoom, plane, cells, y)
        y += _HEAD + layout.height(zoom) + _BETWEEN
    place = (layout.columns[0], top + _HEAD)
    pen.image(_scaled(plane, cells, layout.cell), *place)
    numbers = [str(zoom.number) for zoom in zooms]
    pen.mark(numbers, [zoom.box for zoom in zooms], layout.cell, place, layout.plane)
    bottom = max(y - _BETWEEN, top + _HEAD + layout.plane[0])
    return pen.canvas.cut((layout.right + _MARGIN) * pen.canvas.pixel, (bottom + _MARGIN) * pen.canvas.pixel)


def _check(plane: Plane, zooms: Sequence[Zoom]) -> None:
    if not 1 <= len(zooms) <= _MOST[0]:
        raise DisplayError(f"{len(zooms)} zooms: give 1 to {_MOST[0]}")
    for zoom in zooms:
        left, top, right, bottom = zoom.box
        if not (0 <= left < right <= plane.shape[1] and 0 <= top < bottom <= plane.shape[0]):
            size = f"{plane.shape[1]} columns and {plane.shape[0]} rows"
            raise DisplayError(f"the box {zoom.box} of zoom {zoom.number} is not in the plane of {size}")
        if not 1 <= len(zoom.picks) <= _MOST[1]:
            raise DisplayError(f"zoom {zoom.number} has {len(zoom.picks)} patches: pick 1 to {_MOST[1]}")
        for pick in zoom.picks:
            _check_pick(plane, zoom, pick)


def _check_pick(plane: Plane, zoom: Zoom, pick: Pick) -> None:
    left, top, right, bottom = zoom.box
    which = f"patch {pick.patch} of zoom {zoom.number}"
    if pick.patch < 0 or not (plane[top:bottom, left:right] == pick.patch).any():
        raise DisplayError(f"{which} does not appear in it; pick those that it shows, as pick_patches does")
    if len(pick.filters) > _MOST[2]:
        raise DisplayError(f"{which} has {len(pick.filters)} filters: show at most {_MOST[2]}")
    for one in pick.filters:
        shape, panels = (0, 0) if one.sprite is None else one.sprite.shape, len(one.outside)
        if one.sprite is not None and (not panels or shape[0] % 2 or shape[1] % panels):
            what = f"the portrait of filter {one.channel}, {shape},"
            raise DisplayError(f"{what} is not 2 rows of {panels} panels; say what of each is not seen")


def _lay_out(plane: Plane, zooms: Sequence[Zoom], display: str) -> _Arrangement:
    rows = [pick.filters for zoom in zooms for pick in zoom.picks]
    filters = max(1, *map(len, rows))
    sprites = [one for row in rows for one in row if one.sprite is not None]
    sizes = {_panel_size(one) for one in sprites} or {(_PANEL, _PANEL)}
    if len(sizes) > 1:
        raise DisplayError(f"portraits have panels of {sizes}; show filters of one layer")
    panel = _on_page(sizes.pop())
    panels = min(max(_FEW, _WIDE // filters // (panel[1] + _GAP)), _MANY)
    panels = min(panels, max((len(one.outside) for one in sprites), default=panels))
    empty = _Arrangement(1, (0, 0), 0, panel, panels, filters, ZEROS.get(display))
    tallest = empty.rows(max(len(zoom.picks) for zoom in zooms))
    layout = replace(empty, zoom=min(max(tallest, _ZOOM[0]), _ZOOM[1]))
    high = max(_LEAST, sum(_HEAD + layout.height(zoom) + _BETWEEN for zoom in zooms) - _BETWEEN - _HEAD)
    cell = max(1, min(min(high, _PLANE) // plane.shape[1], high // plane.shape[0]))
    return replace(layout, cell=cell, plane=(plane.shape[0] * cell, plane.shape[1] * cell))


def _panel_size(one: Answer) -> Shape:
    assert one.sprite is not None
    return one.sprite.shape[0] // 2, one.sprite.shape[1] // len(one.outside)


def _on_page(size: Shape, enlarged: int = _ENLARGED, reduced: int = _PANEL) -> Shape:
    """The largest whole multiple of a size that fits a square, or it reduced to another square."""
    scale = reduced / max(size) if max(size) > reduced else enlarged // max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _scaled(plane: Plane, cells: Pixels, side: int) -> Pixels:
    """The plane with cells of another size; each is resized by itself, so that none mixes with those beside it."""
    shown = np.unique(plane[plane >= 0])
    small = np.full((max(1, len(shown)), side, side, 3), BLANK, np.uint8)
    for start in range(0, len(shown), _TOGETHER):
        small[start : start + _TOGETHER] = _all_resized(cells[shown[start : start + _TOGETHER]], side)
    return plane_pixels(np.where(plane >= 0, np.searchsorted(shown, plane), -1), small)


def _all_resized(cells: Pixels, side: int) -> Pixels:
    """Squares (N, own, own, 3) at another size, each as `_resized` does it, by matrices."""
    count, own = cells.shape[:2]
    shares = Image.fromarray(np.eye(own, dtype=np.float32)).resize((side, own), _way(own, side))
    weights = np.asarray(shares)  # (own, side)
    columns = np.ascontiguousarray(cells.swapaxes(2, 3), np.float32).reshape(-1, own) @ weights
    # As Pillow does: across, whole levels, down.
    across = np.rint(columns.clip(0, 255)).reshape(count, own, 3 * side)
    both = np.rint((weights.T @ across).clip(0, 255)).reshape(count, side, 3, side)
    resized: Pixels = both.swapaxes(2, 3).astype(np.uint8)
    return resized


def _resized(pixels: Pixels, size: Shape) -> Pixels:
    """Pixels at a size (height, width): squares if enlarged threefold or more, else smooth."""
    how = _way(pixels.shape[0], size[0])
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size[::-1], how))


def _way(own: int, side: int) -> Image.Resampling:
    return Image.Resampling.NEAREST if side >= 3 * own else Image.Resampling.LANCZOS


def _caption(about: PlaneDrawn, zooms: Sequence[Zoom], layout: _Arrangement, drawing: tuple[str, str]) -> str:
    every = [one for zoom in zooms for pick in zoom.picks for one in pick.filters]
    reduced = any(one.sprite is not None and _panel_size(one) > layout.panel for one in every)
    spread = ", spread out again where reduced" if reduced and layout.zero is not None else ""
    contrast = _CONTRAST if any(one.contrast is not None for one in every) else ""
    drawn = any(one.sprite is not None for one in every)
    return (
        f"{about.caption} Left: the plane. Beside it numbered parts of it; patches picked from them, each with its row "
        "and column in the layer and its picture; and the filters with the highest activations there. Above a filter: "
        f"its channel and its activation at the patch{contrast}. {_DRAWN if drawn else _BARE}"
        f"{f' ({drawing[0]}; {drawing[1]}{spread})' if drawn else ''}. Striped: not seen, outside the picture."
    )


# ------------------------------------------------------------------ drawing


@dataclass(frozen=True)
class _Pen:
    """A canvas, in pixels."""

    canvas: Canvas

    def image(self, pixels: Pixels, x: int, y: int) -> None:
        """Each pixel as one of the page's."""
        (high, wide), pixel = pixels.shape[:2], self.canvas.pixel
        self.canvas.image(pixels, x * pixel, y * pixel, wide * pixel, high * pixel)

    def write(self, x: float, y: float, words: str, size: float, **style: str) -> None:
        """One line that begins at x, on the base y, unless the style says otherwise."""
        pixel = self.canvas.pixel
        self.canvas.text(x * pixel, y * pixel, words, size, **({"ha": "left"} | style))

    def width(self, words: str, size: float, weight: str = "normal") -> int:
        """Of a line."""
        return math.ceil(text_width(words, size, weight) / self.canvas.pixel)

    def fit(self, x: float, y: float, words: str, size: float, width: float, **style: str) -> None:
        """One line no wider than a width: smaller, then shortened."""
        room = 0.97 * width * self.canvas.pixel  # drawn, letters are a little wider
        words, size = fitted(words, room, size, style.get("weight", "normal"))
        self.write(x, y, words, size, **style)

    def mark(
        self, names: Sequence[str], boxes: Sequence[Bounds], cell: int, place: tuple[int, int], size: Shape
    ) -> None:
        """Outline boxes, in cells, of a picture at a place (x, y), of a size (height, width); label them.

        Outlines are white between dark, so that they show on anything. No label is on another.
        """
        (x, y), pixel, taken = place, self.canvas.pixel, list[Bounds]()
        frame = (x, y, x + size[1], y + size[0])
        outlines = [
            (x + left * cell, y + top * cell, x + right * cell, y + bottom * cell)
            for left, top, right, bottom in boxes
        ]
        for left, top, right, bottom in outlines:
            sides = ((left * pixel, top * pixel), (right - left) * pixel, (bottom - top) * pixel)
            for width, colour in ((2.4, INK), (1.1, "white")):
                self.canvas.patch(Rectangle(*sides, fill=False, edgecolor=colour, linewidth=width))
        for name, box in zip(names, outlines, strict=True):
            wide, high = self.width(name, _LETTERS, "bold") + 16, 38
            x, y = _free_place(box, (high, wide), frame, taken)
            taken.append((x, y, x + wide, y + high))
            self.canvas.box(x * pixel, y * pixel, wide * pixel, high * pixel, INK)
            self.write(x + 8, y + high - 8, name, _LETTERS, color="white", weight="bold")


def _free_place(box: Bounds, size: Shape, frame: Bounds, taken: Sequence[Bounds]) -> tuple[int, int]:
    """Where a label goes: about a corner of its box, else the nearest free place in the frame."""
    (left, top, right, bottom), (high, wide) = box, size
    corners = [(x - wide // 2, y - high // 2) for y in (top, bottom) for x in (left, right)]
    grid = [(x, y) for y in range(frame[1], frame[3], high) for x in range(frame[0], frame[2], wide)]
    places = [
        (max(frame[0], min(x, frame[2] - wide)), max(frame[1], min(y, frame[3] - high)))
        for x, y in [*corners, *sorted(grid, key=lambda at: math.hypot(at[0] - left, at[1] - top))]
    ]
    free = (at for at in places if not any(_meet((*at, at[0] + wide, at[1] + high), one) for one in taken))
    return next(free, places[0])


def _meet(one: Bounds, other: Bounds) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _draw_zoom(pen: _Pen, layout: _Arrangement, zoom: Zoom, plane: Plane, cells: Pixels, y: int) -> None:
    """A zoom below its words, the picked patches marked, each of them and its filters in a row beside it."""
    (x, top), cell = (layout.columns[1], y + _HEAD), layout.cell_in(zoom)
    pen.fit(x, y + 34, f"{zoom.number}   {zoom.words}", _LETTERS, layout.right - x, weight="bold")
    left, up, right, down = zoom.box
    pixels = _scaled(plane[up:down, left:right], cells, cell)
    pen.image(pixels, x, top)
    names, places = "abcdef"[: len(zoom.picks)], [cell_of(plane, zoom.box, one.patch) for one in zoom.picks]
    boxes = [(column, row, column + 1, row + 1) for row, column in places]
    pen.mark(names, boxes, cell, (x, top), pixels.shape[:2])
    for place, (name, pick) in enumerate(zip(names, zoom.picks, strict=True)):
        _draw_pick(pen, layout, f"{zoom.number}{name}", pick, top + place * (layout.row + _ROWS))


def _draw_pick(pen: _Pen, layout: _Arrangement, name: str, pick: Pick, y: int) -> None:
    """A patch between its name and its picture's, and its filters beside it."""
    x, base = layout.columns[2], y + _LABEL - 11
    pen.write(x, base, name, _LETTERS, weight="bold")
    used = pen.width(name, _LETTERS, "bold") + 16
    pen.fit(x + used, base, f"({pick.row}, {pick.column})", _SMALL, _ABOUT - used, color=FAINT)
    size = _on_page(pick.pixels.shape[:2], _PICK, _PICK)
    pen.image(_resized(pick.pixels, size), x, y + _LABEL)
    for place, line in enumerate(pick.picture.rsplit("/", 1), 1):
        pen.fit(x, y + _LABEL + size[0] + place * _NAME, line, _TINY, _ABOUT, color=FAINT)
    for place, one in enumerate(pick.filters):
        _draw_answer(pen, layout, one, layout.columns[3] + place * (layout.block + _FILTERS), y)
    if not pick.filters:
        pen.write(layout.columns[3], y + _LABEL + _PANEL, "no filter is active here", _SMALL, color=FAINT)


def _draw_answer(pen: _Pen, layout: _Arrangement, one: Answer, x: int, y: int) -> None:
    """A filter's channel and what it answers, above its panels."""
    base, contrast = y + _LABEL - 11, "" if one.contrast is None else f"  {one.contrast:.2f}"
    pen.write(x, base, str(one.channel), _LETTERS, weight="bold")
    used = pen.width(str(one.channel), _LETTERS, "bold") + 16
    words = f"{one.activation:.3g}{contrast}"
    pen.fit(x + layout.block, base, words, _SMALL, layout.block - used, color=FAINT, ha="right")
    pen.image(_panels(layout, one), x, y + _LABEL)
    if one.sprite is None:
        middle = (x + layout.block / 2, y + _LABEL + layout.panel[0])
        pen.write(*middle, "no portrait", _SMALL, ha="center", va="center", color=FAINT)


def _panels(layout: _Arrangement, one: Answer) -> Pixels:
    """Patches above, reconstructions below, as they are on the page; a pale field without a portrait."""
    (high, wide), count = layout.panel, min(layout.panels, len(one.outside))
    if one.sprite is None:
        return np.full((2 * high + _GAP, layout.block, 3), BLANK, np.uint8)
    rows, columns = _panel_size(one)
    pixels = np.full((2 * high + _GAP, count * (wide + _GAP) - _GAP, 3), 255, np.uint8)
    for place, outside in enumerate(one.outside[:count]):
        for half, zero in enumerate((None, layout.zero)):
            panel = one.sprite[half * rows : (half + 1) * rows, place * columns : (place + 1) * columns]
            y, x = half * (high + _GAP), place * (wide + _GAP)
            pixels[y : y + high, x : x + wide] = fitted_panel(panel, outside, layout.panel, zero)
    return pixels
