"""Regions of made-up planes: what an outline holds, what fires there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as DrawnPath
from scipy.stats import mannwhitneyu, norm

from layerscope import LayerscopeError
from layerscope.plane.regions import (
    contrasts,
    describe_region,
    inside,
    region_filters,
    strongest_filters,
)
from tests.oracles.plane import regions as slow

Array = npt.NDArray[Any]
STAR = [
    (0.0, 3.0),
    (4.0, 3.0),
    (1.0, 0.0),
    (2.0, 5.0),
    (3.0, 0.0),
]  # crosses itself; even-odd leaves out its heart
LATTICE = np.array([(x, y) for y in range(7) for x in range(7)], float)


def rectified(patches: int, channels: int, seed: int = 0) -> Array:
    """Activations as a layer gives them: two thirds zeros, few values twice."""
    drawn = np.random.default_rng(seed).normal(-0.4, 1, (patches, channels))
    return np.maximum(drawn, 0).astype(np.float32)


def kinds(kind: str) -> Array:
    vectors = rectified(40, 7)
    if kind == "few values":
        return np.round(vectors)
    if kind == "negative too":
        return np.round(2 * np.random.default_rng(1).normal(size=(40, 7))).astype(np.float32)
    if kind == "dead":
        vectors[:, 2:5] = [0, -0.0, 1.5]
    return vectors


# ------------------------------------------------------------------ outlines


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=9))
def test_a_polygon_holds_what_its_twin_says(corners: list[tuple[int, int]]) -> None:
    expected = [slow.holds(corners, x, y) for x, y in LATTICE]
    assert inside(LATTICE, corners).tolist() == expected


def test_a_polygon_agrees_with_a_peer_off_its_edges() -> None:
    rng = np.random.default_rng(0)
    points, corners = rng.random((2000, 2)), rng.random((3, 2)) * 1.5
    assert 0 < inside(points, corners).sum() < 2000
    assert (inside(points, corners) == DrawnPath(corners).contains_points(points)).all()


def test_the_heart_of_a_star_is_out_and_its_edges_are_in() -> None:
    assert inside(np.array([(2.0, 2.0), (2.0, 3.0), (2.0, 5.0), (2.0, 4.0), (0.2, 2.0)]), STAR).tolist() == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_a_box_is_the_polygon_of_its_corners() -> None:
    left, top, right, bottom = box = (1.0, 2.0, 4.0, 4.5)
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    assert inside(LATTICE, box).sum() == 12
    assert (inside(LATTICE, box) == inside(LATTICE, corners)).all()
    assert (inside(LATTICE, box) == inside(LATTICE, corners[::-1])).all()


@pytest.mark.parametrize(
    ("outline", "said"),
    [
        ((1, 2, 3), "shape"),
        ([(0, 0), (1, 1)], "3 or more corners"),
        ((4, 0, 1, 1), "ends before it begins"),
        ((0, 0, float("nan"), 1), "not finite"),
        ([(0, 0), (1, 1), (2,)], "nor a list of corners"),
        ("here", "nor a list of corners"),
    ],
)
def test_a_bad_outline_is_refused(outline: Any, said: str) -> None:
    with pytest.raises(LayerscopeError, match=said) as caught:
        inside(LATTICE, outline)
    assert "\n" not in str(caught.value)


def test_points_must_lie_in_a_plane() -> None:
    for points in (np.zeros((4, 3)), np.array([[0, np.nan]])):
        with pytest.raises(LayerscopeError, match="not finite places"):
            inside(points, (0, 0, 1, 1))
    with pytest.raises(LayerscopeError, match="48 pictures or classes for 49 patches"):
        describe_region([0], (0, 0, 0, 0), LATTICE, np.zeros(48, int))


# ------------------------------------------------------------------ what a region is


def test_a_region_says_where_its_patches_come_from() -> None:
    members = LATTICE[:, 1] <= 1  # rows 0 and 1: patches 0 to 13
    pictures = np.array([3] * 7 + [4] * 6 + [9] * 36)
    classes = np.array([-1] * 3 + [5] * 5 + [2] * 41)
    region = describe_region(members, (0, 0, 6, 1), LATTICE, pictures, classes)
    assert region.members.tolist() == list(range(14))
    assert (region.centre, region.pictures) == (3, 3)  # 3 and 10 are equally near the mean
    assert region.spread == pytest.approx(14**2 / (7**2 + 6**2 + 1))
    assert (region.label, region.label_share) == (2, 6 / 14)
    assert describe_region([5, 1, 5], (0, 0, 1, 1), LATTICE, pictures).members.tolist() == [1, 5]


def test_a_region_without_labels_has_none() -> None:
    pictures, unlabelled = np.zeros(49, int), np.full(49, -1)
    assert describe_region([0], (0, 0, 0, 0), LATTICE, pictures).label is None
    assert describe_region([0], (0, 0, 0, 0), LATTICE, pictures, unlabelled).label is None


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([], "holds no patch"),
        (np.zeros(40, bool), "holds no patch"),
        (np.ones(39, bool), "mask of shape"),
        ([0, 40], "no patch 40"),
        ([-1], "no patch -1"),
        ([0.5], "patch numbers, not float64"),
    ],
)
def test_members_that_do_not_exist_are_refused(members: Any, said: str) -> None:
    with pytest.raises(LayerscopeError, match=said):
        region_filters(rectified(40, 3), members)


# ------------------------------------------------------------------ filters


@pytest.mark.parametrize("kind", ["rectified", "few values", "negative too", "dead"])
@pytest.mark.parametrize("members", [[3], [0, 5, 6, 7, 39], list(range(1, 40)), list(range(40))], ids=len)
def test_filters_of_a_region_equal_their_twin(kind: str, members: list[int]) -> None:
    vectors = kinds(kind)
    rest = [i for i in range(40) if i not in members]
    rows = region_filters(vectors, members).to_pylist()
    assert sorted(row["channel"] for row in rows) == list(range(7))
    assert [(-r["contrast"], r["channel"]) for r in rows] == sorted(
        (-r["contrast"], r["channel"]) for r in rows
    )
    for row in rows:
        here, elsewhere = vectors[members, row["channel"]].tolist(), vectors[rest, row["channel"]].tolist()
        assert row["mean"] == pytest.approx(float(slow.mean(here)), abs=1e-15)
        assert row["fires"] == float(slow.fires(here))
        assert row["contrast"] == float(slow.contrast(here, elsewhere))
        if rest:
            assert row["mean_elsewhere"] == pytest.approx(float(slow.mean(elsewhere)), abs=1e-15)
            assert row["fires_elsewhere"] == float(slow.fires(elsewhere))
        else:
            assert (row["mean_elsewhere"], row["fires_elsewhere"], row["z"]) == (None, None, 0)


def test_z_is_that_of_mann_and_whitney() -> None:
    vectors, members = kinds("few values"), np.arange(40) % 3 == 0
    rows = region_filters(vectors, members).to_pylist()
    peer = mannwhitneyu(vectors[members], vectors[~members], method="asymptotic", use_continuity=False)
    chosen = [row["channel"] for row in rows]
    assert [row["contrast"] * 14 * 26 for row in rows] == pytest.approx(peer.statistic[chosen])
    assert [np.sign(row["z"]) for row in rows] == np.sign(peer.statistic[chosen] - 14 * 26 / 2).tolist()
    assert [abs(row["z"]) for row in rows] == pytest.approx(norm.isf(peer.pvalue[chosen] / 2))


def test_the_strongest_filters_come_first_if_asked() -> None:
    vectors = rectified(60, 9)
    rows = region_filters(vectors, range(20), by="mean").to_pylist()
    assert [row["channel"] for row in rows] == np.argsort(-vectors[:20].mean(axis=0)).tolist()


def test_many_groups_at_once_are_each_against_the_rest() -> None:
    vectors = rectified(300, 130)  # more channels than one block
    groups = np.random.default_rng(3).integers(-1, 4, 300)
    tables = contrasts(vectors, groups)
    assert len(tables) == 4
    for group, table in enumerate(tables):
        alone = region_filters(vectors, groups == group)
        for name in alone.column_names:
            one, other = (t.sort_by("channel").column(name).to_numpy() for t in (alone, table))
            assert other == pytest.approx(one, rel=1e-13)


def test_a_dead_filter_has_no_contrast() -> None:
    rows = {row["channel"]: row for row in region_filters(kinds("dead"), range(9)).to_pylist()}
    for channel in (2, 3, 4):  # zeros, minus zeros, a constant
        assert (rows[channel]["contrast"], rows[channel]["z"]) == (0.5, 0)
    assert rows[3]["fires"] == 0
    assert rows[4]["fires"] == 1


def test_patches_drawn_by_lot_have_the_contrast_of_chance() -> None:
    vectors = rectified(4000, 100, seed=1)
    by_lot = np.random.default_rng(2).permutation(4000)[:200]
    z = region_filters(vectors, by_lot).column("z").to_numpy()
    assert 0.8 < z.std() < 1.2
    assert np.abs(z).max() < 4.5
    vectors[by_lot, 17] += 0.3  # and what does fire there is not chance
    first = region_filters(vectors, by_lot).to_pylist()[0]
    assert first["channel"] == 17
    assert first["z"] > 8


def test_a_mapped_file_gives_the_same(tmp_path: Path) -> None:
    vectors = rectified(500, 70)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    assert region_filters(mapped, range(30)).equals(region_filters(vectors, range(30)))


def test_values_that_are_not_finite_are_refused() -> None:
    vectors = rectified(20, 5)
    vectors[3, 2] = np.nan
    with pytest.raises(LayerscopeError, match="channel 2"):
        region_filters(vectors, [0, 1])


def test_groups_must_fit() -> None:
    vectors = rectified(20, 5)
    with pytest.raises(LayerscopeError, match="20 patches"):
        contrasts(vectors, np.zeros(19, int))
    with pytest.raises(LayerscopeError, match="group 0 holds no patch"):
        contrasts(vectors, np.full(20, 1))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-1, 3), min_size=1, max_size=12), st.integers(0, 14))
def test_filters_of_a_patch_equal_their_twin(values: list[int], count: int) -> None:
    assert strongest_filters(np.array(values, np.float32), count).tolist() == slow.strongest(values, count)
