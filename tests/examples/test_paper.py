"""The whole paper by one command, on tiny networks and pictures: every part, its sentences, what a second run does."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import parts
import pytest
import sets
from folder import copied
from paper import SOME_MISSING, arguments, main
from parts import PARTS, made_section
from PIL import Image
from section import Section
from studies import Amounts, Room

from layerscope import load_network, open_images
from layerscope.images.masks import find_masks
from layerscope.network import Options

TINY = Options(classes=3, channels=3, width=0.05, input_size=32)
KINDS = ("bag", "coat", "dress")


def noise(path: Path, seed: int) -> Path:
    """A picture of coloured blocks, the same for the same seed."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blocks).resize((72, 72), Image.Resampling.NEAREST).save(path)
    return path


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """A room whose networks are narrow and untrained, and whose pictures are a few blocks of colour."""
    folder = tmp_path_factory.mktemp("paper")
    made = Room(folder, amounts=Amounts(patches=40, perplexity=5, filters=2, control=3, masked=2))
    pair = tuple(load_network(name, "random", options=TINY) for name in ("vggcnn", "alexcnn"))
    for number, name in enumerate(sets.FIVE):
        for crop in range(2):
            noise(folder / f"photographs/{Path(name).stem}/00{crop}.jpg", 2 * number + crop)
        noise(folder / "five" / name, number)
    for number, kind in enumerate(KINDS):
        for one in range(4):
            noise(folder / f"clothes/{kind}/{one}.png", 100 + 4 * number + one)
            noise(folder / f"objects/{kind}/{one}.png", 200 + 4 * number + one)
    for kind in KINDS[:2]:
        mask = Image.new("L", (72, 72))
        mask.paste(255, (20, 20, 50, 50))
        (folder / "masks" / kind).mkdir(parents=True)
        mask.save(folder / "masks" / kind / "0.png")
    given: dict[str, Any] = {name: open_images([folder / name], labels="folders") for name in SETS}
    given |= {
        "all_clothes": given["clothes"],
        "clothes_folder": folder / "clothes",
        "five": folder / "five",
        "trunks": pair,
        "pair": pair,
        "stamps_pair": pair,
        "stamps": given["objects"],
        "stamps_trained": trained_on_stamps(folder / "stamps"),
    }
    masked = folder / "objects", folder / "masks"
    vars(made).update(given, _objects=masked, _stamps=masked)
    return made


def trained_on_stamps(folder: Path) -> Path:
    """What examples/stamps/report.py leaves."""
    folder.mkdir()
    Image.new("RGB", (300, 200)).save(folder / "errors.png")
    networks = {name: {"seeds": 2} for name in ("vggcnn", "alexcnn")}
    errors = [[0.5, 0.4, 0.6], [0.4, 0.3, 0.5]]
    about = {"stamps": 30, "folds": 4, "errors": errors, "change": [0.1, -0.02, 0.15]}
    pair = {"of": ["alexcnn", "vggcnn"], **about}
    of_all = {**pair, "change": [-0.05, -0.1, 0.01]}
    numbers = {
        "networks": networks,
        "pairs": [pair],
        "pairs_of_all": [of_all],
        "untrained": [["vggcnn", 1, 0]],
    }
    (folder / "errors.json").write_text(json.dumps(numbers))
    return folder


SETS = ("photographs", "clothes", "objects")


