"""Filters matched against loops, neighbours against distances one by one; what nothing matches is told."""

from __future__ import annotations

import builtins
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from layerscope.compare.matching import match_filters, match_partially
from layerscope.compare.neighbours import compare_neighbours, nearest
from layerscope.compare.similarity import compare_layers
from layerscope.errors import ComparisonError
from tests.compare.test_similarity import made, related
from tests.oracles.compare import similarity as naive


def test_matches_against_a_loop() -> None:
    x, y = related(200, (6, 5))
    y[:, 1] = 3 * x[:, 4] + 1
    x[:, 2] = 0  # dead
    one, other = made({"a": x[:, :4], "b": x[:, 4:]}), made({"c": y[:, :2], "d": y[:, 2:]}, "other")
    found = match_filters(compare_layers(one, other))
    correlations = np.array(
        [[np.nan if i == 2 else np.corrcoef(x[:, i], y[:, j])[0, 1] for j in range(5)] for i in range(6)]
    )
    rows = found.best.to_pylist()
    for i, row in enumerate(rows):
        assert (row["layer"], row["channel"]) == (("a", i) if i < 4 else ("b", i - 4))
        if i == 2:
            assert (row["other_layer"], row["correlation"], row["mutual"]) == (None, None, False)
            continue
        best = int(correlations[i].argmax())
        assert (row["other_layer"], row["other_channel"]) == (("c", best) if best < 2 else ("d", best - 2))
        assert row["correlation"] == pytest.approx(correlations[i, best], abs=1e-6)
        assert row["mutual"] == (int(np.nanargmax(correlations[:, best])) == i)
    strongest = found.mutual.to_pylist()[0]
    assert (strongest["layer"], strongest["channel"], strongest["other_channel"]) == ("b", 0, 1)
    assert strongest["correlation"] == pytest.approx(1, abs=1e-6)
    assert len(found.other_best) == 5


def test_one_to_one_takes_no_filter_twice_and_has_the_greatest_sum() -> None:
    x, y = related(100, (4, 3))
    found = match_filters(compare_layers(made({"x": x}), made({"y": y}, "other"))).pairs.to_pydict()
    assert sorted(found["other_channel"]) == [0, 1, 2]
    assert len(set(found["channel"])) == 3
    correlations = np.corrcoef(x.T, y.T)[:4, 4:]
    best = max(sum(correlations[i, j] for j, i in enumerate(order)) for order in permutations(range(4), 3))
    assert sum(found["correlation"]) == pytest.approx(best, abs=1e-5)


def test_the_same_network_matches_itself_and_nothing_is_left() -> None:
    x, y = related(60, (5, 4))
    one = made({"x": x, "y": y})
    found = match_filters(compare_layers(one, one))
    for table in (found.best, found.pairs):
        assert table["layer"].to_pylist() == table["other_layer"].to_pylist()
        assert table["channel"].to_pylist() == table["other_channel"].to_pylist()
    assert all(found.best["mutual"].to_pylist())
    assert [len(table) for table in found.unmatched(0.9)] == [0, 0]


def test_unmatched_filters_come_weakest_first_those_without_any_before() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 500, 4))
    x[:, 0], x[:, 3] = y[:, 2], 0.5
    left, right = match_filters(compare_layers(made({"x": x}), made({"y": y}, "other"))).unmatched(0.5)
    strengths = left["correlation"].to_pylist()
    assert (left["channel"].to_pylist()[0], strengths[0]) == (3, None)
    assert strengths[1:] == sorted(strengths[1:])
    assert sorted(left["channel"].to_pylist()) == [1, 2, 3]
    assert sorted(right["channel"].to_pylist()) == [0, 1, 3]


