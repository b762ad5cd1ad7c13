"""Portraits of filters: what they show, what is kept, what is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn

from layerscope import load_network
from layerscope.cli.filters import filters as command
from layerscope.disk.locks import lock
from layerscope.disk.names import folders
from layerscope.drawing import sprites
from layerscope.drawing.sprites import read_about, read_sprite
from layerscope.errors import ImageError, NetworkError, OutputError, StudyError
from layerscope.filters import painting
from layerscope.filters.painting import Drawing
from layerscope.filters.portraits import drawing_of, make_portraits
from layerscope.images.sets import open_images
from layerscope.network.network import Network, Unit
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Loading, Options
from layerscope.progress import Progress
from layerscope.reconstruction.rules import GRADIENT
from layerscope.reconstruction.units import stream_units
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.study.sources import images_of, network_of, remember_sources
from layerscope.sweep.making import sweep_study
from layerscope.sweep.top_patches import TopPatches
from tests.oracles.filters import portraits as oracle
from tests.support.image_sources import picture_of
from tests.support.studies import SETTINGS, bytes_of, small, write_pictures

OPTIONS = Options(width=0.05, input_size=64, classes=7)


def named(spec: str, weights: str | None = None) -> Network:
    """The narrow AlexCNN, said to be loaded so."""
    return replace(small(), loading=Loading(spec, weights, OPTIONS))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study of a narrow AlexCNN, and the folder of its pictures; both to be copied."""
    top = tmp_path_factory.mktemp("made")
    photos = write_pictures(top / "photos")
    images, network = open_images(photos), named("alexcnn")
    study = sweep_study([network], images, [TopPatches(3)], top / "study", settings=SETTINGS)
    remember_sources(study, [network], images)
    return top / "study", photos


@pytest.fixture
def study(made: tuple[Path, Path], tmp_path: Path) -> Study:
    return Study.open(shutil.copytree(made[0], tmp_path / "study"))


