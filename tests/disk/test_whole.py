"""Files and folders appear whole or not at all; what cannot be written is one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from layerscope.disk.whole import folder_written_whole, remove_partials, written_whole
from layerscope.errors import OutputError


def write(path: Path, content: bytes) -> None:
    with written_whole(path) as partial:
        partial.write_bytes(content)


def write_folder(path: Path, content: bytes) -> None:
    with folder_written_whole(path) as partial:
        write(partial / "inner", content)


def held(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_file_replaces_the_old_one_and_leaves_it_to_its_readers(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folders" / "one"
    write(path, b"old")
    with path.open("rb") as reader:
        write(path, b"newer")
        assert reader.read() == b"old"
    assert held(tmp_path) == {"new/folders/one": b"newer"}


def test_a_folder_replaces_the_old_one(tmp_path: Path) -> None:
    write_folder(tmp_path / "one", b"old")
    (tmp_path / "one" / "other").write_bytes(b"of the old")
    write_folder(tmp_path / "one", b"new")
    assert held(tmp_path) == {"one/inner": b"new"}


@pytest.mark.parametrize("whole", [written_whole, folder_written_whole])
def test_an_interrupt_leaves_the_old_and_nothing_else(
    tmp_path: Path, whole: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    def interrupted() -> None:
        with whole(tmp_path / "one") as partial:
            (partial / "inner" if partial.is_dir() else partial).write_bytes(b"half")
            raise KeyboardInterrupt

    (write if whole is written_whole else write_folder)(tmp_path / "one", b"old")
    before = held(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert held(tmp_path) == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("written", [write, write_folder])
@pytest.mark.parametrize(
    ("fault", "remedy"), [(errno.ENOSPC, "make room"), (errno.EROFS, "make it writable")]
)
def test_what_cannot_be_written_changes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    written: Callable[[Path, bytes], None],
    fault: int,
    remedy: str,
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(fault, os.strerror(fault))

    written(tmp_path / "one", b"old")
    before = held(tmp_path)
    monkeypatch.setattr(os, "fsync", fail)  # a full disk takes bytes before it has room for them
    with pytest.raises(OutputError) as caught:
        written(tmp_path / "one", b"new")
    monkeypatch.undo()
    assert str(caught.value) == (
        f"{tmp_path / 'one'} cannot be written: {os.strerror(fault)}; {remedy} and run the same again: "
        "what is finished is kept"
    )
    assert held(tmp_path) == before


@pytest.mark.parametrize("place", ["file/one", "file/below/one"])
@pytest.mark.parametrize("written", [write, write_folder])
def test_a_file_in_the_place_of_a_folder(
    tmp_path: Path, written: Callable[[Path, bytes], None], place: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=f"{place} cannot be written: a file is where its folder should be"):
        written(tmp_path / place, b"new")
    assert held(tmp_path) == {"file": b""}


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with pytest.raises(OutputError, match=r"one cannot be written: a folder is where the file should be"):
        write(tmp_path / "one", b"new")
    assert held(tmp_path) == {}


def test_a_written_file_has_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write(tmp_path / "one", b"")
    assert (tmp_path / "one").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_was_left_unfinished_goes(tmp_path: Path) -> None:
    write(tmp_path / "a" / "whole", b"1")
    one, two, three, four = (f".partial-{number:016x}" for number in range(4))
    (tmp_path / "a" / one).write_bytes(b"2")
    (tmp_path / "a" / two / three).mkdir(parents=True)
    (tmp_path / "a" / two / "half").write_bytes(b"3")
    (tmp_path / ".partial-mine").write_bytes(b"4")
    (tmp_path / four).write_bytes(b"5")
    remove_partials(tmp_path, deep=False)
    assert set(held(tmp_path)) == {"a/whole", f"a/{one}", f"a/{two}/half", ".partial-mine"}
    remove_partials(tmp_path)
    assert held(tmp_path) == {"a/whole": b"1", ".partial-mine": b"4"}
    assert len(list((tmp_path / "a").iterdir())) == 1
