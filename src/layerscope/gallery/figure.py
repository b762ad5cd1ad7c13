"""Panels to figures: what each layer keeps of a picture. The other figures are named here too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from layerscope.drawing.canvas import (
    FAINT,
    INK,
    LEADING,
    NAME_BREAKS,
    Canvas,
    Page,
    broken,
    fitted,
    save_figure,
    shortened,
    size_for_names,
    text_width,
)
from layerscope.drawing.render import Panel, Pixels
from layerscope.errors import DisplayError
from layerscope.gallery.architecture import ArchitectureLayer, architecture_figure

__all__ = [
    "ArchitectureLayer",
    "Head",
    "PictureRows",
    "Row",
    "Truth",
    "architecture_figure",
    "reconstruction_figure",
    "save_figure",
]

_MARGIN, _GAP, _BETWEEN = 8.0, 3.0, 9.0  # points: page border, between panels, between pictures
_LABEL = 12.0  # width of an upright label
_FORECAST = 132.0  # width of the predictions
_TALLEST_BAR = 17.0
_LINE = 7.0  # height of a legible prediction
_MOST_DOTS = 512  # a wider picture is drawn smaller
_BAR, _RIGHT, _WRONG, _GROUND = "#c3d8ee", "#bfe2bd", "#f3c8bc", "#dcdcdc"
_WORDS, _REACH = 5.5, 1.4  # points: letters under a layer's name, thickness of the bar under them
_MORE = _WORDS * LEADING + _REACH + 1


@dataclass(frozen=True)
class Head:
    """What stands above a panel, under its layer's name: a few words, and a bar across the share ``reach`` of the
    panel's width, in [0, 1]; None: no bar."""

    words: str
    reach: float | None = None


@dataclass(frozen=True)
class Truth:
    """The right class of a picture, and its place among all that the network ranks, from 0; None: it has no such."""

    name: str
    place: int | None

    @property
    def words(self) -> str:
        """For where it is not among the predictions shown."""
        place = "none of its classes" if self.place is None else f"no. {self.place + 1:,}"
        return f"✓ {place}: {self.name}"


@dataclass(frozen=True)
class Row:
    """What one network makes of one picture.

    input: (height, width, 3) uint8, as the network saw it. panels: (layer, panel) from low to high.
    predictions: (class name, probability), best first; None where there are none, and note says why.
    heads: of each panel, or none. truth: the right class, where it is known.
    """

    title: str
    input: Pixels
    panels: tuple[tuple[str, Panel], ...]
    predictions: tuple[tuple[str, float], ...] | None = None
    note: str = ""
    heads: tuple[Head, ...] = ()
    truth: Truth | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the panels' layers."""
        return tuple(name for name, _ in self.panels)

    @property
    def missed(self) -> bool:
        """Whether the right class is known and not among the predictions."""
        shown = len(self.predictions or ())
        return self.truth is not None and (self.truth.place is None or self.truth.place >= shown)


class PictureRows(NamedTuple):
    """One picture: its name and a row for each network."""

    name: str
    rows: tuple[Row, ...]


class _Cell(NamedTuple):
    """One place of a row: what is drawn, and what stands above it."""

    name: str
    pixels: Pixels
    head: Head | None = None


