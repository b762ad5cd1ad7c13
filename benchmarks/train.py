"""A training beside its bare steps: same module, batches and optimiser, nothing else; and what a checkpoint costs.

Run: ``python benchmarks/train.py``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from layerscope.images.sets import open_images
from layerscope.network.source import Options
from layerscope.train.checkpoints import Checkpoint
from layerscope.train.plan import TrainOptions
from layerscope.train.recipes import RECIPES
from layerscope.train.training import train_network
from layerscope.zoo.loading import build_module

CLASSES, SIDE, BATCH = 10, 64, 64


def write_pictures(folder: Path, count: int) -> None:
    random = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"class{number % CLASSES}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (SIDE, SIDE, 3), np.uint8)).save(path)


def bare(name: str, build: Options, steps: int) -> float:
    """Seconds of so many steps on pictures that are there already."""
    module, preprocessing = build_module(name, options=build)
    module = module.train().to(memory_format=torch.channels_last)
    pictures = torch.randn(BATCH, *preprocessing.shape).to(memory_format=torch.channels_last)
    labels = torch.arange(BATCH) % CLASSES
    optimiser = torch.optim.SGD(module.parameters(), 0.001, 0.9, weight_decay=5e-4)
    started = time.perf_counter()
    for _ in range(steps):
        optimiser.zero_grad()
        torch.autograd.backward(F.cross_entropy(module(pictures), labels))
        optimiser.step()
    return time.perf_counter() - started


def trained(name: str, build: Options, folder: Path, out: Path) -> float:
    images = open_images(folder, labels="folders")
    recipe = replace(RECIPES["short"], epochs=1, batch=BATCH, rate=0.001)
    started = time.perf_counter()
    train_network(name, images, out, options=TrainOptions(recipe, build, interval=1e9))
    return time.perf_counter() - started


def checkpoint(folder: Path) -> float:
    """Seconds to save 60 M parameters and their momentum."""
    tensors = {f"part{i}": torch.randn(1000, 1000) for i in range(60)}
    momentum = {name: tensor.clone() for name, tensor in tensors.items()}
    started = time.perf_counter()
    Checkpoint(tensors, momentum, {"step": 1}).save(folder / "checkpoint.safetensors")
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=1280)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {SIDE}x{SIDE}, batch {BATCH}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_pictures(folder / "set", given.pictures)
        for name in ("alexcnn", "vggcnn"):
            build, steps = Options(CLASSES, width=0.25, input_size=SIDE), given.pictures // BATCH
            bare(name, build, 3)
            ratios = []
            for number in range(given.rounds):
                whole = trained(name, build, folder / "set", folder / f"{name}{number}")
                ratios.append(whole / bare(name, build, steps))
            print(
                f"{name}, a quarter as wide: {median(ratios):.3f} of the bare steps, set-up and weights included"
            )
        print(f"checkpoint of 60 M parameters: {median(checkpoint(folder) for _ in range(3)):.2f} s")


if __name__ == "__main__":
    main()
