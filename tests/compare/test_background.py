"""What lies outside the object: the measure, its controls, and the part of a comparison that speaks of it."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn

from layerscope.compare.background import measured_layers, outside_shares, shares_of
from layerscope.compare.comparison import compare_studies
from layerscope.compare.parts.background import BACKGROUND
from layerscope.compare.reinitialised import reinitialise, weighted_layers
from layerscope.compare.subject import CompareOptions, Subject
from layerscope.errors import ComparisonError
from layerscope.images.decoding import load_unconverted
from layerscope.images.sets import ImageSet, open_images
from layerscope.network.network import Network
from layerscope.network.preprocessing import IMAGENET, Preprocessing
from layerscope.progress import Progress
from layerscope.reconstruction.rules import DECONVNET, GRADIENT, GUIDED
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.sweep.channel_statistics import Sparsity
from layerscope.sweep.making import sweep_study
from layerscope.zoo.loading import load_network
from tests.oracles.compare.background import outside_share
from tests.support.packages import need
from tests.support.studies import SETTINGS, bytes_of, small, write_pictures

STAMPS = ("/usr/share/tuxpaint/stamps", "tuxpaint-stamps-default")
PLACES = {"mate/nature/Dune.jpg": "mate-backgrounds", "Wine_by_Jakkub_Mede.jpg": "lomiri-wallpapers-16.04"}


class TestMeasure:
    def test_equals_its_twin(self) -> None:
        random = np.random.default_rng(0)
        signals, inside = random.normal(size=(3, 2, 5, 7)), random.random((5, 7))
        found = outside_shares(torch.from_numpy(signals), torch.from_numpy(inside))
        assert found.tolist() == pytest.approx(
            [outside_share(signal, inside) for signal in signals], rel=1e-12
        )

    def test_of_known_signals(self) -> None:
        inside = torch.zeros(4, 5)
        inside[:2] = 1
        even, within, around = torch.ones(3, 4, 5), torch.zeros(3, 4, 5), torch.zeros(3, 4, 5)
        within[:, 0, 1], around[:, 3, 2] = 7, -3
        signals = torch.stack([even, -1e18 * even, within, around, 0 * even])
        found = outside_shares(signals, inside)
        assert found[:4].tolist() == pytest.approx([1, 1, 0, 2])
        assert found[4].isnan()

    @pytest.mark.parametrize("size", [(300, 200), (97, 411), (224, 224), (40, 61), (4000, 30)])
    @pytest.mark.parametrize("seen", [IMAGENET, Preprocessing(None, 60, 100, interpolation="bicubic")])
    def test_masks_go_the_way_of_pictures(self, size: tuple[int, int], seen: Preprocessing) -> None:
        """A picture that is its own mask: what is seen of both is the same."""
        pixels = np.zeros(size[::-1], np.uint8)
        pixels[size[1] // 3 : size[1] * 3 // 4, size[0] // 2 :] = 255
        mask = Image.fromarray(pixels)
        shown = seen.picture(seen.apply(mask.convert("RGB")))
        assert np.abs(shown[..., 0].astype(int) - np.asarray(seen.crop(mask))).max() <= 1

    def test_layers_chosen(self) -> None:
        names = [layer.name for layer in measured_layers(small("vggcnn"), DECONVNET)]
        assert names == "c1_1 p1 c2_1 p2 c3_1 c3_3 p3 c4_2 p4 c5_1 c5_3 p5 fc8".split()
        some = measured_layers(small(), DECONVNET, ("c2", "c5_3", "p5"))
        assert [layer.name for layer in some] == ["c2", "p5"]

    def test_layers_that_the_rule_does_not_go_back_from(self) -> None:
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Hardtanh(), nn.Conv2d(4, 4, 3), nn.ReLU())
        network = Network.from_module(module, preprocessing=Preprocessing(None, 8, 8))
        assert measured_layers(network, DECONVNET) == ()
        assert len(measured_layers(network, GRADIENT, "all")) == 2

    def test_a_picture_of_an_object_alone(self) -> None:
        """Noise on the mean: all is at the object, and another mask does not find it."""
        network, random = reinitialise(small("vggcnn")), torch.Generator().manual_seed(0)
        picture, inside = torch.zeros(3, 32, 32), torch.zeros(32, 32)
        picture[:, 4:14, 4:14] = torch.randn(3, 10, 10, generator=random)
        inside[2:16, 2:16] = 1
        layers = measured_layers(network, DECONVNET, ("c1_1", "c2_1"))
        own, other = shares_of(network, layers, picture, [inside, inside.flip(0, 1)], DECONVNET)
        assert (own < 0.3).all()
        assert (other > 0.9).all()


class TestReinitialised:
    def test_the_given_network_stays_and_the_same_comes_again(self) -> None:
        network = small()
        digest = network.graph.digest
        fresh = reinitialise(network)
        assert network.graph.digest == digest != fresh.graph.digest
        assert fresh.graph.digest == reinitialise(network).graph.digest
        assert fresh.graph.digest != reinitialise(network, seed=1).graph.digest
        assert fresh.layers == network.layers

    def test_only_the_layers_named_and_each_as_when_all_are(self) -> None:
        network = small("vggcnn")
        assert weighted_layers(network)[:3] == ("c1_1", "c1_2", "c2_1")
        every, some = reinitialise(network), reinitialise(network, ("c1_2", "p1", "fc7"))
        for name, tensor in network.graph.tensors.items():
            wanted = every if name.startswith(("c1_2.", "fc7.")) else network
            assert torch.equal(some.graph.tensors[name], wanted.graph.tensors[name]), name
            assert name.endswith("bias") or not torch.equal(tensor, every.graph.tensors[name])

    def test_of_which_scale_and_layout(self) -> None:
        module = nn.Sequential(
            nn.Conv2d(64, 128, 3, groups=2), nn.BatchNorm2d(128), nn.ReLU(), nn.Flatten(), nn.Linear(512, 300)
        ).eval()
        for parameter in module.parameters():
            nn.init.constant_(parameter, 3.0)
        seen = Preprocessing(None, 4, 4, (0.5,) * 64, (0.5,) * 64)
        network = Network.from_module(module, preprocessing=seen).to(dtype=torch.bfloat16)
        fresh = reinitialise(network).graph.tensors
        assert fresh["0.weight"].float().var().item() == pytest.approx(2 / (32 * 9), rel=0.05)
        assert fresh["4.weight"].float().var().item() == pytest.approx(2 / 512, rel=0.05)
        assert {fresh[name].dtype for name in fresh if name != "1.num_batches_tracked"} == {torch.bfloat16}
        assert fresh["0.weight"].stride() == network.graph.tensors["0.weight"].stride()
        assert (fresh["1.weight"] == 1).all()
        assert (fresh["1.bias"] == 0).all()
        assert (fresh["4.bias"] == 0).all()
        finer = reinitialise(network).to(dtype=torch.float32)
        assert (finer.graph.tensors["4.bias"] == 0).all()


# ------------------------------------------------------------------ the part

LAYERS = ("c1", "c5", "c1_1", "p1")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("photographs"), 9, (5,))


@pytest.fixture(scope="module")
def given(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Given:
    networks, images = [small(), small("vggcnn")], open_images(photographs)
    out = tmp_path_factory.mktemp("study") / "study"
    return Given(sweep_study(networks, images, [Sparsity()], out, settings=SETTINGS), images)


def write_masks(folder: Path, numbers: Sequence[int] = range(9)) -> Path:
    folder.mkdir(parents=True)
    for number in numbers:
        mask = np.zeros((48, 40) if number < 0 else (40, 48), np.uint8)
        mask[8 + number : 28, 10 : 30 + number] = 255
        Image.fromarray(mask).save(folder / f"{number:03d}.png")
    return folder


@dataclass(frozen=True)
class Given:
    """A study of two networks, and its pictures."""

    study: Study
    images: ImageSet

    def compare(
        self, out: Path, masks: Path | str | None, layers: Sequence[str] = LAYERS, **more: Any
    ) -> Study:
        options = CompareOptions(parts=("background",), masks=masks, layers=tuple(layers))
        networks = [small(), small("vggcnn")]
        return compare_studies(
            self.study, out, options=options, networks=networks, images=self.images, **more
        )


def compared(given: Given, out: Path, masks: Path | str | None) -> dict[str, Any]:
    made = given.compare(out, masks)
    section: dict[str, Any] = json.loads((made.path / "background" / "section.json").read_bytes())
    return section


def texts(section: dict[str, Any]) -> list[str]:
    return [finding["text"] for finding in section["findings"]]


def test_the_part_says_what_its_tables_hold(given: Given, photographs: Path, tmp_path: Path) -> None:
    section = compared(given, tmp_path / "out", write_masks(tmp_path / "masks"))
    assert not check_study(tmp_path / "out")
    rows = pq.read_table(tmp_path / "out/background/background.parquet").to_pylist()
    each = pq.read_table(tmp_path / "out/background/pictures.parquet").to_pylist()
    measured = {"alexcnn": {"c1", "p1", "c5"}, "vggcnn": {"c1_1", "p1"}}
    for name, layers_of in measured.items():
        assert {row["layer"] for row in each if row["network"] == name} == layers_of
    assert {row["rule"] for row in rows} == {"deconvnet", "guided", "gradient"}
    for row in rows:
        if row["rule"] == "deconvnet":
            own = [
                e[row["kind"]] for e in each if (e["network"], e["layer"]) == (row["network"], row["layer"])
            ]
            assert row["mean"] == pytest.approx(np.mean(own))
            assert row["low"] < row["mean"] < row["high"]
            assert row["pictures"] == len(own) == 8
    network = small("vggcnn")
    picture = network.preprocessing.apply(load_unconverted(photographs / "003.png"))
    inside = (
        torch.from_numpy(np.array(network.preprocessing.crop(load_unconverted(tmp_path / "masks/003.png"))))
        / 255
    )
    layers = measured_layers(network, DECONVNET, ("c1_1", "p1"))
    wanted = shares_of(network, layers, picture, [inside], DECONVNET)[0]
    found = [row["trained"] for row in each if row["name"] == "003.png" and row["network"] == "vggcnn"]
    assert found == pytest.approx(wanted.tolist(), rel=1e-6)
    said = texts(section)
    assert "8 pictures with a mask" in said[0]
    assert sum(finding["holds"] is not None for finding in section["findings"]) == 5
    assert any("By the rule guided" in text for text in said)


def test_it_goes_on_to_the_same_bytes(given: Given, tmp_path: Path) -> None:
    masks = write_masks(tmp_path / "masks")
    compared(given, tmp_path / "whole", masks)

    class StopError(Exception):
        pass

    def stopping(counts: Iterator[int]) -> Any:
        def told(progress: Progress) -> None:
            if "background" in progress.stage and next(counts) == 7:
                raise StopError

        return told

    with pytest.raises(StopError):
        given.compare(tmp_path / "out", masks, progress=stopping(iter(range(99))))
    kept = list((tmp_path / "out").rglob("*.npz"))
    assert len(kept) == 7
    before = {path: path.stat().st_mtime_ns for path in kept}
    starts = []

    def seen(progress: Progress) -> None:
        if progress.stage == "alexcnn, deconvnet: background":
            starts.append(progress.share)
            assert {path: path.stat().st_mtime_ns for path in kept} == before

    given.compare(tmp_path / "out", masks, progress=seen)
    assert starts[0] == pytest.approx(7 / 8)
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_masks_for_some_and_masks_that_cannot_be_used(given: Given, tmp_path: Path) -> None:
    masks = write_masks(tmp_path / "masks", (0, 1, 2, 3))
    Image.new("L", (48, 40), 255).save(masks / "004.png")
    Image.new("L", (48, 40), 0).save(masks / "006.png")
    Image.new("L", (47, 40), 255).save(masks / "007.png")
    section = compared(given, tmp_path / "out", masks)
    said = texts(section)
    assert "on 4 pictures" in said[0]
    assert "1 pictures have no mask" in said[1]
    assert "3 masks cannot be used and are left out; 004.png: its mask covers everything" in said[2]
    assert [finding["warns"] for finding in section["findings"][1:3]] == [True, True]


def test_one_picture_has_no_verdict(given: Given, tmp_path: Path) -> None:
    section = compared(given, tmp_path / "out", write_masks(tmp_path / "masks", (3,)))
    assert all(finding["holds"] is None for finding in section["findings"])
    assert any("no verdict" in text for text in texts(section))
    assert not any("nan" in text for text in texts(section))


def test_boxes_beside_and_other_masks(given: Given, photographs: Path, tmp_path: Path) -> None:
    rows = ["name,left,top,right,bottom", *(f"{n:03d}.png,4,4,30,30" for n in range(9))]
    (tmp_path / "boxes.csv").write_text("\n".join(rows))
    first = compared(given, tmp_path / "out", tmp_path / "boxes.csv")
    assert "8 pictures" in texts(first)[0]
    before = bytes_of(tmp_path / "out")
    assert compared(given, tmp_path / "out", tmp_path / "boxes.csv") == first
    assert bytes_of(tmp_path / "out") == before
    (tmp_path / "boxes.csv").write_text("\n".join(rows).replace("30,30", "20,30"))
    assert compared(given, tmp_path / "out", tmp_path / "boxes.csv") != first


def test_what_is_refused(given: Given, tmp_path: Path) -> None:
    Path(tmp_path / "empty").mkdir()
    for place, where in {None: "beside", str(tmp_path / "empty"): "in"}.items():
        reason = f"no background: no picture has a mask {where}.*--masks"
        with pytest.raises(ComparisonError, match=reason) as caught:
            compared(given, tmp_path / "out", place)
        assert "\n" not in str(caught.value)
    with pytest.raises(
        ComparisonError, match=r"none of 8 masks can be used; 000\.png: it has no alpha channel"
    ):
        compared(given, tmp_path / "out", "alpha")
    with pytest.raises(ComparisonError, match="neither a folder of masks"):
        compared(given, tmp_path / "out", tmp_path / "absent")
    masks = write_masks(tmp_path / "masks")
    with pytest.raises(ComparisonError, match="goes back from no chosen layer of alexcnn"):
        given.compare(tmp_path / "out", masks, ("c1_1",))


def test_without_pictures_other_parts_are_made(given: Given, tmp_path: Path) -> None:
    """The options of all parts are asked for, and this one's need the pictures."""
    made = compare_studies(given.study, tmp_path / "out", options=CompareOptions(parts=("sparsity",)))
    assert "does not say where its pictures are" in str(BACKGROUND.options(Subject(made))["masks"])