@pytest.fixture
def photos(made: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[1], tmp_path / "photos"))


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every unit that is reconstructed."""
    seen: list[Any] = []
    real = stream_units

    def counted(network: Any, pictures: Any, wanted: Sequence[Any], **options: Any) -> Any:
        for place, found in real(network, pictures, wanted, **options):
            seen.append(wanted[place])
            yield place, found

    monkeypatch.setattr(painting, "stream_units", counted)
    return seen


def rows(study: Study, network: str = "alexcnn") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = study.network(network).table("filters").to_pylist()
    return found


def files(study: Study) -> set[str]:
    return {file for file in study.manifest["files"] if file.startswith("alexcnn/filters")}


def own(module: nn.Module, *, size: int = 24) -> Network:
    module.eval()
    preprocessing = Preprocessing(resize=None, height=size, width=size)
    return Network.from_module(module, name="own", preprocessing=preprocessing)


def study_of(network: Network, photos: Path, out: Path, k: int = 3) -> Study:
    return sweep_study([network], open_images(photos), [TopPatches(k)], out, settings=SETTINGS)


# ------------------------------------------------------------------ what they show


def test_portraits_equal_the_naive_crops(study: Study, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sprites, "PNG_SIDE", 10_000)
    images, network = open_images(photos), small()
    made = make_portraits(study, network, images, layers=["c1", "c2", "c3", "c5"])
    crossed = 0
    for row in (row for row in rows(made) if not row["dead"]):
        units = [
            (picture_of(images, p), Unit(row["layer"], row["channel"], r, c))
            for p, r, c in zip(row["pictures"], row["rows"], row["columns"], strict=True)
        ]
        boxes = [network.box(unit) for _, unit in units]
        corners = [(0 if b.height > 64 else b.top, 0 if b.width > 64 else b.left) for b in boxes]
        assert corners == list(zip(row["tops"], row["lefts"], strict=True))
        crossed += sum(any(box.outside(64, 64)) for box in boxes)
        found = read_sprite(made.path / "alexcnn" / row["file"])
        expected = oracle.sprite(network, units)
        half = len(found) // 2
        assert np.array_equal(found[:half], expected[:half])
        far = np.abs(found[half:].astype(int) - expected[half:].astype(int))
        assert far.max() <= 1
    assert crossed > 0, "no panel crosses a border"


def test_a_large_field_shows_the_picture_and_jpeg_stays_close(study: Study, photos: Path) -> None:
    images, network = open_images(photos), small()
    made = make_portraits(study, network, images, layers=["c5"], channels=[0])
    (row,) = rows(made)
    assert (row["height"], row["width"]) == (64, 64)
    assert row["tops"] == row["lefts"] == [0] * row["k"]
    assert row["file"].endswith(".jpg")
    sprite = read_sprite(made.path / "alexcnn" / row["file"])
    place = zip(row["pictures"], row["rows"], row["columns"], strict=True)
    units = [(picture_of(images, p), Unit("c5", 0, r, c)) for p, r, c in place]
    expected = oracle.sprite(network, units).astype(float)
    assert np.abs(sprite - expected).mean() < 8
    assert np.abs(sprite[:, ::-1] - expected).mean() > 20


def test_fully_connected_layers_show_the_whole_picture(study: Study, photos: Path) -> None:
    made = make_portraits(study, small(), open_images(photos), layers=["fc6"], channels=range(2))
    assert {(row["height"], row["width"]) for row in rows(made)} == {(64, 64)}


def test_fewer_pictures_than_patches(photos: Path, tmp_path: Path) -> None:
    few = write_pictures(tmp_path / "few", count=2, bad=())
    study = sweep_study([small()], open_images(few), [TopPatches(9)], tmp_path / "of two", settings=SETTINGS)
    made = make_portraits(study, small(), open_images(few), layers=["c1"])
    alive = [row for row in rows(made) if not row["dead"]]
    assert {row["k"] for row in alive} == {2}
    for row in alive:
        shape = read_sprite(made.path / "alexcnn" / row["file"]).shape
        assert shape == (2 * row["height"], 2 * row["width"], 3)


def test_dead_filters_and_patches_that_are_zero(tmp_path: Path) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        assert convolution.bias is not None
        convolution.bias[:] = torch.tensor([5.0, -100.0, 5.0, 5.0])
    network = own(nn.Sequential(convolution, nn.ReLU()))
    photos = write_pictures(tmp_path / "photos", count=2, bad=())
    made = make_portraits(study_of(network, photos, tmp_path / "study"), network, open_images(photos))
    found = rows(made, "own")
    assert [row["dead"] for row in found] == [False, True, False, False]
    assert [row["k"] for row in found] == [2, 0, 2, 2]
    assert found[1]["file"] is None
    folder = f"{found[0]['file'].rpartition('/')[0]}"
    assert {path.name for path in (made.path / "own" / folder).iterdir()} == {
        "0000.png",
        "0002.png",
        "0003.png",
    }
    again = make_portraits(made, network, open_images(photos), channels=[0])
    assert rows(again, "own") == found


def test_grey_networks(tmp_path: Path) -> None:
    network = load_network("alexcnn", options=Options(width=0.05, input_size=64, channels=1))
    photos = write_pictures(tmp_path / "photos", count=3, bad=())
    study = sweep_study(
        [network], open_images(photos), [TopPatches(2)], tmp_path / "study", settings=SETTINGS
    )
    made = make_portraits(study, network, open_images(photos), layers=["c1"])
    sprite = read_sprite(made.path / "alexcnn" / rows(made)[0]["file"])
    assert np.ptp(sprite[: len(sprite) // 2].astype(int), axis=2).max() <= 28  # grey, but for the stripes
    assert "alexcnn/filters/c1-weights.png" in files(made)


# ------------------------------------------------------------------ what is made, kept and listed


def test_what_is_there_is_kept_and_added_to(study: Study, photos: Path, units: list[Any]) -> None:
    images = open_images(photos)
    some = make_portraits(study, small(), images, layers=["c1", "c2"], channels=[0, 2])
    first = len(units)
    assert first == sum(row["k"] for row in rows(some))
    assert {row["channel"] for row in rows(some)} == {0, 2}
    assert check_study(some.path) == ()
    more = make_portraits(some, small(), images, layers=["c2"])
    assert {at.unit.layer for at in units[first:]} == {"c2"}
    assert not {0, 2} & {at.unit.channel for at in units[first:]}
    assert [row["channel"] for row in rows(more) if row["layer"] == "c1"] == [0, 2]
    assert [row["channel"] for row in rows(more) if row["layer"] == "c2"] == list(
        range(small().layer("c2").channels)
    )
    assert check_study(more.path) == ()
    before = bytes_of(more.path)
    make_portraits(more, small(), images, layers=["c1"], channels=[0])
    assert bytes_of(more.path) == before
    assert len(units) == sum(row["k"] for row in rows(more))


def test_another_display_begins_anew(study: Study, photos: Path) -> None:
    images = open_images(photos)
    make_portraits(study, small(), images, layers=["c1"])
    listed = []
    other = make_portraits(
        study,
        small(),
        images,
        layers=["c1"],
        channels=[1],
        drawing=Drawing(GRADIENT, "heat"),
        progress=lambda _: listed.append("alexcnn/filters" in Study.open(study.path).steps),
    )
    assert not any(listed)  # the old ones, which are being replaced
    assert listed
    assert [row["channel"] for row in rows(other)] == [1]
    assert other.steps["alexcnn/filters"]["display"] == "heat"
    assert check_study(other.path) == ()


def test_strays_of_an_interrupted_run_are_removed(study: Study, photos: Path) -> None:
    images = open_images(photos)

    def stop(done: Progress) -> None:
        if done.share == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_portraits(study, small(), images, layers=["c2"], drawing=Drawing(GRADIENT), progress=stop)
    assert check_study(study.path)
    made = make_portraits(study, small(), images, layers=["c1"])
    assert check_study(made.path) == ()
    assert {row["layer"] for row in rows(made)} == {"c1"}


def units_of(done: Progress) -> int:
    return int(done.detail.partition(" ")[0])


@pytest.mark.parametrize("after", [1, 7, 20])
def test_interrupted_and_started_again(
    study: Study, photos: Path, units: list[Any], after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painting, "BLOCK_BYTES", 5_000)
    images, layers = open_images(photos), ["c1", "c2"]
    twin = Study.open(shutil.copytree(study.path, study.path.with_name("twin")))

    def stop(done: Progress) -> None:
        if units_of(done) >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_portraits(study, small(), images, layers=layers, progress=stop)
    there = [p for p in (study.path / "alexcnn" / "filters").rglob("*.*") if read_about(p)]
    assert (len(there) > 0) == (after > 6)
    kept = {path: path.stat().st_mtime_ns for path in there}
    assert Study.open(study.path).steps == study.steps
    units.clear()
    told: list[Progress] = []
    whole = make_portraits(study, small(), images, layers=layers, progress=told.append)
    total = sum(row["k"] for row in rows(whole))
    assert len(units) == total - sum(len(read_about(path)["white"]) for path in there)
    assert {path: path.stat().st_mtime_ns for path in there} == kept
    assert units_of(told[0]) == total - len(units)
    assert (told[-1].detail, told[-1].share) == (f"{total} of {total} units", 1.0)
    assert [units_of(done) for done in told] == list(range(units_of(told[0]), total + 1))
    make_portraits(twin, small(), images, layers=layers)
    assert bytes_of(whole.path) == bytes_of(twin.path)


def test_a_damaged_or_lost_file_is_made_again(study: Study, photos: Path) -> None:
    images = open_images(photos)
    made = make_portraits(study, small(), images, layers=["c1"])
    before = bytes_of(made.path)
    (made.path / "alexcnn" / rows(made)[0]["file"]).write_bytes(b"no picture")
    (made.path / "alexcnn" / "filters" / "c1.pdf").unlink()
    make_portraits(made, small(), images, layers=["c1"])
    assert bytes_of(made.path) == before


def test_killed_between_pages_and_manifest(
    study: Study, photos: Path, monkeypatch: pytest.MonkeyPatch, units: list[Any]
) -> None:
    images = open_images(photos)
    made = make_portraits(study, small(), images, layers=["c1"])
    before = bytes_of(made.path)
    with monkeypatch.context() as patch:
        patch.setattr("layerscope.study.steps.OpenStep.finish", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            make_portraits(made, small(), images, layers=["c2"])
    assert "alexcnn/filters" not in Study.open(study.path).steps
    units.clear()
    more = make_portraits(study, small(), images, layers=["c1"])
    assert not units
    assert {row["layer"] for row in rows(more)} == {"c1", "c2"}
    now = bytes_of(more.path)
    assert all(now[file] == digest for file, digest in before.items() if "/filters/" in file)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_one_process_at_a_time(study: Study, photos: Path) -> None:
    with lock(study.path), pytest.raises(OutputError, match="in use by another process"):
        make_portraits(study, small(), open_images(photos), layers=["c1"])


# ------------------------------------------------------------------ what is refused


def test_a_changed_picture_is_named(study: Study, photos: Path) -> None:
    Image.new("RGB", (40, 48)).save(photos / "003.png")
    with pytest.raises(StudyError, match=r"003\.png is another picture than when"):
        make_portraits(study, small(), open_images(photos))


def test_a_vanished_or_broken_picture_is_named(study: Study, photos: Path) -> None:
    images = open_images(photos)
    (photos / "003.png").unlink()
    with pytest.raises(StudyError, match=r"003\.png can no longer be read"):
        make_portraits(study, small(), images)
    with pytest.raises(StudyError, match=r"003\.png is not in .*--images PLACE"):
        make_portraits(study, small(), open_images(photos))


def test_another_network_is_refused(study: Study, photos: Path) -> None:
    images = open_images(photos)
    other = load_network("alexcnn", options=Options(width=0.05, input_size=64, classes=8))
    with pytest.raises(StudyError, match="other weights"):
        make_portraits(study, other, images)
    with pytest.raises(StudyError, match="no network 'vggcnn'"):
        make_portraits(study, small("vggcnn"), images)
    with pytest.raises(NetworkError, match="no filter has channel 900"):
        make_portraits(study, small(), images, channels=[0, 900])
    with pytest.raises(NetworkError, match="no layer 'c9'"):
        make_portraits(study, small(), images, layers=["c9"])


def test_layers_that_were_not_swept(photos: Path, tmp_path: Path) -> None:
    reducers = [TopPatches(2, layers=("c1",))]
    study = sweep_study([small()], open_images(photos), reducers, tmp_path / "study", settings=SETTINGS)
    with pytest.raises(StudyError, match="no top patches of c2"):
        make_portraits(study, small(), open_images(photos))


# ------------------------------------------------------------------ finding everything again


def test_sources_are_remembered(study: Study, made: tuple[Path, Path], photos: Path) -> None:
    assert images_of(study).names == images_of(study, [photos]).names
    network = network_of(study, "alexcnn")
    assert network.graph.digest == small().graph.digest
    assert remember_sources(study, [named("alexcnn")], open_images(made[1])) == study
    assert remember_sources(study, [small()], open_images([Image.new("RGB", (8, 8))])) == study
    assert check_study(study.path) == ()


def test_sources_that_are_gone_or_unknown(study: Study, photos: Path) -> None:
    away = remember_sources(study, [named("alexcnn", "no.pth")], open_images(photos))
    shutil.move(photos, photos.with_name("moved"))
    with pytest.raises(StudyError, match="give --images PLACE"):
        images_of(away)
    with pytest.raises(ImageError):
        images_of(away, [photos / "nowhere"])
    with pytest.raises(StudyError, match=r"alexcnn of .* cannot be loaded again: .*no\.pth"):
        network_of(away, "alexcnn")


def test_folders_of_layers_differ() -> None:
    names = {"0": "a/b", "1": "a_b", "2": "A_B"}
    module = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 1))
    network = own(module)
    renamed = Network(network.name, network.graph, network.preprocessing, rename=names)
    found = folders(layer.name for layer in renamed.layers)
    assert len({folder.lower() for folder in found.values()}) == len(found) == 2
    assert "/" not in "".join(found.values())


# ------------------------------------------------------------------ the command


def test_the_command(study: Study, photos: Path) -> None:
    words = [str(study.path), "--layers", "c1,c2", "--channels", "0-1,3", "--images", str(photos)]
    result = CliRunner().invoke(command, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-2:] == [
        "alexcnn: 6 filters of 2 layers",
        str(study.path / "alexcnn" / "filters"),
    ]
    assert {row["channel"] for row in rows(Study.open(study.path))} == {0, 1, 3}


@pytest.mark.parametrize("channels", ["3-1", "a", "1-2-3", "", "-1"])
def test_channels_that_are_none(study: Study, channels: str) -> None:
    result = CliRunner().invoke(command, [str(study.path), "--channels", channels])
    assert result.exit_code == 2
    assert "0-31,77" in result.output


def test_files_are_where_the_manifest_says(study: Study, photos: Path) -> None:
    made = make_portraits(study, small(), open_images(photos), layers=["c1"])
    on_disk = {
        os.path.relpath(path, made.path)
        for path in (made.path / "alexcnn/filters").rglob("*")
        if path.is_file()
    }
    assert files(made) - {"alexcnn/filters.parquet"} == on_disk


def test_patches_that_lie_outside_their_picture_are_striped(tmp_path: Path) -> None:
    """Of a filter that answers alike everywhere, so that the first position counts, in a border of zeros."""
    convolution = nn.Conv2d(3, 1, 3)
    nn.init.zeros_(convolution.weight)
    convolution.bias = nn.Parameter(torch.full((1,), 5.0))
    module = nn.Sequential(nn.ZeroPad2d(8), convolution, nn.ReLU()).eval()
    network, photos = own(module), write_pictures(tmp_path / "photos", 3, ())
    study = study_of(network, photos, tmp_path / "study")
    made = make_portraits(study, network, open_images(photos), layers="all")
    (row,) = rows(made, network.name)
    assert (row["rows"], row["tops"], row["lefts"]) == ([0] * 3, [-8] * 3, [-8] * 3)
    assert (row["white"], row["black"]) == ([0.0] * 3, [0.0] * 3)
    folder = made.path / made.network(network.name).folder
    assert np.array_equal(read_sprite(folder / row["file"]), np.tile(sprites.hatched(3, 3), (2, 3, 1)))
    page = np.asarray(Image.open(folder / "filters" / "1.png").convert("RGB"))
    assert (page == (228, 230, 242)).all(axis=2).sum() > 6 * 1000  # pixels between stripes, of six panels


def test_patches_alone_where_no_rule_is_wanted(study: Study, photos: Path) -> None:
    images = open_images(photos)
    both = make_portraits(study, small(), images, layers=["c1"], channels=[0, 3])
    folder = both.path / "alexcnn"
    before = {row["channel"]: read_sprite(folder / row["file"]) for row in rows(both)}
    made = make_portraits(both, small(), images, layers=["c1"], channels=[0, 3], drawing=Drawing(None))
    assert drawing_of(made, "alexcnn") == Drawing(None)
    for row in rows(made):
        sprite = read_sprite(folder / row["file"])
        assert np.array_equal(sprite, before[row["channel"]][: row["height"]])
        assert (row["white"], row["black"]) == ([0.0] * row["k"], [0.0] * row["k"])
    assert check_study(made.path) == ()
    assert drawing_of(made, "alexcnn", rule="deconvnet") == Drawing()
    with pytest.raises(KeyError):
        drawing_of(made, "alexcnn", rule="no rule")
