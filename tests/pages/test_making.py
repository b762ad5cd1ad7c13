"""Pages from a command and in one call: several networks, what nobody's axes are, what is printed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from layerscope.cli.main import main
from layerscope.errors import NetworkWarning, StudyError
from layerscope.images.sets import open_images
from layerscope.pages import PageOptions, add_pages
from layerscope.pages.pictures import chosen_before
from layerscope.pipeline import StudyOptions, make_study
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.sweep.making import sweep_study
from layerscope.sweep.top_patches import TopPatches
from layerscope.zoo import loading as zoo
from tests.support.channels_last import SIZE, summing
from tests.support.pictures import noise, saved
from tests.support.studies import SETTINGS, bytes_of, small, write_pictures


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures") / "photos", 5, (2,))


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_networks_of_different_input_sizes_in_one_call_or_two(photos: Path, tmp_path: Path) -> None:
    networks, images = (small("alexcnn"), small("vggcnn")), open_images(photos)
    wanted = PageOptions(2, ["c1", "c5_3"], "all")
    options = StudyOptions([TopPatches(2)], SETTINGS, pages=wanted)
    made = make_study(networks, images, tmp_path / "one", options=options)
    assert check_study(made.path) == ()
    for network, side, layer in ((networks[0], 64, "c1"), (networks[1], 32, "c5_3")):
        found = made.network(network.name)
        assert set(found.table("pages/filters")["layer"].to_pylist()) == {layer}
        assert found.table("pages/reconstructions").num_rows == 2 * len(network.layers)
        view = 0 if side == 64 else 1
        assert (made.path / f"pages/large/{view}/{chosen_before(made)[0]}.jpg").exists()  # type: ignore[index]
    bare = make_study(networks, images, tmp_path / "two", options=StudyOptions([TopPatches(2)], SETTINGS))
    added = add_pages(bare, networks, images, wanted)
    assert bytes_of(added.path) == bytes_of(made.path)


def test_layers_whose_axes_nobody_knows(tmp_path: Path) -> None:
    for seed in range(3):
        saved(noise(SIZE[1], SIZE[0], seed=seed), tmp_path / "pictures" / f"{seed}.png")
    network, images = summing().to(dtype=torch.float32), open_images(tmp_path / "pictures")
    unknown = {layer.name for layer in network.layers if layer.axes is None}
    with pytest.warns(NetworkWarning, match="left out"):
        study = sweep_study([network], images, [TopPatches(2)], tmp_path / "study", settings=SETTINGS)
    made = add_pages(study, [network], images, PageOptions(1, "all", "all"))
    shown = set(made.network(network.name).table("pages/filters")["layer"].to_pylist())
    assert shown
    assert not shown & unknown
    assert check_study(made.path) == ()
    with pytest.raises(StudyError, match="has no top patches of o"):
        add_pages(made, [network], images, PageOptions(1, "o"))


def test_what_is_chosen_stays_chosen_unless_it_is_said(photos: Path, tmp_path: Path) -> None:
    images = open_images(photos)
    study = sweep_study([small()], images, [TopPatches(2)], tmp_path / "study", settings=SETTINGS)
    options: dict[str, Any] = {"layers": "c1", "filters": "none"}
    first = add_pages(study, [small()], images, PageOptions(["001", "004.png"], **options))
    assert chosen_before(first) == (1, 4)
    again = add_pages(first, [small()], images, PageOptions(**options))
    assert chosen_before(again) == (1, 4)
    assert bytes_of(again.path) == bytes_of(first.path)
    more = add_pages(again, [small()], images, PageOptions(["003"], add=True, **options))
    assert chosen_before(more) == (1, 3, 4)
    fresh = sweep_study([small()], images, [TopPatches(2)], tmp_path / "fresh", settings=SETTINGS)
    added = add_pages(fresh, [small()], images, PageOptions(["001", "003", "004"], add=True, **options))
    assert bytes_of(added.path) == bytes_of(more.path)


def test_by_command(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: Any = zoo.load_network

    def load(*arguments: Any, **options: Any) -> Any:
        torch.manual_seed(0)  # random weights, the same in each command
        return loaded(*arguments, **options)

    monkeypatch.setattr(zoo, "load_network", load)
    network = ("-n", "alexcnn", "-w", "random", "--width", "0.05", "--input-size", "64", "--classes", "7")
    made = run("study", photos, *network, "--top", 2, "--pictures", 2, "--out", tmp_path / "s")
    assert made.exit_code == 3, made.output  # one picture is none
    lines = made.stdout.splitlines()
    assert lines[-4] == "4 pictures small, 2 large"
    assert lines[-3] == "alexcnn: reconstructions from 11 layers"
    assert lines[-2].endswith("of 8 layers, 0 with reconstructions")
    study = Path(lines[-1])
    before = bytes_of(study)
    again = run("pages", study)
    assert again.exit_code == 0, again.output
    assert again.stdout.splitlines() == lines[-4:]
    assert bytes_of(study) == before
    named = run(
        "pages", study, "--pictures", "003.png", "--layers", "c1", "--filters", "all", "--rule", "gradient"
    )
    assert named.exit_code == 0, named.output
    assert chosen_before(Study.open(study)) == (3,)
    assert "1 layer, " in named.stdout
    assert run("pages", study, "--pictures", ",").exit_code == 2
    assert run("pages", study, "--pictures", "001.png", "--add", "--layers", "c1").exit_code == 0
    assert chosen_before(Study.open(study)) == (1, 3)
    alone = run("pages", study, "--add")
    assert (alone.exit_code, "--add does nothing without --pictures" in alone.output) == (2, True)
    moved = shutil.move(photos, tmp_path / "moved")
    failed = run("pages", study, "--pictures", "1")
    assert failed.exit_code == 1
    assert "--images PLACE" in failed.output
    assert run("pages", study, "--pictures", "1", "--images", moved).exit_code == 0
    shutil.move(moved, photos)
    assert check_study(study) == ()
