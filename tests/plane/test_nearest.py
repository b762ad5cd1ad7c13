"""Nearest neighbours are exact, in the order of distances and then of numbers, whoever is left out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from layerscope import LayerscopeError
from layerscope.plane.nearest import nearest
from tests.oracles.plane import regions as slow

Array = npt.NDArray[Any]


def kinds(kind: str, columns: int) -> Array:
    """Forty vectors, nine of them twice."""
    random = np.random.default_rng(0)
    drawn = {
        "rectified": np.maximum(random.normal(-0.4, 1, (40, columns)), 0),
        "few values": np.round(random.normal(0, 1, (40, columns))),
        "lattice": random.integers(0, 3, (40, columns)),
        "one place": np.ones((40, columns)),
        "dead": random.random((40, columns)) * (np.arange(columns) % 2),
        "far away": 1e6 + np.round(random.normal(0, 3, (40, columns))) / 64,
    }[kind]
    drawn[0] = -0.0 * drawn[0]
    return np.concatenate([drawn, drawn[:9]]).astype(np.float32)


@pytest.mark.parametrize("k", [1, 6, 48])
@pytest.mark.parametrize("out", ["none", "itself", "groups"])
@pytest.mark.parametrize("columns", [2, 7])
@pytest.mark.parametrize("kind", ["rectified", "few values", "lattice", "one place", "dead", "far away"])
def test_neighbours_equal_their_twin(
    kind: str, columns: int, out: str, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layerscope.plane.nearest._VALUES", 60)  # a query or two at once
    vectors = kinds(kind, columns)
    asked = np.array([0, 4, 40, 48, 17])
    groups = np.arange(49) if out == "itself" else np.random.default_rng(1).integers(0, 3, 49)
    found, distances = nearest(
        vectors[asked], vectors, k, apart=None if out == "none" else (groups[asked], groups)
    )
    assert found.shape == distances.shape == (5, k)
    for row, patch in enumerate(asked.tolist()):
        barred = () if out == "none" else np.flatnonzero(groups == groups[patch]).tolist()
        expected = slow.nearest(vectors[patch].tolist(), vectors.tolist(), k, without=barred)
        gaps = k - len(expected)
        assert found[row].tolist() == [number for number, _ in expected] + [-1] * gaps
        true = [float(square) ** 0.5 for _, square in expected] + [np.inf] * gaps
        assert distances[row] == pytest.approx(true, rel=1e-12)


@pytest.mark.parametrize("columns", [2, 512])
def test_large_vectors_that_are_nearly_equal_are_told_apart(columns: int) -> None:
    """Squares of 1e12, which float64 holds to 1e-4; squared distances are multiples of 2e-5, many of them equal."""
    rng = np.random.default_rng(0)
    steps = rng.integers(-1, 2, (200, columns)) * (rng.random((200, columns)) < 0.5)
    vectors = (rng.integers(33_000, 65_000, columns) + steps / 256).astype(np.float32)
    found, distances = nearest(vectors, vectors, 7)
    squares = ((steps[:, None] - steps) ** 2).sum(axis=2)  # in whole numbers
    expected = np.argsort(squares, axis=1, kind="stable")[:, :7]
    assert found.tolist() == expected.tolist()
    assert distances == pytest.approx(np.sqrt(np.take_along_axis(squares, expected, axis=1)) / 256)


def test_piles_come_by_number_and_double_precision_counts() -> None:
    vectors = np.tile(np.random.default_rng(0).normal(size=(3, 50)), (2000, 1))
    found, distances = nearest(vectors[:1], vectors, 5, apart=(np.array([0]), np.arange(6000)))
    assert found.tolist() == [[3, 6, 9, 12, 15]]
    assert (distances == 0).all()
    close = np.array([[1 + 3e-9] * 5, [1.0] * 5, [1 + 2e-9] * 5])
    assert nearest(np.ones((1, 5)), close, 3)[0].tolist() == [[1, 2, 0]]
    assert nearest(np.ones((1, 5), np.float32), close, 3)[0].tolist() == [[1, 2, 0]]


def test_no_query_has_no_neighbours() -> None:
    for columns in (2, 9):
        found, distances = nearest(np.empty((0, columns)), np.ones((4, columns)), 3)
        assert found.shape == distances.shape == (0, 3)


def test_vectors_may_be_mapped_from_a_file(tmp_path: Path) -> None:
    vectors = kinds("rectified", 7)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    for own, other in zip(nearest(mapped[:3], mapped, 4), nearest(vectors[:3], vectors, 4), strict=True):
        assert (own == other).all()


@pytest.mark.parametrize(
    ("queries", "among", "k", "apart", "said"),
    [
        ((1, 5), (20, 5), 0, None, "0 neighbours among 20"),
        ((1, 5), (0, 5), 1, None, "among 0 patches"),
        ((1, 3), (20, 5), 2, None, "channels differ"),
        ((3,), (20, 3), 2, None, "channels differ"),
        ((1, 5), (20, 5), 2, (1, 19), "1 and 19 groups"),
    ],
)
def test_what_cannot_be_asked(
    queries: tuple[int, ...], among: tuple[int, ...], k: int, apart: tuple[int, int] | None, said: str
) -> None:
    groups = None if apart is None else (np.zeros(apart[0]), np.zeros(apart[1]))
    with pytest.raises(LayerscopeError, match=said):
        nearest(np.zeros(queries), np.zeros(among), k, apart=groups)


@pytest.mark.parametrize(("library", "columns"), [("scipy.spatial", 2), ("sklearn.neighbors", 5)])
def test_a_missing_library_is_asked_for(library: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(LayerscopeError, match=r"needs \w+: pip install 'layerscope\[space\]'"):
        nearest(np.zeros((1, columns)), np.zeros((4, columns)), 1)
