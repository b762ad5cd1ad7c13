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
_LETTER = 9  # pixels that a letter beneath a picture needs


@dataclass(frozen=True)
class Cell:
    """A picture and what stands ``above`` and ``beneath`` it."""

    pixels: Pixels
    above: str = ""
    beneath: str = ""


Row = Sequence[Cell | None]  #: None: nothing stands there


def picture_pages(
    title: str, caption: str, rows: Sequence[Row], side: int, *, alike: bool = False
) -> Iterator[Page]:
    """Pages of rows of pictures, the longer side of each ``side`` pixels, as near as whole multiples allow.

    ``alike``: of the longest alone, and all at its scale: a pixel of one is as large as a pixel of another. Raises
    DisplayError without a picture.
    """
    sizes = [cell.pixels.shape[:2] for row in rows for cell in row if cell is not None]
    if not sizes:
        raise DisplayError("there is no picture to show; give at least one")
    scale = _Scale(side, max(map(max, sizes)) if alike else None)
    parts = [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]
    for number, part in enumerate(parts, 1):
        words = f"{title}, page {number} of {len(parts)}" if len(parts) > 1 else title
        yield _page(words, caption, part, scale)


@dataclass(frozen=True)
class _Scale:
    """Pixels that the longer side of a picture gets; ``longest``: of the picture that gets them, where all have its
    scale."""

    side: int
    longest: int | None

    def shown(self, cell: Cell) -> tuple[int, int]:
        """Rows and columns that a picture has on the page."""
        return size_shown(cell.pixels.shape[:2], self.side, self.longest)

    def widths(self, rows: Sequence[Row]) -> list[int]:
        """Of columns."""
        if self.longest is None:
            return [self.side] * max(map(len, rows))
        cells: list[list[Cell]] = [[] for _ in range(max(map(len, rows)))]
        for row in rows:
            for place, cell in enumerate(row):
                cells[place] += [cell] if cell is not None else []
        return [
            max((max(self.shown(cell)[1], _LETTER * len(cell.beneath)) for cell in column), default=0)
            for column in cells
        ]


def _page(title: str, caption: str, rows: Sequence[Row], scale: _Scale) -> Page:
    canvas = Canvas.blank(_DPI)
    widths = scale.widths(rows)
    starts = [_BORDER + sum(widths[:place]) + place * _GAP for place in range(len(widths))]
    width = max(_NARROWEST, starts[-1] + widths[-1] - _BORDER)
    y = _HEADING.draw(canvas, title, caption, width)
    for row in rows:
        tallest = max((scale.shown(cell)[0] for cell in row if cell is not None), default=0)
        for cell, x, wide in zip(row, starts, widths, strict=False):
            if cell is not None:
                high = scale.shown(cell)[0] if scale.longest else tallest
                _draw(canvas, cell, (x, y), (scale.shown(cell), wide), high)
        y += _ABOVE + tallest + _BENEATH + _GAP
    return canvas.cut((width + 2 * _BORDER) * canvas.pixel, (y - _GAP + _BORDER) * canvas.pixel)


def _draw(
    canvas: Canvas, cell: Cell, corner: tuple[int, int], sizes: tuple[tuple[int, int], int], deep: int
) -> None:
    """``sizes``: of the picture, and the width of its words; ``deep``: from its top to those beneath."""
    (x, y), pixel, ((high, wide), words) = corner, canvas.pixel, sizes
    _line(canvas, cell.above, (x, y + _ABOVE - 8), words, bold=True)
    shown = fitted_panel(cell.pixels, (0, 0, 0, 0), (high, wide), None)
    canvas.image(shown, x * pixel, (y + _ABOVE) * pixel, wide * pixel, high * pixel)
    _line(canvas, cell.beneath, (x, y + _ABOVE + deep + _BENEATH - 8), words, bold=False)


def _line(canvas: Canvas, words: str, start: tuple[int, int], side: int, *, bold: bool) -> None:
    weight, letters = ("bold", _LETTERS) if bold else ("normal", _SMALL)
    shown, size = fitted(words, side * canvas.pixel, letters, weight)
    x, base = (value * canvas.pixel for value in start)
    canvas.text(x, base, shown, size, ha="left", weight=weight, color=INK if bold else FAINT)


def size_shown(size: tuple[int, ...], side: int, longest: int | None = None) -> tuple[int, int]:
    """Rows and columns that a picture has on the page: a whole multiple of its own, or reduced.

    ``longest``: pixels that get the side, if not those of its own longer side.
    """
    longer = longest or max(size)
    if longer <= side:
        return size[0] * (side // longer), size[1] * (side // longer)
    return max(1, round(size[0] * side / longer)), max(1, round(size[1] * side / longer))
