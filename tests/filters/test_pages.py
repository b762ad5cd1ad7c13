"""Pages of filters: what is on them, how many there are, what is left out."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from layerscope.drawing.sprites import draw_sprite, encode_sprite, hatched, read_about, read_sprite, suffix
from layerscope.filters.pages import (
    PER_PAGE,
    FilterDrawn,
    LayerDrawn,
    filter_pages,
    pages_as_files,
    weights_page,
)

LAYER = LayerDrawn("net", "c1", 4, (5, 5), (5, 5), 4, 12, "deconvnet", "signed")
RED, BLUE = (255, 0, 0), (0, 0, 255)


def portrait(folder: Path, size: int = 5, count: int = 4, cut: int = 0) -> FilterDrawn:
    """A filter whose patches are red and whose reconstructions are blue; so many rows at the top are outside."""
    part = (slice(cut, size), slice(0, size))
    seen, kept = (np.full((size - cut, size, 3), colour, np.uint8) for colour in (RED, BLUE))
    sprite = draw_sprite((size, size), [(part, seen, kept)] * count)
    path = folder / f"{size}-{count}-{cut}.png"
    path.write_bytes(encode_sprite(sprite, ".png", {}))
    return FilterDrawn(3, 12.5, path, ((cut, 0, 0, 0),) * count)


def drawn(page: object) -> npt.NDArray[np.uint8]:
    content = page._repr_png_()  # type: ignore[attr-defined]
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def share(pixels: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    return int((pixels == colour).all(axis=2).sum())


def words(page: object) -> list[str]:
    return [text.get_text() for text in page.axes[0].texts]  # type: ignore[attr-defined]


def test_a_small_field_is_enlarged_by_a_whole_number(tmp_path: Path) -> None:
    (page,) = filter_pages(LAYER, [portrait(tmp_path)])
    pixels = drawn(page)
    assert share(pixels, RED) == share(pixels, BLUE) == 4 * 45 * 45
    columns = np.flatnonzero((pixels == RED).all(axis=2).any(axis=0))
    assert columns[-1] < np.flatnonzero((pixels == BLUE).all(axis=2).any(axis=0))[0]


def test_fewer_patches_leave_cells_empty(tmp_path: Path) -> None:
    (page,) = filter_pages(LAYER, [portrait(tmp_path, count=3)])
    assert share(drawn(page), RED) == share(drawn(page), BLUE) == 3 * 45 * 45


def test_what_is_outside_is_striped_on_the_page(tmp_path: Path) -> None:
    (page,) = filter_pages(LAYER, [portrait(tmp_path, cut=2)])
    assert share(drawn(page), RED) == 4 * 27 * 45
    assert share(drawn(page), (228, 230, 242)) > 4 * 18 * 45


def test_what_the_rule_does_not_know_is_said(tmp_path: Path) -> None:
    page = next(filter_pages(replace(LAYER, lost="no max-pools"), [portrait(tmp_path)]))
    assert "; no max-pools)" in " ".join(words(page))


def test_a_dead_filter_says_so(tmp_path: Path) -> None:
    (page,) = filter_pages(LAYER, [portrait(tmp_path), FilterDrawn(7, 0.0, None, ())])
    assert {"3", "12.5", "7", "dead", "never active"} <= set(words(page))
    assert share(drawn(page), RED) == 4 * 45 * 45


@pytest.mark.parametrize(
    ("size", "count", "pages"), [(5, 64, 1), (5, 65, 2), (5, 512, 8), (100, 64, 2), (100, 512, 16)]
)
def test_pages_are_numbered_and_hold_so_many(size: int, count: int, pages: int) -> None:
    layer = replace(LAYER, field=(size, size), size=(size, size), channels=count)
    dead = [FilterDrawn(channel, 0.0, None, ()) for channel in range(count)]
    found = list(filter_pages(layer, dead))
    assert len(found) == pages
    numbers = [[int(w) for w in words(page) if re.fullmatch(r"\d+", w)] for page in found]
    assert [number for page in numbers for number in page] == list(range(count))
    assert max(map(len, numbers)) <= PER_PAGE
    if pages > 1:
        title = f"net, c1: filters {numbers[1][0]} to {numbers[1][-1]} of {count}, page 2 of {pages}"
        assert title in words(found[1])


def test_thin_lines_keep_their_contrast_when_reduced(tmp_path: Path) -> None:
    size = 120
    lines = np.full((size, size, 3), 128, np.uint8)
    lines[:, 40:80:2], lines[:, 41:80:2] = 255, 30
    whole = (slice(0, size), slice(0, size))
    path = tmp_path / "lines.png"
    path.write_bytes(encode_sprite(draw_sprite((size, size), [(whole, lines, lines)]), ".png", {}))
    layer = replace(LAYER, field=(size, size), size=(size, size), patches=1)
    one = FilterDrawn(0, 1.0, path, ((0, 0, 0, 0),))
    spread, plain = (
        drawn(next(filter_pages(replace(layer, display=display), [one]))) for display in ("signed", "minmax")
    )
    kept = slice(-96, -36), slice(104, 164)  # where the reconstruction is
    assert np.ptp(spread[kept].astype(int)) > 100
    assert np.ptp(plain[kept].astype(int)) < 60
    assert any("spread out again" in line for line in _caption(layer, one))
    assert not any("spread out again" in line for line in _caption(replace(layer, display="minmax"), one))


def _caption(layer: LayerDrawn, one: FilterDrawn) -> list[str]:
    return [" ".join(words(next(filter_pages(layer, [one]))))]


@pytest.mark.parametrize("patches", [1, 2, 9, 16, 100])
def test_any_number_of_patches_fits_the_page(tmp_path: Path, patches: int) -> None:
    layer = replace(LAYER, patches=patches, field=(40, 40), size=(40, 40))
    (page,) = filter_pages(layer, [portrait(tmp_path, size=40, count=patches)])
    pixels = drawn(page)
    assert pixels.shape[1] <= 1700
    assert share(pixels, RED) == share(pixels, BLUE) > 0
    assert share(pixels, RED) % patches == 0


def test_weights_are_drawn_to_one_scale_each() -> None:
    weights = np.zeros((2, 3, 3, 3), np.float32)
    weights[0, 0, 0] = (2, 0, 0)
    weights[1, 0, 0] = (0, 0, -0.5)
    pixels = drawn(weights_page("net", "c1", weights))
    cell = 29 * 29
    assert share(pixels, (255, 128, 128)) == cell
    assert share(pixels, (128, 128, 0)) == cell
    assert 0 <= share(pixels, (128, 128, 128)) - 2 * 8 * cell < 200  # some pixels of letters, too


def test_files_of_pages_are_the_same_each_time(tmp_path: Path) -> None:
    layer = replace(LAYER, channels=65)
    filters = [replace(portrait(tmp_path), channel=number) for number in range(65)]
    one, two = (dict(pages_as_files(filter_pages(layer, filters), "filters/c1")) for _ in range(2))
    assert list(one) == ["filters/c1-1.png", "filters/c1-2.png", "filters/c1.pdf"]
    assert one == two
    assert one["filters/c1.pdf"].count(b"/Type /Page\n") == 2
    assert list(dict(pages_as_files([weights_page("n", "c", np.ones((1, 2, 2, 1)))], "w"))) == [
        "w.png",
        "w.pdf",
    ]


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_a_portrait_says_what_it_is(tmp_path: Path, ending: str) -> None:
    about = {"key": "abc", "white": [1.5, 2.0]}
    path = tmp_path / f"portrait{ending}"
    path.write_bytes(encode_sprite(hatched(8, 12), ending, about))
    assert read_about(path) == about
    assert np.abs(read_sprite(path).astype(int) - hatched(8, 12)).max() <= (0 if ending == ".png" else 20)
    path.write_bytes(path.read_bytes()[:30])
    assert read_about(path) == {}
    assert read_about(tmp_path / "none.png") == {}


def test_small_and_very_wide_portraits_are_png() -> None:
    assert [suffix(size, 9) for size in ((32, 32), (33, 5), (196, 196))] == [".png", ".jpg", ".jpg"]
    assert suffix((224, 224), 300) == ".png"
