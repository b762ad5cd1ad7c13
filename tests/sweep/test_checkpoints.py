"""Shard states on the disk: the same bits back, the same bytes again, one line for what is damaged."""

import io
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from layerscope.errors import StudyError
from layerscope.sweep.checkpoints import Checkpoints, Shard, encode
from layerscope.sweep.one_pass import ShardResult

SHARD = Shard(12, range(48, 51))
RESULT = ShardResult(
    {
        ("top/patches", "layer1.0@2"): {
            "values": np.array([[1.5, -0.0]], np.float32),
            "rows": np.empty((0, 2), int),
        },
        ("sums", "c1"): {"sum": np.array(3, np.uint64)},
        ("sums", "c2"): {},
    },
    {"index": np.array([48, 49, 50]), "reason": np.array(["", "ü", "no picture"])},
)


def store(folder: Path, study: str = "abc") -> Checkpoints:
    return Checkpoints(folder / "work" / "net", study)


def test_a_result_comes_back(tmp_path: Path) -> None:
    assert not store(tmp_path).has(SHARD)
    store(tmp_path).save(SHARD, RESULT)
    assert store(tmp_path).has(SHARD)
    back = store(tmp_path).load(SHARD)
    assert list(back.states) == list(RESULT.states)
    for one, other in zip(
        [*RESULT.states.values(), RESULT.pictures], [*back.states.values(), back.pictures], strict=True
    ):
        assert list(one) == list(other)
        for name, array in one.items():
            assert other[name].dtype == array.dtype
            assert other[name].tobytes() == array.tobytes()
            assert other[name].shape == array.shape


def test_numpy_alone_reads_it(tmp_path: Path) -> None:
    store(tmp_path).save(SHARD, RESULT)
    with np.load(tmp_path / "work" / "net" / "shard-00012.npz", allow_pickle=False) as file:
        assert file["0"].tolist() == [[1.5, -0.0]]
        assert bytes(file["about"]).startswith(b'{"belongs": {"study": "abc"')


def test_same_result_same_bytes() -> None:
    first = bytes(encode(RESULT, {}))
    time.sleep(2.1)  # longer than the coarsest clock of an archive
    assert bytes(encode(RESULT, {})) == first
    assert bytes(encode(RESULT, {"other": 1})) != first


def test_the_archive_holds_the_result_alone() -> None:
    """The bytes that numpy's own writer gives, whose options would be stored as arrays by older ones."""
    arrays = [*(a for state in RESULT.states.values() for a in state.values()), *RESULT.pictures.values()]
    found = bytes(encode(RESULT, {}))
    with np.load(io.BytesIO(found), allow_pickle=False) as file:
        assert file.files == ["about", *map(str, range(len(arrays)))]
        expected = io.BytesIO()
        np.savez(expected, **{name: file[name] for name in file.files})
    assert found == expected.getvalue()


def test_of_another_study_or_other_pictures(tmp_path: Path) -> None:
    store(tmp_path).save(SHARD, RESULT)
    for other, shard in ((store(tmp_path, "other"), SHARD), (store(tmp_path), Shard(12, range(48, 52)))):
        with pytest.raises(StudyError, match=r"shard-00012.npz belongs to other pictures"):
            other.load(shard)


def test_every_truncation_and_every_changed_byte_is_one_line(tmp_path: Path) -> None:
    """A changed byte may go unseen only where the archive says nothing that we read: then the result is the same."""
    store(tmp_path).save(SHARD, RESULT)
    path = store(tmp_path).path(SHARD)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(StudyError, match=r"is damaged: .*; remove it") as caught:
            store(tmp_path).load(SHARD)
        assert "\n" not in str(caught.value)
    unseen = 0
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            found = store(tmp_path).load(SHARD)
        except StudyError:
            continue
        unseen += 1
        assert bytes(encode(found, {})) == bytes(encode(RESULT, {}))
    assert unseen < len(whole) / 3 / 4


def test_pickles_are_refused(tmp_path: Path) -> None:
    store(tmp_path).save(SHARD, RESULT)
    path = store(tmp_path).path(SHARD)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    pickled = io.BytesIO()
    np.save(pickled, np.array([{"a": 1}], object), allow_pickle=True)
    with zipfile.ZipFile(path, "w") as file:
        for name, data in {**members, "0.npy": pickled.getvalue()}.items():
            file.writestr(name, data)
    with pytest.raises(StudyError, match=r"is damaged: .*pickle"):
        store(tmp_path).load(SHARD)


@pytest.mark.parametrize("value", [[1, 2], np.array([{}])], ids=["list", "objects"])
def test_only_plain_arrays_are_states(value: object) -> None:
    bad = ShardResult({("own", "c1"): {"all": value}}, RESULT.pictures)  # type: ignore[dict-item]
    with pytest.raises(
        StudyError, match=r"'all' in the state of reducer own at c1 is (list|object); states are"
    ):
        encode(bad, {})
