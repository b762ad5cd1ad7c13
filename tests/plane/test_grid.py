"""Grids and planes against brute force, and where ties, repeats and odd shapes of the points could go wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope import LayerscopeError
from layerscope.plane.grid import EMPTY, Grid, Plane, arrange, fill, share_repeated, share_shown
from tests.oracles.plane import planes

Points = npt.NDArray[np.float32]

ODD: dict[str, list[list[float]]] = {
    "one patch": [[3, 4]],
    "two patches": [[0, 0], [1, 5]],
    "all at one place": [[2, -7]] * 9,
    "on a line": [[x, 1] for x in range(10)],
    "on a slope": [[x, 3 * x] for x in range(10)],
    "on a lattice": [[x, y] for y in range(4) for x in range(4)],
    "far from zero": [[1e6 + x, -1e6] for x in range(5)],
}


def scattered(number: int, seed: int = 0) -> Points:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(number, 2)) * [3, 1]).astype(np.float32)


@pytest.mark.parametrize("cells", [None, 1, 2, 7, 40])
@pytest.mark.parametrize("name", ODD)
def test_a_grid_covers_its_points(name: str, cells: int | None) -> None:
    points = np.array(ODD[name], np.float64)
    grid = Grid.around(points, cells)
    wanted = len(points) if cells is None else cells
    assert wanted <= grid.cells < wanted + grid.columns
    assert len(grid.centres()) == grid.cells
    apart = np.abs(points[:, None] - grid.centres()).max(axis=2).min(axis=1)
    assert apart.max() <= grid.side / 2 * (1 + 1e-6)


def test_a_grid_has_the_shape_of_its_points() -> None:
    grid = Grid.around(np.array([[0, 10], [40, 30]]), 200)
    assert (grid.rows, grid.columns, grid.side) == (10, 20, 2)
    assert grid.box == (0, 10, 40, 30)
    assert grid.centres()[[0, 1, 20]].tolist() == [[1, 11], [3, 11], [1, 13]]
    line = Grid.around(np.array([[0, 0], [5, 0]]), 800)
    assert (line.rows, line.columns) == (10, 80)


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=12), st.integers(1, 30)
)
@settings(max_examples=200, deadline=None)
def test_filling_small_lattices_is_brute_force(points: list[tuple[int, int]], cells: int) -> None:
    """Where nearly everything is a tie or a repeat."""
    grid = Grid(-3, -3, 1 if cells % 2 else 0.5, rows=min(cells, 5), columns=cells)
    array = np.array(points, np.float32)
    assert fill(array, grid).ravel().tolist() == planes.filled(points, grid.centres().tolist())


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("cells", [1, 6, 50])
def test_filling_odd_shapes_is_brute_force(name: str, cells: int) -> None:
    points = np.array(ODD[name], np.float64)
    grid = Grid.around(points, cells)
    assert fill(points, grid).ravel().tolist() == planes.filled(ODD[name], grid.centres().tolist())


def test_filling_scattered_points_is_brute_force() -> None:
    points = np.concatenate([scattered(60), scattered(60)])  # every one twice
    for cells in (20, 120, 500):
        grid = Grid.around(points, cells)
        plane = fill(points, grid)
        assert plane.dtype == np.int32
        assert plane.shape == (grid.rows, grid.columns)
        assert plane.ravel().tolist() == planes.filled(points.tolist(), grid.centres().tolist())
        assert plane.max() < 60


def test_a_plane_over_a_part() -> None:
    points = scattered(100)
    grid = Grid(0, 0, 0.25, rows=3, columns=4)
    assert fill(points, grid).ravel().tolist() == planes.filled(points.tolist(), grid.centres().tolist())


def test_every_cell_shows_a_nearest_patch_at_scale() -> None:
    points = scattered(20_000)
    grid = Grid.around(points, 100_000)
    plane = fill(points, grid).ravel()
    chosen = np.random.default_rng(1).choice(grid.cells, 300, replace=False)
    centres = grid.centres()[chosen]
    squares = ((points.astype(np.float64)[None] - centres[:, None]) ** 2).sum(axis=2)
    assert plane[chosen].tolist() == squares.argmin(axis=1).tolist()


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("more", [0, 1, 20])
def test_one_to_one_shows_each_patch_once(name: str, more: int) -> None:
    points = np.array(ODD[name], np.float64)
    grid = Grid.around(points, len(points) + more)
    plane = arrange(points, grid)
    assert plane.shape == (grid.rows, grid.columns)
    assert sorted(plane[plane != EMPTY].tolist()) == list(range(len(points)))
    assert np.array_equal(plane, arrange(points, grid))


@pytest.mark.parametrize("cells", [6, 8])
@pytest.mark.parametrize("seed", range(4))
def test_one_to_one_costs_little_more_than_the_best(seed: int, cells: int) -> None:
    points = scattered(6, seed).astype(np.float64)
    grid = Grid.around(points, cells)
    plane = arrange(points, grid).ravel()
    centres = grid.centres()
    cost = sum(
        planes.square(points[patch], centres[cell]) for cell, patch in enumerate(plane) if patch != EMPTY
    )
    assert cost <= planes.least_cost(points.tolist(), centres.tolist()) * 1.0001


def test_one_to_one_keeps_neighbours_and_shuffled_points_do_not() -> None:
    points = scattered(3_000)
    grid = Grid.around(points)

    def apart(shown: Points, plane: Plane) -> float:
        """Mean distance between the points of cells side by side."""
        full = (plane[:, :-1] >= 0) & (plane[:, 1:] >= 0)
        return float(np.linalg.norm(shown[plane[:, :-1][full]] - shown[plane[:, 1:][full]], axis=1).mean())

    plane = arrange(points, grid)
    shuffled = np.random.default_rng(0).permutation(points)
    assert apart(points, plane) < 0.15 * apart(shuffled, plane)


def test_the_two_planes_of_a_lattice_agree() -> None:
    points = np.array([[x, y] for y in range(5) for x in range(7)], np.float32)
    grid = Grid(-0.5, -0.5, 1, rows=5, columns=7)
    expected = np.arange(35).reshape(5, 7)
    assert np.array_equal(fill(points, grid), expected)
    assert np.array_equal(arrange(points, grid), expected)


@pytest.mark.parametrize("seed", range(5))
def test_shares_count_pairs_one_by_one(seed: int) -> None:
    plane = np.random.default_rng(seed).integers(-1, 3, size=(4, 5)).astype(np.int32)
    same, pairs = planes.repeated(plane.tolist())
    assert share_repeated(plane) == same / pairs
    assert share_shown(plane, 6) == len({n for n in plane.ravel().tolist() if n >= 0}) / 6


def test_shares_at_the_ends() -> None:
    assert share_repeated(np.zeros((1, 1), np.int32)) == 0
    assert share_repeated(np.zeros((3, 3), np.int32)) == 1
    assert share_repeated(np.full((3, 3), EMPTY, np.int32)) == 0
    assert share_shown(np.arange(6, dtype=np.int32).reshape(2, 3), 6) == 1
    assert share_shown(np.full((2, 2), EMPTY, np.int32), 6) == 0


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (np.empty((0, 2)), "no patches"),
        (np.zeros((3, 3)), r"\(3, 3\).*\(patches, 2\)"),
        (np.array([[0, 0], [1, np.nan], [np.inf, 0]]), "patch 1 .*1 more"),
    ],
)
def test_points_that_make_no_plane(points: npt.NDArray[np.float64], says: str) -> None:
    grid = Grid(0, 0, 1, 2, 2)
    for make in (lambda: Grid.around(points), lambda: fill(points, grid), lambda: arrange(points, grid)):
        with pytest.raises(LayerscopeError, match=says):
            make()


def test_what_is_asked_for_must_fit() -> None:
    with pytest.raises(LayerscopeError, match="0 cells"):
        Grid.around(scattered(4), 0)
    with pytest.raises(LayerscopeError, match="5 patches do not fit into 4 cells"):
        arrange(scattered(5), Grid(0, 0, 1, 2, 2))


@pytest.mark.parametrize(("library", "make"), [("shufflesnap", arrange), ("scipy.spatial", fill)])
def test_a_missing_library_is_asked_for(
    library: str, make: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(LayerscopeError, match=r"pip install 'layerscope\[space\]'"):
        make(scattered(4), Grid.around(scattered(4)))


def test_another_interface_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shufflesnap", SimpleNamespace(__version__="0.6", snap=None))
    with pytest.raises(LayerscopeError, match=r"shufflesnap 0.6 has not the interface of 0.4: pip install"):
        arrange(scattered(4), Grid.around(scattered(4)))
