"""The objects that pictures show: which of them have a mask that says something, as networks see it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from layerscope.errors import ImageError
from layerscope.images.masks import Masks
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.progress import Count, Told
from layerscope.study.folder import Study

LEAST = 0.01  #: of what a network sees must be object, and as much must not


@dataclass(frozen=True, eq=False)
class Objects:
    """The pictures of a study, by their places, whose mask says something to every network.

    ``unmasked``: how many have none; ``faults``: names and reasons of masks that cannot be used; ``digest``: of all
    masks.
    """

    study: Study = field(repr=False)
    masks: Masks
    pictures: tuple[int, ...]
    unmasked: int
    faults: tuple[tuple[str, str], ...]
    digest: str

    def inside(self, picture: int, preprocessing: Preprocessing) -> Tensor:
        """The share of each pixel of a network's input that shows the object, (height, width) in [0, 1]."""
        (row,) = self.study.pictures.slice(picture, 1).to_pylist()
        mask = self.masks.load(row["name"], (row["width"], row["height"]))
        return torch.from_numpy(np.array(preprocessing.crop(mask))).double() / 255


def find_objects(
    study: Study, masks: Masks, networks: Sequence[Network], progress: Told | None = None
) -> Objects:
    """Look at every mask of the pictures that can be read."""
    rows = study.pictures.select(["picture", "name", "width", "height", "reason"]).to_pylist()
    good = [row for row in rows if row["reason"] is None]
    masked = [row for row in good if row["name"] in masks.names]
    views = tuple(dict.fromkeys(network.preprocessing for network in networks))
    pictures: list[int] = []
    faults: list[tuple[str, str]] = []
    known, done = hashlib.sha256(), Count(progress, "masks", len(masked), "masks")
    for row in masked:
        try:
            mask = masks.load(row["name"], (row["width"], row["height"]))
            known.update(f"{row['name']}\0".encode() + hashlib.sha256(mask.tobytes()).digest())
            for share in (float(np.asarray(view.crop(mask)).mean()) / 255 for view in views):
                _check(share)
            pictures.append(row["picture"])
        except ImageError as error:
            known.update(f"{row['name']}\0{error}\0".encode())
            faults.append((row["name"], str(error)))
        done()
    return Objects(study, masks, tuple(pictures), len(good) - len(masked), tuple(faults), known.hexdigest())


def _check(share: float) -> None:
    if not LEAST <= share <= 1 - LEAST:
        covers = {0.0: "nothing", 1.0: "everything"}.get(share, f"{share:.1%}")
        raise ImageError(
            f"its mask covers {covers} of what is seen of it; from {LEAST:.0%} to {1 - LEAST:.0%} says something"
        )
