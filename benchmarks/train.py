"""A training's steps beside bare ones: same module, batch, loss and optimiser, nothing else; what a checkpoint costs.

Steps of a training are those in the middle of its second and third epoch, pictures prepared by threads meanwhile; bare
ones have theirs ready. Medians, in turns. With one thread fewer than there are cores the pictures have a core of their
own. Run: ``python benchmarks/train.py``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from layerscope.images.sets import open_images
from layerscope.network.source import Options
from layerscope.train.checkpoints import save_tensors
from layerscope.train.plan import TrainOptions
from layerscope.train.recipes import RECIPES
from layerscope.train.training import train_network
from layerscope.zoo.loading import build_module

CLASSES, BATCH = 10, 64
RECIPE = replace(RECIPES["short"], epochs=3, batch=BATCH, rate=0.001)
EDGE = 5  # steps at the beginning of an epoch that are left out


def write_pictures(folder: Path, count: int, side: int) -> None:
    random = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"class{number % CLASSES}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (side, side, 3), np.uint8)).save(path)


def bare(name: str, build: Options, steps: int) -> list[float]:
    """Seconds of each of so many steps on pictures that are there already."""
    module, preprocessing = build_module(name, options=build)
    module = module.train().to(memory_format=torch.channels_last)
    pictures = torch.randn(BATCH, *preprocessing.shape).to(memory_format=torch.channels_last)
    labels = torch.arange(BATCH) % CLASSES
    optimiser = torch.optim.SGD(module.parameters(), RECIPE.rate, RECIPE.momentum, weight_decay=RECIPE.decay)
    ends = [time.perf_counter()]
    for _ in range(steps):
        optimiser.zero_grad()
        torch.autograd.backward(F.cross_entropy(module(pictures), labels, label_smoothing=RECIPE.smoothing))
        optimiser.step()
        ends.append(time.perf_counter())
    return np.diff(ends).tolist()


def trained(name: str, build: Options, folder: Path, out: Path) -> list[float]:
    """Seconds of each step in the middle of the second and third epoch."""
    images, ends = open_images(folder, labels="folders"), list[float]()
    train_network(
        name,
        images,
        out,
        options=TrainOptions(RECIPE, build, interval=1e9),
        progress=lambda _: ends.append(time.perf_counter()),
    )
    steps = len(images) // BATCH
    return [b - a for n, (a, b) in enumerate(pairwise(ends), 1) if n >= steps and n % steps >= EDGE]


def checkpoint(folder: Path) -> float:
    """Seconds to save 60 M parameters and their momentum."""
    tensors = {f"{of}{i}": torch.randn(1000, 1000) for of in ("module", "momentum") for i in range(60)}
    started = time.perf_counter()
    save_tensors(folder / "checkpoint.safetensors", tensors, {"step": 1})
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=1280)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--networks", nargs="+", default=["alexcnn", "vggcnn"])
    given = parser.parse_args()
    print(f"torch {torch.__version__}, {given.side}x{given.side}, batch {BATCH}, a quarter as wide")
    most = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_pictures(folder / "set", given.pictures, given.side)
        for name, threads in product(given.networks, dict.fromkeys((max(1, most - 1), most))):
            torch.set_num_threads(threads)
            build, steps = Options(CLASSES, width=0.25, input_size=given.side), given.pictures // BATCH
            bare(name, build, 3)
            alone, ours = list[float](), list[float]()
            for number in range(given.rounds):
                alone += bare(name, build, steps)
                ours += trained(name, build, folder / "set", folder / f"{name}{threads}-{number}")
            print(
                f"{name}, {threads} of {most} threads: a step {1e3 * median(ours):.1f} ms, bare "
                f"{1e3 * median(alone):.1f} ms: {median(ours) / median(alone):.3f}"
            )
        print(f"checkpoint of 60 M parameters: {median(checkpoint(folder) for _ in range(3)):.2f} s")


if __name__ == "__main__":
    main()
