"""Errors over labelled pictures: every class, what is taken for what, and what cannot be evaluated."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.text import Text

from layerscope.cli.main import main
from layerscope.compare.evaluation import class_table, confusion_figure, confusion_table, evaluate_networks
from layerscope.compare.outcomes import read_outcomes
from layerscope.errors import ComparisonError, ImageError
from layerscope.images.sets import open_images
from layerscope.study.check import check_study
from tests.oracles.compare.confusion import class_errors, confusion
from tests.support.classes import write_classes
from tests.support.studies import SETTINGS, bytes_of, small, write_pictures


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen pictures, one of them broken, two of them without a label."""
    folder = tmp_path_factory.mktemp("labelled")
    names = open_images(write_pictures(folder / "pictures")).names
    labels = [0, 1, 2, 3, 4, 5, 6, 0, -1, 2, -1, 3]
    rows = [f"pictures/{name},{label}" for name, label in zip(names, labels, strict=True)]
    (folder / "list.csv").write_text("\n".join(["path,label", *rows]))
    return folder / "list.csv"


def test_tables_are_those_counted_picture_by_picture(listed: Path, tmp_path: Path) -> None:
    networks = [small(), small("vggcnn")]
    study, findings = evaluate_networks(networks, open_images(listed), tmp_path / "out", settings=SETTINGS)
    assert not check_study(study.path)
    for network in networks:
        one = read_outcomes(study, network.name)
        answers, named = one.answers.tolist(), one.classes[:, 0].tolist()
        table = confusion_table(one, [f"class {n}" for n in range(7)])
        rows = zip(*(table[name].to_pylist() for name in ("output", "named_output", "pictures")), strict=True)
        assert {(a, b): count for a, b, count in rows} == confusion(answers, named)
        classes = class_table(one, [f"class {n}" for n in range(7)]).to_pylist()
        expected = class_errors(answers, named)
        assert {r["output"]: (r["pictures"], r["wrong"], r["named"]) for r in classes} == expected
        for row in classes:
            assert (row["error"] is None) == (row["pictures"] == 0)
    assert sum("of 9 labelled pictures" in finding.text for finding in findings) == 2
    before = bytes_of(study.path)
    again, same = evaluate_networks(networks, open_images(listed), tmp_path / "out", settings=SETTINGS)
    assert bytes_of(again.path) == before
    assert [finding.text for finding in same] == [finding.text for finding in findings]


def test_of_many_classes_the_figure_has_those_with_most_wrong_answers(
    listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, _ = evaluate_networks([small()], open_images(listed), tmp_path / "out", settings=SETTINGS)
    one = read_outcomes(study, "alexcnn")
    names = [f"<class {n}>" for n in range(7)]
    whole = confusion_figure(one, names)
    assert "of the" not in " ".join(text.get_text() for text in whole.findobj(Text))
    monkeypatch.setattr("layerscope.compare.evaluation._SHOWN", 2)
    words = [text.get_text() for text in confusion_figure(one, names).findobj(Text)]
    assert any("of the 2 classes of" in line for line in words)
    wrong = np.bincount(one.answers[one.known][one.wrong(1)[one.known]], minlength=7)
    worst = np.argsort(-wrong, kind="stable")[:2]
    assert all(names[n] in words for n in worst)


def test_without_labels_nothing_is_evaluated(listed: Path, tmp_path: Path) -> None:
    with pytest.raises(ComparisonError, match="alexcnn: no picture had a label"):
        evaluate_networks(
            [small()], open_images(listed.parent / "pictures"), tmp_path / "out", settings=SETTINGS
        )


def test_the_command(listed: Path, tmp_path: Path) -> None:
    words = ["evaluate", listed, "-n", "alexcnn", "--width", "0.05", "--input-size", "64", "--classes", "7"]
    done = CliRunner().invoke(main, [*map(str, words), "--out", str(tmp_path / "out")])
    assert done.exit_code == 3, done.output  # one picture cannot be read
    assert "alexcnn: top-1 error" in done.output
    assert (tmp_path / "out" / "evaluation" / "alexcnn" / "confusion.png").exists()


def test_a_label_that_is_no_output_is_refused_before_anything_is_made(listed: Path, tmp_path: Path) -> None:
    (listed.parent / "beyond.csv").write_text(listed.read_text().replace(",6\n", ",9\n"))
    with pytest.raises(ComparisonError, match="label 9 is no output of alexcnn, whose outputs are 0 to 6"):
        evaluate_networks(
            [small()], open_images(listed.parent / "beyond.csv"), tmp_path / "out", settings=SETTINGS
        )
    assert not (tmp_path / "out").exists()


def test_an_output_without_a_name_is_named_by_its_number(listed: Path, tmp_path: Path) -> None:
    study, _ = evaluate_networks([small()], open_images(listed), tmp_path / "out", settings=SETTINGS)
    one = read_outcomes(study, "alexcnn")
    rows = {row["output"]: row for row in class_table(one, ["class 0", "class 1"]).to_pylist()}
    assert (rows[1]["name"], rows[6]["name"], rows[6]["pictures"]) == ("class 1", "6", 1)


def test_results_are_kept_out_of_the_folders_of_the_classes(tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "classes")
    with pytest.raises(ImageError, match="classes, whose folders are classes; name a folder elsewhere"):
        evaluate_networks([small()], open_images(folder, labels="folders"), folder / "out", settings=SETTINGS)
    assert not (folder / "out").exists()
