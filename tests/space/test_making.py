"""Spaces made in steps: what is kept, what is made anew, what a stop leaves behind, what is refused."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from layerscope.disk.locks import lock
from layerscope.disk.tables import Buffer, Written, publish
from layerscope.errors import (
    EmbeddingError,
    GeometryError,
    LayerscopeError,
    NetworkError,
    OutputError,
    StudyError,
)
from layerscope.filters.painting import Drawing
from layerscope.filters.portraits import drawing_of, make_portraits
from layerscope.images.sets import ImageSet, open_images
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.plane.grid import Grid, arrange, fill
from layerscope.progress import Progress, Told
from layerscope.reconstruction.rules import GRADIENT, GUIDED
from layerscope.space import making as spaces
from layerscope.space.making import SpaceOptions, make_spaces
from layerscope.space.patches import draw_patches
from layerscope.space.portraits import _outside, _words, choose_zooms
from layerscope.space.space import Space
from layerscope.space.zooms import spread_boxes
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.sweep.patch_sample import PatchSample
from tests.support.spaces import PLAN, STEPS, begin, textured, undrawn, with_tsne
from tests.support.studies import bytes_of, pictures, small, write_pictures

STAGES = ("pictures", "neighbours", "t-SNE", "plane", "measures", "portraits", "cutting patches", "tiles")
AT = "alexcnn/spaces/p1/"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, ImageSet]:
    """A study without spaces, to be copied."""
    return textured(tmp_path_factory.mktemp("spaces"))


@pytest.fixture(scope="module")
def whole(begun: tuple[Study, ImageSet], tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The study with a space, made undisturbed; to be copied."""
    study = Study.open(shutil.copytree(begun[0].path, tmp_path_factory.mktemp("whole") / "study"))
    return make_spaces(study, small(), begun[1], ["p1"], options=PLAN)


@pytest.fixture
def images(begun: tuple[Study, ImageSet]) -> ImageSet:
    return begun[1]


@pytest.fixture
def study(begun: tuple[Study, ImageSet], tmp_path: Path) -> Study:
    return Study.open(shutil.copytree(begun[0].path, tmp_path / "study"))


@pytest.fixture
def made(whole: Study, tmp_path: Path) -> Study:
    return Study.open(shutil.copytree(whole.path, tmp_path / "made"))


@pytest.fixture
def plain() -> Iterator[None]:
    """Nothing is drawn, where that makes no difference."""
    with undrawn():
        yield


def one_layer(path: Path, images: ImageSet, *modules: nn.Module, size: int = 16) -> tuple[Study, Network]:
    module = nn.Sequential(*modules).eval()
    preprocessing = Preprocessing(resize=None, height=size, width=size)
    network = Network.from_module(module, name="own", preprocessing=preprocessing)
    return begin(network, images, path), network


def times(study: Study, step: str) -> set[tuple[str, int]]:
    """The files of a step of p1, and when each was written."""
    files = study.manifest["steps"][f"{AT}{step}"]["files"]
    return {(file, (study.path / file).stat().st_mtime_ns) for file in files}


# ------------------------------------------------------------------ what is made


def test_what_is_kept_is_what_the_rooms_make(whole: Study, images: ImageSet) -> None:
    space = Space.open(whole, "p1")
    drawn = draw_patches(whole, small(), images, PatchSample("p1", 160, where="auto"))["p1"]
    assert space.patches.equals(drawn.table)
    assert np.array_equal(space.vectors, drawn.vectors)
    assert space.points.shape == (160, 2)
    assert space.grid == Grid.around(space.points)
    assert np.array_equal(space.planes["fill"], fill(space.points, space.grid))
    assert np.array_equal(space.planes["one-to-one"], arrange(space.points, space.grid))
    assert space.suggested
    found = {(row["name"], row["of"]): row for row in space.truth.to_pylist()}
    recall, purity = found["neighbour recall", "embedding"], found["purity by class", "representation"]
    assert recall["value"] > recall["control"] + 0.3
    assert purity["value"] > purity["control"] + 0.3
    assert found["patches shown", "one-to-one"]["value"] == 1


