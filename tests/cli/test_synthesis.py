"""`layerscope maximise` and `layerscope invert`, as they are typed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from layerscope import load_network
from layerscope.cli.main import main
from layerscope.cli.synthesis import _say_still
from layerscope.filters.top_filters import top_filters
from layerscope.images.sets import open_images
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.study.sources import remember_sources
from layerscope.sweep.making import sweep_study
from layerscope.sweep.top_patches import TopPatches
from tests.support.studies import SETTINGS, write_pictures

FASHION = ("-n", "alexcnn", "-w", "fashion", "--steps", 2)


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_channels_and_classes(tmp_path: Path) -> None:
    chosen = ("--layers", "c1", "--channels", "0-2", "--unit", "fc8:1", "--unit", "c1:1", "--class", "bag")
    result = run("maximise", *FASHION, *chosen, "--each", 2, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == ["alexcnn: 10 pictures", str(tmp_path / "out" / "maximised.png")]
    rows = pq.read_table(tmp_path / "out" / "maximised.parquet").to_pylist()
    assert [(row["layer"], row["channel"]) for row in rows[::2]] == [
        ("fc8", 1),
        ("c1", 1),
        ("c1", 0),
        ("c1", 2),
        (None, rows[-1]["channel"]),
    ]
    assert rows[-1]["class"] == "bag"
    for row in rows:
        with Image.open(tmp_path / "out" / row["file"]) as picture:
            assert picture.size[0] == picture.size[1] <= 64
    assert (tmp_path / "out" / "maximised.csv").is_file()
    assert (tmp_path / "out" / "maximised.pdf").is_file()


def test_a_study_is_added_to(tmp_path: Path) -> None:
    images = open_images(write_pictures(tmp_path / "photos", 4))
    network = load_network("alexcnn", "fashion")
    path = remember_sources(
        sweep_study([network], images, [TopPatches(2)], tmp_path / "study", settings=SETTINGS),
        [network],
        images,
    ).path
    chosen = ("--layers", "c2", "--channels", "0-3", "--steps", 2)
    live = sum(bool(one.patches) for one in top_filters(Study.open(path), network, ["c2"], range(4)))
    assert live < 4
    result = run("maximise", path, *chosen, "--prior", "study")
    assert result.exit_code == 0, result.output
    *_, left_out, made, folder = result.stdout.splitlines()
    assert left_out.startswith(f"alexcnn: {4 - live} channel")
    assert left_out.endswith("zero for all pictures, and left out")
    path_like, natural = made.removeprefix(f"alexcnn: {live} pictures; paths ").split(
        " like those of patches, which are "
    )
    assert 0 < float(path_like) < 1
    assert 0 < float(natural.removesuffix(" like each other")) < 1
    assert folder == str(path / "alexcnn" / "maximised")
    assert (path / "alexcnn" / "maximised" / "c2.png").is_file()
    assert check_study(path) == ()
    for words, said in [
        (("--class", 0), "a study shows channels; for a class give a --network and the folder --out"),
        ((*chosen, "--out", tmp_path / "out"), "with STUDY pictures are added to it; leave out --out"),
        ((*chosen, "-n", "vgg16"), "has no network 'vgg16'"),
    ]:
        refused = run("maximise", path, *words)
        assert refused.exit_code in (1, 2)
        assert said in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_channels_that_only_patches_excite_are_not_called_dead(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"layer": "c3", "channel": channel, "activation": activation, "strongest": strongest}
        for channel, activation, strongest in [(0, 0.0, None), (1, 0.0, 37.34), (2, 0.0, 9.0), (2, 1.0, 9.0)]
    ]
    _say_still("net", pa.Table.from_pylist(rows))
    assert capsys.readouterr().out.splitlines() == [
        "net: dead, nothing that was tried excites c3:0",
        "net: not excited, but by patches (the strongest's activation): c3:1 (37.34); "
        "give more --steps, or less --decay",
    ]


def test_several_networks_have_folders(tmp_path: Path) -> None:
    names = ("-n", "alexcnn", "-n", "vggcnn", "-w", "fashion", "--steps", 1, "--class", 0)
    assert run("maximise", *names, "--out", tmp_path).exit_code == 0
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"alexcnn", "vggcnn"}


def test_what_one_network_lacks_is_said_before_any_is_made(tmp_path: Path) -> None:
    names = ("-n", "alexcnn", "-n", "vggcnn", "-w", "fashion", "--steps", 1)
    result = run("maximise", *names, "--unit", "c2:2", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "vggcnn has no layer 'c2'" in result.stderr
    assert not (tmp_path / "out").exists()


def test_what_layers_keep(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (200, 90, 30)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"none")
    command = ("invert", tmp_path / "a.png", tmp_path / "b.png", *FASHION, "--layers", "c1,fc6", "--out")
    result = run(*command, tmp_path / "out")
    assert result.exit_code == 3, result.output
    assert result.stdout.splitlines()[0] == "1 of 2 pictures, 4 inversions"
    assert f"skipped {tmp_path / 'b.png'}: " in result.stderr
    made = {path.name for path in (tmp_path / "out").iterdir() if path.is_file()} - {"lock"}
    wanted = {f"{stem}.{kind}" for stem in ("inverted", "inversion-errors") for kind in ("png", "pdf")}
    assert made == {*wanted, "inverted.parquet", "inverted.csv"}
    assert run(*command, tmp_path / "out", "--strict").exit_code == 1
    words = " ".join(run("invert", "--help").stdout.split())
    assert "not 3, if any picture cannot be read, or has a layer that is zero for it." in words


NETS = """
import torch
from torch import nn

