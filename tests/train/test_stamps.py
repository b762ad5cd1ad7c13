"""The labelled set of cut-outs: its list, its folds, and pictures that follow from the index."""

import runpy
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples" / "stamps"))

import composing  # noqa: E402  they lie among the examples
import folds  # noqa: E402
import report  # noqa: E402
import stamps  # noqa: E402


def test_the_list_has_eight_classes_in_four_folds_that_share_no_group() -> None:
    listed = stamps.listed()
    kinds = Counter(stamp.kind for stamp in listed)
    assert len(kinds) == 8
    assert min(kinds.values()) >= 17
    folds = {(stamp.kind, stamp.group): stamp.fold for stamp in listed}
    assert all(folds[stamp.kind, stamp.group] == stamp.fold for stamp in listed)
    assert {(kind, fold) for kind in kinds for fold in range(4)} <= {(s.kind, s.fold) for s in listed}
    assert len({stamp.file for stamp in listed}) == len(listed)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The packages' files, made up: a cut-out and a place of one colour each."""
    for number, stamp in enumerate(stamps.listed()):
        path = tmp_path / composing.STAMPS / stamp.file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGBA", (30 + number % 7, 40), (number, 200, 30, 255)).save(path)
    for name in stamps.BACKGROUNDS:
        path = tmp_path / composing.PLACES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (90, 80), "navy").save(path)
    return tmp_path


def test_pictures_follow_from_seed_and_index(root: Path) -> None:
    data = stamps.Stamps(1, False, 40, seed=2, root=root)
    picture, label = data[13]
    assert picture.size == (224, 224)
    assert data.classes[label] == data.stamp(13).kind
    assert data.targets[13] == label
    again, other = data[13][0], stamps.Stamps(1, False, 40, seed=3, root=root)[13][0]
    assert np.array_equal(np.asarray(picture), np.asarray(again))
    assert not np.array_equal(np.asarray(picture), np.asarray(other))
    assert Counter(data.targets) == dict.fromkeys(range(8), 5)


def test_validation_shows_other_stamps_and_other_places(root: Path) -> None:
    for fold in range(stamps.FOLDS):
        training, validation = (stamps.Stamps(fold, held, 400, root=root) for held in (False, True))
        seen = ({data.stamp(index).file for index in range(400)} for data in (training, validation))
        assert not set.intersection(*seen)
        assert not set(training.places) & set(validation.places)
        assert {data.stamp(i).fold for data in (validation,) for i in range(400)} == {fold}


def test_missing_packages_are_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="apt-get install tuxpaint-stamps-default"):
        stamps.Stamps(0, False, 8, root=tmp_path)


@pytest.mark.slow
def test_folds_are_trained_and_reported_and_gone_on_with(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        str(tmp_path / "out"),
        "alexcnn",
        "--epochs",
        "2",
        "--pictures",
        "30",
        "--batch",
        "4",
        "--validation",
        "16",
    ]
    words += ["--width", "0.03", "--root", str(root), "--folds"]
    folds.main([*words, "1"])
    first = tmp_path / "out/alexcnn-fold1-seed0/errors.csv"
    before = first.read_bytes()
    folds.main([*words, "0", "1"])
    assert first.read_bytes() == before
    rows = report.read_rows(tmp_path / "out")
    assert {(row.fold, row.done) for row in rows} == {(f, 1.0) for f in (0, 1)} | {
        (f, round(share, 4)) for f in (0, 1) for share in folds.LOOKS
    }
    fold_of = {(s.kind, s.group, s.file): s.fold for s in stamps.listed()}
    assert all((fold_of[row.stamp] == row.fold) == row.held_out for row in rows)
    capsys.readouterr()
    report.main(tmp_path / "out")
    assert "alexcnn, 2 trainings: of 32 stamps never seen" in capsys.readouterr().out
    assert (tmp_path / "out/errors.png").stat().st_size > 10_000


