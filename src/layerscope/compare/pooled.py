"""Every layer of every picture as one short vector, or as a small grid of them: what comparisons are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F

from layerscope.errors import LayerscopeError
from layerscope.network.network import Network
from layerscope.sweep.reducers import LayerBatch, Reducer, Results, State, Target, every_layer


@dataclass(frozen=True)
class Pooled(Reducer):
    """The mean of each channel over all positions, or over each cell of a grid of ``grid`` x ``grid`` cells.

    Cells are those of torch's adaptive average pool: of maps of any size, overlapping where they must. State:
    ``pictures`` (int64) and ``values`` (pictures, cells, channels), float32, cells row by row; it grows by 4 bytes
    per picture, cell and channel. Results: for each layer the array ``pooled/LAYER``, a row per good picture.
    """

    layers: str | tuple[str, ...] = "all"
    grid: int = 1

    name: ClassVar[str] = "pooled"
    needs: ClassVar[frozenset[str]] = frozenset({"moments"})

    def __post_init__(self) -> None:
        if self.grid < 1:
            raise LayerscopeError(f"a grid of {self.grid}x{self.grid} cells: ask for at least 1")

    def targets(self, network: Network) -> tuple[Target, ...]:
        """Every layer, or those chosen."""
        return every_layer(network, self.layers)

    def update(self, state: State | None, seen: LayerBatch) -> State:
        """Rows follow rows."""
        values = _means(seen) if self.grid == 1 or seen.target.positions == 1 else _cells(seen, self.grid)
        seen.refuse(~np.isfinite(values).all(axis=(1, 2)), "NaN or infinity")
        new: State = {"pictures": seen.pictures, "values": values}
        return new if state is None else self.merge(state, new)

    def merge(self, one: State, other: State) -> State:
        """Rows follow rows."""
        return {name: np.concatenate([one[name], other[name]]) for name in ("pictures", "values")}

    def finish(self, states: Mapping[str, State], network: Network) -> Results:
        """The values, layer by layer."""
        seen = [t.name for t in self.targets(network) if t.name in states]
        return {f"pooled/{name}": np.asarray(states[name]["values"]) for name in seen}


def _means(seen: LayerBatch) -> npt.NDArray[Any]:
    """From float64 sums in a fixed order, so they depend on no other picture."""
    with np.errstate(over="ignore"):
        return (seen.moments.sums / seen.target.positions).astype(np.float32)[:, None]


def _cells(seen: LayerBatch, grid: int) -> npt.NDArray[Any]:
    maps = seen.values.reshape(*seen.values.shape[:2], *seen.target.size).float()
    cells = F.adaptive_avg_pool2d(maps, grid).flatten(2).movedim(1, 2)
    found: npt.NDArray[Any] = cells.contiguous().cpu().numpy()
    return found
