"""Whole-layer reconstruction of VGG-16, ours beside Captum's and beside the bare convolutions.

All 13 convolutions and 5 pools, 224x224 or --size (32 or more), batch 8, the same threads; what is compared runs in
turn, in one run.
Run: ``make bench``, or ``python benchmarks/reconstruct.py [--batch N] [--rounds N] [--size N]``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from measuring import memory, seconds, vgg16_trunk
from torch import Tensor, nn

from layerscope import Network, Preprocessing, reconstruct

warnings.filterwarnings("ignore", module="captum")

CONTESTANTS = ("ours-float32", "ours-bfloat16", "captum")
PAIRS = (
    ("ours-float32", "captum"),
    ("ours-bfloat16", "captum"),
    ("ours-float32", "bare-float32"),
    ("ours-bfloat16", "bare-bfloat16"),
)


class Projected(nn.Module):
    """A network up to a layer, whose score is the layer's whole representation against itself."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, pictures: Tensor) -> Tensor:
        values: Tensor = self.body(pictures)
        return (values * values.detach()).flatten(1).sum(1)


def ends(features: nn.Sequential) -> list[int]:
    """Where each of the 18 representations ends: after a convolution's ReLU, after a pool."""
    return [i + 1 for i, part in enumerate(features) if isinstance(part, (nn.ReLU, nn.MaxPool2d))]


def captum(features: nn.Sequential, pictures: Tensor) -> list[Tensor]:
    """Layer by layer, as Captum does it."""
    from captum.attr import Deconvolution

    return [Deconvolution(Projected(features[:end])).attribute(pictures) for end in ends(features)]


def bare_seconds(features: nn.Sequential, pictures: Tensor, dtype: torch.dtype) -> float:
    """The convolutions nobody can do without: forward once, transposed once for each layer above.

    Each is measured alone, channels-last, on tensors already at hand, at the fastest of several batch sizes.
    """
    batch, _, size, _ = pictures.shape
    above = len(ends(features))
    total = 0.0
    for part in features:
        if isinstance(part, nn.MaxPool2d):
            size //= 2
            above -= 1
        elif isinstance(part, nn.Conv2d):
            forward, back = (
                min(_per_row(part, size, rows, dtype, transposed) for rows in (1, 2, 4, 8))
                for transposed in (False, True)
            )
            total += batch * (forward + above * back)
            above -= 1
    return total


def _per_row(part: nn.Conv2d, size: int, rows: int, dtype: torch.dtype, transposed: bool) -> float:
    layout = torch.channels_last
    weight = part.weight.to(dtype).contiguous(memory_format=layout)
    channels = part.out_channels if transposed else part.in_channels
    values = torch.randn(rows, channels, size, size).to(dtype).contiguous(memory_format=layout)
    call = F.conv_transpose2d if transposed else F.conv2d
    times = [seconds(lambda: call(values, weight, padding=1)) for _ in range(2)]
    while sum(times) < 0.15:
        times.append(seconds(lambda: call(values, weight, padding=1)))
    return min(times) / rows


def main() -> None:
    """Measure in turn, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--only", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    pictures = torch.randn(options.batch, 3, options.size, options.size)
    if options.only:
        print(json.dumps(run(options.only, pictures)))
    else:
        report(options, pictures)


def run(name: str, pictures: Tensor) -> dict[str, float]:
    """Seconds of the first call in this process and of a second one, and the most memory held, in MB."""
    features = vgg16_trunk()
    if name == "captum":
        work: Callable[[], object] = partial(captum, features, pictures)
    else:
        preprocessing = Preprocessing(resize=None, height=pictures.shape[2], width=pictures.shape[3])
        network = Network.from_module(features, name="vgg16", preprocessing=preprocessing)
        network = network.to(dtype=getattr(torch, name.removeprefix("ours-")))
        work = partial(reconstruct, network, pictures, [layer.name for layer in network.layers])
    return {"first": seconds(work), "again": seconds(work), "peak": memory()}


def report(options: argparse.Namespace, pictures: Tensor) -> None:
    """Every contestant in a process of its own, in turn: an allocator remembers who ran before."""
    size = f"{options.size}x{options.size}"
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {options.batch}, {size}")
    rounds: list[dict[str, dict[str, float]]] = []
    for _ in range(options.rounds):
        figures = {name: _in_own_process(name, options) for name in CONTESTANTS}
        with torch.inference_mode():
            for dtype in ("float32", "bfloat16"):
                bare = bare_seconds(vgg16_trunk(), pictures, getattr(torch, dtype))
                figures[f"bare-{dtype}"] = {"first": bare, "again": bare, "peak": 0}
        rounds.append(figures)
        print({name: {k: round(v, 2) for k, v in f.items()} for name, f in figures.items()}, flush=True)
    for when in ("first", "again"):
        for one, other in PAIRS:
            ratio = statistics.median(figures[one][when] / figures[other][when] for figures in rounds)
            print(f"{when + ' call:':<12} {one} / {other}: {ratio:.3f}")


def _in_own_process(name: str, options: argparse.Namespace) -> dict[str, float]:
    command = [
        sys.executable,
        __file__,
        "--only",
        name,
        "--batch",
        str(options.batch),
        "--size",
        str(options.size),
    ]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, float] = json.loads(said.splitlines()[-1])
    return figures


if __name__ == "__main__":
    main()
