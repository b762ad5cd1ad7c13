"""The paper's two networks, ``alexcnn`` and ``vggcnn``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Options
from layerscope.zoo.blueprint import Blueprint, for_channels, sized
from layerscope.zoo.paper import alexcnn, vggcnn

PAPER: Mapping[str, Callable[..., nn.Module]] = {"alexcnn": alexcnn, "vggcnn": vggcnn}


def blueprint(name: str, options: Options) -> Blueprint:
    """With ImageNet's preprocessing; every option is free."""
    given = {
        "classes": options.classes,
        "channels": options.channels,
        "width": options.width,
        "input_size": options.input_size,
    }
    kept: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    preprocessing = sized(Preprocessing(), options.input_size)
    if options.channels is not None:
        preprocessing = for_channels(preprocessing, options.channels)
    return Blueprint(name, lambda: PAPER[name](**kept, final_relu=True), preprocessing, bare=True)
