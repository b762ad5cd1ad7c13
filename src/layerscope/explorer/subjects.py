"""The networks that the pages show: those of a study, and those that only a comparison has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from layerscope.disk.names import folders
from layerscope.disk.tables import read_json
from layerscope.errors import StudyError
from layerscope.space.space import spaces_of
from layerscope.study.folder import NetworkResults, Study

_TITLES = {
    **{"alexnet": "AlexNet", "alexcnn": "AlexCNN", "vggcnn": "VGGCNN", "googlenet": "GoogLeNet"},
    **{"mobilenet_v2": "MobileNetV2", "inception_v3": "Inception v3", "vit_b_16": "ViT-B/16"},
}
_FAMILIES = {"vgg": "VGG", "resnet": "ResNet", "densenet": "DenseNet"}
_TAKEN = ("data", "pictures", "compare", "lock")  # of the site itself; its files have a dot
_LONGEST = 12  # layers that fold into one block
_STATISTICS = ("top_patches", "channel_statistics", "channel_sparsity")


@dataclass(frozen=True)
class Subject:
    """A network as the pages show it; ``called``: its name in the comparison, None if it is not compared.

    ``place``: the folder of its files on the site.
    """

    results: NetworkResults = field(repr=False)
    called: str | None = None
    place: str = ""

    @property
    def name(self) -> str:
        """In addresses and commands."""
        return self.results.name

    @property
    def folder(self) -> str:
        """Of its files in the study."""
        return self.results.folder

    @property
    def input(self) -> Mapping[str, Any]:
        """What its results depend on besides the pictures."""
        known: Mapping[str, Any] = self.results.study.manifest["inputs"]["networks"][self.name]
        return known

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """A row per layer."""
        rows: list[dict[str, Any]] = self.results.layers.to_pylist()
        return rows

    @property
    def layers(self) -> list[str]:
        """Names of the layers."""
        return [row["layer"] for row in self.rows]

    @cached_property
    def folders(self) -> Mapping[str, str]:
        """Of each layer."""
        return folders(self.layers)

    @cached_property
    def spaces(self) -> frozenset[str]:
        """Layers whose space is there, drawn."""
        made = spaces_of(self.results.study, self.name)
        steps = self.results.study.steps
        return frozenset(n for n in made if f"{self.folder}/spaces/{self.folders[n]}/pictures" in steps)

    @cached_property
    def filters(self) -> frozenset[str]:
        """Layers of whose filters there is what a page of them shows."""
        if not set(_STATISTICS) <= set(self.results.results):
            return frozenset()
        tables = [self._table(name)["layer"].unique() for name in _STATISTICS]
        return frozenset.intersection(*(frozenset(table.to_pylist()) for table in tables))

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """What the step of pages says of it; empty if there is none."""
        name = "pages/about.json"
        return read_json(self.results.file(name)) if name in self.results.results else {}

    @property
    def title(self) -> str:
        """As people write it."""
        return str(self.about.get("title") or titled(self.name))

    def of_layer(self, table: str, layer: str) -> pa.Table:
        """The rows of a table that are of a layer."""
        found = self._table(table)
        return found.filter(pc.equal(found["layer"], layer))

    def first_row(self, table: str, layer: str) -> int:
        """How many rows of a table stand before those of a layer, which stand together."""
        return int(pc.index(self._table(table)["layer"], layer).as_py())

    def _table(self, name: str) -> pa.Table:
        kept = self._tables
        if name not in kept:
            kept[name] = self.results.table(name)
        return kept[name]

    @cached_property
    def _tables(self) -> dict[str, pa.Table]:
        return {}

    def boxes(self, layer: str, rows: npt.ArrayLike, columns: npt.ArrayLike) -> npt.NDArray[np.int32] | None:
        """What positions see, (..., 4): top, left, bottom, right in pixels of the input; None if unknown."""
        row = self.rows[self.layers.index(layer)]
        sides = [
            (row[f"field_size_{axis}"], row[f"field_stride_{axis}"], row[f"field_start_{axis}"])
            for axis in ("rows", "columns")
        ]
        if any(value is None for side in sides for value in side):
            return None
        starts = [
            np.asarray(at, np.int64) * stride + round(start - (size - 1) / 2)
            for at, (size, stride, start) in zip((rows, columns), sides, strict=True)
        ]
        ends = [start + size for start, (size, _, _) in zip(starts, sides, strict=True)]
        return np.stack([*starts, *ends], axis=-1).astype(np.int32)


def find_subjects(study: Study, comparison: Study | None) -> tuple[Subject, ...]:
    """The networks of a study, then those that only the comparison has.

    Raises StudyError if the comparison is not of the study, or two networks have one name.
    """
    if comparison is None or comparison.path == study.path:
        found = [Subject(study.network(n), None if comparison is None else n) for n in study.networks]
        return _placed(found)
    if study.digest not in comparison.manifest["inputs"].get("joined", ()):
        raise StudyError(
            f"{comparison.path} does not compare {study.path}; "
            f"`layerscope compare {study.path} --out DIR` makes a comparison that does"
        )
    found = [Subject(study.network(name), _called(study, comparison, name)) for name in study.networks]
    known = {subject.called for subject in found}
    found += [Subject(comparison.network(name), name) for name in comparison.networks if name not in known]
    return _placed(found)


def _called(study: Study, comparison: Study, name: str) -> str | None:
    """The comparison's name of a network of the study."""
    inputs = comparison.manifest["inputs"]["networks"]
    own = study.manifest["inputs"]["networks"][name]
    same = [other for other in inputs if inputs[other] == own]
    return name if name in same else (same[0] if same else None)


def _placed(subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    """The networks with their folders on the site: as in the study, unless one is taken, even but for case."""
    found: dict[str, Subject] = {}
    taken = set(_TAKEN)
    for subject in subjects:
        if subject.name in found:
            raise StudyError(
                f"{subject.results.study.path} has another {subject.name} than "
                f"{found[subject.name].results.study.path}; give one of them another name"
            )
        place = plain = subject.folder.replace(".", "_")
        number = 1
        while place.lower() in taken:
            number += 1
            place = f"{plain}_{number}"
        taken.add(place.lower())
        found[subject.name] = replace(subject, place=place)
    return tuple(found.values())


def titled(name: str) -> str:
    """A network's name as people write it, such as VGG-16; others as they are."""
    if name in _TITLES:
        return _TITLES[name]
    family = re.fullmatch(r"([a-z]+)(\d+)", name)
    known = family and _FAMILIES.get(family[1])
    return f"{known}-{family[2]}" if family and known else name


def blocks(layers: Sequence[str]) -> list[str]:
    """What each layer folds into: c4_1 and p4 into 4; features.4.conv.0 into features.4."""
    plain = [re.fullmatch(r"[a-z]+(\d+)(_\d+)?", layer) for layer in layers]
    if all(plain):
        return [match[1] for match in plain if match]
    found = dict(_folded(list(layers), 1))
    return [found[layer] for layer in layers]


def _folded(layers: Sequence[str], parts: int) -> Iterator[tuple[str, str]]:
    """Each layer with its block, whose name has at least so many parts, and more where it would hold too many."""
    groups: dict[str, list[str]] = {}
    for layer in layers:
        groups.setdefault(".".join(layer.split(".")[:parts]), []).append(layer)
    for name, held in groups.items():
        if len(held) > _LONGEST and any(layer.count(".") >= parts for layer in held):
            yield from _folded(held, parts + 1)
        else:
            yield from ((layer, name) for layer in held)
