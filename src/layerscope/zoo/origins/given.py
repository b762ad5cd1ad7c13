"""A module of the user's."""

from __future__ import annotations

from torch import nn

from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Options
from layerscope.network.wrappers import unwrapped
from layerscope.zoo.blueprint import Blueprint, for_channels, refuse, sized


def blueprint(name: str, module: nn.Module, options: Options, values: str) -> Blueprint:
    """With its own ``preprocessing``, or ImageNet's for its number of channels; ``values``: where they are from."""
    refuse(name, options, "classes", "channels", "width")
    inner = unwrapped(module)
    said = getattr(inner, "preprocessing", None)
    preprocessing = (
        said if isinstance(said, Preprocessing) else for_channels(Preprocessing(), _channels(inner))
    )
    return Blueprint(
        name,
        lambda: inner,
        sized(preprocessing, options.input_size),
        own=values,
        assumed=options.input_size is None and not isinstance(said, Preprocessing),
    )


def _channels(module: nn.Module) -> int:
    """Of the first convolution; 3 without one."""
    return next((part.in_channels for part in module.modules() if isinstance(part, nn.Conv2d)), 3)
