"""Seconds a filter to make pictures that excite channels most: ours beside Lucent's and horama's, with ImageNet trunks.

By default Lucent optimises 128 pixels and runs the whole network on 224, for 512 steps; horama 1280 pixels, of which
it runs six crops in each of 1,000 steps; ours what a unit sees and a margin, moved in 4 to 10 ways in each of 64. Of
all, the activation of the unit in the middle, measured again on 8-bit pictures, is said at several numbers of steps, so
that times at equal activation can be compared. Run: ``python benchmarks/synthesis.py [NETWORK:LAYER ...] [--lucent
STEPS ...] [--horama STEPS ...]``, with torch-lucent and horama installed. Wall and processor seconds: on a machine with
others at work the latter are nearer the truth.
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
STEPS = (4, 16, 64)  # of ours


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
    for steps in STEPS:
        found: list[float] = []

        def work(until: int = steps, kept: list[float] = found) -> None:
            kept.extend(
                one.activation for one in maximise(network, units, options=MaximiseOptions(steps=until))
            )

        spent = timed(work)
        print(f"  ours, {steps} steps: {spent}; activations {', '.join(f'{value:.0f}' for value in found)}")


def plain(network: Network, name: str) -> torch.nn.Module:
    """The network as torchvision has it, without work in place."""
    module: torch.nn.Module = getattr(torchvision.models, name)(weights=None).eval()
    module.load_state_dict(dict(network.graph.tensors), strict=False)
    for part in module.modules():
        if isinstance(part, torch.nn.ReLU):
            part.inplace = False
    return module


def before(network: Network, layer: str) -> str:
    """The module before the layer's rectifier: a value below 0 has no derivative behind it."""
    rectifier = network.graph.operations[network.layer(layer).result]
    return network.graph.operations[rectifier.inputs[0]].module


def lucent(network: Network, name: str, layer: str, steps: int) -> None:
    """One channel after the other, as it does."""
    from lucent.optvis import objectives, render

    module, hook = plain(network, name), before(network, layer).replace(".", "_")
    pictures: list[torch.Tensor] = []

    def work() -> None:
        for channel in CHANNELS:
            objective = objectives.neuron(hook, channel)
            (image,) = render.render_vis(
                module, objective, thresholds=(steps,), show_image=False, progress=False
            )
            pictures.append(torch.from_numpy(image[0]).permute(2, 0, 1))

    spent = timed(work)
    print(f"  Lucent, {steps} steps: {spent}; activations {reached(network, layer, pictures)}")


def horama(network: Network, name: str, layer: str, steps: int) -> None:
    """One channel after the other, as it does; what is measured is the middle of its picture, as large as its crops."""
    from horama import fourier

    module, values = plain(network, name), list[torch.Tensor]()
    module.get_submodule(before(network, layer)).register_forward_hook(lambda *given: values.append(given[2]))
    _, high, wide = network.input_shape
    pictures: list[torch.Tensor] = []

    def work() -> None:
        for channel in CHANNELS:

            def objective(crops: torch.Tensor, wanted: int = channel) -> torch.Tensor:
                module(crops)
                maps = values.pop()
                return maps[:, wanted, maps.shape[2] // 2, maps.shape[3] // 2].mean()

            image, _ = fourier(objective, total_steps=steps, model_input_size=high, device="cpu")
            side = round(0.25 * image.shape[1])
            corner = (image.shape[1] - side) // 2
            part = image.detach()[None, :, corner : corner + side, corner : corner + side]
            seen = torch.nn.functional.interpolate(part, (high, wide), mode="bicubic", antialias=True)[0]
            mean, deviation = (
                torch.tensor(each)[:, None, None]
                for each in (network.preprocessing.mean, network.preprocessing.deviation)
            )
            pictures.append((seen * deviation + mean).clamp(0, 1))

    spent = timed(work)
    print(f"  horama, {steps} steps: {spent}; activations {reached(network, layer, pictures)}")


def reached(network: Network, layer: str, pictures: Sequence[torch.Tensor]) -> str:
    """The activations of the unit in the middle, for pictures enlarged to the input, in 8 bits."""
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
    parser.add_argument("--lucent", type=int, nargs="+", default=(), metavar="STEPS")
    parser.add_argument("--horama", type=int, nargs="+", default=(), metavar="STEPS")
    parser.add_argument("places", nargs="*", default=PLACES)
    options = parser.parse_args()
    for place in options.places:
        name, _, layer = place.partition(":")
        network = load_network(name, "imagenet-trunk")
        print(place)
        ours(network, layer)
        for steps in options.lucent:
            lucent(network, name, layer, steps)
        for steps in options.horama:
            horama(network, name, layer, steps)


if __name__ == "__main__":
    main()
