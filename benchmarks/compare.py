"""What comparing all convolutions and pools of VGG-16 and AlexNet adds to the two sweeps, and the memory it takes.

Sweeps (TopPatches and Sparsity) with and without Pooled run in turn, batch by batch; then the layers are compared
over made-up representations of ``--pictures`` pictures on the disk, since values do not change the work.
Run: ``make bench``, or ``python benchmarks/compare.py [--pictures N] [--grid N] [--rounds N]``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import numpy as np
import torch
from measuring import memory, seconds

from layerscope import Network
from layerscope.compare import Pooled, Representations, Similarities, compare_layers, match_filters
from layerscope.sweep import Sparsity, TopPatches
from layerscope.sweep.one_pass import Watcher
from layerscope.sweep.reducers import Batch
from study import Times, timed
from sweep import features

NETWORKS = ("vgg16", "alexnet")
BATCH = 16
AIMS = {1: 0.1, 7: 0.3}  # of the two sweeps, by the grid
MEMORY, MATCHING = 400, 10  # MB, seconds


def swept(network: Network, grid: int, rounds: int) -> tuple[Times, Times]:
    """Seconds per picture of the sweep without and with Pooled: medians of rounds, in turn."""
    pictures = network.prepare(torch.randn(BATCH, 3, 224, 224))
    batch = Batch(np.arange(BATCH), tuple(map(str, range(BATCH))), None, 1 << 20, (224, 224))
    watchers = [Watcher(network, [TopPatches(9), Sparsity(), *extra]) for extra in ([], [Pooled(grid=grid)])]
    times: list[list[Times]] = [[], []]
    for turn in range(rounds + 1):
        for kept, watcher in zip(times, watchers, strict=True):
            taken = timed(partial(watcher.see, pictures, batch))
            if turn:  # the first prepares the convolutions
                kept.append(taken / BATCH)
    return np.median(times[0], axis=0), np.median(times[1], axis=0)


def said(share: Times) -> str:
    """Both shares of the two sweeps: others at work lengthen the clock's more than the processors'."""
    return f"{share[0]:.3f} of the sweeps on the clock, {share[1]:.3f} of the processors"


def made_up(network: Network, pictures: int, grid: int, folder: Path) -> Representations:
    """Representations of so many pictures, mapped from files."""
    random, names = np.random.default_rng(0), tuple(map(str, range(pictures)))
    layers = {}
    for target in Pooled(grid=grid).targets(network):
        shape = (pictures, grid**2, target.channels)
        path = folder / f"{network.name}-{target.name}"
        with path.open("wb") as file:
            for _ in range(pictures):
                file.write(random.random(shape[1:], np.float32).data)
        layers[target.name] = np.memmap(path, np.float32, "c", shape=shape)
    return Representations(network.name, names, layers)


@contextmanager
def most_memory() -> Iterator[list[int]]:
    """The most memory held inside, in MB, files mapped into it left out, above what was held before."""
    before, found, done = memory("RssAnon:"), [0], Event()

    def look() -> None:
        while not done.wait(0.02):
            found[0] = max(found[0], memory("RssAnon:") - before)

    watcher = Thread(target=look)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


def main() -> None:
    """Measure, print ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=512)
    parser.add_argument("--grid", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, grid {options.grid}", flush=True)
    networks = [Network.from_module(features(name), name=name).to(dtype=torch.float32) for name in NETWORKS]
    times = [swept(network, options.grid, options.rounds) for network in networks]
    bare, pooled = (sum(both) for both in zip(*times, strict=True))
    more = pooled / bare - 1
    print(f"two sweeps {bare[0] * 1e3:.0f} ms a picture; pooling adds {said(more)}", flush=True)
    with TemporaryDirectory() as place:
        one, other = (made_up(n, options.pictures, options.grid, Path(place)) for n in networks)
        found: list[Similarities] = []
        with most_memory() as most:
            taken = timed(lambda: found.append(compare_layers(one, other, procrustes=False)))
        each = taken / options.pictures / bare
        print(f"CKA of {options.pictures} pictures {taken[0]:.1f} s, {said(each)}", flush=True)
        aim = f" (aim: at most {AIMS[options.grid]})" if options.grid in AIMS else ""
        print(f"both: {said(more + each)}{aim}", flush=True)
        print(f"{most[0]} MB (aim: at most {MEMORY})", flush=True)
        matched = seconds(lambda: match_filters(found[0]))
        whole = seconds(lambda: compare_layers(one, other))
    print(f"with Procrustes {whole:.1f} s; matching all filters {matched:.1f} s (aim: at most {MATCHING})")


if __name__ == "__main__":
    main()
