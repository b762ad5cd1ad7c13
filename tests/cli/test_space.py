"""`layerscope space` as a user types it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from layerscope.cli.main import main
from layerscope.images.sets import open_images
from layerscope.space.space import Space
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from tests.support.spaces import begin, textured, undrawn, write_textures
from tests.support.studies import bytes_of, small

SIZE = ("--patches", "160", "--perplexity", "8", "--side", "8", "--threads", "1")


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["space", *(str(word) for word in words)])


def one_line(result: Result, code: int, message: str) -> None:
    """Asserts that a command ended with this code, and one line that says this."""
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A study with a space made by the command, and what that said; to be read, or copied."""
    study, _ = textured(tmp_path_factory.mktemp("cli"))
    return study.path, run("make", study.path, "--layers", "p1", *SIZE)


@pytest.fixture
def study(whole: tuple[Path, Result]) -> Path:
    return whole[0]


def test_a_space_is_made_and_summed_up(whole: tuple[Path, Result]) -> None:
    path, made = whole
    assert made.exit_code == 0, made.output
    space = Space.open(Study.open(path), "p1")
    lines = made.stdout.splitlines()
    assert lines[0] == f"alexcnn, p1: 160 patches of 12 pictures, {len(space.suggested)} regions suggested"
    assert lines[-1] == str(path / "alexcnn" / "spaces" / "p1")
    assert Path(lines[-1]).is_dir()
    assert len(lines) == 2 + space.truth.num_rows
    recall = next(row for row in space.truth.to_pylist() if row["name"] == "neighbour recall")
    shown = next(line for line in lines if "neighbour recall" in line)
    assert f"{recall['value']:.3f}" in shown
    assert f"by chance {recall['control']:>7.3f}" in shown
    assert check_study(path) == ()


def test_the_same_again_makes_nothing(whole: tuple[Path, Result]) -> None:
    path, made = whole
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*") if file.is_file()}
    again = run("make", path, "-l", "p1", "--network", "alexcnn", *SIZE)
    assert (again.exit_code, again.stdout) == (0, made.stdout)
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*") if file.is_file()} == before


def test_options_reach_the_plan(study: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(study, tmp_path / "study"))
    words = ("--where", "all", "--per-picture", "9", "--seed", "3", "--cells", "50", "--perplexity", "7")
    with undrawn():
        made = run("make", copied, "-l", "c2,c5", "--patches", "90", "--side", "9", "--threads", "1", *words)
    assert made.exit_code == 0, made.output
    for layer in ("c2", "c5"):
        options = Study.open(copied).steps[f"alexcnn/spaces/{layer}/pictures"]
        assert (options["where"], options["per_picture"], options["count"], options["seed"]) == (
            "all",
            9,
            90,
            3,
        )
        assert (options["cells"], options["side"], options["dtype"]) == (50, 9, "float32")
        assert (options["tsne"]["seed"], options["tsne"]["perplexity"], options["tsne"]["threads"]) == (
            3,
            7,
            1,
        )
        space = Space.open(Study.open(copied), layer)
        assert len(space.points) == 90
        assert list(space.planes) == ["fill"]
    assert "c2: 90 patches" in made.stdout
    assert "c5: 90 patches" in made.stdout
    one_line(
        run("region", copied, "0,0,2,2", "-l", "c2", "--arrangement", "one-to-one"),
        1,
        "no arrangement 'one-to-one'; it has fill",
    )
    assert run("region", copied, "0,0,9,9", "-l", "c2").exit_code == 0


# ------------------------------------------------------------------ regions


