"""File names for layers and networks, fit for every system; those of studies made before stay what they were."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from layerscope.study.manifest import is_plain

_LONGEST = 200  # bytes: file systems take 255, and endings and folders follow


def folders(layers: Iterable[str]) -> Mapping[str, str]:
    """A name for the folder of each layer, whatever its own; different even where case does not count."""
    return _different({layer: re.sub(r"[^A-Za-z0-9_@+.]|^\.", "_", layer) for layer in layers})


def file_names(layers: Iterable[str]) -> Mapping[str, str]:
    """A path for a file of each layer: its own name where that can be one; different as `folders` are."""

    def cleaned(layer: str) -> str:
        return layer if is_plain(layer) else re.sub(r"[^A-Za-z0-9_@+.-]|^\.", "_", layer)

    return _different({layer: cleaned(layer) for layer in layers})


def network_folder(network: str) -> str:
    """The folder of a network's results, below the study's; two networks can have the same."""
    return re.sub(r"[^A-Za-z0-9_@+.-]", "_", network)[:_LONGEST] or "_"


def _different(names: Mapping[str, str]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    taken: set[str] = set()
    for layer, wanted in names.items():
        name = plain = wanted[:_LONGEST] or "_"
        number = 1
        while name.lower() in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.lower())
        found[layer] = name
    return found
