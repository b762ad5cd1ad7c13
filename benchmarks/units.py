"""The nine top patches of every filter of VGG-16 over 500 pictures: ours beside Captum's NeuronDeconvolution, batched.

Of each of the 13 convolutions a share of the filters is reconstructed, nine units each, from the same share of the
pictures: as many units per picture as in the whole job, so time grows with the share alone. Captum is given the network
up to the layer, and a sample of the same units, in batches. Both are timed in one run, after a warm-up; positions are
drawn at random, since only they change the work. Run: ``python benchmarks/units.py [--layers N,N] [--captum UNITS]``.
"""

from __future__ import annotations

import argparse
import random
import warnings
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from measuring import seconds, vgg16_trunk
from torch import Tensor, nn

from layerscope import Network
from layerscope.network.network import Unit
from layerscope.reconstruction.units import UnitAt, stream_units

warnings.filterwarnings("ignore", module="captum")

PICTURES, TOP = 500, 9
SHARE = {64: 1, 128: 1, 256: 4, 512: 16}  # one filter of so many is timed, by the layer's number of filters


def draw(network: Network, names: Sequence[str], share: int) -> list[UnitAt]:
    """Nine units of one filter in ``share``, of distinct pictures where there are enough."""
    pictures, units = range(max(1, PICTURES // share)), []
    for name in names:
        layer = network.layer(name)
        for channel in range(0, layer.channels, share):
            for picture in random.sample(pictures, min(TOP, len(pictures))):
                row, column = (random.randrange(length) for length in layer.size)
                units.append(UnitAt(picture, Unit(name, channel, row, column)))
    return units


def ours(network: Network, units: Sequence[UnitAt], pictures: Tensor) -> float:
    """Seconds for all of them; what comes out is let go at once, as a writer would."""

    def work() -> None:
        for _ in stream_units(network, lambda index: pictures[index % len(pictures)], units):
            pass

    return seconds(work)


def captum(features: nn.Sequential, end: int, units: Sequence[UnitAt], pictures: Tensor, batch: int) -> float:
    """Seconds for all of them: a forward and a backward pass over the whole picture for each."""
    from captum.attr import NeuronDeconvolution

    body = features[:end]
    method = NeuronDeconvolution(body, body[-1])

    def work() -> None:
        for start in range(0, len(units), batch):
            part = units[start : start + batch]
            given = torch.stack([pictures[at.picture % len(pictures)] for at in part])
            place = torch.tensor([(at.unit.channel, at.unit.row, at.unit.column) for at in part]).unbind(1)
            index = (torch.arange(len(part)), *place)
            method.attribute(given, lambda out, index=index: out[index])

    return seconds(work)


def floor(network: Network, name: str) -> tuple[float, float]:
    """Multiplications that cannot be spared: of a pass up to a layer, and of one unit's way down at an average
    position, each layer's window cut off at the edge of its map."""
    picture = unit = 0.0
    chain = network.layers[: [layer.name for layer in network.layers].index(name) + 1]
    spans = [(i, i + 1) for i in range(chain[-1].size[0])]
    for below, layer in reversed(list(pairwise([None, *chain]))):
        assert layer is not None
        length = network.input_shape[1] if below is None else below.size[0]
        channels = network.input_shape[0] if below is None else below.channels
        if layer.kind == "conv2d":
            work = 9 * channels * layer.channels
            picture += work * layer.size[0] ** 2
            unit += work * (sum(b - a for a, b in spans) / len(spans)) ** 2
            spans = [(max(0, a - 1), min(length, b + 1)) for a, b in spans]
        else:
            spans = [(2 * a, 2 * b) for a, b in spans]
    return picture, unit


def peak() -> float:
    """Multiplications a second of this machine's best convolution of this network."""
    weight = torch.randn(256, 256, 3, 3).contiguous(memory_format=torch.channels_last)
    values = torch.randn(8, 256, 56, 56).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        best = min(seconds(lambda: F.conv2d(values, weight, padding=1)) for _ in range(8))
    return 8 * 56 * 56 * 256 * 256 * 9 / best


def main() -> None:
    """Layer by layer, then all layers in one call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", default="all", help="which convolutions, 1 to 13, with commas")
    parser.add_argument("--captum", type=int, default=8, help="units of each layer that Captum is given")
    parser.add_argument("--batch", type=int, default=8, help="of Captum")
    parser.add_argument(
        "--share", type=int, default=16, help="of the filters in the run of all layers; 0: none"
    )
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    random.seed(0)
    features = vgg16_trunk()
    network = Network.from_module(features, name="vgg16").to(dtype=getattr(torch, options.dtype))
    pictures = torch.randn(64, 3, 224, 224)
    names = [layer.name for layer in network.layers if layer.kind == "conv2d"]
    chosen = names if options.layers == "all" else [names[int(n) - 1] for n in options.layers.split(",")]
    speed = peak()
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.dtype}; {speed / 1e9:.0f} G/s"
    )
    total = [0.0, 0.0]
    for name in chosen:
        for place, value in enumerate(one_layer(network, features, name, pictures, speed, options)):
            total[place] += value
    print(
        f"layer by layer: ours {total[0] / 60:.1f} min, Captum {total[1] / 60:.1f} min: {total[1] / total[0]:.1f} times"
    )
    if options.share:
        together(network, chosen, pictures, total[1], speed, options.share)


def one_layer(
    network: Network,
    features: nn.Sequential,
    name: str,
    pictures: Tensor,
    speed: float,
    options: argparse.Namespace,
) -> tuple[float, float]:
    """Seconds of ours and of Captum for all filters of a layer; printed with what they come from."""
    layer = network.layer(name)
    share = SHARE[layer.channels]
    units = draw(network, [name], share)
    ours(network, units[:TOP], pictures)
    mine = ours(network, units, pictures) * share
    sample = random.sample(units, options.captum)
    captum(features, int(name) + 2, sample[: options.batch], pictures, options.batch)
    count = TOP * layer.channels
    theirs = captum(features, int(name) + 2, sample, pictures, options.batch) / len(sample) * count
    picture, unit = floor(network, name)
    least = min(picture * PICTURES, unit * count) + unit * count
    print(
        f"layer {name:>2}: {len(units)} of {count} units, ours {mine:7.1f} s for all, "
        f"Captum ({len(sample)} units) {theirs:7.0f} s: {theirs / mine:6.1f} times; floor {least / speed:6.1f} s",
        flush=True,
    )
    return mine, theirs


def together(
    network: Network, names: Sequence[str], pictures: Tensor, captums: float, speed: float, share: int
) -> None:
    """All layers in one call, which share the passes over the pictures."""
    units = draw(network, names, share)
    mine = ours(network, units, pictures) * share
    floors = [floor(network, name) for name in names]
    counts = [TOP * network.layer(name).channels for name in names]
    least = max(picture for picture, _ in floors) * PICTURES
    least += sum(unit * count for (_, unit), count in zip(floors, counts, strict=True))
    print(
        f"all in one call: {len(units)} of {sum(counts)} units, ours {mine / 60:.1f} min for all, "
        f"{captums / mine:.1f} times; floor {least / speed / 60:.1f} min"
    )


if __name__ == "__main__":
    main()
