"""What benchmarks share: a clock, the memory of a process, VGG-16's trunk. Peers' Pythons import it: torch alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torchvision.models import vgg16


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def memory(what: str = "VmHWM:") -> int:
    """Of this process, in MB: Linux's own account; VmRSS is held now, VmHWM the most since the program started."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition(what)[2].split()[0]) // 1024


def vgg16_trunk() -> nn.Sequential:
    """VGG-16's convolutions and pools: random values cost as much as trained ones."""
    torch.manual_seed(0)
    features = vgg16(weights=None).features.eval()
    assert isinstance(features, nn.Sequential)
    for part in features:
        if isinstance(part, nn.ReLU):
            part.inplace = False  # Captum's hooks want it so
        part.requires_grad_(False)
    return features