def test_the_study_is_whole_and_lists_what_is_drawn(whole: Study) -> None:
    assert check_study(whole.path) == ()
    files = {file.removeprefix(AT) for file in whole.manifest["files"] if file.startswith(AT)}
    regions = range(1, len(Space.open(whole, "p1").suggested) + 1)
    stems = ("embedding_plot", "plane_fill_regions", "plane_one-to-one_regions", "figure")
    assert {"figure.pdf", *(f"{stem}.png" for stem in stems)} <= files
    assert {f"regions/{number:02d}.png" for number in regions} <= files
    assert {"plane_fill.dzi", "plane_fill_files/0/0_0.jpg", "plane_one-to-one.dzi", "truth.parquet"} <= files
    assert not [file for file in files if file.endswith((".pkl", ".pickle"))]


def test_each_cell_shows_its_patch(whole: Study, images: ImageSet, tmp_path: Path, plain: None) -> None:
    """Of stripes nothing but stripes is cut: flat patches are dark and even, others are not."""
    study = Study.open(shutil.copytree(whole.path, tmp_path / "study"))
    made = make_spaces(study, small(), images, ["p1"], options=replace(PLAN, side=9))
    space = Space.open(made, "p1")
    cells = np.asarray(space.results.array("spaces/p1/cells")).astype(float)
    assert cells.shape == (160, 9, 9, 3)
    spread = cells.std(axis=(1, 2)).mean(axis=1)
    assert space.classes is not None
    assert spread[space.classes == 0].max() < 10 < spread[space.classes != 0].min()


def test_made_twice_nothing_is_touched(
    made: Study, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.path.rglob("*")}
    monkeypatch.setattr(Network, "representations", None)
    monkeypatch.setattr(spaces, "draw_patches", None)
    told: list[Progress] = []
    again = make_spaces(made, small(), images, ["p1"], options=PLAN, progress=told.append)
    assert told == []
    assert again.manifest == made.manifest
    assert {path: path.stat().st_mtime_ns for path in made.path.rglob("*")} == before


@pytest.mark.parametrize(
    ("plan", "first"),
    [
        (replace(PLAN, side=12), "pictures"),
        (replace(PLAN, cells=99), "plane"),
        (with_tsne(seed=1), "embedding"),
        (with_tsne(iterations=90), "embedding"),
        (with_tsne(perplexity=9), "neighbours"),
        (with_tsne(components=5), "neighbours"),
        (replace(PLAN, count=150), "patches"),
        (replace(PLAN, where="all"), "patches"),
        (replace(PLAN, per_picture=13), "patches"),
        (replace(PLAN, seed=1), "patches"),
    ],
)
@pytest.mark.usefixtures("plain")
def test_other_options_redo_what_depends_on_them(
    made: Study, images: ImageSet, plan: SpaceOptions, first: str
) -> None:
    before = {step: times(made, step) for step in STEPS}
    others = {
        file: digest
        for file, digest in bytes_of(made.path).items()
        if not file.startswith((AT, "study.json"))
    }
    again = make_spaces(made, small(), images, ["p1"], options=plan)
    redone = [step for step in STEPS if times(again, step) != before[step]]
    assert redone == list(STEPS[STEPS.index(first) :])
    assert check_study(again.path) == ()
    now = bytes_of(again.path)
    assert {file: now[file] for file in others} == others
    assert Space.open(again, "p1").options["tsne"]["seed"] == plan.tsne.seed


@pytest.mark.usefixtures("plain")
def test_remade_is_as_if_made_at_once(made: Study, study: Study, images: ImageSet) -> None:
    plan = replace(with_tsne(seed=3), count=140, cells=100)
    one, other = (make_spaces(each, small(), images, ["p1"], options=plan) for each in (made, study))
    found = [{f: d for f, d in bytes_of(each.path).items() if f.startswith(AT)} for each in (one, other)]
    assert found[0] == found[1]
    assert f"{AT}planes/one-to-one.npy" not in found[0]


