"""The part of a comparison that says which layers are alike: what it finds, shows and doubts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.csv
import pytest
import torch
from PIL import Image

from layerscope.compare.comparison import compare_studies
from layerscope.compare.layer_pairs import LayersOfTwo
from layerscope.compare.neighbours import compare_neighbours
from layerscope.compare.parts.similarity import SIMILARITY, find, ridge
from layerscope.compare.representations import gather_representations
from layerscope.compare.similarity import compare_layers
from layerscope.compare.subject import CompareOptions, Subject
from layerscope.disk.tables import read_json, read_table
from layerscope.errors import ComparisonError
from layerscope.images.sets import open_images
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.study.joined import join_studies
from layerscope.sweep.making import sweep_study
from layerscope.zoo.loading import load_network
from tests.compare.test_similarity import made, related
from tests.support.studies import SETTINGS, every_reducer, small, write_pictures

ONLY = CompareOptions(parts=("similarity",))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("both")
    images = open_images(write_pictures(folder / "pictures"))
    networks = [small(), small("vggcnn")]
    study = sweep_study(networks, images, every_reducer(), folder / "study", settings=SETTINGS)
    return study


def compared(both: Study, out: Path) -> Study:
    images = open_images(both.path.parent / "pictures")
    return compare_studies(both, out, options=ONLY, networks=[small(), small("vggcnn")], images=images)


def test_tables_figures_and_findings(both: Study, tmp_path: Path) -> None:
    made_of = compared(both, tmp_path / "out")
    assert not check_study(made_of.path)
    folder = made_of.path / "similarity"
    names = {path.name for path in folder.iterdir()}
    assert {"cka.png", "cka.pdf", "neighbours.png", "similarity.parquet", "similarity.csv"} <= names
    table = read_table(folder / "similarity.parquet")
    layers = [len(both.network(name).layers) for name in both.networks]
    assert len(table) == layers[0] * layers[1]
    assert table.column_names[:4] == ["network", "layer", "other_network", "other_layer"]
    assert set(table["pictures"].to_pylist()) == {11}
    assert set(table["share_picture"].to_pylist()) <= set(both.pictures["name"].to_pylist())
    assert pyarrow.csv.read_csv(folder / "similarity.csv").num_rows == len(table)
    section = read_json(folder / "section.json")
    texts = [finding["text"] for finding in section["findings"]]
    best = max(
        (row for row in table.to_pylist() if row["cka"] is not None), key=lambda row: float(row["cka"])
    )
    strongest = next(text for text in texts if text.startswith("The most alike layers are"))
    assert (
        f"{best['layer']} of alexcnn and {best['other_layer']} of vggcnn: CKA {best['cka']:.3f}" in strongest
    )
    assert f"{best['shuffled']:.3f} with the pictures paired wrongly" in strongest
    assert any(
        finding["warns"] and "a single picture has more than 5%" in finding["text"]
        for finding in section["findings"]
    )
    assert "11 pictures (n)" in section["figures"][0]["caption"]
    assert "striped, no value" in section["figures"][0]["caption"]
    neighbours = read_table(folder / "neighbours.parquet").to_pylist()
    assert {row["k"] for row in neighbours} == {2}
    assert all(0 <= row["overlap"] <= 1 for row in neighbours if row["overlap"] is not None)


def test_two_runs_of_one_network_find_every_layer_in_itself(tmp_path: Path) -> None:
    """One run is in bfloat16, so that nothing is the same to the bit."""
    images = open_images(write_pictures(tmp_path / "pictures", 24))
    one = small("vggcnn")
    other = replace(one.to(dtype=torch.bfloat16), name="again")
    studies = [
        sweep_study([network], images, every_reducer(), tmp_path / network.name, settings=SETTINGS)
        for network in (one, other)
    ]
    joined = join_studies(studies, tmp_path / "joined")
    subject = Subject(joined, ONLY, {"vggcnn": one, "again": other}, images)
    found = subject.similarities("vggcnn", "again")
    live = {layer for layer, best in found.best.items() if best is not None}
    assert {"c1_1", "c3_1", "c5_3", "p5", "fc6"} <= live
    assert all(found.best[layer] == layer for layer in live)
    assert (np.nanmax(found.matrix(), axis=1)[[layer in live for layer in found.best]] > 0.9).all()


def test_similarities_are_kept(both: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = open_images(both.path.parent / "pictures")
    joined = join_studies([both], tmp_path / "joined")
    given = {"alexcnn": small(), "vggcnn": small("vggcnn")}
    first = Subject(joined, ONLY, given, images).similarities("alexcnn", "vggcnn")
    monkeypatch.setattr("layerscope.compare.subject.compare_layers", None)
    again = Subject(joined, ONLY, given, images).similarities("alexcnn", "vggcnn")
    assert again.table.equals(first.table)
    assert np.array_equal(again.correlations, first.correlations, equal_nan=True)  # type: ignore[arg-type]


def test_what_cannot_be_compared_says_why(both: Study, tmp_path: Path) -> None:
    images = open_images(write_pictures(tmp_path / "few", 4, (1,)))
    few = sweep_study(
        [small(), small("vggcnn")], images, every_reducer(), tmp_path / "study", settings=SETTINGS
    )
    with pytest.raises(
        ComparisonError, match=r"^no similarity: 3 good pictures: the unbiased HSIC needs at least 4"
    ):
        compare_studies(few, tmp_path / "out", options=ONLY)
    reason = SIMILARITY.why_not(Subject(join_studies([both], tmp_path / "joined")))
    assert reason is not None
    assert "does not say how alexcnn is loaded" in reason


def test_best_matches_that_rise_and_that_do_not() -> None:
    names = tuple("abcd")
    rising = np.eye(4)
    found = ridge("one", "other", names, names, rising)
    assert found.holds
    assert found.numbers["rho"] == pytest.approx(1)
    assert "a with a, c with c, d with d" in found.text
    rising[2] = np.nan
    assert ridge("one", "other", names, names, rising).numbers["count"] == 3
    assert ridge("one", "other", names, names, np.eye(4)[::-1]).holds is False
    assert ridge("one", "other", names[:2], names, np.eye(4)[:2]).holds is None


def test_layers_that_never_change_are_named(tmp_path: Path) -> None:
    x, y = related(40, (6, 4))
    one, other = made({"x": x, "flat": 0 * x}), made({"y": y}, "other")
    pair = LayersOfTwo("one", "other", compare_layers(one, other), compare_neighbours(one, other))
    heaviest = pair.found.table["share_picture"].to_pylist()[0]
    assert pair.table["share_picture"].to_pylist() == [f"picture {heaviest}", None]
    texts = [finding.text for finding in find(pair)]
    assert texts[-1] == "1 of 2 pairs of layers have no value: flat of one is the same for all pictures."
    constant = made({"f": 0 * x})
    none = LayersOfTwo("one", "other", compare_layers(constant, other), compare_neighbours(constant, other))
    (only,) = find(none)
    assert only.warns
    assert "No layer of one can be compared with one of other, of 1 pairs" in only.text
    assert none.cka_map().caption
    assert none.neighbours_map().caption


@pytest.mark.slow
def test_alexnets_layers_find_deeper_layers_of_vgg16_as_they_lie_deeper(tmp_path: Path) -> None:
    """On crops of photographs; with 396 crops of 66 photographs the correlation was .98."""
    data = Path(pytest.importorskip("skimage").__file__).parent / "data"
    names = (
        "astronaut.png chelsea.png coffee.png motorcycle_left.png rocket.jpg brick.png grass.png gravel.png"
    )
    for name in names.split():
        picture = Image.open(data / name).convert("RGB")
        for place in range(12):
            random = np.random.default_rng(place)
            side = round(min(picture.size) * random.uniform(0.35, 1))
            left, top = (int(random.integers(0, length - side + 1)) for length in picture.size)
            crop = picture.resize((256, 256), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
            crop.save(tmp_path / f"{place:02d}-{name}.png")
    networks = [load_network(name, "imagenet-trunk") for name in ("alexnet", "vgg16")]
    one, other = gather_representations(networks, open_images(tmp_path), tmp_path / "kept")
    found = compare_layers(one, other, procrustes=False, correlations=False)
    ridges = [
        ridge("alexnet", "vgg16", tuple(one.layers), tuple(other.layers), found.matrix()),
        ridge("vgg16", "alexnet", tuple(other.layers), tuple(one.layers), found.matrix().T),
    ]
    assert all(finding.holds for finding in ridges)
    assert min(finding.numbers["rho"] for finding in ridges) > 0.8
    assert np.abs(found.matrix("shuffled")).max() < min(0.1, found.matrix().max(axis=1).min())
