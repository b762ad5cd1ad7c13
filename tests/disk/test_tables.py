"""Files of a study: whole or not at all, the same bytes for the same content, one line when they are damaged."""

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from layerscope.disk import tables
from layerscope.disk.tables import measure, publish, publish_content, read_array, read_json, read_table
from layerscope.errors import StudyError

TABLE = pa.table({"name": ["a", "ü", None], "value": np.array([1.5, np.nan, -0.0], np.float32)})
ARRAYS = (
    np.arange(6, dtype=np.int64).reshape(2, 3),
    np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
    np.array(3.5),
    np.zeros((0, 4), np.uint8),
    np.array(["", "one", "ü"]),
    np.arange(8, dtype=">i4")[::2],
)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{list(array.shape)}")
def test_an_array_comes_back(tmp_path: Path, array: tables.Array) -> None:
    path, written = publish_content(tmp_path / "deep" / "one", array)
    back = np.load(path, allow_pickle=False)  # numpy alone reads it
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    assert back.flags.c_contiguous
    assert measure(path) == written == tables.Written(path.stat().st_size, written.sha256)
    assert tables.shape_of(path) == {"shape": list(array.shape), "dtype": str(array.dtype)}


def test_an_array_is_mapped(tmp_path: Path) -> None:
    path, _ = publish_content(tmp_path / "one", ARRAYS[0])
    assert isinstance(read_array(path), np.memmap)
    assert not read_array(path).flags.writeable


def test_a_table_comes_back(tmp_path: Path) -> None:
    path, _ = publish_content(tmp_path / "v1.2", TABLE)
    assert path.name == "v1.2.parquet"
    assert read_table(path).to_pydict()["name"] == ["a", "ü", None]
    assert pq.read_table(path).schema == TABLE.schema
    assert tables.shape_of(path) == {"rows": 3, "columns": ["name", "value"]}


def test_same_content_same_bytes(tmp_path: Path) -> None:
    first = [publish_content(tmp_path / "one" / str(i), c)[1] for i, c in enumerate((TABLE, *ARRAYS))]
    time.sleep(2.1)  # longer than the coarsest clock of a file system or an archive
    again = [publish_content(tmp_path / "two" / str(i), c)[1] for i, c in enumerate((TABLE, *ARRAYS))]
    assert first == again


def test_interrupted_while_writing(tmp_path: Path) -> None:
    def pieces() -> list[bytes]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path / "one", (piece for _ in range(1) for piece in pieces()))
    assert list(tmp_path.iterdir()) == []


def test_python_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="one holds Python objects"):
        publish_content(tmp_path / "one", np.array([{}]))
    np.save(tmp_path / "bad.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(StudyError, match=r"bad.npy is damaged"):
        read_array(tmp_path / "bad.npy")


@pytest.mark.parametrize("content", [TABLE, ARRAYS[0]], ids=["table", "array"])
def test_truncated_anywhere_is_one_line(tmp_path: Path, content: tables.Content) -> None:
    path, _ = publish_content(tmp_path / "one", content)
    read = read_table if path.suffix == ".parquet" else read_array
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(StudyError, match=r"one.* is damaged") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_missing_and_damaged_json(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is missing"):
        read_json(tmp_path / "a.json")
    for text in ("[1]", "{", "\udcff"):
        (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(StudyError, match="is damaged"):
            read_json(tmp_path / "a.json")
