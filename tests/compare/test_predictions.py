"""Errors of several networks: what is said, and when nothing can be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from layerscope.compare.comparison import compare_studies
from layerscope.compare.outcomes import LAST, Outcomes, Share, read_outcomes, same_first
from layerscope.compare.part import Made
from layerscope.compare.parts import predictions as part
from layerscope.compare.parts.predictions import PREDICTIONS
from layerscope.compare.subject import CompareOptions, Subject
from layerscope.disk.tables import read_table
from layerscope.errors import ComparisonError
from layerscope.images.sets import open_images
from layerscope.network.network import Network
from layerscope.study.folder import Study
from layerscope.sweep.channel_statistics import Sparsity
from layerscope.sweep.making import sweep_study
from layerscope.sweep.predictions import Predictions
from layerscope.sweep.reducers import Reducer
from tests.support.studies import SETTINGS, bytes_of, small, write_pictures

LABELS = [0, 1, 2, -1, 4, 5, 6, 0, 4]


def study(
    top: Path, networks: Sequence[Network], labels: Sequence[int] | None = LABELS, *reducers: Reducer
) -> Study:
    write_pictures(top / "pictures", len(LABELS), ())
    lines = [
        f"pictures/{i:03d}.png" + ("" if labels is None else f"\t{labels[i]}") for i in range(len(LABELS))
    ]
    (top / "list.txt").write_text("\n".join(lines))
    kept = reducers or (Predictions(3),)
    return sweep_study(networks, open_images(top / "list.txt"), kept, top / "study", settings=SETTINGS)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return study(tmp_path_factory.mktemp("both"), [small(), small("vggcnn")])


def sentences(made: Made) -> str:
    return "\n".join(finding.text for finding in made.findings)


def test_what_is_read_is_what_the_study_says(both: Study) -> None:
    for name, depth in (("alexcnn", 8), ("vggcnn", 16)):
        one = read_outcomes(both, name)
        (errors,) = both.network(name).table("prediction_errors").to_pylist()
        assert (one.outputs, one.depth, one.silent, one.unjudged) == (7, depth, None, None)
        assert one.known.tolist() == [label >= 0 for label in LABELS]
        assert one.wrong(1)[one.known].mean() == errors["top1_error"]
        assert one.wrong(5)[one.known].mean() == errors["top5_error"]
        ranked = both.network(name).table("predictions").to_pylist()
        assert one.classes[2].tolist() == [row["class"] for row in ranked if row["picture"] == 2]
        first = one.classes[:, 0] == LABELS
        assert np.array_equal((one.ranks == 0)[one.known], first[one.known])


def test_a_label_that_is_no_output_is_wrong_and_an_unknown_one_neither(tmp_path: Path) -> None:
    made = study(tmp_path, [small(), small("vggcnn")], [9, -1, *LABELS[2:]])
    one = read_outcomes(made, "alexcnn")
    assert one.answers[:2].tolist() == [9, -1]
    assert one.ranks[:2].tolist() == [LAST, -1]
    assert one.ranks[2:].max() < 7
    (errors,) = made.network("alexcnn").table("prediction_errors").to_pylist()
    assert one.wrong(5)[one.known].mean() == errors["top5_error"] > 0


def test_findings_and_tables_have_the_same_numbers(both: Study, tmp_path: Path) -> None:
    options = CompareOptions(parts=("predictions",))
    made = compare_studies(both, tmp_path / "out", options=options)
    again = bytes_of(made.path)
    assert bytes_of(compare_studies(both, tmp_path / "other", options=options).path) == again
    errors = read_table(made.path / "predictions" / "errors.parquet").to_pylist()
    assert [(row["network"], row["top"], row["pictures"]) for row in errors] == [
        ("alexcnn", 1, 8), ("alexcnn", 5, 8), ("vggcnn", 1, 8), ("vggcnn", 5, 8),
    ]  # fmt: skip
    found = {finding.text: finding for finding in PREDICTIONS.make(Subject(both)).findings}
    (one,) = [finding for text, finding in found.items() if text.startswith("alexcnn: top-1")]
    assert one.numbers["error"] == errors[0]["error"]
    assert one.numbers["high5"] == errors[1]["high"]
    (pair,) = read_table(made.path / "predictions" / "agreement.parquet").to_pylist()
    firsts = [read_outcomes(both, name).classes[:, 0] for name in both.networks]
    assert pair["same"] == int((firsts[0] == firsts[1]).sum())
    assert pair["pictures"] == len(LABELS)  # also those without a label


def outcome(name: str, wrong: str, depth: int = 1) -> Outcomes:
    """Wrong where the letter is x."""
    ranks = np.array([9 if letter == "x" else 0 for letter in wrong])
    count = len(ranks)
    shares, classes = np.ones((count, 1), np.float32), np.zeros((count, 1), np.int32)
    known = np.zeros(count, np.int64)
    return Outcomes(name, 10, depth, np.arange(count), classes, shares, known, ranks, None, None)


def said_of(*networks: Outcomes) -> list[tuple[str, bool | None]]:
    found = part._of_differences(part._compared(networks, 1))
    return [(finding.text, finding.holds) for finding in found]


def test_one_errs_less_only_if_the_test_says_so() -> None:
    five, six = "x" * 5 + "." * 15, "x" * 6 + "." * 14
    none = "." * 20
    ((text, holds),) = said_of(outcome("deep", none, 9), outcome("flat", five, 2))
    assert text.startswith(
        "No difference shown between deep and flat: top-1 error 0.0% and 25.0% of 20 pictures"
    )
    assert "p = 0.062" in text
    assert holds is None
    ((text, holds),) = said_of(outcome("flat", six, 2), outcome("deep", none, 9))
    assert text.startswith(
        "deep errs less than flat: top-1 error 0.0% and 30.0% of 20 pictures, 0 wrong in deep alone"
    )
    assert "6 in flat alone, exact McNemar p = 0.031; the deeper of them is deep, by 9 to 2 layers" in text
    assert holds
    ((text, holds),) = said_of(outcome("flat", none, 2), outcome("deep", six, 9))
    assert "flat errs less than deep" in text
    assert "the deeper of them is deep" in text
    assert holds is False
    assert said_of(outcome("one", six, 5), outcome("two", none, 5))[0][1] is None  # neither is deeper


def test_several_pairs_are_several_questions() -> None:
    six, ten, none = outcome("a", "x" * 6 + "." * 14), outcome("a", "x" * 10 + "." * 10), "." * 20
    ((text, holds),) = said_of(six, outcome("b", none), outcome("c", none))
    assert text.startswith(
        "No difference in top-1 error shown between 3 of 3 pairs of networks: a and b, a and c, b and c"
    )
    assert "least exact McNemar p = 0.094 after Holm" in text
    assert holds is None
    found = [text for text, _ in said_of(ten, outcome("b", none), outcome("c", none))]
    assert [text.partition(":")[0] for text in found] == [
        "b errs less than a", "c errs less than a", "No difference shown between b and c",
    ]  # fmt: skip
    assert "p = 0.0059 after Holm for 3 pairs" in found[0]


def test_of_many_pairs_the_ends_are_named() -> None:
    shares, names = np.ones((4, 1), np.float32), "abcd"
    classes = {"a": [0, 1, 2, 3], "b": [0, 1, 2, 4], "c": [0, 1, 5, 6], "d": [7, 8, 9, 9]}
    networks = [
        replace(outcome(n, "...."), classes=np.array(classes[n])[:, None], probabilities=shares)
        for n in names
    ]
    agreed = [
        part._Agreement(one, other, Share.counted(same_first(one, other)[0]), 0.0)
        for one, other in combinations(networks, 2)
    ]
    found = [finding.text.partition(" name")[0] for finding in part._of_agreements(agreed)]
    assert found == ["a and b", "c and d"]
    assert len(list(part._of_agreements(agreed[:3]))) == 3


def test_labels_for_some_or_none(tmp_path: Path) -> None:
    made = PREDICTIONS.make(Subject(study(tmp_path, [small(), small("vggcnn")], None)))
    assert "No errors of alexcnn over 9 pictures: no picture had a label" in sentences(made)
    assert "name the same class first for" in sentences(made)
    assert not made.figures
    assert [table.num_rows for table, _ in made.tables.values()] == [0, 0, 1]


def test_a_study_from_before_ranks_were_kept(both: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "layerscope.study.folder.NetworkResults.results", ("predictions", "prediction_errors", "layers")
    )
    made = PREDICTIONS.make(Subject(both))
    assert "was made before the rank of the right class was kept; make the study anew" in sentences(made)
    assert "errs less" not in sentences(made)
    assert "name the same class first for" in sentences(made)


def test_networks_of_other_classes_or_none(tmp_path: Path) -> None:
    named = replace(small(), classes=tuple("abcdefg"))
    other = replace(small("vggcnn"), classes=tuple("hijklmn"))
    trunk = replace(small(), name="trunk", trunk=True)
    made = PREDICTIONS.make(Subject(study(tmp_path, [named, other, trunk])))
    assert "is not compared: the classes of alexcnn and vggcnn have other names" in sentences(made)
    assert "No errors of trunk over 0 pictures: the weights of trunk are a trunk" in sentences(made)
    assert made.tables["agreement"][0].num_rows == 0
    assert made.tables["error_differences"][0].num_rows == 2  # right and wrong are compared all the same
    trunks = [trunk, replace(small("vggcnn"), trunk=True)]
    reason = PREDICTIONS.why_not(Subject(study(tmp_path / "trunks", trunks)))
    assert reason is not None
    assert "trunk without fully-connected layers" in reason


def test_a_study_without_predictions_is_refused(tmp_path: Path) -> None:
    made = study(tmp_path, [small(), small("vggcnn")], LABELS, Sparsity())
    with pytest.raises(ComparisonError, match="the study of alexcnn kept no predictions"):
        compare_studies(made, tmp_path / "out", options=CompareOptions(parts=("predictions",)))


def test_tables_are_what_they_say_without_rows() -> None:
    for table in (part._error_table({}), part._difference_table([]), part._agreement_table([])):
        assert isinstance(table, pa.Table)
        assert table.num_rows == 0
        assert table.num_columns > 5
