"""The gallery's runs: they go on where one stopped, make anew what changed, and say once what is wrong."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from layerscope.errors import ImageError, NetworkError, OutputError, UnsupportedOperationError
from layerscope.gallery import folder as room
from layerscope.gallery.folder import Gallery, Look, make_gallery, show_reconstructions
from layerscope.network.network import Network, Unit
from layerscope.progress import Progress
from layerscope.reconstruction.rules import GUIDED
from tests.support.exhibits import (
    FEW,
    SMALL,
    contents,
    own,
    picture,
    pictures,
    results,
    small_network,
    unlike,
)
from tests.support.looking import images, words


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The networks that looked at a picture, in turn: what is kept is not looked at again."""
    seen: list[str] = []
    exhibit = room.exhibit

    def counted(network: Network, *rest: Any) -> Any:
        seen.append(network.weights)
        return exhibit(network, *rest)

    monkeypatch.setattr(room, "exhibit", counted)
    return seen


# ------------------------------------------------------------------ going on


def test_a_second_run_looks_at_nothing_again(network: Network, tmp_path: Path, looks: list[str]) -> None:
    gallery, files = Gallery(tmp_path / "out", (network,), FEW), pictures(tmp_path, 3)
    make_gallery(gallery, files)
    first = contents(tmp_path / "out")
    assert len(looks) == 3
    make_gallery(Gallery(tmp_path / "out", (small_network(),), FEW), files)
    assert len(looks) == 3
    assert contents(tmp_path / "out") == first


@pytest.mark.parametrize("interrupted_in", ["exhibit", "write_png", "_write_json", "reconstruction_figure"])
def test_an_interrupted_run_goes_on_and_ends_the_same(
    network: Network, tmp_path: Path, looks: list[str], monkeypatch: pytest.MonkeyPatch, interrupted_in: str
) -> None:
    files = pictures(tmp_path, 3)
    gallery = Gallery(tmp_path / "out", (network,), FEW)
    make_gallery(replace(gallery, folder=tmp_path / "undisturbed"), files)
    looks.clear()
    after = {"exhibit": 2, "write_png": 10, "_write_json": 2, "reconstruction_figure": 0}
    with monkeypatch.context() as patch:
        patch.setattr(room, interrupted_in, stopping(getattr(room, interrupted_in), after[interrupted_in]))
        with pytest.raises(KeyboardInterrupt):
            make_gallery(gallery, files)
    kept = len([*(tmp_path / "out").glob("panels/*/alexcnn")])
    assert kept == (3 if interrupted_in == "reconstruction_figure" else 2)
    assert not [*(tmp_path / "out").rglob(".*")]
    looks.clear()
    make_gallery(gallery, files)
    assert len(looks) == 3 - kept
    assert unlike(tmp_path / "out", tmp_path / "undisturbed") == []


