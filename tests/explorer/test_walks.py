"""Ways through the pages in a real browser: by keys alone, and by one click from each thing to the next."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from layerscope import Space, Study
from tests.support.browsing import Visit, visit
from tests.support.explorer import Shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.importorskip("playwright")

FILTERS = "#/f/alexcnn/p1"


def press(seen: Visit, *keys: str) -> str:
    """Press keys one after the other; where we are then."""
    for key in keys:
        seen.page.keyboard.press(key)
        seen.settle()
    return seen.hash


def tab_to(seen: Visit, selector: str) -> None:
    """Go on by the tab key until what has the focus is so."""
    for _ in range(200):
        seen.page.keyboard.press("Tab")
        if seen.page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            return
    raise AssertionError(f"no {selector} has the focus after 200 tabs")


def test_keys_alone_go_from_a_filter_to_its_patch_in_its_picture_and_back(
    browser: Browser, bases: dict[str, str]
) -> None:
    with visit(browser) as seen:
        seen.go(bases["file"] + FILTERS)
        opened = press(seen, "ArrowRight", "Enter")
        assert re.fullmatch(r"#/f/alexcnn/p1/\d+", opened)
        tab_to(seen, "a.column")
        at = re.fullmatch(r"#/p/(\d+)\?l=alexcnn\.p1&at=(\d+),(\d+)", press(seen, "Enter"))
        assert at is not None
        assert f"unit {at[2]}, {at[3]}" in seen.page.inner_text(".units")
        assert "l=alexcnn.c2" in press(seen, "ArrowRight")
        assert "all=1" in press(seen, "g")
        seen.page.go_back()
        assert press(seen) == opened, "what refines a view is not in the history"
        assert press(seen, "Escape") == FILTERS
        assert press(seen, "1") == "#/"
        assert seen.said == []


def test_each_thing_leads_to_the_next_by_one_click(
    browser: Browser, bases: dict[str, str], shown: Shown
) -> None:
    top = Study.open(shown.study.path).network("alexcnn").table("top_patches").to_pylist()
    best = next(row for row in top if (row["layer"], row["channel"], row["rank"]) == ("p1", 2, 0))
    with visit(browser) as seen:
        seen.go(f"{bases['file']}{FILTERS}/2")
        seen.page.click("a.column >> nth=0")
        seen.settle()
        assert seen.hash == f"#/p/{best['picture']}?l=alexcnn.p1&at={best['row']},{best['column']}"
        seen.page.click(".units a:text('the plane of p1')")
        seen.page.wait_for_selector(".side")
        assert re.fullmatch(r"#/s/alexcnn/p1\?patch=\d+", seen.hash)
        seen.draw("b", [(0.3, 0.3), (0.7, 0.7)])
        assert "box=" in seen.hash
        assert "patch=" not in seen.hash
        seen.page.click(".side .filters a[href^='#/f/alexcnn/p1/'] >> nth=0")
        seen.page.wait_for_selector("a.column")
        assert re.fullmatch(r"#/f/alexcnn/p1/\d+", seen.hash)
        assert seen.said == []


def test_a_walk_goes_through_the_pictures_of_the_wall_that_was_looked_at(
    browser: Browser, bases: dict[str, str], shown: Shown
) -> None:
    labels = shown.study.pictures["label"].to_pylist()
    ones = [picture for picture, label in enumerate(labels) if label == 1]
    with visit(browser) as seen:
        seen.go(f"{bases['file']}#/p?c=1")
        seen.page.click(f".wall a[href='#/p/{ones[-2]}']")
        seen.settle()
        assert f"{len(ones) - 1} of the {len(ones)} chosen" in seen.page.inner_text(".title")
        assert press(seen, "ArrowDown") == f"#/p/{ones[-1]}"
        assert press(seen, "ArrowDown") == f"#/p/{ones[-1]}", "the next one is of another class"
        seen.move("#/p")
        seen.page.click(f".wall a[href='#/p/{ones[-1]}']")
        assert press(seen, "ArrowDown") == f"#/p/{ones[-1] + 1}"


def test_dots_of_a_filters_plane_are_reached_by_keys(
    browser: Browser, bases: dict[str, str], shown: Shown
) -> None:
    space = Space.open(Study.open(shown.study.path), "p1", network="alexcnn")
    values = np.asarray(space.vectors)[:, 2]
    with visit(browser) as seen:
        seen.go(f"{bases['file']}{FILTERS}/2")
        seen.page.focus("canvas.dots")
        press(seen, "Home")
        said = seen.page.inner_text(".under")
        patch = int(re.match(r"Patch (\d+) of ", said)[1])  # type: ignore[index]
        assert values[patch] >= values.max() * (1 - 1 / 255)
        places = {patch}
        for key in ("ArrowLeft", "ArrowDown", "ArrowRight", "ArrowUp"):
            press(seen, key)
            places.add(int(re.match(r"Patch (\d+)", seen.page.inner_text(".under"))[1]))  # type: ignore[index]
        assert len(places) > 2
        assert seen.hash == f"{FILTERS}/2", "arrows of the page itself would have gone to other filters"
        press(seen, "Home")
        assert press(seen, "Enter") == f"#/s/alexcnn/p1?patch={patch}"
        assert seen.said == []


def test_colours_and_the_view_beside_are_in_the_address(browser: Browser, bases: dict[str, str]) -> None:
    with visit(browser) as seen:
        seen.go(f"{bases['file']}#/s/alexcnn/p1?a=one&box=0,0,6,5")
        for choice, written in (("class", "b=c"), ("picture", "b=p"), ("filter", r"b=\d+")):
            seen.page.select_option(".picks select >> nth=0", choice)
            seen.settle()
            assert re.search(rf"[?&]{written}(&|$)", seen.hash)
            assert "box=0,0,6,5" in seen.hash
        seen.page.fill(".which input", "3")
        seen.page.keyboard.press("Enter")
        seen.settle()
        assert "b=3" in seen.hash
        assert seen.page.inner_text(".legend a") == "filter 3"
        address = seen.hash
        seen.go(bases["file"] + address)
        assert seen.page.input_value(".which input") == "3"
        assert seen.hash == address


def test_the_finder_leads_to_a_filter_and_the_theme_is_remembered(
    browser: Browser, bases: dict[str, str]
) -> None:
    with visit(browser) as seen:
        seen.go(f"{bases['server']}#/")
        seen.page.keyboard.press("/")
        seen.page.keyboard.type("p1 2")
        assert press(seen, "Enter") == f"{FILTERS}/2"
        before = seen.page.evaluate("document.documentElement.dataset.theme")
        press(seen, "t")
        seen.go(f"{bases['server']}#/")
        assert {before, seen.page.evaluate("document.documentElement.dataset.theme")} == {"dark", "light"}
        press(seen, "?")
        assert "from block to block" in seen.page.inner_text("dialog")
        assert seen.said == []