def test_stamps_learned_from_are_measured_in_pictures_that_are_not_learned(root: Path) -> None:
    for seed in range(3):
        learned, measured = (stamps.Stamps(0, False, 9, seed=of, root=root) for of in (seed, folds.SEEN))
        assert not any(learned[place][0].tobytes() == measured[place][0].tobytes() for place in range(9))


def test_what_is_no_training_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/errors.csv").write_text("mine\n")
    assert report.read_rows(tmp_path) == []
    with pytest.raises(SystemExit, match=r"folds\.py makes some"):
        report.main(tmp_path)


def test_a_class_without_stamps_is_left_out() -> None:
    assert report.by_class({("bird", "a", "1"): 0.5, ("tool", "b", "2"): 0.25}) == {"tool": 0.25, "bird": 0.5}


def test_too_few_steps_for_looks_on_the_way(root: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="too few steps"):
        folds.main(
            [
                str(tmp_path),
                "alexcnn",
                "--folds",
                "0",
                "--epochs",
                "1",
                "--pictures",
                "64",
                "--root",
                str(root),
            ]
        )


def test_a_network_that_is_none_is_one_line(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["folds.py", str(tmp_path / "out"), "nosuch", "--root", str(root)])
    with pytest.raises(SystemExit, match=r"^[^\n]*nosuch[^\n]*$"):
        runpy.run_path(str(folds.__file__), run_name="__main__")


def test_an_interval_is_over_groups_and_not_over_stamps() -> None:
    """Twenty stamps of one kind that all go the same way are one witness."""
    kinds = {
        ("bird", str(group), str(number)): float(group < 5) for group in range(10) for number in range(20)
    }
    alone = {("bird", f"{group} {number}", "0"): error for (_, group, number), error in kinds.items()}
    together, apart = report.over_groups(kinds), report.over_groups(alone)
    assert together.mean == apart.mean == 0.5
    assert 0.15 < together.low < 0.25  # the binomial's .2 and .8 of ten
    assert 0.75 < together.high < 0.85
    assert 0.42 < apart.low < 0.44  # .43 and .57 of two hundred
    assert 0.56 < apart.high < 0.58


def rows_of(network: str, fold: int, learned: float, never: float) -> list[report.Row]:
    """Of a training: four groups of four classes, all as often wrong, or, at chance, one class always right."""
    found = []
    for held_out, error in ((False, learned), (True, never)):
        for place in range(8):
            each = float(place > 0) if error == report.CHANCE else error
            stamp = (f"class{place}", f"group{fold}", f"{place} {held_out}")
            found.append(report.Row(network, fold, 0, 1.0, held_out, stamp, each))
    return found


def test_a_training_at_chance_is_named_and_left_out() -> None:
    rows = [row for fold in range(3) for row in rows_of("alexcnn", fold, 0.3, 0.6)]
    rows += [row for fold in range(2) for row in rows_of("vggcnn", fold, 0.2, 0.5)]
    assert report.untrained(rows) == []
    rows += rows_of("vggcnn", 2, report.CHANCE, report.CHANCE)
    assert report.untrained(rows) == [("vggcnn", 2, 0)]
    kept = [row for row in rows if (row.network, row.fold, row.seed) not in report.untrained(rows)]
    (pair,) = report.pairs_of(kept)
    assert (pair["folds"], pair["stamps"], round(pair["change"].mean, 6)) == (2, 16, 0.1)
    assert [round(error.mean, 6) for error in pair["errors"]] == [0.6, 0.5]
    (of_all,) = report.pairs_of(rows)
    assert (of_all["folds"], of_all["stamps"]) == (3, 24)
    assert of_all["change"].mean == pytest.approx((0.1 * 16 + (0.6 - 7 / 8) * 8) / 24)


def test_pairs_are_of_the_stamps_that_both_have() -> None:
    one = {("bird", "a", "1"): 0.5, ("bird", "b", "2"): 1.0, ("bird", "c", "3"): 1.0}
    other = {("bird", "a", "1"): 0.25, ("bird", "b", "2"): 0.75}
    assert report.in_pairs(one, other) == (0.25, 0.25, 0.25)
