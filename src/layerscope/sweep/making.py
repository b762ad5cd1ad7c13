"""Makes a study: every shard of every network through an engine, merged in order, the manifest last.

Killed at any moment and started again with the same inputs, it goes on; the finished folder is the same, byte for
byte, as if nothing had happened.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from layerscope.disk.locks import LOCK, lock
from layerscope.disk.names import network_folder
from layerscope.disk.whole import remove_partials, written
from layerscope.errors import ImageError, NetworkWarning, StudyError, said
from layerscope.images.sets import ImageSet
from layerscope.network.layers import Layer
from layerscope.network.network import Network
from layerscope.network.suiting import check_channels
from layerscope.progress import Count, Told
from layerscope.study.folder import Study
from layerscope.study.manifest import (
    BEGUN,
    FORMAT,
    MANIFEST,
    PICTURES,
    RESERVED,
    WORK,
    join,
    publish_result,
    write_manifest,
)
from layerscope.sweep.begun import Begun, inputs_of, refuse_other_inputs
from layerscope.sweep.checkpoints import Checkpoints, Shard
from layerscope.sweep.engine import Advance, Engine, Job, Local, surroundings
from layerscope.sweep.one_pass import SweepOptions, finish, merge_shards, pictures_table
from layerscope.sweep.reducers import Reducer, State


def sweep_study(
    networks: Sequence[Network],
    images: ImageSet,
    reducers: Sequence[Reducer],
    out: str | Path,
    *,
    settings: SweepOptions | None = None,
    engine: Engine | None = None,
    progress: Told | None = None,
) -> Study:
    """Run every picture through every network into the folder ``out``; goes on where an earlier run ended.

    ``engine``: where the shards are computed; this process unless given. ``progress`` is told of each
    picture, once for each network. A study that is finished is returned at once.
    Raises StudyError if the folder is another study's, or holds other files; if a picture changes meanwhile; if no
    picture can be read; OutputError if the folder is in use or the disk is full. What is finished stays.
    """
    making = _Making(
        tuple(networks), images, tuple(reducers), settings or SweepOptions(), Path(out), progress
    )
    making.check()
    _prepare(making.out)
    with lock(making.out):
        if not (making.out / MANIFEST).exists():
            remove_partials(making.out)
            making.run(engine or Local())
        study = Study.open(making.out)
        refuse_other_inputs(making.out, study.manifest["inputs"], making.inputs)
        if (making.out / BEGUN).exists():
            making.remove_work()
    return study


def _prepare(out: Path) -> None:
    """Make the folder, unless it is there and is a study, or empty."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        held = {path.name for path in out.iterdir()}
    except OSError as error:
        raise StudyError(
            f"{out} cannot be made or read: {said(error)}; name a folder that can be written"
        ) from error
    if held - {LOCK, WORK} and MANIFEST not in held and not (out / BEGUN).exists():
        raise StudyError(f"{out} holds other files ({min(held)}); name a new folder, or an empty one")


