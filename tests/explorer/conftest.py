"""One small study for all tests of the pages; to be read only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from layerscope.explorer import site as sites
from layerscope.explorer.site import INDEX, Site
from tests.support.explorer import Shown, make_shown


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return make_shown(tmp_path_factory.mktemp("explorer"))
    finally:
        torch.set_num_threads(threads)


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
