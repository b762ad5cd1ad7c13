"""The values that whole-layer reconstructions show."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from layerscope.explorer.reconstruction_shards import has_reconstructions, reconstruction_shard
from layerscope.explorer.subjects import Subject
from tests.oracles.explorer import shards as slow


def _subject(rows: list[tuple[int, str, float]], layers: list[str] | None) -> Subject:
    names = ("picture", "layer", "white")
    table = pa.Table.from_pylist(
        [dict(zip(names, row, strict=True)) for row in rows],
        pa.schema({"picture": pa.int64(), "layer": pa.string(), "white": pa.float64()}),
    )
    results = SimpleNamespace(results={"pages/reconstructions"}, table=lambda name: table)
    about: dict[str, Any] = {"strip": layers and {"layers": layers}}
    return cast(Subject, SimpleNamespace(results=results, about=about))


def test_each_value_stands_at_its_picture_and_layer() -> None:
    rows = [(9, "c2", 4.0), (3, "c1", 1.5), (9, "c1", 3.0), (3, "c2", 2.5), (3, "gone", 7.0)]
    found = reconstruction_shard(_subject(rows, ["c1", "c2"]))
    assert (found["pictures"], found["layers"]) == ([3, 9], ["c1", "c2"])
    np.testing.assert_array_equal(slow.unpack(found["white"]), [[1.5, 2.5], [3.0, 4.0]])


def test_what_is_not_drawn_is_zero() -> None:
    found = reconstruction_shard(_subject([(0, "c1", 1.5), (1, "c2", 2.5)], ["c1", "c2"]))
    np.testing.assert_array_equal(slow.unpack(found["white"]), [[1.5, 0], [0, 2.5]])


@pytest.mark.parametrize(("layers", "there"), [(["c1"], True), (None, False)])
def test_there_are_values_where_there_are_strips(layers: list[str] | None, there: bool) -> None:
    assert has_reconstructions(_subject([], layers)) is there
