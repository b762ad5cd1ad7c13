"""Shares with their intervals, one under the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.patches import Circle

from layerscope.drawing.canvas import FAINT, Canvas, Page, shortened, text_width
from layerscope.drawing.charts import COLOURS
from layerscope.errors import DisplayError

_DPI, _MARGIN = 200, 10.0
_MOST_NAME, _SCALE, _VALUES = 130.0, 300.0, 130.0  # points: names, the axis from 0 to 1, what is said of each
_LINE, _BETWEEN = 14.0, 8.0  # points: each share, between groups
_LETTERS, _SMALL = 8.0, 7.0
_GRID = "#e4e4e4"


@dataclass(frozen=True)
class Interval:
    """A share in [0, 1], the ends of its interval, and what it is in a few words."""

    share: float
    low: float
    high: float
    words: str


def interval_chart(groups: Mapping[str, Sequence[Interval | None]], kinds: Sequence[str], title: str) -> Page:
    """For each group a line for every kind of share: a point, whiskers to the ends of its interval, its words.

    None: the group has no share of that kind. Raises DisplayError if there is nothing to show, or a group has more or
    fewer shares than there are kinds.
    """
    if not any(share for own in groups.values() for share in own) or any(
        len(own) != len(kinds) for own in groups.values()
    ):
        raise DisplayError("a chart of intervals needs groups, each with a share of every kind")
    canvas = Canvas.blank(_DPI)
    left = _MARGIN + min(_MOST_NAME, max(text_width(name, _LETTERS, "bold") for name in groups)) + 8
    top = _draw_legend(canvas, left, kinds, title)
    bottom = top + len(groups) * (len(kinds) * _LINE + _BETWEEN)
    _draw_scale(canvas, left, top, bottom)
    y = top + _BETWEEN / 2
    for name, shares in groups.items():
        middle = y + len(kinds) * _LINE / 2
        words = shortened(name, left - 8 - _MARGIN, _LETTERS, "bold")
        canvas.text(left - 8, middle, words, _LETTERS, ha="right", va="center", weight="bold")
        for number, share in enumerate(shares):
            if share is not None:
                _draw(canvas, left, y + (number + 0.5) * _LINE, share, COLOURS[number % len(COLOURS)])
        y += len(kinds) * _LINE + _BETWEEN
    return canvas.cut(left + _SCALE + _VALUES + _MARGIN, bottom + 16 + _MARGIN)


def _draw_legend(canvas: Canvas, left: float, kinds: Sequence[str], title: str) -> float:
    """The title, and a point in the colour of each kind; where all else begins."""
    canvas.text(left, _MARGIN + 8, title, _LETTERS, ha="left")
    x = left + text_width(title, _LETTERS) + 16
    for number, kind in enumerate(kinds):
        canvas.patch(Circle((x, _MARGIN + 5.2), 2.6, color=COLOURS[number % len(COLOURS)], linewidth=0))
        canvas.text(x + 6, _MARGIN + 8, kind, _LETTERS, ha="left")
        x += text_width(kind, _LETTERS) + 22
    return _MARGIN + 18


def _draw_scale(canvas: Canvas, left: float, top: float, bottom: float) -> None:
    for tenth in range(0, 11, 2):
        x = left + _SCALE * tenth / 10
        canvas.box(x - 0.3, top, 0.6, bottom - top, _GRID)
        canvas.text(x, bottom + 11, f"{tenth * 10} %", _SMALL, color=FAINT)


def _draw(canvas: Canvas, left: float, y: float, one: Interval, colour: str) -> None:
    low, middle, high = (left + _SCALE * value for value in (one.low, one.share, one.high))
    canvas.box(low, y - 0.7, high - low, 1.4, colour)
    for end in (low, high):
        canvas.box(end - 0.5, y - 3, 1, 6, colour)
    canvas.patch(Circle((middle, y), 3, color=colour, linewidth=0, zorder=4))
    canvas.text(left + _SCALE + 12, y, one.words, _SMALL, ha="left", va="center")