@dataclass(frozen=True)
class _Drawing:
    """A reconstruction figure under way; lengths in points, the sides of a panel in whole pixels.

    panel: its width and height. per_line: panels in a line; longer rows go on below. left: the input's left
    edge. forecast: the predictions' left edge, None when no row has any. titled: rows carry their title.
    """

    canvas: Canvas
    panel: tuple[float, float]
    per_line: int
    left: float
    forecast: float | None
    width: float
    letters: float
    titled: bool

    def column(self, number: int) -> float:
        """Left edge of a panel; the input is number 0."""
        return self.canvas.snap(self.left) + number * self.canvas.snap(self.panel[0] + _GAP)

    def head(self, name: str) -> list[str]:
        """The lines of a layer's name above its panel."""
        return broken(name, self.panel[0], self.letters, 4, NAME_BREAKS)

    def under_heads(self, y: float, cells: Sequence[_Cell]) -> float:
        """Where panels begin if their names, and what stands under those, are below y."""
        lines = max(len(self.head(cell.name)) for cell in cells)
        more = _MORE if any(cell.head for cell in cells) else 0.0
        return self.canvas.snap(y + lines * self.letters * LEADING + 3 + more)

    def lines(self, row: Row) -> list[list[_Cell]]:
        """The panels of a row, cut into lines of nearly equal length; the input at the beginning."""
        each = _line_length(row, self.per_line)
        heads = row.heads or (None,) * len(row.panels)
        cells = [
            _Cell(name, panel.pixels, head) for (name, panel), head in zip(row.panels, heads, strict=True)
        ]
        lines = [cells[start : start + each] for start in range(0, max(1, len(cells)), each)]
        return [[_Cell("input", row.input), *lines[0]], *lines[1:]]


def reconstruction_figure(
    pictures: Sequence[PictureRows], *, caption: str | None = None, per_line: int = 20
) -> Page:
    """One block for each picture, in it a row for each network: input, panels from low to high, predictions.

    All panels have one size; where sizes allow, a pixel of theirs is a whole number of the PNG's pixels.
    Layer names stand on top if all rows share them, else above each network's first row, and above every line
    of a row that has more than per_line panels and goes on below. The caption states what a pixel means, as
    the panels say themselves unless it is given.
    Raises DisplayError if there is nothing to draw or a row cannot be drawn.
    """
    rows = [row for picture in pictures for row in picture.rows]
    _check_rows(rows, per_line)
    drawing = _begin(rows, per_line)
    y = drawing.canvas.snap(_MARGIN)
    if not drawing.titled:
        y = _draw_title(drawing, rows[0].title, y)
    headed = iter(_heads_wanted(rows, drawing))
    for name, own in pictures:
        y = _draw_picture(drawing, name, [(row, next(headed)) for row in own], y)
    y = _draw_caption(drawing, _caption_lines(rows, drawing, caption), y)
    return drawing.canvas.cut(drawing.width, y + _MARGIN)


def _check_rows(rows: Sequence[Row], per_line: int) -> None:
    if per_line < 1:
        raise DisplayError(f"per_line is {per_line}; a line holds at least 1 panel")
    if not rows:
        raise DisplayError("there is no row to draw; give at least one picture with one row")
    for row in rows:
        for name, pixels in (("input", row.input), *((name, panel.pixels) for name, panel in row.panels)):
            if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
                wanted, got = "a uint8 array (height, width, 3)", f"{pixels.dtype} {pixels.shape}"
                raise DisplayError(f"{row.title}, {name}: pixels must be {wanted}; got {got}")
        for name, share in row.predictions or ():
            if not 0 <= share <= 1:
                raise DisplayError(
                    f"{row.title}: the probability of {name} is {share}; it must be from 0 to 1"
                )


def _line_length(row: Row, per_line: int) -> int:
    count = max(1, len(row.panels))
    return math.ceil(count / math.ceil(count / per_line))


def _begin(rows: Sequence[Row], per_line: int) -> _Drawing:
    longest = max(min(len(row.panels), _line_length(row, per_line)) for row in rows)
    shapes = [
        pixels.shape for row in rows for pixels in (row.input, *(panel.pixels for _, panel in row.panels))
    ]
    predicted = any(row.predictions is not None for row in rows)
    shown = max(_lines_of(row) for row in rows)
    dpi, panel = _panel_size(shapes, longest + 1, shown * _LINE if predicted else 0.0)
    letters = size_for_names([name for row in rows for name in row.layers], panel[0], 7.0)
    titled = len({row.title for row in rows}) > 1
    left = _MARGIN + _LABEL * (2 if titled else 1) + 2
    right = left + (longest + 1) * (panel[0] + _GAP)
    forecast = right + _GAP if predicted else None
    width = (right - _GAP if forecast is None else forecast + _FORECAST) + _MARGIN
    return _Drawing(Canvas.blank(dpi), panel, per_line, left, forecast, width, letters, titled)


