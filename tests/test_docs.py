"""The documentation does what it says: every command and every block of Python is run, every link followed."""

import contextlib
import doctest
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import click
import duckdb
import numpy as np
import pytest
import skimage
from click.testing import CliRunner
from PIL import Image

import layerscope
from layerscope.cli.main import main

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))
WINGS = tuple(f"layerscope.{stub.parent.name}" for stub in (ROOT / "src/layerscope").glob("*/__init__.pyi"))
LINKED = (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md")

_FENCE = re.compile(r"^```(?P<head>[^\n`]*)\n(?P<body>.*?)^```$\n?(?P<gap>\n*)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_LIKE_DOCTEST = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its file name if it has one, and what it must print."""

    language: str
    title: str
    text: str
    prints: str | None


def blocks(page: str) -> list[Block]:
    """The blocks of a page; a ``text`` block that follows one at once is what that one prints."""
    fences = list(_FENCE.finditer(page))
    found = []
    for fence, after in pairwise([*fences, None]):
        assert fence is not None
        language, _, rest = fence["head"].strip().partition(" ")
        title = re.search(r'title="([^"]+)"', rest)
        follows = after is not None and after.start() == fence.end() and after["head"].strip() == "text"
        prints = after["body"] if after is not None and follows else None
        found.append(Block(language, title[1] if title else "", fence["body"], prints))
    return found


def commands(text: str) -> list[tuple[list[str], int]]:
    """The words of each line that begins with layerscope, and the exit code it says."""
    lines = (line for line in text.replace("\\\n", " ").splitlines() if line.startswith("layerscope "))
    found = []
    for line in lines:
        code = re.search(r"# exit code (\d+)$", line)
        found.append((shlex.split(line, comments=True)[1:], int(code[1]) if code else 0))
    return found


def same(expected: str, printed: str) -> bool:
    """Whether a block prints what the page says; ``...`` stands for anything."""
    return doctest.OutputChecker().check_output(expected, printed, _LIKE_DOCTEST)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with the files that the pages mention; modules made in it are forgotten afterwards."""
    chelsea = Path(skimage.__file__).parent / "data" / "chelsea.png"
    (tmp_path / "photos").mkdir()
    shutil.copy(chelsea, tmp_path / "photos")
    Image.open(chelsea).save(tmp_path / "cat.jpg")
    for name in ("classes/cat", "classes/grass"):
        (tmp_path / name).mkdir(parents=True)
    for place in range(4):
        Image.open(chelsea).crop((60 * place, 0, 60 * place + 90, 90)).save(
            tmp_path / f"classes/cat/{place}.png"
        )
        Image.new("RGB", (90, 90), (60, 120 + 9 * place, 40)).save(tmp_path / f"classes/grass/{place}.png")
    for scene, name in product("ab", ("B02", "B03", "B04", "B08")):
        (tmp_path / "scenes" / scene).mkdir(parents=True, exist_ok=True)
        band = np.random.default_rng(ord(scene)).integers(0, 4000, (70, 70), np.uint16)
        Image.fromarray(band).save(tmp_path / "scenes" / scene / f"{name}.tif")
    np.save(tmp_path / "mean.npy", np.full((64, 64, 3), 110.0, np.float32))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "figures").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def run_python(block: Block, names: dict[str, Any]) -> str:
    """Run a block, or write it to the file it names. Returns what it printed."""
    if block.title:
        Path(block.title).write_text(block.text, "utf-8")
        return ""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, "<page>", "exec"), names)
    return printed.getvalue()


def run_commands(block: Block) -> str:
    """Run a block's commands of layerscope, each to the exit code it says. Returns what they printed."""
    printed = ""
    for words, code in commands(block.text):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == code, (
            f"layerscope {shlex.join(words)}: {result.output}{result.exception!r}"
        )
        printed += result.stdout if code == 0 else result.output
    return printed


#: pages that take ten seconds or more
LONG = ("README.md", "space.md", "tutorial.md", "reconstruct.md", "study.md", "explorer.md", "layers.md")


def readings() -> Iterator[Any]:
    """The pages that are read in one folder: two that compare the same networks, else each by itself."""
    together = (ROOT / "README.md", DOCS / "compare.md")
    for pages in [together, *((page,) for page in PAGES if page not in together)]:
        marks = [pytest.mark.slow] if pages[0].name in LONG else []
        yield pytest.param(pages, marks=marks, id=", ".join(page.name for page in pages))


@pytest.mark.parametrize("pages", [*readings()])
@pytest.mark.usefixtures("folder")
def test_what_pages_say_can_be_run(pages: tuple[Path, ...]) -> None:
    for page in pages:
        read(page)


def read(page: Path) -> None:
    """Run what a page shows, and compare what it prints."""
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page.read_text("utf-8")):
        if block.language == "sql":
            assert duckdb.execute(block.text).fetchall(), f"{block.text}\nfinds nothing"
        if block.language not in ("bash", "python"):
            continue
        printed = run_python(block, names) if block.language == "python" else run_commands(block)
        assert block.prints is None or same(block.prints, printed), f"{block.text}\nprinted\n{printed}"


def test_blocks_are_read() -> None:
    page = "```bash\nls\nlayerscope a \\\n  b  # exit code 3\n```\n\n```text\nx ... z\n```\n"
    page += '\nand\n\n```python title="a.py"\n1\n```\n'
    shell, text, python = blocks(page)
    assert (shell.language, text.language, python.language) == ("bash", "text", "python")
    assert commands(shell.text) == [(["a", "b"], 3)]
    assert python.title == "a.py"
    assert python.prints is None
    assert same(shell.prints or "", "x  y z\n")
    assert not same(shell.prints or "", "x y\n")


@pytest.mark.usefixtures("folder")
def test_a_wrong_block_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no network"):
        run_commands(Block("bash", "", "layerscope layers nonesuch\n", None))
    with pytest.raises(ZeroDivisionError):
        run_python(Block("python", "", "1 / 0\n", None), {})


# ------------------------------------------------------------------ commands that take too long


def typed(page: str) -> list[str]:
    """The lines of a page that are shown as typed, and what stands after layerscope in torchrun's."""
    text = "".join(block.text for block in blocks(page) if block.language == "console")
    lines = [
        line.removeprefix("$ ") for line in text.replace("\\\n", " ").splitlines() if line.startswith("$ ")
    ]
    return [re.sub(r"^torchrun .* -m layerscope ", "layerscope ", line) for line in lines]


def understood(words: Sequence[str]) -> None:
    """Raise click's error for a command, an option or a choice that layerscope does not have; nothing is run."""
    command: click.Command = main
    rest = list(words)
    while isinstance(command, click.Group):
        name = rest.pop(0)
        assert name in command.commands, f"no command {name}"
        command = command.commands[name]
    context = click.Context(command, info_name=command.name)
    given, left, _ = command.make_parser(context).parse_args(rest)
    assert not left, left
    for parameter in command.params:
        if parameter.name in given and not isinstance(parameter.type, click.Path):
            parameter.type_cast_value(context, given[parameter.name])


def exists(words: Sequence[str]) -> bool:
    """Whether a target of make, or a script that python is given, is there."""
    program, first = words[0], words[1]
    if program == "make":
        return re.search(rf"^{first}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE) is not None
    return program != "python" or (ROOT / first).is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_too_long_to_run_is_understood(page: Path) -> None:
    for line in typed(page.read_text("utf-8")):
        words = shlex.split(line, comments=True)
        if words[0] == "layerscope":
            understood(words[1:])
        assert exists(words), line


def test_what_is_not_understood_is_noticed() -> None:
    assert typed("```console\n$ torchrun --n 2 -m layerscope train x\nprinted\n```\n") == [
        "layerscope train x"
    ]
    understood(["study", "photos", "-n", "vgg16"])
    for wrong in ("study photos --network", "study photos --netwerk a", "train a b --dtype float7 --out x"):
        with pytest.raises(click.UsageError):
            understood(wrong.split())
    with pytest.raises(AssertionError, match="no command stady"):
        understood(["stady"])
    assert not exists(["make", "papier"])
    assert not exists(["python", "examples/none.py"])


# ------------------------------------------------------------------ links


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings; in the reference, also the public names."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    headings = (
        re.sub(r"[^\w\s-]", "", line).strip().lower() for line in re.findall(r"^#+ (.+)$", text, re.M)
    )
    found = {re.sub(r"[-\s]+", "-", heading) for heading in headings}
    return found | set(re.findall(r"^::: (\S+)$", text, re.MULTILINE))


def broken_links(page: Path) -> list[str]:
    """Links of a page to files that are not there, or to places that their page has not."""
    broken = []
    for target in (match["target"] for match in _LINK.finditer(_FENCE.sub("", page.read_text("utf-8")))):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = page if not path else page.parent / path
        if not file.is_file() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("# A b\n[x](#a-b) ![y](no.png) [z](a.md#c) [w](https://example.org)\n")
    assert broken_links(page) == ["no.png", "a.md#c"]


def test_no_figure_is_forgotten_or_heavy() -> None:
    text = "".join(page.read_text("utf-8") for page in LINKED)
    for figure in (DOCS / "figures").iterdir():
        assert f"figures/{figure.name}" in text, figure
        assert figure.stat().st_size < 700_000, figure


# ------------------------------------------------------------------ nothing is left out


def public_names() -> set[str]:
    """Of the package and of its wings, with the whole path."""
    wings = [layerscope, *(import_module(name) for name in WINGS)]
    return {f"{w.__name__}.{n}" for w in wings for n in vars(w)["__all__"] if not n.startswith("__")}


def options(command: click.Command, name: str) -> Iterator[str]:
    """The names of a command and of those below it, and their options."""
    yield name
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield from (option for option in parameter.opts if option.startswith("--"))
    if isinstance(command, click.Group):
        for below, inner in command.commands.items():
            yield from options(inner, f"{name} {below}")


@pytest.mark.parametrize("word", sorted(set(options(main, "layerscope")) - {"--version"}))
def test_every_command_and_option_is_documented(word: str) -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text), word


