"""A uniform sample of a layer's positions with their vectors, the same however the pictures are split.

Each position has a key of 64 bits, hashed from the seed, the layer, the picture's name, row and column; those with
the smallest keys are the sample. So it does not depend on the order of the pictures either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from layerscope.disk.names import file_names
from layerscope.errors import GeometryError, LayerscopeError
from layerscope.network.network import Network
from layerscope.sweep.reducers import LayerBatch, Reducer, Results, State, Target, every_layer

Where = Literal["all", "inside", "auto"]
Keys = npt.NDArray[np.uint64]
_COLUMNS = ("keys", "pictures", "positions", "vectors")
_WHOLE = 1 << 64
_NOWHERE = np.empty(0, np.int32)


@dataclass(frozen=True)
class PatchSample(Reducer):
    """``count`` positions of each of the layers, drawn uniformly; the first m of them are a sample of m.

    ``per_picture``: at most so many of one picture. ``where``: "all" positions; "inside", only those whose receptive
    field lies in the picture; "auto", those where the layer has any, else all. A position is only considered if its
    key is below a bound that some 1.25 x ``count`` positions of the whole image set are expected to pass, so what
    shards keep stays in proportion to the sample; a set of which more than a fifth cannot be read may give fewer.
    State: keys (uint64), pictures, positions, and vectors (float32), by rising key. Results: the table ``patches``
    and, for each layer, the array ``patches/LAYER``, whose rows are those of the table that name the layer.
    """

    layers: str | tuple[str, ...]
    count: int
    seed: int = 0
    per_picture: int | None = None
    where: Where = "all"

    name: ClassVar[str] = "patch_sample"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        if self.count < 1 or (self.per_picture is not None and self.per_picture < 1):
            raise LayerscopeError(
                f"a sample of {self.count} patches, {self.per_picture} per picture: ask for 1 or more"
            )
        if self.where not in ("all", "inside", "auto"):
            raise LayerscopeError(f'patches from {self.where!r}: choose "all", "inside" or "auto"')

    def targets(self, network: Network) -> tuple[Target, ...]:
        """The layers. Raises GeometryError if one has no position that lies ``inside``, and only those are wanted."""
        found = every_layer(network, self.layers)
        for target in found if self.where == "inside" else ():
            if target.layer is None or target.layer.field is None:
                raise GeometryError(
                    f'{target.name} has no receptive field of one size; sample it with where="all"'
                )
            if not len(_inside(target, network.input_shape[1:])):
                raise GeometryError(f'no position of {target.name} sees only the picture; use where="all"')
        return found

    def update(self, state: State | None, seen: LayerBatch) -> State:
        """Positions with keys below the bound, and below the largest of a full sample, come in."""
        target = seen.target
        places = self.positions(target, seen.batch.size)
        full = state is not None and len(state["keys"]) == self.count
        highest = int(state["keys"][-1]) if full and state is not None else _WHOLE
        limit = min(self._bound(len(places), seen.batch.total), highest + 1)
        found = [self._chosen(target.name, name, places, limit) for name in seen.names]
        rows = np.repeat(np.arange(len(found)), [len(keys) for keys, _ in found])
        keys = np.concatenate([keys for keys, _ in found]) if found else np.empty(0, np.uint64)
        positions = np.concatenate([p for _, p in found]) if found else np.empty(0, np.int32)
        new = self._first(
            {
                "keys": keys,
                "pictures": seen.pictures[rows],
                "positions": positions,
                "vectors": _vectors(seen, rows, positions),
            }
        )
        return new if state is None else self.merge(state, new)

    def merge(self, one: State, other: State) -> State:
        """The smallest keys of both."""
        return self._first({name: np.concatenate([one[name], other[name]]) for name in _COLUMNS})

    def finish(self, states: Mapping[str, State], network: Network) -> Results:
        """The table (layer, picture, row, column) and the vectors, both by rising key."""
        seen = [t for t in self.targets(network) if t.name in states]
        rows = [_rows(t, states[t.name]) for t in seen]
        files = file_names(layer.name for layer in network.layers)
        vectors = {f"patches/{files[t.name]}": np.asarray(states[t.name]["vectors"]) for t in seen}
        return {"patches": pa.concat_tables([_SCHEMA.empty_table(), *rows]), **vectors}

    def _first(self, state: Mapping[str, npt.NDArray[Any]]) -> State:
        order = np.lexsort([state["positions"], state["pictures"], state["keys"]])[: self.count]
        return {name: state[name][order] for name in _COLUMNS}

    def _bound(self, places: int, pictures: int) -> int:
        """Keys from here on are not considered: far fewer than ``count`` positions would have to be below it."""
        if self.per_picture is None:
            return _share(self.count, places * pictures)
        return _share(min(self.per_picture, -(-self.count // pictures)), places)

    def positions(self, target: Target, size: tuple[int, ...]) -> npt.NDArray[np.int32]:
        """Positions, row-major, that may be drawn from a picture whose input has this height and width."""
        inside = _inside(target, size) if self.where != "all" else _NOWHERE
        if self.where == "all" or (self.where == "auto" and not len(inside)):
            return np.arange(target.positions, dtype=np.int32)
        return inside

    def most(self, target: Target, size: tuple[int, ...], pictures: int) -> int:
        """How many patches so many pictures give."""
        places = len(self.positions(target, size))
        return min(self.count, pictures * min(places, self.per_picture or places))

    def _chosen(
        self, layer: str, picture: str, places: npt.NDArray[np.int32], limit: int
    ) -> tuple[Keys, npt.NDArray[np.int32]]:
        keys = position_keys(self.seed, layer, picture, places)
        low = np.flatnonzero(keys <= np.uint64(limit - 1))
        if self.per_picture is not None and len(low) > self.per_picture:
            low = np.sort(low[np.argsort(keys[low], kind="stable")[: self.per_picture]])
        return keys[low], places[low]


def _inside(target: Target, size: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """Positions, row-major, whose receptive field lies in a picture of this height and width."""
    if target.layer is None or target.layer.field is None:
        return _NOWHERE
    field = target.layer.field
    every = np.arange(target.positions, dtype=np.int32)
    rows, columns = np.divmod(every, np.int32(target.size[1]))
    inside = np.ones(len(every), bool)
    for axis, places, length in ((field.rows, rows, size[0]), (field.columns, columns, size[1])):
        start = axis.left + places * axis.stride
        inside &= (start >= 0) & (start + axis.size <= length)
    return every[inside]


def _share(wanted: int, of: int) -> int:
    """The bound under which at least ``wanted`` of so many uniform keys lie, a fifth missing, but for one in 1e15."""
    generous = 1.25 * wanted + 10 * sqrt(wanted) + 64
    return _WHOLE if generous >= of else int(_WHOLE * (generous / of))


def position_keys(seed: int, layer: str, picture: str, positions: npt.NDArray[np.int32]) -> Keys:
    """A key for each position: blake2b of seed, layer and picture, then splitmix64 of it plus the position."""
    digest = hashlib.blake2b(repr((seed, layer, picture)).encode(), digest_size=8).digest()
    start = np.uint64(int.from_bytes(digest, "little"))
    z = start + (positions.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _vectors(
    seen: LayerBatch, rows: npt.NDArray[Any], positions: npt.NDArray[Any]
) -> npt.NDArray[np.float32]:
    maps = seen.values.reshape(len(seen.names), seen.target.channels, -1)
    index = (torch.from_numpy(rows).to(maps.device), torch.from_numpy(positions).long().to(maps.device))
    found: npt.NDArray[np.float32] = maps.movedim(1, -1)[index].float().cpu().numpy()
    undefined = np.zeros(len(seen.names), bool)
    undefined[rows[np.isnan(found).any(axis=1)]] = True
    seen.refuse(undefined)
    return found


_SCHEMA = pa.schema(
    [("layer", pa.string()), ("picture", pa.int64()), ("row", pa.int32()), ("column", pa.int32())]
)


def _rows(target: Target, state: State) -> pa.Table:
    row, column = np.divmod(state["positions"], np.int32(target.size[1]))
    names = pa.repeat(target.name, len(row))
    return pa.table([names, state["pictures"], row, column], schema=_SCHEMA)
