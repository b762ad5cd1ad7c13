"""A map of one value for every layer of one network with every layer of another, and the ridge of best matches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np
import numpy.typing as npt
from matplotlib.patches import Circle, Rectangle

from layerscope.drawing.canvas import FAINT, INK, Canvas, Heading, Page, drawable, text_width
from layerscope.errors import DisplayError

Values = npt.NDArray[np.float64]
Colour = tuple[float, float, float]

_DPI = 200
_WIDE, _HIGH = 430.0, 620.0  # points that all cells take at most
_CELL, _LEAST = 34.0, 2.0  # points of a cell's side at most, and at least
_NUMBERS = 18.0  # points of a cell's side from which its value stands in it
_NAME, _NUMBER, _SMALL = 7.0, 6.5, 6.5  # letters
_MOST_NAME = 110.0  # points of a layer's name; of longer ones the end is shown
_GAP, _BAR, _STEPS = 6.0, 11.0, 96  # points: names from cells, the scale's width; its steps
_HEADING = Heading(border=32, base=24, first=26, last=40)
_STOPS: tuple[Colour, ...] = (
    (1, 1, 1),
    (0.74, 0.84, 0.92),
    (0.36, 0.63, 0.80),
    (0.04, 0.35, 0.60),
    (0.02, 0.16, 0.33),
)
_BELOW: tuple[Colour, ...] = ((1, 1, 1), (0.98, 0.78, 0.60), (0.76, 0.34, 0.10))  # of values below 0


@dataclass(frozen=True, eq=False)
class HeatMap:
    """Values (rows, columns) of layers, NaN where there is none; ``most``: the value of the darkest colour.

    ``levels``: values that the scale marks, by what they are. ``ridge``: whether to mark where each row, and each
    column, has its greatest value; without it, zeros stay blank, too.
    """

    title: str
    caption: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    networks: tuple[str, str]
    values: Values
    most: float = 1.0
    levels: Sequence[tuple[str, float]] = field(default=())
    ridge: bool = True

    def __post_init__(self) -> None:
        """Refuse what has no layer, or another shape than its names."""
        if self.values.shape != (len(self.rows), len(self.columns)) or not self.values.size:
            raise DisplayError(
                f"values of {self.values.shape} for {len(self.rows)} by {len(self.columns)} layers: give one for each"
            )

    @property
    def least(self) -> float:
        """The lowest value below 0, or 0."""
        known = self.values[~np.isnan(self.values)]
        return float(min(0.0, known.min(initial=0.0)))


def heat_page(heat: HeatMap) -> Page:
    """The map on a page: the first layers are at the lower left, so that a ridge of like depths rises to the right.

    Where there are many layers, cells are small and names are left out, as many as would meet. Circles: a row's
    greatest value; squares: a column's. Striped: no value. A scale stands to the right.
    """
    canvas = Canvas.blank(_DPI)
    down, across = heat.values.shape
    side = canvas.snap(max(_LEAST, min(_CELL, _WIDE / across, _HIGH / down)))
    names = [_fitted(name) for name in heat.rows], [_fitted(name) for name in heat.columns]
    left = _HEADING.border * canvas.pixel + _NAME * 2 + _widest(names[0]) + _GAP
    right = left + across * side
    width = max(right + 3 * _GAP + _BAR + 70, 330.0)
    border = _HEADING.border * canvas.pixel
    top = _HEADING.draw(canvas, heat.title, heat.caption, int((width - border) / canvas.pixel)) * canvas.pixel
    left, top = canvas.snap(left), canvas.snap(top)
    _draw_cells(canvas, heat, (left, top), side)
    bottom = top + down * side
    _name_rows(canvas, names[0], left - _GAP, bottom, side)
    _name_columns(canvas, names[1], left, bottom + _GAP, side)
    below = bottom + _GAP + _widest(names[1]) + _NAME * 1.6
    canvas.text(left + across * side / 2, below, heat.networks[1], _NAME + 1, weight="bold")
    middle = (top + bottom) / 2
    canvas.text(border + _NAME, middle, heat.networks[0], _NAME + 1, weight="bold", rotation=90, va="center")
    ends = _draw_scale(canvas, heat, right + 3 * _GAP, top, max(bottom - top, 120.0))
    return canvas.cut(width, max(below, ends) + border)


# ------------------------------------------------------------------ cells


def _draw_cells(canvas: Canvas, heat: HeatMap, corner: tuple[float, float], side: float) -> None:
    (left, top), (down, _) = corner, heat.values.shape
    best = best_of(heat.values), best_of(heat.values.T)
    for i, j in np.ndindex(heat.values.shape):
        x, y, value = left + j * side, top + (down - 1 - i) * side, float(heat.values[i, j])
        if np.isnan(value):
            _draw_missing(canvas, x, y, side)
            continue
        colour = colour_of(value, heat)
        canvas.patch(Rectangle((x, y), side, side, facecolor=colour, linewidth=0))
        ink = "white" if _is_dark(colour) else INK
        if side >= _NUMBERS and (value or heat.ridge):
            canvas.text(x + side / 2, y + side / 2, _short(value), _NUMBER, color=ink, va="center_baseline")
        if heat.ridge:
            _mark(canvas, (x + side / 2, y + side / 2), side, ink, (best[0][i] == j, best[1][j] == i))
    canvas.patch(
        Rectangle(
            corner, side * heat.values.shape[1], side * down, fill=False, edgecolor=FAINT, linewidth=0.6
        )
    )


def best_of(values: Values) -> list[int | None]:
    """Where each row has its greatest value, the first of equals; None where it has none."""
    return [None if np.isnan(row).all() else int(np.nanargmax(row)) for row in values]


def _mark(
    canvas: Canvas, middle: tuple[float, float], side: float, ink: str, best: tuple[bool, bool]
) -> None:
    (x, y), line = middle, max(0.5, min(1.0, side / 14))
    if best[0]:
        canvas.patch(Circle(middle, 0.38 * side, fill=False, edgecolor=ink, linewidth=line, zorder=4))
    if best[1]:
        half = 0.44 * side
        corner = (x - half, y - half)
        canvas.patch(
            Rectangle(corner, 2 * half, 2 * half, fill=False, edgecolor=ink, linewidth=line, zorder=4)
        )


def _draw_missing(canvas: Canvas, x: float, y: float, side: float) -> None:
    canvas.patch(
        Rectangle((x, y), side, side, facecolor="#ededed", edgecolor="#b5b5b5", hatch="/////", linewidth=0)
    )


def colour_of(value: float, heat: HeatMap) -> Colour:
    """White is 0, blue above, orange below; values beyond the scale have the colour of its end."""
    if value < 0:
        return _between(_BELOW, value / min(heat.least, -0.25 * heat.most))
    return _between(_STOPS, value / heat.most)


def _between(stops: Sequence[Colour], share: float) -> Colour:
    place = min(max(share, 0.0), 1.0) * (len(stops) - 1)
    first = min(int(place), len(stops) - 2)
    red, green, blue = (
        a + (b - a) * (place - first) for a, b in zip(stops[first], stops[first + 1], strict=True)
    )
    return red, green, blue


def _is_dark(colour: Colour) -> bool:
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 0.55


def _short(value: float) -> str:
    """Two decimals, without the zero before the point."""
    words = f"{value:.2f}"
    return "0" if float(words) == 0 else words.replace("0.", ".", 1)


# ------------------------------------------------------------------ names and the scale


def _fitted(name: str) -> str:
    """A layer's name; of one that is too long the end, which tells it from others."""
    words = drawable(name)
    if text_width(words, _NAME) <= _MOST_NAME:
        return words
    while words and text_width("…" + words, _NAME) > _MOST_NAME:
        words = words[1:]
    return "…" + words


