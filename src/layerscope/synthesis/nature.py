"""What a channel's pictures are to be like: the patches of a study that excite it most, by how features spread there.

Source: Görgün, Schiele, Fischer 2025, VITAL: More Understandable Feature Visualization through Distribution
Alignment and Relevant Information Flow (arXiv 2503.22399): features are sorted over positions, and the sorted ones
brought near those of natural patches. Here in all convolutions up to the layer and in the pixels, all alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from layerscope.errors import StudyError
from layerscope.filters.top_filters import Filter, top_filters
from layerscope.images.sets import ImageSet
from layerscope.kernels.ranks import centred_ranks
from layerscope.network.network import Network, Unit
from layerscope.network.positions import arranged
from layerscope.network.views import box_at
from layerscope.reconstruction.descent import Class
from layerscope.study.folder import Study
from layerscope.study.pictures import find_pictures, read_again
from layerscope.study.sources import check_network
from layerscope.synthesis.canvas import Canvas, inputs_of, results_of

_LAYERS = 5  # whose features are matched, at most
_GRID = 32  # rows and columns of positions that are sorted, at most


@dataclass(frozen=True)
class Nature:
    """The strongest patches of the channels of a network, as a study holds them, and its pictures."""

    study: Study = field(repr=False)
    network: Network = field(repr=False)
    images: ImageSet = field(repr=False)

    def __post_init__(self) -> None:
        check_network(self.study, self.network)

    def check(self, seeds: Sequence[Unit | Class]) -> None:
        """Raise StudyError for a seed of which the study holds no patch."""
        for seed in seeds:
            if isinstance(seed, Class):
                raise StudyError(
                    f"{self.study.path} has no patches of classes, only of channels; use --prior fourier"
                )
            if not self.filter(seed).patches:
                raise StudyError(
                    f"{seed.layer}:{seed.channel} is zero for all pictures of {self.study.path}: it has no patches to "
                    "be like; use --prior fourier, or leave it out"
                )

    def filter(self, unit: Unit) -> Filter:
        """A channel with its patches. Raises StudyError if the study has none of the layer."""
        layer = self.network.layer(unit.layer).name
        if layer not in self._filters:
            self._filters[layer] = top_filters(self.study, self.network, [layer])
        return self._filters[layer][unit.channel]

    @cached_property
    def _filters(self) -> dict[str, tuple[Filter, ...]]:
        return {}

    def aims(self, canvas: Canvas, channels: Sequence[int]) -> Aims:
        """What pictures of these channels are to come near, a row for each."""
        assert canvas.layer is not None
        filters = [self.filter(Unit(canvas.layer.name, channel)) for channel in channels]
        crops = self._crops(canvas, filters)
        watched = watched_by(canvas)
        spread: dict[int, list[Tensor]] = {index: [] for index in watched}
        with torch.no_grad():
            for own in crops:
                found = maps_of(canvas, own, watched)
                for index in watched:
                    spread[index].append(sorted_features(found[index]).mean(0))
        strongest = torch.tensor([one.patches[0].value for one in filters], device=self.network.device)
        return Aims(strongest, {index: torch.stack(rows) for index, rows in spread.items()})

    @torch.no_grad()
    def path(
        self, canvas: Canvas, channel: int, pixels: npt.NDArray[np.uint8]
    ) -> tuple[float, float | None] | None:
        """How like the path of a channel's picture (height, width, channels) is to its patches', as `path_likeness`.

        None of a channel without patches.
        """
        assert canvas.layer is not None
        one = self.filter(Unit(canvas.layer.name, channel))
        if not one.patches:
            return None
        picture = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        watched = watched_by(canvas)[1:]
        (crops,) = self._crops(canvas, [one])
        return path_likeness(
            maps_of(canvas, crops, watched), maps_of(canvas, inputs_of(self.network, picture), watched)
        )

    def _crops(self, canvas: Canvas, filters: Sequence[Filter]) -> list[Tensor]:
        """As large as the canvas, around each patch, but within the picture: (patches, channels, height, width)."""
        wanted: dict[int, list[tuple[int, int]]] = {}
        for place, one in enumerate(filters):
            for rank, patch in enumerate(one.patches):
                wanted.setdefault(patch.picture, []).append((place, rank))
        places = find_pictures(self.study, self.images, wanted)
        crops: dict[tuple[int, int], Tensor] = {}
        ahead = read_again(self.study, self.images, places, sorted(wanted), self.network.preprocessing.apply)
        with closing(ahead) as read:
            for picture, values in read:
                for place, rank in wanted[picture]:
                    patch = filters[place].patches[rank]
                    crops[place, rank] = _crop(canvas, patch.row, patch.column, values)
        network = self.network
        return [
            torch.stack([crops[place, rank] for rank in range(len(one.patches))]).to(
                network.device, network.dtype
            )
            for place, one in enumerate(filters)
        ]


def _crop(canvas: Canvas, row: int, column: int, values: Tensor) -> Tensor:
    assert canvas.layer is not None
    height, width = values.shape[1:]
    box = box_at(canvas.layer, row, column, (height, width))
    top, left = (
        min(max(0, (start + end - side) // 2), most - side)
        for start, end, side, most in (
            (box.top, box.bottom, canvas.height, height),
            (box.left, box.right, canvas.width, width),
        )
    )
    return values[:, top : top + canvas.height, left : left + canvas.width].clone()


@dataclass(frozen=True, eq=False)
class Aims:
    """Of each picture the activation it is to reach, (rows,), and by operation how its features are to be spread:
    (rows, channels, positions), rising."""

    strongest: Tensor
    spread: Mapping[int, Tensor]

    def repeated(self, times: int) -> Aims:
        """Each row so many times."""
        spread = {index: aim.repeat_interleave(times, 0) for index, aim in self.spread.items()}
        return Aims(self.strongest.repeat_interleave(times), spread)

    def of_moves(self, count: int) -> Aims:
        """All rows so many times, one after the other."""
        spread = {index: aim.repeat(count, 1, 1) for index, aim in self.spread.items()}
        return Aims(self.strongest.repeat(count), spread)

    def distances(self, found: Mapping[int, Tensor]) -> Tensor:
        """Of each picture the squared distance of its sorted features, over their squared norm: mean of operations."""
        each = [
            (sorted_features(found[index]) - aim).square().sum((1, 2))
            / aim.square().sum((1, 2)).clamp(min=1e-12)
            for index, aim in self.spread.items()
        ]
        return torch.stack(each).mean(0)


def sorted_features(maps: Tensor) -> Tensor:
    """Each channel's values (rows, channels, height, width) from the least to the greatest: (rows, channels, n).

    Of maps wider or higher than 32 on a grid of at most that: they are as spread there, and sorted sooner.
    """
    if maps.ndim != 4:
        return maps.reshape(*maps.shape[:2], -1).sort(dim=2).values
    step = max(1, -(-max(maps.shape[2:]) // _GRID))
    return maps[..., ::step, ::step].flatten(2).sort(dim=2).values


def maps_of(canvas: Canvas, inputs: Tensor, watched: Sequence[int]) -> dict[int, Tensor]:
    """What operations give for preprocessed pictures: (rows, channels, ...), by operation; 0: the pictures."""
    operations = canvas.network.graph.operations
    found = results_of(canvas.network, canvas.whole(inputs), watched)
    return {index: arranged(operations[index], found[index]) if index else inputs for index in watched}


def path_likeness(patches: Mapping[int, Tensor], picture: Mapping[int, Tensor]) -> tuple[float, float | None]:
    """How like the path of a picture through a network is to those of patches, and theirs among each other, -1 to 1.

    The mean over operations, (rows, channels, ...) each, and pairs of Spearman's correlation of the channels' means.
    None for one patch alone. Source: Geirhos et al. 2023, who compare the paths of classes.
    """
    own, among = [], []
    for index, maps in patches.items():
        ranks = _ranks(torch.cat([maps, picture[index]]))
        like = ranks @ ranks.T
        own.append(like[-1, :-1].mean())
        pairs = like[:-1, :-1][~np.eye(len(maps), dtype=bool)]
        among.append(pairs.mean() if pairs.size else np.nan)
    natural = float(np.mean(among))
    return float(np.mean(own)), None if np.isnan(natural) else natural


def _ranks(maps: Tensor) -> npt.NDArray[np.float64]:
    """Of each row the ranks of its channels' means, about their mean, of length 1; 0 where all are the same."""
    means = maps.reshape(*maps.shape[:2], -1).double().mean(2).cpu().numpy()
    ranks = np.stack([centred_ranks(row) for row in means])
    sizes = np.linalg.norm(ranks, axis=1, keepdims=True)
    return np.asarray(ranks / np.where(sizes > 0, sizes, 1))


def watched_by(canvas: Canvas) -> tuple[int, ...]:
    """Operations whose results are matched: the pixels, at most 5 convolutions up to the layer, and what is raised."""
    top = canvas.operation.index
    before = [layer.result for layer in canvas.network.select_layers("conv") if layer.result < top]
    operations = canvas.network.graph.operations
    chosen = [index for index in before if operations[index].axes is not None and operations[index].carries]
    count = min(_LAYERS, len(chosen))
    return (0, *(chosen[place * len(chosen) // count] for place in range(count)), top)