def test_every_public_name_is_in_the_reference() -> None:
    reference = anchors(DOCS / "reference.md")
    assert public_names() == {a for a in reference if a.startswith("layerscope.")}


def test_every_field_of_the_results_is_documented(folder: Path) -> None:
    words = "reconstruct cat.jpg broken.jpg -n alexcnn --width 0.1 -w random --out o --layers c1"
    words += " --unit c5:1@2,3 --class 7"
    assert CliRunner().invoke(main, words.split()).exit_code == 3
    page = (DOCS / "reconstruct.md").read_text("utf-8")
    fields = set(_keys(json.loads((folder / "o" / "results.json").read_text("utf-8")))) - {"alexcnn"}
    assert len(fields) > 20
    assert {field for field in fields if f"`{field}`" not in page} == set()


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _keys(inner)


# ------------------------------------------------------------------ the site


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of ``folder/docs`` into ``folder/site``."""
    shutil.copy(ROOT / "mkdocs.yml", folder)
    (folder / "src").symlink_to(ROOT / "src")
    zensical = Path(sys.executable).with_name("zensical")
    command = [str(zensical), "build", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    built = build(tmp_path)
    assert built.returncode == 0, built.stdout + built.stderr
    site = (tmp_path / "site" / "reference" / "index.html").read_text("utf-8")
    assert all(f'id="{name}"' in site for name in public_names())
    assert "fonts.g" not in site


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("[x](nosuch.md)", "page does not exist"),
        ("[x](#nosuch)", "anchor does not exist"),
        ("[x][layerscope.nosuch]", "unresolved autoref"),
        ("::: layerscope.nosuch", "Could not collect 'layerscope.nosuch'"),
    ],
)
def test_the_site_is_not_built_with_a_broken_link_or_name(tmp_path: Path, fault: str, complaint: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# A\n\n{fault}\n", "utf-8")
    built = build(tmp_path)
    assert built.returncode != 0
    assert complaint in built.stdout + built.stderr


def test_the_menu_has_every_page_once() -> None:
    menu = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert sorted(menu) == sorted(page.name for page in DOCS.glob("*.md"))
