"""The hook that puts the built pages into wheels: when it builds, when it need not, and that none is made without."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from layerscope.explorer.site import INDEX

ROOT = Path(__file__).parents[1]


@pytest.fixture
def built(tmp_path: Path) -> Any:
    """The hook's module, in which npm and node only say that they were called."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hook(module: Any, root: Path) -> Any:
    return module.PagesHook(str(root), {}, None, None, "", "wheel")


def write_page(module: Any, root: Path) -> None:
    (root / module.PAGE).mkdir(parents=True)
    (root / module.PAGE / INDEX).write_text("page")


def test_built_pages_are_taken_as_they_are(
    built: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(built, "run", lambda *_: pytest.fail("built again"))
    write_page(built, tmp_path)
    data: dict[str, Any] = {"artifacts": []}
    hook(built, tmp_path).initialize("standard", data)
    assert data["artifacts"] == [f"/{built.PAGE}/*"]
    monkeypatch.setattr(built.shutil, "which", lambda _: None)
    assert hook(built, tmp_path).dependencies() == []


def test_pages_are_built_where_there_are_none(
    built: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []

    def run(words: Sequence[str], folder: Path) -> int:
        called.append((*words[:2], folder))
        if words[0] == "node":
            write_page(built, tmp_path)
        return 0

    monkeypatch.setattr(built, "run", run)
    data: dict[str, Any] = {"artifacts": []}
    hook(built, tmp_path).initialize("standard", data)
    assert called == [("npm", "ci", tmp_path / "web"), ("node", "build.mjs", tmp_path / "web")]
    assert data["artifacts"]


def test_no_wheel_is_made_without_pages(built: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(built, "run", lambda words, _: int(words[0] == "node"))
    with pytest.raises(RuntimeError, match=r"node build.mjs in .* ended with code 1"):
        hook(built, tmp_path).initialize("standard", {"artifacts": []})
    monkeypatch.setattr(built, "run", lambda *_: 0)
    with pytest.raises(RuntimeError, match=r"holds no index\.html"):
        hook(built, tmp_path).initialize("standard", {"artifacts": []})


def test_an_editable_install_needs_no_pages_and_no_node(
    built: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(built, "run", lambda *_: pytest.fail("built"))
    hook(built, tmp_path).initialize("editable", {"artifacts": []})
    monkeypatch.setattr(built.shutil, "which", lambda _: None)
    monkeypatch.setattr(built.sys, "argv", ["_in_process.py", "get_requires_for_build_editable"])
    assert hook(built, tmp_path).dependencies() == []
    monkeypatch.setattr(built.sys, "argv", ["_in_process.py", "get_requires_for_build_wheel"])
    assert hook(built, tmp_path).dependencies() == [built.NODE]
    monkeypatch.setattr(built.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert hook(built, tmp_path).dependencies() == []