def bright():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 16 * 16, 3))
    with torch.no_grad():
        net[0].weight[0].fill_(1)
        net[0].weight[1].fill_(0)
    return net.eval()
"""


def nets(folder: Path) -> tuple[object, ...]:
    (folder / "nets.py").write_text(NETS)
    return (
        "-n",
        f"{folder / 'nets.py'}:bright",
        "--input-size",
        16,
        "--mean",
        "0,0,0",
        "--deviation",
        "1,1,1",
    )


def test_dead_channels_are_said(tmp_path: Path) -> None:
    command = ("maximise", *nets(tmp_path), "--steps", 2, "--out", tmp_path / "out")
    result = run(*command, "--layers", "0")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1] == "nets.py:bright: dead, nothing that was tried excites 0:1"
    assert "dead, " not in run(*command[:-1], tmp_path / "live", "--unit", "0:0").output


def test_a_layer_that_is_zero_for_a_picture(tmp_path: Path) -> None:
    for name, level in (("black", 0), ("white", 250)):
        Image.new("RGB", (16, 16), (level,) * 3).save(tmp_path / f"{name}.png")
    command = ("invert", *nets(tmp_path), "--layers", "all", "--steps", 2, "--out")
    result = run(*command, tmp_path / "out", tmp_path / "black.png", tmp_path / "white.png")
    assert result.exit_code == 3, result.output
    assert result.stderr.splitlines() == ["nets.py:bright: 0 is zero for black, and left out"]
    assert result.stdout.splitlines()[0] == "2 of 2 pictures, 6 inversions"
    alone = run(*command, tmp_path / "none", tmp_path / "black.png", "--layers", "0")
    assert alone.exit_code == 1
    assert alone.stderr.startswith("Error: nets.py:bright: 0 is zero for black: any picture")
    wrong = run(*command, tmp_path / "none", tmp_path / "white.png", "--layers", "0,33")
    assert wrong.exit_code == 1
    assert "nets.py:bright has no layer '33'; did you mean 3?" in wrong.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--unit", "c1:0", "--seed", "-1"), "seed = -1: give 0 to"),
        (("--unit", "c1:0", "--seed", "99999999999999999999999"), "give 0 to"),
        (("--class", "3", "--decay", "nan"), "decay = nan: give 0 or more, no infinity"),
        (("--prior", "none"), "say what to excite: --unit LAYER:CHANNEL, --layers, or --class"),
        (
            ("--unit", "c1:0", "--prior", "study"),
            "--prior study takes its patches from a study; name the STUDY",
        ),
        (("--unit", "c1:0", "--images", "x"), "--images does nothing without STUDY"),
        (("--unit", "c1:0", "--channels", "0-3"), "--channels does nothing without --layers"),
        (("--unit", "c1"), "'c1' is not LAYER:CHANNEL"),
        (("--unit", "c9:1"), "no layer 'c9'"),
        (("--unit", "c1:9999"), "channels 0 to"),
        (("--class", "Cat"), "no network has a class called 'Cat'"),
        (("--class", "10"), "classes 0 to 9, not 10"),
        (("--unit", "c1:0", "--dtype", "bfloat16"), "use float32"),
    ],
)
def test_what_is_refused(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    result = run("maximise", *FASHION, *words, "--out", tmp_path / "out")
    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_something_must_be_named() -> None:
    result = run("maximise", "--unit", "c1:0")
    assert result.exit_code == 2
    assert "name a STUDY to add to, or a --network and the folder --out" in result.stderr
