"""Where each channel answers most: its strongest positions over all pictures, at most one in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from layerscope.errors import LayerscopeError
from layerscope.kernels.reduction import insert_strongest
from layerscope.network.network import Network
from layerscope.sweep.reducers import LayerBatch, Reducer, Results, State, Target, every_layer

_COLUMNS = {"values": np.float32, "pictures": np.int64, "positions": np.int32}


@dataclass(frozen=True)
class TopPatches(Reducer):
    """For every channel of every layer the ``k`` strongest positions, at most one per picture.

    Sorted by value down, then by place in the image set; within a picture the first of equals counts, row by row.
    A set of fewer pictures gives fewer. A channel that is zero everywhere has the first positions of the first
    pictures: look at the value. State: values (float32, also of a bfloat16 pass), pictures (int64) and positions
    (int32), each (channels, at most k). Result: ``top_patches``, one row per patch.
    """

    k: int = 9
    layers: str | tuple[str, ...] = "all"

    name: ClassVar[str] = "top_patches"
    needs: ClassVar[frozenset[str]] = frozenset({"peaks"})

    def __post_init__(self) -> None:
        if self.k < 1:
            raise LayerscopeError(f"the {self.k} strongest patches of a channel: ask for at least 1")

    def targets(self, network: Network) -> tuple[Target, ...]:
        """Every layer, or those chosen."""
        return every_layer(network, self.layers)

    def update(self, state: State | None, seen: LayerBatch) -> State:
        """Each picture is a candidate for each channel."""
        peaks = seen.peaks
        pictures = np.broadcast_to(seen.pictures[:, None], peaks.values.shape)
        if state is None:
            state = {name: np.empty((seen.target.channels, 0), kind) for name, kind in _COLUMNS.items()}
        return self._insert(state, peaks.values, pictures, peaks.positions)

    def merge(self, one: State, other: State) -> State:
        """The other's patches are the candidates."""
        values, pictures, positions = (other[name].T for name in _COLUMNS)
        return self._insert(one, values, pictures, positions)

    def _insert(self, state: State, *candidates: npt.NDArray[Any]) -> State:
        held = [state[name] for name in _COLUMNS]
        return dict(zip(_COLUMNS, insert_strongest(held, candidates, self.k), strict=True))

    def finish(self, states: Mapping[str, State], network: Network) -> Results:
        """One table: layer, channel, rank (from 0), picture, row, column, value."""
        parts = [_rows(t, states[t.name]) for t in self.targets(network) if t.name in states]
        return {"top_patches": pa.concat_tables([_SCHEMA.empty_table(), *parts])}


_SCHEMA = pa.schema(
    [
        ("layer", pa.string()),
        ("channel", pa.int32()),
        ("rank", pa.int32()),
        ("picture", pa.int64()),
        ("row", pa.int32()),
        ("column", pa.int32()),
        ("value", pa.float32()),
    ]
)


def _rows(target: Target, state: State) -> pa.Table:
    channels, count = state["values"].shape
    channel, rank = (index.ravel().astype(np.int32) for index in np.indices((channels, count)))
    row, column = np.divmod(state["positions"].ravel(), np.int32(target.size[1]))
    columns = [pa.repeat(target.name, channels * count), channel, rank]
    columns += [state["pictures"].ravel(), row, column, state["values"].ravel()]
    return pa.table(columns, schema=_SCHEMA)
