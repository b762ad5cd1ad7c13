"""Tile pyramids: every tile where the format says, with the pixels of the naive twin."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from layerscope.drawing.render import Pixels
from layerscope.errors import DisplayError
from layerscope.network.geometry import Box
from layerscope.plane.grid import Plane
from layerscope.space.tiles import BLANK, Tiling, plane_pixels, plane_tiles
from tests.oracles.space import tiling as oracle

SMALL = Tiling(16, "png")


def noise(count: int, side: int) -> Pixels:
    return np.random.default_rng(count).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def some_plane(rows: int, columns: int, count: int) -> Plane:
    return np.random.default_rng(rows).integers(-1, count, (rows, columns), dtype=np.int32)


def decoded(content: bytes) -> Pixels:
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


def test_the_form_of_the_descriptor_and_the_levels() -> None:
    # 70 x 50 pixels: levels of ceil(size / 2^n), 2^7 being the first power of two that holds 70
    files = dict(plane_tiles(some_plane(10, 14, 5), noise(5, 5), "p", tiling=SMALL))
    assert list(files)[-1] == "p.dzi"
    root = ElementTree.fromstring(files.pop("p.dzi"))
    space = "{http://schemas.microsoft.com/deepzoom/2008}"
    assert root.tag == f"{space}Image"
    assert root.attrib == {"TileSize": "16", "Overlap": "0", "Format": "png"}
    assert [(e.tag, e.attrib) for e in root] == [(f"{space}Size", {"Width": "70", "Height": "50"})]
    wide = {0: 1, 1: 2, 2: 3, 3: 5, 4: 9, 5: 18, 6: 35, 7: 70}
    high = {0: 1, 1: 1, 2: 2, 3: 4, 4: 7, 5: 13, 6: 25, 7: 50}
    expected = {
        f"p_files/{level}/{column}_{row}.png": (
            min(16, wide[level] - 16 * column),
            min(16, high[level] - 16 * row),
        )
        for level in range(8)
        for column in range(-(-wide[level] // 16))
        for row in range(-(-high[level] // 16))
    }
    assert {name: decoded(content).shape[1::-1] for name, content in files.items()} == expected
    assert set(SMALL.names(50, 70, "p")) == {*expected, "p.dzi"}


@pytest.mark.parametrize(
    ("rows", "columns", "side"),
    [
        (1, 1, 1),
        (1, 1, 8),
        (1, 40, 3),
        (33, 1, 5),
        (10, 14, 5),
        (16, 16, 8),
        (9, 17, 16),
        (3, 2, 48),
        (21, 19, 7),
    ],
)
def test_every_tile_is_the_naive_one(rows: int, columns: int, side: int) -> None:
    plane, cells = some_plane(rows, columns, 6), noise(6, side)
    files = dict(plane_tiles(plane, cells, tiling=SMALL))
    expected = oracle.pyramid(oracle.whole(plane, cells, int(BLANK)), 16)
    del files["plane.dzi"]
    names = {
        f"plane_files/{level}/{column}_{row}.png": (level, column, row) for level, column, row in expected
    }
    assert files.keys() == names.keys()
    for name, place in names.items():
        assert np.array_equal(decoded(files[name]), expected[place]), name


def test_stitched_tiles_are_the_plane_and_jpeg_stays_close() -> None:
    plane, smooth = some_plane(30, 41, 9), noise(9, 3)
    cells = np.stack(
        [np.asarray(Image.fromarray(c).resize((24, 24), Image.Resampling.BICUBIC)) for c in smooth]
    )
    files = dict(plane_tiles(plane, cells, tiling=Tiling(256)))
    stitched = np.zeros((720, 984, 3), np.uint8)
    for name, content in files.items():
        if name.startswith("plane_files/10/"):
            column, row = map(int, re.findall(r"\d+", name)[1:])
            tile = decoded(content)
            stitched[row * 256 :, column * 256 :][: tile.shape[0], : tile.shape[1]] = tile
    expected = oracle.whole(plane, cells, int(BLANK)).astype(int)
    assert np.abs(stitched - expected).mean() < 8
    assert np.abs(stitched[::-1] - expected).mean() > 40  # what a wrong picture would give


def test_parts_of_a_plane() -> None:
    plane, cells = some_plane(5, 7, 3), noise(3, 6)
    whole = oracle.whole(plane, cells, int(BLANK))
    assert np.array_equal(plane_pixels(plane, cells), whole)
    for top, left, bottom, right in ((0, 0, 1, 1), (5, 6, 7, 12), (11, 13, 30, 42), (6, 12, 12, 18)):
        found = plane_pixels(plane, cells, Box(top, left, bottom, right))
        assert np.array_equal(found, whole[top:bottom, left:right])


def test_the_same_bytes_with_any_number_of_threads() -> None:
    plane, cells = some_plane(40, 40, 50), noise(50, 8)
    one = list(plane_tiles(plane, cells, tiling=Tiling(32), threads=1))
    assert one == list(plane_tiles(plane, cells, tiling=Tiling(32), threads=4))
    assert [name for name, _ in one][-1] == "plane.dzi"
    assert len({name for name, _ in one}) == len(one)


def test_stopping_early_makes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def grey(*_: object) -> Pixels:
        made.append(1)
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr("layerscope.space.tiles.plane_pixels", grey)
    files = plane_tiles(np.zeros((400, 400), np.int32), noise(1, 1), tiling=Tiling(4), threads=1)
    next(files)
    files.close()
    assert 0 < len(made) <= 16 * 8  # of 10,000


def test_a_fault_in_a_thread_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Pixels:
        raise MemoryError("no room")

    monkeypatch.setattr("layerscope.space.tiles.plane_pixels", fail)
    with pytest.raises(MemoryError, match="no room"):
        next(plane_tiles(some_plane(2, 2, 2), noise(2, 4)))


def test_what_is_refused() -> None:
    cells, plane = noise(3, 4), np.zeros((2, 2), np.int32)
    with pytest.raises(DisplayError, match="patches 0 to 3, but there are pictures of 3"):
        plane_tiles(np.array([[0, 3]]), cells)
    with pytest.raises(DisplayError, match="patches -2 to 1"):
        plane_tiles(np.array([[1, -2]]), cells)
    for wrong in (np.zeros((2, 2)), np.zeros(4, np.int32), np.zeros((0, 2), np.int32)):
        with pytest.raises(DisplayError, match="a plane is an integer array"):
            plane_tiles(wrong, cells)  # type: ignore[arg-type]
    for pictures in (cells.astype(float), cells[:, :3], cells[..., :1], cells[:0], cells[0]):
        with pytest.raises(DisplayError, match=r"uint8 array \(N, side, side, 3\)"):
            plane_tiles(plane, pictures)
    with pytest.raises(DisplayError, match="the side must be even"):
        Tiling(15)
