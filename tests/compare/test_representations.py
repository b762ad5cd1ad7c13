"""Representations gathered in any split, killed and gone on, are the same bytes; what cannot be gathered is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from layerscope.compare.pooled import Pooled
from layerscope.compare.representations import Representations, gather_representations
from layerscope.compare.similarity import compare_layers
from layerscope.errors import ComparisonError, LayerscopeError, NetworkError
from layerscope.images.decoding import load_image
from layerscope.images.sets import open_images
from layerscope.progress import Progress
from layerscope.sweep.checkpoints import Shard
from layerscope.sweep.engine import Advance, Finished, Job, Local
from layerscope.sweep.one_pass import SweepOptions
from tests.support.studies import SETTINGS, bytes_of, small, write_pictures
from tests.support.watching import layer_batch


class Cut(Local):
    """Stops after so many shards."""

    def __init__(self, shards: int) -> None:
        object.__setattr__(self, "shards", shards)

    def run(self, job: Job, shards: list[Shard], advance: Advance) -> Finished:  # type: ignore[override]
        yield from super().run(job, shards[: self.__dict__["shards"]], advance)
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("compared") / "pictures", 11, (5,))


@pytest.mark.parametrize("grid", [1, 3])
def test_what_is_kept_are_means_of_the_representations(pictures: Path, tmp_path: Path, grid: int) -> None:
    network, images = small("alexcnn"), open_images(pictures)
    (found,) = gather_representations(
        [network], images, tmp_path, pooled=Pooled(grid=grid), settings=SETTINGS
    )
    assert found.pictures == tuple(name for name in images.names if name != "005.png")
    inputs = torch.stack(
        [network.preprocessing.apply(load_image(pictures / name)) for name in found.pictures]
    )
    for layer, values in network.representations(inputs, found.layers).items():
        maps = values if values.ndim == 4 else values[..., None, None]
        cells = torch.nn.functional.adaptive_avg_pool2d(maps, grid).flatten(2).movedim(1, 2)
        assert found.layers[layer] == pytest.approx(cells.numpy(), abs=1e-5)


def test_any_split_and_any_interruption_give_the_same_bytes(pictures: Path, tmp_path: Path) -> None:
    networks, images = [small("alexcnn"), small("vggcnn")], open_images(pictures)
    whole = gather_representations(networks, images, tmp_path / "whole", settings=SETTINGS)
    others = SweepOptions(batch=2, shard=10, workers=2)
    other = gather_representations(networks, images, tmp_path / "other", settings=others)
    for shards in (0, 2, 2):
        with pytest.raises(KeyboardInterrupt):
            gather_representations(networks, images, tmp_path / "cut", settings=SETTINGS, engine=Cut(shards))
    told: list[Progress] = []
    again = gather_representations(
        networks, images, tmp_path / "cut", settings=SETTINGS, progress=told.append
    )
    assert told[0].detail == "11 of 22 pictures"
    assert told[-1].share == 1
    assert bytes_of(tmp_path / "cut") == bytes_of(tmp_path / "whole")
    for one, split in zip(
        whole, other, strict=True
    ):  # torch's own products of 2 rows depend on the row: no fc
        maps = [name for name in one.layers if name[0] in "cp"]
        assert len(maps) >= 8
        assert all(one.layers[name].tobytes() == split.layers[name].tobytes() for name in maps)
    assert compare_layers(*again).table.equals(compare_layers(*whole).table)
    assert len(bytes_of(tmp_path / "cut")) == 2 + len(networks[0].layers) + len(networks[1].layers)


def test_two_runs_of_one_network_match_layer_by_layer(pictures: Path, tmp_path: Path) -> None:
    images = open_images(pictures)
    runs = [gather_representations([small("vggcnn")], images, tmp_path / name)[0] for name in "ab"]
    found = compare_layers(*runs)
    assert found.best == {layer: layer for layer in runs[0].layers if found.best[layer] is not None}


def test_a_finished_folder_is_read_without_a_pass(pictures: Path, tmp_path: Path) -> None:
    images = open_images(pictures)
    (first,) = gather_representations([small()], images, tmp_path, settings=SETTINGS)
    (second,) = gather_representations([small()], images, tmp_path, settings=SETTINGS, engine=Cut(0))
    assert all(np.array_equal(first.layers[name], second.layers[name]) for name in first.layers)


def test_what_cannot_be_gathered_is_refused(pictures: Path, tmp_path: Path) -> None:
    images = open_images(pictures)
    with pytest.raises(ComparisonError, match="give each its own name"):
        gather_representations([small(), small()], images, tmp_path / "a")
    with pytest.raises(ComparisonError, match="called nothing"):
        gather_representations([], images, tmp_path / "a")
    with pytest.raises(ComparisonError, match=r"holds other files \(000.png\)"):
        gather_representations([small()], images, pictures)
    gather_representations([small()], images, tmp_path / "b", settings=SETTINGS)
    with pytest.raises(ComparisonError, match="was begun with other networks"):
        gather_representations([small()], images, tmp_path / "b", pooled=Pooled(grid=2), settings=SETTINGS)
    bad = open_images(write_pictures(tmp_path / "bad", 2, (0, 1)))
    with pytest.raises(ComparisonError, match="none of the 2 pictures can be read"):
        gather_representations([small()], bad, tmp_path / "c")
    with pytest.raises(LayerscopeError, match="ask for at least 1"):
        Pooled(grid=0)
    largest = max((tmp_path / "b" / "0").iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-4])
    with pytest.raises(ComparisonError, match="is damaged"):
        gather_representations([small()], images, tmp_path / "b", settings=SETTINGS)


@pytest.mark.parametrize("grid", [1, 2])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_refused_while_the_network_runs(grid: int, value: float) -> None:
    maps = torch.rand(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    maps[1, 2, 0, 3] = value
    with pytest.raises(NetworkError, match=r"layer gives NaN.* for 'picture 1'"):
        Pooled(grid=grid).update(None, layer_batch(maps, 0, reducer=Pooled(grid=grid)))


def test_layers_of_one_position_take_no_memory_for_the_others() -> None:
    one = Representations("n", ("a",), {"map": np.ones((1, 9, 2), "f4"), "vector": np.ones((1, 1, 4), "f4")})
    assert one.positions == 9
    assert one.channels == 6
    assert one.layers["vector"].strides[1] == 0
