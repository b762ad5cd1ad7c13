"""A picture whose representation at a layer is that of a given one: what the layer keeps of it, without switches.

Source: Mahendran and Vedaldi 2015, Understanding Deep Image Representations by Inverting Them (arXiv 1412.0035). Here
the picture is made of Fourier coefficients and bounded by a sigmoid, which does the work of their alpha-norm; the
weight of the total variation rises with depth, as theirs does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from layerscope.errors import NetworkError
from layerscope.kernels.structural_similarity import structural_similarity
from layerscope.network.layers import Layer
from layerscope.network.network import Network
from layerscope.progress import Count, Told
from layerscope.synthesis.canvas import colours_of, inputs_of, result_of, results_of
from layerscope.synthesis.maximising import check_ways
from layerscope.synthesis.pixels import Pace, Pixels, Prior, check_options, lowered, numbered

_VARIATION = 0.1, 1.0, 10.0  # weights of the total variation in each third of the layers, from below
_CALM = 0.5  # of the steps, at the end, over which the rate falls
_LAST = 0.05  # of the rate, that it falls to


@dataclass(frozen=True)
class InvertOptions:
    """How a picture is found: ``steps`` of Adam at ``rate``, from nearly grey pixels drawn by ``seed``.

    ``starts``: how many times, from other pixels: what differs between them the layer does not keep. ``variation``:
    the weight of the mean square of differences between neighbouring pixels; None: by the layer's depth. Raises
    LayerscopeError for values out of range.
    """

    prior: Prior = "fourier"
    steps: int = 400
    rate: float = 0.05
    starts: int = 2
    variation: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_options(asdict(self))


@dataclass(frozen=True, eq=False)
class Inverted:
    """A picture (height, width, channels) uint8 that a layer finds like the given one, from one of the starts.

    ``error``: the squared distance of its representation, of these 8-bit pixels, over the squared norm of the given
    one's; ``psnr`` (dB) and ``ssim``: how like the given picture it is, pixel by pixel and to the eye.
    """

    layer: str
    start: int
    pixels: npt.NDArray[np.uint8]
    error: float
    psnr: float
    ssim: float


def invert(
    network: Network,
    picture: Tensor,
    layers: Sequence[str],
    *,
    options: InvertOptions | None = None,
    progress: Told | None = None,
) -> tuple[Inverted, ...]:
    """Invert what layers make of a preprocessed picture (channels, height, width): by layer, then by start.

    Raises NetworkError for an unknown layer, for one that is not made of the picture or is zero for it, and for a
    network in less than float32; UnsupportedOperationError where an operation on the way has no derivative.
    """
    options = options or InvertOptions()
    chosen = network.select_layers(layers)
    check_ways(network, (layer.result for layer in chosen))
    given = network.prepare(picture[None])
    aims = [_aim(network, layer, given) for layer in chosen]
    done = Count(progress, "inverting", len(chosen) * options.steps, "steps")
    found: list[Inverted] = []
    for layer, aim in zip(chosen, aims, strict=True):
        pixels = _approach(network, layer, aim, options, done)
        found.extend(_measured(network, layer, given, aim, pixels))
    return tuple(found)


def silent_layers(network: Network, picture: Tensor, layers: Sequence[str]) -> frozenset[str]:
    """Those of the layers that are zero for a preprocessed picture: there is nothing to invert."""
    results = {name: network.layer(name).result for name in layers}
    with torch.no_grad():
        found = results_of(network, network.prepare(picture[None]), tuple(results.values()))
    return frozenset(name for name, result in results.items() if not found[result].any())


def _aim(network: Network, layer: Layer, given: Tensor) -> Tensor:
    """The representation to be met."""
    if not network.graph.operations[layer.result].carries:
        raise NetworkError(
            f"{layer.name} ({layer.operation}) is not made of the picture; choose another layer"
        )
    with torch.no_grad():
        aim = result_of(network, layer.result, given)
    if not aim.any():
        raise NetworkError(f"{layer.name} is zero for the picture: any picture that leaves it so is like it")
    return aim


def _approach(network: Network, layer: Layer, aim: Tensor, options: InvertOptions, done: Count) -> Tensor:
    """Pixels of all starts, uint8 (starts, channels, height, width)."""
    numbers = [numbered(options.seed, "invert", start) for start in range(options.starts)]
    pixels = Pixels.drawn(options.prior, network.input_shape, numbers, network.device, colours_of(network))
    weight = options.variation if options.variation is not None else _variation(network, layer)

    def loss(_: int, pictures: Tensor) -> Tensor:
        errors = relative_errors(result_of(network, layer.result, inputs_of(network, pictures)), aim)
        return errors.sum() + weight * variation(pictures).sum()

    return lowered(pixels, loss, Pace(options.steps, options.rate, _CALM, _LAST), done)


def _variation(network: Network, layer: Layer) -> float:
    """The weight of the total variation, by the third of the layers that this one lies in."""
    place = [one.name for one in network.layers].index(layer.name)
    return _VARIATION[3 * place // len(network.layers)]


def relative_errors(found: Tensor, aim: Tensor) -> Tensor:
    """Of each representation (rows, ...) the squared distance to one (1, ...), over its squared norm: (rows,)."""
    return (found - aim).square().flatten(1).sum(1) / aim.square().sum()


def variation(pictures: Tensor) -> Tensor:
    """Of each picture the mean square of differences between neighbours, down and across: (rows,)."""
    down, across = pictures.diff(dim=2), pictures.diff(dim=3)
    return sum(
        (d.square().mean((1, 2, 3)) for d in (down, across) if d.numel()), pictures.new_zeros(len(pictures))
    )


@torch.no_grad()
def _measured(
    network: Network, layer: Layer, given: Tensor, aim: Tensor, pixels: Tensor
) -> Iterator[Inverted]:
    errors = relative_errors(result_of(network, layer.result, inputs_of(network, pixels.float() / 255)), aim)
    shown = torch.from_numpy(network.preprocessing.picture(given[0])).permute(2, 0, 1).double() / 255
    for start, one in enumerate(pixels):
        picture = one.double() / 255
        distance = float((picture - shown).square().mean())
        psnr = -10 * float(np.log10(distance)) if distance else float("inf")
        similarity = structural_similarity(picture, shown)
        yield Inverted(
            layer.name, start, one.permute(1, 2, 0).numpy(), float(errors[start]), psnr, similarity
        )
