"""Commands that the pages show are ones that layerscope has, with options that it takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from layerscope.cli.main import main

SOURCE = Path(__file__).parents[2] / "web" / "src"
COMMANDS = SOURCE / "commands.ts"


def commands() -> list[str]:
    """Every command of the pages, a word in place of each value."""
    templates = re.findall(r"`(layerscope .*)`;", COMMANDS.read_text())
    return [re.sub(r"\$\{part\}", "rows", template) for template in templates]


def parse(words: list[str]) -> str:
    """The whole name of the command; raises click.UsageError for what it does not take."""
    command: click.Command = main
    path = []
    while isinstance(command, click.Group):
        path.append(words[0])
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            raise click.UsageError(f"no command {words[0]}")
        command, words = found, words[1:]
    command.make_context(path[-1], list(words)).close()
    return " ".join(path)


@pytest.mark.parametrize("command", commands())
def test_every_command_of_the_pages_parses(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study").mkdir()
    words = shlex.split(
        re.sub(r"\$\{quoted\(study\)\}", "study", re.sub(r"\$\{quoted\((?!study)\w+\)\}", "name", command))
    )
    assert words[0] == "layerscope"
    assert "${" not in " ".join(words)
    assert parse(words[1:]) in {"space make", "pages", "compare", "serve"}


def test_a_command_that_does_not_exist_does_not_parse(tmp_path: Path) -> None:
    for words in (["space", str(tmp_path), "--layer", "c3"], ["pages", str(tmp_path), "--filter", "all"]):
        with pytest.raises(click.UsageError):
            parse(words)


def test_no_command_stands_elsewhere_in_the_pages() -> None:
    shown = re.compile(rf"layerscope ({'|'.join(main.commands)}) ")
    for file in SOURCE.rglob("*.ts*"):
        lines = [
            line for line in file.read_text().splitlines() if not line.lstrip().startswith(("//", "*", "/*"))
        ]
        assert file == COMMANDS or not shown.search("\n".join(lines)), file
