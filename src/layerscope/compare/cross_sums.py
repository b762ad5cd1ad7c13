"""Sums over pictures of the products of two layers' channels, and the unbiased HSIC that they give.

A picture i has at each of m positions a vector x of one layer and y of the other; u and v are their means over the
positions, C_i the mean of x y'. All are centred on the mean over all pictures, which leaves the unbiased HSIC as it
is, exactly, and its formula with few terms. Pictures are the independent units: no product of a picture with itself
counts, at whatever positions. With m = 1 this is Song's estimate.

Pictures are summed in blocks of a size that depends on m alone, in their order; so how they were split while the
network ran does not show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from layerscope.errors import ComparisonError

_ROWS = 1024  #: vectors that go into one product of matrices
_ROUNDING = 2.0**-20  #: of its largest value: a channel that differs by less than that does so by rounding
Array = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Pictures = slice | npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Centred:
    """A layer's vectors (pictures, positions, channels) and what is taken from them: the mean of each channel.

    ``flat``: channels that are the same for all pictures, at all positions, but for rounding; they count as 0.
    """

    name: str
    values: Array
    centre: Tensor
    flat: npt.NDArray[np.bool_]

    @property
    def constant(self) -> bool:
        """Whether all of it is the same for all pictures."""
        return bool(self.flat.all())

    @property
    def channels(self) -> int:
        """How many channels it has."""
        return int(self.values.shape[2])

    def read(self, pictures: Pictures) -> Tensor:
        """The centred vectors of some pictures, float64."""
        return _Block.read([self], pictures, torch.float64).vectors

    def write(self, pictures: Pictures, out: Tensor) -> None:
        """The same, into ``out``."""
        out.copy_(torch.from_numpy(np.require(self.values[pictures], requirements="W")))
        out -= self.centre.to(out.dtype)
        if self.flat.any():
            out[..., torch.from_numpy(self.flat)] = 0


def blocks(values: Array) -> Iterator[slice]:
    """The fixed blocks of pictures, in order."""
    pictures, positions, _ = values.shape
    size = max(1, _ROWS // positions)
    for start in range(0, pictures, size):
        yield slice(start, min(start + size, pictures))


def centred(name: str, values: Array) -> Centred:
    """The layer with its mean.

    Raises ComparisonError for a value that is not finite.
    """
    sums = np.zeros(values.shape[2])
    least, most = np.full(len(sums), np.inf), np.full(len(sums), -np.inf)
    for block in blocks(values):
        read = np.asarray(values[block], np.float64)
        if not np.isfinite(read).all():
            raise ComparisonError(
                f"{name} has NaN or infinity among its values; check weights and preprocessing"
            )
        sums += read.sum(axis=(0, 1))
        least, most = np.minimum(least, read.min(axis=(0, 1))), np.maximum(most, read.max(axis=(0, 1)))
    flat = most - least <= _ROUNDING * np.maximum(np.abs(least), np.abs(most))
    centre = np.where(flat, least, sums / (values.shape[0] * values.shape[1]))
    return Centred(name, values, torch.from_numpy(centre), flat)


def narrowed(layer: Centred) -> Centred:
    """The layer turned so that few vectors have as many channels as there are of them; as it is if it is no wider.

    A rotation: lengths, angles and so all sums but those by channel are the same.
    """
    pictures, positions, channels = layer.values.shape
    if (rows := pictures * positions) >= min(channels, _ROWS):
        return layer
    turned = torch.linalg.qr(layer.read(slice(None)).flatten(0, 1).T, mode="r").R.T
    values = turned.reshape(pictures, positions, rows).numpy()
    return Centred(layer.name, values, torch.zeros(rows, dtype=torch.float64), np.zeros(rows, np.bool_))


@dataclass(frozen=True, eq=False)
class CrossSums:
    """Of every layer of ``one`` with every layer of ``other``, picture by picture; n pictures.

    ``products``: the sum of C_i, all channels by all channels; ``pooled``: the sum of u v', the same where there is
    one position. The others are (layers, layers): sums of |C_i|^2, u' C_i v and |u|^2 |v|^2; ``powers`` and
    ``other_powers``: sums of |u|^2 and of |v|^2.
    """

    one: Sequence[Centred]
    other: Sequence[Centred]
    pictures: int
    products: Tensor
    pooled: Tensor
    squares: Tensor
    mixed: Tensor
    norms: Tensor
    powers: Tensor
    other_powers: Tensor

    def pair(self, i: int, j: int) -> tuple[slice, slice]:
        """Where the channels of two layers stand in ``products``."""
        return _spans(self.one)[i], _spans(self.other)[j]

    def totals(self) -> Tensor:
        """The sum over pairs of different pictures of the products of their kernels: (layers, layers)."""
        return _by_pair(self, self.products, self.products) - self.squares

    def hsic(self) -> Tensor:
        """The unbiased HSIC of each pair of layers. Source: Song et al. 2012, JMLR 13, for one position."""
        n = self.pictures
        pooled = _by_pair(self, self.pooled, self.pooled)
        three = 2 * self.mixed - _by_pair(self, self.products, self.pooled)
        four = torch.outer(self.powers, self.other_powers) - 6 * self.norms + 2 * pooled
        threes = n * (n - 1) * (n - 2)
        return self.totals() / (n * (n - 1)) + four / (threes * (n - 3)) - 2 * three / threes

    def biased(self) -> Tensor:
        """The squared norms of the products, on which the biased value stands."""
        return _by_pair(self, self.products, self.products)


def _by_pair(sums: CrossSums, one: Tensor, other: Tensor) -> Tensor:
    """Inner products of two matrices, part by part."""
    rows, columns = _spans(sums.one), _spans(sums.other)
    return torch.stack(
        [torch.stack([(one[r, c] * other[r, c]).sum(dtype=torch.float64) for c in columns]) for r in rows]
    )


def _spans(layers: Sequence[Centred]) -> list[slice]:
    ends = np.cumsum([layer.channels for layer in layers]).tolist()
    return [slice(end - layer.channels, end) for layer, end in zip(layers, ends, strict=True)]


def cross_sums(
    one: Sequence[Centred],
    other: Sequence[Centred],
    partners: npt.NDArray[np.int64] | None = None,
    *,
    exact: bool = True,
) -> CrossSums:
    """The sums of some layers with some others of the same pictures, or with those of each picture's partner.

    ``exact``: all in float64; otherwise products are float32, which is half the time, and their sums per layer float64.
    """
    wide, values = torch.float64, one[0].values
    kind = wide if exact else torch.float32
    shape = sum(layer.channels for layer in one), sum(layer.channels for layer in other)
    many = values.shape[1] > 1
    products = torch.zeros(shape, dtype=kind)
    pooled = torch.zeros(shape, dtype=kind) if many else products
    squares, mixed, norms = torch.zeros((3, len(one), len(other)), dtype=wide)
    powers, other_powers = torch.zeros(len(one), dtype=wide), torch.zeros(len(other), dtype=wide)
    for pictures in blocks(values):
        x = _Block.read(one, pictures, kind)
        itself = other is one and partners is None
        y = x if itself else _Block.read(other, pictures if partners is None else partners[pictures], kind)
        products.addmm_(x.vectors.flatten(0, 1).T, y.vectors.flatten(0, 1), alpha=1 / values.shape[1])
        if many:
            pooled.addmm_(x.means[:, 0].T, y.means[:, 0])
        squares += _squares(x, y).sum(2)
        mixed += torch.einsum("abm,cbm->ac", x.along_means, y.along_means) / values.shape[1]
        norms += x.powers @ y.powers.T
        powers += x.powers.sum(1)
        other_powers += y.powers.sum(1)
    return CrossSums(one, other, len(values), products, pooled, squares, mixed, norms, powers, other_powers)


def each_picture(sums: CrossSums, *, exact: bool = True) -> Iterator[tuple[slice, Tensor]]:
    """Block by block, what each picture adds to `CrossSums.totals`: (layers, layers, pictures)."""
    kind = torch.float64 if exact else torch.float32
    products = sums.products.to(kind)
    for pictures in blocks(sums.one[0].values):
        x = _Block.read(sums.one, pictures, kind)
        y = x if sums.other is sums.one else _Block.read(sums.other, pictures, kind)
        whole = torch.empty(len(x.spans), len(y.spans), len(x.vectors), dtype=torch.float64)
        for i, rows in enumerate(x.spans):
            for j, columns in enumerate(y.spans):
                seen = x.vectors[..., rows].flatten(0, 1) @ products[rows, columns]
                dots = _dots(seen, y.vectors[..., columns].flatten(0, 1))
                whole[i, j] = dots.view(len(x.vectors), -1).sum(1, dtype=torch.float64)
        yield pictures, whole / x.vectors.shape[1] - _squares(x, y)


@dataclass(frozen=True, eq=False)
class _Block:
    """The centred ``vectors`` of some pictures in some layers, side by side: (pictures, positions, all channels)."""

    vectors: Tensor
    spans: Sequence[slice]

    @classmethod
    def read(cls, layers: Sequence[Centred], pictures: Pictures, kind: torch.dtype) -> _Block:
        """From the layers."""
        count, positions, _ = layers[0].values[pictures].shape
        spans = _spans(layers)
        found = torch.empty(count, positions, spans[-1].stop, dtype=kind)
        for layer, span in zip(layers, spans, strict=True):
            layer.write(pictures, found[:, :, span])
        return cls(found, spans)

    @cached_property
    def means(self) -> Tensor:
        """u, over the positions: (pictures, 1, channels)."""
        return self.vectors.mean(dim=1, keepdim=True)

    @cached_property
    def powers(self) -> Tensor:
        """|u|^2: (layers, pictures)."""
        return torch.stack([_dots(self.means[..., s], self.means[..., s])[:, 0] for s in self.spans])

    @cached_property
    def along_means(self) -> Tensor:
        """The products of u with each position's vector: (layers, pictures, positions)."""
        return torch.stack([_dots(self.vectors[..., s], self.means[..., s]) for s in self.spans])

    @cached_property
    def kernels(self) -> Tensor:
        """The products of each two positions' vectors: (layers, pictures, positions^2)."""
        count, positions, _ = self.vectors.shape
        found = self.vectors.new_empty(len(self.spans), count, positions, positions)
        for out, span in zip(found, self.spans, strict=True):
            part = self.vectors[..., span]
            torch.bmm(part, part.mT, out=out)
        return found.flatten(2)


def _squares(x: _Block, y: _Block) -> Tensor:
    """|C_i|^2 of each pair of layers and picture (layers, layers, pictures)."""
    return torch.einsum("abk,cbk->acb", x.kernels, y.kernels) / x.vectors.shape[1] ** 2


def _dots(one: Tensor, other: Tensor) -> Tensor:
    """Inner products over the last axis, by BLAS: a quarter of the time of a product and a sum."""
    return torch.from_numpy(np.vecdot(one.numpy(), other.numpy()))
