"""On a device and on the processor beside it: all layers of VGGCNN reconstructed, and a pass over pictures.

Run: ``python benchmarks/device.py cuda``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from PIL import Image

from layerscope import load_network, open_images, reconstruct
from layerscope.network.source import Options
from layerscope.sweep import Sparsity, SweepOptions, TopPatches, sweep_images

SETTINGS = SweepOptions(batch=32, shard=128, workers=8)
REDUCERS = [TopPatches(9), Sparsity()]


def seconds(work: Callable[[], object]) -> float:
    """Of a second run; results are on the processor, so nothing is left to wait for."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main(device: str, side: int = 224, count: int = 128) -> None:
    network = load_network("vggcnn", "random", options=Options(1000, input_size=side))
    pictures = torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(0))
    layers = [layer.name for layer in network.layers if layer.has_positions]
    size = side + 32
    noise = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    images = open_images([Image.fromarray(one) for one in noise])
    for place, dtype in ((device, torch.float32), (device, torch.bfloat16), ("cpu", torch.float32)):
        moved = network.to(place, dtype)
        down = seconds(partial(reconstruct, moved, pictures, layers)) / len(pictures)
        swept = seconds(partial(sweep_images, moved, images, REDUCERS, settings=SETTINGS)) / count
        kind = str(dtype).removeprefix("torch.")
        words = (
            f"{len(layers)} layers reconstructed {1e3 * down:.1f} ms a picture, a pass {1e3 * swept:.2f} ms"
        )
        print(f"{place}, {kind}: {words}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "cuda")
