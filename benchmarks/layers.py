"""Seconds from a network's name to the table of its layers and receptive fields, after the imports.

Run: ``make bench``, or ``python benchmarks/layers.py [NETWORK ...]``.
"""

from __future__ import annotations

import statistics
import sys
import time

from layerscope.gallery import layer_table
from layerscope.zoo import read_architecture

NETWORKS = (
    "vggcnn", "alexcnn", "alexnet", "vgg16", "vgg16_bn", "googlenet", "resnet18", "resnet50",
    "densenet121", "squeezenet1_1", "mobilenet_v2",
)  # fmt: skip


def seconds(name: str) -> float:
    """One table, from nothing but the name."""
    start = time.perf_counter()
    layer_table(read_architecture(name))
    return time.perf_counter() - start


def main() -> None:
    """Print the first run, which is what a command pays, and the median of three later ones."""
    for name in sys.argv[1:] or NETWORKS:
        first, *later = (seconds(name) for _ in range(4))
        print(f"{name:<14} first {first:5.2f} s, then {statistics.median(later):5.2f} s")


if __name__ == "__main__":
    main()