def stopping(function: Callable[..., Any], after: int) -> Callable[..., Any]:
    """The function, but its call after so many is an interrupt."""
    left = iter(range(after))

    def stopped(*arguments: Any, **named: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return function(*arguments, **named)

    return stopped


def test_leftovers_of_a_killed_run_are_removed_and_other_files_stay(network: Network, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "panels/0/.partial-0123456789abcdef").mkdir(parents=True)
    (out / "panels/0/.partial-0123456789abcdef/input.png").touch()
    for name in (".partial-0123456789abcdef", ".mine.part", "notes.txt"):
        (out / name).touch()
    (out / "other").mkdir()
    (out / "other/.partial-0123456789abcdef").touch()  # a program's that is at work there
    make_gallery(Gallery(out, (network,), FEW), pictures(tmp_path, 1))
    hidden = {str(p.relative_to(out)) for p in out.rglob(".*")}
    assert hidden == {".mine.part", "other/.partial-0123456789abcdef"}
    assert (out / "notes.txt").is_file()


CHANGES: dict[str, Callable[[Gallery], Gallery]] = {
    "rule": lambda g: replace(g, look=replace(FEW, rule=GUIDED)),
    "overlap": lambda g: replace(g, look=replace(FEW, rule=replace(FEW.rule, overlap="overwrite"))),
    "layers": lambda g: replace(g, look=replace(FEW, layers=("c1", "c2"))),
    "units": lambda g: replace(g, look=replace(FEW, units=(Unit("c1", 0),))),
    "display": lambda g: replace(g, look=replace(FEW, display="minmax")),
    "classes": lambda g: changed(g, classes=tuple("abcdefghij")),
    "precision": lambda g: replace(g, networks=(g.networks[0].to(dtype=torch.bfloat16),)),
    "values": lambda g: changed(g, graph=doubled(g.networks[0])),
    "preprocessing": lambda g: changed(g, preprocessing=replace(g.networks[0].preprocessing, resize=64)),
}


def changed(gallery: Gallery, **values: Any) -> Gallery:
    return replace(gallery, networks=(replace(gallery.networks[0], **values),))


def doubled(network: Network) -> Any:
    """The network's graph with other values in one tensor, everything it says about itself the same."""
    tensors = {**network.graph.tensors}
    tensors["fc8.weight"] = 2 * tensors["fc8.weight"]
    return replace(network.graph, tensors=tensors)


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_result_is_made_anew(
    network: Network, tmp_path: Path, looks: list[str], change: str
) -> None:
    gallery, files = Gallery(tmp_path / "out", (network,), FEW), pictures(tmp_path, 1)
    other = CHANGES[change](gallery)
    make_gallery(gallery, files)
    make_gallery(other, files)
    make_gallery(replace(other, folder=tmp_path / "fresh"), files)
    assert len(looks) == 3
    assert unlike(tmp_path / "out", tmp_path / "fresh") == []


@pytest.mark.parametrize("lost", ["numbers.json", "input.png", "002-p2.png"])
def test_a_changed_picture_and_a_lost_file_are_made_anew(
    network: Network, tmp_path: Path, looks: list[str], lost: str
) -> None:
    gallery, files = Gallery(tmp_path / "out", (network,), FEW), pictures(tmp_path, 3)
    make_gallery(gallery, files)
    picture(files[0], seed=9)
    (tmp_path / "out/panels/1/alexcnn" / lost).unlink()
    make_gallery(gallery, files)
    make_gallery(replace(gallery, folder=tmp_path / "fresh"), files)
    assert len(looks) == 3 + 2 + 3
    assert unlike(tmp_path / "out", tmp_path / "fresh") == []


@pytest.mark.parametrize("spoilt", ["numbers.json", "input.png", "002-p2.png"])
@pytest.mark.parametrize("content", ["", "{}", "[1]"])
def test_a_damaged_file_is_made_anew(
    network: Network, tmp_path: Path, looks: list[str], spoilt: str, content: str
) -> None:
    gallery, files = Gallery(tmp_path / "out", (network,), FEW), pictures(tmp_path, 2)
    make_gallery(gallery, files)
    before = contents(tmp_path / "out")
    (tmp_path / "out/panels/1/alexcnn" / spoilt).write_text(content)
    make_gallery(gallery, files)
    assert len(looks) == 3
    assert contents(tmp_path / "out") == before


# ------------------------------------------------------------------ two at once

PROGRAM = """
import sys
from pathlib import Path
from layerscope.gallery.folder import Gallery, make_gallery
from tests.support.exhibits import FEW, pictures, small_network

def wait(done):
    if done.share:
        print("at", done.detail[0], flush=True)
        sys.stdin.readline()

out = Path(sys.argv[1])
make_gallery(Gallery(out, (small_network(),), FEW), pictures(out.parent, 2), progress=wait)
"""


@pytest.mark.slow
def test_two_processes_do_not_meet(network: Network, tmp_path: Path, looks: list[str]) -> None:
    """The second is refused with one line and touches nothing; what the first leaves when killed hinders nobody."""
    out, pipe = tmp_path / "out", subprocess.PIPE
    gallery, files = Gallery(out, (network,), FEW), pictures(tmp_path, 2)
    command, root = [sys.executable, "-c", PROGRAM, str(out)], Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"at 1\n"
        before = contents(out)
        with pytest.raises(OutputError) as caught:
            make_gallery(gallery, files)
        words = ["reconstruct", str(files[0]), *SMALL, "--out", str(out)]
        second = subprocess.run(
            [sys.executable, "-m", "layerscope", *words], capture_output=True, text=True, check=False
        )
        assert contents(out) == before
        first.kill()
    refusal = f"{out} is in use by another process; wait for it, or name another folder"
    assert str(caught.value) == refusal
    assert (second.returncode, second.stdout, second.stderr) == (1, "", f"Error: {refusal}\n")
    assert looks == []
    # The rest in processes as fresh as the first: the same bytes are promised of the same command.
    for folder in (out, tmp_path / "fresh"):
        again = [*command[:-1], str(folder)]
        subprocess.run(again, cwd=root, stdin=subprocess.DEVNULL, stdout=pipe, check=True)
    assert unlike(out, tmp_path / "fresh") == []
    assert "lock" not in (out / "results.json").read_text("utf-8")


# ------------------------------------------------------------------ what goes wrong


@pytest.fixture
def mixed(tmp_path: Path) -> list[Path]:
    """Good, truncated, good, empty."""
    good, cut, also_good, empty = pictures(tmp_path / "mixed", 4)
    cut.write_bytes(cut.read_bytes()[:900])
    empty.write_bytes(b"")
    return [good, cut, also_good, empty]


def test_broken_pictures_are_named_and_left_out(network: Network, tmp_path: Path, mixed: list[Path]) -> None:
    steps: list[Progress] = []
    reported: list[Path] = []
    gallery = Gallery(tmp_path / "out", (network,), FEW)
    _, bad = make_gallery(gallery, mixed, progress=steps.append, report=lambda b: reported.append(b.path))
    assert [b.path for b in bad] == reported == [mixed[1], mixed[3]]
    assert [step.detail for step in steps] == [f"{n} of 4 pictures" for n in range(5)]
    told = results(tmp_path / "out")
    assert [p["picture"] for p in told["pictures"]] == ["0", "2"]
    assert told["skipped"] == [{"file": str(b.path), "reason": b.reason} for b in bad]
    assert [b.reason.partition(" (")[0].partition(";")[0] for b in bad] == [
        "broken or truncated",
        "the file is empty",
    ]
    assert sorted(p.name for p in (tmp_path / "out/panels").iterdir()) == ["0", "2"]


def test_all_broken_leaves_no_figure_of_an_earlier_run(
    network: Network, tmp_path: Path, mixed: list[Path]
) -> None:
    gallery = Gallery(tmp_path / "out", (network,), FEW)
    make_gallery(gallery, mixed[:1])
    made, bad = make_gallery(gallery, [mixed[1], mixed[3]])
    assert [p.name for p in made] == ["results.json"]
    assert len(bad) == 2
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["lock", "panels", "results.json"]


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_made(network: Network, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        OutputError, match=rf"{place} cannot be written: a file is where .*; name another place$"
    ):
        make_gallery(Gallery(tmp_path / place, (network,), FEW), pictures(tmp_path, 1))


@pytest.mark.parametrize("room_for", [0, 2, 5])
def test_a_full_disk_is_one_error_and_the_rest_goes_on_later(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room_for: int
) -> None:
    gallery, files = Gallery(tmp_path / "out", (network,), FEW), pictures(tmp_path, 2)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", filling_up(room_for))
        with pytest.raises(
            OutputError, match=r"alexcnn cannot be written: No space left on device; make room"
        ) as error:
            make_gallery(gallery, files)
    assert "\n" not in str(error.value)
    assert ".partial" not in str(error.value)
    assert not [*(tmp_path / "out").rglob(".*")]
    make_gallery(gallery, files)
    make_gallery(replace(gallery, folder=tmp_path / "fresh"), files)
    assert unlike(tmp_path / "out", tmp_path / "fresh") == []


def filling_up(files_left: int) -> Callable[[Path, bytes], int]:
    write, left = Path.write_bytes, iter(range(files_left))

    def written(path: Path, data: bytes) -> int:
        if next(left, None) is None:
            write(path, b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    return written


@pytest.mark.parametrize(
    ("look", "message"),
    [
        (Look(("c1", "c9")), "alexcnn has no layer 'c9'; did you mean c5, c4, c3"),
        (Look(("c1",), (Unit("c1", 10),)), "c1 has channels 0 to 9, not 10"),
        (Look(("c1",), (Unit("nope", 1),)), "alexcnn has no layer 'nope'"),
        (Look(("c1",), (Unit("c5", 1, 3, 0),)), "c5 is 3x3: it has no position 3,0"),
        (Look(("c1",), classes=(10,)), "alexcnn has classes 0 to 9, not 10"),
        (Look(()), "alexcnn has no layers"),
    ],
)
def test_a_wrong_look_is_refused_before_any_work(
    network: Network, tmp_path: Path, look: Look, message: str
) -> None:
    with pytest.raises(NetworkError, match=message) as error:
        make_gallery(Gallery(tmp_path / "out", (network,), look), pictures(tmp_path, 1))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(NetworkError, match=message):
        show_reconstructions(network, [], look)


def test_what_a_network_cannot_show_is_refused(network: Network, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="own has none of the layers c1; name one of its own too"):
        show_reconstructions([network, own()], [], Look(("c1",)))
    with pytest.raises(ImageError, match=r"it has 3 channels .* and the network takes 2"):
        show_reconstructions(small_network(channels=2), [picture(tmp_path / "a.png")])
    with pytest.raises(UnsupportedOperationError, match="deconvnet has no rule for hardtanh in '2'"):
        show_reconstructions(own(nn.Hardtanh()), [])
    with pytest.raises(NetworkError, match="there is no network"):
        show_reconstructions([], [])


def test_a_figure_can_be_had_without_a_folder(network: Network, tmp_path: Path) -> None:
    file, other = picture(tmp_path / "a.png"), picture(tmp_path / "b.png", 1)
    with Image.open(file) as image:
        figure = show_reconstructions(network, [file, image, str(other)], FEW)
    assert len(images(figure)) == 3 * (1 + 3)
    assert {"alexcnn", "c1", "p2", "fc8", "a", "picture 2", "b"} <= set(words(figure))
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]
