"""Scripts of the examples, as they are typed: what is wrong is one line, after how it is used, and no traceback."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from tests.support.packages import need

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = ("fashion.py", "ship.py", "stamps/stamps.py", "stamps/report.py", "stamps/folds.py")
FOLDS = ("stamps/folds.py", "out", "alexcnn", "--root", "nothere")


def refusal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], script: str, *words: str
) -> str:
    """The last line that a script prints when it refuses something."""
    monkeypatch.setattr(sys, "argv", [script, *words])
    monkeypatch.syspath_prepend(str((EXAMPLES / script).parent))
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    printed = capsys.readouterr().err.splitlines()
    return ended.value.code if isinstance(ended.value.code, str) else printed[-1]


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with a file in it."""
    (tmp_path / "file").write_text("none")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        *(((script,), "the following arguments are required: ") for script in SCRIPTS),
        (("fashion.py", "out", "foo"), "invalid choice: 'foo'"),
        (("ship.py", "nothere.safetensors", "x"), "nothere.safetensors"),
        (("stamps/stamps.py", "out", "x"), "argument count: x is not a whole number from 1 on"),
        (("stamps/report.py", "nothere"), "nothere holds no finished training; "),
        ((*FOLDS, "--folds", "7"), "argument --folds: invalid choice: "),
        ((*FOLDS, "--epochs", "0"), "argument --epochs: 0 is not a whole number from 1 on"),
    ],
)
@pytest.mark.usefixtures("_here")
def test_what_cannot_be_is_one_line(
    words: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert said in refusal(monkeypatch, capsys, *words)


@pytest.mark.usefixtures("_here")
def test_pictures_below_a_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    need("/usr/share/datasets/fashion-mnist", "dataset-fashion-mnist")
    said = refusal(monkeypatch, capsys, "fashion.py", "file/out", "test")
    assert said.startswith("file/out cannot be written: a file is where its folder should be; ")