def test_fewer_cells_than_patches_have_no_one_to_one(study: Study, images: ImageSet) -> None:
    made = make_spaces(study, small(), images, ["c2"], options=replace(PLAN, cells=20))
    space = Space.open(made, "c2")
    assert (list(space.planes), space.arrangement) == (["fill"], "fill")
    with pytest.raises(StudyError, match="c2 has no arrangement 'one-to-one'; it has fill"):
        space.region((0, 0, 2, 2), "one-to-one")
    assert check_study(made.path) == ()


@pytest.mark.slow
def test_few_patches_say_why_and_have_their_figure(study: Study, images: ImageSet) -> None:
    made = make_spaces(study, small(), images, ["c2"], options=PLAN)
    space = Space.open(made, "c2")
    assert space.shortfall == (
        "c2 has 48 patches of 160 asked for: its 12 pictures have at most 4 each that lie inside them; "
        "take more pictures, or --where all for patches that reach over a border"
    )
    assert space.suggested == ()
    plane, chosen = space.planes["one-to-one"], choose_zooms(space)
    assert [one.box for one in chosen] == list(spread_boxes(plane))
    for one in chosen:
        left, top, right, bottom = one.box
        assert set(one.region.members) == set(plane[top:bottom, left:right].ravel()) - {-1}
        assert {*one.patches} <= {*one.region.members}
        assert _words(space, one.region).endswith("chosen to spread over the plane, for no cluster is stable")
    assert (made.path / "alexcnn/spaces/c2/figure.pdf").exists()
    few = make_spaces(study, small(), images, ["c2"], options=replace(PLAN, per_picture=3, where="all"))
    assert Space.open(few, "c2").shortfall.endswith(
        "at most 3 of a picture were asked for (--per-picture); take more pictures"
    )
    assert (
        Space.open(
            make_spaces(made, small(), images, ["c2"], options=replace(PLAN, count=40)), "c2"
        ).shortfall
        == ""
    )


# ------------------------------------------------------------------ stopped


def stopping(at: str, told: list[str]) -> Told:
    """What stops a run when it comes to a stage; ``told``: the stages it came to."""

    def tell(progress: Progress) -> None:
        stage = progress.stage.rpartition(": ")[2]
        if stage not in told[-1:]:
            told.append(stage)
        if stage == at:
            raise KeyboardInterrupt

    return tell


def test_stopped_at_every_stage_it_ends_the_same(study: Study, images: ImageSet, whole: Study) -> None:
    """One study, stopped at each stage in turn: what was finished before is not begun again."""
    begins = ["pictures", "pictures", "neighbours", "t-SNE", "plane", "plane", "portraits", "portraits"]
    for stage, begin_at in zip(STAGES, begins, strict=True):
        told: list[str] = []
        with pytest.raises(KeyboardInterrupt):
            make_spaces(study, small(), images, ["p1"], options=PLAN, progress=stopping(stage, told))
        assert (told[0], told[-1]) == (begin_at, stage)
        assert Study.open(study.path).pictures.num_rows == 12
        if STAGES.index(stage) <= STAGES.index("measures"):
            with pytest.raises(StudyError, match="has no space of p1 of alexcnn"):
                Space.open(Study.open(study.path), "p1")
        study = Study.open(study.path)
    made = make_spaces(study, small(), images, ["p1"], options=PLAN)
    assert bytes_of(made.path) == bytes_of(whole.path)


