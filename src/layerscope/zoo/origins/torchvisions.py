"""torchvision's classifiers: ``resnet50``, or ``torchvision:resnet50``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torchvision.models as tv
from torch import nn

from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Options
from layerscope.zoo.blueprint import Blueprint, Published, refuse, sized
from layerscope.zoo.states import load_state
from layerscope.zoo.weights import fetch

_HALVES = frozenset({"googlenet", "inception_v3"})  # their weights want inputs in -1..1


def names() -> tuple[str, ...]:
    """All of torchvision's classifiers."""
    return tuple(tv.list_models(module=tv))


def blueprint(name: str, options: Options) -> Blueprint:
    """With preprocessing and class names of ``IMAGENET1K_V1``, where it exists."""
    entries = tv.get_model_weights(name).__members__
    return _of_weights(name, options, entries.get("IMAGENET1K_V1") or next(iter(entries.values())))


def _of_weights(name: str, options: Options, entry: Any) -> Blueprint:
    """``entry``: torchvision's weights whose preprocessing and class names these are."""
    refuse(name, options, "channels", "width")
    preprocessing = _preprocessing(name, entry)
    arguments: dict[str, Any] = {} if options.classes is None else {"num_classes": options.classes}
    if name in _HALVES:
        arguments["init_weights"] = False
    if name.startswith("vit_"):  # built for one size of input only
        arguments["image_size"] = preprocessing.height
    fits = options.classes in (None, len(entry.meta["categories"]))
    return Blueprint(
        name,
        lambda: tv.get_model(name, weights=None, **arguments),
        sized(preprocessing, options.input_size),
        tuple(entry.meta["categories"]) if fits else None,
        lambda weights, progress: _published(name, options, weights, progress),
        bare=True,
        rename=lambda module: _paper_names(name, module),
    )


def _published(name: str, options: Options, weights: str, progress: bool) -> Published:
    found = fetch(name, weights, progress=progress)
    made = _of_weights(name, options, tv.get_weight(found.entry))
    return Published(
        made, load_state(found.path, found.layout), f"{found.source}, SHA-256 {found.sha256[:8]}"
    )


def _preprocessing(name: str, entry: Any) -> Preprocessing:
    preset = entry.transforms()
    mean, deviation = tuple(preset.mean), tuple(preset.std)
    if name in _HALVES:
        mean = deviation = (0.5, 0.5, 0.5)
    return Preprocessing(
        resize=preset.resize_size[0],
        height=preset.crop_size[0],
        width=preset.crop_size[0],
        mean=mean,
        deviation=deviation,
        interpolation=preset.interpolation.value,
    )


def _paper_names(name: str, module: nn.Module) -> Mapping[str, str]:
    """The paper's layer names (c1_1, p1, fc6, ...) for AlexNet and VGG networks."""
    if name != "alexnet" and not name.startswith("vgg"):
        return {}
    names: dict[str, str] = {}
    group, place = 1, 0
    for path, part in module.named_modules():
        if isinstance(part, nn.Conv2d):
            place += 1
            names[path] = f"c{group}_{place}"
        elif isinstance(part, nn.MaxPool2d):
            names[path] = f"p{group}"
            group, place = group + 1, 0
        elif isinstance(part, nn.Linear):
            names[path] = f"fc{6 + sum(n.startswith('fc') for n in names.values())}"
    return _numbered_as_alexnet(names) if name == "alexnet" else names


def _numbered_as_alexnet(names: Mapping[str, str]) -> Mapping[str, str]:
    """c1, p1, c2, p2, c3, c4, c5, p5: convolutions counted through, a pool by the convolution before it."""
    numbered: dict[str, str] = {}
    count = 0
    for path, name in names.items():
        count += name.startswith("c")
        numbered[path] = name if name.startswith("fc") else f"{name[0]}{count}"
    return numbered
