"""Seconds a filter to make pictures that excite channels most: ours beside Lucent's defaults, with ImageNet trunks.

Lucent optimises 128 pixels and runs the whole network on 224, for 512 steps; ours what a unit sees and a margin, for
256. Of both the activation of the unit in the middle, measured again on 8-bit pictures, is said; Lucent's at several
numbers of steps. Run: ``python benchmarks/synthesis.py [--lucent] [NETWORK:LAYER ...]``, the first with torch-lucent
installed. Wall and processor seconds: on a machine with others at work the latter are nearer the truth.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import torch
import torchvision

from layerscope import Network, Unit, load_network
from layerscope.synthesis import MaximiseOptions, maximise
from layerscope.synthesis.canvas import inputs_of

PLACES = ("alexnet:c5", "vgg16:c4_1", "vgg16:c5_3")
CHANNELS = (3, 70)
STEPS = (64, 128, 256, 512)  # of Lucent


def timed(work: Callable[[], object]) -> str:
    """Wall and processor seconds of one call, for each channel."""
    wall, own = time.perf_counter(), time.process_time()
    work()
    spent = (time.perf_counter() - wall, time.process_time() - own)
    return "{:.1f} s a filter, {:.1f} of processors".format(*(one / len(CHANNELS) for one in spent))


def ours(network: Network, layer: str) -> None:
    """All channels at once, as the command does."""
    units = [Unit(layer, channel) for channel in CHANNELS]
    maximise(network, units[:1], options=MaximiseOptions(steps=2))
    found: list[float] = []
    spent = timed(lambda: found.extend(one.activation for one in maximise(network, units)))
    print(f"  ours: {spent}; activations {', '.join(f'{value:.0f}' for value in found)}")


def lucent(network: Network, name: str, layer: str) -> None:
    """One channel after the other, as it does."""
    from lucent.optvis import objectives, render

    module = getattr(torchvision.models, name)(weights=None).eval()
    module.load_state_dict(dict(network.graph.tensors), strict=False)
    for part in module.modules():
        if isinstance(part, torch.nn.ReLU):
            part.inplace = False
    rectifier = network.graph.operations[network.layer(layer).result]
    before = network.graph.operations[rectifier.inputs[0]]  # a value below 0 has no derivative behind it
    hook = str(before.module).replace(".", "_")
    for steps in STEPS:
        pictures: list[torch.Tensor] = []

        def work(until: int = steps, kept: list[torch.Tensor] = pictures) -> None:
            for channel in CHANNELS:
                (image,) = render.render_vis(
                    module,
                    objectives.neuron(hook, channel),
                    thresholds=(until,),
                    show_image=False,
                    progress=False,
                )
                kept.append(torch.from_numpy(image[0]).permute(2, 0, 1))

        spent = timed(work)
        print(f"  Lucent, {steps} steps: {spent}; activations {reached(network, layer, pictures)}")


def reached(network: Network, layer: str, pictures: Sequence[torch.Tensor]) -> str:
    """The activations of the unit in the middle, for pictures as large as the input, in 8 bits."""
    large = torch.nn.functional.interpolate(
        torch.stack(list(pictures)), network.input_shape[1:], mode="bilinear"
    )
    inputs = inputs_of(network, (large * 255).round() / 255)
    maps = network.representations(inputs, [layer])[layer]
    row, column = (side // 2 for side in maps.shape[2:])
    return ", ".join(f"{float(maps[n, channel, row, column]):.0f}" for n, channel in enumerate(CHANNELS))


def main() -> None:
    """Print both, layer by layer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lucent", action="store_true")
    parser.add_argument("places", nargs="*", default=PLACES)
    options = parser.parse_args()
    for place in options.places:
        name, _, layer = place.partition(":")
        network = load_network(name, "imagenet-trunk")
        print(place)
        ours(network, layer)
        if options.lucent:
            lucent(network, name, layer)


if __name__ == "__main__":
    main()