@pytest.mark.parametrize(
    ("text", "outline"),
    [
        ("0,0,6,5.5", (0, 0, 6, 5.5)),
        ("0,0 9,0 9,9 0,9", [(0, 0), (9, 0), (9, 9), (0, 9)]),
        (" 1,1  12,1  1,12 ", [(1, 1), (12, 1), (1, 12)]),
    ],
)
@pytest.mark.parametrize("arrangement", ["fill", "one-to-one"])
def test_a_region_is_described(study: Path, text: str, outline: list[float], arrangement: str) -> None:
    said = run("region", study, text, "--layers", "p1", "--arrangement", arrangement)
    assert said.exit_code == 0, said.output
    space = Space.open(Study.open(study), "p1")
    region = space.region(outline, arrangement)
    assert region.label is not None
    label = ("flat", "noise", "stripes")[region.label]
    head, first, columns, *rest = said.stdout.splitlines()
    assert head == (
        f"alexcnn, p1: {len(region.members)} patches of {region.pictures} pictures, "
        f"{region.label_share:.0%} of the class {label}"
    )
    assert (first, columns.split()[:2]) == ("more here than elsewhere", ["filter", "contrast"])
    second = rest.index("most here")
    for rows, by in ((rest[:second], "contrast"), (rest[second + 2 :], "mean")):
        expected = space.filters(region, by=by).to_pylist()  # type: ignore[arg-type]
        assert [int(row.split()[0]) for row in rows] == [row["channel"] for row in expected]
        assert [row.split()[1] for row in rows] == [f"{row['contrast']:.3f}" for row in expected]


def test_a_region_is_drawn(study: Path, tmp_path: Path) -> None:
    """A sheet of its patches, their pictures and classes, its filters; unless told, on the plane to look at first."""
    before = bytes_of(study)
    made = run("region", study, "0,0,6,5", "-l", "p1", "--out", tmp_path / "deep" / "corner")
    assert made.exit_code == 0, made.output
    stem = tmp_path / "deep" / "corner-alexcnn-p1"
    files = [Path(f"{stem}{end}") for end in (".parquet", "-filters.parquet", ".png", ".pdf")]
    assert [Path(line) for line in made.stdout.splitlines()[-4:]] == files
    space = Space.open(Study.open(study), "p1")
    region = space.region((0, 0, 6, 5), "one-to-one")
    table = pq.read_table(files[0])
    assert table["patch"].to_pylist() == region.members.tolist()
    pictures = space.results.study.pictures.to_pylist()
    names = ("flat", "noise", "stripes")
    for row in table.to_pylist():
        picture = pictures[row["picture"]]
        assert (row["name"], row["class"]) == (picture["name"], names[picture["label"]])
        assert row["name"].startswith(row["class"])
        assert row["picture"] == space.pictures[row["patch"]]
    assert pq.read_table(files[1]).equals(space.filters(region))
    with Image.open(files[2]) as sheet:
        assert min(sheet.size) > 100
    assert bytes_of(study) == before


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "a,b,c,d", "1,2 3,4", "1,2,3 4,5,6 7,8,9", "1,2,3,4 5,6,7,8", "1;2;3;4"]
)
def test_bad_regions_are_a_wrong_command(study: Path, text: str) -> None:
    one_line(
        run("region", study, text, "--layers", "p1"),
        2,
        'give "left,top,right,bottom" or three or more corners',
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [("900,900,901,901", "holds no patch"), ("5,0,1,4", "ends before it begins"), ("0,0,nan,4", "finite")],
)
def test_regions_that_hold_nothing(study: Path, text: str, message: str) -> None:
    one_line(run("region", study, text, "--layers", "p1"), 1, message)


# ------------------------------------------------------------------ neighbours


@pytest.mark.parametrize("arrangement", ["fill", "one-to-one"])
def test_neighbours_of_a_cell(study: Path, arrangement: str) -> None:
    space = Space.open(Study.open(study), "p1")
    row, column = np.argwhere(space.planes[arrangement] >= 0)[7]
    patch = int(space.planes[arrangement][row, column])
    said = run("nearest", study, f"{column + 0.5},{row + 0.99}", "-l", "p1", "--arrangement", arrangement)
    assert said.exit_code == 0, said.output
    head, _, *lines = said.stdout.splitlines()
    assert head.startswith(f"alexcnn, p1: patch {patch}, row ")
    alike, beside = lines[:10], lines[11:-1]
    for told, on in ((alike, "representation"), (beside, "plane")):
        found = space.nearest(patch, on=on, arrangement=arrangement)  # type: ignore[arg-type]
        assert [line.split()[2] for line in told] == [f"{one}," for one in found.patches]
        assert [line.split()[0] for line in told] == [f"{distance:.3f}" for distance in found.distances]
    common = {line.split()[2] for line in alike} & {line.split()[2] for line in beside}
    assert lines[-1] == f"{len(common)} of these 10 are in both"
    picture = space.results.study.pictures["name"][int(space.pictures[patch])].as_py()
    assert head.split(" of ")[1].startswith(picture)


