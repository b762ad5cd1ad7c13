"""What a layer keeps of a picture: how near inversion comes, where it must be exact, and what is refused."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from layerscope import Network, Preprocessing
from layerscope.errors import ImageError, LayerscopeError, NetworkError, OutputError
from layerscope.progress import Progress
from layerscope.synthesis import InvertOptions, invert, make_inverted
from layerscope.synthesis.inverted_folder import zeros
from layerscope.synthesis.inverting import relative_errors, variation
from tests.oracles.synthesis import inversion as naive
from tests.support.studies import bytes_of

PLAIN = Preprocessing(32, 32, 32, (0.5,) * 3, (0.25,) * 3)
QUICK = InvertOptions(steps=5)


def small() -> Network:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 8, 3), nn.ReLU()
    )
    return Network.from_module(module, name="small", preprocessing=PLAIN)


def photograph(seed: int = 0, size: int = 32) -> Image.Image:
    """Smooth colours, as of a photograph."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)


# ------------------------------------------------------------------ how near


def test_what_keeps_all_gives_the_picture_back() -> None:
    network = Network.from_module(nn.Sequential(nn.Conv2d(3, 3, 1)), preprocessing=PLAIN)
    with torch.no_grad():
        network.graph.tensors["0.weight"].copy_(torch.eye(3)[:, :, None, None] + 0.1)
    picture = PLAIN.apply(photograph())
    found = invert(network, picture, ["0"], options=InvertOptions(variation=0.0))
    assert len(found) == 2
    for one in found:
        assert one.error < 0.01
        assert one.psnr > 30
        assert one.ssim > 0.98
        assert np.abs(one.pixels.astype(int) - PLAIN.picture(picture)).mean() < 4


def test_lower_layers_keep_more() -> None:
    network, picture = small(), PLAIN.apply(photograph(1))
    found = invert(network, picture, ["0", "3"], options=InvertOptions(steps=200, starts=1, variation=0.1))
    assert [one.layer for one in found] == ["0", "3"]
    assert all(one.error < 0.1 for one in found)
    assert found[0].psnr > found[1].psnr
    assert found[0].ssim > found[1].ssim


def test_what_is_measured_is_what_is_written() -> None:
    network, picture = small(), PLAIN.apply(photograph(2))
    for one in invert(network, picture, ["2", "3"], options=QUICK):
        shown = torch.from_numpy(one.pixels).permute(2, 0, 1)[None].float() / 255
        both = torch.cat([picture[None], (shown - 0.5) / 0.25])
        given, found = network.representations(both, [one.layer])[one.layer].numpy()
        assert one.error == pytest.approx(naive.relative_error(found, given), rel=1e-4)
        assert one.psnr == pytest.approx(naive.psnr(one.pixels, PLAIN.picture(picture)), rel=1e-6)


def test_the_parts_of_what_is_lowered() -> None:
    random = np.random.default_rng(0)
    found, aim = random.normal(size=(3, 4, 5)), random.normal(size=(1, 4, 5))
    errors = relative_errors(torch.from_numpy(found), torch.from_numpy(aim))
    assert errors.tolist() == pytest.approx([naive.relative_error(one, aim[0]) for one in found])
    pictures = random.random((2, 3, 4, 5))
    assert variation(torch.from_numpy(pictures)).tolist() == pytest.approx(
        [naive.variation(one) for one in pictures]
    )
    assert variation(torch.ones(1, 3, 1, 1)).tolist() == [0]


def test_starts_differ_and_are_repeated() -> None:
    network, picture = small(), PLAIN.apply(photograph(3))
    first, second = invert(network, picture, ["3"], options=QUICK)
    assert (first.start, second.start) == (0, 1)
    assert (first.pixels != second.pixels).any()
    again = invert(network, picture, ["3"], options=QUICK)
    assert [one.pixels.tobytes() for one in again] == [first.pixels.tobytes(), second.pixels.tobytes()]


# ------------------------------------------------------------------ what goes wrong


