"""Pages of filters, as in the paper's Fig. 7: the patches of each beside what it keeps of them. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from layerscope.drawing.canvas import FAINT, Canvas, Heading, Page, page_image
from layerscope.drawing.encoding import encode_pdf, encode_png
from layerscope.drawing.panels import ZEROS, Outside, fitted_panel
from layerscope.drawing.render import Pixels, show_signal
from layerscope.drawing.sprites import read_sprite

PER_PAGE = 64  #: filters on a page; half as many where panels have to be reduced
_DPI = 200
_ACROSS = 1654  # pixels of a page's width: A4
_CELL, _REDUCED = (
    44,
    60,
)  # pixels a panel is wide or high, about: one shown at its size or enlarged, or reduced
_GAP, _MIDDLE, _BETWEEN, _MARGIN = (
    2,
    8,
    22,
    36,
)  # pixels: cells, patches from reconstructions, filters, border
_LABEL = 26  # pixels above a filter for its number
_LETTERS, _SMALL = 7.5, 6.5  # points
_DEAD = np.uint8(244)
_HEADING = Heading(_MARGIN)


@dataclass(frozen=True)
class FilterDrawn:
    """A filter on a page: its strongest activation, its portrait (None: it is dead), what of each panel is not seen."""

    channel: int
    value: float
    file: Path | None
    outside: tuple[Outside, ...]


@dataclass(frozen=True)
class LayerDrawn:
    """What a page says of its layer. ``patches``: at most, of a filter; ``size``: of a panel, ``field``: the field.

    ``rule``: None: patches alone. ``shown``: which channels are, if that needs words. ``lost``: why the
    rule does not know where things were.
    """

    network: str
    layer: str
    channels: int
    field: tuple[int, int]
    size: tuple[int, int]
    patches: int
    pictures: int
    rule: str | None
    display: str
    shown: str = ""
    lost: str = ""


@dataclass(frozen=True)
class Sheet:
    """The grid of a page, in pixels: panels as they are and on the page, panels of a filter, filters of a page.

    ``zero``: the level that stands for 0 in a reconstruction, if one does; ``halves``: 2, or 1 for patches alone.
    """

    size: tuple[int, int]
    cell: tuple[int, int]
    grid: tuple[int, int]
    across: int
    zero: float | None
    halves: int = 2

    @property
    def half(self) -> tuple[int, int]:
        """Height and width of a filter's patches, or of its reconstructions."""
        high, wide = (n * (side + _GAP) - _GAP for n, side in zip(self.grid, self.cell, strict=True))
        return high, wide

    @property
    def block(self) -> tuple[int, int]:
        """Height and width of a filter."""
        return self.half[0], self.halves * (self.half[1] + _MIDDLE) - _MIDDLE


