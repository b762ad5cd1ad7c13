"""Pictures a second on one core, from the bytes of a JPEG to the network's input, beside Pillow and torchvision.

Every contestant takes each picture in turn, and a ratio is that of times within a round. Ours is held to the pixels of
Pillow's whole resize, within a grey level. Run it by ``python benchmarks/decoding.py``; it takes about a minute.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from top_patches import write_pictures
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2

from layerscope.images.decoding import DECODING, decode_image
from layerscope.network.preprocessing import IMAGENET

AIM = 0.78  #: of torchvision's rate: 900 pictures a second where it gives 1,155
_SCALE = 3  # of the larger pictures

PREPARE = v2.Compose(
    [
        v2.Resize(256, antialias=True),
        v2.CenterCrop(224),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(IMAGENET.mean, IMAGENET.deviation),
    ]
)


def ours(encoded: bytes) -> Tensor:
    return IMAGENET.apply(decode_image(encoded))


def whole(encoded: bytes) -> Tensor:
    """As it was before: all of the picture is resized, columns first, then cropped; each channel is looked up."""
    picture = decode_image(encoded)
    shorter = min(picture.size)
    size = (int(picture.width * 256 / shorter + 1e-9), int(picture.height * 256 / shorter + 1e-9))
    left, top = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
    resized = picture.resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(resized.crop((left, top, left + 224, top + 224)))
    greys = torch.arange(256).float().div(255)[:, None]
    table = ((greys - torch.tensor(IMAGENET.mean)) / torch.tensor(IMAGENET.deviation)).T.contiguous().numpy()
    return torch.from_numpy(np.stack([table[c][pixels[..., c]] for c in range(3)]))


def torchvisions(encoded: bytes) -> Tensor:
    """It decodes neither orientation nor what is no JPEG, and takes any error for its caller's."""
    pixels = decode_jpeg(torch.frombuffer(bytearray(encoded), dtype=torch.uint8), mode=ImageReadMode.RGB)
    values: Tensor = PREPARE(pixels)
    return values


CONTESTANTS: dict[str, Callable[[bytes], Tensor]] = {
    "layerscope": ours,
    "whole resize": whole,
    "torchvision": torchvisions,
}


def greys_apart(one: Tensor, other: Tensor) -> float:
    deviation = torch.tensor(IMAGENET.deviation)[:, None, None]
    return float(((one - other) * deviation).abs().max()) * 255


def pictures(count: int, scale: int) -> list[bytes]:
    """Crops of photographs as JPEG, 500x375 times the scale, quality 90."""
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder), count)
        found = []
        for file in sorted(Path(folder, "pictures").iterdir()):
            with Image.open(file) as picture, io.BytesIO() as large:
                picture.resize((500 * scale, 375 * scale), Image.Resampling.BICUBIC).save(
                    large, "JPEG", quality=90
                )
                found.append(file.read_bytes() if scale == 1 else large.getvalue())
    return found


def round_of(encoded: list[bytes]) -> dict[str, float]:
    """Seconds of this thread, of each contestant, over all pictures."""
    times = dict.fromkeys(CONTESTANTS, 0.0)
    for one in encoded:
        for name, prepare in CONTESTANTS.items():
            start = time.thread_time()
            prepare(one)
            times[name] += time.thread_time() - start
    return times


def main() -> None:
    """Check the pixels, measure in turn, print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for scale in (1, _SCALE):
        encoded = pictures(options.pictures if scale == 1 else options.pictures // 4, scale)
        apart = max(greys_apart(ours(one), whole(one)) for one in encoded)
        if round(apart) > 1:
            raise SystemExit(
                f"the pixels are {apart:.0f} greys from the whole resize: nothing can be compared"
            )
        with DECODING:  # as around all pictures of a pass
            rounds = [round_of(encoded) for _ in range(options.rounds)]
        print(f"{500 * scale}x{375 * scale}, {apart:.0f} grey level at most from the whole resize")
        for name in CONTESTANTS:
            rate = statistics.median(len(encoded) / times[name] for times in rounds)
            before, torchs = (
                statistics.median(times[other] / times[name] for times in rounds)
                for other in ("whole resize", "torchvision")
            )
            print(
                f"  {name:<13} {rate:6.0f} a second and core: {before:.2f} of whole resize, {torchs:.2f} of torchvision"
            )
        print(f"  (aim: at least {AIM} of torchvision)")


if __name__ == "__main__":
    main()