def test_what_cannot_be_inverted() -> None:
    network, picture = small(), PLAIN.apply(photograph())
    with pytest.raises(NetworkError, match="no layer 'c9'"):
        invert(network, picture, ["c9"])
    with pytest.raises(NetworkError, match="use float32"):
        invert(network.to(dtype=torch.bfloat16), picture, ["0"])
    dead = small()
    with torch.no_grad():
        dead.graph.tensors["3.weight"].zero_()
        dead.graph.tensors["3.bias"].fill_(-1)
    with pytest.raises(NetworkError, match="3 is zero for the picture"):
        invert(dead, picture, ["3"], options=QUICK)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"seed": -1}, "seed = -1: give 0 to 9223372036854775807"),
        ({"variation": float("nan")}, "variation = nan: give 0 or more, no infinity"),
        ({"rate": float("inf")}, "rate = inf: give 0 or more, no infinity"),
        ({"starts": 0}, "starts = 0: give 1 or more"),
    ],
)
def test_options_out_of_range(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(LayerscopeError, match=words):
        InvertOptions(**wrong)


@pytest.mark.parametrize("level", [0, 127, 255])
def test_flat_pictures(level: int) -> None:
    picture = PLAIN.apply(Image.new("RGB", (32, 32), (level,) * 3))
    for one in invert(small(), picture, ["0"], options=QUICK):
        assert np.isfinite([one.error, one.psnr, one.ssim]).all()


# ------------------------------------------------------------------ as a folder


def saved(folder: Path) -> list[Path]:
    folder.mkdir()
    for number in range(2):
        photograph(number, 40).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def test_a_folder_goes_on_where_it_stopped(tmp_path: Path) -> None:
    networks, files = [small(), small()], saved(tmp_path / "pictures")
    table, bad = make_inverted(networks, files, tmp_path / "whole", layers=["0", "3"], options=QUICK)
    assert bad == ()
    assert table.num_rows == 2 * 2 * 2 * 2
    assert table.column("picture").to_pylist() == ["0"] * 8 + ["1"] * 8
    assert all((tmp_path / "whole" / file).is_file() for file in table.column("file").to_pylist())

    told: list[Progress] = []

    def stop(progress: Progress) -> None:
        told.append(progress)
        if len(told) > 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_inverted(networks, files, tmp_path / "cut", layers=["0", "3"], options=QUICK, progress=stop)
    assert list((tmp_path / "cut").rglob("*-1.png"))
    make_inverted(networks, files, tmp_path / "cut", layers=["0", "3"], options=QUICK)
    assert bytes_of(tmp_path / "cut") == bytes_of(tmp_path / "whole")


def test_what_another_preprocessing_made_is_not_taken(tmp_path: Path) -> None:
    """The picture is the same in 8 bits, and yet the network is given other values."""
    network, (file, _) = small(), saved(tmp_path / "pictures")
    other = replace(network, preprocessing=replace(PLAIN, deviation=(0.1,) * 3))
    make_inverted([network], [file], tmp_path / "out", layers=["0"], options=QUICK)
    before = bytes_of(tmp_path / "out")
    with pytest.raises(OutputError, match="not among these, or of other --mean, --dtype and so on"):
        make_inverted([other], [file], tmp_path / "out", layers=["0"], options=QUICK)
    assert bytes_of(tmp_path / "out") == before


def test_a_second_run_keeps_and_lists_the_first(tmp_path: Path) -> None:
    """But of the same picture and layer what was made in another way goes."""
    network, (one, two) = small(), saved(tmp_path / "pictures")
    out, alone = tmp_path / "out", InvertOptions(steps=4, starts=1)

    def made(file: Path, layer: str, options: InvertOptions) -> list[tuple[object, ...]]:
        table, _ = make_inverted([network], [file], out, layers=[layer], options=options)
        rows = table.to_pylist()
        pictures = {path.relative_to(out).as_posix() for path in out.glob("*/*/*.png")}
        assert pictures == {row["file"] for row in rows}
        assert all(np.isfinite(row["error"]) and row["network"] == "small" for row in rows)
        return [(row["picture"], row["layer"], row["start"], row["steps"]) for row in rows]

    first = [("0", "3", start, 5) for start in range(2)]
    assert made(one, "3", QUICK) == first
    before = bytes_of(out / "0")
    assert made(one, "0", alone) == [("0", "0", 0, 4), *first]
    assert made(two, "2", alone) == [("1", "2", 0, 4), ("0", "0", 0, 4), *first]
    assert {name: bytes_of(out / "0")[name] for name in before} == before
    assert made(one, "3", alone) == [("0", "0", 0, 4), ("0", "3", 0, 4), ("1", "2", 0, 4)]
    photograph(7, 40).save(one)
    with pytest.raises(OutputError, match="inversions of another picture called 0; name a new folder"):
        made(one, "0", alone)


def test_figures_of_the_users_stay(tmp_path: Path) -> None:
    files, own = saved(tmp_path / "pictures"), tmp_path / "inversion-errors-3.png"
    own.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"inversion-errors-3\.png is in the way: it was not made here"):
        make_inverted([small()], files, tmp_path, layers=["0"], options=QUICK)
    assert own.read_bytes() == b"mine"


