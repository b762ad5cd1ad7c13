"""`layerscope study`, `layerscope check` and `layerscope filters` as a user types them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from layerscope.cli.main import main
from layerscope.study.folder import Study
from layerscope.zoo import loading as zoo
from tests.support.spaces import undrawn, write_textures
from tests.support.studies import write_pictures

NETWORK = ("-n", "alexcnn", "-w", "random", "--width", "0.05", "--input-size", "64", "--classes", "7")
PASS = ("--batch", "2", "--top", "3")


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(autouse=True)
def same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights are drawn anew in each command: from the same seed here, as a trained network's are the same."""
    loaded: Any = zoo.load_network

    def load(*arguments: Any, **options: Any) -> Any:
        torch.manual_seed(0)
        return loaded(*arguments, **options)

    monkeypatch.setattr(zoo, "load_network", load)


def test_a_study_is_made_checked_and_portrayed(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", 6, ())
    made = run("study", pictures, *NETWORK, *PASS, "--filters", "0-1", "--out", tmp_path / "s")
    assert made.exit_code == 0, made.output
    assert "6 of 6 pictures" in made.stdout
    study = Study.open(tmp_path / "s")
    results = study.network("alexcnn").results
    assert {"top_patches", "sparsity", "channel_statistics", "predictions", "filters"} <= set(results)
    assert (tmp_path / "s" / "sparsity.png").exists()
    portrayed = study.network("alexcnn").table("filters").to_pylist()
    assert {row["layer"] for row in portrayed} == {"c1", "c2", "c3", "c4", "c5"}
    assert {row["channel"] for row in portrayed} == {0, 1}
    assert run("check", tmp_path / "s").stdout.endswith("s: whole\n")


def test_spaces_are_mapped_of_the_networks_that_have_the_layer(tmp_path: Path) -> None:
    pictures = write_textures(tmp_path / "pictures", 8)
    two = (*NETWORK, "-n", "vggcnn")
    words = ("study", pictures, *two, *PASS, "--filters", "none", "--out", tmp_path / "s")
    with undrawn():
        made = run(*words, "--space", "c2", "--space", "c5_1")
    assert made.exit_code == 0, made.output
    study = Study.open(tmp_path / "s")
    for network, layer in (("alexcnn", "c2"), ("vggcnn", "c5_1")):
        assert f"{network}, {layer}: " in made.stdout
        assert [step for step in study.steps if step.startswith(f"{network}/spaces/{layer}/")]
    assert not [step for step in study.steps if step.startswith(("alexcnn/spaces/c5_1", "vggcnn/spaces/c2"))]
    wrong = run(*words[:-1], tmp_path / "other", "--space", "c9")
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert "alexcnn and vggcnn: no layer 'c9' to map" in wrong.stderr
    assert not (tmp_path / "other").exists()


def test_bad_pictures_are_named_and_the_exit_code_says_so(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", 6, (1, 4))
    words = ("study", pictures, *NETWORK, *PASS, "--filters", "none", "--out", tmp_path / "s")
    made = run(*words)
    assert made.exit_code == 3
    assert "4 of 6 pictures, 2 skipped" in made.stdout
    assert "skipped 001.png: no picture of a known format" in made.stderr
    assert run(*words, "--strict").exit_code == 1


def test_a_study_of_something_else_is_not_touched(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", 4, ())
    words = ("study", pictures, *NETWORK, "--filters", "none", "--out", tmp_path / "s")
    assert run(*words, "--batch", "4").exit_code == 0
    other = run(*words, "--batch", "2")
    assert other.exit_code == 1
    assert "is a study of something else: pass.batch was 4, is 2" in other.stderr
    assert len(other.stderr.splitlines()) == 1


def test_the_check_names_what_is_broken(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", 4, ())
    assert (
        run("study", pictures, *NETWORK, *PASS, "--filters", "none", "--out", tmp_path / "s").exit_code == 0
    )
    assert run("check", tmp_path / "s").stdout == f"{tmp_path / 's'}: whole\n"
    path = tmp_path / "s" / "study.json"
    head = path.read_text("utf-8").partition(',\n "checksum"')[0]
    path.write_text(f"{head}\n}}\n", "utf-8")
    old = run("check", tmp_path / "s")
    assert old.exit_code == 0
    assert old.stdout.endswith("s: whole; its study.json was written before it had a checksum\n")
    (tmp_path / "s" / "alexcnn" / "sparsity.parquet").unlink()
    found = run("check", tmp_path / "s")
    assert found.exit_code == 1
    assert "alexcnn/sparsity.parquet" in found.stderr
    shutil.rmtree(tmp_path / "s")
    assert run("check", tmp_path / "s").exit_code == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("study",), 2, "Missing argument 'IMAGES"),
        (("study", "empty", "--out", "s"), 2, "Missing option '--network'"),
        (("study", "empty", *NETWORK), 2, "Missing option '--out'"),
        (("study", "nowhere", *NETWORK, "--out", "s"), 1, "nowhere"),
        (("study", "empty", *NETWORK, "--out", "s"), 1, "no picture"),
        (
            ("study", "picture.png", *NETWORK, "--out", "s", "--address", "auto"),
            2,
            "--address does nothing without --engine ray",
        ),
        (("study", "empty", *NETWORK, "--out", "s", "--filters", "x"), 2, "all, none, or numbers"),
        (("filters", "empty"), 1, "no study"),
        (("check", "empty"), 1, "this is no study"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Image.new("RGB", (8, 8)).save("picture.png")
    result = run(*words)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("s").exists()