def test_partial_matching_leaves_out_what_nothing_answers_like() -> None:
    pytest.importorskip("ot", reason="POT is not installed")
    random = np.random.default_rng(1)
    x, y = random.normal(size=(2, 400, 6))
    x[:, :3], x[:, 5] = y[:, [4, 0, 2]], 0
    found = compare_layers(made({"x": x}), made({"y": y}, "other"))
    table, plan = match_partially(found, "x", "y", mass=0.5)
    assert plan.sum() == pytest.approx(0.5)
    assert table["matched"].to_pylist()[:2] == pytest.approx([5 / 6, 5 / 6], abs=0.2)
    assert table["other_channel"].to_pylist()[:3] == [4, 0, 2]
    assert sum(table["matched"].to_pylist()[3:]) < 0.5
    assert table["matched"].to_pylist()[5] == 0
    assert table["correlation"].to_pylist()[5] is None


@pytest.mark.parametrize(("library", "what"), [("ot", "POT"), ("scipy", "SciPy")])
def test_a_missing_library_is_named(library: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = related(20, (4, 3))
    found = compare_layers(made({"x": x}), made({"y": y}, "other"))
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == library:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ComparisonError, match=rf"needs {what}; install layerscope\[compare\]"):
        match_filters(found) if library == "scipy" else match_partially(found, "x", "y")


def test_what_cannot_be_matched_is_refused() -> None:
    x, y = related(20, (4, 3))
    one, other = made({"x": x}), made({"y": y}, "other")
    with pytest.raises(ComparisonError, match="correlations=True"):
        match_filters(compare_layers(one, other, correlations=False))
    found = compare_layers(one, other)
    with pytest.raises(ComparisonError, match="other has no layer 'z' here; it has y"):
        match_partially(found, "x", "z")
    for mass in (0, 1.5):
        with pytest.raises(ComparisonError, match="a share of"):
            match_partially(found, "x", "y", mass=mass)


# ------------------------------------------------------------------ neighbours


@pytest.mark.parametrize("pictures", [13, 600])
def test_neighbours_against_distances_one_by_one(pictures: int) -> None:
    x, y = related(pictures, (7, 5))
    found = compare_neighbours(made({"x": x}), made({"y": y}, "other"), k=5)
    sets = [naive.neighbours(values, 5) for values in (x, y)]
    expected = [len(a & b) / len(a | b) for a, b in zip(*sets, strict=True)]
    assert found.overlap[0, 0] == pytest.approx(expected)


def test_the_same_layer_has_the_same_neighbours_and_unrelated_ones_those_of_chance() -> None:
    random = np.random.default_rng(2)
    x, y = random.normal(size=(2, 500, 20))
    one, other = made({"x": x, "flat": 0 * x}), made({"y": y}, "other")
    assert compare_neighbours(one, one).mean[0, 0] == 1
    found = compare_neighbours(one, other)
    assert found.chance == pytest.approx(0.0101, abs=1e-4)
    assert found.mean[0, 0] == pytest.approx(found.chance, abs=0.005)
    assert np.isnan(found.overlap[1]).all()


def test_a_sample_is_drawn_by_the_names() -> None:
    x, y = related(300, (7, 5))
    found = compare_neighbours(made({"x": x}), made({"y": y}, "other"), k=3, most=50)
    assert len(found.pictures) == 50
    assert found.pictures.max() > 200
    assert (np.diff(found.pictures) > 0).all()
    part = [values[found.pictures] for values in (x, y)]
    sets = [naive.neighbours(values, 3) for values in part]
    expected = [len(a & b) / len(a | b) for a, b in zip(*sets, strict=True)]
    assert found.overlap[0, 0] == pytest.approx(expected)


def test_of_equally_near_ones_the_first_count() -> None:
    assert nearest(np.zeros((6, 2)), 2).tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1], [0, 1]]


def test_too_few_pictures_for_neighbours_are_refused() -> None:
    x, y = related(8, (3, 2))
    with pytest.raises(ComparisonError, match="10 neighbours among 8 pictures; ask for 1 to 6"):
        compare_neighbours(made({"x": x}), made({"y": y}, "other"))
    with pytest.raises(ComparisonError, match="other pictures"):
        compare_neighbours(made({"x": x}), made({"y": y[:7]}, "other"), k=1)
