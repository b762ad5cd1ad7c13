"""3x3 convolutions of stride 1 by Winograd's minimal filtering, in float32 on the CPU: a quarter of the products.

Tiles of 6x6 values become 36 operands, each of which one matrix product takes across the channels; 4x4 values of the
result are made of the 36 products (Lavin 2016). Rounding is about that of a direct convolution
(winograd_kernels.POINTS).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from math import prod
from threading import local
from types import ModuleType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from layerscope.kernels.threads import loading_kernels, share_out
from layerscope.network.geometry import Window

Array = npt.NDArray[np.float32]

MADE = 4  #: side of what a tile makes; it reads two more
_SKEW = (
    16  # floats between the operands of a tile, which else would fall onto the same few lines of the cache
)
_BLOCK = 400  # tiles taken together, in whole pictures
_MOVED, _FETCHED = 150, 50  # products that take as long as moving an operand, as fetching a weight; measured


@dataclass(frozen=True, eq=False)
class Filters:
    """3x3 filters (outputs, inputs, 3, 3), float32, and what they become; shared by all that use them."""

    weight: Tensor

    @cached_property
    def transformed(self) -> Tensor:
        """(36, inputs, outputs)."""
        axis = _filter_axis(_kernels().POINTS)
        outputs, inputs = self.weight.shape[:2]
        taps = self.weight.detach().permute(2, 3, 1, 0).reshape(9, inputs * outputs)
        return (torch.kron(axis, axis).float() @ taps).view(36, inputs, outputs)


@dataclass(frozen=True, eq=False)
class Winograd:
    """A convolution with such filters, to be used where `pays` says so."""

    filters: Filters
    bias: Tensor | None
    pads: tuple[int, int]  #: rows and columns of zeros on both sides

    def pays(self, shape: torch.Size) -> bool:
        """Whether it is quicker than a direct convolution for inputs (rows, channels, height, width).

        It is the same for any number of rows, so that a picture's results are, too; and tells of one alone.
        """
        made, tiles = prod(self._size(shape)), prod(_tiles(self._size(shape)))
        outputs, inputs = self.filters.weight.shape[:2]
        spared = (9 * made - 36 * 1.1 * tiles) * outputs * inputs
        moved, fetched = 36 * tiles * (outputs + inputs), 36 * outputs * inputs
        return spared > _MOVED * moved + _FETCHED * fetched

    def __call__(self, values: Tensor, *, rectify: bool = False) -> Tensor:
        """The convolution of (rows, channels, height, width); ``rectify`` sets negative values to zero."""
        x = values.permute(0, 2, 3, 1).contiguous().numpy()
        size = self._size(values.shape)
        result = torch.empty((len(x), *size, len(self.filters.weight)), dtype=torch.float32, device="cpu")
        lowest = np.float32(0 if rectify else -np.inf)
        bias = result.new_zeros(result.shape[-1]) if self.bias is None else self.bias.detach()
        at_once = max(1, _BLOCK // prod(_tiles(size)))
        for first in range(0, len(x), at_once):
            part = slice(first, first + at_once)
            self._block(x[part], result.numpy()[part], bias.numpy(), lowest)
        return result.permute(0, 3, 1, 2)

    def _block(self, x: Array, y: Array, bias: Array, lowest: np.float32) -> None:
        down, across = _tiles(y.shape[1:3])
        kernels, rows = _kernels(), len(x) * down
        outputs, inputs = self.filters.weight.shape[:2]
        with torch.inference_mode():  # always: memory made inside may not be written outside
            operands = _scratch("operands", rows * across, 36, inputs + _SKEW)
            products = _scratch("products", 36, rows * across, outputs)
        read, made = operands.numpy(), products.numpy()

        def read_row(i: int) -> None:
            kernels.read_tiles(x, i // down, i % down, self.pads, i * across, across, read)

        def make_row(i: int) -> None:
            kernels.make_tiles(made, i * across, across, i // down, i % down, bias, lowest, y)

        share_out(read_row, rows)
        with torch.inference_mode():
            torch.bmm(operands[..., :inputs].transpose(0, 1), self.filters.transformed, out=products)
        share_out(make_row, rows)

    def _size(self, shape: torch.Size) -> tuple[int, int]:
        return shape[2] + 2 * self.pads[0] - 2, shape[3] + 2 * self.pads[1] - 2


def suits(weight: Tensor, axes: tuple[Window, Window], groups: int) -> bool:
    """Whether a convolution on the CPU is of the kind that this is for."""
    plain = groups == 1 and all(w.kernel == 3 and w.stride == w.dilation == 1 for w in axes)
    return plain and weight.dtype == torch.float32


_held = local()


def _scratch(name: str, *shape: int) -> Tensor:
    """Memory of this thread's for a block, the same as last time if it is large enough: fresh memory costs more."""
    held = getattr(_held, name, None)
    if held is None or held.numel() < prod(shape):
        held = torch.empty(prod(shape), dtype=torch.float32, device="cpu")
        setattr(_held, name, held)
    return held[: prod(shape)].view(shape)


def _tiles(size: tuple[int, ...]) -> tuple[int, int]:
    return -(-size[0] // MADE), -(-size[1] // MADE)


def _filter_axis(points: tuple[float, ...]) -> Tensor:
    """Along one axis, three taps to six operands: the filter's polynomial at the points, and at infinity."""
    rows = [np.array([1, p, p * p]) / prod(p - q for q in points if q != p) for p in points]
    return torch.from_numpy(np.stack([*rows, np.array([0.0, 0.0, 1.0])]))


@cache
def _kernels() -> ModuleType:
    """The compiled transforms; numba takes a moment to import, so it waits until they are used."""
    with loading_kernels():
        from layerscope.kernels import winograd_compiled as winograd_kernels
    return winograd_kernels
