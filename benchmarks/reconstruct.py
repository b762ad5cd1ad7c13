"""Whole-layer reconstruction of VGG-16, ours beside Captum's and beside the bare convolutions.

All 13 convolutions and 5 pools, 224x224, batch 8, the same threads, one process: what is compared runs in turn.
Run: ``make bench``, or ``python benchmarks/reconstruct.py [--batch N] [--rounds N] [--size N]``.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import vgg16

from layerscope import Network, reconstruct

warnings.filterwarnings("ignore", module="captum")


class Projected(nn.Module):
    """A network up to a layer, whose score is the layer's whole representation against itself."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, pictures: Tensor) -> Tensor:
        values: Tensor = self.body(pictures)
        return (values * values.detach()).flatten(1).sum(1)


def model() -> nn.Sequential:
    """VGG-16's convolutions and pools: random values cost as much as trained ones."""
    torch.manual_seed(0)
    features = vgg16(weights=None).features.eval()
    assert isinstance(features, nn.Sequential)
    for part in features:
        if isinstance(part, nn.ReLU):
            part.inplace = False  # Captum's hooks want it so
        part.requires_grad_(False)
    return features


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


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure in turn, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--peak", choices=("ours-float32", "ours-bfloat16", "captum"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    features = model()
    pictures = torch.randn(options.batch, 3, options.size, options.size)
    whole = Network.from_module(nn.Sequential(features), name="vgg16")
    names = [layer.name for layer in whole.layers]
    networks = {f"ours-{str(t)[6:]}": whole.to(dtype=t) for t in (torch.float32, torch.bfloat16)}
    work: dict[str, Callable[[], object]] = {
        name: partial(reconstruct, network, pictures, names) for name, network in networks.items()
    }
    work["captum"] = partial(captum, features, pictures)
    if options.peak:
        work[options.peak]()
        print(_peak_of_this_process())
        return
    _report(options, features, pictures, work)


def _report(
    options: argparse.Namespace,
    features: nn.Sequential,
    pictures: Tensor,
    work: dict[str, Callable[[], object]],
) -> None:
    size = f"{options.size}x{options.size}"
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {options.batch}, {size}")
    with torch.inference_mode():
        work["ours-float32"](), work["ours-bfloat16"]()  # warm up
    times: dict[str, list[float]] = {name: [] for name in (*work, "bare-float32", "bare-bfloat16")}
    for _ in range(options.rounds):
        for name, call in work.items():
            times[name].append(seconds(call))
        with torch.inference_mode():
            for dtype in (torch.float32, torch.bfloat16):
                times[f"bare-{str(dtype)[6:]}"].append(bare_seconds(features, pictures, dtype))
    for name, measured in times.items():
        print(
            f"{name:<14} {statistics.median(measured):7.2f} s   ({', '.join(f'{t:.2f}' for t in measured)})"
        )
    for name, other in (
        ("ours-float32", "captum"),
        ("ours-bfloat16", "captum"),
        ("ours-float32", "bare-float32"),
        ("ours-bfloat16", "bare-bfloat16"),
    ):
        ratios = [a / b for a, b in zip(times[name], times[other], strict=True)]
        print(f"{name} / {other}: {statistics.median(ratios):.3f}")
    for name in work:
        print(f"peak memory of the process, {name}: {_peak(name, options)} MB")


def _peak_of_this_process() -> int:
    """Most memory it has held, in MB: Linux's own account, which a new program starts afresh."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def _peak(name: str, options: argparse.Namespace) -> int:
    command = [
        sys.executable,
        __file__,
        "--peak",
        name,
        "--batch",
        str(options.batch),
        "--size",
        str(options.size),
    ]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


if __name__ == "__main__":
    main()
