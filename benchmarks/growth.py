"""How the time and the memory of a whole study grow with the number of pictures: time linear, memory flat.

`sweep_study` of AlexNet (random values cost as much as trained ones) with what a study holds unless told otherwise,
from JPEG files to the finished folder; each number of pictures in a process of its own.
Run: ``python benchmarks/growth.py [--counts 250 500 1000 2000] [--network NAME] [--rounds N]``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from measuring import memory
from PIL import Image

FILES = 12


def write_pictures(folder: Path, count: int) -> Path:
    """A folder with this many names for a dozen JPEG files, 500x375, of noise at several scales."""
    chance = np.random.default_rng(0)
    named = folder / str(count)
    named.mkdir()
    for number in range(count):
        place = named / f"{number:06d}.jpg"
        if number < FILES:
            Image.fromarray(noise(chance)).save(place, quality=90)
        else:
            os.link(named / f"{number % FILES:06d}.jpg", place)
    return named


def noise(chance: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A picture that is neither smooth nor white, as photographs are not: noise of five sizes, added up."""
    total = np.zeros((375, 500, 3))
    for size in (2, 6, 18, 54, 162):
        grains = Image.fromarray(chance.integers(0, 256, (size, size, 3), np.uint8))
        total += np.asarray(grains.resize((500, 375), Image.Resampling.BICUBIC))
    return (total / 5).astype(np.uint8)


def study(folder: Path, network: str) -> dict[str, float]:
    """Seconds of one study, and the memory held, in MB: when it begins, and the most until it is finished."""
    from layerscope import load_network, open_images
    from layerscope.sweep.making import sweep_study
    from layerscope.sweep.standard import standard_reducers

    loaded = load_network(network, "random")
    before = memory("VmRSS:")
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        made = sweep_study([loaded], open_images(folder), standard_reducers(), Path(out, "study"))
        seconds = time.perf_counter() - start
        pictures = made.manifest["images"]
    if pictures != {"description": str(folder), "count": len(list(folder.iterdir())), "bad": 0}:
        raise SystemExit(f"the study is not of all the pictures: {pictures}")
    return {"seconds": seconds, "before": before, "peak": memory("VmHWM:")}


def in_own_process(folder: Path, network: str) -> dict[str, float]:
    """One study, in a fresh program."""
    command = [sys.executable, __file__, "--network", network, "--only", str(folder)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, float] = json.loads(said.splitlines()[-1])
    return figures


def measure(options: argparse.Namespace) -> dict[int, dict[str, float]]:
    """Medians over the rounds, by number of pictures; in each round every number in turn."""
    with tempfile.TemporaryDirectory() as folder:
        folders = {count: write_pictures(Path(folder), count) for count in options.counts}
        rounds = [
            {count: in_own_process(place, options.network) for count, place in folders.items()}
            for _ in range(options.rounds)
        ]
    return {
        count: {
            what: statistics.median(figures[count][what] for figures in rounds) for what in rounds[0][count]
        }
        for count in folders
    }


def report(found: dict[int, dict[str, float]]) -> None:
    """The table, and the straight line through each of its columns."""
    print(f"{'pictures':>8} {'seconds':>9} {'ms a picture':>13} {'MB before':>10} {'MB at most':>11}")
    for count, row in found.items():
        each = 1000 * row["seconds"] / count
        print(f"{count:8} {row['seconds']:9.2f} {each:13.2f} {row['before']:10.0f} {row['peak']:11.0f}")
    counts = list(found)
    start, slope, off = line(counts, [row["seconds"] for row in found.values()])
    print(f"time: {start:.2f} s + {1000 * slope:.2f} ms a picture; the line is off by at most {off:.1%}")
    start, slope, off = line(counts, [row["peak"] for row in found.values()])
    print(f"memory: {start:.0f} MB + {1000 * slope:.1f} MB per 1000 pictures; off by at most {off:.1%}")


def line(counts: Sequence[int], values: Sequence[float]) -> tuple[float, float, float]:
    """The least-squares line: its start, its slope, and the largest share by which a value is off it."""
    slope, start = np.polyfit(counts, values, 1)
    drawn = start + slope * np.array(counts)
    return float(start), float(slope), float(np.abs(drawn / np.array(values) - 1).max())


def main() -> None:
    """Measure every number of pictures, print the table and the lines; or make one study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[250, 500, 1000, 2000])
    parser.add_argument("--network", default="alexnet")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(study(options.only, options.network)))
        return
    if len(set(options.counts)) < 2 or min(options.counts) < 1:
        parser.error("--counts needs two different numbers of pictures, or more, for a line")
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.network}, JPEG files, 500x375"
    )
    report(measure(options))


if __name__ == "__main__":
    main()
