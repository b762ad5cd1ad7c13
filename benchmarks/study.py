"""The whole default study, from JPEG files to tables and charts, beside the bare forward pass over decoded batches.

VGG-16 at 224x224, the same threads, channels-last on both sides, in turn in one process; the medians of the rounds'
ratios count, of time on the clock and of the processors' time, which other programs on the machine disturb less.
What grows with the pictures is what a study of many costs: a study of one batch, made in each round too, is taken
off, and one batch off the bare pass.
Run: ``make bench``, or ``python benchmarks/study.py [--pictures N] [--rounds N]``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision.models as tv
from growth import write_pictures

from layerscope import Network, open_images
from layerscope.pipeline import StudyOptions, make_study
from layerscope.sweep.one_pass import SweepOptions

Times = np.ndarray[tuple[int], np.dtype[np.float64]]  # seconds: on the clock, of the processors


class Contest:
    """Both contestants, with the same weights."""

    def __init__(self, name: str, dtype: torch.dtype, batch: int) -> None:
        torch.manual_seed(0)
        module = tv.get_model(name, weights=None).eval().requires_grad_(False).to(dtype)
        self.network = Network.from_module(module, name=name)
        self.bare = module.to(memory_format=torch.channels_last)
        self.pictures = self.network.prepare(torch.randn(batch, 3, 224, 224))
        self.options = StudyOptions(sweep=SweepOptions(batch=batch))

    def run_bare(self, batches: int) -> None:
        """So many batches, forward."""
        with torch.inference_mode():
            for _ in range(batches):
                self.bare(self.pictures)

    def run_study(self, pictures: Path) -> None:
        """A study of all the pictures, written to disk."""
        with tempfile.TemporaryDirectory() as out:
            make_study([self.network], open_images(pictures), Path(out, "study"), options=self.options)


def timed(work: Callable[[], object]) -> Times:
    """Seconds of one call."""
    clock, processors = time.perf_counter(), time.process_time()
    work()
    return np.array([time.perf_counter() - clock, time.process_time() - processors])


def measure(contest: Contest, few: Path, many: Path, rounds: int) -> dict[str, Times]:
    """Medians over the rounds: of the ratio as a whole, and of the ratio of what grows with the pictures."""
    batch = len(contest.pictures)
    batches = len(list(many.iterdir())) // batch
    contest.run_bare(1)
    contest.run_study(few)
    found: dict[str, list[Times]] = {"as a whole": [], "each picture more": []}
    for _ in range(rounds):
        one, all_bare = timed(lambda: contest.run_bare(1)), timed(lambda: contest.run_bare(batches))
        start, whole = timed(lambda: contest.run_study(few)), timed(lambda: contest.run_study(many))
        found["as a whole"].append(whole / all_bare)
        found["each picture more"].append((whole - start) / (all_bare - one))
    return {what: np.median(ratios, axis=0) for what, ratios in found.items()}


def main() -> None:
    """Measure in turn, print medians of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--network", default="vgg16")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    options = parser.parse_args()
    if options.pictures % options.batch or options.pictures == options.batch:
        parser.error("--pictures must be a multiple of --batch, and more")
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.pictures} JPEG files, 500x375"
    )
    with tempfile.TemporaryDirectory() as folder:
        few, many = (write_pictures(Path(folder), count) for count in (options.batch, options.pictures))
        for dtype in options.dtypes:
            contest = Contest(options.network, getattr(torch, dtype), options.batch)
            for what, (clock, processors) in measure(contest, few, many, options.rounds).items():
                print(
                    f"{options.network} {dtype} study / bare, {what}: {clock:.3f} on the clock, "
                    f"{processors:.3f} of the processors",
                    flush=True,
                )


if __name__ == "__main__":
    main()
