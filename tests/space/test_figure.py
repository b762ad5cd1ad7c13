"""Fig. 3 as a page: which parts of a plane it shows larger, which patches, and that all is there and in its place."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.patches import Rectangle
from PIL import Image

from layerscope.drawing.canvas import INK, Page, figure_files
from layerscope.drawing.render import Pixels
from layerscope.errors import DisplayError
from layerscope.plane.regions import Region
from layerscope.space.figure import Answer, Pick, Zoom, _all_resized, _resized, space_page
from layerscope.space.pictures import PlaneDrawn
from layerscope.space.zooms import cell_of, pick_patches, spread_boxes, zoom_box
from tests.oracles.space.zooms import slow_box, slow_picks
from tests.support.looking import images, meeting, on_page, outside, texts, words

Numbers = npt.NDArray[np.integer]
SIDE = 8  # pixels along a cell
DOT = 72 / 300  # points


# ------------------------------------------------------------------ what to show


def region(members: list[int], centre: int | None = None) -> Region:
    numbers = np.array(sorted(members))
    return Region(numbers, np.array([0.0, 0, 1, 1]), members[0] if centre is None else centre, 1, 1.0)


def some_plane(seed: int, rows: int = 13, columns: int = 11) -> tuple[Numbers, Region]:
    """A plane of 40 patches, some cells empty, and a region of a few of them."""
    random = np.random.default_rng(seed)
    plane = random.integers(-1, 40, (rows, columns))
    members = random.choice(40, int(random.integers(1, 12)), replace=False).tolist()
    plane[random.integers(rows), random.integers(columns)] = members[0]
    return plane, region(members)


@pytest.mark.parametrize("seed", range(12))
def test_a_zoom_is_the_square_that_shows_most_of_the_region(seed: int) -> None:
    plane, of = some_plane(seed, 6 + seed, 17 - seed)
    for most in (1, 3, 6, 9):
        assert zoom_box(plane, of, most) == slow_box(plane, of.members.tolist(), most)


def test_a_patch_repeated_over_many_cells_counts_once() -> None:
    plane = np.full((20, 20), 99)
    plane[:9, :9] = 0  # one patch, alone in a void
    plane[15:18, 15:18] = np.arange(1, 10).reshape(3, 3)
    left, top, right, bottom = zoom_box(plane, region(list(range(10))))
    assert left <= 15
    assert right >= 18
    assert top <= 15
    assert bottom >= 18
    assert (right - left, bottom - top) == (9, 9)


def test_a_small_plane_is_taken_whole_and_a_hidden_region_refused() -> None:
    assert zoom_box(np.array([[0, 1, 2]]), region([1])) == (0, 0, 3, 1)
    with pytest.raises(DisplayError, match="shows no patch of the region; take another, or the one-to-one"):
        zoom_box(np.array([[0, 1, -1]]), region([2]))
    with pytest.raises(DisplayError, match="a zoom of 0 cells a side: ask for 1 or more"):
        zoom_box(np.array([[0, 1, 2]]), region([1]), 0)
    with pytest.raises(
        DisplayError, match=r"the box \(0, 0, 1, 1\) of the plane shows no patch of the region"
    ):
        pick_patches(np.array([[0, 1]]), (0, 0, 1, 1), region([1]), np.zeros(2, int))


@pytest.mark.parametrize(
    ("shape", "boxes"),
    [
        ((1, 1), [(0, 0, 1, 1)]),
        ((1, 20), [(5, 0, 14, 1)]),
        ((3, 4), [(0, 0, 4, 3)]),
        ((4, 5), [(0, 0, 2, 2), (2, 0, 4, 2), (0, 2, 2, 4), (2, 2, 4, 4)]),
        ((30, 40), [(5, 3, 14, 12), (25, 3, 34, 12), (5, 18, 14, 27), (25, 18, 34, 27)]),
    ],
)
def test_parts_are_spread_over_the_plane(
    shape: tuple[int, int], boxes: list[tuple[int, int, int, int]]
) -> None:
    plane = np.arange(shape[0] * shape[1]).reshape(shape)
    assert list(spread_boxes(plane)) == boxes
    left, top, right, bottom = boxes[-1]
    plane[top:bottom, left:right] = -1
    assert list(spread_boxes(plane)) == boxes[:-1]


@pytest.mark.parametrize(("own", "side"), [(48, 19), (48, 11), (48, 48), (12, 30), (12, 40), (9, 1), (1, 7)])
def test_cells_resized_together_are_as_each_by_itself(own: int, side: int) -> None:
    random = np.random.default_rng(0)
    cells = random.integers(0, 256, (30, own, own, 3), np.uint8)
    cells[:10] = np.where(cells[:10] > 127, 255, 0)
    cells[10:20] = np.sort(cells[10:20], axis=1)
    each = np.stack([_resized(cell, (side, side)) for cell in cells])
    apart = np.abs(_all_resized(cells, side).astype(int) - each)
    assert apart.max() <= (0 if side >= 3 * own else 1)
    assert apart.mean() < 0.1


@pytest.mark.parametrize("seed", range(12))
def test_picked_patches_are_the_centre_and_others_far_apart(seed: int) -> None:
    plane, of = some_plane(seed)
    pictures = np.random.default_rng(seed).integers(0, 4, 40)
    box = zoom_box(plane, of, 8)
    for count in (1, 3, 6):
        assert list(pick_patches(plane, box, of, pictures, count)) == slow_picks(
            plane, box, of, pictures, count
        )


def test_another_picture_comes_before_a_better_place() -> None:
    plane, of = np.arange(9).reshape(1, 9), region(list(range(9)), centre=0)
    pictures = np.array([0, 0, 0, 0, 0, 0, 1, 1, 0])
    assert pick_patches(plane, (0, 0, 9, 1), of, np.arange(9), 2) == (0, 5)
    assert pick_patches(plane, (0, 0, 9, 1), of, np.array([0, 1, 0, 0, 2, 0, 0, 0, 0]), 4) == (0, 4, 1, 7)
    assert pick_patches(plane, (0, 0, 9, 1), of, pictures, 0) == ()
    assert pick_patches(plane, (3, 0, 8, 1), of, pictures, 2) == (5, 6)  # the centre is not shown
    assert pick_patches(plane, (3, 0, 5, 1), of, pictures, 9) == (3, 4)


def test_one_far_from_all_others_is_not_picked() -> None:
    plane = np.full((1, 30), -1)
    plane[0, [0, 1, 2, 3, 10, 11, 12, 13, 14, 29]] = np.arange(10)
    assert pick_patches(plane, (0, 0, 30, 1), region(list(range(10)), centre=1), np.arange(10), 2) == (1, 6)


def test_a_mark_lies_in_the_middle_of_the_cells_of_a_patch() -> None:
    plane = np.array([[7, 7, 7, 1], [7, 7, 7, 1], [7, 7, 7, 7]])
    assert cell_of(plane, (0, 0, 4, 3), 7) == (1, 1)
    assert cell_of(plane, (1, 1, 4, 3), 1) == (0, 2)


# ------------------------------------------------------------------ the page

PLANE = np.arange(12 * 15).reshape(12, 15)
LEVELS = np.random.default_rng(0).integers(0, 256, (180, 3), dtype=np.uint8)
CELLS: Pixels = np.broadcast_to(LEVELS[:, None, None], (180, SIDE, SIDE, 3))
ABOUT = PlaneDrawn("vgg16", "c4_1", (60, 60), 200, 31, shown=180)


def sprite(field: tuple[int, int], panels: int, first: int = 0) -> Pixels:
    """Each panel of one grey: patches first, first + 10, ...; reconstructions 5 more."""
    levels = first + 10 * np.arange(panels)
    rows = np.stack([levels, levels + 5]).repeat(field[0], axis=0).repeat(field[1], axis=1)
    return np.ascontiguousarray(np.broadcast_to(rows[..., None], (*rows.shape, 3))).astype(np.uint8)


def answers(count: int, field: tuple[int, int], panels: int = 9, *, bare: bool = False) -> tuple[Answer, ...]:
    outside = ((0, 0, 0, 0),) * panels
    return tuple(
        Answer(100 + n, 12.345 / (n + 1), 0.9 if n % 2 else None, sprite(field, panels, n), outside)
        if not (bare and n == 1)
        else Answer(100 + n, 12.345 / (n + 1))
        for n in range(count)
    )


def zooms(count: int, field: tuple[int, int] = (60, 60), picks: int = 3, filters: int = 4) -> list[Zoom]:
    found = []
    for number in range(1, count + 1):
        left, top = 2 * number - 2, number
        box = (left, top, left + 4, top + 3)
        own = PLANE[top : top + 3, left : left + 4].ravel()[[5, 0, 11, 3, 8, 6][:picks]]
        pixels = np.random.default_rng(number).integers(0, 256, (*field, 3), dtype=np.uint8)
        drawn = [
            Pick(
                int(patch),
                pixels,
                f"a folder/of many words/{patch:06d}.jpg",
                3,
                13,
                answers(filters, field, bare=True),
            )
            for patch in own
        ]
        found.append(Zoom(number, box, f"region {number}, " + "of many patches " * 20, tuple(drawn)))
    return found


def drawn(page: Page) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(page._repr_png_())).convert("RGB"))


def frames(page: Page) -> list[tuple[int, int, int, int]]:
    """Left, top, right and bottom of all white outlines, in pixels."""
    boxes = [p for p in page.axes[0].patches if isinstance(p, Rectangle) and not p.get_fill()]
    found = [p for p in boxes if p.get_edgecolor()[:3] == (1, 1, 1)]
    corners = [(*p.get_xy(), p.get_x() + p.get_width(), p.get_y() + p.get_height()) for p in found]
    return [tuple(round(edge / DOT) for edge in corner) for corner in corners]  # type: ignore[misc]


def extents(page: Page) -> list[tuple[int, int, int, int]]:
    """Left, top, right and bottom of all images, in pixels."""
    edges = [np.array(image.get_extent()) / DOT for image in images(page)]
    assert all(np.abs(edge - np.rint(edge)).max() < 1e-6 for edge in edges)
    return [tuple(np.rint(edge[[0, 3, 1, 2]]).astype(int).tolist()) for edge in edges]


@pytest.mark.parametrize(
    ("count", "field", "picks", "filters"),
    [
        (1, (3, 3), 1, 1),
        (3, (60, 60), 3, 4),
        (6, (224, 224), 3, 4),
        (6, (40, 10), 2, 8),
        (2, (92, 92), 6, 3),
        (1, (44, 44), 2, 0),
    ],
)
def test_nothing_overlaps_and_all_is_on_the_page(
    count: int, field: tuple[int, int], picks: int, filters: int
) -> None:
    page = space_page(PLANE, CELLS, ABOUT, zooms(count, field, picks, filters))
    written = texts(page)
    inside = {"no portrait", *map(str, range(1, 10)), *"abcdef"}  # these lie on what they name
    beside = on_page(page, [one for one in written if one.get_text() not in inside])
    shown = on_page(page, images(page))
    assert not meeting(on_page(page, written))
    assert not meeting(beside + shown)
    assert not outside(page, beside + shown + on_page(page, written))
    assert len(shown) == 1 + count * (1 + picks * (1 + filters))


@pytest.mark.parametrize("field", [(3, 3), (60, 60), (196, 196)])
def test_images_are_on_the_page_pixel_by_pixel(field: tuple[int, int]) -> None:
    page = space_page(PLANE, CELLS, ABOUT, zooms(2, field))
    pixels, over = drawn(page), {"no portrait"}
    assert over <= set(words(page))
    for (left, top, right, bottom), image in zip(extents(page), images(page), strict=True):
        shown = np.asarray(image.get_array())
        assert shown.shape[:2] == (bottom - top, right - left)
        if max(shown.shape) < 500 and not (shown == 244).all():  # no label or outline lies on it
            assert np.array_equal(pixels[top:bottom, left:right], shown)


def test_the_plane_and_its_zooms_are_where_the_outlines_say() -> None:
    own = zooms(3)
    page = space_page(PLANE, CELLS, ABOUT, own)
    plane, places = np.asarray(images(page)[-1].get_array()), extents(page)
    left, top = places[-1][:2]
    cell = plane.shape[1] // PLANE.shape[1]
    assert plane.shape == (12 * cell, 15 * cell, 3)
    assert np.array_equal(plane[cell // 2 :: cell, cell // 2 :: cell], LEVELS[PLANE])
    marks = frames(page)
    assert marks[-3:] == [
        tuple(edge * cell + at for edge, at in zip(zoom.box, (left, top) * 2, strict=True)) for zoom in own
    ]
    shown = [(at, np.asarray(image.get_array())) for at, image in zip(places, images(page), strict=True)]
    large = [one for one in shown[:-1] if one[1].shape[1] == 880]
    for zoom, ((left, top, _, _), picture) in zip(own, large, strict=True):
        part = PLANE[zoom.box[1] : zoom.box[3], zoom.box[0] : zoom.box[2]]
        assert np.array_equal(picture[110::220, 110::220], LEVELS[part])
        for pick in zoom.picks:
            x0, y0, x1, y1 = marks.pop(0)
            row, column = np.argwhere(part == pick.patch)[0].tolist()
            assert (x0 - left, y0 - top) == (column * 220, row * 220)
            assert (x1 - left, y1 - top) == (column * 220 + 220, row * 220 + 220)


def test_every_pick_is_shown_with_its_filters() -> None:
    own = zooms(2, (32, 32))
    page = space_page(PLANE, CELLS, ABOUT, own)
    said = words(page)
    for name in ("1a", "1b", "1c", "2a", "2b", "2c"):
        assert said.count(name) == 1
    assert said.count("(3, 13)") == 6
    assert [said.count(str(channel)) for channel in range(100, 105)] == [6, 6, 6, 6, 0]
    assert said.count("12.3") == 6
    assert said.count("6.17") == 6
    assert said.count("3.09  0.90") == 6
    assert said.count("no portrait") == 6
    large = [np.asarray(image.get_array()) for image in images(page)]
    for zoom in own:
        for pick in zoom.picks:
            enlarged = pick.pixels.repeat(5, axis=0).repeat(5, axis=1)
            assert any(np.array_equal(enlarged, one) for one in large)


def test_a_filter_is_its_strongest_patches_above_what_it_keeps_of_them() -> None:
    (zoom,) = zooms(1, (32, 32), 1, 4)
    page = space_page(PLANE, CELLS, ABOUT, [zoom])
    first, bare = (np.asarray(images(page)[place].get_array()) for place in (2, 3))
    assert first.shape == (2 * 128 + 4, 4 * 132 - 4, 3)
    assert first[64::132, 64::132, 0].tolist() == [[0, 10, 20, 30], [5, 15, 25, 35]]
    assert (first[128:132] == 255).all()
    assert (first[:, 128:132] == 255).all()
    assert bare.shape == first.shape
    assert (bare == 244).all()


@pytest.mark.parametrize(("filters", "panels"), [(1, 6), (2, 6), (4, 5), (5, 4), (8, 2)])
def test_the_more_filters_the_fewer_panels(filters: int, panels: int) -> None:
    (zoom,) = zooms(1, (96, 96), 1, filters)
    page = space_page(PLANE, CELLS, ABOUT, [zoom])
    assert np.asarray(images(page)[2].get_array()).shape[1] == panels * 100 - 4


def test_what_is_not_seen_is_striped_and_a_reduced_signal_keeps_its_contrast() -> None:
    pixels = np.full((384, 8 * 192, 3), 127, np.uint8)
    pixels[192:, 50::192] = 150
    one = Answer(5, 1.0, None, pixels, ((96, 0, 0, 0), *[(0, 0, 0, 0)] * 7))
    zoom = Zoom(1, (0, 0, 2, 2), "", (Pick(0, CELLS[0], "a.png", 0, 0, (one,)),))
    page = space_page(PLANE, CELLS, ABOUT, [zoom])
    shown = np.asarray(images(page)[2].get_array())
    assert shown.shape == (196, 6 * 100 - 4, 3)
    assert {tuple(colour) for colour in shown[:48, :96].reshape(-1, 3)} == {(228, 230, 242), (198, 203, 226)}
    assert (shown[48:96, :96] == 127).all()
    assert (shown[:96, 100:196] == 127).all()
    assert shown[148:, :96].max() == 255  # a line that reducing alone would leave at 139
    assert "spread out again where reduced" in " ".join(words(page))


def test_labels_of_parts_that_lie_on_each_other_do_not() -> None:
    (zoom,) = zooms(1, picks=1)
    same = [Zoom(number, zoom.box, "again", zoom.picks) for number in range(1, 13)]
    page = space_page(PLANE, CELLS, ABOUT, same)
    numbers = [one for one in texts(page) if one.get_text() in set(map(str, range(1, 13)))]
    assert len(numbers) == 12
    dark = [p for p in page.axes[0].patches if isinstance(p, Rectangle) and p.get_fill()]
    labels = [
        p for p in dark if p.get_facecolor()[:3] == tuple(int(INK[n : n + 2], 16) / 255 for n in (1, 3, 5))
    ]
    assert len(labels) == 24  # a number on the plane and a letter in the zoom
    assert not meeting(on_page(page, labels))


def test_the_caption_says_what_is_what() -> None:
    said = " ".join(words(space_page(PLANE, CELLS, ABOUT, zooms(1), rule="guided", display="positive")))
    for part in (
        "vgg16, c4_1: plane of 200 patches, 90.0% shown",
        "nearest to its centre; 20 patches do not appear. A patch: 60×60 pixels of one of 31 pictures.",
        "then its contrast",
        "(guided; positive: black is 0 and below",
    ):
        assert part in said
    bare = [Zoom(1, (0, 0, 1, 1), "", (Pick(0, CELLS[0], "a.png", 0, 0, answers(1, (60, 60))),))]
    said = " ".join(words(space_page(PLANE, CELLS, ABOUT, bare)))
    assert "contrast" not in said
    assert "spread" not in said
    none = [Zoom(1, (0, 0, 1, 1), "", (Pick(0, CELLS[0], "a.png", 0, 0, (Answer(3, 1.0),)),))]
    for shown, drawn in ((bare, True), (none, False)):
        said = " ".join(words(space_page(PLANE, CELLS, ABOUT, shown)))
        assert ("what it keeps of them (deconvnet" in said) == drawn
        assert ("No filter here has a portrait: `layerscope filters` draws them" in said) != drawn


def test_the_same_page_is_the_same_files() -> None:
    one, other = (dict(figure_files(space_page(PLANE, CELLS, ABOUT, zooms(2)), "space")) for _ in range(2))
    assert list(one) == ["space.png", "space.pdf"]
    assert one == other


def test_a_patch_without_filters_and_a_plane_with_empty_cells() -> None:
    plane = np.where(PLANE % 3, PLANE, -1)
    zoom = Zoom(1, (0, 0, 4, 3), "", (Pick(1, CELLS[1], "a.png", 0, 0, ()),))
    page = space_page(plane, CELLS, ABOUT, [zoom])
    assert "no filter is active here" in words(page)
    assert (np.asarray(images(page)[0].get_array())[:120, :120] == 244).all()


def test_what_cannot_be_shown_is_refused() -> None:
    pick = Pick(0, CELLS[0], "a.png", 0, 0, answers(1, (60, 60)))

    def refused(message: str, *own: Zoom) -> None:
        with pytest.raises(DisplayError, match=message):
            space_page(PLANE, CELLS, ABOUT, own)

    def with_filters(*filters: Answer) -> Zoom:
        return Zoom(1, (0, 0, 2, 2), "", (Pick(0, CELLS[0], "a.png", 0, 0, filters),))

    refused("0 zooms: give 1 to 12")
    refused("13 zooms: give 1 to 12", *[Zoom(1, (0, 0, 2, 2), "", (pick,))] * 13)
    refused(
        r"the box \(0, 0, 16, 2\) of zoom 4 is not in the plane of 15 columns and 12 rows",
        Zoom(4, (0, 0, 16, 2), "", (pick,)),
    )
    refused(r"the box \(2, 0, 2, 2\) of zoom 1 is not in", Zoom(1, (2, 0, 2, 2), "", (pick,)))
    refused("zoom 1 has 0 patches: pick 1 to 6", Zoom(1, (0, 0, 2, 2), "", ()))
    refused("patch 0 of zoom 1 does not appear in it; pick those", Zoom(1, (1, 0, 2, 2), "", (pick,)))
    refused("patch 0 of zoom 1 has 9 filters: show at most 8", with_filters(*answers(9, (60, 60))))
    refused(
        "portraits have panels of .*; show filters of one layer",
        with_filters(*answers(1, (60, 60)), *answers(1, (44, 44))),
    )
    refused(
        r"portrait of filter 3, \(6, 7, 3\), is not 2 rows of 2 panels",
        with_filters(Answer(3, 1.0, None, np.zeros((6, 7, 3), np.uint8), ((0, 0, 0, 0),) * 2)),
    )
    with pytest.raises(DisplayError, match="there are pictures of 9"):
        space_page(PLANE, CELLS[:9], ABOUT, zooms(1))
