"""The gallery: the panels, the numbers and the names in its folder are the right ones."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from layerscope.drawing.render import read_png, show_signal
from layerscope.errors import UnsupportedOperationError
from layerscope.gallery import folder as room
from layerscope.gallery.figure import PictureRows
from layerscope.gallery.folder import Gallery, Look, make_gallery, show_reconstructions
from layerscope.images.decoding import load_image
from layerscope.network.network import Network, Unit
from layerscope.network.preprocessing import Preprocessing
from layerscope.reconstruction.descent import Class, Seed, reconstruct
from layerscope.zoo.trunks import Trunk
from tests.support.exhibits import FEW, own, picture, pictures, results, small_network
from tests.support.looking import words


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network()


def test_panels_and_numbers_are_those_of_a_direct_reconstruction(network: Network, tmp_path: Path) -> None:
    file = picture(tmp_path / "blobs.png")
    values = network.preprocessing.apply(load_image(file))[None]
    maps = network.representations(values, ["c3"])["c3"]
    channel, row, column = (int(i) for i in np.unravel_index(int(maps.argmax()), maps.shape[1:]))
    look = Look("even", (Unit("c3", channel), Unit("c3", channel, row, column)), (7,), display="heat")
    made, bad = make_gallery(Gallery(tmp_path / "out", (network,), look), [file])

    seeds: tuple[Seed, ...] = ("c1", "c3", "c5", "fc8", *look.units, Class(7))
    expected = reconstruct(network, values, seeds)
    place = tmp_path / "out/panels/blobs/alexcnn"
    (shown,) = results(tmp_path / "out")["pictures"]
    numbers = shown["networks"]["alexcnn"]
    assert [panel["seed"] for panel in numbers["panels"]] == list(map(str, seeds))
    for seed, panel in zip(seeds, numbers["panels"], strict=True):
        signal = expected[seed][0]
        direct = show_signal(signal.permute(1, 2, 0).numpy(), "heat")
        pixels, text = read_png(place / panel["file"])
        np.testing.assert_array_equal(pixels, direct.pixels)
        assert text == direct.text
        assert panel["norm"] == pytest.approx(float(np.linalg.norm(signal)), rel=1e-5)
        assert panel["largest"] == float(signal.abs().max()) > 0
        assert (panel["white"], panel["black"], panel["rule"]) == (direct.scale, 0.0, direct.rule)
    assert not bad
    assert {path.name for path in made} == {"reconstructions.png", "reconstructions.pdf", "results.json"}
    assert all(path.stat().st_size for path in made)
    np.testing.assert_array_equal(
        read_png(place / "input.png")[0], np.asarray(network.preprocessing.crop(load_image(file)))
    )
    assert json.loads((place / "numbers.json").read_text()) == numbers


def test_numbers_say_what_was_shown_and_predicted(network: Network, tmp_path: Path) -> None:
    file = picture(tmp_path / "blobs.png")
    make_gallery(Gallery(tmp_path / "out", (network,), FEW), [file])
    shown = results(tmp_path / "out")["pictures"][0]
    numbers = shown["networks"]["alexcnn"]
    best = network.predict(network.preprocessing.apply(load_image(file))[None])[0]
    assert shown["picture"] == "blobs"
    assert shown["file"] == str(file)
    assert [(p["index"], p["name"], p["probability"]) for p in numbers["predictions"]] == [
        (p.index, p.name, p.probability) for p in best
    ]
    assert numbers["weights"] == "random, seed 0"
    assert (numbers["method"], numbers["overlapping_pools"]) == ("deconvnet", "sum")
    assert (numbers["precision"], numbers["note"]) == ("float32", "")
    assert numbers["input"] == {"height": 64, "width": 64, "resize": 73}
    facts = [(p["operation"], p["channels"], p["size"], p["receptive_field"]) for p in numbers["panels"]]
    assert facts[0] == ("conv 11x11/4 + relu", 10, [15, 15], [11, 11])
    assert facts[1] == ("max pool 2x2/2", 26, [3, 3], [55, 55])
    assert facts[2] == ("linear + relu", 10, [1, 1], [64, 64])


@pytest.mark.parametrize(
    ("net", "why"),
    [
        (own(nn.Conv2d(4, 2, 3)), "own ends in feature maps, not in one score per class"),
        (
            replace(Network.from_module(Trunk(nn.Conv2d(3, 2, 3)), name="t"), trunk=True),
            "the weights of t are a trunk without fully-connected layers",
        ),
    ],
)
def test_without_predictions_a_note_says_why(net: Network, why: str, tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png")
    make_gallery(Gallery(tmp_path / "out", (net,), Look()), [file])
    numbers = results(tmp_path / "out")["pictures"][0]["networks"][net.name]
    assert numbers["note"].startswith(f"no predictions: {why}")
    assert numbers["predictions"] == []
    assert why in " ".join(words(show_reconstructions(net, [file])))


def test_two_networks_each_take_the_layers_they_have(network: Network, tmp_path: Path) -> None:
    other = own(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    look = Look(("c3", "0", "c1", "4"), (Unit("p1", 0), Unit("0", 1)))
    make_gallery(Gallery(tmp_path / "out", (network, other), look), pictures(tmp_path, 1))
    shown = results(tmp_path / "out")["pictures"][0]["networks"]
    assert [p["seed"] for p in shown["alexcnn"]["panels"]] == ["c1", "c3", "p1:0"]
    assert [p["seed"] for p in shown["own"]["panels"]] == ["0", "4", "0:1"]
    assert len(shown["own"]["predictions"]) == 3


def test_networks_of_one_name_are_told_apart(tmp_path: Path) -> None:
    one, two = own(), own()
    files = pictures(tmp_path, 1)
    make_gallery(Gallery(tmp_path / "out", (one, two), Look()), files)
    panels = [tmp_path / f"out/panels/0/own-{n}/001-0.png" for n in (1, 2)]
    assert (read_png(panels[0])[0] != read_png(panels[1])[0]).any()
    assert {"own-1", "own-2"} <= set(words(show_reconstructions([one, two], files)))


def test_pictures_of_one_stem_stand_apart(network: Network, tmp_path: Path) -> None:
    files = [picture(tmp_path / "x/same.png", 1), picture(tmp_path / "y/same.png", 2)]
    make_gallery(Gallery(tmp_path / "out", (network,), FEW), files)
    shown = results(tmp_path / "out")["pictures"]
    assert [p["picture"] for p in shown] == ["x-same", "y-same"]
    assert [p["file"] for p in shown] == list(map(str, files))
    inputs = [read_png(tmp_path / f"out/panels/{p['picture']}/alexcnn/input.png")[0] for p in shown]
    assert (inputs[0] != inputs[1]).any()


def test_a_grey_network_shows_grey_pictures(tmp_path: Path) -> None:
    make_gallery(Gallery(tmp_path / "out", (small_network(channels=1),), FEW), pictures(tmp_path, 1))
    pixels, _ = read_png(tmp_path / "out/panels/0/alexcnn/input.png")
    assert pixels.shape == (64, 64, 3)
    assert pixels.std() > 10
    assert (pixels == pixels[..., :1]).all()


def test_the_figure_shows_the_first_pictures_and_the_folder_all(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "FIGURE_PICTURES", 2)
    block, shown = Gallery._block, []

    def noted(gallery: Gallery, name: str) -> PictureRows:
        shown.append(name)
        return block(gallery, name)

    monkeypatch.setattr(Gallery, "_block", noted)
    make_gallery(Gallery(tmp_path / "out", (network,), FEW), pictures(tmp_path, 4))
    assert shown == ["0", "1"]
    assert len(results(tmp_path / "out")["pictures"]) == 4
    assert (tmp_path / "out/panels/3/alexcnn/numbers.json").is_file()


def test_figures_of_an_earlier_run_do_not_stay(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_ROWS_PER_PAGE", 1)
    gallery, files = Gallery(tmp_path / "out", (network,), FEW), pictures(tmp_path, 2)
    assert [p.name for p in make_gallery(gallery, files)[0]][:2] == [
        "reconstructions-1.png",
        "reconstructions-2.png",
    ]
    (tmp_path / "out/reconstructions-mine.png").touch()
    made, _ = make_gallery(gallery, files[:1])
    assert {p.name for p in made} == {"reconstructions.png", "reconstructions.pdf", "results.json"}
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {p.name for p in made} | {"lock", "panels", "reconstructions-mine.png"}


def test_a_file_name_that_is_no_text(network: Network, tmp_path: Path) -> None:
    try:
        file = picture(tmp_path / "a.png").rename(tmp_path / os.fsdecode(b"caf\xe9.png"))
    except OSError:
        pytest.skip("this file system takes no such name")
    make_gallery(Gallery(tmp_path / "out", (network,), FEW), [file])
    assert results(tmp_path / "out")["pictures"][0]["file"] == str(file)


def test_no_picture_gives_empty_results(network: Network, tmp_path: Path) -> None:
    made, bad = make_gallery(Gallery(tmp_path / "out", (network,), FEW), [])
    assert [path.name for path in made] == ["results.json"]
    assert not bad
    assert results(tmp_path / "out")["pictures"] == []


@pytest.mark.parametrize("end", [nn.LogSoftmax(1), nn.Softmax(1), nn.Sigmoid(), nn.Tanh()])
def test_what_turns_scores_into_something_else_is_shown_from_its_scores(end: nn.Module) -> None:
    network = own(nn.Flatten(), nn.Linear(4 * 16 * 16, 5), end)
    assert Look().seeds(network) == ("0", "3", "4")
    assert Look().left_out(network) == ()
    signals = reconstruct(
        network, network.preprocessing.apply(Image.new("RGB", (16, 16), "teal"))[None], ["3", "4"]
    )
    assert signals["4"].equal(signals["3"])


def test_what_the_rule_does_not_go_back_from_is_left_out_and_said() -> None:
    network = own(nn.Flatten(), nn.Linear(4 * 16 * 16, 5), nn.Softshrink())
    assert Look().seeds(network) == ("0", "3")
    assert Look().left_out(network) == ("4",)
    shown = " ".join(words(show_reconstructions([network], [Image.new("RGB", (16, 16), "teal")])))
    assert "own without 4, which the rule does not go back from" in shown
    with pytest.raises(UnsupportedOperationError):
        show_reconstructions([network], [Image.new("RGB", (16, 16))], Look(layers=("4",)))


def test_a_network_that_the_rule_does_not_reach_at_all_is_refused() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Hardtanh())
    network = Network.from_module(module, preprocessing=Preprocessing(None, 16, 16))
    with pytest.raises(UnsupportedOperationError, match="deconvnet has no rule for hardtanh"):
        show_reconstructions([network], [Image.new("RGB", (16, 16))])
