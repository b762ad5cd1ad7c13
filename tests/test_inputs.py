"""Networks of other channels than RGB, the whole way: figures, a study with its pages, training, native sizes."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from layerscope import StudyOptions, load_network, make_study, open_images, reconstruct, show_signal
from layerscope.cli.main import main
from layerscope.drawing.render import read_png
from layerscope.drawing.sprites import read_sprite
from layerscope.errors import ImageError, NetworkError, StudyError
from layerscope.filters import FilterOptions
from layerscope.gallery.folder import Gallery, Look, make_gallery
from layerscope.images.bands import bands_of
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Options
from layerscope.network.suiting import check_channels
from layerscope.pages import PageOptions
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.study.sources import check_network, images_of, network_of
from layerscope.sweep.one_pass import SweepOptions
from layerscope.sweep.top_patches import TopPatches
from layerscope.train.batches import Batches
from layerscope.train.plan import TrainOptions
from layerscope.train.recipes import RECIPES
from layerscope.train.training import train_network
from layerscope.zoo.native import native_network, strides_of
from tests.oracles.network.channels import side_by_side
from tests.support.image_sources import shard
from tests.support.pictures import noise, saved, written

NETS = b"""
import torch
from torch import nn
from layerscope import Preprocessing

def conv(channels=3, seed=0):
    torch.manual_seed(seed)
    made = nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 5, 3, padding=1), nn.ReLU())
    made.preprocessing = Preprocessing(None, 16, 16, (0.4,) * channels, (0.3,) * channels)
    return made

def pair(channels):
    return nn.Sequential(*conv(channels), nn.Flatten(), nn.Linear(5 * 8 * 8, 2))

def valid():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 5), nn.ReLU())

def fixed(channels=3):
    return nn.Sequential(*conv(channels), nn.Flatten(), nn.Linear(5 * 8 * 8, 3))
