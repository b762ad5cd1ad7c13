"""The picture that excites a channel most: gradient ascent on the pixels that one unit of it sees.

Sources: Erhan et al. 2009, Visualizing Higher-Layer Features of a Deep Network; Olah et al. 2017 for Fourier
coefficients, colours and small moves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.errors import NetworkError
from layerscope.network.network import Network, Unit
from layerscope.progress import Count, Told
from layerscope.reconstruction.descent import Class, top_of, way_down
from layerscope.reconstruction.rules import GRADIENT, check_moved
from layerscope.synthesis.canvas import Canvas, canvas_of, canvas_of_classes, colours_of, inputs_of
from layerscope.synthesis.jitter import drawn_moves, neighbours
from layerscope.synthesis.nature import Aims, Nature, maps_of
from layerscope.synthesis.pixels import Pace, Pixels, Prior, check_options, lowered, numbered

_AT_ONCE = 1 << 18  # pixels that are run together: larger batches do not go quicker
_ON_DEVICE = 1 << 21  # the same where the network is not on the CPU
_CALM = 0.25  # of the steps, at the end, over which the rate falls and moves go all their way
_GRATING = 11  # pixels: what sees no more tells where a wave begins, and stands no shift
_SHARE = 1 / 7  # of what is seen beyond, that a shift is at most
_LOOKED = 3 << 14  # pixels of a picture, moved in several ways, that are run in a step
_LEAST_MOVES, _MOST_MOVES = 4, 10  # of a picture in a step, whatever its size; 10 are all that there are
_SHARPNESS = 80.0  # with which the least activation is preferred to others, as shares of their mean
_ENOUGH = 1.25  # of the strongest patch's activation, where pictures are to be like patches
_LAST = 0.1  # of the rate, that it falls to


@dataclass(frozen=True)
class MaximiseOptions:
    """How a channel's picture is found: ``steps`` of Adam at ``rate`` from nearly grey pixels drawn by ``seed``.

    ``margin``: pixels around what a unit sees. In each step pictures are moved in up to 10 ways, by up to ``shift``
    pixels, at most a seventh of what a unit sees beyond its first 11, or scaled by up to ``scaling``, and the least of
    the activations is raised. ``each``: pictures per channel; ``diversity``, the weight of how alike the layer finds
    them, keeps them apart. ``decay``: the weight of the mean square of the network's input, for Simonyan's class
    models. ``nature``: with the prior "study", the weight of how far features are from spread as in the channel's
    patches, against activation as a share of the strongest patch's, up to 1.25. Raises LayerscopeError for values out
    of range.
    """

    prior: Prior = "fourier"
    steps: int = 64
    rate: float = 0.1
    margin: int = 16
    shift: float = 4.0
    scaling: float = 0.05
    each: int = 1
    diversity: float = 1.0
    decay: float = 0.0
    nature: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_options(asdict(self))


@dataclass(frozen=True, eq=False)
class Maximised:
    """A picture that excites a channel or a class: ``pixels`` (height, width, channels) uint8.

    ``seed``: a class, or the unit, by its position in these pixels. ``activation``: of these 8-bit pixels, as the
    layer gives it, or the class's score. ``moved``: the least and the mean of it, moved by 4 pixels in eight
    directions and scaled by 5 %, as shares of it; None where it is not above 0. ``number`` counts the pictures of one.
    """

    seed: Unit | Class
    number: int
    pixels: npt.NDArray[np.uint8]
    activation: float
    moved: tuple[float, float] | None


def maximise(
    network: Network,
    seeds: Sequence[Unit | Class],
    *,
    options: MaximiseOptions | None = None,
    nature: Nature | None = None,
    progress: Told | None = None,
) -> tuple[Maximised, ...]:
    """Pictures that excite channels, or classes, most, in the order of the seeds; a unit's own position does not count.

    ``nature``: the patches that pictures are to be like, for the prior "study". Raises NetworkError for a seed that
    the network does not have, for a network in less than float32, and for that prior without patches;
    UnsupportedOperationError where an operation on the way has no derivative; StudyError for a channel of which the
    study has none, or a picture that is not the study's.
    """
    found = list(stream_maximised(network, seeds, options=options, nature=nature, progress=progress))
    return tuple(one for _, one in sorted(found, key=lambda pair: (pair[0], pair[1].number)))


def stream_maximised(
    network: Network,
    seeds: Sequence[Unit | Class],
    *,
    options: MaximiseOptions | None = None,
    nature: Nature | None = None,
    have: Collection[int] = (),
    progress: Told | None = None,
) -> Iterator[tuple[int, Maximised]]:
    """As `maximise`, as they are done, a batch of channels after the other: places in ``seeds``, and results.

    ``have``: places that are not needed; a batch of which all are is left out, so that what comes is as without them.
    """
    options = options or MaximiseOptions()
    check_seeds(network, seeds, options, nature)
    batches = list(_batches(network, seeds, options))
    missing = [(canvas, places) for canvas, places in batches if not set(places) <= set(have)]
    steps = [options.steps * sum(len(places) for _, places in part) for part in (batches, missing)]
    done = Count(progress, "maximising", steps[0], "steps", before=steps[0] - steps[1])
    for canvas, places in missing:
        channels = [_channel(seeds[place]) for place in places]
        for place, one in _climb(canvas, channels, options, nature, done):
            yield places[place], one


def check_seeds(
    network: Network, seeds: Sequence[Unit | Class], options: MaximiseOptions, nature: Nature | None
) -> None:
    """Raise what `maximise` does, before anything is made."""
    check_ways(network, (top_of(network, seed) for seed in seeds))
    if options.prior == "study":
        if nature is None:
            raise NetworkError(
                'the prior "study" needs the patches of a study; name one, or use the prior "fourier"'
            )
        nature.check(seeds)


def each_once(network: Network, seeds: Iterable[Unit | Class]) -> list[Unit | Class]:
    """The seeds, each once: by the layer's own name, and without a unit's position, which does not count."""
    plain = (
        Unit(network.layer(seed.layer).name, seed.channel) if isinstance(seed, Unit) else seed
        for seed in seeds
    )
    return list(dict.fromkeys(plain))


def check_ways(network: Network, tops: Iterable[int]) -> None:
    """Raise NetworkError for a network that computes too coarsely for small steps, UnsupportedOperationError where an
    operation between one of these and the pixels has no derivative, or one that is zero."""
    if network.dtype.itemsize < torch.float32.itemsize:
        precision = str(network.dtype).removeprefix("torch.")
        raise NetworkError(f"pictures are not made in {precision}, whose steps are too coarse; use float32")
    chosen = tuple(tops)
    way_down(network.graph, chosen, GRADIENT)
    check_moved(network.graph, chosen)


def _batches(
    network: Network, seeds: Sequence[Unit | Class], options: MaximiseOptions
) -> Iterator[tuple[Canvas, list[int]]]:
    """Places of seeds of one layer, from low to high layers, as many as are raised together; classes last."""
    wanted: dict[str | None, list[int]] = {}
    for place, seed in enumerate(seeds):
        name = network.layer(seed.layer).name if isinstance(seed, Unit) else None
        wanted.setdefault(name, []).append(place)
    for name in (*(layer.name for layer in network.layers), None):
        if name not in wanted:
            continue
        canvas = (
            canvas_of_classes(network)
            if name is None
            else canvas_of(network, network.layer(name), options.margin)
        )
        most = _AT_ONCE if network.device.type == "cpu" else _ON_DEVICE
        moved = canvas.height * canvas.width * _moves(canvas)
        size = max(1, most // (moved * options.each))
        places = wanted[name]
        yield from ((canvas, places[start : start + size]) for start in range(0, len(places), size))


def _moves(canvas: Canvas) -> int:
    """In how many ways a picture is moved in a step."""
    return min(_MOST_MOVES, max(_LEAST_MOVES, _LOOKED // (canvas.height * canvas.width)))


def _channel(seed: Unit | Class) -> int:
    return seed.channel if isinstance(seed, Unit) else seed.index


def _climb(
    canvas: Canvas,
    channels: Sequence[int],
    options: MaximiseOptions,
    nature: Nature | None,
    done: Count,
) -> Iterator[tuple[int, Maximised]]:
    """All steps for some channels of a layer, ``each`` pictures a channel: places in ``channels``, and results."""
    chosen = [channel for channel in channels for _ in range(options.each)]
    numbers = (
        numbered(options.seed, str(canvas.seed(channel)), place % options.each)
        for place, channel in enumerate(chosen)
    )
    shape = (canvas.network.input_shape[0], canvas.height, canvas.width)
    pixels = Pixels.drawn(
        options.prior, shape, list(numbers), canvas.network.device, colours_of(canvas.network)
    )
    shift = min(options.shift, _SHARE * max(0, min(canvas.sees) - _GRATING))
    aims = (
        nature.aims(canvas, channels).repeated(options.each) if options.prior == "study" and nature else None
    )
    climb = _Climb(canvas, torch.tensor(chosen, device=canvas.network.device)[:, None], options, aims)

    def loss(step: int, pictures: Tensor) -> Tensor:
        late = step >= (1 - _CALM) * options.steps
        moves = drawn_moves(options.seed, step, shift, options.scaling, _moves(canvas), late=late)
        moved = torch.cat([move.of(pictures) for move in moves.values()])
        return climb.loss(inputs_of(canvas.network, moved), list(moves))

    pace = Pace(options.steps, options.rate, _CALM, _LAST)
    made = lowered(pixels, loss, pace, lambda: done(len(channels)))
    for place, one in enumerate(measured(canvas, chosen, made, options.each)):
        yield place // options.each, one


@dataclass(frozen=True)
class _Climb:
    """What is lowered: ``wanted`` is the channel of each picture, (rows, 1); ``known``: by move the activations under
    it, (rows,), as last found."""

    canvas: Canvas
    wanted: Tensor
    options: MaximiseOptions
    aims: Aims | None
    known: dict[int, Tensor] = field(default_factory=dict)

    def loss(self, inputs: Tensor, moves: Sequence[int]) -> Tensor:
        """Of preprocessed pictures, all of them moved in one way after all of them moved in another."""
        options, wanted, count = self.options, self.wanted.repeat(len(moves), 1), len(moves)
        lost = options.decay * inputs.square().mean((1, 2, 3))
        if self.aims is None:
            values = self.canvas.values(inputs)
            reached = counted = values.gather(1, wanted)[:, 0]
        else:
            top, aims = self.canvas.operation.index, self.aims.of_moves(count)
            found = maps_of(self.canvas, inputs, (*aims.spread, top))
            values = self.canvas.of_unit(found[top])
            reached = values.gather(1, wanted)[:, 0] / aims.strongest
            counted = reached.clamp(max=_ENOUGH)
            lost = lost + options.nature * aims.distances(found)
        if options.each > 1:
            lost = lost + options.diversity * reached.detach() * _alike(values, options.each)
        weights = self.weights(moves, reached.detach().reshape(count, -1))
        return lost.sum() / count - (weights.flatten() * counted).sum()

    def weights(self, moves: Sequence[int], reached: Tensor) -> Tensor:
        """How much each of the activations (moves, rows) counts, by what is known of all moves; in the mean of moves
        as much as one activation."""
        self.known.update(zip(moves, reached, strict=True))
        every = least_first(torch.stack(list(self.known.values())))
        named = list(self.known)
        return every[[named.index(move) for move in moves]] * (len(named) / len(moves))


def least_first(reached: Tensor) -> Tensor:
    """How much each of the activations (moves, rows) of a picture counts, in sum 1: the least most."""
    sizes = reached.abs().mean(0).clamp(min=torch.finfo(reached.dtype).tiny)
    return torch.softmax(-_SHARPNESS * reached / sizes, 0)


def _alike(values: Tensor, each: int) -> Tensor:
    """How alike the layer finds each picture to the others of its channel, -1 to 1, by the cosine of its channels."""
    directions = F.normalize(values, dim=1).reshape(-1, each, values.shape[1])
    alike: Tensor = (directions @ directions.mT).sum(2) - 1
    return alike.flatten() / (each - 1)


@torch.no_grad()
def measured(canvas: Canvas, channels: Sequence[int], pixels: Tensor, each: int = 1) -> Iterator[Maximised]:
    """What is reached by 8-bit pixels (rows, channels, height, width), a channel a row, ``each`` rows for one."""
    pictures = pixels.float() / 255
    wanted = torch.tensor(channels, device=canvas.network.device)[:, None]

    def reached(moved: Tensor) -> Tensor:
        values = canvas.values(inputs_of(canvas.network, moved)).gather(1, wanted)[:, 0]
        return values.clamp(min=0) if canvas.rectified else values

    values = reached(pictures)
    shares = torch.stack([reached(move.of(pictures)) for move in neighbours(4.0, 0.05)]) / values
    for row, channel in enumerate(channels):
        own = shares[:, row]
        moved = (float(own.min()), float(own.mean())) if values[row] > 0 else None
        shown = pixels[row].permute(1, 2, 0).numpy()
        yield Maximised(canvas.seed(channel), row % each, shown, float(values[row]), moved)
