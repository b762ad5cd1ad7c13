"""Pictures of a plane, of its embedding, of regions: what is where, and what is said."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.patches import Circle, Polygon
from PIL import Image

from layerscope.drawing.canvas import Page
from layerscope.drawing.render import Pixels
from layerscope.errors import DisplayError
from layerscope.space import pictures as plane_pictures
from layerscope.space.pictures import (
    COLOURS,
    Groups,
    PlaneDrawn,
    contact_sheet,
    embedding_page,
    plane_file,
    plane_page,
)
from layerscope.space.tiles import BLANK
from tests.oracles.space import tiling as oracle
from tests.support.looking import images, meeting, on_page, outside, texts, words

ABOUT = PlaneDrawn("vgg16", "c4_1", (60, 60), 9, 4, shown=5)
BLUE, ORANGE = (0, 0x72, 0xB2), (0xE6, 0x9F, 0)


def flat(*levels: int, side: int = 8) -> Pixels:
    """Cells of one grey each."""
    return np.stack([np.full((side, side, 3), level, np.uint8) for level in levels])


def drawn(page: Page) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(page._repr_png_())).convert("RGB"))


def near(pixels: Pixels, colour: tuple[int, int, int], within: int = 3) -> npt.NDArray[np.bool_]:
    return np.asarray((np.abs(pixels.astype(int) - colour) <= within).all(axis=2))


def centre(mask: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """x and y of the middle of what is true."""
    rows, columns = np.nonzero(mask)
    return float(columns.mean()), float(rows.mean())


# ------------------------------------------------------------------ one large image


def test_the_plane_as_png_is_exact_and_says_what_it_is() -> None:
    plane = np.array([[0, 1, -1], [2, 2, 0]])
    name, content = plane_file(plane, flat(10, 90, 250), "plane", ABOUT)
    assert name == "plane.png"
    with Image.open(io.BytesIO(content)) as image:
        assert np.array_equal(np.asarray(image), oracle.whole(plane, flat(10, 90, 250), int(BLANK)))
        said = str(image.info["Description"])
    assert said.startswith("vgg16, c4_1: plane of 9 patches, 55.6% shown. Each cell shows the patch")
    assert "4 patches do not appear. A patch: 60×60 pixels of one of 4 pictures." in said


def test_a_large_plane_is_jpeg_and_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane_pictures, "_PNG_PIXELS", 100)
    plane = np.arange(12).reshape(3, 4)
    cells = flat(*range(0, 240, 20))
    name, content = plane_file(plane, cells, "filled", ABOUT)
    assert (name, content) == plane_file(plane, cells, "filled", ABOUT)
    with Image.open(io.BytesIO(content)) as image:
        assert (name, image.format) == ("filled.jpg", "JPEG")
        assert image.info["comment"].decode().startswith("vgg16, c4_1: plane of 9 patches")
        far = np.abs(np.asarray(image).astype(int) - oracle.whole(plane, cells, int(BLANK)))
    assert far.max() <= 3


def test_a_plane_too_large_for_one_image_is_refused() -> None:
    for plane in (np.zeros((1, 8_188), int), np.zeros((8_188, 1), int), np.zeros((2_900, 2_900), int)):
        with pytest.raises(DisplayError, match=r"plane of c4_1 is \d+ x \d+ pixels.*use its tiles"):
            plane_file(plane, flat(0), "plane", ABOUT)
    with pytest.raises(DisplayError, match="there are pictures of 1"):
        plane_file(np.array([[1]]), flat(0), "plane", ABOUT)
    with pytest.raises(DisplayError, match="there are pictures of 1"):
        plane_page(np.array([[1]]), flat(0), ABOUT)


# ------------------------------------------------------------------ the plane as a figure


@pytest.mark.parametrize(
    ("rows", "columns", "cell"), [(7, 9, 16), (150, 130, 8), (300, 316, 5), (3, 1700, 1)]
)
def test_cells_are_whole_pixels_on_the_page(rows: int, columns: int, cell: int) -> None:
    levels = np.random.default_rng(0).integers(0, 256, 50).tolist()
    plane = np.random.default_rng(1).integers(-1, 50, (rows, columns))
    page = plane_page(plane, flat(*levels), ABOUT)
    (image,) = images(page)
    expected = oracle.whole(plane, flat(*levels, side=cell), int(BLANK))
    assert np.array_equal(np.asarray(image.get_array()), expected)
    pixels = drawn(page)
    extent = np.array(image.get_extent()) * 200 / 72
    top, left = round(extent[3]), round(extent[0])
    assert np.array_equal(pixels[top : top + rows * cell, left : left + columns * cell], expected)


def test_a_cell_is_reduced_to_the_mean_of_its_pixels() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3), dtype=np.uint8)
    plane = np.random.default_rng(1).integers(0, 40, (2, 395))  # 4 pixels a cell: means of 3 x 3
    (image,) = images(plane_page(plane, noise, ABOUT))
    means = noise.reshape(40, 4, 3, 4, 3, 3).mean(axis=(2, 4))
    expected = oracle.whole(plane, np.floor(means + 0.5).astype(np.uint8), int(BLANK))
    assert np.abs(np.asarray(image.get_array()).astype(int) - expected).max() <= 1


def test_outlines_lie_on_their_cells_and_are_numbered() -> None:
    plane, boxes = np.zeros((20, 30), int), ([(3, 2), (9, 2), (9, 7), (3, 7)], [(20, 10), (28, 12), (22, 18)])
    page = plane_page(plane, flat(128), ABOUT, boxes)
    (image,) = images(page)
    left, _, _, top = image.get_extent()
    cell = 16 * 72 / 200
    polygons = [p for p in page.axes[0].patches if isinstance(p, Polygon)]
    assert len(polygons) == 4  # a dark line and a white one for each
    for polygon, box in zip(polygons[::2], boxes, strict=True):
        assert np.allclose(polygon.get_xy()[:-1], np.array(box) * cell + (left, top))
    numbers = {text.get_text(): text for text in texts(page) if text.get_text().isdigit()}
    assert numbers.keys() == {"1", "2"}
    for number, corner in (("1", (3, 2)), ("2", (20, 10))):
        x, y = numbers[number].get_position()
        assert np.abs(np.array([x, y - 2]) - (np.array(corner) * cell + (left, top))).max() < 6
    assert (
        near(drawn(page), (255, 255, 255)).sum()
        > near(drawn(plane_page(plane, flat(128), ABOUT)), (255,) * 3).sum()
    )


def test_words_of_a_plane() -> None:
    title, *caption = words(plane_page(np.array([[0, 1]]), flat(0, 9), ABOUT))
    assert title == "vgg16, c4_1: plane of 9 patches, 55.6% shown"
    assert "nearest to its centre; 4 patches do not appear" in " ".join(caption)
    each = PlaneDrawn("vgg16", "c4_1", (60, 60), 1234, 4, shown=1234, arrangement="one-to-one")
    title, *caption = words(plane_page(np.array([[0, 1]]), flat(0, 9), each))
    assert title == "vgg16, c4_1: plane of 1,234 patches, 100.0% shown"
    assert "a cell of its own" in " ".join(caption)
    assert "do not appear" not in " ".join(caption)


@pytest.mark.parametrize("layer", ["c4_1", "a layer with a name " * 12])
def test_nothing_meets_or_leaves_the_page(layer: str) -> None:
    about = PlaneDrawn("vgg16", layer, (60, 60), 9, 4, shown=5)
    names = tuple(f"a class with a long name, {'very ' * n}long" for n in range(12))
    groups = Groups(np.arange(300) % 12, names)
    points = np.random.default_rng(0).normal(size=(300, 2))
    for page in (
        plane_page(np.zeros((4, 4), int), flat(0), about),
        embedding_page(points, about, groups),
        contact_sheet(flat(0), np.zeros(30, int), about, "region 1"),
    ):
        boxes = on_page(page, [*texts(page), *images(page)])
        assert not meeting(boxes)
        assert not outside(page, boxes)


# ------------------------------------------------------------------ the embedding


def test_dots_are_where_their_points_are() -> None:
    points = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 5.0]])
    groups = Groups(np.array([0, 1, -1]), ("one", "two"))
    page = embedding_page(points, ABOUT, groups)
    (image,) = images(page)
    pixels = np.asarray(image.get_array())
    coloured = [(0.65 * np.array(c) + 0.35 * 255) for c in (BLUE, ORANGE, (0xB9,) * 3)]
    places = [centre(near(pixels, tuple(colour.astype(int).tolist()))) for colour in coloured]
    (x0, y0), (x1, y1), (x2, y2) = places
    scale = (x1 - x0) / 10
    assert scale > 100
    assert abs(y1 - y0) < 1
    assert abs(x2 - x0) < 1
    assert abs((y2 - y0) / 5 - scale) < 1  # the same scale both ways, y down


def test_a_new_patch_is_seen_among_old_ones() -> None:
    points = np.concatenate([np.zeros((ABOUT.patches, 2)), np.zeros((1, 2))])
    groups = Groups(np.array([-1] * ABOUT.patches + [0]), ("new",))
    (image,) = images(embedding_page(points, ABOUT, groups))
    drawn = np.asarray(image.get_array()).reshape(-1, 3).astype(int)
    darkest = drawn[drawn.sum(axis=1).argmin()]
    old = np.array((0xB9,) * 3)
    assert abs(darkest - BLUE).max() < 0.4 * abs(old - BLUE).max()


def test_colours_mix_in_no_order_and_grow_with_the_number() -> None:
    points = np.zeros((6, 2))
    of = np.array([0, 1, 0, 1, 0, 1])
    found = []
    for groups in (Groups(of, ("a", "b")), Groups(of[::-1], ("a", "b"))):
        (image,) = images(embedding_page(points, ABOUT, groups))
        found.append(np.asarray(image.get_array()))
    assert np.array_equal(found[0], found[1])
    mixed = np.array([BLUE, ORANGE]).mean(axis=0)
    assert near(found[0], tuple(np.rint(mixed).astype(int).tolist()), 2).any()
    dark = [
        int(np.asarray(images(embedding_page(points[:n], ABOUT))[0].get_array()).min(axis=(0, 1))[0])
        for n in (1, 2, 4)
    ]
    assert all(more < fewer for fewer, more in pairwise(dark))


def test_the_largest_groups_have_colours_and_the_rest_is_counted() -> None:
    of = np.repeat(np.arange(-1, 12), np.arange(3, 16))  # group n has 4 + n patches, three are in none
    groups = Groups(of, tuple(f"class {n}" for n in range(12)))
    about = replace(ABOUT, patches=len(of) - 7)
    page = embedding_page(np.random.default_rng(0).normal(size=(len(of), 2)), about, groups)
    legend = [word for word in words(page) if word.endswith(")")]
    assert legend == [*(f"class {n} ({4 + n})" for n in range(11, 3, -1)), f"others ({3 + 4 + 5 + 6 + 7})"]
    circles = [p for p in page.axes[0].patches if isinstance(p, Circle)]
    assert len(circles) == len(COLOURS) + 1
    assert "Colour: class, of the 8 largest." in " ".join(words(page))
    assert words(page)[0] == f"vgg16, c4_1: embedding of {len(of) - 7} patches and 7 new ones"


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((1, 2)),
        np.ones((5, 2)),
        np.array([[0, 0], [1e-30, 0]]),
        np.array([[0, 3], [9e8, 3]]),
        np.eye(2) * 1e-6,
    ],
)
def test_few_points_on_a_line_or_in_one_place(points: npt.NDArray[np.float64]) -> None:
    page = embedding_page(points.astype(np.float32), ABOUT)
    (image,) = images(page)
    pixels = np.asarray(image.get_array())
    assert (pixels != 255).any()
    assert pixels.shape[0] <= 1600
    assert pixels.shape[1] <= 1600
    assert (pixels[[0, -1]] == 255).all()
    assert "Colour" not in " ".join(words(page))


def test_groups_that_do_not_fit() -> None:
    with pytest.raises(DisplayError, match="there are 3 points but groups of 2"):
        embedding_page(np.zeros((3, 2)), ABOUT, Groups(np.zeros(2, int), ("a",)))
    for points in (np.array([[0, np.nan]]), np.zeros((0, 2)), np.zeros((3, 3))):
        with pytest.raises(DisplayError, match="not N finite points"):
            embedding_page(points, ABOUT)


# ------------------------------------------------------------------ the patches of a region


def test_a_sheet_shows_patches_in_order() -> None:
    cells = flat(*range(0, 240, 8), side=80)
    order = np.array([7, 3, 29, 3, 0])
    page = contact_sheet(cells, order, ABOUT, "region 2", words="Filters: 1, 2.")
    assert words(page)[0] == "vgg16, c4_1: region 2, 5 of 9 patches"
    assert words(page)[-1] == "A patch: 60×60 pixels of one of 4 pictures. Filters: 1, 2."
    pixels = np.asarray(images(page)[0].get_array())
    assert pixels.shape == (80, 5 * 84 - 4, 3)
    assert [int(pixels[40, 84 * n + 40, 0]) for n in range(5)] == [8 * n for n in order]
    assert (pixels[:, 80:84] == 255).all()


def test_a_sheet_says_how_many_it_leaves_out() -> None:
    page = contact_sheet(flat(*range(250), side=24), np.arange(250), ABOUT, "region 1", most=50)
    assert "The first 50 are shown." in " ".join(words(page))
    pixels = np.asarray(images(page)[0].get_array())
    assert int(pixels.reshape(-1, 3)[(pixels < 255).all(axis=2).ravel()].max()) == 49
    with pytest.raises(DisplayError, match="region 3 of c4_1 holds no patch"):
        contact_sheet(flat(0), np.zeros(0, int), ABOUT, "region 3")
