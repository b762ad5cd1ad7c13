"""Portraits of chosen filters of the networks of a comparison, each kept as it is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from layerscope.compare.match_pages import Portrayed
from layerscope.compare.subject import Subject
from layerscope.disk.names import folders, network_folder
from layerscope.filters.pages import sheet_of
from layerscope.filters.painting import Drawing, Sitting, cut, paint
from layerscope.filters.top_filters import Filter, top_filters
from layerscope.progress import Count, of
from layerscope.reconstruction.units import covers

Key = tuple[str, int]  #: layer and channel


class Likenesses:
    """Of some filters of one network: their strongest patches, and where the rule goes back from all their layers,
    what they keep of them."""

    def __init__(self, subject: Subject, network_name: str, wanted: Iterable[Key]) -> None:
        network = next(n for n in subject.networks if n.name == network_name)
        self.network = network_name
        self._keys = sorted(set(wanted))
        layers = list(dict.fromkeys(layer for layer, _ in self._keys))
        self.reconstructed = covers(network, layers, subject.options.rule)
        self._sitting = Sitting(subject.study, network, Drawing(subject.options.rule))
        self._subject, self._folders = subject, folders(layer.name for layer in network.layers)
        self._filters: Mapping[Key, Filter] = {
            (one.layer.name, one.channel): one
            for one in (top_filters(subject.study, network, layers) if layers else ())
        }
        rule = subject.options.rule
        about = {"rule": rule.name, "overlap": rule.overlap, "reconstructed": self.reconstructed}
        self._kept = subject.kept(f"portraits-{network_folder(network_name)}", about)

    def make(self) -> None:
        """Draw those that are missing."""
        filters = [self._filters[key] for key in self._keys]
        missing = [one for one in filters if self._name(one) not in self._kept]
        units = sum(len(one.patches) for one in filters)
        told = of(self._sitting.network.name, self._subject.progress)
        done = Count(
            told, "portraits", units, "units", before=units - sum(len(one.patches) for one in missing)
        )
        for one in missing:
            if not one.patches:
                self._kept.put(self._name(one), {"sprite": np.empty((0, 0, 3), np.uint8)})
        way, alive = paint if self.reconstructed else cut, [one for one in missing if one.patches]
        for one, panels in way(self._sitting, self._subject.images, alive, lambda _: done()):
            sprite = self._sitting.sprite(one, panels)
            self._kept.put(self._name(one), {"sprite": sprite})

    def portrayed(self, layer: str, channel: int, said: str = "") -> Portrayed:
        """One of them, made before."""
        one = self._filters[layer, channel]
        sheet = sheet_of(
            self._sitting.size(one.layer),
            max(len(self._filters[key].patches) for key in self._keys),
            self._sitting.drawing.display,
            halves=2 if self.reconstructed else 1,
        )
        sprite = np.asarray(self._kept.read(self._name(one))["sprite"], np.uint8)
        outside = tuple(view.unseen for view in self._sitting.views(one))
        return Portrayed(f"{self._sitting.network.name} {layer}, {channel}", said, sprite, outside, sheet)

    def _name(self, one: Filter) -> str:
        return f"{self._folders[one.layer.name]}~{one.channel:05d}"


def keys_of(rows: Iterable[Mapping[str, Any]], side: str = "") -> list[Key]:
    """Layer and channel of filters in rows of matches."""
    return [(row[f"{side}layer"], row[f"{side}channel"]) for row in rows]
