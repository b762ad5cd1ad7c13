"""What a network's name stands for, whoever knows it: how the module is built, and what surrounds it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import torch
from torch import Tensor, nn

from layerscope.errors import NetworkError
from layerscope.network.mean_image import read_mean_image
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.showing import check_shown
from layerscope.network.source import Options

_ONE_SEEDS = threading.RLock()

_GREY_MEAN, _GREY_DEVIATION = (0.449,), (0.226,)  # ImageNet's, over the three colours


def _no_names(_: nn.Module) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Blueprint:
    """What a name stands for. An origin is a function that makes one of a name and `Options`."""

    name: str
    build: Callable[
        [], Any
    ]  #: the module, with values as they fall where ``own`` is empty; or an ExportedProgram
    preprocessing: Preprocessing
    classes: tuple[str, ...] | None = None
    published: Callable[[str, bool], Published] | None = (
        None  #: weights by their name; whether to show progress
    )
    own: str = ""  #: where a network of the user's has its values from
    assumed: bool = False  #: whether nobody said the size of its pictures
    bare: bool = False  #: whether it can be built without values, none of which its constructor makes
    rename: Callable[[nn.Module], Mapping[str, str]] = _no_names  #: layer names in place of module paths


@dataclass(frozen=True)
class Published:
    """Weights that have a name: what they make of the blueprint, their tensors, and their source in words."""

    blueprint: Blueprint
    state: Mapping[str, Tensor]
    source: str


def refuse(name: str, options: Options, *refused: str) -> None:
    """Raise NetworkError for options that the network is not built with."""
    for option in refused:
        if getattr(options, option) is not None:
            raise NetworkError(
                f"{name} is not built with {option!r}; only alexcnn and vggcnn take every option, so leave it out"
            )


def sized(preprocessing: Preprocessing, size: int | tuple[int, int] | None) -> Preprocessing:
    """The same for another input size, the margin around the crop in proportion."""
    if size is None:
        return preprocessing
    height, width = _both(size)
    ratio = (preprocessing.resize or preprocessing.height) / preprocessing.height
    return replace(preprocessing, height=height, width=width, resize=round(ratio * min(height, width)))


def _both(size: object) -> tuple[int, int]:
    numbers = (size, size) if isinstance(size, int) else size
    if not isinstance(numbers, (tuple, list)) or [type(n) for n in numbers] != [int, int] or min(numbers) < 1:
        raise NetworkError(f"input_size is {size!r}; give a number of pixels, or (height, width)")
    height, width = numbers
    return height, width


def for_channels(preprocessing: Preprocessing, channels: int) -> Preprocessing:
    """The same for another number of channels: ImageNet's grey for each."""
    if channels == len(preprocessing.mean):
        return preprocessing
    return replace(preprocessing, mean=_GREY_MEAN * channels, deviation=_GREY_DEVIATION * channels)


def stated(preprocessing: Preprocessing, options: Options) -> Preprocessing:
    """The same with what the options say of pictures. Raises NetworkError where that does not fit the network."""
    channels, order, white = (
        len(preprocessing.mean),
        options.order,
        1.0 if options.white is None else options.white,
    )
    if order is not None and (len(order) != channels or min(order) < 0):
        raise NetworkError(
            f"order names {len(order)} channels for the {channels} of the input; name one of a picture's for each"
        )
    check_shown(options.shown, channels)
    if not 0 < white < inf:
        raise NetworkError("deviation and white must be above 0, and finite")
    low, high = options.shown_range or (0.0, white)
    if not low < high:
        raise NetworkError(
            f"{low:g} is to be shown as black and {high:g} as white; name the lower value first"
        )
    kept = replace(
        preprocessing,
        order=order or preprocessing.order,
        shown=options.shown or preprocessing.shown,
        shown_range=(low / white, high / white) if options.shown_range else preprocessing.shown_range,
    )
    return _normalised(kept, options, white)


def _normalised(preprocessing: Preprocessing, options: Options, white: float) -> Preprocessing:
    """The same with the mean and deviation that the options say."""
    if all(said is None for said in (options.mean, options.deviation, options.white)):
        return preprocessing
    if options.white is None and (options.mean is None or options.deviation is None):
        raise NetworkError(
            "mean and deviation go together; give both, or white too, without which they are 0 and 1"
        )
    channels = len(preprocessing.mean)
    deviation = _each("deviation", options.deviation, 1.0, channels)
    if not all(0 < value < inf for value in deviation):
        raise NetworkError("deviation and white must be above 0, and finite")
    scaled = replace(preprocessing, deviation=tuple(value / white for value in deviation), mean_image=None)
    if isinstance(options.mean, str):
        sizes = (preprocessing.shape[1:], preprocessing.whole)
        image = read_mean_image(options.mean, channels, sizes, preprocessing.order, white)
        return replace(scaled, mean=image.mean, mean_image=image)
    mean = _each("mean", options.mean, 0.0, channels)
    return replace(scaled, mean=tuple(value / white for value in mean))


def _each(
    what: str, said: tuple[float, ...] | float | None, unsaid: float, channels: int
) -> tuple[float, ...]:
    """One for each channel."""
    values = said if isinstance(said, (tuple, list)) else (unsaid if said is None else said,)
    if len(values) not in (1, channels):
        raise NetworkError(
            f"{what} has {len(values)} values for {channels} channels; give one, or one for each"
        )
    return tuple(values) * (channels // len(values))


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Random weights are the same in every run, and the caller's random numbers are as they were.

    One thread at a time: torch has one generator for all.
    """
    with _ONE_SEEDS, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
