"""A picture that is dropped on the pages: told piece by piece, as Python finds it; bounded; nothing is stored."""

from __future__ import annotations

import base64
import http.client
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from layerscope.drawing.render import as_rgb, show_signal
from layerscope.explorer import site as sites
from layerscope.explorer.server import Serving, application
from layerscope.explorer.site import Site
from layerscope.live import passing, uploads
from layerscope.live.passing import Live
from layerscope.live.uploads import PATH, Uploads
from layerscope.reconstruction.descent import reconstruct
from layerscope.space.placing import place_pictures
from layerscope.space.space import Space
from tests.support.browsing import Theme, visit
from tests.support.explorer import Shown
from tests.support.packages import need_built
from tests.support.studies import bytes_of, small

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NETWORKS = ("alexcnn", "vggcnn")


@pytest.fixture(scope="module")
def live(shown: Shown) -> Live:
    return Live(shown.study, {name: small(name) for name in NETWORKS})


@pytest.fixture
def taking(live: Live) -> Uploads:
    return Uploads(live)


@pytest.fixture
def serving(site: Site, taking: Uploads) -> Iterator[Serving]:
    serving = Serving.at(
        application(Site(site.study, site.comparison, live=True), routes=taking.routes)
    ).start()
    yield serving
    serving.stop()


def drop(kind: str = "PNG", size: tuple[int, int] = (60, 50)) -> bytes:
    noise = np.random.default_rng(7).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    memory = io.BytesIO()
    Image.fromarray(noise).save(memory, kind)
    return memory.getvalue()