@pytest.mark.usefixtures("plain")
def test_stopped_while_made_in_another_way(made: Study, images: ImageSet) -> None:
    """Patches or points of one plan are never shown with the plane of another."""
    before = bytes_of(made.path)
    for other, stage in ((replace(PLAN, count=120), "neighbours"), (with_tsne(seed=1), "plane")):
        with pytest.raises(KeyboardInterrupt):
            make_spaces(made, small(), images, ["p1"], options=other, progress=stopping(stage, [""]))
        half = Study.open(made.path)
        with pytest.raises(
            StudyError, match=r"^the space of p1 .* is not finished; run that `layerscope space make`"
        ):
            Space.open(half, "p1")
        made = make_spaces(half, small(), images, ["p1"], options=PLAN)
        Space.open(made, "p1")
    now = bytes_of(made.path)
    tables = [file for file in before if file.startswith(AT) and file.endswith((".npy", ".parquet"))]
    assert {file: now[file] for file in tables} == {file: before[file] for file in tables}


def test_strays_of_a_run_that_was_stopped_are_removed(
    made: Study, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(path: Path, pieces: Sequence[Buffer]) -> Written:
        if path.suffix == ".dzi":
            raise KeyboardInterrupt
        return publish(path, pieces)

    monkeypatch.setattr("layerscope.study.steps.publish", stop)
    with pytest.raises(KeyboardInterrupt):
        make_spaces(made, small(), images, ["c2"], options=replace(PLAN, side=64))
    monkeypatch.undo()
    (made.path / "alexcnn" / "spaces" / "c2" / "mine.png").write_bytes(b"my own")
    found = [str(fault) for fault in check_study(made.path)]
    assert len(found) > 3
    assert all(
        "step alexcnn/spaces/c2/pictures, which was interrupted" in f or "/mine.png: " in f for f in found
    )
    again = make_spaces(Study.open(made.path), small(), images, ["c2"], options=replace(PLAN, side=8))
    assert [fault.file for fault in check_study(again.path)] == ["alexcnn/spaces/c2/mine.png"]


def test_one_process_at_a_time(study: Study, images: ImageSet) -> None:
    before = bytes_of(study.path)
    with lock(study.path), pytest.raises(OutputError, match="in use by another process"):
        make_spaces(study, small(), images, ["c2"], options=PLAN)
    assert bytes_of(study.path) == before


# ------------------------------------------------------------------ what works, though it is odd


@pytest.mark.usefixtures("plain")
def test_five_in_a_hundred_pictures_are_bad_and_none_has_a_label(tmp_path: Path) -> None:
    images = pictures(tmp_path / "photos", 40, (3, 17))
    study = begin(small(), images, tmp_path / "study")
    made = make_spaces(study, small(), images, ["fc7"], options=with_tsne(perplexity=5))
    space = Space.open(made, "fc7")
    assert sorted(space.pictures.tolist()) == [n for n in range(40) if n not in (3, 17)]
    assert space.classes is None
    assert not [name for name in space.truth["name"].to_pylist() if "class" in name]
    assert space.region((-9, -9, 99, 99)).label is None
    assert check_study(made.path) == ()


@pytest.mark.usefixtures("plain")
def test_a_field_larger_than_the_picture(study: Study, images: ImageSet) -> None:
    made = make_spaces(study, small(), images, ["c5"], options=PLAN)
    space = Space.open(made, "c5")
    assert (space.boxes[:, 2] - space.boxes[:, 0] == 151).all()
    cells = np.asarray(space.results.array("spaces/c5/cells"))
    assert (cells == cells[[0]]).all(axis=(1, 2, 3)).sum() < len(cells) / 2


def test_duplicate_pictures(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 4, ())
    for path in sorted(photos.iterdir()):
        for copy in range(9):
            shutil.copy(path, photos / f"{path.stem}-{copy}.png")
    images = open_images(photos)
    study = begin(small(), images, tmp_path / "study")
    made = make_spaces(study, small(), images, ["fc7"], options=with_tsne(perplexity=4))
    space = Space.open(made, "fc7")
    assert len(space.points) == 40
    assert len(np.unique(space.vectors.round(4), axis=0)) == 4
    assert np.isfinite(space.points).all()
    assert check_study(made.path) == ()


@pytest.mark.usefixtures("plain")
def test_grey_networks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()).eval()
    preprocessing = Preprocessing(None, 16, 16, (0.4,), (0.2,))
    network = Network.from_module(module, name="grey", preprocessing=preprocessing)
    images = pictures(tmp_path / "photos", 4, ())
    study = begin(network, images, tmp_path / "study")
    made = make_spaces(study, network, images, ["0"], options=PLAN)
    cells = np.asarray(Space.open(made, "0").results.array("spaces/0/cells"))
    assert (cells == cells[..., :1]).all()


