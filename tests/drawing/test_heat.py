"""The map of layers with layers: every value has its place, its colour and its marks; names never meet."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Circle, Rectangle
from matplotlib.text import Text

from layerscope.drawing.canvas import Page, figure_files
from layerscope.drawing.heat import HeatMap, best_of, colour_of, heat_page
from layerscope.errors import DisplayError

NOTHING = float("nan")


def heat(values: list[list[float]], **more: object) -> HeatMap:
    array = np.array(values)
    rows, columns = (tuple(f"{kind}{i}" for i in range(n)) for kind, n in zip("rc", array.shape, strict=True))
    return HeatMap("title", "caption", rows, columns, ("one", "other"), array, **more)  # type: ignore[arg-type]


def words(page: Page) -> dict[str, Text]:
    return {text.get_text(): text for text in page.axes[0].texts}


def shapes(page: Page) -> list[Rectangle]:
    return [patch for patch in page.axes[0].patches if isinstance(patch, Rectangle)]


def test_cells_stand_where_their_layers_do_the_first_at_the_lower_left() -> None:
    found = heat([[0.9, 0.1], [0.2, 0.7], [NOTHING, NOTHING]])
    page = heat_page(found)
    side = shapes(page)[0].get_width()
    spots = {to_hex(cell.get_facecolor()): cell.get_xy() for cell in shapes(page)[:6] if not cell.get_hatch()}
    corner = spots[to_hex(colour_of(0.9, found))]
    assert spots[to_hex(colour_of(0.1, found))] == pytest.approx((corner[0] + side, corner[1]))
    assert spots[to_hex(colour_of(0.2, found))] == pytest.approx((corner[0], corner[1] - side))
    assert sum(cell.get_hatch() is not None for cell in shapes(page)) == 2
    x, y = words(page)["r0"].get_position()
    assert x < corner[0]
    assert y == pytest.approx(corner[1] + side / 2)
    assert words(page)["c1"].get_position()[0] == pytest.approx(corner[0] + 1.5 * side)
    assert {".90", ".10", ".20", ".70"} <= words(page).keys()


def test_the_ridge_is_marked_in_both_directions() -> None:
    values = np.array([[0.9, 0.1], [0.8, 0.7], [NOTHING, NOTHING], [0.3, 0.3]])
    assert best_of(values) == [0, 0, None, 0]
    assert best_of(values.T) == [0, 1]
    page = heat_page(heat(values.tolist()))
    circles = [patch for patch in page.axes[0].patches if isinstance(patch, Circle)]
    middles = [np.asarray(circle.get_center()) for circle in circles]
    assert len({middle[1] for middle in middles}) == 3
    assert len({middle[0] for middle in middles}) == 1
    squares = [shape for shape in shapes(page) if not shape.get_fill() and shape.get_zorder() == 4]
    assert len({square.get_x() for square in squares}) == len(squares) == 2


def test_white_is_nothing_blue_above_and_orange_below() -> None:
    found = heat([[1.0, 0.5, 0.0, -0.02, -0.6]])
    colours = [colour_of(value, found) for value in found.values[0]]
    brightness = [sum(colour) for colour in colours]
    assert colours[2] == (1, 1, 1)
    assert brightness[0] < brightness[1] < brightness[2] > brightness[3] > brightness[4]
    assert all(colour[2] > colour[0] for colour in colours[:2])
    assert all(colour[0] > colour[2] for colour in colours[3:])
    assert colour_of(-0.02, heat([[-0.02]])) == colour_of(-0.02, heat([[-0.25]]))
    assert "-.60" in words(heat_page(found))


@pytest.mark.parametrize(("rows", "columns"), [(100, 60), (1, 300), (18, 8)])
def test_many_layers_fit_and_their_names_do_not_meet(rows: int, columns: int) -> None:
    random = np.random.default_rng(0)
    names = [
        tuple(f"features.block{i // 9}.{kind}{i % 9}.conv2" for i in range(n))
        for kind, n in (("a", rows), ("b", columns))
    ]
    page = heat_page(HeatMap("t", "c", names[0], names[1], ("one", "other"), random.random((rows, columns))))
    assert max(page.get_size_inches()) < 13
    ends = {name[-9:] for name in names[0]}
    heights = sorted(text.get_position()[1] for text in page.axes[0].texts if text.get_text()[-9:] in ends)
    assert all(below - above >= 7 for above, below in pairwise(heights))
    assert len(heights) >= min(rows, 18)


def test_the_scale_names_its_levels_and_the_page_becomes_files() -> None:
    page = heat_page(heat([[0.2, 0.3]], most=0.4, levels=[("chance", 0.1)]))
    assert {"chance", ".40", ".32", "0"} <= words(page).keys()
    ticks = {name: words(page)[name].get_position()[1] for name in (".08", ".16", "chance")}
    assert ticks[".16"] < ticks["chance"] < ticks[".08"]
    files = dict(figure_files(page, "heat"))
    assert files["heat.png"].startswith(b"\x89PNG")
    assert dict(figure_files(heat_page(heat([[NOTHING]])), "none"))


def test_what_has_no_layer_or_another_shape_is_refused() -> None:
    with pytest.raises(DisplayError, match="give one for each"):
        HeatMap("t", "c", ("a",), ("b",), ("one", "other"), np.zeros((2, 1)))
    with pytest.raises(DisplayError, match="for 0 by 1 layers"):
        HeatMap("t", "c", (), ("b",), ("one", "other"), np.zeros((0, 1)))