"""


@pytest.fixture
def nets(tmp_path: Path) -> str:
    return str(written(tmp_path / "nets.py", NETS))


def arrays(folder: Path, count: int = 4, channels: int = 4) -> list[npt.NDArray[np.uint8]]:
    """Pictures of the size of an input of 16 x 16, as arrays."""
    folder.mkdir(parents=True)
    drawn = np.random.default_rng(0)
    found = [drawn.integers(0, 256, (16, 16, channels)).astype(np.uint8) for _ in range(count)]
    for number, values in enumerate(found):
        np.save(folder / f"{number}.npy", values)
    return found


def network_of_four(nets: str, **more: object) -> Network:
    return load_network(f"{nets}:conv(channels=4)", options=Options(input_size=16, **more))  # type: ignore[arg-type]


class TestFigures:
    def test_each_channel_has_its_panel(self, tmp_path: Path, nets: str) -> None:
        values = arrays(tmp_path / "p", 1)[0]
        network = network_of_four(nets)
        for display in ("signed", "magnitude"):
            out = tmp_path / display
            look = Look(("0", "3"), display=display)
            _, bad = make_gallery(Gallery(out, (network,), look), [tmp_path / "p" / "0.npy"])
            assert not bad
            (place,) = (out / "panels" / "0").iterdir()
            levels = read_png(place / "input.png")[0]
            assert np.array_equal(levels, np.broadcast_to(side_by_side(values), (32, 32, 3)))
            signals = reconstruct(network, network.preprocessing.apply(bands_of(values))[None], ["0", "3"])
            for number, layer in enumerate(("0", "3")):
                signal = signals[layer][0].permute(1, 2, 0).numpy()
                direct = show_signal(side_by_side(signal) if display == "signed" else signal, display)
                (file,) = place.glob(f"{number + 1:03d}-*.png")
                assert np.array_equal(read_png(file)[0], direct.pixels)

    def test_chosen_channels_are_colours(self, tmp_path: Path, nets: str) -> None:
        values = arrays(tmp_path / "p", 1)[0]
        network = network_of_four(nets, shown=(3, 0, 2))
        make_gallery(Gallery(tmp_path / "out", (network,), Look(("0",))), [tmp_path / "p" / "0.npy"])
        (place,) = (tmp_path / "out" / "panels" / "0").iterdir()
        assert np.array_equal(read_png(place / "input.png")[0], values[..., [3, 0, 2]])

    def test_pictures_of_other_channels_are_named_and_left_out(self, tmp_path: Path, nets: str) -> None:
        arrays(tmp_path / "p", 2)
        photo = saved(noise(), tmp_path / "a.png")
        four = ("-n", f"{nets}:conv(channels=4)", "--input-size", "16", "-l", "0")
        done = CliRunner().invoke(
            main, ["reconstruct", str(tmp_path / "p"), str(photo), *four, "--out", str(tmp_path / "out")]
        )
        assert done.exit_code == 3, done.output
        assert (
            f"skipped {photo}: it has 3 channels (48 x 64 x 3) and the network takes 4; give" in done.stderr
        )
        assert "2 of 3 pictures, 1 skipped" in done.stdout

    def test_files_of_a_band_each_have_their_pictures_name(self, tmp_path: Path, nets: str) -> None:
        for number, values in enumerate(arrays(tmp_path / "p", 2)):
            for band, name in enumerate("rgbn"):
                saved(Image.fromarray(values[..., band]), tmp_path / f"s{number}" / f"{name}.png")
        command = ["reconstruct", str(tmp_path / "*" / "{r,g,b,n}.png"), "-n", f"{nets}:conv(channels=4)"]
        command += [
            "--input-size",
            "16",
            "-l",
            "0",
            "--out",
            str(tmp_path / "out"),
            "--show-channels",
            "0,1,2",
        ]
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
        told = json.loads((tmp_path / "out" / "results.json").read_text())
        assert [one["picture"] for one in told["pictures"]] == ["s0", "s1"]
        assert told["pictures"][0]["file"] == str(tmp_path / "s0" / "{r,g,b,n}.png")


class TestStudies:
    def made(self, tmp_path: Path, nets: str, **more: object) -> Study:
        sweep = SweepOptions(batch=2, shard=4)
        options = StudyOptions(
            [TopPatches(2)], sweep, filters=FilterOptions(["0"], channels=range(2)), pages=PageOptions(4)
        )
        images = open_images(str(tmp_path / "p"))
        return make_study([network_of_four(nets, **more)], images, tmp_path / "study", options=options)

    @pytest.mark.parametrize("shown", [None, (3, 0, 2)])
    def test_portraits_and_pages_show_what_is_chosen(
        self, tmp_path: Path, nets: str, shown: tuple[int, ...] | None
    ) -> None:
        values = arrays(tmp_path / "p")
        study = self.made(tmp_path, nets, shown=shown)
        assert check_study(study.path) == ()
        drawn = [
            one[..., list(shown)] if shown else np.rint(one.mean(axis=2, keepdims=True)).astype(np.uint8)
            for one in values
        ]
        (name,) = study.networks
        results = study.network(name)
        for row in results.table("filters").to_pylist():
            sprite = read_sprite(results.file(row["file"]))
            for rank, (picture, top, left) in enumerate(
                zip(row["pictures"], row["tops"], row["lefts"], strict=True)
            ):
                patch = sprite[:3, 3 * rank : 3 * rank + 3]
                for y in range(max(0, -top), min(3, 16 - top)):
                    for x in range(max(0, -left), min(3, 16 - left)):
                        assert (patch[y, x] == drawn[picture][top + y, left + x]).all()
        large = np.asarray(Image.open(study.path / "pages" / "large" / "0" / "0.jpg")).astype(int)
        assert np.abs(large - drawn[0]).mean() < 8  # a JPEG of noise
        again = network_of(study, name)
        check_network(study, again)
        assert again.preprocessing == network_of_four(nets, shown=shown).preprocessing
        assert images_of(study).names == ("0.npy", "1.npy", "2.npy", "3.npy")

    def test_a_picture_of_other_channels_is_bad(self, tmp_path: Path, nets: str) -> None:
        arrays(tmp_path / "p")
        np.save(tmp_path / "p" / "4.npy", np.zeros((5, 5, 3), np.float32))
        study = self.made(tmp_path, nets)
        assert study.bad["reason"].to_pylist()[0].startswith("it has 3 channels (5 x 5 x 3)")

    def test_networks_of_other_channels_are_not_studied_together(self, tmp_path: Path, nets: str) -> None:
        arrays(tmp_path / "p")
        three = load_network(f"{nets}:conv", options=Options(input_size=16))
        options = StudyOptions([TopPatches(2)], SweepOptions(batch=2, shard=4))
        both = [network_of_four(nets), three]
        with pytest.raises(
            StudyError, match=r"0\.npy is read by some of the networks alone: it has 4 channels"
        ):
            make_study(both, open_images(str(tmp_path / "p")), tmp_path / "study", options=options)

    def test_another_order_is_another_network(self, tmp_path: Path, nets: str) -> None:
        arrays(tmp_path / "p")
        study = self.made(tmp_path, nets, order=(3, 2, 1, 0))
        other = network_of_four(nets)
        known = study.manifest["inputs"]["networks"][study.networks[0]]["preprocessing"]
        assert known["order"] == [3, 2, 1, 0]
        assert "order" not in other.preprocessing.about()


def labelled(top: Path, kind: str, channels: int) -> str:
    """Two classes, one darker, of four pictures each, kept in one of the ways; the place."""
    drawn, members = np.random.default_rng(0), dict[str, bytes]()
    for number in range(8):
        name, values = (
            f"{'dark' if number % 2 else 'light'}/{number}",
            drawn.integers(0, 20_000, (20, 20, channels)),
        )
        values = (values + 20_000 * (1 - number % 2)).astype(np.uint16)
        bands, file = [Image.fromarray(values[..., band]) for band in range(channels)], io.BytesIO()
        if kind.endswith("npy"):
            np.save(file, values)
        elif kind.endswith("tif"):
            bands[0].save(file, "TIFF", save_all=True, append_images=bands[1:])
        for band, image in enumerate(bands if kind == "bands" else ()):
            (top / name).mkdir(parents=True, exist_ok=True)
            saved(image, top / name / f"B{band}.tif")
        if kind in ("npy", "tif"):
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            written(top / f"{name}.{kind}", file.getvalue())
        members |= {
            f"{number}.{kind[-3:]}": file.getvalue(),
            f"{number}.cls": name.split("/", maxsplit=1)[0].encode(),
        }
    if kind.startswith("tar"):
        top.mkdir()
        return str(shard(top / "a.tar", members))
    return (
        f"{top}/*/*/{{{','.join(f'B{band}' for band in range(channels))}}}.tif"
        if kind == "bands"
        else str(top)
    )


AS_WELL = [("tif", 4), ("bands", 2), ("tar of npy", 4), ("tar of tif", 2)]


@pytest.mark.parametrize(
    ("kind", "channels"),
    [
        ("npy", 2),
        ("bands", 4),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in AS_WELL),
    ],
)
def test_bands_are_trained_on_and_evaluated(tmp_path: Path, nets: str, kind: str, channels: int) -> None:
    place = labelled(tmp_path / "p", kind, channels)
    folders = () if kind.startswith("tar") else ("--labels", "folders")
    spec, sides = f"{nets}:pair({channels})", ("--input-size", "16", *folders)
    options = ("--epochs", "2", "--batch", "4", "--white", "65535", "--mean", "20000", "--deviation", "12000")
    trained = CliRunner().invoke(main, ["train", spec, place, *sides, *options, "--out", f"{tmp_path}/t"])
    assert trained.exit_code == 0, trained.output
    assert "skipped" not in trained.output
    weights = ("-w", f"{tmp_path}/t/weights.safetensors")
    done = CliRunner().invoke(
        main, ["evaluate", place, "-n", spec, *weights, *sides, *options[4:], "--out", f"{tmp_path}/e"]
    )
    assert done.exit_code == 0, done.output
    assert "of 8 labelled pictures" in done.output


def test_other_channels_are_said_once_before_all_pictures_are_read(tmp_path: Path, nets: str) -> None:
    for name in ("a", "b"):
        arrays(tmp_path / "p" / name, 2)
    images = open_images(str(tmp_path / "p"), labels="folders")
    said = r"p: at its beginning, .* no pictures for .*:conv: a/0\.npy: it has 4 channels \(.*\) and the network "
    three = load_network(f"{nets}:conv", options=Options(input_size=16))
    with pytest.raises(ImageError, match=said + r"takes 3; .*, or choose some by --order"):
        make_study([three], images, tmp_path / "study", options=StudyOptions([TopPatches(2)]))
    plan = TrainOptions(replace(RECIPES["short"], batch=2), Options(input_size=16))
    with pytest.raises(ImageError, match=said):
        train_network(f"{nets}:conv", images, tmp_path / "trained", options=plan)


def test_channels_are_asked_of_the_whole_set_and_for_each_network(tmp_path: Path) -> None:
    """Others at its beginning alone say nothing; what cannot be read is passed over."""
    place, three, five = tmp_path / "p", Preprocessing(None, 4, 4), Preprocessing(None, 4, 4, (0.0,) * 5)
    arrays(place, 12)
    said = r"no pictures for a: 0\.npy: it has 4 channels .* takes 3; .*; nor for b: 0\.npy: .* takes 5; "
    with pytest.raises(ImageError, match=said):
        check_channels(open_images(str(place)), {"a": three, "b": five})
    last = sorted(place.iterdir())[-2:]
    written(last[1], b"no picture")
    saved(noise(8, 8), last[0].with_suffix(".png"))
    check_channels(open_images(str(place)), {"a": three, "b": five})
    for path in place.iterdir():
        written(path, b"no picture")
    check_channels(open_images(str(place)), {"a": three})


def test_batches_to_train_on_are_cut_from_all_channels(tmp_path: Path, nets: str) -> None:
    for name in ("a", "b"):
        arrays(tmp_path / "p" / name, 2)
    images = open_images(str(tmp_path / "p"), labels="folders")
    preprocessing = network_of_four(nets).preprocessing
    (batch,) = Batches(images, preprocessing, 4, seed=0).centred()
    assert batch.pictures.shape == (4, 4, 16, 16)
    for place in range(4):
        direct = preprocessing.apply(images.load(place).image)
        assert torch.equal(batch.pictures[place], direct)
    (mixed,) = Batches(images, preprocessing, 4, seed=0).epoch(1)
    assert mixed.bad == ()


class TestNative:
    @pytest.mark.parametrize("sides", [(17, 23), (40, 20), (2, 3), (16, 16)])
    def test_pictures_are_seen_as_they_are_cropped_to_the_stride(
        self, nets: str, sides: tuple[int, int]
    ) -> None:
        network = load_network(f"{nets}:conv", options=Options(input_size=16))
        assert strides_of(network) == (2, 2)
        found = native_network(network, sides)
        height, width = sides[0] // 2 * 2, sides[1] // 2 * 2
        assert found.input_shape == (3, height, width)
        picture = noise(sides[1], sides[0])
        top, left = round((sides[0] - height) / 2), round((sides[1] - width) / 2)
        expected = np.asarray(picture)[top : top + height, left : left + width]
        values = found.preprocessing.apply(picture)
        assert np.array_equal(found.preprocessing.picture(values), expected)
        own = load_network(f"{nets}:conv", options=Options(input_size=(height, width)))
        for layer in ("0", "3"):
            assert torch.equal(
                reconstruct(found, values[None], [layer])[layer],
                reconstruct(own, values[None], [layer])[layer],
            )

    def test_faults(self, nets: str) -> None:
        network = load_network(f"{nets}:conv", options=Options(input_size=16))
        with pytest.raises(ImageError, match=r"9 x 1 is less than a stride of .*, 2 x 2 pixels"):
            native_network(network, (1, 9))
        with pytest.raises(ImageError, match="has over 4,000,000 pixels"):
            native_network(network, (4000, 4000))
        fixed = load_network(f"{nets}:fixed", options=Options(input_size=16))
        with pytest.raises(
            NetworkError, match="cannot see pictures as they are, for it has layers of a fixed size"
        ):
            native_network(fixed, (32, 32))
        grown = load_network("alexcnn", options=Options(width=0.05, input_size=64))
        with pytest.raises(NetworkError, match=r"layers of a fixed size \(fc6.weight\)"):
            native_network(grown, (96, 96))
        module = Network.from_module(torch.nn.Conv2d(3, 2, 3))
        with pytest.raises(NetworkError, match="was given as a module"):
            native_network(module, (32, 32))

    def test_a_picture_that_a_layer_cannot_take_is_left_out(self, tmp_path: Path, nets: str) -> None:
        """As is one of other channels, whatever its size: neither says anything of the network."""
        network = load_network(f"{nets}:valid", options=Options(input_size=16))
        with pytest.raises(ImageError, match=r"20 x 6 is too small for .*valid"):
            native_network(network, (6, 20))
        files = [saved(noise(*size), tmp_path / f"{size[0]}.png") for size in ((6, 20), (20, 21))]
        np.save(tmp_path / "a.npy", np.zeros((3, 9, 9), np.float32))
        command = ["-n", f"{nets}:valid", "--input-size", "native", "--out", str(tmp_path / "out")]
        pictures = map(str, (*files, tmp_path / "a.npy"))
        done = CliRunner().invoke(main, ["reconstruct", *pictures, *command])
        assert done.exit_code == 3, done.output
        assert "6.png: 6 x 20 is too small for" in done.stderr
        assert "a.npy: it has 9 channels" in done.stderr
        assert [path.name for path in (tmp_path / "out" / "panels").iterdir()] == ["20"]

    def test_the_command(self, tmp_path: Path, nets: str) -> None:
        files = [saved(noise(*size), tmp_path / f"{size[0]}.png") for size in ((20, 31), (64, 10), (1, 40))]
        command = ["-n", f"{nets}:conv", "--input-size", "native", "--out", str(tmp_path / "out")]
        done = CliRunner().invoke(main, ["reconstruct", *map(str, files), *command])
        assert done.exit_code == 3, done.output
        assert "1 x 40 is less than a stride" in done.stderr
        for size, seen in (("20", (30, 20, 3)), ("64", (10, 64, 3))):
            (place,) = (tmp_path / "out" / "panels" / size).iterdir()
            assert read_png(place / "input.png")[0].shape == seen
        refused = CliRunner().invoke(main, ["study", str(tmp_path), *command])
        assert refused.exit_code == 2
        assert "--input-size native is of `layerscope reconstruct` alone" in refused.output
