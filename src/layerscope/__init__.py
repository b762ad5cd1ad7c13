"""layerscope: what every layer of a convolutional network represents, and how two networks differ.

Names are imported when first used: ``import layerscope`` costs nothing, ``layerscope.load_network`` torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from layerscope._version import __version__

if TYPE_CHECKING:
    from layerscope.errors import (
        GeometryError,
        ImageError,
        LayerscopeError,
        NetworkError,
        UnsupportedOperationError,
        WeightsError,
    )
    from layerscope.gallery import Look, show_reconstructions
    from layerscope.geometry import Box, ReceptiveField
    from layerscope.images import find_images, load_image
    from layerscope.layers import Layer
    from layerscope.network import Network, Prediction, Unit
    from layerscope.overview import layer_table, show_architecture
    from layerscope.paper import alexcnn, vggcnn
    from layerscope.preprocessing import Preprocessing
    from layerscope.reconstruct import Class, Reconstructions, reconstruct
    from layerscope.render import show_signal
    from layerscope.rules import DECONVNET, GRADIENT, GUIDED, Rule
    from layerscope.zoo import Options, load_network, read_architecture

_HOMES = {
    "errors": (
        "GeometryError",
        "ImageError",
        "LayerscopeError",
        "NetworkError",
        "UnsupportedOperationError",
        "WeightsError",
    ),
    "gallery": ("Look", "show_reconstructions"),
    "geometry": ("Box", "ReceptiveField"),
    "images": ("find_images", "load_image"),
    "layers": ("Layer",),
    "network": ("Network", "Prediction", "Unit"),
    "overview": ("layer_table", "show_architecture"),
    "paper": ("alexcnn", "vggcnn"),
    "preprocessing": ("Preprocessing",),
    "reconstruct": ("Class", "Reconstructions", "reconstruct"),
    "render": ("show_signal",),
    "rules": ("DECONVNET", "GRADIENT", "GUIDED", "Rule"),
    "zoo": ("Options", "load_network", "read_architecture"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: PLE0604 - the names above, once
    "__version__",
    *_HOME_OF,
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'layerscope' has no attribute {name!r}")
    return getattr(importlib.import_module(f"layerscope.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
