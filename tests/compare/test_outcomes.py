"""Errors, whether they differ, and how far predictions lie apart; each beside its slow twin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.compare.outcomes import LAST, Outcomes, Share, compare_errors, divergences, holm, same_first
from tests.oracles.compare import rows as twin


def outcomes(
    ranks: Sequence[int] = (),
    classes: Sequence[Sequence[int]] = (),
    probabilities: Sequence[Sequence[float]] = (),
    outputs: int = 10,
) -> Outcomes:
    """A rank of -1: nobody knows."""
    count = max(len(ranks), len(classes))
    known = np.array(ranks or [-1] * count, np.int64)
    return Outcomes(
        network="net",
        outputs=outputs,
        depth=1,
        pictures=np.arange(count),
        classes=np.array(classes or [[0]] * count, np.int32),
        probabilities=np.array(probabilities or [[1.0]] * count, np.float32),
        answers=np.where(known < 0, -1, 0),
        ranks=known,
        silent=None,
        unjudged=None,
    )


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_wilsons_interval(marked: list[bool]) -> None:
    found = Share.counted(np.array(marked))
    assert (found.count, found.of) == (sum(marked), len(marked))
    assert (found.low, found.high) == pytest.approx(twin.wilson(found.count, found.of), abs=1e-12)
    assert found.low <= found.share <= found.high


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-1, 7), st.integers(-1, 7)), min_size=1, max_size=25),
    st.sampled_from([1, 5]),
)
def test_mcnemar(pairs: list[tuple[int, int]], top: int) -> None:
    both = [(a, b) for a, b in pairs if a >= 0 and b >= 0]
    found = compare_errors(outcomes([a for a, _ in pairs]), outcomes([b for _, b in pairs]), top)
    assert found.pictures == len(both)
    assert found.wrong == sum(a >= top for a, _ in both)
    assert found.alone == sum(a >= top > b for a, b in both)
    assert found.other_alone == sum(b >= top > a for a, b in both)
    assert found.p == pytest.approx(twin.mcnemar(found.alone, found.other_alone), rel=1e-9)


def test_an_answer_that_is_no_output_is_wrong_among_any() -> None:
    assert outcomes([LAST, 0, 4, -1], outputs=3).wrong(5).tolist() == [True, False, False, False]


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=0, max_size=7))
def test_holm(values: list[float]) -> None:
    assert holm(values) == pytest.approx(twin.holm(values))


@st.composite
def predictions(draw: st.DrawFn, outputs: int) -> tuple[list[int], list[float]]:
    count = draw(st.integers(1, outputs))
    classes = draw(st.permutations(range(outputs)))[:count]
    weights = draw(st.lists(st.integers(0, 9), min_size=outputs, max_size=outputs))
    whole = sum(weights) or 1
    return classes, [weight / whole for weight in weights[:count]]


@settings(deadline=None)
@given(st.data(), st.integers(2, 7), st.integers(2, 3))
def test_divergence(data: st.DataObject, outputs: int, networks: int) -> None:
    drawn = [data.draw(predictions(outputs)) for _ in range(networks)]
    found = divergences([outcomes((), [c], [p], outputs) for c, p in drawn])
    expected = twin.divergence([dict(zip(c, p, strict=True)) for c, p in drawn], outputs)
    assert found == pytest.approx([expected], abs=1e-6)


def test_divergence_at_its_ends() -> None:
    sure = [outcomes((), [[c]], [[1.0]]) for c in (1, 2)]
    assert divergences(sure) == pytest.approx([1])
    assert divergences([sure[0], sure[0]]) == pytest.approx([0])
    even = [outcomes((), [[c, c + 1]], [[0.1, 0.1]]) for c in (1, 5)]  # of ten classes, other two kept
    assert divergences(even) == pytest.approx([0], abs=1e-7)


def test_the_same_class_first() -> None:
    one, other = ([[2, 0], [1, 0], [2, 1], [0, 1]], [[2, 1], [0, 1], [2, 0], [1, 0]])
    shares = [[0.5, 0.2]] * 4
    same, chance = same_first(outcomes((), one, shares), outcomes((), other, shares))
    assert same.tolist() == [True, False, True, False]
    first = [[row[0] for row in rows] for rows in (one, other)]
    assert chance == np.mean([a == b for a in first[0] for b in first[1]])
