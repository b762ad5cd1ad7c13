"""One picture through networks of a study, told piece by piece: each reconstruction as soon as it is made.

Nothing is stored. What is told is what `reconstruct`, `predict` and `place_pictures` give.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from layerscope.drawing.encoding import encode_png
from layerscope.drawing.render import Pixels, as_rgb, show_signal
from layerscope.errors import LayerscopeError, one_line
from layerscope.images.bands import Decoded
from layerscope.network.network import Network
from layerscope.reconstruction.descent import reconstruct, reversible
from layerscope.reconstruction.rules import DECONVNET, places_lost
from layerscope.space.placing import place_pictures
from layerscope.space.space import Space, spaces_of
from layerscope.study.folder import Study
from layerscope.study.sources import check_network, network_of

LONGEST = 120.0  #: seconds that one picture may take; checked between its pieces
_AT_ONCE = 3  # layers that share a forward pass: nearly as fast as all, and still one after the other
CHOICES = ("all", "conv", "even")  #: of layers, as `Network.select_layers` takes them

Told = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Live:
    """The networks of a study, loaded when first needed, through which one picture goes at a time.

    ``given``: networks by their names, where the study does not say how they are loaded.
    """

    study: Study
    given: Mapping[str, Network] = field(default_factory=dict)
    _kept: dict[str, Network] = field(default_factory=dict, repr=False)
    _loading: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def network(self, name: str) -> Network:
        """A network of the study. Raises StudyError as `network_of` and `check_network` do."""
        with self._loading:
            if name not in self._kept:
                network = self.given.get(name) or network_of(self.study, name)
                check_network(self.study, network)
                self._kept[name] = network
            return self._kept[name]

    def load(self) -> None:
        """Load all networks before the first picture comes; what cannot be is told with that."""
        for name in self.study.networks:
            with suppress(LayerscopeError):
                self.network(name)

    def pieces(self, picture: Decoded, names: Sequence[str], layers: str) -> Iterator[Told]:
        """All that is told of a picture, network by network, layers from low to high; what fails is told, too."""
        began = time.monotonic()
        for name in names:
            try:
                for piece in self._of_network(picture, name, layers):
                    yield {**piece, "network": name}
                    if time.monotonic() - began > LONGEST:
                        raise LayerscopeError(
                            f"this has taken {LONGEST:g} seconds; choose fewer networks or layers"
                        )
            except LayerscopeError as error:
                yield {"piece": "error", "network": name, "message": one_line(str(error))}
        yield {"piece": "end", "seconds": round(time.monotonic() - began, 3)}

    def _of_network(self, picture: Decoded, name: str, layers: str) -> Iterator[Told]:
        network = self.network(name)
        preprocessing = network.preprocessing
        values = preprocessing.apply(picture)[None]
        yield {"piece": "input", "png": png(as_rgb(preprocessing.one(preprocessing.picture(values[0]))))}
        there = reversible(network.graph, DECONVNET)
        chosen = [layer.name for layer in network.select_layers(layers) if layer.result in there]
        lost = places_lost(network.graph, DECONVNET)
        yield {"piece": "layers", "layers": chosen, **({"lost": lost} if lost else {})}
        yield from _reconstructions(network, values, chosen[:1])
        yield _predictions(network, values)
        for start in range(1, len(chosen), _AT_ONCE):
            yield from _reconstructions(network, values, chosen[start : start + _AT_ONCE])
        yield from self._places(network, values)

    def _places(self, network: Network, values: Tensor) -> Iterator[Told]:
        """Where its patches lie on the planes there are."""
        for layer in spaces_of(self.study, network.name):
            space = Space.open(self.study, layer, network.name)
            table = place_pictures(space, network, values)
            columns = ("row", "column", "x", "y", "nearest", "distance")
            found = {column: np.round(table[column].to_numpy(), 4).tolist() for column in columns}
            yield {"piece": "places", "layer": layer, **found}


def _reconstructions(network: Network, values: Tensor, layers: Sequence[str]) -> Iterator[Told]:
    found = reconstruct(network, values, layers)
    for layer in layers:
        signal = found[layer][0].permute(1, 2, 0).numpy()
        panel = show_signal(network.preprocessing.one(signal))
        yield {"piece": "reconstruction", "layer": layer, "white": panel.scale, "png": png(panel.pixels)}


def _predictions(network: Network, values: Tensor) -> Told:
    if why := network.why_no_predictions:
        return {"piece": "predictions", "reason": why, "classes": []}
    (best,) = network.predict(values)
    classes = [{"index": p.index, "name": p.name, "probability": p.probability} for p in best]
    return {"piece": "predictions", "reason": None, "classes": classes}


def png(pixels: Pixels) -> str:
    """The pixels as text: a PNG in base64."""
    return base64.b64encode(encode_png(Image.fromarray(pixels), photograph=True)).decode("ascii")
