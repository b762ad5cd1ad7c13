"""A study: what is in the folder, that it goes on where it ended, and that nothing else is mixed into it."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from layerscope.disk.tables import Buffer, Written, publish
from layerscope.errors import OutputError, StudyError
from layerscope.images.sets import open_images
from layerscope.network.graph import Graph
from layerscope.network.network import Network
from layerscope.progress import Progress
from layerscope.study.folder import Study
from layerscope.study.manifest import join
from layerscope.sweep.begun import differences
from layerscope.sweep.checkpoints import Shard
from layerscope.sweep.engine import Advance, Engine, Finished, Job, Local
from layerscope.sweep.making import sweep_study
from layerscope.sweep.one_pass import SweepOptions, sweep_images
from layerscope.sweep.reducers import LayerBatch
from tests.support.studies import SETTINGS, OtherSums, Sums, bytes_of, every_reducer, small, write_pictures

NETWORKS = ("alexcnn", "vggcnn")


def make(out: Path, folder: Path, **changed: Any) -> Study:
    given: dict[str, Any] = {
        "networks": [small()],
        "images": open_images(folder),
        "reducers": every_reducer(),
        "settings": SETTINGS,
        **changed,
    }
    return sweep_study(given.pop("networks"), given.pop("images"), given.pop("reducers"), out, **given)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, shown: Path) -> Study:
    """Made undisturbed, of two networks."""
    return make(tmp_path_factory.mktemp("study"), shown, networks=[small(n) for n in NETWORKS])


class Refusing(Engine):
    """Computes nothing: whoever asks for a shard is told off."""

    def run(self, job: Job, shards: Sequence[Shard], advance: Advance) -> Finished:
        assert not shards, f"{len(shards)} shards are computed again"
        yield from ()


class Backwards(Engine):
    """The shards in the wrong order."""

    def run(self, job: Job, shards: Sequence[Shard], advance: Advance) -> Finished:
        yield from Local().run(job, shards[::-1], advance)


# ------------------------------------------------------------------ what is in it


def test_results_are_those_of_the_pass(whole: Study, shown: Path) -> None:
    for name in NETWORKS:
        expected = sweep_images(small(name), open_images(shown), every_reducer(), settings=SETTINGS)
        results = {stem: c for part in expected.results.values() for stem, c in part.items()}
        found = whole.network(name)
        assert set(found.results) == {"layers", *results}
        for stem, content in results.items():
            if isinstance(content, pa.Table):
                assert found.table(stem) == content
            else:
                np.testing.assert_array_equal(found.array(stem), content)
        assert whole.pictures == expected.pictures


def test_read_without_layerscope(whole: Study) -> None:
    program = (
        "import sys, json, numpy, pandas; folder = sys.argv[1]; m = json.load(open(folder + '/study.json'))\n"
        "p = pandas.read_parquet(folder + '/pictures.parquet'); print(len(p), p.name[p.reason.notna()].tolist())\n"
        "t = pandas.read_parquet(folder + '/alexcnn/sums.parquet'); print(t[t.layer == 'c1']['sum'].sum())\n"
        "print(numpy.load(folder + '/alexcnn/sums_of/c1.npy', mmap_mode='r').sum(), len(m['files']))\n"
        "assert 'layerscope' not in sys.modules and 'torch' not in sys.modules"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, whole.path], capture_output=True, text=True, check=True
    )
    total = int(np.sum(whole.network("alexcnn").array("sums_of/c1")))
    assert run.stdout.split("\n")[:3] == [
        "12 ['005.png']",
        str(total),
        f"{total} {len(whole.manifest['files'])}",
    ]


def test_layers_and_bad_pictures(whole: Study) -> None:
    layers = whole.network("vggcnn").layers.to_pylist()
    assert [row["layer"] for row in layers] == [layer.name for layer in small("vggcnn").layers]
    c1_2 = next(row for row in layers if row["layer"] == "c1_2")
    assert (c1_2["field_size_rows"], c1_2["field_stride_columns"], c1_2["field_start_rows"]) == (5, 1, 0.0)
    assert c1_2["inputs"] == ["c1_1"]
    assert whole.bad["name"].to_pylist() == ["005.png"]
    assert whole.pictures["name"].to_pylist() == sorted(path.name for path in shown_names(whole))


def shown_names(study: Study) -> list[Path]:
    return [Path(name) for name in study.pictures["name"].to_pylist()]


def test_pandas_reads_every_table(whole: Study) -> None:
    for file in whole.path.rglob("*.parquet"):
        about = whole.manifest["files"][file.relative_to(whole.path).as_posix()]
        frame = pd.read_parquet(file)
        assert (len(frame), list(frame.columns)) == (about["rows"], about["columns"])


def test_only_what_the_manifest_lists(whole: Study) -> None:
    assert set(bytes_of(whole.path)) == {"study.json", *whole.manifest["files"]}
    for file, digest in bytes_of(whole.path).items():
        assert file == "study.json" or whole.manifest["files"][file]["sha256"] == digest


def test_opened_again(whole: Study) -> None:
    study = Study.open(str(whole.path))
    assert (study.networks, study.digest, study.steps) == (NETWORKS, whole.digest, {})
    with pytest.raises(StudyError, match="has no network 'resnet'; it has alexcnn, vggcnn"):
        study.network("resnet")
    with pytest.raises(StudyError, match=r"has no nothing.npy of alexcnn; it has channel_"):
        study.network("alexcnn").array("nothing")


def test_no_study(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"is no study: it has no study.json"):
        Study.open(tmp_path)
    (tmp_path / "study.json").write_text('{"format": 99}')
    with pytest.raises(StudyError, match="has format 99, and this layerscope reads format 1"):
        Study.open(tmp_path)
    parts = ("made_with", "networks", "steps")
    empty: dict[str, Any] = {key: {} for key in parts}
    empty |= {"inputs": {"networks": {}}, "images": {"count": 0, "bad": 0}}
    outside = {"../../etc/passwd": {"bytes": 0, "sha256": ""}}
    manifest = {"format": 1, "digest": "", "threads": 1, **empty, "files": outside}
    (tmp_path / "study.json").write_text(json.dumps(manifest))
    with pytest.raises(StudyError, match="is no file of a study"):
        Study.open(tmp_path)


# ------------------------------------------------------------------ any way of making it gives the same


def test_made_twice_in_two_places_the_same_bytes(tmp_path: Path, whole: Study, shown: Path) -> None:
    again = make(tmp_path / "again", shown, networks=[small(n) for n in NETWORKS], engine=Backwards())
    assert bytes_of(again.path) == bytes_of(whole.path)


@pytest.mark.parametrize("shard", [2, 8, None])
def test_no_shard_shows_in_a_study(tmp_path: Path, whole: Study, shown: Path, shard: int | None) -> None:
    settings = replace(SETTINGS, shard=shard)
    again = make(tmp_path / "again", shown, networks=[small(n) for n in NETWORKS], settings=settings)
    assert bytes_of(again.path) == bytes_of(whole.path)


def test_it_goes_on_in_the_shards_it_was_begun_with(
    tmp_path: Path, whole: Study, shown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one begun when shards were among the inputs, and in its digest."""
    networks, begun = [small(n) for n in NETWORKS], tmp_path / "work" / "begun.json"
    with monkeypatch.context() as patch:
        patch.setattr("layerscope.sweep.making.merge_shards", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            make(tmp_path, shown, networks=networks)
        assert json.loads(begun.read_text("utf-8"))["shard"] == 4
        shutil.rmtree(tmp_path / "work" / "alexcnn")
        old = json.loads(begun.read_text("utf-8"))
        old["inputs"]["pass"]["shard"] = old.pop("shard")
        begun.write_text(json.dumps(old), "utf-8")
        with pytest.raises(ZeroDivisionError):
            make(tmp_path, shown, networks=networks, settings=replace(SETTINGS, shard=6))
    assert len(list(begun.parent.glob("alexcnn/shard-*.npz"))) == 3
    made = make(tmp_path, shown, networks=networks, settings=replace(SETTINGS, shard=6))
    assert made.manifest["inputs"]["pass"] == {"batch": 2, "shard": 4}
    assert {**made.manifest["files"]} == {**whole.manifest["files"]}
    assert make(tmp_path, shown, networks=networks, engine=Refusing()) == made  # finished, by any shard


def test_the_shards_of_large_sets() -> None:
    assert [SweepOptions(batch).shard_of(100) for batch in (1, 16, 100, 300)] == [256, 256, 200, 300]
    assert (SweepOptions(16).shard_of(20_480), SweepOptions(128).shard_of(1_281_167)) == (256, 16_000)
    assert len(SweepOptions(128).shards(1_281_167)) == 81


def test_one_picture_more_is_another_study(tmp_path: Path, whole: Study) -> None:
    """The control: the comparison above sees a difference."""
    other = make(tmp_path / "out", write_pictures(tmp_path / "in", 13), networks=[small(n) for n in NETWORKS])
    assert other.digest != whole.digest
    assert bytes_of(other.path) != bytes_of(whole.path)


def test_goes_on_after_an_error_in_any_shard(tmp_path: Path, whole: Study, shown: Path) -> None:
    seen: list[int] = []

    def spoil(at: int) -> Callable[[LayerBatch], None]:
        def fail(batch: LayerBatch) -> None:
            if at in batch.pictures and batch.target.name == "c3":
                raise RuntimeError("broken")
            seen.extend(batch.pictures.tolist() if batch.target.name == "c3" else [])

        return fail

    def attempt(spoiled: Callable[[LayerBatch], None]) -> Study:
        reducers = [Sums(spoil=spoiled), *every_reducer()[1:]]
        return make(tmp_path, shown, networks=[small(n) for n in NETWORKS], reducers=reducers)

    for broken in (1, 6, 11):
        with pytest.raises(RuntimeError, match="broken"):
            attempt(spoil(broken))
        with pytest.raises(StudyError, match="is an unfinished study"):
            Study.open(tmp_path)
    assert bytes_of(attempt(spoil(-1)).path) == bytes_of(whole.path)
    good = {index: 1 for index in range(12) if index != 5}
    assert Counter(seen) == {**good, 4: 2, 8: 2, 9: 2}  # in shards whose second half failed


def test_a_finished_study_returns_at_once(tmp_path: Path, shown: Path) -> None:
    first = make(tmp_path, shown)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert make(tmp_path, shown, engine=Refusing()) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_finished_shards_are_not_computed_again(
    tmp_path: Path, shown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise StudyError("disk is full")

    monkeypatch.setattr("layerscope.sweep.making.publish_result", full)
    with pytest.raises(StudyError, match="disk is full"):
        make(tmp_path, shown)
    monkeypatch.undo()
    counted: list[Progress] = []
    make(tmp_path, shown, engine=Refusing(), progress=counted.append)
    assert [one.detail for one in counted] == ["12 of 12 pictures"]  # what is there costs no time


def test_progress_counts_every_picture_of_every_network(tmp_path: Path, shown: Path) -> None:
    counted: list[Progress] = []
    make(tmp_path, shown, networks=[small(n) for n in NETWORKS], progress=counted.append)
    assert [one.detail for one in (counted[0], counted[-1])] == ["0 of 24 pictures", "24 of 24 pictures"]
    assert {one.stage for one in counted} == {"pictures"}


def test_threads_are_those_it_was_begun_with(tmp_path: Path, shown: Path) -> None:
    def stop(batch: LayerBatch) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        make(tmp_path, shown, reducers=[Sums(spoil=stop)])
    used: list[int] = []
    torch.set_num_threads(2)
    study = make(tmp_path, shown, reducers=[Sums(spoil=lambda _: used.append(torch.get_num_threads()))])
    assert study.manifest["threads"] == 1
    assert set(used) == {1}
    assert torch.get_num_threads() == 2


# ------------------------------------------------------------------ nothing else is mixed into it


def louder(network: Network) -> Network:
    name = max(network.graph.tensors)  # fc8.weight; biases are zero
    tensors = {**network.graph.tensors, name: network.graph.tensors[name] * 1.5}
    return replace(
        network, graph=Graph(network.graph.operations, network.graph.output, network.graph.modules, tensors)
    )


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "weights": ({"networks": [louder(small())]}, "architecture or weights of alexcnn"),
    "network": ({"networks": [small("vggcnn")]}, "networks.alexcnn is gone; networks.vggcnn is new"),
    "precision": ({"networks": [small().to(dtype=torch.bfloat16)]}, "dtype was float32, is bfloat16"),
    "batch": ({"settings": SweepOptions(batch=4, shard=4)}, "pass.batch was 2, is 4"),
    "option": (
        {"reducers": [Sums(scale=10), *every_reducer()[1:]]},
        "reducers.sums.options.scale was 1000, is 10",
    ),
    "reducer": ({"reducers": every_reducer()[1:]}, "reducers.sums is gone"),
}


@pytest.mark.parametrize("finished", [True, False], ids=["finished", "unfinished"])
def test_other_inputs_are_an_error(
    tmp_path: Path, shown: Path, finished: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if finished:
        make(tmp_path, shown)
    else:
        monkeypatch.setattr("layerscope.sweep.making.merge_shards", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            make(tmp_path, shown)
        monkeypatch.undo()
    before = bytes_of(tmp_path)
    fewer = {"images": open_images(sorted(shown.iterdir())[:-1])}
    for change, said in (*CHANGES.values(), (fewer, "the pictures: their list")):
        with pytest.raises(StudyError) as caught:
            make(tmp_path, shown, **change)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path} is a study of something else: ")
        assert said in message
        assert "\n" not in message
        assert bytes_of(tmp_path) == before
    make(tmp_path, shown, engine=Refusing(), settings=replace(SETTINGS, workers=2))  # changes no result


def test_other_software_midway_is_an_error(
    tmp_path: Path, shown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layerscope.sweep.making.merge_shards", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make(tmp_path, shown)
    monkeypatch.undo()
    monkeypatch.setattr("layerscope.sweep.engine.__version__", "99")
    with pytest.raises(
        StudyError, match=r"begun with other software .*: alexcnn.layerscope was .*, is 99; go on"
    ):
        make(tmp_path, shown)
    monkeypatch.undo()
    study = make(tmp_path, shown)
    monkeypatch.setattr("layerscope.sweep.engine.__version__", "99")
    assert make(tmp_path, shown).path == study.path  # finished, it is no mixture


def test_a_picture_that_changes_between_networks(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "in")

    def change(batch: LayerBatch) -> None:
        if batch.target.name == "c5" and 2 in batch.pictures:  # of the first network only, which has read it
            (folder / "002.png").unlink(missing_ok=True)

    with pytest.raises(
        StudyError, match=r"002.png changed while the study was made: vggcnn was given another"
    ):
        make(tmp_path / "out", folder, networks=[small(n) for n in NETWORKS], reducers=[Sums(spoil=change)])
    assert not (tmp_path / "out" / "study.json").exists()


def test_bad_pictures_change_nothing_but_their_rows(tmp_path: Path) -> None:
    """The results with a bad picture equal those of the good ones alone."""
    reducers = [Sums()]
    some = make(tmp_path / "some", write_pictures(tmp_path / "a", 6, bad=(5, 2)), reducers=reducers)
    good = make(tmp_path / "good", write_pictures(tmp_path / "b", 5, bad=(2,)), reducers=reducers)
    assert some.network("alexcnn").table("sums") == good.network("alexcnn").table("sums")


def test_nothing_to_make_it_of(tmp_path: Path, shown: Path) -> None:
    nothing = write_pictures(tmp_path / "in", 3, bad=(0, 1, 2))
    cases: dict[str, dict[str, Any]] = {
        "none of the 3 pictures can be read; the first, 000.png: ": {"images": open_images(nothing)},
        "a study needs at least one network": {"networks": []},
        "a study needs at least one reducer": {"reducers": []},
        "two networks are called alexcnn": {"networks": [small(), small()]},
        "two reducers are called sums": {"reducers": [Sums(), Sums()]},
        "a b for the results": {"networks": [replace(small(), name="a b"), replace(small(), name="A?b")]},
        "the folder work for": {"networks": [replace(small(), name="work")]},
        "makes a second result called sums": {"reducers": [Sums(), OtherSums()]},
        "the options of reducer sums are no JSON": {"reducers": [Sums(scale=1j)]},  # type: ignore[arg-type]
    }
    for number, (said, case) in enumerate(cases.items()):
        with pytest.raises(StudyError) as caught:
            make(tmp_path / str(number), shown, **case)
        assert said.replace("a b", "a_b") in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_folder_of_something_else(tmp_path: Path, shown: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(StudyError, match=r"holds other files \(thesis.tex\); name a new folder"):
        make(tmp_path, shown)
    with pytest.raises(StudyError, match="cannot be made or read"):
        make(tmp_path / "thesis.tex" / "in", shown)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_second_process_is_refused(tmp_path: Path, shown: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from layerscope.disk.locks import lock\n"
        "with lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    study = make(tmp_path, shown, reducers=[Sums()])
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        attempts: list[Callable[[], Study]] = [
            lambda: make(tmp_path, shown, reducers=[Sums()]),
            lambda: study.add("step", {}),
        ]
        for attempt in attempts:
            with pytest.raises(OutputError, match="is in use by another process; wait for it"):
                attempt()
        other.kill()
    assert make(tmp_path, shown, reducers=[Sums()]).path == tmp_path  # the dead hold nothing


def test_differences_are_named() -> None:
    assert differences({"a": [1], "b": 1, "c": 1}, {"a": [2], "b": True, "d": 1}) == [
        *("c is gone", "d is new", "a", "b was 1, is True")
    ]
    assert differences({"a": {"b": None}}, {"a": {"b": None}}) == []


# ------------------------------------------------------------------ later steps


@pytest.fixture
def study(tmp_path: Path, shown: Path) -> Study:
    return make(tmp_path, shown, reducers=[Sums()])


def test_a_step_is_added(study: Study) -> None:
    table = pa.table({"x": [1, 2]})
    added = study.add(
        "plane", {"plane/xy": np.eye(2), "plane/cells": table}, network="alexcnn", options={"seed": 3}
    )
    added = added.add("page", {"page/index.html": b"<p>"})
    assert added.steps == {"alexcnn/plane": {"seed": 3}, "page": {}}
    assert added.network("alexcnn").table("plane/cells") == table
    assert added.network("alexcnn").array("plane/xy").shape == (2, 2)
    assert (added.path / "page" / "index.html").read_bytes() == b"<p>"
    assert set(bytes_of(added.path)) == {"study.json", *added.manifest["files"]}
    assert added.manifest["files"]["alexcnn/plane/cells.parquet"]["rows"] == 2


def test_a_step_done_again_replaces_itself_and_no_other(study: Study) -> None:
    added = study.add("plane", {"plane/xy": np.eye(2), "plane/old": np.eye(3)}).add("page", {"note": b""})
    again = added.add("plane", {"plane/xy": np.eye(4)})
    assert set(again.manifest["files"]) == {*study.manifest["files"], "plane/xy.npy", "note"}
    assert set(bytes_of(again.path)) == {"study.json", *again.manifest["files"]}
    for stem, network in (("note", None), ("sums", "alexcnn"), ("layers", "alexcnn")):
        before = bytes_of(study.path)
        with pytest.raises(StudyError, match="already, from another step"):
            again.add("other", {stem: pa.table({"x": [1]})} if network else {stem: b""}, network=network)
        assert bytes_of(study.path) == before


def test_the_manifest_is_true_when_adding_fails(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    added = study.add("plane", {"a": np.eye(2), "b": np.eye(2)})

    def full(path: Path, pieces: Sequence[Buffer]) -> Written:
        if path.stem == "b":
            raise StudyError("disk is full")
        return publish(path, pieces)

    monkeypatch.setattr("layerscope.study.steps.publish", full)
    with pytest.raises(StudyError, match="disk is full"):
        added.add("plane", {"a": np.eye(3), "b": np.eye(3)})
    now = Study.open(study.path)
    assert now.steps == {}
    assert now.manifest["files"] == study.manifest["files"]
    monkeypatch.undo()
    assert now.add("plane", {"a": np.eye(2), "b": np.eye(2)}).manifest == added.manifest


@pytest.mark.parametrize(
    "name", ["../out", "/etc/x", "a//b", ".hidden", "a b", "", "work/x", "study.json", "lock"]
)
def test_names_that_cannot_be_files(study: Study, name: str) -> None:
    with pytest.raises(StudyError, match="cannot name a result"):
        study.add("step", {name: b""})


def test_names_of_layers_are_files() -> None:
    assert join("net", "patches/layer1.0@2") == "net/patches/layer1.0@2"


def test_the_manifest_is_readable_json(whole: Study) -> None:
    manifest = json.loads((whole.path / "study.json").read_text("utf-8"))
    assert manifest == whole.manifest
    assert manifest["images"] == {"description": manifest["images"]["description"], "count": 12, "bad": 1}
    assert manifest["made_with"]["alexcnn"]["torch"] == torch.__version__.partition("+")[0]
