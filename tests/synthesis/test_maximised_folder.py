"""What excites channels most, as a folder: it goes on where it stopped, keeps what is there, says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from layerscope import Unit
from layerscope.cli.main import main
from layerscope.errors import ImageError, LayerscopeError, OutputError
from layerscope.progress import Progress
from layerscope.reconstruction.descent import Class
from layerscope.synthesis import MaximiseOptions, make_maximised, maximise
from layerscope.synthesis.maximised_folder import said, steps_of
from layerscope.synthesis.stillness import dead_explained
from tests.support.excited import filled, small
from tests.support.studies import bytes_of

QUICK = MaximiseOptions(steps=6)


def test_a_folder_goes_on_where_it_stopped(tmp_path: Path) -> None:
    network = small(size=40)
    seeds = [Unit("0", 2), Unit("3", 0), Unit("3", 3), Unit("6", 1)]
    table = make_maximised(network, seeds, tmp_path / "whole", options=QUICK)
    assert table.column("layer").to_pylist() == ["0", "3", "3", "6"]
    assert all((tmp_path / "whole" / file).is_file() for file in table.column("file").to_pylist())

    def stop(told: Progress) -> None:
        if told.share > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_maximised(network, seeds, tmp_path / "cut", options=QUICK, progress=stop)
    made = {path.name for path in (tmp_path / "cut").rglob("*.png")}
    assert made
    assert "maximised.png" not in made
    shares: list[float] = []
    make_maximised(
        network, seeds, tmp_path / "cut", options=QUICK, progress=lambda told: shares.append(told.share)
    )
    assert shares[0] > 0
    assert bytes_of(tmp_path / "cut") == bytes_of(tmp_path / "whole")
    shares.clear()
    make_maximised(
        network, seeds, tmp_path / "cut", options=QUICK, progress=lambda told: shares.append(told.share)
    )
    assert shares == [1.0]
    make_maximised(network, seeds, tmp_path / "cut", options=MaximiseOptions(steps=7))
    assert bytes_of(tmp_path / "cut") != bytes_of(tmp_path / "whole")


def test_a_second_run_keeps_and_lists_the_first(tmp_path: Path) -> None:
    """But of the same channel what was made in another way goes."""
    network = small(size=40)
    both = MaximiseOptions(steps=6, each=2)
    make_maximised(network, [Unit("3", 3), Class(1)], tmp_path, options=both)
    before = {path.name: path.read_bytes() for path in (tmp_path / "3").iterdir()}
    other = MaximiseOptions(steps=7)
    table = make_maximised(network, [Unit("6", 2), Unit("0", 1)], tmp_path, options=other)
    assert [(row["layer"], row["channel"], row["steps"]) for row in table.to_pylist()] == [
        ("6", 2, 7),
        ("0", 1, 7),
        *[("3", 3, 6)] * 2,
        *[(None, 1, 6)] * 2,
    ]
    assert {path.name: path.read_bytes() for path in (tmp_path / "3").iterdir()} == before
    table = make_maximised(network, [Unit("3", 3)], tmp_path, options=other)
    pictures = {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*.png")}
    assert pictures == set(table.column("file").to_pylist())
    assert "3/0003-1.png" not in pictures
    with pytest.raises(
        OutputError, match="has pictures of another network, or of other --mean, --dtype and so on"
    ):
        make_maximised(small(size=40, seed=1), [Unit("3", 0)], tmp_path, options=other)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*.png")} == pictures


def test_a_channel_named_twice_is_made_once(tmp_path: Path) -> None:
    """By another name of its layer, or with a position, too."""
    network = small()
    seeds: list[Unit | Class] = [Unit("3", 1), Class(2), Unit("3", 1, 1, 1), Unit("4", 1), Class(2)]
    table = make_maximised(network, seeds, tmp_path, options=QUICK)
    assert table.column("file").to_pylist() == ["3/0001.png", "classes/0002.png"]
    assert [one.number for one in maximise(network, [Unit("3", 1)] * 2, options=QUICK)] == [0, 0]


def test_a_dead_channel_is_said_on_the_page(tmp_path: Path) -> None:
    (row,) = make_maximised(
        filled(torch.zeros(1, 3, 5, 5)), [Unit("0", 0)], tmp_path, options=QUICK
    ).to_pylist()
    assert said(row, ["steps"]) == "dead; steps 6"
    assert dead_explained([{**row, "activation": 1.5}, row]) == " Dead: nothing that was tried excites it."
    assert dead_explained([{**row, "activation": 1.5}]) == ""
    assert said({**row, "activation": 1.5}, [], "; .5") == "1.5; .5"
    assert said({**row, "layer": None}, []) == "0"


def test_a_channel_that_patches_excite_is_not_dead() -> None:
    row = {"layer": "0", "activation": 0.0, "strongest": 37.3, "steps": 1}
    assert said(row, ["steps"]) == "not excited; steps 1"
    assert dead_explained([row]) == " Not excited: patches excite it; more steps may, or less decay."
    assert said({**row, "strongest": None}, []) == "dead"


def test_steps_in_words() -> None:
    assert steps_of([{"steps": 1}]) == "1 step"
    assert steps_of([{"steps": 9}, {"steps": 1}]) == "1 or 9 steps"


def test_a_file_of_the_users_stays(tmp_path: Path) -> None:
    own = tmp_path / "0" / "0002.png"
    own.parent.mkdir()
    own.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"0002\.png is in the way: it was not made here"):
        make_maximised(small(), [Unit("0", 2)], tmp_path, options=QUICK)
    assert own.read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["maximised-7.png", "maximised.pdf", "maximised.csv", "maximised.parquet"])
def test_figures_and_tables_of_the_users_stay(name: str, tmp_path: Path) -> None:
    own, words = tmp_path / name, rf"{name} is in the way: it was not made here"
    own.write_bytes(b"mine")
    for _ in range(2):
        with pytest.raises(OutputError, match=words):
            make_maximised(small(), [Unit("0", 2)], tmp_path, options=QUICK)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert own.read_bytes() == b"mine"
    own.rename(tmp_path / "mine")
    for channels in ((2, 3), (2,)):
        make_maximised(small(), [Unit("0", channel) for channel in channels], tmp_path, options=QUICK)


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (300, r"0002\.png is in the way: it was not made here, or is damaged; move it elsewhere"),
        (-30, r"cannot read the picture .*0002\.png: .*; remove it and run the same again"),
    ],
)
def test_a_damaged_picture_is_named(kept: int, words: str, tmp_path: Path) -> None:
    network = small()
    make_maximised(network, [Unit("0", 2)], tmp_path, options=QUICK)
    damaged = tmp_path / "0" / "0002.png"
    damaged.write_bytes(damaged.read_bytes()[:kept])
    Image.new("RGB", (3, 3)).save(tmp_path / "0" / "0004.png")  # the user's own, in nobody's way
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "0001.png").write_bytes(b"none of ours")
    with pytest.raises((ImageError, OutputError), match=words):
        make_maximised(network, [Unit("0", 1)], tmp_path, options=QUICK)
    damaged.unlink()
    table = make_maximised(network, [Unit("0", 1)], tmp_path, options=QUICK)
    assert table.column("channel").to_pylist() == [1]


def test_too_many_pictures_of_each_are_refused_before_a_network_is_loaded(tmp_path: Path) -> None:
    words = [
        "maximise",
        "-n",
        "no such network",
        "--unit",
        "c1:1",
        "--each",
        "100000",
        "--out",
        str(tmp_path),
    ]
    refused = CliRunner().invoke(main, words)
    assert refused.exit_code == 2
    assert "100000 is not in the range 1<=x<=1000" in refused.stderr
    with pytest.raises(LayerscopeError, match="each = 1001: give 1 to 1000"):
        MaximiseOptions(each=1001)
