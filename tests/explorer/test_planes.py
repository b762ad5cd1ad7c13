"""Planes and pairs in a real browser: what is drawn by hand is what Python finds, and keys do as mice do."""

from __future__ import annotations

import csv
from math import cos, sin
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from layerscope import Space, Study
from tests.support.browsing import Visit, visit
from tests.support.explorer import Shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.importorskip("playwright")

PLANE = "#/s/alexcnn/p1"


@pytest.fixture
def space(shown: Shown) -> Space:
    return Space.open(Study.open(shown.study.path), "p1", network="alexcnn")


def members(seen: Visit) -> list[int]:
    """The patches of the table that the page saves."""
    with seen.page.expect_download() as table:
        seen.page.click("text=Table (CSV)")
    text = Path(str(table.value.path())).read_text("utf-8")
    return [int(row["patch"]) for row in csv.DictReader(text.splitlines())]


def call(seen: Visit, shown: Shown) -> dict[str, Any]:
    """What the Python that the page offers makes, run beside the study."""
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shown.study.path.parent)
        exec(str(seen.page.get_attribute(".python", "title")), names)
    return names


@pytest.mark.parametrize("arrangement", ["one", "fill", "points"])
def test_what_is_drawn_holds_the_patches_that_python_finds(
    browser: Browser, bases: dict[str, str], shown: Shown, arrangement: str
) -> None:
    loop = [(0.5 + 0.3 * cos(n / 6), 0.5 + 0.35 * sin(n / 6) * cos(n / 9)) for n in range(38)]
    with visit(browser) as seen:
        for tool, shares in (("b", [(0.2, 0.2), (0.7, 0.6)]), ("l", loop)):
            seen.go(f"{bases['file']}{PLANE}?a={arrangement}")
            seen.draw(tool, shares)
            made = call(seen, shown)
            assert members(seen) == made["region"].members.tolist()
            assert 3 < len(made["region"].members) < len(made["space"].points), "not all, and not nothing"
            assert len(seen.hash) <= 200
            address, count = seen.hash, seen.page.inner_text(".side p >> nth=0")
            seen.go(bases["file"] + address)
            assert (seen.hash, seen.page.inner_text(".side p >> nth=0")) == (address, count)
        assert seen.said == []


def test_filters_of_a_region_have_the_contrast_that_python_finds(
    browser: Browser, bases: dict[str, str], space: Space
) -> None:
    expected = space.filters(space.region((0, 0, 6, 5), "one-to-one"))
    contrast = dict(zip(expected["channel"].to_pylist(), expected["contrast"].to_pylist(), strict=True))
    with visit(browser) as seen:
        seen.go(f"{bases['file']}{PLANE}?a=one&box=0,0,6,5")
        seen.page.wait_for_selector(".filters .number")
        rows = seen.page.locator(".filters li").all_inner_texts()
        found = [
            [float(word) for word in row.replace("Filter", "").split("\n") if _number(word)] for row in rows
        ]
    assert len(found) >= min(len(contrast), 10)
    values = [row[-1] for row in found]
    assert values == sorted(values, reverse=True)
    for row in found:
        assert abs(row[-1] - contrast[int(row[0])]) <= 0.015  # 0.01, and half of the last figure shown


def _number(word: str) -> bool:
    return word.strip().replace(".", "", 1).isdigit()


def test_a_plane_is_used_by_keys_alone_and_back_undoes(
    browser: Browser, bases: dict[str, str], space: Space
) -> None:
    with visit(browser) as seen:
        seen.go(f"{bases['file']}{PLANE}?a=one&patch={space.planes['one-to-one'][2, 2]}")
        for key in ("ArrowRight", "ArrowDown", "Enter"):
            seen.page.keyboard.press(key)
            seen.settle()
        patch = space.patch_at(3.5, 3.5, "one-to-one")
        assert seen.page.inner_text("h1") == f"Patch {patch}"
        link = seen.page.get_attribute("a.patch", "href") or ""
        assert link.startswith(f"#/p/{space.pictures[patch]}?l=alexcnn.p1")
        seen.page.keyboard.press("Escape")
        seen.settle()
        assert "patch" not in seen.hash
        seen.page.go_back()
        seen.settle()
        assert seen.page.inner_text("h1") == f"Patch {patch}"


def test_a_picture_lights_its_patches_up(browser: Browser, bases: dict[str, str], space: Space) -> None:
    picture = int(space.pictures[0])
    with visit(browser) as seen:
        seen.go(f"{bases['file']}{PLANE}?p={picture}")
        assert members(seen) == np.flatnonzero(space.pictures == picture).tolist()


def test_layers_side_by_side_show_what_the_comparison_found(
    browser: Browser, bases: dict[str, str], shown: Shown
) -> None:
    table = shown.comparison.path / "similarity" / "similarity.csv"
    with table.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["network"].startswith("alexcnn")]
    with visit(browser) as seen:
        seen.go(bases["file"] + "#/c")
        for row in rows:
            words = f"{row['layer']} and VGGCNN {row['other_layer']}: {float(row['cka']):.2f}"
            cell = seen.page.locator(f'[role="gridcell"][aria-label*="{words.replace("-", "−")}"]')
            if row["layer"][0] == row["other_layer"][0] == "c":
                assert cell.count() == 1, words
        seen.page.locator('[role="gridcell"]').first.click()
        chosen = seen.hash
        seen.page.keyboard.press("ArrowRight")
        seen.page.keyboard.press("Enter")
        seen.settle()
        assert ":" in chosen
        assert seen.hash != chosen
        seen.page.keyboard.press("m")
        assert seen.page.get_attribute("button:text('only')", "aria-pressed") == "true"
        assert seen.said == []
