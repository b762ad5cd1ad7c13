"""Makes a study: every shard of every network through an engine, merged in order, the manifest last.

Killed at any moment and started again with the same inputs, it goes on; the finished folder is the same, byte for
byte, as if nothing had happened.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from layerscope.disk.locks import LOCK, lock
from layerscope.disk.tables import publish_json, read_json
from layerscope.disk.whole import remove_partials
from layerscope.errors import StudyError
from layerscope.images.sets import ImageSet
from layerscope.network.layers import Layer
from layerscope.network.network import Network
from layerscope.progress import Count, Told
from layerscope.study.folder import (
    BEGUN,
    FORMAT,
    MANIFEST,
    PICTURES,
    RESERVED,
    WORK,
    Study,
    join,
    lacking,
    publish_result,
)
from layerscope.sweep.checkpoints import Checkpoints, Shard
from layerscope.sweep.engine import Advance, Engine, Job, Local, surroundings
from layerscope.sweep.one_pass import SweepOptions, finish, merge_shards, pictures_table
from layerscope.sweep.reducers import Reducer, State

_WORDS = {"images.digest": "the pictures: their list, their sizes in bytes or their labels"}


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
        remove_partials(making.out)
        if not (making.out / MANIFEST).exists():
            making.run(engine or Local())
        study = Study.open(making.out)
        _refuse_other_inputs(making.out, study.manifest["inputs"], making.inputs)
        if (making.out / WORK).exists():
            shutil.rmtree(making.out / WORK)
    return study


def _prepare(out: Path) -> None:
    """Make the folder, unless it is there and is a study, or empty."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        held = {path.name for path in out.iterdir()}
    except OSError as error:
        raise StudyError(
            f"{out} cannot be made or read: {error.strerror}; name a folder that can be written"
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
        return tuple(re.sub(r"[^A-Za-z0-9_@+.-]", "_", network.name) for network in self.networks)

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """All that the results depend on, as JSON gives it back."""
        content = {
            "images": {
                "digest": self.images.digest,
                "count": len(self.images),
                "classes": self.images.classes,
            },
            "pass": {"batch": self.settings.batch, "shard": self.settings.shard},
            "reducers": {reducer.name: _reducer_input(reducer) for reducer in self.reducers},
            "networks": {network.name: _network_input(network) for network in self.networks},
        }
        plain: dict[str, Any] = json.loads(json.dumps(content))
        return plain

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the inputs."""
        return hashlib.sha256(json.dumps(self.inputs, sort_keys=True).encode()).hexdigest()

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """Every shard, in order."""
        ranges = self.settings.shards(len(self.images))
        return tuple(Shard(number, indices) for number, indices in enumerate(ranges))

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
        begun = self._begin()
        stores = [Checkpoints(self.out / WORK / folder, self.digest) for folder in self.folders]
        advance = Count(
            self.progress,
            "pictures",
            len(self.images) * len(self.networks),
            before=sum(len(s.indices) for store in stores for s in self.shards if store.has(s)),
        )
        rows: State = {}
        files: dict[str, Any] = {}
        for network, folder, store in zip(self.networks, self.folders, stores, strict=True):
            job = Job(network, self.images, self.reducers, self.settings, begun["threads"])
            self._compute(engine, job, store, advance)
            merged = merge_shards(self.reducers, (store.load(shard) for shard in self.shards))
            self._refuse_changed(rows or merged.pictures, merged.pictures, network)
            rows = merged.pictures
            for stem, content in self._results(network, folder, merged.states):
                files |= publish_result(self.out, stem, content)
        files |= publish_result(
            self.out, PICTURES.removesuffix(".parquet"), pictures_table(self.images, rows)
        )
        self._write_manifest(begun, files, bad=int(np.count_nonzero(rows["reason"] != "")))

    def _begin(self) -> dict[str, Any]:
        """What this study was begun with: now, or in an earlier run, which must have been of the same."""
        now = {
            "format": FORMAT,
            "inputs": self.inputs,
            "made_with": {n.name: surroundings(n.device) for n in self.networks},
            "threads": torch.get_num_threads(),
        }
        if not (self.out / BEGUN).exists():
            publish_json(self.out / BEGUN, now)
            return now
        begun = read_json(self.out / BEGUN)
        if lacks := lacking(begun, ("inputs", "made_with", "threads")):
            raise StudyError(
                f"{self.out / BEGUN} is damaged: it has no {lacks!r}; remove {self.out / WORK} and run the same again"
            )
        _refuse_other_inputs(
            self.out, {"format": begun.get("format"), **begun["inputs"]}, {"format": FORMAT, **self.inputs}
        )
        if changed := differences(begun["made_with"], now["made_with"]):
            raise StudyError(
                f"{self.out} was begun with other software or on another machine: {_some(changed)}; "
                "go on with the same, or begin anew in another folder"
            )
        return begun

    def _compute(self, engine: Engine, job: Job, store: Checkpoints, advance: Advance) -> None:
        missing = [shard for shard in self.shards if not store.has(shard)]
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
            name = self.images.names[int(differ.argmax())]
            raise StudyError(
                f"{name} changed while the study was made: {network.name} was given another picture than the "
                f"network before; begin anew in another folder"
            )
        if (now["reason"] != "").all():
            raise StudyError(
                f"none of the {len(self.images)} pictures can be read; the first, {self.images.names[0]}: "
                f"{now['reason'][0]}"
            )

    def _write_manifest(self, begun: Mapping[str, Any], files: Mapping[str, Any], *, bad: int) -> None:
        about = {
            n.name: {"folder": f, "weights": n.weights, "trunk": n.trunk, "layers": len(n.layers)}
            for n, f in zip(self.networks, self.folders, strict=True)
        }
        manifest = {
            **{"format": FORMAT, "digest": self.digest, "inputs": self.inputs},
            **{"made_with": begun["made_with"], "threads": begun["threads"]},
            "images": {"description": self.images.description, "count": len(self.images), "bad": bad},
            **{"networks": about, "steps": {}, "files": dict(sorted(files.items()))},
        }
        publish_json(self.out / MANIFEST, manifest)


# ------------------------------------------------------------------ what results depend on


def _network_input(network: Network) -> dict[str, Any]:
    classes = json.dumps(network.classes).encode()
    return {
        "digest": network.graph.digest,
        "dtype": str(network.dtype).removeprefix("torch."),
        "preprocessing": asdict(network.preprocessing),
        "layers": [layer.name for layer in network.layers],
        "classes": None if network.classes is None else hashlib.sha256(classes).hexdigest(),
    }


def _reducer_input(reducer: Reducer) -> dict[str, Any]:
    """Its kind and its options. Raises StudyError if they cannot be written as JSON."""
    options = dict(reducer.options())
    try:
        json.dumps(options)
    except (TypeError, ValueError) as error:
        raise StudyError(
            f"the options of reducer {reducer.name} are no JSON ({error}); give them as numbers, text and lists"
        ) from error
    return {"kind": type(reducer).__qualname__, "options": options}


def _refuse_other_inputs(out: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    if changed := differences(before, now):
        raise StudyError(
            f"{out} is a study of something else: {_some(changed)}; begin another in a new folder, or run this one "
            "with what it was begun with"
        )


def differences(before: Any, now: Any, place: str = "") -> list[str]:
    """What differs between two values made of JSON, in words, one by one."""
    if isinstance(before, dict) and isinstance(now, dict):
        inner = f"{place}." if place else ""
        both = [k for k in before if k in now]
        gone = [f"{inner}{k} is gone" for k in before if k not in now]
        new = [f"{inner}{k} is new" for k in now if k not in before]
        return gone + new + [text for k in both for text in differences(before[k], now[k], f"{inner}{k}")]
    if before == now and type(before) is type(now):
        return []
    if place.startswith("networks.") and place.endswith(".digest"):
        return [f"architecture or weights of {place[9:-7]}"]
    if isinstance(before, list) or isinstance(now, list):
        return [place]
    return [_WORDS.get(place) or f"{place} was {before!s:.40}, is {now!s:.40}"]


def _some(changed: Sequence[str]) -> str:
    return "; ".join(changed[:3]) + (f"; and {len(changed) - 3} more" if len(changed) > 3 else "")


# ------------------------------------------------------------------ tables


def layers_table(layers: Sequence[Layer]) -> pa.Table:
    """A row per layer, in the order they run; field_* is null where positions see boxes of no common size."""
    fields = [layer.field for layer in layers]

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
            "channels": pa.array([layer.channels for layer in layers], pa.int32()),
            "rows": pa.array([layer.size[0] for layer in layers], pa.int32()),
            "columns": pa.array([layer.size[1] for layer in layers], pa.int32()),
            **pairs("size", pa.int32()),
            **pairs("stride", pa.int32()),
            **pairs("start", pa.float64()),
            "inputs": pa.array([list(layer.inputs) for layer in layers], pa.list_(pa.string())),
        }
    )