def test_cells_that_show_nothing(study: Path) -> None:
    for place in ("-1,0", "0,900", "nan,0", "0,inf"):
        one_line(run("nearest", study, place, "-l", "p1"), 1, f"no patch is shown at {place}: the plane is ")
    for place in ("", "1", "1,2,3", "a,b"):
        one_line(run("nearest", study, place, "-l", "p1"), 2, 'give "x,y"')


# ------------------------------------------------------------------ placing


def test_new_pictures_are_placed(study: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    for folder in ("one", "two"):
        (new / folder).mkdir(parents=True)
        shutil.copy(study.parent / "photos" / "noise" / "0.png", new / folder / "same.png")
    placed = run("place", study, new, "-l", "p1", "--out", tmp_path / "deep" / "placed")
    assert placed.exit_code == 0, placed.output
    files = [Path(line) for line in placed.stdout.splitlines()]
    assert files == [tmp_path / "deep" / f"placed-alexcnn-p1.{kind}" for kind in ("parquet", "png", "pdf")]
    with Image.open(files[1]) as picture:
        assert min(picture.size) > 100
    table = pq.read_table(files[0]).to_pandas()
    assert list(table["name"].unique()) == [str(new / "one" / "same.png"), str(new / "two" / "same.png")]
    assert (table["distance"] < 100).all()
    assert check_study(study) == ()
    (new / "bad.png").write_text("no picture")
    some = run("place", study, new, "-l", "p1,p1", "--out", tmp_path / "placed")
    assert some.exit_code == 3
    assert len(some.stdout.splitlines()) == 6  # each layer, though a picture is bad
    assert some.stderr.startswith("skipped: ")
    assert "bad.png" in some.stderr


def test_placing_that_cannot_be(study: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    one_line(run("place", study, bad, "-l", "p1"), 2, "Missing option '--out'")
    one_line(run("place", study, "-l", "p1", "--out", "x"), 2, "Missing argument 'PICTURES")
    one_line(run("place", study, bad, "-l", "p1", "--out", "."), 2, ". is a folder; name the files in it")
    one_line(run("place", study, tmp_path / "gone", "-l", "p1", "--out", "x"), 1, "gone")
    one_line(run("place", study, study.parent / "photos", "-l", "c1", "--out", "x"), 1, "no space of c1")
    nothing = run("place", study, bad, "-l", "p1", "--out", tmp_path / "x")
    one_line(nothing, 1, "none of the pictures to place can be read; give others: ")
    assert not list(tmp_path.glob("x*"))


# ------------------------------------------------------------------ what is refused


def test_wrong_commands(study: Path, tmp_path: Path) -> None:
    one_line(run("make", study), 2, "--layers")
    one_line(run("make", tmp_path / "nowhere", "-l", "c1"), 1, "nowhere is no study")
    for words in (("region", study, "0,0,1,1"), ("nearest", study, "1,1"), ("make", study)):
        one_line(run(*words, "-l", "c9"), 1, "alexcnn has no layer 'c9'")
    one_line(run("make", study, "-l", "c1", "-n", "vgg16"), 1, "no network 'vgg16'; it has alexcnn")
    no_space = "no space of c1 of alexcnn; `layerscope space make"
    one_line(run("region", study, "0,0,1,1", "-l", "c1"), 1, no_space)
    one_line(run("make", study, "-l", "c1", "--side", "7"), 2, "--side")
    one_line(run("make", study, "-l", "c1", "--perplexity", "1"), 2, "--perplexity")
    one_line(
        run("make", study, "-l", "c5", "--where", "inside"), 1, "no position of c5 sees only the picture"
    )
    one_line(run("make", study, "-l", "c1", "--images", tmp_path / "gone"), 1, "gone")


def test_options_that_would_do_nothing_are_refused(study: Path) -> None:
    region = ("region", study, "0,0,1,1", "-l", "p1")
    for useless in (("--device", "cpu"), ("--dtype", "float32"), ("--images", "x"), ("-w", "random")):
        option = {"-w": "--weights"}.get(useless[0], useless[0])
        one_line(run(*region, *useless), 2, f"{option} does nothing without --out")
    for words in (region, ("nearest", study, "1,1")):
        one_line(run(*words, "--perplexity", "9"), 2, "unexpected extra arguments (--perplexity 9)")
    one_line(run("place", study, "x", "--perplexity", "9"), 2, "No such option '--perplexity'")


def test_unless_told_all_spaces_answer(study: Path) -> None:
    assert run("region", study, "0,0,6,5").stdout == run("region", study, "0,0,6,5", "-l", "p1").stdout
    one_line(run("nearest", study, "1,1", "-l", "conv"), 1, "has no space of alexcnn; `layerscope space make")


def test_too_few_patches_is_one_line(study: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(study, tmp_path / "study"))
    result = run("make", copied, "-l", "fc7")
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert (
        "12 patches of fc7 are too few for a perplexity of 30, which needs 91: take a perplexity of 3 or less"
        in last
    )


def test_layers_of_all_networks_are_checked_first(tmp_path: Path) -> None:
    images = open_images(write_textures(tmp_path / "photos"))
    study = begin([small("alexcnn"), small("vggcnn")], images, tmp_path / "study")
    steps = Study.open(study.path).steps
    said = run("make", study.path, "-l", "c1_1", *SIZE)
    one_line(said, 1, "alexcnn has no layer 'c1_1'")
    assert "other networks by --network" in said.stderr
    assert Study.open(study.path).steps == steps


def test_few_patches_have_few_neighbours(study: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(study, tmp_path / "study"))
    made = run(
        "make", copied, "-l", "fc7", "--patches", "8", "--perplexity", "2", "--side", "8", "--threads", "1"
    )
    assert made.exit_code == 0, made.output
    row, column = np.argwhere(Space.open(Study.open(copied), "fc7").planes["one-to-one"] >= 0)[0]
    said = run("nearest", copied, f"{column},{row}", "-l", "fc7")
    assert said.exit_code == 0, said.output
    assert said.stdout.splitlines()[-1] == "7 of these 7 are in both"


def test_a_damaged_grid_is_one_line(study: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(study, tmp_path / "study"))
    grid = copied / "alexcnn" / "spaces" / "p1" / "grid.json"
    grid.write_bytes(grid.read_bytes()[:9])
    fill = ("--arrangement", "fill")
    one_line(run("region", copied, "0,0,1,1", "-l", "p1", *fill), 1, "grid.json")
    grid.unlink()
    one_line(run("nearest", copied, "0,0", "-l", "p1", *fill), 1, "grid.json")


def test_moved_pictures_are_named_and_found(study: Path, tmp_path: Path) -> None:
    top = tmp_path / "moved"
    moved, _ = textured(top)
    (top / "photos").rename(top / "elsewhere")
    one_line(run("make", moved.path, "-l", "c2", *SIZE), 1, "give --images PLACE")
    assert run("make", moved.path, "-l", "c2", *SIZE, "--images", top / "elsewhere").exit_code == 0


def test_weights_are_for_all_networks_or_for_each(study: Path, tmp_path: Path) -> None:
    images = open_images(study.parent / "photos")
    both = begin((small(), small("vggcnn")), images, tmp_path / "both")
    three = ("-w", "random", "-w", "random", "-w", "random")
    one_line(run("make", both.path, "-l", "p1", *three), 2, "2 networks but 3 --weights: give one for all")
    one_line(run("make", both.path, "-l", "p1", "-n", "alexcnn"), 1, "does not say how alexcnn is loaded")
