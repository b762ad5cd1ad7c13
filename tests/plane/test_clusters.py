"""Suggested regions: clusters that are there are found, and noise suggests nothing."""

from __future__ import annotations

import sys
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope import LayerscopeError
from layerscope.plane.clusters import Clustering, _agreed, _labels, convex_hull, groups_of, suggest_regions
from layerscope.plane.regions import contrasts, inside
from tests.oracles.plane import regions as slow

Array = npt.NDArray[Any]
CENTRES = np.array([(0, 0), (10, 0), (0, 10), (10, 10), (5, 5)], float)
LABELS = st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 2)), min_size=1, max_size=25)


def islands(patches: int = 1500, noise: float = 0.1, seed: int = 0) -> tuple[Array, Array]:
    """Points in five islands in a sea of noise, and the island of each (-1: none)."""
    rng = np.random.default_rng(seed)
    island = rng.integers(0, 5, patches)
    island[rng.random(patches) < noise] = -1
    sea = rng.uniform(-4, 14, (patches, 2))
    land = CENTRES[island] + rng.normal(0, 0.5, (patches, 2))
    return np.where(island[:, None] < 0, sea, land).astype(np.float32), island


def test_islands_are_found() -> None:
    points, island = islands()
    found = suggest_regions(points, np.arange(1500), island)
    assert sorted(region.label or 0 for region in found) == [0, 1, 2, 3, 4]
    for region in found:
        own = np.flatnonzero(island == region.label)
        assert len(np.intersect1d(region.members, own)) > 0.8 * len(own)
        assert (region.label_share or 0) > 0.9
        assert np.linalg.norm(points[region.centre] - CENTRES[region.label or 0]) < 0.3
        assert inside(points, region.outline)[region.members].all()
        assert region.pictures == len(region.members) == pytest.approx(region.spread)


@pytest.mark.parametrize("patches", [300, 1000, 4000])
@pytest.mark.parametrize("cloud", ["uniform", "normal"])
def test_noise_suggests_next_to_nothing(cloud: str, patches: int) -> None:
    """On average less than one region, the dense middle of a normal cloud included."""
    clouds = [getattr(np.random.default_rng(seed), cloud)(size=(patches, 2)) for seed in range(5)]
    found = [len(suggest_regions(points, np.arange(patches))) for points in clouds]
    assert sum(found) < len(clouds)


def test_one_clustering_alone_would_suggest_much_in_noise() -> None:
    """What the two halves are for."""
    points = np.random.default_rng(0).uniform(size=(4000, 2))
    assert _labels(points, np.arange(4000), Clustering()).max() > 10


def test_clusters_spread_over_many_pictures_come_first() -> None:
    points, island = islands()
    pictures = np.where(island == 3, np.arange(1500) % 100, np.where(island == 1, np.arange(1500) % 10, 0))
    found = suggest_regions(points, pictures, island)
    assert [region.label for region in found[:2]] == [3, 1]
    assert 90 < found[0].pictures <= 100
    assert 60 < found[0].spread < found[0].pictures
    assert [len(region.members) for region in found[2:]] == sorted(
        (len(region.members) for region in found[2:]), reverse=True
    )
    assert suggest_regions(points, pictures, island, Clustering(most=2))[1].label == 1


def test_the_same_settings_give_the_same_regions() -> None:
    points, island = islands()
    first, again = (suggest_regions(points, island + 1) for _ in range(2))
    assert [r.members.tolist() for r in first] == [r.members.tolist() for r in again]
    assert [r.outline.tolist() for r in first] == [r.outline.tolist() for r in again]


def test_patches_beyond_the_halves_go_with_the_nearest() -> None:
    points, island = islands(6000)
    found = suggest_regions(points, np.arange(6000), island, Clustering(half=500))
    assert sorted(region.label or 0 for region in found) == [0, 1, 2, 3, 4]
    assert sum(len(region.members) for region in found) > 4000


def test_filters_of_suggested_regions() -> None:
    points, island = islands()
    vectors = np.maximum(np.random.default_rng(1).normal(-1, 1, (1500, 8)), 0)
    vectors[np.arange(1500), island] += 3.0 * (island >= 0)  # channel i fires on island i
    found = suggest_regions(points, np.arange(1500), island)
    for region, table in zip(found, contrasts(vectors, groups_of(found, 1500)), strict=True):
        assert table.column("contrast").to_numpy().argmax() == region.label


@pytest.mark.parametrize("patches", [0, 1, 2, 3, 25, 39, 41])
def test_too_few_patches_suggest_nothing(patches: int) -> None:
    points = np.random.default_rng(0).random((patches, 2))
    assert suggest_regions(points, np.arange(patches)) == ()


def test_equal_points_suggest_nothing_and_piles_are_regions() -> None:
    assert suggest_regions(np.ones((500, 2), np.float32), np.arange(500)) == ()
    piles = CENTRES[np.arange(500) % 5]
    found = suggest_regions(piles, np.arange(500))
    assert sorted(region.members[0] for region in found) == [0, 1, 2, 3, 4]
    assert all(inside(piles, region.outline).sum() == 100 for region in found)


def test_points_that_are_no_places_are_refused() -> None:
    with pytest.raises(LayerscopeError, match="embed anew"):
        suggest_regions(np.array([(0, np.inf)]), np.zeros(1))
    with pytest.raises(LayerscopeError, match="9 pictures or classes for 10 patches"):
        suggest_regions(np.zeros((10, 2)), np.zeros(10), np.zeros(9))


@pytest.mark.parametrize(
    "bad", [{"smallest": 0}, {"largest": 2}, {"most": 0}, {"half": 0}, {"agreement": 0.4}]
)
def test_settings_that_cannot_be_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(LayerscopeError):
        Clustering(**bad)


def test_without_the_library_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(LayerscopeError, match=r"pip install 'layerscope\[space\]'"):
        suggest_regions(*islands())


@settings(max_examples=80, deadline=None)
@given(LABELS)
def test_agreement_equals_its_twin(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs).T
    expected = slow.agreed(one.tolist(), other.tolist(), Fraction(1, 2))
    assert [members.tolist() for members in _agreed(one, other, 0.5)] == expected


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=14))
def test_a_hull_equals_its_twin(points: list[tuple[int, int]]) -> None:
    places = np.array(points, np.float32)
    hull, corners = convex_hull(places), slow.hull(points)
    assert inside(places, hull).all()
    if len(corners) < 3:
        assert hull.tolist() == [*places.min(axis=0), *places.max(axis=0)]
    else:
        assert len(hull) == len(corners)
        assert {(int(x), int(y)) for x, y in hull} == corners


def test_groups_of_regions_that_overlap() -> None:
    points, island = islands(500)
    found = suggest_regions(points, np.arange(500), island)
    groups = groups_of([found[0], *found], 500)
    assert set(groups) == {-1, 0, *range(2, len(found) + 1)}
