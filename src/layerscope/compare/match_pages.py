"""Pages of filters side by side: what excites each most, beside what it keeps of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from layerscope.drawing.canvas import FAINT, Canvas, Heading, Page, fitted
from layerscope.drawing.panels import Outside
from layerscope.drawing.render import Pixels
from layerscope.filters.pages import Sheet, filter_pixels

_DPI, _ACROSS, _DOWN = 200, 1654, 2100  # pixels of a page's width, A4, and of its height, about
_MARGIN, _BESIDE, _BETWEEN = 36, 16, 36  # pixels: border, two of a pair, pairs
_LABEL, _BELOW = 28, 16  # pixels: words above a filter, under a row
_LEAST = 240  # pixels of a filter's width that its words have
_LETTERS, _SMALL = 7.0, 6.5  # points
_HEADING = Heading(_MARGIN, lines=6)


@dataclass(frozen=True, eq=False)
class Portrayed:
    """A filter as it is drawn: whose it is, what else is said of it, its panels (see `draw_sprite`), and its sheet."""

    whose: str
    said: str
    sprite: Pixels
    outside: tuple[Outside, ...]
    sheet: Sheet


def match_pages(title: str, caption: str, rows: Sequence[Sequence[Portrayed]]) -> Iterator[Page]:
    """Pages of rows of filters, all pairs side by side or all alone, in reading order."""
    columns = [max(_LEAST, *(row[place].sheet.block[1] for row in rows)) for place in range(len(rows[0]))]
    wide = sum(columns) + _BESIDE * (len(columns) - 1)
    across = max(1, (_ACROSS - 2 * _MARGIN + _BETWEEN) // (wide + _BETWEEN))
    lines = [rows[i : i + across] for i in range(0, len(rows), across)]
    heights = [max(one.sheet.block[0] for row in line for one in row) + _LABEL + _BELOW for line in lines]
    parts = list(_pages(heights))
    for number, part in enumerate(parts, 1):
        words = title + (f", page {number} of {len(parts)}" if len(parts) > 1 else "")
        canvas = Canvas.blank(_DPI)
        width = max(min(across, len(rows)) * (wide + _BETWEEN) - _BETWEEN, 1100)
        y = _HEADING.draw(canvas, words, caption, width)
        for line in part:
            for place, row in enumerate(lines[line]):
                _draw_row(canvas, row, columns, _MARGIN + place * (wide + _BETWEEN), y)
            y += heights[line]
        yield canvas.cut((width + 2 * _MARGIN) * canvas.pixel, (y + _MARGIN - _BELOW) * canvas.pixel)


def _pages(heights: Sequence[int]) -> Iterator[range]:
    """Which lines stand on each page."""
    start, held = 0, 0
    for line, high in enumerate(heights):
        if held and held + high > _DOWN:
            yield range(start, line)
            start, held = line, 0
        held += high
    yield range(start, len(heights))


def _draw_row(canvas: Canvas, row: Sequence[Portrayed], columns: Sequence[int], x: int, y: int) -> None:
    for one, width in zip(row, columns, strict=False):
        _draw_filter(canvas, one, x, y, width)
        x += width + _BESIDE


def _draw_filter(canvas: Canvas, one: Portrayed, x: int, y: int, width: int) -> None:
    pixel, base = canvas.pixel, (y + _LABEL - 8) * canvas.pixel
    said, small = fitted(one.said, width * pixel / 2, _SMALL) if one.said else ("", _SMALL)
    canvas.title(x * pixel, base, one.whose, _LETTERS, width * pixel * (0.49 if said else 1))
    if said:
        canvas.text((x + width) * pixel, base, said, small, ha="right", color=FAINT)
    high, wide = one.sheet.block
    pixels = filter_pixels(one.sheet, one.sprite, one.outside)
    canvas.image(pixels, x * pixel, (y + _LABEL) * pixel, wide * pixel, high * pixel)