def send(serving: Serving, data: bytes, query: str = "", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", serving.listening.getsockname()[1], timeout=60)
    try:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", f"{PATH}{query}", data, {"content-type": "image/png", **given})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def pixels(piece: dict[str, Any]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(piece["png"]))))


def test_pieces_are_what_python_finds_in_the_order_of_the_layers(live: Live, shown: Shown) -> None:
    picture = Image.open(io.BytesIO(drop()))
    pieces = list(live.pieces(picture, NETWORKS, "all"))
    assert pieces[-1]["piece"] == "end"
    for name in NETWORKS:
        network, own = small(name), [piece for piece in pieces if piece.get("network") == name]
        values = network.preprocessing.apply(picture)[None]
        assert np.array_equal(pixels(own[0]), as_rgb(network.preprocessing.picture(values[0])))
        layers = [layer.name for layer in network.layers]
        assert own[1] == {"piece": "layers", "network": name, "layers": layers}
        drawn = [piece for piece in own if piece["piece"] == "reconstruction"]
        assert [piece["layer"] for piece in drawn] == layers
        for piece in drawn:
            panel = show_signal(
                reconstruct(network, values, piece["layer"])[piece["layer"]][0].permute(1, 2, 0).numpy()
            )
            apart = np.abs(pixels(piece).astype(int) - panel.pixels)
            assert apart.max() <= 1, piece["layer"]  # layers of one pass are rounded together
            assert np.mean(apart > 0) < 0.01, piece["layer"]
            assert piece["white"] == pytest.approx(panel.scale, rel=1e-5)
        (said,) = [piece for piece in own if piece["piece"] == "predictions"]
        expected = network.predict(values)[0]
        assert [one["index"] for one in said["classes"]] == [one.index for one in expected]
        assert [one["probability"] for one in said["classes"]] == [one.probability for one in expected]
    (places,) = [piece for piece in pieces if piece["piece"] == "places"]
    values = small().preprocessing.apply(picture)[None]
    table = place_pictures(Space.open(shown.study, "p1", "alexcnn"), small(), values)
    assert places["layer"] == "p1"
    assert places["nearest"] == table["nearest"].to_pylist()
    for column in ("row", "column", "x", "y", "distance"):
        assert places[column] == pytest.approx(table[column].to_pylist(), abs=1e-4)


def test_a_picture_that_is_sent_is_told_of_and_nothing_is_stored(serving: Serving, shown: Shown) -> None:
    before = bytes_of(shown.study.path)
    status, text = send(serving, drop("JPEG"), "?network=vggcnn&layers=even")
    assert status == 200
    pieces = [json.loads(line) for line in text.splitlines()]
    assert [piece["layer"] for piece in pieces if piece["piece"] == "reconstruction"] == [
        layer.name for layer in small("vggcnn").select_layers("even")
    ]
    assert {piece.get("network") for piece in pieces} == {"vggcnn", None}
    assert bytes_of(shown.study.path) == before
    assert send(serving, drop(), "?network=alexcnn&layers=even")[0] == 200  # and then the next


@pytest.mark.parametrize(
    ("query", "kind", "data", "status"),
    [
        ("", "text/html", drop(), 415),
        ("", "image/png", b"no picture", 415),
        ("", "image/png", drop()[:300], 415),
        ("", "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
        ("", "image/png", b"", 400),
        ("?layers=every", "image/png", drop(), 400),
        (f"?network={quote('<script>')}", "image/png", drop(), 400),
    ],
)
def test_what_is_no_picture_for_these_networks_is_refused_in_a_line(
    serving: Serving, query: str, kind: str, data: bytes, status: int
) -> None:
    found, said = send(serving, data, query, content_type=kind)
    assert found == status
    assert len(said.splitlines()) == 1
    assert send(serving, drop(), "?network=alexcnn&layers=even")[0] == 200


def test_uploads_are_bounded(serving: Serving, taking: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    data = drop()
    monkeypatch.setattr(uploads, "MAX_BYTES", len(data) - 1)
    assert send(serving, data)[0] == 413
    monkeypatch.setattr(uploads, "MAX_BYTES", len(data))
    monkeypatch.setattr(uploads, "MAX_PIXELS", 60 * 50 - 1)
    assert send(serving, data)[0] == 415
    monkeypatch.setattr(uploads, "MAX_PIXELS", 60 * 50)
    assert taking._one.acquire(timeout=30)  # an answer is sent before the one before it is quite done
    assert send(serving, data)[0] == 429
    taking._one.release()
    assert send(serving, data, "?network=alexcnn&layers=even")[0] == 200


def test_a_body_that_never_ends_is_cut(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_BYTES", 1000)
    connection = http.client.HTTPConnection("127.0.0.1", serving.listening.getsockname()[1], timeout=30)
    connection.request(
        "POST", PATH, (b"x" * 400 for _ in range(4)), {"content-type": "image/png"}
    )  # in chunks
    assert connection.getresponse().status == 413
    connection.close()


def test_a_body_that_does_not_arrive_is_waited_for_no_longer(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "ARRIVAL", 0.05)
    connection = http.client.HTTPConnection("127.0.0.1", serving.listening.getsockname()[1], timeout=30)
    connection.putrequest("POST", PATH)
    connection.putheader("content-type", "image/png")
    connection.putheader("content-length", "100")
    connection.endheaders(b"x")
    assert connection.getresponse().status == 408
    connection.close()


def test_other_sites_cannot_send(serving: Serving) -> None:
    assert send(serving, drop(), origin="http://evil.example")[0] == 403
    assert send(serving, drop(), sec_fetch_site="cross-site", sec_fetch_mode="navigate")[0] == 403
    own = serving.address.rstrip("/")
    assert send(serving, drop(), "?network=alexcnn&layers=even", origin=own)[0] == 200


def test_a_network_that_fails_is_told_of_and_the_next_goes_on(shown: Shown) -> None:
    wrong = Live(
        shown.study, {"alexcnn": replace(small("vggcnn"), name="alexcnn"), "vggcnn": small("vggcnn")}
    )
    pieces = list(wrong.pieces(Image.open(io.BytesIO(drop())), NETWORKS, "even"))
    assert pieces[0]["piece"] == "error"
    assert pieces[0]["network"] == "alexcnn"
    assert {piece["piece"] for piece in pieces[1:-1]} == {"input", "layers", "reconstruction", "predictions"}


def test_what_takes_too_long_ends(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "LONGEST", -1.0)
    pieces = list(live.pieces(Image.open(io.BytesIO(drop())), ["alexcnn"], "all"))
    assert [piece["piece"] for piece in pieces] == ["input", "error", "end"]
    assert "choose fewer" in pieces[1]["message"]


def test_pages_know_whether_somebody_answers(serving: Serving, site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", serving.listening.getsockname()[1], timeout=30)
    connection.request("GET", "/data/study.js")
    assert b'"live":true' in connection.getresponse().read()
    connection.close()
    assert b'"live":false' in site.contents["data/study.js"].read()


@pytest.mark.parametrize(("width", "theme"), [(1440, "dark"), (400, "light")])
def test_a_picture_chosen_on_the_page_goes_through_the_networks(
    browser: Browser, serving: Serving, width: int, theme: Theme
) -> None:
    need_built(sites.PAGE / sites.INDEX, "make web")
    with visit(browser, width=width, theme=theme) as seen:
        seen.go(f"{serving.address}#/live")
        chosen: Any = {"name": "<b>mine.png", "mimeType": "image/png", "buffer": drop()}
        seen.page.set_input_files("input[type=file]", chosen)
        seen.page.wait_for_selector("text=All of it took")
        assert seen.page.inner_text("h1") == "<b>mine.png"
        layers = sum(len(small(name).layers) for name in NETWORKS)
        assert seen.page.locator(".live-panel img").count() == layers + len(NETWORKS)
        assert seen.page.locator("a[href*='patch=']").count() > 0
        assert seen.violations() == []
        assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        chosen["buffer"] = b"no picture"
        seen.page.set_input_files("input[type=file]", chosen)
        seen.page.wait_for_selector("[role=status].warns")
        assert [said for said in seen.said if "415" not in said] == []
