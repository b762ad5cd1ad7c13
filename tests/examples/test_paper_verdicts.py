"""The table of the paper's claims: which findings speak of which claim, and what the table says of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from page import write_page
from parts import alike
from section import Made, Section
from verdicts import (
    CLEANER,
    FADES,
    FALLS,
    LEARNED,
    RISES,
    SPARSER,
    about,
    background_verdicts,
    judged,
    sparsity_verdicts,
)
from words import About

from layerscope.compare.part import Finding
from layerscope.errors import LayerscopeError

POINTS = {"points": 26.1, "low": 25.3, "high": 26.8}


def rises(network: str, *, holds: bool | None = True, **numbers: float) -> Finding:
    return Finding(f"Zeros rise in {network}.", {**POINTS, "rho": 0.9, **numbers}, holds)


def falls(network: str) -> Finding:
    return Finding(f"Zeros fall in {network}.", {**POINTS, "fallen": 3}, False)


SPARSE = Finding("Of a and bb the deeper is.", {**POINTS, "halves": -1.0, "share": 0.9}, None, warns=True)


def study(*names: str, pictures: int = 12, bad: int = 2) -> Any:
    """What a verdict asks of a study."""
    table = SimpleNamespace(num_rows=pictures)
    return SimpleNamespace(networks=names, pictures=table, bad=SimpleNamespace(num_rows=bad))


@pytest.mark.parametrize(("holds", "word"), [(True, "holds"), (False, "does not hold"), (None, "undecided")])
def test_a_verdict_is_that_of_the_finding(holds: bool | None, word: str) -> None:
    row = judged(RISES, rises("a", holds=holds), "a", 12, "none")
    assert (row.verdict, row.much) == (word, "+26.1 points, +25.3 to +26.8")
    assert (row.pictures, row.seeds, row.control) == (12, 1, "none")


def test_what_is_not_seen_in_an_interval_around_nothing_is_undecided() -> None:
    around = {
        "value": 0.53,
        "flat_value": 0.58,
        "depth_of_flat": 5,
        "change": -0.05,
        "low": -0.12,
        "high": 0.02,
    }
    verdicts = [
        judged(CLEANER, Finding("a", {**around, **numbers}, holds), "a", 16, "").verdict
        for holds, numbers in [(False, {}), (False, {"low": 0.01}), (True, {}), (None, {})]
    ]
    assert verdicts == ["undecided", "does not hold", "holds", "undecided"]


def test_each_fact_of_sparsity_is_told_by_its_own_numbers_beside_that_of_random_weights() -> None:
    found = [rises("a"), rises("bb", holds=False), falls("a"), SPARSE, Finding("1 is dead.", {"dead": 1})]
    random = [rises("bb", points=-0.5, low=-1, high=0), rises("a", points=0.25, low=0, high=1)]
    rows = list(sparsity_verdicts(study("a", "bb"), found, random))
    assert [(row.claim, row.networks, row.verdict) for row in rows] == [
        (RISES.text, "a", "holds"),
        (RISES.text, "bb", "does not hold"),
        (FALLS.text, "a", "does not hold"),
        (SPARSER.text, "a and bb", "undecided"),
    ]
    assert [row.control for row in rows[:2]] == [
        "random weights: +0.2 points, +0.0 to +1.0",
        "random weights: -0.5 points, -1.0 to +0.0",
    ]
    assert {row.pictures for row in rows} == {10}


def background() -> list[Finding]:
    """As the comparison leaves them, in its order."""
    change = {"change": -0.34, "low": -0.4, "high": -0.28}
    ends = {"before": 0.89, "after": 0.56}
    return [
        Finding("Measured on 24.", {"pictures": 24, "area": 0.17}),
        Finding("a: all that lies outside ...", {**ends, **change}, True),
        Finding("a with re-initialised weights", {**ends, **change, "fresh": -0.16, "share": 0.47}, False),
        Finding(
            "a (13) has 0.56, bb (5) 0.61",
            {**change, "value": 0.56, "flat_value": 0.61, "depth_of_flat": 5},
            True,
        ),
        Finding("By the rule guided, a goes", {**ends, **change, "fresh": -0.2, "pictures": 8}),
    ]


def test_fading_is_told_apart_from_its_control_and_from_other_rules() -> None:
    found = background()
    assert about(FADES, found) == [found[1]]
    assert about(LEARNED, found) == [found[2]]
    assert about(CLEANER, found) == [found[3]]
    fades, cleaner = background_verdicts(study("a", "bb"), found)
    assert (fades.networks, fades.verdict, fades.pictures) == ("a", "holds", 24)
    assert fades.much == "0.89 to 0.56 of its share of the energy: -0.34, -0.40 to -0.28"
    assert fades.control == "re-initialised weights: -0.16; none is seen to be learned"
    assert (cleaner.networks, cleaner.verdict) == ("a and bb", "holds")


def test_fading_that_does_not_go_on_is_not_said_to_hold_throughout() -> None:
    first, fades, *others = background()
    rise = {"least": 0.5, "rise": 0.06, "rise_low": 0.02, "rise_high": 0.1}
    row, _ = background_verdicts(
        study("a", "bb"), [first, Finding(fades.text, {**fades.numbers, **rise}, True), *others]
    )
    assert row.verdict == "holds from first to last, not throughout"
    assert row.much.endswith("-0.34, -0.40 to -0.28; 0.50 on the way, and from there +0.06, +0.02 to +0.10")


def space(laid_out: float, by_distance: float, layer: str) -> Any:
    """What is asked of a space, where a fifth is of the class by lot."""
    values = {"embedding": laid_out, "representation": by_distance}
    rows = [
        {"name": "purity by class, other pictures", "of": of, "value": value, "control": 0.2}
        for of, value in values.items()
    ]
    return SimpleNamespace(truth=pa.Table.from_pylist(rows), network="a", layer=layer)


@pytest.mark.parametrize(
    ("middle", "high", "name", "holds"),
    [
        ((0.3, 0.3), (0.5, 0.4), "clothes", True),
        ((0.5, 0.4), (0.3, 0.3), "clothes", False),
        ((0.1, 0.1), (0.15, 0.19), "clothes", False),
        ((0.3, 0.3), (0.5, 0.3), "clothes", None),
        ((0.3, 0.3), (0.3, 0.5), "clothes", None),
        ((0.3, 0.3), (0.5, 0.4), "photographs", None),
    ],
)
def test_neighbours_are_alike_in_meaning_if_the_plane_and_the_distances_both_say_so(
    middle: tuple[float, float], high: tuple[float, float], name: str, holds: bool | None
) -> None:
    found = alike(space(*middle, "c4_1"), space(*high, "c5_3"), name)
    assert found.holds is holds
    assert found.warns == (holds is None and name == "clothes")
    assert (found.numbers["high"], found.numbers["high_own"]) == high
    assert (found.numbers["middle"], found.numbers["middle_own"]) == middle


def test_a_space_without_classes_is_an_error() -> None:
    bare = SimpleNamespace(
        truth=pa.Table.from_pylist([{"name": "DPQ", "of": "fill"}]), network="a", layer="c5_3"
    )
    with pytest.raises(LayerscopeError, match="c5_3 of a: no classes"):
        alike(bare, bare, "clothes")  # type: ignore[arg-type]


def test_the_page_escapes_what_it_is_given(tmp_path: Any) -> None:
    write_page(tmp_path, [], {"errors": "<b> & co"})
    assert "errors: &lt;b&gt; &amp; co" in (tmp_path / "paper.html").read_text("utf-8")
    assert Section.read(tmp_path, "errors") is None


def test_the_table_of_claims_is_the_same_as_csv_markdown_and_on_the_page(tmp_path: Any) -> None:
    row = judged(RISES, rises("a|b"), "a|b", 12, "none")
    about = About("Fig. 6", "The paper", "Here", "layerscope")
    write_page(tmp_path, [Section("figure6", about, Made(verdicts=[row]))], {})
    head, line = (tmp_path / "claims.csv").read_text("utf-8").splitlines()
    assert head == "claim,place,networks,verdict,much,pictures,seeds,control"
    assert line.endswith(',a|b,holds,"+26.1 points, +25.3 to +26.8",12,1,none')
    head, _, line = (tmp_path / "claims.md").read_text("utf-8").splitlines()
    assert head == "| claim | where | networks | verdict | by how much | pictures | seeds | control |"
    assert "| a/b | holds | +26.1 points, +25.3 to +26.8 | 12 |" in line
    assert '<td class="holds">holds</td>' in (tmp_path / "paper.html").read_text("utf-8")
