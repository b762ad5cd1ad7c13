"""What the command line prints is safe for a terminal: names of files that it would obey are escaped."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from layerscope.cli.main import main
from layerscope.cli.options import say

EVIL = "a\x1b]0;owned\x07b\x1b[31m\x9b"


def test_lines_are_printed_with_what_does_not_print_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"one\n{EVIL} ü")
    say(Path("x\rover"), err=True)
    printed = capsys.readouterr()
    assert printed.out == "one\na\\x1b]0;owned\\x07b\\x1b[31m\\x9b ü\n"
    assert printed.err == "x\\rover\n"


def test_a_bad_picture_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / f"{EVIL}.png").write_text("no picture")
    words = ["reconstruct", str(tmp_path / "a"), "-n", "alexcnn", "-w", "random", "--input-size", "64"]
    result = CliRunner().invoke(main, [*words, "--width", "0.05", "--out", str(tmp_path / "out")])
    (line,) = [line for line in result.output.splitlines() if "owned" in line]
    assert line.startswith("skipped ")
    assert line.count("owned") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["filters", EVIL],
        ["layers", EVIL],
        [EVIL],
        ["study", EVIL, "-n", "alexcnn", "--width", "0.05", "--input-size", "64", "--out", "s"],
        ["space", "region", EVIL, "0,0,1,1"],
    ],
)
def test_errors_are_too(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, words)
    assert result.exit_code in (1, 2)
    assert "owned" in result.output
    assert all(character.isprintable() for character in result.output.rstrip("\n"))
