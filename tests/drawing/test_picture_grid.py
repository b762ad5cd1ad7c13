"""Pages of small pictures: how large each is drawn, alone and at one scale with the others."""

from __future__ import annotations

import numpy as np
import pytest

from layerscope.drawing.canvas import Page
from layerscope.drawing.picture_grid import Cell, picture_pages, size_shown
from layerscope.errors import DisplayError


def cell(side: int, beneath: str = "1.5") -> Cell:
    return Cell(np.full((side, side, 3), 90, np.uint8), "a", beneath)


def widths(page: Page) -> list[float]:
    """Of the pictures on a page, in its pixels, row by row."""
    return [round(image.get_window_extent().width) for image in page.axes[0].get_images()]


@pytest.mark.parametrize(
    ("side", "alone", "alike"),
    [(200, [1 * 172, 4 * 43, 18 * 11], [172, 43, 11]), (50, [50, 43, 4 * 11], [50, 12, 3])],
)
def test_at_one_scale(side: int, alone: list[int], alike: list[int]) -> None:
    """Each as large as it can be; or a pixel of one as large as a pixel of another."""
    rows = [[cell(172), cell(43), None], [None, cell(11)]]
    (page,) = picture_pages("title", "caption", rows, side)
    assert widths(page) == alone
    (page,) = picture_pages("title", "caption", rows, side, alike=True)
    assert widths(page) == alike


def test_sizes() -> None:
    assert size_shown((20, 10), 50) == (40, 20)
    assert size_shown((20, 10), 50, 25) == (40, 20)
    assert size_shown((20, 10), 50, 26) == (20, 10)
    assert size_shown((20, 10), 50, 100) == (10, 5)


def test_words_have_room() -> None:
    """Beneath a small picture a long line is not cut short: its column is as wide."""
    rows = [[cell(11, "12.34; .56 (.78)"), cell(11)]]
    (page,) = picture_pages("title", "caption", rows, 22, alike=True)
    assert "12.34; .56 (.78)" in {text.get_text() for text in page.axes[0].texts}


def test_nothing_to_show() -> None:
    with pytest.raises(DisplayError, match="no picture to show"):
        next(picture_pages("title", "caption", [[None]], 20, alike=True))
