"""A training's steps beside bare ones: same module, loss and optimiser, nothing else; what a checkpoint costs.

In turns: some steps of a training, pictures prepared by threads meanwhile, then as many bare ones of its own module on
batches that are there already, so that what else the machine does, and where a module lies in memory, meets both. With
one thread fewer than there are cores the pictures have a core of their own. Decoding is left out: pictures stay from
the first epoch on. Run: ``python benchmarks/train.py``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from itertools import cycle, islice, pairwise, product
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from layerscope.images.sets import ImageSet, open_images
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Options
from layerscope.progress import Progress
from layerscope.train.batches import Batches
from layerscope.train.checkpoints import save_tensors
from layerscope.train.plan import TrainOptions
from layerscope.train.recipes import RECIPES
from layerscope.train.training import train_network
from layerscope.zoo.loading import build_module

CLASSES, BATCH = 10, 64
RECIPE = replace(RECIPES["short"], batch=BATCH, rate=0.001)
EDGE = 5  # steps at the beginning of an epoch that are left out
TURN = 5  # steps of each side
SETTLE = 3  # bare steps that are left out while threads still prepare what the training goes on with


def write_pictures(folder: Path, count: int, side: int) -> None:
    random = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"class{number % CLASSES}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (side, side, 3), np.uint8)).save(path)


class Turns:
    """Called after each step of a training; seconds of a step of either side in each turn."""

    def __init__(self, images: ImageSet, preprocessing: Preprocessing) -> None:
        self.ready = list(Batches(images, preprocessing, BATCH, seed=0).epoch(0))
        self.module: nn.Module | None = None
        self.steps, self.turn, self.ended = 0, list[float](), 0.0
        self.ours, self.bare = list[float](), list[float]()

    def __call__(self, _: Progress) -> None:
        now = time.perf_counter()
        self.steps += 1
        epoch, place = divmod(self.steps, len(self.ready))
        self.turn = [*self.turn, now - self.ended] if epoch and place >= EDGE else []
        if len(self.turn) == TURN:
            self.ours.append(median(self.turn))
            self.bare.append(median(self._bare()))
            self.turn = []
        self.ended = time.perf_counter()

    def _bare(self) -> list[float]:
        assert self.module is not None
        ends = list[float]()
        for batch in islice(self.batches, SETTLE + TURN):
            self.optimiser.zero_grad()
            scores = self.module(batch.pictures)
            torch.autograd.backward(F.cross_entropy(scores, batch.labels, label_smoothing=RECIPE.smoothing))
            self.optimiser.step()
            ends.append(time.perf_counter())
        return [b - a for a, b in pairwise(ends)][SETTLE - 1 :]

    def note(self, module: nn.Module) -> None:
        """Called before each pass of a module: the last one that is new is the one that is trained."""
        if module is not self.module:
            self.module, self.batches = module, cycle(self.ready)
            self.optimiser = torch.optim.SGD(
                module.parameters(), RECIPE.rate, RECIPE.momentum, weight_decay=RECIPE.decay
            )


def in_turns(name: str, images: ImageSet, side: int, epochs: int, out: Path) -> Turns:
    """Train for so many epochs, the first of which is not looked at."""
    module, preprocessing = build_module(name, options=Options(CLASSES, width=0.25, input_size=side))
    turns = Turns(images, preprocessing)
    module.register_forward_pre_hook(lambda own, _: turns.note(own))  # a method would be copied with it
    options = TrainOptions(replace(RECIPE, epochs=epochs), Options(input_size=side), interval=1e9)
    train_network(module, images, out, options=options, progress=turns)
    return turns


def checkpoint(folder: Path) -> float:
    """Seconds to save 60 M parameters and their momentum."""
    tensors = {f"{of}{i}": torch.randn(1000, 1000) for of in ("module", "momentum") for i in range(60)}
    started = time.perf_counter()
    save_tensors(folder / "checkpoint.safetensors", tensors, {"step": 1})
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=1280)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--networks", nargs="+", default=["alexcnn", "vggcnn"])
    given = parser.parse_args()
    if given.epochs < 2 or given.pictures < BATCH * (EDGE + TURN):
        parser.error(f"give at least 2 epochs and {BATCH * (EDGE + TURN)} pictures")
    print(f"torch {torch.__version__}, {given.side}x{given.side}, batch {BATCH}, a quarter as wide")
    most = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_pictures(folder / "set", given.pictures, given.side)
        images = open_images(folder / "set", labels="folders")
        for name, threads in product(given.networks, dict.fromkeys((max(1, most - 1), most))):
            torch.set_num_threads(threads)
            turns = in_turns(name, images, given.side, given.epochs, folder / f"{name}{threads}")
            ratios = [ours / bare for ours, bare in zip(turns.ours, turns.bare, strict=True)]
            low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
            print(
                f"{name}, {threads} of {most} threads: a step {1e3 * median(turns.ours):.1f} ms, bare "
                f"{1e3 * median(turns.bare):.1f} ms; {middle:.3f} in the middle of {len(ratios)} turns (half of them "
                f"{low:.3f} to {high:.3f})",
                flush=True,
            )
        print(f"checkpoint of 60 M parameters: {median(checkpoint(folder) for _ in range(3)):.2f} s")


if __name__ == "__main__":
    main()