def test_dead_networks(given: Given, tmp_path: Path, photographs: Path) -> None:
    """A network of zeros has no energy anywhere."""
    network = small()
    tensors = {name: torch.zeros_like(tensor) for name, tensor in network.graph.tensors.items()}
    dead = replace(network, name="dead", graph=replace(network.graph, tensors=tensors))
    networks = [network, dead]
    images, masks = open_images(photographs), write_masks(tmp_path / "masks")
    made = sweep_study(networks, images, [Sparsity()], tmp_path / "study", settings=SETTINGS)
    chosen = CompareOptions(parts=("background",), masks=masks, layers=("c1", "c5"))
    out = compare_studies(made, tmp_path / "out", options=chosen, networks=networks, images=images)
    section = json.loads((out.path / "background" / "section.json").read_bytes())
    assert any("In dead all 2 layers are zero" in text for text in texts(section))


# ------------------------------------------------------------------ the example


@pytest.fixture(scope="module")
def cutouts() -> ModuleType:
    need(*STAMPS)
    for name, package in PLACES.items():
        need(f"/usr/share/backgrounds/{name}", package)
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "stamps"))
    return importlib.import_module("cutouts")


def test_the_example_is_the_same_each_time(cutouts: ModuleType, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        cutouts.main(tmp_path / folder, 5, Path("/"))
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    for path in (tmp_path / "one/pictures").iterdir():
        picture, mask = load_unconverted(path), load_unconverted(tmp_path / "one/masks" / path.name)
        assert picture.size == mask.size == (256, 256)
        seen = np.asarray(mask)
        assert seen[16:240, 16:240].sum() == seen.sum() > 0
        assert IMAGENET.crop(mask).tobytes() == mask.crop((16, 16, 240, 240)).tobytes()


@pytest.mark.slow
def test_background_fades_in_alexnet(cutouts: ModuleType, tmp_path: Path) -> None:
    """The claim on real weights: less energy outside the object in c5 than in c1, and least by guided."""
    cutouts.main(tmp_path, 8, Path("/"))
    network = load_network("alexnet", "imagenet-trunk")
    changes: dict[str, list[float]] = {"deconvnet": [], "guided": []}
    for path in sorted((tmp_path / "pictures").iterdir()):
        picture = network.preprocessing.apply(load_unconverted(path))
        mask = network.preprocessing.crop(load_unconverted(tmp_path / "masks" / path.name))
        inside = torch.from_numpy(np.array(mask)) / 255
        for rule in (DECONVNET, GUIDED):
            layers = measured_layers(network, rule, ("c1", "c5"))
            (shares,) = shares_of(network, layers, picture, [inside], rule)
            changes[rule.name].append(shares[1] - shares[0])
    assert np.mean(changes["deconvnet"]) < -0.1
    assert np.mean(changes["guided"]) < np.mean(changes["deconvnet"])
