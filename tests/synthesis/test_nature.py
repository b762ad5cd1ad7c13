"""Pictures that are like a study's patches, and pictures added to a study."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from layerscope import Network, Preprocessing, Unit, load_image
from layerscope.drawing.sprites import read_sprite
from layerscope.errors import NetworkError, StudyError
from layerscope.filters.top_filters import top_filters
from layerscope.images.sets import ImageSet, open_images
from layerscope.progress import Progress
from layerscope.reconstruction.descent import Class
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.study.sources import remember_sources
from layerscope.sweep.making import sweep_study
from layerscope.sweep.top_patches import TopPatches
from layerscope.synthesis import MaximiseOptions, Nature, add_maximised, maximise
from layerscope.synthesis.canvas import canvas_of, inputs_of, results_of
from layerscope.synthesis.nature import path_likeness, sorted_features, watched_by
from tests.oracles.synthesis import spread as oracle
from tests.support.studies import SETTINGS, bytes_of

QUICK = MaximiseOptions(prior="study", steps=3, margin=2)
SIZE = 36


def small() -> Network:
    """Two convolutions; channel 1 of the second never fires."""
    torch.manual_seed(4)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 3, 3, padding=1), nn.ReLU()
    )
    with torch.no_grad():
        module[3].bias[1] = -100  # type: ignore[operator]
    return Network.from_module(module, name="small", preprocessing=Preprocessing(SIZE, SIZE, SIZE))


NETWORK = small()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study of it, and the folder of its pictures: coloured waves, no noise."""
    top, rng = tmp_path_factory.mktemp("made"), np.random.default_rng(1)
    (top / "photos").mkdir()
    for number in range(4):
        down, across, phase = rng.uniform(0.1, 0.6, 3)
        waves = np.sin(down * np.arange(SIZE)[:, None] + across * np.arange(SIZE) + phase)
        pixels = 128 + 100 * waves[..., None] * rng.uniform(-1, 1, 3)
        Image.fromarray(pixels.astype(np.uint8)).save(top / "photos" / f"{number}.png")
    images = open_images(top / "photos")
    study = sweep_study([NETWORK], images, [TopPatches(3)], top / "study", settings=SETTINGS)
    remember_sources(study, [NETWORK], images)
    return top / "study", top / "photos"


@pytest.fixture
def study(made: tuple[Path, Path], tmp_path: Path) -> Study:
    return Study.open(shutil.copytree(made[0], tmp_path / "study"))


@pytest.fixture
def images(made: tuple[Path, Path]) -> ImageSet:
    return open_images(made[1])


def rows(study: Study) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = study.network("small").table("pages/maximised").to_pylist()
    return found


# ------------------------------------------------------------------ like patches


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (32, 32), (33, 40), (70, 20)])
def test_features_are_sorted(size: tuple[int, int]) -> None:
    maps = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for found, own in zip(sorted_features(maps), maps, strict=True):
        assert found.tolist() == oracle.spread(own.numpy(), 32)