def _widest(names: Sequence[str]) -> float:
    return max(text_width(name, _NAME) for name in names)


def _every(side: float) -> int:
    """One name of so many has room."""
    return max(1, ceil(_NAME * 1.15 / side))


def _name_rows(canvas: Canvas, names: Sequence[str], x: float, bottom: float, side: float) -> None:
    for i in range(0, len(names), _every(side)):
        canvas.text(x, bottom - (i + 0.5) * side, names[i], _NAME, ha="right", va="center_baseline")


def _name_columns(canvas: Canvas, names: Sequence[str], left: float, y: float, side: float) -> None:
    for j in range(0, len(names), _every(side)):
        x = left + (j + 0.5) * side
        canvas.text(x, y, names[j], _NAME, rotation=90, va="top", ha="center")


def _draw_scale(canvas: Canvas, heat: HeatMap, x: float, top: float, high: float) -> float:
    """The scale from the lowest to the highest colour, with ticks and levels; where it ends."""
    least, whole = heat.least, heat.most - heat.least
    step = high / _STEPS
    for n in range(_STEPS):
        value = heat.most - (n + 0.5) / _STEPS * whole
        canvas.patch(
            Rectangle((x, top + n * step), _BAR, step * 1.02, facecolor=colour_of(value, heat), linewidth=0)
        )
    canvas.patch(Rectangle((x, top), _BAR, high, fill=False, edgecolor=FAINT, linewidth=0.6))

    def at(value: float) -> float:
        return top + (heat.most - value) / whole * high

    ticks = [heat.most * n / 5 for n in range(6)] + ([least] if -least > 0.04 * heat.most else [])
    for tick in ticks:
        canvas.text(x + _BAR + 3, at(tick), _short(tick), _SMALL, ha="left", va="center_baseline")
    for name, value in heat.levels:
        canvas.patch(Rectangle((x - 2, at(value) - 0.4), _BAR + 4, 0.8, facecolor="#c2571a", linewidth=0))
        canvas.text(x + _BAR + 20, at(value), name, _SMALL, ha="left", va="center_baseline", color="#a4460f")
    return top + high