def sheet_of(
    size: tuple[int, int], patches: int, display: str, *, across: int = _ACROSS - 2 * _MARGIN, halves: int = 2
) -> Sheet:
    """How filters of so many patches, whose panels are of a size, stand on a page that is so many pixels wide."""
    columns = math.ceil(math.sqrt(patches))
    grid = (math.ceil(patches / columns), columns)
    largest = (across - _MIDDLE) // (2 * columns) - _GAP
    sheet = Sheet(size, _cell(size, max(1, largest)), grid, 1, ZEROS.get(display), halves)
    return replace(sheet, across=max(1, (across + _BETWEEN) // (sheet.block[1] + _BETWEEN)))


def filter_pages(layer: LayerDrawn, filters: Sequence[FilterDrawn]) -> Iterator[Page]:
    """The pages of a layer, one by one; at most PER_PAGE filters each, as nearly equal as can be.

    Panels of small fields are enlarged without smoothing, those of large ones reduced.
    """
    sheet = sheet_of(layer.size, layer.patches, layer.display, halves=1 if layer.rule is None else 2)
    count = max(1, math.ceil(len(filters) / (PER_PAGE // 2 if sheet.cell[0] < layer.size[0] else PER_PAGE)))
    each = math.ceil(len(filters) / count)
    for number in range(count):
        yield _page(layer, sheet, filters[number * each : (number + 1) * each], (number + 1, count))


def _cell(size: tuple[int, int], largest: int, target: int = _CELL) -> tuple[int, int]:
    """Rows and columns of a panel on the page: a whole multiple of its own, or reduced."""
    side = max(size)
    if side <= min(_REDUCED, largest):
        times = min(max(1, round(target / side)), largest // side)
        return size[0] * times, size[1] * times
    share = min(_REDUCED, largest) / side
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def _page(layer: LayerDrawn, sheet: Sheet, filters: Sequence[FilterDrawn], place: tuple[int, int]) -> Page:
    canvas = Canvas.blank(_DPI)
    step = sheet.block[1] + _BETWEEN
    width = max(sheet.across * step - _BETWEEN, 1100) + 2 * _MARGIN
    y = _HEADING.draw(canvas, _title(layer, filters, place), _caption(layer, sheet), width - 2 * _MARGIN)
    for number, one in enumerate(filters):
        x = _MARGIN + number % sheet.across * step
        top = y + number // sheet.across * (sheet.block[0] + _LABEL + _BETWEEN // 2)
        _draw_filter(canvas, sheet, one, x, top)
    rows = math.ceil(len(filters) / sheet.across)
    bottom = y + rows * (sheet.block[0] + _LABEL + _BETWEEN // 2) - _BETWEEN // 2 + _MARGIN
    return canvas.cut(width * canvas.pixel, bottom * canvas.pixel)


def _title(layer: LayerDrawn, filters: Sequence[FilterDrawn], place: tuple[int, int]) -> str:
    words = f"{layer.network}, {layer.layer}"
    if filters:
        words += f": filters {filters[0].channel} to {filters[-1].channel} of {layer.channels}"
    return words + (f", page {place[0]} of {place[1]}" if place[1] > 1 else "")


def _caption(layer: LayerDrawn, sheet: Sheet) -> str:
    field = "×".join(map(str, layer.field))
    larger = ", cut to the picture" if layer.field != layer.size else ""
    left = (
        "Left: the" if layer.rule is not None else "Patches alone, without what the filter keeps of them: the"
    )
    return (
        f"{left} {layer.patches} patches ({field} pixels{larger}) that excite the filter most, of {layer.pictures} "
        f"pictures, at most one of each, row by row from the strongest. {_way(layer, sheet)}"
        "Above: channel, strongest activation. Striped: not seen, outside the picture."
        + (f" Shown in {layer.shown}." if layer.shown else "")
    )


def _way(layer: LayerDrawn, sheet: Sheet) -> str:
    """What is said of reconstructions, if there are any."""
    if layer.rule is None:
        return ""
    rule = show_signal(np.zeros((1, 1, 3)), layer.display).rule
    reduced = sheet.zero is not None and sheet.cell[0] < layer.size[0]
    spread = ", spread out again where reduced" if reduced else ""
    lost = f"; {layer.lost}" if layer.lost else ""
    return f"Right: what the filter keeps of them ({layer.rule}; {rule}{spread}{lost}). "


def _draw_filter(canvas: Canvas, sheet: Sheet, one: FilterDrawn, x: int, y: int) -> None:
    pixel, (high, wide) = canvas.pixel, sheet.block
    base = (y + _LABEL - 7) * pixel
    canvas.text(x * pixel, base, str(one.channel), _LETTERS, ha="left", weight="bold")
    words = "dead" if one.file is None else f"{one.value:.3g}"
    canvas.text((x + wide) * pixel, base, words, _SMALL, ha="right", color=FAINT)
    top = y + _LABEL
    canvas.image(_block(sheet, one), x * pixel, top * pixel, wide * pixel, high * pixel)
    if one.file is None:
        canvas.text(
            (x + wide / 2) * pixel, (top + high / 2) * pixel, "never active", _SMALL, va="center", color=FAINT
        )


def _block(sheet: Sheet, one: FilterDrawn) -> Pixels:
    """A filter's panels as they are on the page; a dead one's are one pale field."""
    if one.file is None:
        return filter_pixels(sheet, np.empty((0, 0, 3), np.uint8), ())
    return filter_pixels(sheet, read_sprite(one.file), one.outside)


def filter_pixels(sheet: Sheet, sprite: Pixels, outside: Sequence[Outside]) -> Pixels:
    """The panels of a sprite (see `draw_sprite`) as they are on a page, one pale field if there are none.

    ``outside``: what of each is not seen.
    """
    pixels = np.full((*sheet.block, 3), 255 if outside else _DEAD, np.uint8)
    height, width = sheet.size
    for rank, unseen in enumerate(outside):
        row, column = divmod(rank, sheet.grid[1])
        for half in range(sheet.halves):
            panel = sprite[half * height : (half + 1) * height, rank * width : (rank + 1) * width]
            y = row * (sheet.cell[0] + _GAP)
            x = column * (sheet.cell[1] + _GAP) + half * (sheet.half[1] + _MIDDLE)
            zero = sheet.zero if half else None
            pixels[y : y + sheet.cell[0], x : x + sheet.cell[1]] = fitted_panel(
                panel, unseen, sheet.cell, zero
            )
    return pixels


# ------------------------------------------------------------------ the first layer's weights


def weights_page(network: str, layer: str, weights: npt.NDArray[np.floating]) -> Page:
    """The weights of filters that read the picture, (filters, rows, columns, 1 or 3), each to a scale of its own."""
    canvas = Canvas.blank(_DPI)
    height, width = _cell(weights.shape[1:3], 2 * _CELL, 2 * _CELL)
    step = max(width, 56) + _BETWEEN
    across = max(1, (_ACROSS - 2 * _MARGIN + _BETWEEN) // step)
    caption = (
        f"The weights as {'colours' if weights.shape[3] == 3 else 'greys'}, {weights.shape[1]}×{weights.shape[2]} "
        "pixels, of the preprocessed input. Mid-grey is 0; white and black are plus and minus the filter's largest "
        "weight by size, which stands beside its channel."
    )
    wide = across * step - _BETWEEN + 2 * _MARGIN
    y = _HEADING.draw(
        canvas, f"{network}, {layer}: the weights of {len(weights)} filters", caption, wide - 2 * _MARGIN
    )
    high = height + _LABEL + _BETWEEN // 2
    for channel, values in enumerate(weights):
        x, top = _MARGIN + channel % across * step, y + channel // across * high
        _draw_weights(canvas, channel, values, (x, top), (height, width))
    rows = math.ceil(len(weights) / across)
    return canvas.cut(wide * canvas.pixel, (y + rows * high - _BETWEEN // 2 + _MARGIN) * canvas.pixel)


def _draw_weights(
    canvas: Canvas,
    channel: int,
    values: npt.NDArray[np.floating],
    place: tuple[int, int],
    cell: tuple[int, int],
) -> None:
    (x, y), pixel, largest = place, canvas.pixel, float(np.abs(values).max())
    base = (y + _LABEL - 7) * pixel
    canvas.text(x * pixel, base, str(channel), _LETTERS, ha="left", weight="bold")
    canvas.text((x + cell[1]) * pixel, base, f"{largest:.2g}", _SMALL - 1, ha="right", color=FAINT)
    shown = show_signal(values, "signed", scale=largest).pixels
    down, across = (side // own for side, own in zip(cell, values.shape[:2], strict=True))
    large = shown.repeat(max(1, down), axis=0).repeat(max(1, across), axis=1)
    canvas.image(large, x * pixel, (y + _LABEL) * pixel, cell[1] * pixel, cell[0] * pixel)


# ------------------------------------------------------------------ files


def pages_as_files(pages: Iterable[Page], stem: str) -> Iterator[tuple[str, bytes]]:
    """The PNG of each page, and a PDF of all of them as JPEG: photographs as PDF alone would be three times as large.

    Named ``stem.png``, or ``stem-1.png``, ... if there are several, and ``stem.pdf``.
    """
    drawn = [page_image(page) for page in pages]
    digits = len(str(len(drawn)))
    for number, image in enumerate(drawn, 1):
        yield (
            f"{stem}{'' if len(drawn) == 1 else f'-{number:0{digits}d}'}.png",
            encode_png(image, dpi=_DPI, photograph=True),
        )
    yield f"{stem}.pdf", encode_pdf(drawn, Path(stem).name, dpi=_DPI)
