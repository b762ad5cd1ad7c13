"""The whole pass with TopPatches (k = 9) and Sparsity on all layers, beside the bare forward pass.

VGG-16's and AlexNet's convolutions and pools on batches already decoded, channels-last, the same threads, in-place
ReLU on both sides; the two run in turn, in one process, and the median of the rounds' ratios counts.
Run: ``make bench``, or ``python benchmarks/sweep.py [--batch N] [--rounds N] [--networks vgg16 alexnet]``.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import numpy as np
import torch
import torchvision.models as tv
from measuring import seconds
from torch import Tensor, nn

from layerscope import Network
from layerscope.sweep.channel_statistics import ChannelStatistics, Sparsity
from layerscope.sweep.one_pass import Watcher
from layerscope.sweep.reducers import Batch
from layerscope.sweep.top_patches import TopPatches


def features(name: str) -> nn.Module:
    """Convolutions and pools: random values cost as much as trained ones."""
    torch.manual_seed(0)
    part = tv.get_model(name, weights=None).features.eval()
    assert isinstance(part, nn.Module)
    return part.requires_grad_(False)


class Contest:
    """The contestants on the same pictures: bare, watched (the two reducers), and with all statistics too."""

    def __init__(self, name: str, dtype: torch.dtype, batch: int) -> None:
        module = features(name)
        network = Network.from_module(module, name=name).to(dtype=dtype)
        self.bare = module.to(dtype).to(memory_format=torch.channels_last)
        self.watcher = Watcher(network, [TopPatches(9), Sparsity()])
        self.statistician = Watcher(network, [TopPatches(9), Sparsity(), ChannelStatistics()])
        self.pictures = network.prepare(torch.randn(batch, 3, 224, 224))
        self.seen = 0

    def run_bare(self) -> Tensor:
        with torch.inference_mode():
            result: Tensor = self.bare(self.pictures)
        return result

    def run_watched(self) -> None:
        self.watcher.see(self.pictures, self._next())

    def run_statistics(self) -> None:
        self.statistician.see(self.pictures, self._next())

    def _next(self) -> Batch:
        index = np.arange(self.seen, self.seen + len(self.pictures))
        self.seen += len(self.pictures)
        return Batch(index, tuple(map(str, index)), None, 1 << 20, (224, 224))


def measure(name: str, dtype: torch.dtype, options: argparse.Namespace) -> None:
    """Print pictures per second and what the reducers cost, as medians over the rounds."""
    contest = Contest(name, dtype, options.batch)
    runs: dict[str, Callable[[], object]] = {"bare": contest.run_bare, "watched": contest.run_watched}
    if options.statistics:
        runs["statistics"] = contest.run_statistics
    for work in runs.values():
        work()  # compiles, and fills the lists: what later batches cost is what counts
    times: dict[str, list[float]] = {run: [] for run in runs}
    for _ in range(options.rounds):
        for run, work in runs.items():
            times[run].append(seconds(work))
    for run, taken in times.items():
        rate = options.batch / statistics.median(taken)
        ratio = statistics.median(one / bare for one, bare in zip(taken, times["bare"], strict=True))
        print(f"{name} {dtype} {run:<10} {rate:7.2f} pictures/s, {ratio:.3f} of bare", flush=True)


def main() -> None:
    """Measure in turn, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--networks", nargs="+", default=["vgg16", "alexnet"])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--statistics", action="store_true", help="ChannelStatistics of all layers too")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {options.batch}, 224x224")
    for name in options.networks:
        for dtype in options.dtypes:
            measure(name, getattr(torch, dtype), options)


if __name__ == "__main__":
    main()
