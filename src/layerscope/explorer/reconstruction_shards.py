"""What the values of a network's whole-layer reconstructions are: the shard ``FOLDER/reconstructions``."""

from __future__ import annotations

from typing import Any

import numpy as np

from layerscope.explorer.shards import pack
from layerscope.explorer.subjects import Subject

_DRAWN = "pages/reconstructions"


def has_reconstructions(subject: Subject) -> bool:
    """Whether strips and reconstructions of chosen pictures were drawn for the pages."""
    return bool(subject.about.get("strip")) and _DRAWN in subject.results.results


def reconstruction_shard(subject: Subject) -> dict[str, Any]:
    """The value that white means in each reconstruction, (pictures, layers); 0 where none is drawn."""
    rows = subject.results.table(_DRAWN).select(["picture", "layer", "white"]).to_pylist()
    layers = list(subject.about["strip"]["layers"])
    pictures = sorted({row["picture"] for row in rows})
    white = np.zeros((len(pictures), len(layers)), np.float32)
    for row in rows:
        if row["layer"] in layers:
            white[pictures.index(row["picture"]), layers.index(row["layer"])] = row["white"]
    return {"pictures": pictures, "layers": layers, "white": pack(white, "f4")}
