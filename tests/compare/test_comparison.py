"""A comparison as a whole: what it is made of, that it goes on, and what it refuses."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from layerscope.choices import PARTS as NAMES
from layerscope.compare.comparison import compare_studies
from layerscope.compare.part import Finding
from layerscope.compare.parts import PARTS
from layerscope.compare.subject import CompareOptions, Subject
from layerscope.errors import ComparisonError, StudyError
from layerscope.images.sets import open_images
from layerscope.network.network import Network
from layerscope.reconstruction.rules import DECONVNET
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.sweep.making import sweep_study
from tests.support.studies import SETTINGS, bytes_of, every_reducer, small, write_pictures


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("photographs"))


def make(photographs: Path, out: Path, networks: Sequence[Network]) -> Study:
    return sweep_study(networks, open_images(photographs), every_reducer(), out, settings=SETTINGS)


@pytest.fixture(scope="module")
def both(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make(photographs, tmp_path_factory.mktemp("both") / "both", [small(), small("vggcnn")])


def test_parts_have_one_list_of_names() -> None:
    assert tuple(PARTS) == NAMES


def test_a_comparison_is_a_whole_study_and_says_the_same_again(both: Study, tmp_path: Path) -> None:
    options = CompareOptions(parts=("sparsity",))
    made = compare_studies(both, tmp_path / "one", options=options)
    assert not check_study(made.path)
    assert made.networks == both.networks
    before = bytes_of(made.path)
    assert bytes_of(compare_studies(both.path, made.path, options=options).path) == before
    assert bytes_of(compare_studies([both], tmp_path / "two", options=options).path) == before


def test_two_networks_of_one_name(photographs: Path, tmp_path: Path) -> None:
    one = make(photographs, tmp_path / "early", [small()])
    other = make(photographs, tmp_path / "late", [replace(small("vggcnn"), name="alexcnn")])
    made = compare_studies([one, other], tmp_path / "out", options=CompareOptions(parts=("sparsity",)))
    assert made.networks == ("alexcnn@early", "alexcnn@late")
    assert made.network("alexcnn@late").layers.equals(other.network("alexcnn").layers)


@pytest.mark.slow
def test_three_networks_two_by_two(photographs: Path, tmp_path: Path) -> None:
    """Each two have figures of their own, named after both."""
    networks = [small(), small("vggcnn"), replace(small(), name="third")]
    study = make(photographs, tmp_path / "study", networks)
    options = CompareOptions(parts=("similarity", "filters"), filters=1)
    made = compare_studies(study, tmp_path / "out", options=options, networks=networks,
                           images=open_images(photographs))  # fmt: skip
    assert not check_study(made.path)
    names = {path.name for path in (made.path / "similarity").iterdir()}
    assert {f"cka-{one}.png" for one in ("alexcnn~vggcnn", "alexcnn~third", "vggcnn~third")} <= names
    assert Study.open(made.path).steps.keys() >= {"similarity", "filters"}


def test_what_is_refused(both: Study, photographs: Path, tmp_path: Path) -> None:
    alone = make(photographs, tmp_path / "alone", [small()])
    with pytest.raises(ComparisonError, match="one network"):
        compare_studies(alone, tmp_path / "out")
    with pytest.raises(ComparisonError, match="no part 'nothing'"):
        compare_studies(both, tmp_path / "out", options=CompareOptions(parts=("nothing",)))
    with pytest.raises(StudyError, match="the same study"):
        compare_studies([both, both], tmp_path / "out")
    other = photographs.parent / "other"
    write_pictures(other, count=11)
    with pytest.raises(StudyError, match="of other pictures: 12 and 11"):
        compare_studies([both, make(other, tmp_path / "few", [small()])], tmp_path / "out")
    write_pictures(other, count=12)
    name = next(name for name in open_images(other).names if name.endswith(".png"))
    Image.new("RGB", (40, 48), "red").save(other / name)
    with pytest.raises(StudyError, match=f"{name} is not the same in both"):
        compare_studies([both, make(other, tmp_path / "red", [small()])], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_sentence_without_a_number_is_refused() -> None:
    with pytest.raises(ComparisonError, match="shows no number"):
        Finding.of("{name} is better", name="alexcnn")
    assert Finding.of("{share:.0%} of {name}", share=0.5, name="c1").text == "50% of c1"


def test_what_a_rule_makes_depends_on_its_overlap_too(both: Study, photographs: Path) -> None:
    """Otherwise what one rule made would be taken for the other's."""
    rules = [DECONVNET, replace(DECONVNET, overlap="overwrite")]
    for name in ("rows", "filters", "background", "randomisation"):
        options = [
            PARTS[name].options(Subject(both, CompareOptions(rule=rule), {}, open_images(photographs)))
            for rule in rules
        ]
        assert options[0] != options[1], name
