"""What a file of weights that a training of ours left says of its network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from layerscope.network.network import Network
from layerscope.network.source import Options


def described(path: Path) -> dict[str, Any]:
    """What a file of weights says of the network that they were trained for; {} if it says nothing, or is no such file.

    Its entries are those of `layerscope.train.plan.Plan.about`.
    """
    if path.suffix.lower() != ".safetensors":
        return {}
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("layerscope", "{}"))
    except (SafetensorError, OSError, ValueError):
        return {}  # what is wrong with it is said where its tensors are read
    return about if isinstance(about, dict) else {}


def trained_options(spec: object, options: Options, about: Mapping[str, Any]) -> Options:
    """The options, and those of a training of the same network where they leave something open."""
    build = about.get("build")
    if about.get("network") != spec or not isinstance(build, dict):
        return options
    known, mine = asdict(Options.again(build)), asdict(options)
    return Options(**{name: known[name] if value is None else value for name, value in mine.items()})


def named_classes(network: Network, about: Mapping[str, Any]) -> Network:
    """The network with the names of the classes that it was trained to tell apart, if the file has them."""
    names = about.get("classes")
    return replace(network, classes=tuple(map(str, names))) if isinstance(names, list) else network
