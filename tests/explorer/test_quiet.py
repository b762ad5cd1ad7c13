"""What the pages say of a channel that nothing excites, and of a network that has no max-pools."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from PIL import Image
from torch import nn

from layerscope.explorer import site as sites
from layerscope.explorer.filter_shards import made_of_channel
from layerscope.explorer.server import Serving, application
from layerscope.explorer.site import INDEX, Site
from layerscope.images.sets import ImageSet, open_images
from layerscope.live.passing import Live
from layerscope.live.uploads import Uploads
from layerscope.network.network import Network, Unit
from layerscope.network.preprocessing import Preprocessing
from layerscope.pages import PageOptions, add_pages
from layerscope.reconstruction.rules import DECONVNET, GUIDED, Rule, places_lost
from layerscope.study.folder import Study
from layerscope.sweep.channel_statistics import ChannelStatistics, Sparsity
from layerscope.sweep.making import sweep_study
from layerscope.sweep.top_patches import TopPatches
from layerscope.synthesis import MaximiseOptions, add_maximised
from layerscope.synthesis.maximised_folder import said
from layerscope.synthesis.stillness import dead_explained
from tests.oracles.explorer import shards as slow
from tests.support.browsing import Visit, visit
from tests.support.packages import need_built
from tests.support.studies import SETTINGS, small, write_pictures

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LIT, DEAD, BRIGHT = range(3)
LOST = "No max-pools, so nothing tells the deconvnet where things were; guided does."


@dataclass(frozen=True)
class Quiet:
    """A study of a network without max-pools, and what it is made of."""

    study: Study
    network: Network
    images: ImageSet

    def drawn(self, out: Path, rule: Rule) -> Study:
        """A copy whose pages are drawn by a rule."""
        bare = Study.open(shutil.copytree(self.study.path, out))
        return add_pages(bare, [self.network], self.images, PageOptions(4, None, "all", rule=rule))


def quiet_network() -> Network:
    """A first layer of three channels: one is excited by all pictures, one by none, one by white ones alone."""
    first, second = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 2, 3)
    torch.manual_seed(0)
    with torch.no_grad():
        for channel, (weight, bias) in enumerate([(1.0, 0.0), (0.0, -1.0), (1.0, -24.0)]):
            first.weight[channel].fill_(weight)
            first.bias[channel].fill_(bias)  # type: ignore[index]
        second.weight.fill_(0.1)
    module = nn.Sequential(first, nn.ReLU(), nn.AvgPool2d(2), second, nn.ReLU())
    plain = Preprocessing(None, 16, 16, (0.0,) * 3, (1.0,) * 3)
    return Network.from_module(module.eval(), name="quiet", preprocessing=plain)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Quiet:
    top = tmp_path_factory.mktemp("quiet")
    photos = write_pictures(top / "photos", 3, ())
    Image.new("RGB", (40, 40), "white").save(photos / "white.png")
    network, images = quiet_network(), open_images(photos)
    reducers = [TopPatches(2), Sparsity(), ChannelStatistics()]
    study = sweep_study([network], images, reducers, top / "study", settings=SETTINGS)
    units = [Unit("0", channel) for channel in (LIT, DEAD, BRIGHT)]
    study = add_maximised(study, network, images, units, options=MaximiseOptions(steps=1))
    whole = Quiet(study, network, images)
    return Quiet(whole.drawn(top / "drawn", DECONVNET), network, images)


@pytest.fixture(scope="module")
def served(quiet: Quiet) -> Iterator[str]:
    need_built(sites.PAGE / INDEX, "make web")
    live = Uploads(Live(quiet.study, {"quiet": quiet.network}))
    serving = Serving.at(application(Site(quiet.study, None, live=True), routes=live.routes)).start()
    yield serving.address
    serving.stop()


def value_of(study: Study, path: str) -> Any:
    return slow.read(Site.open(study, None).contents[f"data/{path}.js"].read())[1]


# ------------------------------------------------------------------ channels that are not excited


def test_a_channel_is_called_dead_in_the_words_of_the_figures(quiet: Quiet) -> None:
    found = value_of(quiet.study, "quiet/layers/0/filters")["maximised"]
    rows = quiet.study.network("quiet").table("pages/maximised").to_pylist()
    assert [said(row, ()) for row in rows[1:]] == ["dead", "not excited"]
    assert [(found[str(n)][0].get("still"), found[str(n)][0].get("why")) for n in (LIT, DEAD, BRIGHT)] == [
        (None, None),
        ("dead", dead_explained(rows[1:2]).strip()),
        ("not excited", dead_explained(rows[2:]).strip()),
    ]


def test_a_channel_is_not_dead_that_another_picture_excites() -> None:
    row = {"layer": "0", "channel": 3, "strongest": None, "file": "a.png"}
    still, lit = {**row, "activation": 0.0}, {**row, "activation": 2.0}
    assert [one.get("still") for one in made_of_channel([still, lit])] == ["not excited", None]
    assert not any("why" in one for one in made_of_channel([still, lit]))
    assert [one["still"] for one in made_of_channel([still, still])] == ["dead", "dead"]


def made(seen: Visit) -> list[str]:
    """What stands beneath a filter's picture, and on it."""
    return seen.page.locator(".made figcaption, .made .note").all_inner_texts()