@pytest.fixture(scope="module")
def sections(room: Room) -> Mapping[str, Section]:
    """All parts, made once; documents take longer than all the rest, and are left empty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("layerscope.drawing.canvas._document", lambda pages: b"%PDF")
        patch.setattr(parts, "MAPPED", ("clothes",))
        assert main(room, list(PARTS)) == {}
    return {name: found for name in PARTS if (found := Section.read(room.folder, name))}


@pytest.mark.slow
def test_every_part_is_made_and_every_file_that_it_names_is_there(
    room: Room, sections: Mapping[str, Section]
) -> None:
    assert list(sections) == list(PARTS)
    for section in sections.values():
        assert section.made.figures
        for figure in section.made.figures:
            with Image.open(room.folder / f"{figure.place}.png") as drawn:
                assert drawn.width > 100
        for table in section.made.tables:
            assert (room.folder / f"{table.place}.csv").exists()
            assert (room.folder / f"{table.place}.md").exists()


@pytest.mark.slow
def test_the_tables_of_the_paper_are_met_by_its_networks_alone(sections: Mapping[str, Section]) -> None:
    vggcnn, alexcnn, other = sections["tables"].made.findings
    assert (vggcnn.holds, vggcnn.numbers["same"]) == (True, 18)
    assert (alexcnn.holds, alexcnn.numbers["same"]) == (True, 8)
    assert other.numbers["same"] < other.numbers["count"] == 8


@pytest.mark.slow
def test_every_sentence_shows_its_numbers(sections: Mapping[str, Section]) -> None:
    for section in sections.values():
        for finding in section.made.findings:
            assert finding.numbers
            assert re.search(r"\d", finding.text), finding.text


@pytest.mark.slow
def test_the_table_of_claims_has_all_of_them(room: Room, sections: Mapping[str, Section]) -> None:
    with (room.folder / "claims.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(section.made.verdicts) for section in sections.values())
    assert {row["place"] for row in rows} >= {"Fig. 3", "Fig. 4", "Fig. 5", "Fig. 6"}
    assert all(row["verdict"] in ("holds", "does not hold", "undecided") for row in rows)
    assert all(row["control"] and int(row["pictures"]) for row in rows)
    page = (room.folder / "paper.html").read_text("utf-8")
    assert all(f'src="{figure.place}.png"' in page for s in sections.values() for figure in s.made.figures)


@pytest.mark.slow
def test_errors_by_stamp_are_told_with_the_deeper_network_first(
    room: Room, sections: Mapping[str, Section]
) -> None:
    found, verdict = sections["stamps"].made.findings[0], sections["stamps"].made.verdicts[0]
    assert found.text == (
        "VGGCNN takes 40.0% of the pictures of a stamp that it never saw for another class (30.0% to 50.0%), AlexCNN "
        "50.0% (40.0% to 60.0%), over 30 stamps of 4 folds: -10.0 points (-15.0 to +2.0)."
    )
    assert (verdict.verdict, verdict.pictures, verdict.seeds) == ("undecided", 30, 2)
    assert sections["stamps"].made.findings[1].text == (
        "vggcnn, fold 1, seed 0 ended at chance on stamps that it learned from and is left out; with all that were "
        "trained: +5.0 points (-1.0 to +10.0)."
    )
    surely = {"networks": json.loads((room.stamps_trained / "errors.json").read_text())["networks"]}
    for change, holds in (([0.1, 0.05, 0.15], True), ([-0.1, -0.15, -0.05], False)):
        pair = json.loads((room.stamps_trained / "errors.json").read_text())["pairs"][0] | {"change": change}
        assert parts.by_stamp({**surely, "pairs": [pair], "pairs_of_all": [pair]})[0].holds is holds
        among = [{"of": ["alexcnn", "another"]}, pair]
        assert parts.by_stamp({**surely, "pairs": among, "pairs_of_all": among})[0].holds is holds
        of_all = {**pair, "change": [change[0], -0.2, 0.2]}  # with those that did not train
        assert parts.by_stamp({**surely, "pairs": [pair], "pairs_of_all": [of_all]})[0].holds is None


def test_what_takes_hours_is_made_only_when_it_is_named() -> None:
    assert set(PARTS) - set(arguments([]).part) == {"stamps"}
    assert arguments(["--part", "stamps"]).part == ["stamps"]


@pytest.mark.slow
def test_a_second_run_keeps_what_is_there(room: Room, sections: Mapping[str, Section]) -> None:
    assert sections
    kept = [path for name in ("studies", "comparisons") for path in (room.folder / name).rglob("*.parquet")]
    before, page = {path: path.stat().st_mtime_ns for path in kept}, (room.folder / "paper.html").read_bytes()
    assert main(room, ["figure1", "figure6"]) == {}
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert (room.folder / "paper.html").read_bytes() == page


def test_pictures_are_counted_where_they_are_named(room: Room) -> None:
    assert made_section("figure6", room).about.here.startswith(
        "10 crops, at several scales, of 5 photographs"
    )


def test_a_part_without_its_pictures_is_left_out_and_the_page_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples/fashion.py").write_text("raise SystemExit('x is missing: apt-get install y')")
    monkeypatch.setattr(sets, "EXAMPLES", tmp_path / "examples")
    room = Room(tmp_path / "out")
    vars(room).update(pair=())
    missing = main(room, ["tables", "errors"])
    assert missing == {"errors": "x is missing: apt-get install y"}
    assert "errors is left out: x is missing" in capsys.readouterr().err
    page = (tmp_path / "out/paper.html").read_text("utf-8")
    assert "Table 1" in page
    assert "errors: x is missing: apt-get install y" in page
    assert SOME_MISSING == 3


CUTOUTS = """
import sys
from pathlib import Path
from PIL import Image
for part in ("pictures", "masks"):
    (Path(sys.argv[1]) / part).mkdir()
    for number in range(int(sys.argv[2])):
        Image.new("RGB", (8, 8)).save(Path(sys.argv[1]) / part / f"{'ab'[number % 2]}-{number}.png")
"""


def test_cut_outs_have_a_class_for_each_kind_and_some_a_mask_that_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stamps").mkdir()
    (tmp_path / "stamps/cutouts.py").write_text(CUTOUTS)
    monkeypatch.setattr(sets, "EXAMPLES", tmp_path)
    listed, masks = sets.objects(tmp_path / "objects", 6, 4)
    images = open_images([listed])
    assert (images.classes, images.labels) == (("a", "b"), (0, 0, 0, 1, 1, 1))
    assert len(find_masks(images, masks).names) == 4


def test_a_figure_is_copied_into_a_new_folder(tmp_path: Path) -> None:
    picture = noise(tmp_path / "errors.png", 3)
    file = copied(tmp_path / "paper", picture, "stamps-errors", "Errors.")
    assert (tmp_path / "paper" / f"{file.place}.png").read_bytes() == picture.read_bytes()


def test_one_of_each_class_is_called_after_it(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.png", "a/7.png"):
        noise(tmp_path / "clothes" / name, int(name[2]))
    found = sets.one_of_each(tmp_path / "clothes", tmp_path / "one")
    assert [path.name for path in found] == ["a.png", "b.png"]
    assert found[1].read_bytes() == (tmp_path / "clothes/b/1.png").read_bytes()


def test_a_set_that_was_not_finished_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "five").mkdir()
    (tmp_path / "five" / "half.png").touch()
    found = sets.five(tmp_path / "five")
    assert sorted(path.name for path in found.iterdir()) == sorted(sets.FIVE)
    (found / "mine.png").touch()
    assert (sets.five(found) / "mine.png").exists()


def test_parts_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    asked = arguments(["out", "--part", "figure6", "--part", "tables"])
    assert (asked.folder, asked.part, asked.trained) == (
        Path("out"),
        ["figure6", "tables"],
        ("fashion", "fashion"),
    )
    with pytest.raises(SystemExit):
        arguments(["--part", "nonesuch"])
    assert "figure1" in capsys.readouterr().err