@pytest.mark.parametrize("layer", ["0", "3"])
def test_distances(study: Study, made: tuple[Path, Path], images: ImageSet, layer: str) -> None:
    """To what plain crops of the pictures hold, feature by feature."""
    nature, canvas = Nature(study, NETWORK, images), canvas_of(NETWORK, NETWORK.layer(layer), 2)
    watched = watched_by(canvas)
    assert watched == ((0, 1) if layer == "0" else (0, 2, 4))
    field = NETWORK.layer(layer).field
    assert field is not None
    crops = []
    for patch in nature.filter(Unit(layer, 0)).patches:
        name = study.pictures["name"][patch.picture].as_py()
        values = NETWORK.preprocessing.apply(load_image(made[1] / name))
        box = field.box(patch.row, patch.column)
        top, left = (
            min(max(0, (low + high - canvas.height) // 2), SIZE - canvas.height)
            for low, high in ((box.top, box.bottom), (box.left, box.right))
        )
        crops.append(values[None, :, top : top + canvas.height, left : left + canvas.width])
    picture = torch.rand(1, 3, canvas.height, canvas.width, generator=torch.Generator().manual_seed(1))
    found = results_of(NETWORK, picture, watched)
    there = [results_of(NETWORK, crop, watched) for crop in crops]
    best = oracle.distance(
        [found[at][0].double().detach().numpy() for at in watched],
        [[one[at][0].double().detach().numpy() for one in there] for at in watched],
        32,
    )
    aims = nature.aims(canvas, [0])
    assert float(aims.distances(found)) == pytest.approx(best, rel=1e-4)
    assert aims.repeated(2).distances(
        results_of(NETWORK, picture.expand(2, -1, -1, -1), watched)
    ).tolist() == (pytest.approx([best, best], rel=1e-4))
    assert aims.strongest.tolist() == [pytest.approx(nature.filter(Unit(layer, 0)).patches[0].value)]


def test_pictures_are_nearer_to_patches_and_as_strong(study: Study, images: ImageSet) -> None:
    nature, canvas = Nature(study, NETWORK, images), canvas_of(NETWORK, NETWORK.layer("3"), 2)
    aims, far = nature.aims(canvas, [0]), {}
    for weight in (0.0, 1.0):
        options = MaximiseOptions(prior="study", steps=80, margin=2, nature=weight)
        (one,) = maximise(NETWORK, [Unit("3", 0)], options=options, nature=nature)
        pixels = torch.from_numpy(one.pixels).permute(2, 0, 1)[None].float() / 255
        found = results_of(NETWORK, inputs_of(NETWORK, pixels), watched_by(canvas))
        far[weight] = float(aims.distances(found))
        assert one.activation >= nature.filter(Unit("3", 0)).patches[0].value
    assert far[1.0] < far[0.0] / 2


def test_what_has_no_patches_is_refused(study: Study, images: ImageSet) -> None:
    nature = Nature(study, NETWORK, images)
    with pytest.raises(
        NetworkError, match='the prior "study" needs the patches of a study; name one, or use'
    ):
        maximise(NETWORK, [Unit("3", 0)], options=QUICK)
    with pytest.raises(StudyError, match=r"3:1 is zero for all pictures of .*; use --prior fourier"):
        maximise(NETWORK, [Unit("3", 0), Unit("3", 1)], options=QUICK, nature=nature)
    with pytest.raises(StudyError, match="no patches of classes"):
        nature.check([Class(0)])
    other = Network.from_module(
        nn.Sequential(nn.Conv2d(3, 4, 3)), name="small", preprocessing=NETWORK.preprocessing
    )
    with pytest.raises(StudyError, match="another architecture"):
        Nature(study, other, images)


def test_paths() -> None:
    """Pair by pair, with ties, and a picture of which all channels are alike."""
    generator = torch.Generator().manual_seed(3)
    shapes = {2: (4, 6, 5, 5), 7: (4, 3)}
    patches = {at: torch.randn(*shape, generator=generator).relu() for at, shape in shapes.items()}
    for scale in (1.0, 0.0):
        picture = {
            at: scale * torch.randn(1, *shape[1:], generator=generator) for at, shape in shapes.items()
        }
        like, natural = path_likeness(patches, picture)
        own: list[float] = []
        among: list[float] = []
        for at, maps in patches.items():
            rows = [row.reshape(len(row), -1).double().mean(1).tolist() for row in (*maps, picture[at][0])]
            own.extend(oracle.spearman(rows[-1], row) / 4 for row in rows[:-1])
            among.extend(
                oracle.spearman(rows[one], rows[other]) / 12
                for one in range(4)
                for other in range(4)
                if one != other
            )
        assert like == pytest.approx(sum(own) / 2)
        assert natural == pytest.approx(sum(among) / 2)
    alone = {2: patches[2][:1]}
    assert path_likeness(alone, alone)[0] == pytest.approx(1)
    assert path_likeness(alone, alone)[1] is None


def test_layers_without_positions(made: tuple[Path, Path], images: ImageSet, tmp_path: Path) -> None:
    torch.manual_seed(2)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, stride=3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 12 * 12, 3))
    network = Network.from_module(module, name="small", preprocessing=NETWORK.preprocessing)
    study = sweep_study([network], images, [TopPatches(3)], tmp_path / "study", settings=SETTINGS)
    live = next(one.channel for one in top_filters(study, network, ["3"]) if one.patches)
    found = add_maximised(study, network, images, [Unit("3", live)], options=QUICK)
    (row,) = rows(found)
    assert (row["row"], row["layer"]) == (None, "3")
    assert -1 <= row["path"] <= 1
    assert check_study(found.path) == ()


# ------------------------------------------------------------------ in a study