# ------------------------------------------------------------------ what is refused


def test_a_dead_layer(tmp_path: Path) -> None:
    dead = nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        assert dead.bias is not None
        dead.bias[:] = -100
    images = pictures(tmp_path / "photos", 4, ())
    study, network = one_layer(tmp_path / "study", images, dead, nn.ReLU())
    with pytest.raises(
        EmbeddingError, match=r"^the vectors of all 160 patches are zero, a dead layer; take another"
    ):
        make_spaces(study, network, images, ["0"], options=PLAN)
    assert check_study(study.path) == ()


def test_fewer_patches_than_the_perplexity_allows(study: Study, images: ImageSet) -> None:
    few = r"^12 patches of fc7 are too few for a perplexity of 8, which needs 25: take a perplexity of 3 or less"
    seen: list[Progress] = []
    with pytest.raises(EmbeddingError, match=few):
        make_spaces(study, small(), images, ["fc7"], options=PLAN, progress=seen.append)
    assert seen == []  # said before the pass
    assert make_spaces(study, small(), images, ["fc7"], options=with_tsne(perplexity=3))


def test_missing_libraries_are_named(study: Study, images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    seen: list[Progress] = []
    with pytest.raises(
        LayerscopeError, match=r"^an embedding needs openTSNE: pip install 'layerscope\[space\]'$"
    ):
        make_spaces(study, small(), images, ["c2"], options=PLAN, progress=seen.append)
    assert seen == []  # said before the pass


def test_no_room_for_the_patches_is_one_line(
    study: Study, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mapped file without room on the disk would end the process at some later moment, without a word."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutputError, match="No space left on device; make room and run the same again"):
        make_spaces(study, small(), images, ["p1"], options=PLAN)
    monkeypatch.undo()
    assert make_spaces(study, small(), images, ["p1"], options=PLAN)


def test_pictures_of_another_plane_go_with_it(
    made: Study, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after the plane: no old picture is listed beside it."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(spaces, "portray_filters", stop)
    with pytest.raises(KeyboardInterrupt):
        make_spaces(made, small(), images, ["p1"], options=replace(PLAN, cells=400))
    left = Study.open(made.path)
    assert f"{AT}plane" in left.steps
    assert f"{AT}pictures" not in left.steps
    assert not list((left.path / AT).rglob("*.png"))
    assert check_study(left.path) == ()


@pytest.mark.slow
def test_a_network_without_the_rule_has_a_plane_without_portraits(tmp_path: Path) -> None:
    """Drawn later by a rule that fits, they come into the figure."""
    images = pictures(tmp_path / "photos", 12, ())
    layers = (nn.Conv2d(3, 6, 5, stride=2), nn.Hardtanh(), nn.Conv2d(6, 8, 3), nn.Hardtanh())
    study, network = one_layer(tmp_path / "study", images, *layers)
    made = make_spaces(study, network, images, ["2"], options=PLAN)
    assert f"{network.name}/spaces/2/pictures" in made.steps
    assert f"{network.name}/filters" not in made.steps
    drawn = make_portraits(made, network, images, layers=["2"], drawing=Drawing(GRADIENT))
    again = make_spaces(drawn, network, images, ["2"], options=PLAN)
    before, after = (study.steps[f"{network.name}/spaces/2/pictures"]["portraits"] for study in (made, again))
    assert (before, after["rule"]) == (None, "gradient")


@pytest.mark.parametrize("layer", ["c1", "c3"])
def test_what_a_portrait_does_not_see_is_known(study: Study, images: ImageSet, layer: str) -> None:
    """Also where the field is larger than the picture, so that the panel is the picture, of which it sees a part."""
    network = small()
    size, known = network.input_shape[1:], network.layer(layer)
    assert known.field is not None
    assert (known.field.size[0] > size[0]) is (layer == "c3")
    drawn = make_portraits(study, network, images, layers=[layer])
    some = 0
    for row in drawn.network("alexcnn").table("filters").to_pylist():
        panels = _outside(row, known, size) if not row["dead"] else ()
        for panel, r, c, top, left in zip(
            panels, *(row[name] for name in ("rows", "columns", "tops", "lefts") if panels), strict=True
        ):
            box = known.field.box(r, c)
            rows = [
                y for y in range(top, top + row["height"]) if max(0, box.top) <= y < min(size[0], box.bottom)
            ]
            columns = [
                x for x in range(left, left + row["width"]) if max(0, box.left) <= x < min(size[1], box.right)
            ]
            after = (top + row["height"] - 1 - rows[-1], left + row["width"] - 1 - columns[-1])
            ends = (rows[0] - top, columns[0] - left, *after)
            assert panel == ends
            some += any(ends)
    assert some > 0


def test_portraits_are_drawn_as_those_that_are_there(study: Study, images: ImageSet) -> None:
    """By the same rule, overlap and display; a rule of the user's own is known by its name only, so refused."""
    drawing = Drawing(replace(GUIDED, overlap="overwrite"), "heat")
    portrayed = make_portraits(study, small(), images, layers=["c1"], channels=[0], drawing=drawing)
    assert drawing_of(portrayed, "alexcnn") == drawing
    own = make_portraits(
        study, small(), images, layers=["c1"], channels=[0], drawing=Drawing(replace(GUIDED, name="mine"))
    )
    with pytest.raises(
        StudyError, match=r"rule of your own, 'mine'; draw them by deconvnet or guided or gradient"
    ):
        make_spaces(own, small(), images, ["c2"], options=PLAN)


def test_a_changed_or_vanished_picture_is_named(
    made: Study, begun: tuple[Study, ImageSet], tmp_path: Path
) -> None:
    """Also where patches are there already and only their pictures are to be drawn."""
    photos = Path(shutil.copytree(begun[0].path.with_name("photos"), tmp_path / "photos"))
    changed = photos / "noise" / "2.png"
    Image.new("RGB", (48, 48)).save(changed)
    for layer, plan in (("c5", PLAN), ("p1", replace(PLAN, side=9))):
        with pytest.raises(
            StudyError, match=r"^noise/2\.png is another picture than when .* put the old one back$"
        ):
            make_spaces(made, small(), open_images(photos), [layer], options=plan)
    changed.unlink()
    for layer, plan in (("c5", PLAN), ("p1", replace(PLAN, side=9))):
        with pytest.raises(StudyError, match=r"^noise/2\.png is not in .*--images PLACE$"):
            make_spaces(Study.open(made.path), small(), open_images(photos), [layer], options=plan)


def test_what_cannot_be(study: Study, images: ImageSet) -> None:
    with pytest.raises(NetworkError, match="no layer 'c9'"):
        make_spaces(study, small(), images, ["c1", "c9"], options=PLAN)
    with pytest.raises(GeometryError, match="no position of c5 sees only the picture"):
        make_spaces(study, small(), images, ["c5"], options=replace(PLAN, where="inside"))
    with pytest.raises(StudyError, match="no network 'vggcnn'"):
        make_spaces(study, small("vggcnn"), images, ["c1_1"], options=PLAN)
    for wrong in (
        {"side": 7},
        {"side": 257},
        {"cells": 0},
        {"count": 0},
        {"per_picture": 0},
        {"where": "here"},
    ):
        with pytest.raises(LayerscopeError) as caught:
            replace(PLAN, **wrong)
        assert "\n" not in str(caught.value)
    assert Study.open(study.path).manifest == study.manifest
