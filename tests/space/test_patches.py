"""Patches drawn from a study: every one is what its position makes of its picture, whatever else is in the study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from layerscope import load_network
from layerscope.errors import GeometryError, LayerscopeError, NetworkError, StudyError
from layerscope.images.sets import ImageSet, choose_images, open_images
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Options
from layerscope.progress import Progress
from layerscope.space import patches
from layerscope.space.patches import Patches, draw_patches
from layerscope.study.folder import Study
from layerscope.sweep.one_pass import SweepOptions, sweep_images
from layerscope.sweep.patch_sample import PatchSample, Where
from tests.oracles.space.patches import every_patch, lies_inside
from tests.support.image_sources import picture_of
from tests.support.spaces import begin
from tests.support.studies import SETTINGS, pictures, small, write_pictures

ALL = 100_000  # more patches than there are
BAD = (3, 17)  # of 40 pictures


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    return pictures(tmp_path_factory.mktemp("patches") / "photos", 40, BAD)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, images: ImageSet) -> Study:
    return begin(small(), images, tmp_path_factory.mktemp("patches") / "study")


def own(*modules: nn.Module, size: int = 16, grey: bool = False) -> Network:
    torch.manual_seed(0)
    module = nn.Sequential(*modules).eval()
    colours = {"mean": (0.4,), "deviation": (0.2,)} if grey else {}
    preprocessing = replace(Preprocessing(resize=None, height=size, width=size), **colours)  # type: ignore[arg-type]
    return Network.from_module(module, name="own", preprocessing=preprocessing)


def draw(
    study: Study, images: ImageSet, layer: str, network: Network | None = None, **sample: int
) -> Patches:
    wanted = replace(PatchSample(layer, ALL), **sample)  # type: ignore[arg-type]
    return draw_patches(study, network or small(), images, wanted, settings=SETTINGS)[layer]


def equal(one: Patches, other: Patches) -> bool:
    return bool(one.table.equals(other.table) and np.array_equal(one.vectors, other.vectors))


def check(found: Patches, network: Network, layer: str, images: ImageSet, where: Where = "all") -> set[int]:
    """Asserts that these are all patches of their pictures, and what the twin says of each; the pictures."""
    rows = found.table.to_pylist()
    drawn = {(row["picture"], row["row"], row["column"]) for row in rows}
    assert len(drawn) == len(rows) == len(found.vectors) > 0
    shown = {row["picture"] for row in rows}
    expected = {
        (picture, *place): seen
        for picture in shown
        for place, seen in every_patch(network, layer, picture_of(images, picture)).items()
        if where == "all" or lies_inside(seen, *network.input_shape[1:])
    }
    assert drawn == set(expected)
    for row, vector in zip(rows, found.vectors, strict=True):
        seen = expected[row["picture"], row["row"], row["column"]]
        assert (row["top"], row["left"], row["bottom"], row["right"]) == seen.box
        assert np.allclose(vector, seen.vector, rtol=1e-4, atol=1e-5)
    return shown


@pytest.mark.parametrize(("layer", "where"), [("p1", "inside"), ("c2", "all"), ("c5", "all")])
def test_all_patches_are_the_twins(study: Study, images: ImageSet, layer: str, where: Where) -> None:
    found = draw_patches(study, small(), images, PatchSample(layer, ALL, where=where))[layer]
    assert check(found, small(), layer, images, where) == set(range(40)) - set(BAD)
    assert found.vectors.dtype == np.float32


def test_a_field_larger_than_the_picture_reaches_outside(study: Study, images: ImageSet) -> None:
    table = draw(study, images, "c5").table.to_pandas()
    assert (table["bottom"] - table["top"] == 151).all()
    assert (table["top"] < 0).all()
    assert (table["right"] > 64).all()


def test_fully_connected_layers_have_one_patch_per_picture(study: Study, images: ImageSet) -> None:
    found = draw(study, images, "fc7")
    assert check(found, small(), "fc7", images) == set(range(40)) - set(BAD)
    assert found.vectors.shape == (38, 205)
    table = found.table.select(["row", "column", "top", "left", "bottom", "right"])
    assert {tuple(row.values()) for row in table.to_pylist()} == {(0, 0, 0, 0, 64, 64)}


def test_a_layer_without_one_field_sees_the_whole_picture(tmp_path: Path) -> None:
    network = own(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(5))
    (layer,) = (layer.name for layer in network.layers if layer.field is None)
    images = pictures(tmp_path / "photos", 3, ())
    study = begin(network, images, tmp_path / "study")
    found = draw(study, images, layer, network)
    assert check(found, network, layer, images) == {0, 1, 2}
    assert set(found.table["bottom"].to_pylist()) == {16}


def test_grey_networks(tmp_path: Path) -> None:
    network = own(nn.Conv2d(1, 4, 3), nn.ReLU(), grey=True)
    images = pictures(tmp_path / "photos", 4, (1,))
    study = begin(network, images, tmp_path / "study")
    assert check(draw(study, images, "0", network), network, "0", images) == {0, 2, 3}


def test_a_sample_is_the_beginning_of_a_larger_one(study: Study, images: ImageSet) -> None:
    few, more = (draw(study, images, "p1", count=count) for count in (70, 300))
    assert (len(few.vectors), len(more.vectors)) == (70, 300)
    assert equal(few, Patches(more.table.slice(0, 70), more.vectors[:70]))
    assert not equal(few, draw(study, images, "p1", count=70, seed=1))
    one = draw(study, images, "p1", per_picture=1).table["picture"].to_pylist()
    assert sorted(one) == sorted(set(range(40)) - set(BAD))


def test_all_layers_in_one_pass(study: Study, images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    layers, passes = ("p1", "c2", "fc7"), []

    def counted(*arguments: object, **options: object) -> object:
        passes.append(arguments)
        return sweep_images(*arguments, **options)  # type: ignore[arg-type]

    told: list[Progress] = []
    monkeypatch.setattr(patches, "sweep_images", counted)
    sample = PatchSample(layers, 50)
    together = draw_patches(study, small(), images, sample, settings=SETTINGS, progress=told.append)
    assert len(passes) == 1
    assert told[-1] == Progress("pictures", 1.0, "38 of 38 pictures")
    assert tuple(together) == layers
    for layer in layers:
        assert equal(together[layer], draw(study, images, layer, count=50))
    other = draw_patches(study, small(), images, sample, settings=SweepOptions(batch=5, shard=10, workers=2))
    assert all(other[layer].table.equals(together[layer].table) for layer in layers)


def test_pictures_are_found_by_name(study: Study, images: ImageSet, tmp_path: Path) -> None:
    """Other pictures before and between those of the study change nothing."""
    photos = write_pictures(tmp_path / "more", 40, BAD)
    Image.new("RGB", (9, 9)).save(photos / "000a.png")
    Image.new("RGB", (9, 9)).save(photos / "!.png")
    more = open_images(photos)
    assert len(more) == 42
    assert equal(draw(study, more, "c2"), draw(study, images, "c2"))


# ------------------------------------------------------------------ what is refused


def test_a_changed_vanished_or_broken_picture_is_named(study: Study, tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 40, BAD)
    Image.new("RGB", (40, 48)).save(photos / "004.png")
    with pytest.raises(StudyError, match=r"^004\.png is another picture than when .*put the old one back$"):
        draw(study, open_images(photos), "c2")
    opened = open_images(photos)
    (photos / "004.png").unlink()
    with pytest.raises(StudyError, match=r"^004\.png can no longer be read: .*put back the picture"):
        draw(study, opened, "c2")
    with pytest.raises(StudyError, match=r"^004\.png is not in .*--images PLACE"):
        draw(study, open_images(photos), "c2")
    (photos / "004.png").write_text("no picture")
    with pytest.raises(StudyError, match=r"^004\.png can no longer be read: "):
        draw(study, open_images(photos), "c2")


def test_a_bad_picture_may_change(study: Study, images: ImageSet, tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 40, BAD)
    (photos / "003.png").unlink()
    Image.new("RGB", (40, 48)).save(photos / "017.png")
    assert equal(draw(study, open_images(photos), "c2"), draw(study, images, "c2"))


def test_another_network_is_refused(study: Study, images: ImageSet) -> None:
    other = load_network("alexcnn", options=Options(width=0.05, input_size=64, classes=8))
    with pytest.raises(StudyError, match="other weights"):
        draw(study, images, "c2", other)
    with pytest.raises(StudyError, match="no network 'vggcnn'"):
        draw(study, images, "c2_1", small("vggcnn"))


def test_layers_and_numbers_that_cannot_be(study: Study, images: ImageSet) -> None:
    with pytest.raises(NetworkError, match="no layer 'c9'"):
        draw(study, images, "c9")
    with pytest.raises(GeometryError, match='no position of c5 sees only the picture; use where="all"'):
        draw_patches(study, small(), images, PatchSample("c5", 9, where="inside"))
    with pytest.raises(LayerscopeError, match="ask for 1 or more"):
        draw(study, images, "c2", count=0)


# ------------------------------------------------------------------ a part of an image set


def test_chosen_images_keep_names_and_labels(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    write_pictures(tmp_path / "photos", 5, ())
    listed.write_text("".join(f"photos/{i:03d}.png\t{'ab'[i % 2]}\n" for i in range(5)))
    images = open_images(listed)
    chosen = choose_images(images, [4, 1])
    assert chosen.names == ("photos/004.png", "photos/001.png")
    assert (chosen.labels, chosen.classes) == ((0, 1), ("a", "b"))
    assert np.array_equal(np.asarray(chosen.load(0).image), np.asarray(images.load(4).image))
    assert chosen.load(1).digest == images.load(1).digest
    digests = {choose_images(images, places).digest for places in ([4, 1], [1, 4], [1], range(5))}
    assert len(digests | {images.digest}) == 5