def test_a_study_holds_them(study: Study, images: ImageSet) -> None:
    found = add_maximised(study, NETWORK, images, [Unit("3", 2), Unit("0", 1)], options=QUICK)
    assert check_study(found.path) == ()
    assert [(row["layer"], row["channel"], row["number"]) for row in rows(found)] == [
        ("0", 1, 0),
        ("3", 2, 0),
    ]
    nature = Nature(found, NETWORK, images)
    for row in rows(found):
        unit = Unit(row["layer"], row["channel"])
        (alone,) = maximise(NETWORK, [unit], options=QUICK, nature=nature)
        shown = read_sprite(found.path / "small" / "pages" / row["file"])
        assert np.array_equal(shown, alone.pixels)
        assert row["activation"] == alone.activation
        canvas = canvas_of(NETWORK, NETWORK.layer(unit.layer), QUICK.margin)
        assert (row["path"], row["natural_path"]) == nature.path(canvas, unit.channel, alone.pixels)
        assert row["strongest"] == nature.filter(unit).patches[0].value
    sheets = {path.name for path in (found.path / "small" / "maximised").iterdir()}
    assert sheets == {"0.png", "0.pdf", "3.png", "3.pdf"}


def test_a_channel_named_twice_is_made_once(study: Study, images: ImageSet) -> None:
    seen: list[Progress] = []
    units = [Unit("3", 2), Unit("3", 2, 1, 1)]
    found = add_maximised(study, NETWORK, images, units, options=QUICK, progress=seen.append)
    assert [(row["channel"], row["number"]) for row in rows(found)] == [(2, 0)]
    assert seen[-1].detail == "3 of 3 steps"


def test_more_are_added_to_what_is_there(study: Study, images: ImageSet) -> None:
    found = add_maximised(study, NETWORK, images, [Unit("3", 2), Unit("0", 1)], options=QUICK)
    before = bytes_of(found.path / "small")
    again = add_maximised(found, NETWORK, images, [Unit("3", 2)], options=QUICK)
    assert bytes_of(again.path / "small") == before
    more = add_maximised(found, NETWORK, images, [Unit("3", 0), Unit("3", 2)], options=QUICK)
    assert [(row["layer"], row["channel"]) for row in rows(more)] == [("0", 1), ("3", 0), ("3", 2)]
    after = bytes_of(more.path / "small")
    changed = {name for name in before if before[name] != after[name]}
    assert {Path(name).name for name in changed} == {"maximised.parquet", "3.png", "3.pdf"}


def test_what_was_made_in_another_way_stays(study: Study, images: ImageSet) -> None:
    """Of other channels; of the same one it is replaced."""
    found = add_maximised(study, NETWORK, images, [Unit("3", 2), Unit("3", 0), Unit("0", 1)], options=QUICK)
    before, there = rows(found), bytes_of(found.path / "small")
    other = MaximiseOptions(steps=4, margin=2, each=2)
    anew = add_maximised(found, NETWORK, images, [Unit("3", 1)], options=other)  # never fires
    stay, new = rows(anew), [row for row in rows(anew) if row["channel"] == 1 and row["layer"] == "3"]
    assert [row for row in stay if row not in new] == before
    assert [(row["number"], row["strongest"], row["activation"]) for row in new] == [
        (0, None, 0),
        (1, None, 0),
    ]
    assert [(row["prior"], row["steps"], row["each"]) for row in stay] == [
        ("study", 3, 1),
        ("study", 3, 1),
        ("fourier", 4, 2),
        ("fourier", 4, 2),
        ("study", 3, 1),
    ]
    after = bytes_of(anew.path / "small")
    assert {Path(name).name for name in there if there[name] != after[name]} == {
        "maximised.parquet",
        "3.png",
        "3.pdf",
    }
    replaced = add_maximised(anew, NETWORK, images, [Unit("3", 2)], options=other)
    assert [(row["layer"], row["channel"], row["steps"]) for row in rows(replaced)] == [
        ("0", 1, 3),
        ("3", 0, 3),
        *[("3", channel, 4) for channel in (1, 1, 2, 2)],
    ]
    folder = replaced.path / "small" / "pages" / "maximised" / "3"
    assert {path.name for path in folder.iterdir()} == {
        *("0000.png", "0001-1.png", "0001-2.png", "0002-1.png", "0002-2.png")
    }
    assert check_study(replaced.path) == ()


def test_interrupted_while_it_replaces_it_loses_nothing(study: Study, images: ImageSet) -> None:
    units = [Unit("0", 1), Unit("0", 2), Unit("3", 0), Unit("3", 2)]
    found = add_maximised(study, NETWORK, images, units, options=QUICK)
    other = MaximiseOptions(steps=4, margin=2)

    def stop(told: Progress) -> None:
        if told.share > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_maximised(found, NETWORK, images, units[1:3], options=other, progress=stop)
    after = add_maximised(Study.open(study.path), NETWORK, images, [Unit("3", 2)], options=other)
    steps = {(row["layer"], row["channel"]): row["steps"] for row in rows(after)}
    assert steps == {("0", 1): 3, ("0", 2): 4, ("3", 0): 3, ("3", 2): 4}
    assert {path.name for path in (after.path / "small" / "maximised").iterdir()} == {
        *("0.png", "0.pdf", "3.png", "3.pdf")
    }
    assert check_study(after.path) == ()