def bright() -> Network:
    """Its first layer is zero for a black picture alone, its last for every one."""
    module = nn.Sequential(
        nn.Conv2d(3, 2, 1, bias=False), nn.ReLU(), nn.Conv2d(2, 2, 1, bias=False), nn.ReLU()
    )
    with torch.no_grad():
        module[0].weight.fill_(1.0)  # type: ignore[operator]
        module[2].weight.fill_(-1.0)  # type: ignore[operator]
    plain = Preprocessing(32, 32, 32, (0.0,) * 3, (1.0,) * 3)
    return Network.from_module(module, name="bright", preprocessing=plain)


@pytest.mark.slow
def test_layers_that_are_zero_for_a_picture_are_left_out(tmp_path: Path) -> None:
    files = saved(tmp_path / "pictures")
    Image.new("RGB", (32, 32)).save(tmp_path / "black.png")
    files = [tmp_path / "black.png", *files]
    networks = [bright(), small()]
    table, bad = make_inverted(networks, files, tmp_path / "out", layers=["0", "2"], options=QUICK)
    assert bad == ()
    rows = table.to_pylist()
    assert [(row["network"], row["picture"], row["layer"]) for row in rows if row["file"] is None] == [
        *[("bright", "black", layer) for layer in ("0", "0", "2", "2")],
        *[("bright", picture, "2") for picture in ("0", "0", "1", "1")],
    ]
    assert all((row["error"] is None) == (row["file"] is None) for row in rows)
    assert zeros(rows) == [
        "bright: 0, 2 are zero for black",
        "bright: 2 is zero for 0",
        "bright: 2 is zero for 1",
    ]
    made = bytes_of(tmp_path / "out")
    make_inverted(networks, files, tmp_path / "out", layers=["0", "2"], options=QUICK)
    assert bytes_of(tmp_path / "out") == made
    words = "bright: 0, 2 are zero for black: any picture that leaves it so is like it; give other"
    with pytest.raises(NetworkError, match=words):
        make_inverted([bright()], files[:1], tmp_path / "none", layers=["0", "2"], options=QUICK)


def test_every_layer_named_is_one_of_some_network(tmp_path: Path) -> None:
    files, other = (
        saved(tmp_path / "pictures")[:1],
        Network.from_module(
            nn.Sequential(OrderedDict(first=nn.Conv2d(3, 2, 1), fc66=nn.Conv2d(2, 2, 1))),
            name="other",
            preprocessing=PLAIN,
        ),
    )

    def made(networks: list[Network], *layers: str) -> list[tuple[str, str]]:
        table, _ = make_inverted(networks, files, tmp_path / "out", layers=layers, options=QUICK)
        return [(row["network"], row["layer"]) for row in table.to_pylist() if row["start"] == 0]

    with pytest.raises(NetworkError, match="other has no layer 'fc6'; did you mean fc66"):
        made([other], "first", "fc6")
    with pytest.raises(NetworkError, match="no layer 'fc6'"):
        made([small(), other], "0", "fc66", "fc6")
    with pytest.raises(NetworkError, match="other has none of the layers 0, 3; name one of its own too"):
        made([small(), other], "0", "3")
    assert made([small(), other], "0", "fc66") == [("small", "0"), ("other", "fc66")]


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"none")
    photograph().save(tmp_path / "good.png")
    files = [tmp_path / "broken.png", tmp_path / "good.png"]
    table, bad = make_inverted([small()], files, tmp_path / "out", layers=["0"], options=QUICK)
    assert [one.path.name for one in bad] == ["broken.png"]
    assert set(table.column("picture").to_pylist()) == {"good"}
    with pytest.raises(ImageError, match="none of 1 pictures can be read"):
        make_inverted([small()], files[:1], tmp_path / "none", layers=["0"], options=QUICK)
    with pytest.raises(NetworkError, match="no layer 'c9'"):
        make_inverted([small()], files[1:], tmp_path / "other", layers=["c9"], options=QUICK)