def _lines_of(row: Row) -> int:
    """How many lines the predictions have room for."""
    return max(5, len(row.predictions or ()) + row.missed)


def _panel_size(
    shapes: Sequence[tuple[int, ...]], columns: int, lowest: float
) -> tuple[float, tuple[float, float]]:
    """Dots per inch and a panel's sides in points: the more columns, the narrower; whole dots each way."""
    across = 72 * min(1.12, max(0.6, 11 / columns))
    native = max(shape[1] for shape in shapes)
    dots = min(native * math.ceil(150 * across / 72 / native), _MOST_DOTS)
    aspect = max(shape[0] / shape[1] for shape in shapes)
    dpi = 72 * dots / across
    return dpi, (across, max(math.ceil(lowest * dpi / 72), round(dots * aspect), 1) * 72 / dpi)


def _heads_wanted(rows: Sequence[Row], drawing: _Drawing) -> list[bool]:
    """For each row, whether layer names stand above it: always if more is said of its panels than their names."""
    shared = len({row.layers for row in rows}) == 1
    kinds = [("" if shared else row.title, row.layers) for row in rows]
    return [
        bool(row.heads) or len(drawing.lines(row)) > 1 or kinds[n] not in kinds[:n]
        for n, row in enumerate(rows)
    ]


def _draw_title(drawing: _Drawing, title: str, y: float) -> float:
    drawing.canvas.title(drawing.left, y + 8, title, 9, drawing.width - drawing.left - _MARGIN)
    return drawing.canvas.snap(y + 12)


def _draw_picture(drawing: _Drawing, name: str, rows: Sequence[tuple[Row, bool]], y: float) -> float:
    if not rows:
        return y
    tops = []
    for row, headed in rows:
        top, y = _draw_row(drawing, row, headed, y)
        tops.append(top)
    _draw_upright(drawing, (_MARGIN, tops[0], y - _GAP), name, color=FAINT)
    return y - _GAP + _BETWEEN


def _draw_upright(drawing: _Drawing, place: tuple[float, float, float], words: str, **style: str) -> None:
    """Write upwards in the middle of a label; place is its left edge, top and bottom."""
    left, top, bottom = place
    words, size = fitted(words, bottom - top, 8, style.get("weight", "normal"))
    drawing.canvas.text(left + _LABEL / 2, (top + bottom) / 2, words, size, rotation=90, va="center", **style)


def _draw_row(drawing: _Drawing, row: Row, headed: bool, y: float) -> tuple[float, float]:
    """Draw a row below y; return where its panels begin and where the next row does."""
    tops = []
    for number, cells in enumerate(drawing.lines(row)):
        tops.append(drawing.under_heads(y, cells) if headed else y)
        for column, cell in enumerate(cells, start=min(number, 1)):
            drawing.canvas.image(cell.pixels, drawing.column(column), tops[-1], *drawing.panel)
            if headed:
                _draw_head(drawing, column, cell, tops[-1])
        y = drawing.canvas.snap(tops[-1] + drawing.panel[1] + _GAP)
    if drawing.titled:
        _draw_upright(drawing, (drawing.left - 2 - _LABEL, tops[0], y - _GAP), row.title, weight="bold")
    if drawing.forecast is not None:
        _draw_forecast(drawing, drawing.forecast, row, tops[0])
    return tops[0], y


