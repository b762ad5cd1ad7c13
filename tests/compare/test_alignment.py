"""Which layers stand in one column."""

from __future__ import annotations

from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.compare.alignment import (
    LEAST,
    MOST,
    NEAR,
    align_depths,
    align_fields,
    assign,
    chain_lengths,
    relative_depths,
    rising,
    widest_gap,
)
from tests.oracles.compare import rows as twin

VGG = (3, 5, 6, 10, 14, 16, 24, 32, 40, 44, 60, 76, 92, 100, 132, 164, 196, 212)  # the paper's Table 1
ALEX = (11, 15, 47, 55, 87, 119, 151, 167)  # Table 2
places = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=7, unique=True).map(sorted)


@settings(deadline=None)
@given(places, places)
def test_the_nearest_of_all_ways(own: list[float], targets: list[float]) -> None:
    found = assign(own, targets)
    away = sum(abs(own[i] - t) for i, t in zip(found, targets, strict=True))
    assert away == pytest.approx(twin.nearest_rising(own, targets), abs=1e-12)
    if len(own) >= len(targets):
        assert twin.rises(found)
    else:
        assert sorted(set(found)) == list(range(len(own)))
        assert list(found) == sorted(found)


def test_of_equals_the_earlier() -> None:
    assert assign([0.0, 0.5, 1.0], [0.25]) == (0,)
    assert assign([0.0, 1.0], [0.0, 0.5, 1.0]) == (0, 0, 1)


def test_the_papers_networks_by_field() -> None:
    vgg, alex = align_fields([VGG, ALEX])
    assert [ALEX[i] for i in alex] == list(ALEX)
    assert [VGG[i] for i in vgg] == [10, 16, 44, 60, 92, 100, 132, 164]
    assert align_fields([ALEX, VGG]) == (alex, vgg)
    assert align_fields([VGG, VGG]) == (align_fields([VGG])[0],) * 2
    assert len(align_fields([VGG, VGG])[0]) == MOST


def test_the_papers_networks_by_depth() -> None:
    depths = [[i / (len(sizes) - 1) for i in range(len(sizes))] for sizes in (VGG, ALEX)]
    vgg, alex = align_depths(depths)
    assert alex == tuple(range(8))
    assert (vgg[0], vgg[-1], len(vgg)) == (0, 17, 8)
    assert widest_gap(depths, (vgg, alex)) <= 0.5 / 17


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.floats(0.01, 1), min_size=1, max_size=14, unique=True).map(sorted), min_size=2, max_size=3
    )
)
def test_by_field_only_windows_that_are_alike(networks: list[list[float]]) -> None:
    columns = align_fields(networks)
    counts = {len(chosen) for chosen in columns}
    assert len(counts) == 1
    assert counts.pop() <= MOST
    assert all(twin.rises(chosen) for chosen in columns)
    assert widest_gap([[log(x) for x in own] for own in networks], columns) <= 2 * log(NEAR) + 1e-6


def test_no_windows_alike() -> None:
    assert align_fields([[1, 2, 3], [10, 20]]) == ((), ())
    assert align_fields([[10, 14], [12, 300]]) == ((1,), (0,))
    assert align_fields([[10, 14, 100], [12, 90, 110]]) == ((0, 2), (0, 2))  # 12 stands once: not for 14, too


@settings(deadline=None)
@given(st.lists(st.integers(1, 14), min_size=2, max_size=3))
def test_by_depth_every_network_from_first_to_last(lengths: list[int]) -> None:
    networks = [[i / max(1, n - 1) for i in range(n)] for n in lengths]
    columns = align_depths(networks)
    count = min(MOST, max(LEAST, min(lengths)), max(lengths))
    for own, chosen in zip(networks, columns, strict=True):
        assert len(chosen) == count
        if count <= len(own):
            assert twin.rises(chosen)
        elif len(own) > 1:
            assert (chosen[0], chosen[-1]) == (0, len(own) - 1)


BRANCHES = {"a": [], "b": ["a"], "c": ["b"], "short": ["a"], "sum": ["c", "short"], "top": ["sum"]}


def test_depth_is_the_longest_way() -> None:
    lengths = chain_lengths(BRANCHES)
    assert lengths == {layer: twin.longest_way(layer, BRANCHES) for layer in BRANCHES}
    assert relative_depths(BRANCHES) == {"a": 0, "b": 0.25, "c": 0.5, "short": 0.25, "sum": 0.75, "top": 1}
    assert chain_lengths(BRANCHES, {layer: layer != "sum" for layer in BRANCHES})["top"] == 4
    assert relative_depths({"only": []}) == {"only": 0}
    assert rising(relative_depths(BRANCHES)) == {"a": 0, "short": 0.25, "c": 0.5, "sum": 0.75, "top": 1}
    assert list(rising(relative_depths(BRANCHES), {"b"})) == ["a", "b", "c", "sum", "top"]
    assert list(rising({"x": 1, "y": 1, "z": 1, "u": 1}, {"x", "z"})) == ["z"]
