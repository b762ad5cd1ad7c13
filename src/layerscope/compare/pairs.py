"""What is said of one pair of layers: the value, its interval, the heaviest picture, and what chance gives."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from layerscope.compare.cross_sums import Centred, CrossSums, blocks, cross_sums, each_picture, narrowed
from layerscope.compare.intervals import half_width

RUNS = 32  #: of neighbouring pictures, that an interval is made from


@dataclass(frozen=True, eq=False)
class Spread:
    """How the totals of pairs of layers (see `CrossSums.totals`) fall on the pictures.

    ``runs`` (..., runs): what runs of neighbours add; ``share`` and ``picture``: of the heaviest single one.
    """

    runs: Tensor
    share: Tensor
    picture: Tensor

    def of(self, i: int, j: int) -> Spread:
        """That of one pair."""
        return Spread(self.runs[i, j], self.share[i, j], self.picture[i, j])


def spread(sums: CrossSums) -> Spread:
    """Of every pair of layers, in one walk over the pictures."""
    shape, runs = (len(sums.one), len(sums.other)), min(RUNS, sums.pictures)
    most, whole = torch.full(shape, -1.0, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64)
    which, parts = torch.zeros(shape, dtype=torch.int64), torch.zeros((*shape, runs), dtype=torch.float64)
    for block, added in each_picture(sums, exact=sums.one[0].values.shape[1] == 1):
        places = torch.arange(block.start, block.stop)
        parts.index_add_(2, places * runs // sums.pictures, added)
        size, place = added.abs().max(dim=2)
        which = torch.where(size > most, place + block.start, which)
        most = torch.maximum(most, size)
        whole += added.abs().sum(dim=2)
    return Spread(parts, torch.where(whole > 0, most / whole, 0), which)


@dataclass(frozen=True, eq=False)
class Own:
    """A layer with itself: unbiased HSIC, deviation of each channel, and the rest as of a `Pair`.

    ``short``: what its sums with others are made from, `narrowed`.
    """

    centred: Centred
    short: Centred
    hsic: float
    total: float
    biased: float
    deviations: npt.NDArray[np.float64]
    spread: Spread

    @property
    def power(self) -> float:
        """The sum of the variances of its channels."""
        return float((self.deviations**2).sum())

    @property
    def reason(self) -> str | None:
        """Why it is similar to nothing, not even to itself."""
        if self.centred.constant:
            return f"{self.centred.name} is the same for all pictures"
        if self.hsic <= 0:
            return f"{self.centred.name} differs between pictures by no more than chance; use more pictures"
        return None


def own(layer: Centred) -> Own:
    """The sums of a layer with itself."""
    short = narrowed(layer)
    itself = [short]
    sums = cross_sums(itself, itself)
    return Own(
        layer,
        short,
        float(sums.hsic()),
        float(sums.totals()),
        float(sums.biased()),
        deviations(layer) if short is not layer else _deviations(sums),
        spread(sums).of(0, 0),
    )


def _deviations(sums: CrossSums) -> npt.NDArray[np.float64]:
    """Of each channel, from the products of a layer with itself."""
    return (sums.products.diagonal() / sums.pictures).clamp(min=0).sqrt().numpy().copy()


def deviations(layer: Centred) -> npt.NDArray[np.float64]:
    """The standard deviation of each channel."""
    pictures, positions, channels = layer.values.shape
    squares: npt.NDArray[np.float64] = np.zeros(channels)
    for block in blocks(layer.values):
        squares += (layer.read(block) ** 2).sum(dim=(0, 1)).numpy()
    found: npt.NDArray[np.float64] = np.sqrt(squares / (pictures * positions))
    return found


@dataclass(frozen=True, eq=False)
class Pair:
    """Two layers over the same pictures; ``shuffled``: HSIC, and ``wrong`` products, of pictures paired wrongly."""

    one: Own
    other: Own
    pictures: int
    hsic: float
    shuffled: float
    total: float
    biased: float
    spread: Spread
    products: Tensor
    wrong: Tensor

    def row(self, *, procrustes: bool, biased: bool) -> dict[str, Any]:
        """The pair's row of the table; nothing but the reason where there is no value."""
        names = (own.centred.name.rpartition(" of ")[0] for own in (self.one, self.other))
        sizes = (self.pictures, self.one.centred.channels, self.other.centred.channels)
        columns = ("layer", "other_layer", "pictures", "channels", "other_channels")
        reason = self.one.reason or self.other.reason
        about = dict(zip(columns, (*names, *sizes), strict=True)) | {"reason": reason}
        if reason is not None:
            return about
        found = {**about, **self._value(), **self._heaviest()}
        found |= self._procrustes() if procrustes else {}
        return found | (self._biased() if biased else {})

    def _value(self) -> dict[str, float]:
        scale = sqrt(self.one.hsic * self.other.hsic)
        cka, error = self.hsic / scale, self._error(scale)
        return {
            "cka": cka,
            "low": cka - error,
            "high": cka + error,
            "shuffled": self.shuffled / scale,
        }

    def _error(self, scale: float) -> float:
        """Half the width of the 95 % interval.

        A picture's influence on an HSIC is twice what it adds to the total, less the mean; on the CKA it follows by
        the quotient's derivative.
        """
        cka = self.hsic / scale
        influence = _influence(self.spread, self.total, self.pictures) / scale
        for own in (self.one, self.other):
            influence -= cka / 2 * _influence(own.spread, own.total, self.pictures) / own.hsic
        return half_width((influence / self.pictures).numpy())

    def _heaviest(self) -> dict[str, Any]:
        found = [self.spread, self.one.spread, self.other.spread]
        heaviest = max(found, key=lambda one: float(one.share))
        return {"share": float(heaviest.share), "share_picture": int(heaviest.picture)}

    def _procrustes(self) -> dict[str, float]:
        """Nuclear norms of the products over the norms of both layers. Source: Williams et al. 2021."""
        scale = sqrt(self.one.power * self.other.power) * self.pictures
        right, wrong = (float(torch.linalg.svdvals(p).sum()) / scale for p in (self.products, self.wrong))
        return {"procrustes": right, "procrustes_shuffled": wrong}

    def _biased(self) -> dict[str, float]:
        """Source of the second: Murphy et al. 2024, arXiv 2405.01012, for Gaussian channels that are unrelated."""
        n, p, q = self.pictures, self.one.centred.channels, self.other.centred.channels
        value = self.biased / sqrt(self.one.biased * self.other.biased)
        return {"biased": value, "biased_chance": 1 / sqrt((1 + n / p) * (1 + n / q))}


def _influence(spread: Spread, total: float, pictures: int) -> Tensor:
    """Of each run of pictures on the HSIC, times the number of pictures."""
    runs = len(spread.runs)
    sizes = torch.bincount(torch.arange(pictures) * runs // pictures, minlength=runs)
    return 2 * (spread.runs - sizes * (total / pictures)) / (pictures - 1)
