"""Whether a set's pictures are of the channels that a network takes: asked of its first ones, before all are read."""

from __future__ import annotations

from collections.abc import Mapping

from layerscope.errors import ImageError
from layerscope.images.sets import ImageSet
from layerscope.network.preprocessing import Preprocessing

_FIRST = 3  #: pictures that are looked at


def check_channels(images: ImageSet, networks: Mapping[str, Preprocessing]) -> None:
    """Raise ImageError where none of the first pictures that can be read suits any of the networks, by name."""
    reasons = []
    for index in range(min(_FIRST, len(images))):
        try:
            picture = images.load(index).image
        except ImageError:
            continue  # said of it when its turn comes
        own = [one.misfit(picture) for one in networks.values()]
        if not all(own):
            return
        reasons.append(f"{images.names[index]}: {own[0]}")
    if reasons:
        names = " or ".join(networks)
        raise ImageError(f"{images.description}: no pictures for {names}, from the first on: {reasons[0]}")
