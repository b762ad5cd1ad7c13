"""What the shards say, decoded slowly, against the study's tables."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from layerscope.disk.names import network_folder
from layerscope.disk.tables import read_table
from layerscope.errors import StudyError
from layerscope.explorer import space_shards
from layerscope.explorer.filter_shards import correlations
from layerscope.explorer.shards import number, pack, script
from layerscope.explorer.site import Site
from layerscope.explorer.space_shards import Levelled
from layerscope.explorer.subjects import Subject, _placed, blocks, titled
from layerscope.network.network import Unit
from layerscope.pages import PageOptions, add_pages
from layerscope.space.space import Space
from layerscope.study.folder import Study
from layerscope.study.sources import images_of, network_of
from layerscope.sweep.making import sweep_study
from layerscope.sweep.standard import standard_reducers
from layerscope.sweep.top_patches import TopPatches
from layerscope.synthesis import MaximiseOptions, add_maximised
from tests.oracles.explorer import shards as slow
from tests.support.explorer import CLASSES, LONG, PARTS, STRANGE, Shown
from tests.support.studies import SETTINGS, pictures, small


def value_of(site: Site, path: str) -> Any:
    """The value of a shard, which says its own path."""
    said, value = slow.read(site.contents[f"data/{path}.js"].read())
    assert said == path
    return value


# ------------------------------------------------------------------ how values are written


def test_a_shard_is_ascii_whatever_a_name_is() -> None:
    name = "</script>  π\U0001f600 \"'`${x}\\ \x00"
    data = script("pictures/0", {"names": [name]})
    assert data.isascii()
    assert slow.read(data) == ("pictures/0", {"names": [name]})
    with pytest.raises(ValueError, match="not JSON compliant"):
        script("study", [math.nan])


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("u1", np.arange(256).reshape(8, 32)),
        ("i2", np.array([-32768, 0, 32767])),
        ("i4", np.array([[-1, 2**31 - 1]])),
        ("f4", np.array([0.1, -3e-38, 3e38], np.float32)),
        ("i4", np.zeros((0, 4), np.int64)),
        ("f4", np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))),
    ],
)
def test_a_packed_array_is_what_it_was(kind: str, values: np.ndarray) -> None:
    packed = pack(values, kind)
    assert np.array_equal(slow.unpack(packed), values)
    assert packed == pack(values.copy(), kind)


def test_an_array_that_a_kind_cannot_hold_is_refused() -> None:
    for kind, value in (("u1", 256), ("u1", -1), ("i2", 40_000), ("i4", 2**31)):
        with pytest.raises(ValueError, match=f"{kind} does not hold"):
            pack(np.array([value]), kind)


def test_a_number_has_the_digits_of_float32() -> None:
    values = np.random.default_rng(0).normal(size=100).astype(np.float32)
    assert [np.float32(number(value)) for value in values] == values.tolist()
    assert number(0.1) == 0.1
    assert (number(math.nan), number(math.inf), number(None)) == (None, None, None)


# ------------------------------------------------------------------ the study and its pictures


def test_the_study_says_what_its_tables_do(site: Site, shown: Shown) -> None:
    value = value_of(site, "study")
    assert value["pictures"]["count"] == 13
    assert value["pictures"]["bad"] == 1
    assert value["pictures"]["classes"] == list(shown.study.manifest["inputs"]["images"]["classes"])
    assert set(value["pictures"]["classes"]) == set(CLASSES)
    assert value["views"] == [{"height": 64, "width": 64}, {"height": 32, "width": 32}]
    assert [network["view"] for network in value["networks"]] == [0, 1]
    assert value["pairs"] == [{"one": "alexcnn", "other": "vggcnn"}]
    assert {part["part"] for part in value["findings"]} == set(PARTS)
    network = value["networks"][0]
    rows = shown.study.network("alexcnn").layers.to_pylist()
    zeros = shown.study.network("alexcnn").table("sparsity").to_pylist()
    for layer, row, zero in zip(network["layers"], rows, zeros, strict=True):
        assert layer["name"] == row["layer"] == zero["layer"]
        assert layer["channels"] == row["channels"]
        assert layer["sparsity"] == pytest.approx(zero["zeros"] / zero["count"], rel=1e-6)
        assert layer["space"] == (row["layer"] == "p1")
        if row["field_size_rows"] is not None:
            assert layer["field"]["size"] == [row["field_size_rows"], row["field_size_columns"]]


def test_pictures_keep_their_names_labels_reasons_and_predictions(site: Site, shown: Shown) -> None:
    value, rows = value_of(site, "pictures/0"), shown.study.pictures.to_pylist()
    assert value["names"] == [row["name"] for row in rows]
    assert {name.rpartition("/")[2] for name in value["names"]} >= {f"{stem}.png" for stem in STRANGE}
    assert max(map(len, value["names"])) > len(LONG)
    assert value["labels"] == [-1 if row["label"] is None else row["label"] for row in rows]
    bad = {str(row["picture"]): row["reason"] for row in rows if row["reason"] is not None}
    assert value["reasons"] == bad
    assert len(bad) == 1
    said: dict[int, list[tuple[int, float]]] = {}
    for row in shown.study.network("vggcnn").table("predictions").to_pylist():
        said.setdefault(row["picture"], []).append((row["class"], row["probability"]))
    found = value["predictions"]["vggcnn"]
    for picture in range(len(rows)):
        pairs = list(zip(found["outputs"][picture], found["probabilities"][picture], strict=True))
        assert [pair[0] for pair in pairs] == [pair[0] for pair in said.get(picture, [])]
        assert [pair[1] for pair in pairs] == pytest.approx([pair[1] for pair in said.get(picture, [])])


# ------------------------------------------------------------------ filters


def test_filters_say_what_their_tables_do(site: Site, shown: Shown) -> None:
    results = shown.study.network("vggcnn")
    for layer in ("c1_1", "c2_2", "fc8"):
        value = value_of(site, f"vggcnn/layers/{layer}/filters")
        statistics = [row for row in results.table("channel_statistics").to_pylist() if row["layer"] == layer]
        assert value["channels"] == len(statistics)
        assert value["max"] == pytest.approx([row["max"] for row in statistics], rel=1e-6)
        assert value["mean"] == pytest.approx([row["mean"] for row in statistics], rel=1e-6)
        assert value["count"] == [row["count"] for row in statistics]
        first = results.table("channel_statistics")["layer"].to_pylist().index(layer)
        counts = np.asarray(results.array("histograms"))[first : first + len(statistics)]
        assert np.array_equal(slow.unpack(value["histogram"]), counts)
        assert np.array_equal(slow.unpack(value["histogram"]).sum(axis=1), value["count"])


def test_strongest_patches_are_where_the_table_says_and_see_what_their_field_says(
    site: Site, shown: Shown
) -> None:
    value = value_of(site, "alexcnn/layers/c2/filters")
    top = {name: slow.unpack(packed) for name, packed in value["top"].items()}
    boxes = slow.unpack(value["boxes"])
    (row,) = [row for row in shown.study.network("alexcnn").layers.to_pylist() if row["layer"] == "c2"]
    held = [
        one for one in shown.study.network("alexcnn").table("top_patches").to_pylist() if one["layer"] == "c2"
    ]
    assert (top["picture"] >= 0).sum() == len(held)
    for one in held:
        at = one["channel"], one["rank"]
        assert [top[name][at] for name in ("picture", "row", "column")] == [
            one[name] for name in ("picture", "row", "column")
        ]
        assert top["value"][at] == one["value"]
        box = boxes[at].tolist()
        for side, name in ((0, "row"), (1, "column")):
            axis = ("rows", "columns")[side]
            size = row[f"field_size_{axis}"]
            first = row[f"field_start_{axis}"] - (size - 1) / 2 + one[name] * row[f"field_stride_{axis}"]
            assert (box[side], box[side + 2]) == (first, first + size)


def test_pictures_made_to_excite_filters_are_told(shown: Shown, tmp_path: Path) -> None:
    study = Study.open(shutil.copytree(shown.study.path, tmp_path / "study"))
    network = network_of(study, "alexcnn")
    options = MaximiseOptions(steps=1, each=2)
    made = add_maximised(study, network, images_of(study), [Unit("c1", 3)], options=options)
    site = Site.open(made, None)
    value = value_of(site, "alexcnn/layers/c1/filters")["maximised"]
    rows = made.network("alexcnn").table("pages/maximised").to_pylist()
    assert value == {
        "3": [{"file": row["file"], "value": pytest.approx(row["activation"], rel=1e-6)} for row in rows]
    }
    for row in rows:
        assert (
            site.contents[f"alexcnn/{row['file']}"].read()
            == (made.path / "alexcnn" / "pages" / row["file"]).read_bytes()
        )
    assert value_of(site, "alexcnn/layers/c2/filters")["maximised"] == {}


def test_filters_that_go_together_are_each_others_neighbours(site: Site, shown: Shown) -> None:
    value = value_of(site, "alexcnn/layers/p1/filters")["neighbours"]
    vectors = Space.open(shown.study, "p1", "alexcnn").vectors.astype(float)
    channels = vectors.shape[1]
    live = [c for c in range(channels) if len(set(vectors[:, c].tolist())) > 1]
    for channel in live:
        found = {
            other: slow.correlation(vectors[:, channel].tolist(), vectors[:, other].tolist())
            for other in live
            if other != channel
        }
        best = sorted(found.values(), reverse=True)[:8]
        assert value["correlations"][channel] == pytest.approx(best, abs=1e-6)
        assert [found[other] for other in value["channels"][channel]] == pytest.approx(best, abs=1e-6)
    assert value_of(site, "alexcnn/layers/c1/filters")["neighbours"] is None


def test_a_filter_that_never_changes_goes_with_none() -> None:
    vectors = np.random.default_rng(0).random((50, 4)).astype(np.float32)
    vectors[:, 1] = 0.1
    found = correlations(vectors)
    assert np.isneginf(found[1]).all()
    assert np.isneginf(found[:, 1]).all()
    assert found[0, 0] == pytest.approx(1)


def test_a_filter_has_its_best_match_in_the_other_network(site: Site, shown: Shown) -> None:
    best = read_table(shown.comparison.path / "filters" / "best.parquet").to_pylist()
    for network, layer in (("alexcnn", "c2"), ("vggcnn", "c1_1")):
        rows = [row for row in best if (row["network"], row["layer"]) == (network, layer)]
        other = {"alexcnn": "vggcnn", "vggcnn": "alexcnn"}[network]
        value = value_of(site, f"{network}/layers/{layer}/filters")["matches"][other]
        assert len(value) == len(rows) > 0
        for match, row in zip(value, rows, strict=True):
            if row["other_layer"] is None:
                assert match is None
            else:
                assert (match["layer"], match["channel"]) == (row["other_layer"], row["other_channel"])
                assert match["correlation"] == pytest.approx(row["correlation"])
                assert match["mutual"] == row["mutual"]


# ------------------------------------------------------------------ spaces


def test_a_space_says_what_its_tables_do(site: Site, shown: Shown) -> None:
    space, value = Space.open(shown.study, "p1", "alexcnn"), value_of(site, "alexcnn/layers/p1/space")
    assert value["patches"] == len(space.patches)
    assert np.array_equal(slow.unpack(value["picture"]), space.pictures)
    assert np.array_equal(slow.unpack(value["boxes"]), space.boxes)
    points, grid = slow.unpack(value["points"]), value["grid"]
    places = (points - [grid["left"], grid["top"]]) / grid["side"]
    assert np.array_equal(places, space.places)  # to the last bit: a region's members depend on it
    assert set(value["planes"]) == set(space.planes)
    for name, plane in value["planes"].items():
        assert np.array_equal(slow.unpack(plane["cells"]), space.planes[name])
        assert plane["width"] == plane["cell"] * space.planes[name].shape[1]
    assert [region["members"] for region in value["regions"]] == [
        region.members.tolist() for region in space.suggested
    ]
    for region, found in zip(value["regions"], space.suggested, strict=True):
        names = space.filters(found).to_pylist()[:10]
        assert [one["contrast"] for one in region["filters"]] == pytest.approx([n["contrast"] for n in names])


def test_activations_come_back_within_half_a_step_and_zero_is_exact(site: Site, shown: Shown) -> None:
    space = Space.open(shown.study, "p1", "alexcnn")
    value = value_of(site, "alexcnn/layers/p1/space")["activations"]
    order, scale = slow.unpack(value["order"]), np.array(value["scale"])
    shards = [path for path in site.contents if "/p1/rows/" in path]
    assert [f"data/alexcnn/layers/p1/rows/{k}.js" for k in range(len(shards))] == shards
    rows = np.concatenate([slow.unpack(slow.read(site.contents[path].read())[1]).T for path in shards])
    columns = np.concatenate(
        [slow.unpack(slow.read(site.contents[p].read())[1]) for p in site.contents if "/p1/columns/" in p]
    )
    levels = rows[order]
    assert np.array_equal(rows.T, columns)
    vectors = space.vectors.astype(float)
    assert np.array_equal(levels == 0, vectors <= 0)
    largest = vectors.max(axis=0)
    expected = [[slow.level(v, w) for v, w in zip(row, largest, strict=True)] for row in vectors.tolist()]
    assert np.abs(levels - np.array(expected)).max() <= 1  # one step apart where rounding decides
    assert np.mean(levels != expected) < 0.001
    below = (np.abs(levels * scale - vectors) - scale / 2)[(levels != 1)]
    assert below.max() <= 1e-6
    counts = slow.unpack(value["histogram"])
    assert np.array_equal(counts[:, 0], (vectors <= 0).sum(axis=0))
    assert (counts.sum(axis=1) == len(vectors)).all()


def test_levels_of_layers_that_are_not_rectified_dead_or_tiny() -> None:
    found = Levelled.of(np.array([[-1, 0, 1e-9, 2], [-2, 0, 1, 4]], np.float32))
    assert found.levels.tolist() == [[0, 0, 1, 128], [0, 0, 255, 255]]
    assert found.scale[:2].tolist() == [0, 0]


def test_near_patches_stand_in_the_same_shard(site: Site, shown: Shown) -> None:
    """Halves of the order are nearer to themselves than halves drawn by lot."""
    space = site.spaces[0]
    places, half = space.space.places, len(space.order) // 2

    def within(order: np.ndarray) -> float:
        return float(places[order[:half]].var(axis=0).sum() + places[order[half:]].var(axis=0).sum())

    lot = np.random.default_rng(0).permutation(len(places))
    assert sorted(space.order.tolist()) == list(range(len(places)))
    assert within(space.order) < 0.8 * within(lot)


# ------------------------------------------------------------------ pairs


def test_a_pair_says_what_the_comparison_found(site: Site, shown: Shown) -> None:
    value = value_of(site, "compare/alexcnn/vggcnn/pair")
    rows = read_table(shown.comparison.path / "similarity" / "similarity.parquet").to_pylist()
    assert len(value["rows"]) * len(value["columns"]) == len(rows) == len(value["cka"])
    for place, row in enumerate(rows):
        layer, other = divmod(place, len(value["columns"]))
        assert (value["rows"][layer], value["columns"][other]) == (row["layer"], row["other_layer"])
        assert value["cka"][place] == (None if row["cka"] is None else pytest.approx(row["cka"], abs=1e-6))
    best = read_table(shown.comparison.path / "filters" / "best.parquet").to_pylist()
    matched = {tuple(match[:4]): match for match in value["matched"]}
    assert len(matched) == len(value["matched"])
    for row in best:
        own, its = (row["layer"], row["channel"]), (row["other_layer"], row["other_channel"])
        if its[0] is not None:
            match = matched[(*own, *its) if row["network"] == "alexcnn" else (*its, *own)]
            assert match[4:] == [pytest.approx(row["correlation"]), row["mutual"]]
    mutual = [match[5] for match in value["matched"]]
    assert mutual == sorted(mutual, reverse=True)
    assert all(match[4] < 0.5 for side in value["unmatched"].values() for match in side)
    for figure in value["figures"]:
        assert all(f"compare/{file}" in site.contents for file in figure["files"])
    assert {figure["part"] for figure in value["figures"]} == {"sparsity"}


# ------------------------------------------------------------------ names


def test_layers_fold_by_their_names() -> None:
    assert blocks(["c1_1", "c1_2", "p1", "c2", "fc8"]) == ["1", "1", "1", "2", "8"]
    deep = [f"features.{n}.conv.{m}" for n in range(9) for m in range(3)]
    assert blocks([*deep, "classifier.1"])[:4] == ["features.0"] * 3 + ["features.1"]
    assert blocks([*deep, "classifier.1"])[-1] == "classifier"
    assert blocks([f"layer{n}" for n in range(30)]) == [str(n) for n in range(30)]
    assert blocks(["a"] * 1) == ["a"]
    assert len(set(blocks([f"x.{n}" for n in range(40)]))) == 40


def test_networks_have_the_titles_that_people_write() -> None:
    assert [titled(name) for name in ("vgg16", "alexnet", "resnet50", "mobilenet_v2", "own")] == [
        "VGG-16", "AlexNet", "ResNet-50", "MobileNetV2", "own",
    ]  # fmt: skip


def test_a_network_of_any_name_has_a_folder_of_its_own(site: Site) -> None:
    results = site.subjects[0].results
    names = ("pictures", "Data", "data", "compare", "lock", "app.js", "app_js", "a/b", "a b", "one")
    named = [SimpleNamespace(name=name, folder=network_folder(name), study=results.study) for name in names]
    found = _placed([Subject(cast(Any, one)) for one in named])
    places = [subject.place for subject in found]
    assert (
        len({place.lower() for place in places} | {"data", "pictures", "compare", "lock"}) == len(names) + 4
    )
    assert not any("." in place or "/" in place for place in places), "files of the site itself have a dot"
    assert places[-1] == "one"
    with pytest.raises(StudyError, match="has another one than"):
        _placed([found[-1], found[-1]])


def test_a_network_named_as_a_folder_of_the_site_is_exported(tmp_path: Path) -> None:
    images = pictures(tmp_path / "photos", 3, ())
    networks = [replace(small(), name=name) for name in ("pictures", "data", "pages")]
    study = sweep_study(networks, images, [TopPatches(2)], tmp_path / "study", settings=SETTINGS)
    study = add_pages(study, networks, images, PageOptions(1, "c1", "none"))
    site = Site.open(study)
    assert [one["folder"] for one in value_of(site, "study")["networks"]] == ["pictures_2", "data_2", "pages"]
    chosen = value_of(site, "study")["pictures"]["chosen"][0]
    for place in ("pictures_2", "data_2", "pages"):
        assert f"{place}/strips/{chosen}.jpg" in site.contents
        assert f"{place}/filters/c1/0.png" in site.contents or f"{place}/filters/c1/1.png" in site.contents
    assert {path.split("/")[1] for path in site.contents if path.startswith("pictures/")} == {
        "thumbs",
        "large",
    }
    assert all(content.read() for content in site.contents.values())


def test_filters_without_a_picture_are_named(tmp_path: Path) -> None:
    images, network = pictures(tmp_path / "photos", 3, ()), small()
    study = sweep_study([network], images, standard_reducers(top=2), tmp_path / "study", settings=SETTINGS)
    some = add_pages(study, [network], images, PageOptions(1, "c2", "all", most=3))
    shard = value_of(Site.open(some), "alexcnn/layers/c2/filters")
    assert shard["shown"] == shard["drawn"]
    assert len(shard["shown"]) == 3
    whole = add_pages(some, [network], images, PageOptions(1, "c2", "all", most=None))
    shard = value_of(Site.open(whole), "alexcnn/layers/c2/filters")
    assert shard["shown"] == shard["drawn"] == "all"


def test_a_large_filled_plane_is_shown_at_half_its_size(
    shown: Shown, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = value_of(site, "alexcnn/layers/p1/space")["planes"]
    monkeypatch.setattr(space_shards, "_LARGE", whole["fill"]["width"] * whole["fill"]["height"] - 1)
    smaller = Site.open(shown.study)
    planes = value_of(smaller, "alexcnn/layers/p1/space")["planes"]
    assert planes["one-to-one"] == whole["one-to-one"]
    assert planes["fill"]["width"] == -(-whole["fill"]["width"] // 2)
    assert planes["fill"]["cell"] * planes["fill"]["cells"]["shape"][1] == planes["fill"]["width"]
    gone = site.contents.keys() - smaller.contents.keys() - {p for p in site.contents if "compare/" in p}
    top = (max(whole["fill"]["width"], whole["fill"]["height"]) - 1).bit_length()
    assert gone == {p for p in site.contents if f"/fill_files/{top}/" in p} != set()