def test_the_page_of_a_filter_says_that_it_is_dead(browser: Browser, served: str) -> None:
    with visit(browser) as seen:
        seen.go(f"{served}#/f/quiet/0/{DEAD}")
        assert made(seen) == ["dead", "Dead: nothing that was tried excites it."]
        seen.move(f"#/f/quiet/0/{BRIGHT}")
        assert made(seen) == [
            "not excited",
            "Not excited: patches excite it; more steps may, or less decay.",
        ]
        seen.move(f"#/f/quiet/0/{LIT}")
        (words,) = made(seen)
        assert "times the strongest patch's" in words
        assert seen.said == []


# ------------------------------------------------------------------ no max-pools


def test_what_the_deconvnet_does_not_know_is_told(quiet: Quiet, tmp_path: Path) -> None:
    bare = Study.open(quiet.study.path)
    assert value_of(bare, "study")["networks"][0]["lost"] == places_lost(quiet.network.graph, DECONVNET)
    guided = quiet.drawn(tmp_path / "guided", GUIDED)
    assert value_of(guided, "study")["networks"][0]["lost"] == ""


def test_a_picture_of_yours_tells_it_too(quiet: Quiet) -> None:
    picture = Image.new("RGB", (20, 20), "white")
    pieces = Live(quiet.study, {"quiet": quiet.network}).pieces(picture, ["quiet"], "all")
    (layers,) = [piece for piece in pieces if piece["piece"] == "layers"]
    assert layers["lost"] == places_lost(quiet.network.graph, DECONVNET)
    assert not places_lost(small().graph, DECONVNET)


@pytest.mark.parametrize("width", [1440, 400])
def test_pages_say_that_there_are_no_max_pools_wherever_reconstructions_are(
    browser: Browser, served: str, width: int
) -> None:
    addresses = {
        "#/": f"quiet: {LOST[0].lower()}{LOST[1:]}",
        "#/p/0?l=quiet.0": LOST,
        "#/p/0?all=1": LOST,
        "#/f/quiet/0": LOST,
        "#/f/quiet/0/0": LOST,
    }
    with visit(browser, width=width) as seen:
        for address, words in addresses.items():
            seen.go(served + address)
            assert words in seen.page.locator("main p").all_inner_texts(), address
            wide = seen.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert (wide, seen.said) == (0, [])
        for without in ("#/f/quiet/0?show=patches", f"#/f/quiet/0/{DEAD}"):
            seen.go(served + without)
            assert LOST not in seen.page.inner_text("main"), without


def test_the_page_of_a_picture_of_yours_says_it(browser: Browser, served: str, tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), "white").save(tmp_path / "white.png")
    with visit(browser) as seen:
        seen.go(f"{served}#/live")
        seen.page.set_input_files("input[type=file]", tmp_path / "white.png")
        seen.page.wait_for_selector(f"main .live-network p:text('{LOST}')")
        assert seen.said == []
