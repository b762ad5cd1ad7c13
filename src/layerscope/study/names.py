"""File names for layers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping


def folders(layers: Iterable[str]) -> Mapping[str, str]:
    """A name for the folder of each layer, whatever its own; different even where case does not count."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for layer in layers:
        plain = name = re.sub(r"[^A-Za-z0-9_@+.]|^\.", "_", layer)
        number = 1
        while name.lower() in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.lower())
        found[layer] = name
    return found
