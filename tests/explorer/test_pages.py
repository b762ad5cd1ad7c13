"""The pages in a real browser, over file:// and over the server: every kind of address, names that mean harm, axe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from layerscope.explorer.site import Site
from tests.support.browsing import Theme, visit
from tests.support.explorer import LONG
from tests.support.marks import slow_but

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.importorskip("playwright")

THEMES: tuple[Theme, ...] = ("dark", "light")
ADDRESSES = {
    "overview": "#/",
    "picture in the blocks": "#/?p=2",
    "pictures": "#/p",
    "a class": "#/p?c=0",
    "picture": "#/p/3?l=alexcnn.p1&at=2,3",
    "bad picture": "#/p/4",
    "all layers": "#/p/3?all=1",
    "filters": "#/f/alexcnn/p1?sort=number&show=patches",
    "filter": "#/f/alexcnn/p1/2",
    "filters of scores": "#/f/vggcnn/fc8",
    "pair": "#/c/alexcnn/vggcnn",
    "cell": "#/c/alexcnn/vggcnn/c2:c1_1?m=procrustes",
    "plane": "#/s/alexcnn/p1",
    "region": "#/s/alexcnn/p1?a=fill&box=0,0,6,5",
    "view": "#/s/alexcnn/p1?a=one&v=6,4.3,12&poly=BQBQGQBYDIGI",
    "patch": "#/s/alexcnn/p1?a=points&patch=7",
    "filter on the plane": "#/s/alexcnn/p1?a=one&f=1",
    "class on the plane": "#/s/alexcnn/p1?c=1",
    "pair of filters": "#/c/alexcnn/vggcnn/c2.1:c1_1.0",
    "no such page": "#/nowhere/at/all",
}


@pytest.mark.parametrize("where", slow_but(["file"], ["file", "server"]))
def test_every_address_restores_its_view_in_a_fresh_browser(
    browser: Browser, bases: dict[str, str], where: str
) -> None:
    found = {}
    for name, address in ADDRESSES.items():
        with visit(browser) as seen:
            seen.go(bases[where] + address)
            found[name] = [seen.hash, *seen.said]
    assert found == {name: [address] for name, address in ADDRESSES.items()}


@pytest.mark.parametrize("width", [1440, 400])
def test_pages_can_be_used_by_everybody_and_none_scrolls_sideways(
    browser: Browser, bases: dict[str, str], width: int
) -> None:
    """In one page, which goes from address to address, and is seen in one theme after the other."""
    found: dict[str, list[str]] = {}
    with visit(browser, width=width) as seen:
        seen.go(bases["server"])
        for name, address in ADDRESSES.items():
            seen.move(address)
            for theme in THEMES:
                seen.turn(theme)
                wide = seen.page.evaluate("document.documentElement.scrollWidth - innerWidth")
                if faults := [*seen.violations(), *([f"{wide} px too wide"] if wide > 0 else [])]:
                    found[f"{name}, {theme}"] = faults
        assert found == {}
        seen.page.evaluate("document.querySelector('main').append(document.createElement('img'))")
        assert "image-alt" in "".join(seen.violations())
        seen.page.evaluate("document.querySelector('h1').style.color = '#bbb'")
        assert "color-contrast" in "".join(seen.violations())


def test_names_that_mean_harm_are_text(browser: Browser, bases: dict[str, str], site: Site) -> None:
    names = site.study.pictures["name"].to_pylist()
    picture = next(place for place, name in enumerate(names) if "onerror" in name)
    with visit(browser) as seen:
        for address in ("#/p", f"#/p/{picture}", "#/", "#/p?c=0"):
            seen.go(bases["server"] + address)
            assert seen.page.locator("img[onerror], main script").count() == 0
        seen.go(f"{bases['server']}#/p/{picture}")
        assert names[picture].rpartition("/")[2] in seen.page.inner_text("h1")
        long = next(place for place, name in enumerate(names) if LONG in name)
        seen.go(f"{bases['server']}#/p/{long}")
        assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert seen.said == []
        seen.page.evaluate(  # what would have been seen
            "document.body.append(Object.assign(document.createElement('script'), {textContent: 'alert(1)'}))"
        )
        seen.settle()
        assert any("CSP: script-src" in said for said in seen.said)
        assert not any("dialog" in said for said in seen.said)