def test_interrupted_it_goes_on_to_the_same_bytes(study: Study, images: ImageSet, tmp_path: Path) -> None:
    units = [Unit("0", 0), Unit("0", 3), Unit("3", 0), Unit("3", 2)]
    cut = Study.open(shutil.copytree(study.path, tmp_path / "cut"))
    whole = add_maximised(study, NETWORK, images, units, options=QUICK)

    def stop(told: Progress) -> None:
        if told.share > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_maximised(cut, NETWORK, images, units, options=QUICK, progress=stop)
    assert len(list((cut.path / "small" / "pages" / "maximised").rglob("*.png"))) == 2
    assert any("interrupted; run it again" in fault.what for fault in check_study(cut.path))
    shares: list[float] = []
    add_maximised(cut, NETWORK, images, units, options=QUICK, progress=lambda told: shares.append(told.share))
    assert shares[0] == 0.5
    assert bytes_of(cut.path) == bytes_of(whole.path)


def test_a_damaged_picture_is_named(study: Study, images: ImageSet) -> None:
    found = add_maximised(study, NETWORK, images, [Unit("3", 2)], options=QUICK)
    path = found.path / "small" / "pages" / rows(found)[0]["file"]
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(StudyError, match=r"0002\.png is damaged; remove it and run the same again"):
        add_maximised(found, NETWORK, images, [Unit("3", 0)], options=QUICK)
    path.unlink()
    mended = add_maximised(found, NETWORK, images, [Unit("3", 2)], options=QUICK)
    assert check_study(mended.path) == ()


def test_a_truncated_picture_of_another_channel_is_named(study: Study, images: ImageSet) -> None:
    found = add_maximised(study, NETWORK, images, [Unit("3", 2), Unit("0", 1)], options=QUICK)
    path = found.path / "small" / "pages" / "maximised" / "3" / "0002.png"
    whole = bytes_of(found.path)
    path.write_bytes(path.read_bytes()[:-30])
    words = r"0002\.png is damaged; remove it and run the same again, with --unit 3:2 to have it anew"
    with pytest.raises(StudyError, match=words):
        add_maximised(found, NETWORK, images, [Unit("0", 1)], options=QUICK)
    anew = add_maximised(found, NETWORK, images, [Unit("3", 2)], options=QUICK)
    assert bytes_of(anew.path) == whole


def test_pages_show_no_picture_that_was_removed(study: Study, images: ImageSet) -> None:
    found = add_maximised(study, NETWORK, images, [Unit("3", 2), Unit("3", 0), Unit("0", 1)], options=QUICK)
    folder, sheets = found.path / "small" / "pages" / "maximised", found.path / "small" / "maximised"
    before = (sheets / "3.png").read_bytes()
    (folder / "3" / "0002.png").unlink()
    found = add_maximised(found, NETWORK, images, [Unit("0", 1)], options=QUICK)
    assert [(row["layer"], row["channel"]) for row in rows(found)] == [("0", 1), ("3", 0)]
    assert (sheets / "3.png").read_bytes() != before
    (folder / "3" / "0000.png").unlink()
    found = add_maximised(found, NETWORK, images, [Unit("0", 1)], options=QUICK)
    assert {path.name for path in sheets.iterdir()} == {"0.png", "0.pdf"}
    assert check_study(found.path) == ()


@pytest.mark.parametrize("channels", [1, 4])
def test_pictures_of_any_channels(channels: int, tmp_path: Path) -> None:
    torch.manual_seed(4)
    module = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU())
    half = (0.5,) * channels
    preprocessing = Preprocessing(SIZE, SIZE, SIZE, mean=half, deviation=half)
    network = Network.from_module(module, name="small", preprocessing=preprocessing)
    (tmp_path / "bands").mkdir()
    for number in range(3):
        bands = np.random.default_rng(number).integers(0, 256, (SIZE, SIZE, channels), np.uint8)
        np.save(tmp_path / "bands" / f"{number}.npy", bands)
    images = open_images(tmp_path / "bands")
    study = sweep_study([network], images, [TopPatches(2)], tmp_path / "study", settings=SETTINGS)
    remember_sources(study, [network], images)
    done = add_maximised(study, network, images, [Unit("1", 0), Unit("0", 1)], options=QUICK)
    assert [(row["layer"], row["channel"]) for row in rows(done)] == [("0", 0), ("0", 1)]  # "1" is its ReLU
    assert all(row["strongest"] > 0 and row["path"] is not None for row in rows(done))
