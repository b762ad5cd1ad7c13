"""What pictures are found by, against answers taken one by one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from layerscope.explorer.index_shard import picture_index
from layerscope.explorer.site import Site
from layerscope.explorer.study_shards import Overview
from tests.oracles.explorer import shards as slow

Answer = tuple[int | None, int | None]  # the first output, the right one


def subject(name: str, answers: list[Answer], outputs: tuple[str, ...] = ()) -> Any:
    """A network that has these answers, rank 1 before rank 0 as no table need not have them."""
    given = [(picture, first) for picture, (first, _) in enumerate(answers) if first is not None]
    rows = [(picture, rank, first + rank) for picture, first in given for rank in (1, 0)]
    right = [(picture, answer) for picture, (_, answer) in enumerate(answers) if answer is not None]
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    known = list(zip(*right, strict=True)) or [(), ()]
    types = [pa.int64()] * 3
    tables = {
        "predictions": pa.table(
            dict(zip(("picture", "rank", "class"), map(pa.array, columns, types), strict=True))
        ),
        "prediction_ranks": pa.table(
            {
                name: pa.array(values, pa.int64())
                for name, values in zip(("picture", "answer"), known, strict=True)
            }
        ),
    }
    results = SimpleNamespace(results=tuple(tables), table=tables.__getitem__)
    return SimpleNamespace(name=name, results=results, about={"outputs": list(outputs)})


def study(labels: list[int | None]) -> Any:
    return SimpleNamespace(pictures=pa.table({"label": pa.array(labels, pa.int32())}))


def read(packed: dict[str, Any] | None) -> list[int] | None:
    return None if packed is None else slow.unpack(packed).tolist()


def index(labels: list[int | None], *subjects: Any) -> dict[str, Any]:
    """The shard, with its arrays unpacked."""
    found = picture_index(study(labels), subjects)
    return {
        **{"labels": read(found["labels"]), "differing": read(found["differing"])},
        **{kind: {name: read(packed) for name, packed in found[kind].items()} for kind in ("first", "right")},
    }


def test_first_and_right_outputs_stand_at_their_pictures() -> None:
    one = [(0, 0), (1, 0), (2, None), (None, 2), (None, None)]
    found = index([3, None, 0, 0, 1], subject("one", one))
    assert found["labels"] == [3, -1, 0, 0, 1]
    assert found["first"] == {"one": [0, 1, 2, -1, -1]}
    assert found["right"] == {"one": [0, 0, -1, 2, -1]}
    assert found["differing"] is None, "one network does not differ from itself"
    assert index([None, None], subject("none", [(None, 1), (None, 0)])) == {
        **{"labels": None, "first": {}, "right": {}, "differing": None}
    }


@pytest.mark.parametrize(
    "names", [((), ()), (("cat", "dog", "cow"), ("dog", "cat", "cow")), (("cat", "dog"), ())]
)
def test_networks_differ_by_the_names_of_their_first_outputs(names: tuple[tuple[str, ...], ...]) -> None:
    drawn = np.random.default_rng(0)
    answers: list[list[Answer]] = [
        [(None if value < 0 else int(value), None) for value in drawn.integers(-1, 3, 60)] for _ in range(3)
    ]
    given = (*names, names[0])
    subjects = [
        subject(str(n), own, outputs) for n, (own, outputs) in enumerate(zip(answers, given, strict=True))
    ]
    expected = []
    for picture in range(60):
        firsts = {
            outputs[first] if first < len(outputs) else f"output {first}"
            for own, outputs in zip(answers, given, strict=True)
            if (first := own[picture][0]) is not None
        }
        expected.append(int(len(firsts) > 1))
    assert index([0] * 60, *subjects)["differing"] == expected
    assert 10 < sum(expected) < 60


def overview(labels: list[int | None], *subjects: Any, classes: list[str] | None = None) -> Overview:
    manifest = {"inputs": {"images": {"classes": classes}}}
    return Overview(SimpleNamespace(**vars(study(labels)), manifest=manifest), subjects, (), ())  # type: ignore[arg-type]


def test_classes_are_called_what_the_set_or_the_outputs_are() -> None:
    outputs = ("cat", "dog", "cow", "owl")
    answers: list[Answer] = [(0, 3), (1, 1), (2, None), (3, 1)]
    labels: list[int | None] = [3, 1, None, 1]
    named = overview(labels, subject("one", answers, outputs))
    assert (named.classes, named.sizes) == (list(outputs), [0, 2, 0, 1])
    given = overview(labels, subject("one", answers, outputs), classes=["a", "b"])
    assert (given.classes, given.sizes) == (["a", "b", "2", "3"], [0, 2, 0, 1])
    others: list[Answer] = [(0, 3), (1, 0), (2, None), (3, 1)]  # a label that is not the number of its output
    assert overview(labels, subject("one", others, outputs)).classes == ["0", "1", "2", "3"]
    assert overview(labels, subject("one", [(0, None)] * 4, outputs)).classes == ["0", "1", "2", "3"]
    assert overview(labels, subject("one", answers, outputs[:3])).classes == ["0", "1", "2", "3"]
    bare = overview([None, None], subject("one", answers[:2], outputs))
    assert (bare.classes, bare.sizes) == (None, None)


def test_the_index_is_of_the_pictures_that_the_shards_have(site: Site) -> None:
    _, found = slow.read(site.contents["data/pictures/index.js"].read())
    _, rows = slow.read(site.contents["data/pictures/0.js"].read())
    assert slow.unpack(found["labels"]).tolist() == rows["labels"]
    firsts = [[outputs[:1] for outputs in own["outputs"]] for own in rows["predictions"].values()]
    differ = [int(len({one[0] for one in row if one}) > 1) for row in zip(*firsts, strict=True)]
    assert slow.unpack(found["differing"]).tolist() == differ
