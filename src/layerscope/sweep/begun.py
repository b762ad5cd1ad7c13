"""What the results of a study depend on, and what an unfinished one was begun with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from layerscope.disk.tables import publish_json, read_json
from layerscope.errors import StudyError, said
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.study.manifest import BEGUN, FORMAT, PARTS, WORK, digest_of_inputs, lacking
from layerscope.sweep.checkpoints import Shard
from layerscope.sweep.one_pass import shards_of, whole_batches
from layerscope.sweep.reducers import Reducer

_WORDS = {"images.digest": "the pictures: their list, their sizes in bytes or their labels"}
_PARTS = {name: PARTS[name] for name in ("format", "made_with", "threads")} | {"inputs": {}, "shard": int}
_NO_MATTER = frozenset({"pass.shard"})  # no result depends on it: some studies have another


@dataclass(frozen=True)
class Begun:
    """What a study was begun with; ``shard``: pictures of each shard, which show in no result."""

    inputs: Mapping[str, Any]
    made_with: Mapping[str, Any]
    threads: int
    shard: int

    @classmethod
    def read(cls, out: Path) -> Begun:
        """What the study in a folder was begun with. Raises StudyError if that is not said there."""
        content = read_json(out / BEGUN)
        content.setdefault("shard", _old_shard(content))
        if lacks := lacking(content, _PARTS):
            raise StudyError(
                f"{out / BEGUN} is damaged: it has no {lacks!r}; remove {out / WORK} and run the same again"
            )
        if content["format"] != FORMAT:
            raise StudyError(
                f"{out} was begun in format {content['format']}, and this layerscope writes format {FORMAT}; "
                "go on with the layerscope that began it, or begin anew in another folder"
            )
        return cls(content["inputs"], content["made_with"], content["threads"], content["shard"])

    def write(self, out: Path) -> None:
        """Say it in the folder of the study."""
        publish_json(out / BEGUN, {"format": FORMAT, **asdict(self)})

    def refuse_other(self, out: Path, now: Begun) -> None:
        """Raise StudyError unless a run can go on with it now."""
        refuse_other_inputs(out, self.inputs, now.inputs)
        if changed := differences(self.made_with, now.made_with):
            raise StudyError(
                f"{out} was begun with other software or on another machine: {_some(changed)}; "
                "go on with the same, or begin anew in another folder"
            )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the inputs."""
        return digest_of_inputs(self.inputs)

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """Every shard, in order."""
        ranges = shards_of(self.inputs["images"]["count"], self.shard)
        return tuple(Shard(number, indices) for number, indices in enumerate(ranges))


def _old_shard(begun: Mapping[str, Any]) -> Any:
    """Studies begun before said it among the inputs."""
    try:
        return begun["inputs"]["pass"]["shard"]
    except (KeyError, TypeError):
        return None


def inputs_of(
    networks: Sequence[Network], images: ImageSet, reducers: Sequence[Reducer], batch: int
) -> dict[str, Any]:
    """All that the results depend on, as JSON gives it back."""
    content = {
        "images": {"digest": images.digest, "count": len(images), "classes": images.classes},
        "pass": {"batch": batch, "shard": whole_batches(batch)},
        "reducers": {reducer.name: _reducer_input(reducer) for reducer in reducers},
        "networks": {network.name: _network_input(network) for network in networks},
    }
    plain: dict[str, Any] = json.loads(json.dumps(content))
    return plain


def _network_input(network: Network) -> dict[str, Any]:
    classes = json.dumps(network.classes).encode()
    return {
        "digest": network.graph.digest,
        "dtype": str(network.dtype).removeprefix("torch."),
        "preprocessing": network.preprocessing.about(),
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
            f"the options of reducer {reducer.name} are no JSON ({said(error)}); give them as numbers, text and lists"
        ) from error
    return {"kind": type(reducer).__qualname__, "options": options}


def refuse_other_inputs(out: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise StudyError, which names the first differences, if a study was begun with other inputs than these."""
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
    if place in _NO_MATTER or (before == now and type(before) is type(now)):
        return []
    if place.startswith("networks.") and place.endswith(".digest"):
        return [f"architecture or weights of {place[9:-7]}"]
    if isinstance(before, list) or isinstance(now, list):
        return [place]
    return [_WORDS.get(place) or f"{place} was {before!s:.40}, is {now!s:.40}"]


def first_difference(before: Any, now: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """The first of what is or was said that is not the same: its name within those it stands in, and both values."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return None if before == now else (name, before, now)
    names = dict.fromkeys([*now, *before])
    inner = (first_difference(before.get(key), now.get(key), f"{name} {key}".strip()) for key in names)
    return next(filter(None, inner), None)


def _some(changed: Sequence[str]) -> str:
    return "; ".join(changed[:3]) + (f"; and {len(changed) - 3} more" if len(changed) > 3 else "")