def _draw_head(drawing: _Drawing, column: int, cell: _Cell, y: float) -> None:
    middle = drawing.column(column) + drawing.panel[0] / 2
    base = y - 2.5
    if cell.head is not None:
        _draw_reach(drawing, middle, cell, y)
        base -= _MORE
        words, size = fitted(cell.head.words, drawing.panel[0], _WORDS)
        drawing.canvas.text(middle, base + _WORDS * LEADING, words, size, color=FAINT)
    lines = drawing.head(cell.name)
    for n, line in enumerate(lines, start=1 - len(lines)):
        drawing.canvas.text(middle, base + n * drawing.letters * LEADING, line, drawing.letters)


def _draw_reach(drawing: _Drawing, middle: float, cell: _Cell, y: float) -> None:
    """A bar as wide as the head says, of the width that the panel's pixels have."""
    if cell.head is None or cell.head.reach is None:
        return
    rows, columns = cell.pixels.shape[:2]
    width = columns * min(drawing.panel[0] / columns, drawing.panel[1] / rows)
    for share, colour in ((1.0, _GROUND), (cell.head.reach, INK)):
        wide = max(0.5, share * width)
        drawing.canvas.box(middle - wide / 2, y - _REACH - 1, wide, _REACH, colour)


def _draw_forecast(drawing: _Drawing, x: float, row: Row, y: float) -> None:
    """The predictions as bars under their words, or the note that says why there are none."""
    if row.predictions is None:
        for n, line in enumerate(broken(row.note, _FORECAST, 6, max(1, int(drawing.panel[1] / 7.2)))):
            drawing.canvas.text(x, y + 6 + n * 7.2, line, 6, ha="left", color=FAINT, style="italic")
        return
    step = min(_TALLEST_BAR, drawing.panel[1] / _lines_of(row))
    size = min(7.5, 0.72 * step)
    room = _FORECAST - text_width("100.0%", size) - 6
    for n, (name, share) in enumerate(row.predictions):
        mark, colour = _judged(row, n)
        drawing.canvas.box(x, y + (n + 0.06) * step, max(share * _FORECAST, 0.5), 0.88 * step, colour)
        base = y + (n + 0.5) * step + 0.36 * size
        drawing.canvas.text(x + 2, base, shortened(mark + name, room, size), size, ha="left")
        drawing.canvas.text(x + _FORECAST - 1, base, _percent(share), size, ha="right")
    if row.truth is not None and row.missed:
        base = y + (len(row.predictions) + 0.5) * step + 0.36 * size
        words = shortened(row.truth.words, _FORECAST - 2, size)
        drawing.canvas.text(x + 2, base, words, size, ha="left", color=FAINT)


def _judged(row: Row, number: int) -> tuple[str, str]:
    """The mark and the colour of a prediction: the right class, a wrong one in its stead, or neither."""
    if row.truth is None:
        return "", _BAR
    if number == row.truth.place:
        return "✓ ", _RIGHT
    return ("✗ ", _WRONG) if number == 0 else ("", _BAR)


def _percent(share: float) -> str:
    return "<0.1%" if 0 < share < 0.0005 else f"{100 * share:.1f}%"


def _caption_lines(rows: Sequence[Row], drawing: _Drawing, caption: str | None) -> list[str]:
    rules = dict.fromkeys(panel.rule for row in rows for _, panel in row.panels if panel.rule)
    beside = drawing.forecast is not None  # where a row says why there are no predictions
    notes = dict.fromkeys(
        f"{row.title}: {row.note}" for row in rows if row.note and not (beside and row.predictions is None)
    )
    words = ["; ".join(rules) if caption is None else caption, *notes]
    width = drawing.width - drawing.left - _MARGIN
    return [line for part in words if part for line in broken(part, width, 6.5, 6)]


def _draw_caption(drawing: _Drawing, lines: Sequence[str], y: float) -> float:
    for n, line in enumerate(lines):
        drawing.canvas.text(drawing.left, y + n * 6.5 * LEADING + 1.5, line, 6.5, ha="left", color=FAINT)
    return y + max(0, len(lines) - 1) * 6.5 * LEADING