@dataclass(frozen=True)
class _Making:
    """All that one run is about."""

    networks: tuple[Network, ...]
    images: ImageSet
    reducers: tuple[Reducer, ...]
    settings: SweepOptions
    out: Path
    progress: Told | None

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """Where the results of each network go, below the study's folder."""
        return tuple(network_folder(network.name) for network in self.networks)

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """All that the results depend on, as JSON gives it back."""
        return inputs_of(self.networks, self.images, self.reducers, self.settings.batch)

    def check(self) -> None:
        """Raise StudyError if there is nothing to do, or if two things would have one name."""
        for kind, names in (
            ("network", [n.name for n in self.networks]),
            ("reducer", [r.name for r in self.reducers]),
        ):
            if not names:
                raise StudyError(f"a study needs at least one {kind}; name one")
            if twice := {name for name in names if names.count(name) > 1}:
                raise StudyError(f"two {kind}s are called {min(twice)}; give each its own name")
        lowered = [folder.lower() for folder in self.folders]
        taken = next((f for f in lowered if lowered.count(f) > 1 or f in RESERVED or f.startswith(".")), None)
        if taken is not None:
            raise StudyError(
                f"the folder {taken} for the results of a network is taken; give the network another name"
            )

    def run(self, engine: Engine) -> None:
        """Compute what is missing, write all results, then the manifest."""
        check_channels(self.images, {n.name: n.preprocessing for n in self.networks})
        _warn_of_left_out(self.networks)
        begun = self._begin()
        stores = [Checkpoints(self.out / WORK / folder, begun.digest) for folder in self.folders]
        advance = Count(
            self.progress,
            "pictures",
            len(self.images) * len(self.networks),
            before=sum(len(s.indices) for store in stores for s in begun.shards if store.has(s)),
        )
        rows: State = {}
        files: dict[str, Any] = {}
        for network, folder, store in zip(self.networks, self.folders, stores, strict=True):
            job = Job(network, self.images, self.reducers, self.settings, begun.threads)
            self._compute(
                engine, job, [shard for shard in begun.shards if not store.has(shard)], store, advance
            )
            merged = merge_shards(self.reducers, (store.load(shard) for shard in begun.shards))
            self._refuse_changed(rows or merged.pictures, merged.pictures, network)
            rows = merged.pictures
            for stem, content in self._results(network, folder, merged.states):
                files |= publish_result(self.out, stem, content)
        files |= publish_result(
            self.out, PICTURES.removesuffix(".parquet"), pictures_table(self.images, rows)
        )
        self._write_manifest(begun, files, bad=int(np.count_nonzero(rows["reason"] != "")))

    def remove_work(self) -> None:
        """Remove what only an unfinished study needs, the note of what it is last."""
        shards = Begun.read(self.out).shards
        with written(self.out / WORK):
            for folder in self.folders:
                store = Checkpoints(self.out / WORK / folder, "")
                for shard in shards:
                    store.path(shard).unlink(missing_ok=True)
                with suppress(OSError):  # it holds something else
                    store.folder.rmdir()
            (self.out / BEGUN).unlink()
            with suppress(OSError):
                (self.out / WORK).rmdir()

    def _begin(self) -> Begun:
        """What this study was begun with: now, or in an earlier run, which must have been of the same."""
        made_with = {n.name: surroundings(n.device) for n in self.networks}
        shard = self.settings.shard_of(len(self.images))
        now = Begun(self.inputs, made_with, torch.get_num_threads(), shard)
        if not (self.out / BEGUN).exists():
            now.write(self.out)
            return now
        begun = Begun.read(self.out)
        begun.refuse_other(self.out, now)
        return begun

    def _compute(
        self, engine: Engine, job: Job, missing: Sequence[Shard], store: Checkpoints, advance: Advance
    ) -> None:
        with closing(engine.run(job, missing, advance)) as done:
            for shard, result in done:
                store.save(shard, result)

    def _results(
        self, network: Network, folder: str, states: Mapping[tuple[str, str], State]
    ) -> Iterator[tuple[str, Any]]:
        """Every result of one network, with the place of its file; no two have the same."""
        seen = {"layers"}
        yield f"{folder}/layers", layers_table(network.layers)
        for reducer, results in finish(network, self.reducers, states).items():
            for name, content in results.items():
                if name.lower() in seen:
                    raise StudyError(
                        f"{reducer} makes a second result called {name}; give the reducer another name"
                    )
                seen.add(name.lower())
                yield join(folder, name), content

    def _refuse_changed(self, before: State, now: State, network: Network) -> None:
        """A picture must be the same for every network, and one at least must be readable."""
        differ = np.zeros(len(self.images), bool)
        for name in now:
            differ |= before[name] != now[name]
        if differ.any():
            place = int(differ.argmax())
            name, why = self.images.names[place], str(before["reason"][place] or now["reason"][place])
            if why and self._is_there(place):
                raise StudyError(
                    f"{name} is read by some of the networks alone: {why}; or study the networks apart"
                )
            raise StudyError(
                f"{name} changed while the study was made: {network.name} was given another picture than the "
                f"network before; begin anew in another folder"
            )
        if (now["reason"] != "").all():
            raise StudyError(
                f"none of the {len(self.images)} pictures can be read; the first, {self.images.names[0]}: "
                f"{now['reason'][0]}"
            )

    def _is_there(self, place: int) -> bool:
        """Whether a picture can be decoded: if so, what a network made of it is no change of its file."""
        try:
            self.images.load(place)
        except ImageError:
            return False
        return True

    def _write_manifest(self, begun: Begun, files: Mapping[str, Any], *, bad: int) -> None:
        about = {
            n.name: {"folder": f, "weights": n.weights, "trunk": n.trunk, "layers": len(n.layers)}
            for n, f in zip(self.networks, self.folders, strict=True)
        }
        manifest = {
            **{"format": FORMAT, "digest": begun.digest, "inputs": begun.inputs},
            **{"made_with": begun.made_with, "threads": begun.threads},
            "images": {"description": self.images.description, "count": len(self.images), "bad": bad},
            **{"networks": about, "steps": {}, "files": dict(sorted(files.items()))},
        }
        write_manifest(self.out, manifest)


def _warn_of_left_out(networks: Sequence[Network]) -> None:
    for network in networks:
        if out := [layer.name for layer in network.layers if layer.axes is None]:
            warnings.warn(
                f"{network.name}: {len(out)} of {len(network.layers)} layers are left out ({out[0]} is the first): "
                "it is not known which axes of their results are channels, rows and columns",
                NetworkWarning,
                stacklevel=4,
            )


# ------------------------------------------------------------------ tables


def layers_table(layers: Sequence[Layer]) -> pa.Table:
    """A row per layer, in the order they run; field_* is null where positions see boxes of no common size.

    ``channels``, ``rows`` and ``columns`` are null where it is not known which axes of the layer those are.
    """
    fields = [layer.field for layer in layers]
    sizes = [(layer.channels, *layer.size) if layer.channels else (None,) * 3 for layer in layers]

    def pairs(name: str, kind: pa.DataType) -> dict[str, pa.Array]:
        both = [(None, None) if field is None else getattr(field, name) for field in fields]
        return {
            f"field_{name}_{axis}": pa.array([pair[i] for pair in both], kind)
            for i, axis in enumerate(("rows", "columns"))
        }

    return pa.table(
        {
            "layer": pa.array([layer.name for layer in layers], pa.string()),
            "kind": pa.array([layer.kind for layer in layers], pa.string()),
            "operation": pa.array([layer.operation for layer in layers], pa.string()),
            **{
                name: pa.array([size[i] for size in sizes], pa.int32())
                for i, name in enumerate(("channels", "rows", "columns"))
            },
            **pairs("size", pa.int32()),
            **pairs("stride", pa.int32()),
            **pairs("start", pa.float64()),
            "inputs": pa.array([list(layer.inputs) for layer in layers], pa.list_(pa.string())),
        }
    )
