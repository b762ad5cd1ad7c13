"""One small study for all tests of the pages; to be read only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from layerscope.explorer import site as sites
from layerscope.explorer.export import export_study
from layerscope.explorer.server import Serving, application
from layerscope.explorer.site import INDEX, Site
from layerscope.study.folder import Study
from tests.support.browsing import chromium
from tests.support.explorer import Shown, make_shown
from tests.support.packages import need_built

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """Made by the process of the tests that needs it first, and read by all."""
    several = "PYTEST_XDIST_WORKER" in os.environ
    top = (
        tmp_path_factory.getbasetemp().parent / "explorer" if several else tmp_path_factory.mktemp("explorer")
    )
    top.mkdir(exist_ok=True)
    with FileLock(top / "making"):
        if (top / "made").exists():
            return Shown(Study.open(top / "study"), Study.open(top / "comparison"))
        made = make_shown(top)
        (top / "made").touch()
        return made


@pytest.fixture(scope="session")
def site(shown: Shown) -> Site:
    return Site.open(shown.study, shown.comparison)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Path]:
    """A page of two files in place of the built one."""
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / INDEX).write_text("<!doctype html>")
    (folder / "app.js").write_text("0;")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sites, "PAGE", folder)
        yield folder


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
