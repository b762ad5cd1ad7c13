"""The pages in a real browser, over file:// and over the server: every kind of address, names that mean harm, axe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from layerscope.explorer import site as sites
from layerscope.explorer.export import export_study
from layerscope.explorer.server import Serving, application
from layerscope.explorer.site import INDEX, Site
from tests.support.browsing import axe, chromium, visit
from tests.support.explorer import LONG, Shown
from tests.support.packages import need_built

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.importorskip("playwright")

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
    "no such page": "#/nowhere/at/all",
}
PLANES = {
    "plane": "#/s/alexcnn/p1?a=one&v=7,6,14",
    "region": "#/s/alexcnn/p1?a=fill&v=6,4.3,14&box=0,0,6,5",
    "patch": "#/s/alexcnn/p1?a=one&v=8,7.8,14&patch=7",
    "filter on the plane": "#/s/alexcnn/p1?a=one&v=7,6,14&f=1",
}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def bases(shown: Shown, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Where the pages are: in a folder, and on a server."""
    need_built(sites.PAGE / INDEX, "make web")
    exported = export_study(shown.study, tmp_path_factory.mktemp("site"), comparison=shown.comparison)
    serving = Serving.at(application(Site.open(shown.study, shown.comparison))).start()
    yield {"file": exported.address, "server": serving.address}
    serving.stop()


@pytest.mark.parametrize("where", ["file", "server"])
def test_every_address_restores_its_view_in_a_fresh_browser(
    browser: Browser, bases: dict[str, str], where: str
) -> None:
    found, every = {}, ADDRESSES | PLANES
    for name, address in every.items():
        with visit(browser) as seen:
            seen.go(bases[where] + address)
            found[name] = [seen.hash, *seen.said]
    assert found == {name: [address] for name, address in every.items()}


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", [1440, 400])
def test_pages_can_be_used_by_everybody_and_none_scrolls_sideways(
    browser: Browser, bases: dict[str, str], width: int, theme: str
) -> None:
    script, found = axe(), {}
    with visit(browser, width=width, theme=theme) as seen:
        for name, address in ADDRESSES.items():
            seen.go(bases["server"] + address)
            wide = seen.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if faults := [*seen.violations(script), *([f"{wide} px too wide"] if wide > 0 else [])]:
                found[name] = faults
        assert found == {}
        seen.page.evaluate("document.querySelector('main').append(document.createElement('img'))")
        assert "image-alt" in "".join(seen.violations(script))


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
