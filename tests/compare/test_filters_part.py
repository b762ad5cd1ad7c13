"""Filters that match and filters that nothing matches: which are shown, what they share, how they are drawn."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from layerscope.compare.common_pictures import (
    chosen_alone,
    chosen_pairs,
    common_pictures,
    top_pictures,
)
from layerscope.compare.comparison import compare_studies
from layerscope.compare.likenesses import Likenesses
from layerscope.compare.match_pages import Portrayed, match_pages
from layerscope.compare.matching import chance_of
from layerscope.compare.parts import filters
from layerscope.compare.parts.filters import FILTERS
from layerscope.compare.similarity import compare_layers, partners
from layerscope.compare.subject import CompareOptions, Subject
from layerscope.disk.tables import read_json, read_table
from layerscope.drawing.canvas import page_image
from layerscope.errors import ComparisonError
from layerscope.filters.pages import sheet_of
from layerscope.filters.painting import paint
from layerscope.images.sets import ImageSet, open_images
from layerscope.reconstruction.rules import RULES
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.study.joined import join_studies
from layerscope.sweep.making import sweep_study
from tests.compare.test_similarity import made, related
from tests.support.studies import SETTINGS, bytes_of, every_reducer, small, write_pictures

ONLY = CompareOptions(parts=("filters",), filters=4)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    return open_images(write_pictures(tmp_path_factory.mktemp("pictures") / "pictures", 14))


@pytest.fixture(scope="module")
def both(images: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Study:
    out = tmp_path_factory.mktemp("both") / "study"
    return sweep_study([small(), small("vggcnn")], images, every_reducer(), out, settings=SETTINGS)


def compared(both: Study, images: ImageSet, out: Path, options: CompareOptions = ONLY) -> Study:
    return compare_studies(both, out, options=options, networks=[small(), small("vggcnn")], images=images)


# ------------------------------------------------------------------ the same pictures


def matches(rows: list[tuple[str, int, str, int, float]]) -> pa.Table:
    names = ["layer", "channel", "other_layer", "other_channel", "correlation"]
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows])


def random_tops(
    seed: int, layers: dict[str, int], pictures: int = 20, k: int = 4
) -> dict[str, list[frozenset[int]]]:
    random = np.random.default_rng(seed)
    weights = random.random(pictures) ** 3  # some pictures excite many
    chosen = {
        layer: [
            frozenset(random.choice(pictures, k, replace=False, p=weights / weights.sum()).tolist())
            for _ in range(count)
        ]
        for layer, count in layers.items()
    }
    chosen[min(layers)][0] = frozenset()  # dead
    return chosen


def test_common_pictures_against_all_pairs_one_by_one() -> None:
    tops, others = random_tops(0, {"a": 5, "b": 7}), random_tops(1, {"c": 6, "d": 3})
    pairs = matches([("a", 2, "c", 1, 0.9), ("b", 6, "d", 0, 0.8), ("b", 1, "c", 5, 0.7)])
    found = common_pictures(pairs, tops, others)
    for place, row in enumerate(pairs.to_pylist()):
        one, other = tops[row["layer"]], others[row["other_layer"]]
        assert found.shared[place] == len(one[row["channel"]] & other[row["other_channel"]])
        every = [len(x & y) for x in one for y in other if x and y]
        assert found.chance[place] == pytest.approx(sum(every) / len(every))
    assert found.ratio == pytest.approx(found.shared.sum() / found.chance.sum())
    left_out = [
        np.delete(found.shared, i).sum() / np.delete(found.chance, i).sum() for i in range(len(found.shared))
    ]
    spread = 4.3027 * np.sqrt(2 / 3 * ((np.array(left_out) - np.mean(left_out)) ** 2).sum())
    assert found.half == pytest.approx(spread, rel=0.6)


def test_random_pairs_share_as_many_as_chance_gives_and_equal_filters_all() -> None:
    tops, others = random_tops(2, {"a": 300}, k=5), random_tops(3, {"c": 300}, k=5)
    pairs = matches([("a", i, "c", i, 0.5) for i in range(1, 300)])
    assert common_pictures(pairs, tops, others).ratio == pytest.approx(1, abs=0.1)
    same = common_pictures(pairs, tops, {"c": tops["a"]})
    assert same.shared.tolist() == [5] * 299
    assert same.ratio - same.half > 1.5


def test_top_pictures_are_those_of_the_study_without_zeros(both: Study) -> None:
    table = both.network("vggcnn").table("top_patches").to_pylist()
    tops = top_pictures(both.network("vggcnn"))
    for row in table[::37]:
        assert (row["picture"] in tops[row["layer"]][row["channel"]]) == (row["value"] != 0)
    assert sum(len(own) for layer in tops.values() for own in layer) == sum(r["value"] != 0 for r in table)


# ------------------------------------------------------------------ which are shown


def test_pairs_are_shown_from_many_layers_the_strongest_first() -> None:
    live = {layer: [frozenset({1})] * 9 for layer in "abcd"}
    rows = [("a", i, "c", i, 0.9 - i / 100) for i in range(6)]
    rows += [("b", i, "c", 6 + i, 0.5 - i / 100) for i in range(3)]
    rows += [("b", 4, "d", i, 0.3 - i / 100) for i in range(2)]
    chosen = chosen_pairs(matches(rows), live, live, 6)
    assert Counter((row["layer"], row["other_layer"]) for row in chosen) == {
        ("a", "c"): 2,
        ("b", "c"): 1,
        ("b", "d"): 2,
    }
    assert [row["correlation"] for row in chosen] == sorted((r["correlation"] for r in chosen), reverse=True)
    assert len(chosen_pairs(matches(rows), live, live, 1)) == 1
    dead = {**live, "a": [frozenset[int]()] * 9}
    assert all(row["layer"] == "b" for row in chosen_pairs(matches(rows), dead, live, 6))
    assert chosen_pairs(matches(rows)[:0], live, live, 6) == chosen_pairs(matches(rows), live, live, 0) == []


def test_filters_that_nothing_matches_are_shown_of_all_layers() -> None:
    live = {layer: [frozenset({1})] * 9 for layer in "ab"}
    rows = matches([("a", i, "c", i, i / 100) for i in range(6)] + [("b", 0, "c", 0, 0.4)])
    chosen = chosen_alone(rows, live, 3)
    assert [(row["layer"], row["channel"]) for row in chosen] == [("a", 0), ("a", 1), ("b", 0)]
    flat = pa.concat_tables(
        [pa.Table.from_pylist([{"layer": "a", "channel": 8, "correlation": None}], rows.schema), rows]
    )
    assert chosen_alone(flat, live, 1)[0]["channel"] == 0


def test_what_chance_gives_is_the_best_of_wrong_pairs() -> None:
    x, y = related(40, (6, 5))
    x[:, 3] = 2
    one, other = made({"a": x[:, :2], "b": x[:, 2:]}), made({"c": y}, "other")
    mine, its = chance_of(one, other)
    wrong = y[partners(one.pictures)]
    expected = np.array(
        [[-np.inf if i == 3 else np.corrcoef(x[:, i], wrong[:, j])[0, 1] for j in range(5)] for i in range(6)]
    )
    assert np.isnan(mine[3])
    assert np.delete(mine, 3) == pytest.approx(np.delete(expected.max(axis=1), 3), abs=1e-5)
    assert its == pytest.approx(expected.max(axis=0), abs=1e-5)


def test_some_layers_alone_have_the_values_that_they_have_among_all() -> None:
    x, y = related(60, (7, 5))
    one, other = made({"a": x[:, :3], "b": x[:, 3:]}), made({"c": y[:, :1], "d": y[:, 1:]}, "other")
    part = compare_layers(one, other).of_layers(["b"], ["d"])
    alone = compare_layers(made({"b": x[:, 3:]}), made({"d": y[:, 1:]}, "other"))
    assert part.table.equals(alone.table)
    assert part.correlations == pytest.approx(alone.correlations)
    assert part.best == {"b": "d"}


# ------------------------------------------------------------------ pages


@pytest.mark.parametrize("halves", [1, 2])
def test_pages_show_every_filter_once_in_order(halves: int) -> None:
    sheets = [sheet_of(size, 4, "signed", halves=halves) for size in ((3, 3), (90, 70))]
    shown = [
        Portrayed(
            f"net c, {i}",
            "said",
            np.full((halves * s.size[0], 2 * s.size[1], 3), 20 * i, np.uint8),
            ((0, 0, 0, 0),) * 2,
            s,
        )
        for i, s in enumerate(sheets * 6)
    ]
    pages = list(
        match_pages(
            "title", "caption", [(one, other) for one, other in zip(shown[::2], shown[1::2], strict=True)]
        )
    )
    words = [text.get_text() for page in pages for text in page.axes[0].texts]
    assert [word for word in words if word.startswith("net")] == [one.whose for one in shown]
    pixels = np.asarray(page_image(pages[0]).convert("L"))
    assert all((pixels == 20 * i).sum() >= 2 * halves * 40 * 30 for i in range(1, 6))
    many = list(match_pages("title", "caption", [(shown[1],)] * 90))
    assert len(many) > 1
    assert "page 2 of" in many[1].axes[0].texts[0].get_text()
    assert max(page.get_figheight() for page in many) < 12


def test_two_pairs_of_the_largest_stand_beside_each_other() -> None:
    sheet = sheet_of((90, 90), 9, "signed")
    large = Portrayed("net", "", np.zeros((180, 810, 3), np.uint8), ((0, 0, 0, 0),) * 9, sheet)
    (page,) = match_pages("title", "caption", [(large, large)] * 4)
    starts = {text.get_position()[0] for text in page.axes[0].texts if text.get_text() == "net"}
    assert len(starts) == 4


# ------------------------------------------------------------------ the part


def test_tables_figures_and_findings(both: Study, images: ImageSet, tmp_path: Path) -> None:
    found = compared(both, images, tmp_path / "out")
    assert not check_study(found.path)
    folder = found.path / "filters"
    names = {path.name for path in folder.iterdir()}
    assert {"matches.png", "matches.pdf", "best.csv", "one_to_one.parquet", "unmatched.parquet"} <= names
    best = read_table(folder / "best.parquet").to_pylist()
    convolutions = [network.select_layers("conv") for network in (small(), small("vggcnn"))]
    count = [sum(layer.channels for layer in layers) for layers in convolutions]
    assert len(best) == sum(count)
    assert {row["layer"] for row in best if row["network"] == "vggcnn"} == {
        layer.name for layer in convolutions[1]
    }
    mutual = read_table(folder / "mutual.parquet").to_pylist()
    forth, back = (
        {
            (r["layer"], r["channel"]): (r["other_layer"], r["other_channel"])
            for r in best
            if r["network"] == name
        }
        for name in both.networks
    )
    assert {(r["layer"], r["channel"]) for r in mutual} == {
        key for key, to in forth.items() if back.get(to) == key
    }
    texts = [finding["text"] for finding in read_json(folder / "section.json")["findings"]]
    assert f"{len(mutual):,} of the {count[0]:,} filters of alexcnn and {count[1]:,} of vggcnn" in texts[0]
    weak = [
        r
        for r in best
        if r["network"] == "vggcnn" and r["correlation"] is not None and r["correlation"] < 0.5
    ]
    assert any(
        text.startswith(f"{len(weak)} of the ") and "filters of vggcnn that ever" in text for text in texts
    )


def test_a_run_that_goes_on_draws_no_filter_twice(
    both: Study, images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bytes_of(compared(both, images, tmp_path / "whole").path)
    put, done = Likenesses.make, []

    def stopped(self: Likenesses) -> None:
        put(self)
        done.append(self.network)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Likenesses, "make", stopped)
        with pytest.raises(KeyboardInterrupt):
            compared(both, images, tmp_path / "cut")
    drawn: list[Any] = []

    def counted(sitting: Any, pictures: Any, wanted: Any, told: Any) -> Any:
        drawn.append((sitting.network.name, len(wanted)))
        return paint(sitting, pictures, wanted, told)

    monkeypatch.setattr("layerscope.compare.likenesses.paint", counted)
    assert bytes_of(compared(both, images, tmp_path / "cut").path) == whole
    assert dict(drawn)[done[0]] == 0
    assert dict(drawn)["vggcnn"] > 0


def test_where_a_rule_does_not_go_back_patches_stand_alone(
    both: Study, images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = join_studies([both], tmp_path / "joined")
    given = {"alexcnn": small(), "vggcnn": small("vggcnn")}
    subject = Subject(joined, ONLY, given, images)
    rows = both.network("alexcnn").table("top_patches").to_pylist()
    key = next(("c2", row["channel"]) for row in rows if row["value"] and row["layer"] == "c2")
    whole = Likenesses(subject, "alexcnn", [key])
    whole.make()
    monkeypatch.setattr("layerscope.compare.likenesses.covers", lambda *_: False)
    bare = Likenesses(subject, "alexcnn", [key])
    assert (whole.reconstructed, bare.reconstructed) == (True, False)
    bare.make()
    both_rows, alone = whole.portrayed(*key), bare.portrayed(*key)
    assert np.array_equal(both_rows.sprite[: alone.sprite.shape[0]], alone.sprite)
    assert both_rows.sprite.shape[0] == 2 * alone.sprite.shape[0]
    assert alone.sheet.block[1] < both_rows.sheet.block[1]
    section = read_json(compared(both, images, tmp_path / "out").path / "filters" / "section.json")
    assert (
        "deconvnet does not go back through alexcnn and vggcnn: patches alone"
        in section["figures"][0]["caption"]
    )


def test_other_rules_and_numbers_make_it_anew(both: Study, images: ImageSet, tmp_path: Path) -> None:
    first = compared(both, images, tmp_path / "out")
    again = compared(both, images, first.path, replace(ONLY, rule=RULES["guided"], filters=0))
    assert again.steps["filters"]["rule"] == "guided"
    assert not list((again.path / "filters").glob("*.png"))
    assert "guided" not in read_json(again.path / "filters" / "section.json")["findings"][0]["text"]


def test_what_cannot_be_matched_says_why(
    both: Study, images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = join_studies([both], tmp_path / "joined")
    given = {"alexcnn": small(), "vggcnn": small("vggcnn")}
    subject = Subject(joined, ONLY, given, images)
    assert FILTERS.why_not(subject) is None
    monkeypatch.setattr(filters, "MOST_PAIRS", 1000)
    assert "are too many to hold at once" in str(FILTERS.why_not(subject))
    monkeypatch.undo()
    monkeypatch.setattr(filters, "find_spec", lambda _: None)
    assert FILTERS.why_not(subject) == "one-to-one matching needs SciPy; install layerscope[compare]"
    monkeypatch.undo()
    assert "does not say how alexcnn is loaded" in str(FILTERS.why_not(Subject(joined, ONLY)))
    few = open_images(write_pictures(tmp_path / "few", 4, (1,)))
    study = sweep_study(
        [small(), small("vggcnn")], few, every_reducer(), tmp_path / "study", settings=SETTINGS
    )
    with pytest.raises(
        ComparisonError, match="no filters: 3 good pictures: filters are matched over at least 4"
    ):
        compared(study, few, tmp_path / "none")


def test_pictures_that_are_all_the_same_match_nothing_and_say_so(tmp_path: Path) -> None:
    folder = tmp_path / "flat"
    folder.mkdir()
    for place in range(5):
        Image.new("RGB", (40, 40), "teal").save(folder / f"{place}.png")
    flat = open_images(folder)
    study = sweep_study(
        [small(), small("vggcnn")], flat, every_reducer(), tmp_path / "study", settings=SETTINGS
    )
    every = replace(ONLY, parts=("sparsity", "similarity", "filters"))
    found = compared(study, flat, tmp_path / "out", every)
    texts = {
        name: [finding["text"] for finding in read_json(found.path / name / "section.json")["findings"]]
        for name in every.parts or ()
    }
    assert "No layer of alexcnn can be compared with one of vggcnn" in texts["similarity"][0]
    (only,) = texts["filters"]
    assert only.startswith(
        "No filter of alexcnn, or none of vggcnn, answers differently to any of 5 pictures"
    )
    assert not list((found.path / "filters").glob("matches*"))


@pytest.mark.slow
def test_one_picture_and_two_have_their_zeros_charted(tmp_path: Path) -> None:
    for count, words in (
        (1, "Without intervals: they need two pictures, and this is 1."),
        (2, "95 % interval"),
    ):
        images = open_images(write_pictures(tmp_path / f"pictures{count}", count, ()))
        networks = [small(), small("vggcnn")]
        study = sweep_study(networks, images, every_reducer(), tmp_path / f"study{count}", settings=SETTINGS)
        found = compared(study, images, tmp_path / f"out{count}", replace(ONLY, parts=None, pictures=1))
        assert "similarity" not in found.steps
        assert words in (found.path / "report.html").read_text("utf-8")
        assert "good pictures: the unbiased HSIC needs at least 4" in (found.path / "report.html").read_text(
            "utf-8"
        )
