"""What a training reads and computes with: sets of every kind teach the same, in either precision."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from layerscope.images.sets import ImageSet, open_images
from layerscope.train.plan import TrainOptions
from layerscope.train.recipes import RECIPES
from layerscope.train.training import train_network
from tests.support.image_sources import shard
from tests.train.test_training import options, small


def learned(images: ImageSet, out: Path, given: TrainOptions) -> dict[str, torch.Tensor]:
    return load_file(train_network(small(), images, out, options=given).weights)


def test_a_list_and_shards_teach_what_folders_do(folder: Path, images: ImageSet, tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    files = sorted(folder.glob("*/*.png"))
    names = sorted({path.parent.name for path in files})
    (tmp_path / "list.txt").write_text("".join(f"{path}\t{path.parent.name}\n" for path in files))
    halves: tuple[dict[str, bytes], ...] = ({}, {})
    for number, path in enumerate(files):
        own = halves[number * 2 // len(files)]
        own |= {
            f"{number:02d}.png": path.read_bytes(),
            f"{number:02d}.cls": str(names.index(path.parent.name)).encode(),
        }
    packed = open_images([shard(tmp_path / f"{n}.tar", half) for n, half in enumerate(halves)])
    expected = learned(images, tmp_path / "folders", options())
    for name, other in (("list", open_images(tmp_path / "list.txt")), ("shards", packed)):
        found = learned(other, tmp_path / name, options())
        assert all(torch.equal(found[key], expected[key]) for key in expected), name


def test_bfloat16_computes_roughly_what_float32_does(images: ImageSet, tmp_path: Path) -> None:
    full = learned(images, tmp_path / "full", options())
    half = learned(images, tmp_path / "half", options(dtype=torch.bfloat16))
    weights = [key for key, values in full.items() if values.is_floating_point()]
    assert all(half[key].dtype == torch.float32 for key in weights)
    assert any(not torch.equal(half[key], full[key]) for key in weights)
    for key in weights:
        torch.testing.assert_close(half[key], full[key], rtol=0.05, atol=0.02)


def test_the_paper_s_recipe_falls_in_steps(images: ImageSet, tmp_path: Path) -> None:
    recipe = replace(RECIPES["paper"], epochs=9, batch=6)
    log = train_network(small(), images, tmp_path / "out", options=options(recipe=recipe)).log
    rates = [0.01] * 3 + [0.001] * 3 + [0.0001] * 2 + [0.00001]
    assert log["rate"].to_pylist() == pytest.approx(rates)
    assert recipe.smoothing == 0
