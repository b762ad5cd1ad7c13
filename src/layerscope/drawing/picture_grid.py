"""A page of small pictures in rows, each with a line above and one beneath it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from layerscope.drawing.canvas import FAINT, INK, Canvas, Heading, Page, fitted
from layerscope.drawing.panels import fitted_panel
from layerscope.drawing.render import Pixels
from layerscope.errors import DisplayError

_DPI = 200
_BORDER, _GAP, _ABOVE, _BENEATH = 36, 14, 24, 26  # pixels: round the page, between pictures, for the lines
_LETTERS, _SMALL = 7.0, 6.0  # points
_NARROWEST = 1100  # pixels of the heading
_HEADING = Heading(_BORDER)
_ROWS = 12  # of a page


@dataclass(frozen=True)
class Cell:
    """A picture and what stands ``above`` and ``beneath`` it."""

    pixels: Pixels
    above: str = ""
    beneath: str = ""


Row = Sequence[Cell | None]  #: None: nothing stands there


def picture_pages(title: str, caption: str, rows: Sequence[Row], side: int) -> Iterator[Page]:
    """Pages of rows of pictures, the longer side of each ``side`` pixels, as near as whole multiples allow.

    Raises DisplayError without a picture.
    """
    if not any(cell is not None for row in rows for cell in row):
        raise DisplayError("there is no picture to show; give at least one")
    parts = [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]
    for number, part in enumerate(parts, 1):
        words = f"{title}, page {number} of {len(parts)}" if len(parts) > 1 else title
        yield _page(words, caption, part, side)


def _page(title: str, caption: str, rows: Sequence[Row], side: int) -> Page:
    canvas = Canvas.blank(_DPI)
    step = side + _GAP
    width = max(_NARROWEST, max(map(len, rows)) * step - _GAP)
    y = _HEADING.draw(canvas, title, caption, width)
    for row in rows:
        tallest = max(
            (size_shown(cell.pixels.shape[:2], side)[0] for cell in row if cell is not None), default=0
        )
        for place, cell in enumerate(row):
            if cell is not None:
                _draw(canvas, cell, (_BORDER + place * step, y), side, tallest)
        y += _ABOVE + tallest + _BENEATH + _GAP
    return canvas.cut((width + 2 * _BORDER) * canvas.pixel, (y - _GAP + _BORDER) * canvas.pixel)


def _draw(canvas: Canvas, cell: Cell, corner: tuple[int, int], side: int, tallest: int) -> None:
    (x, y), pixel = corner, canvas.pixel
    _line(canvas, cell.above, (x, y + _ABOVE - 8), side, bold=True)
    high, wide = size_shown(cell.pixels.shape[:2], side)
    shown = fitted_panel(cell.pixels, (0, 0, 0, 0), (high, wide), None)
    canvas.image(shown, x * pixel, (y + _ABOVE) * pixel, wide * pixel, high * pixel)
    _line(canvas, cell.beneath, (x, y + _ABOVE + tallest + _BENEATH - 8), side, bold=False)


def _line(canvas: Canvas, words: str, start: tuple[int, int], side: int, *, bold: bool) -> None:
    weight, letters = ("bold", _LETTERS) if bold else ("normal", _SMALL)
    shown, size = fitted(words, side * canvas.pixel, letters, weight)
    x, base = (value * canvas.pixel for value in start)
    canvas.text(x, base, shown, size, ha="left", weight=weight, color=INK if bold else FAINT)


def size_shown(size: tuple[int, ...], side: int) -> tuple[int, int]:
    """Rows and columns that a picture has on the page: a whole multiple of its own, or reduced."""
    longer = max(size)
    if longer <= side:
        return size[0] * (side // longer), size[1] * (side // longer)
    return max(1, round(size[0] * side / longer)), max(1, round(size[1] * side / longer))
