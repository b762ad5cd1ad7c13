"""timm's networks: ``timm:resnet50.a1_in1k``, and of the Hugging Face hub ``timm:hf-hub:OWNER/NAME``."""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from layerscope.errors import LayerscopeError, NetworkError, NetworkWarning, WeightsError, named
from layerscope.network.preprocessing import Interpolation, Preprocessing
from layerscope.network.source import Options
from layerscope.zoo.blueprint import Blueprint, Published, for_channels, refuse, sized
from layerscope.zoo.downloads import unreachable

_PREFIX = "timm:"
_HUB = "hf-hub:"


def blueprint(spec: str, options: Options) -> Blueprint:
    """With preprocessing and class names of its own configuration.

    Raises NetworkError for an unknown name, and where timm is not installed or its hub is out of reach.
    """
    refuse(spec, options, "width")
    name = spec.removeprefix(_PREFIX)
    about = _configuration(name)
    given = {"num_classes": options.classes, "in_chans": options.channels}
    arguments: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if options.input_size is not None and about.get("fixed_input_size"):
        arguments["img_size"] = options.input_size
    preprocessing = sized(_preprocessing(spec, about), options.input_size)
    classes = None if options.classes is not None else _classes(name, about)
    made = Blueprint(
        spec,
        lambda: _built(spec, arguments, pretrained=False),
        preprocessing if options.channels is None else for_channels(preprocessing, options.channels),
        classes,
    )
    if not any(about.get(place) for place in ("url", "file", "hf_hub_id")):
        return made
    return Blueprint(
        made.name,
        made.build,
        made.preprocessing,
        classes,
        lambda weights, _: _published(made, weights, arguments, about),
    )


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise NetworkError("timm is not installed; pip install 'layerscope[timm]'") from error
    return timm


def _configuration(name: str) -> Mapping[str, Any]:
    """What timm says of the weights that a name stands for."""
    timm = _timm()
    if name.startswith(_HUB):
        with _hub(
            f"{_PREFIX}{name} is not known here", "check the name, or take timm:ARCHITECTURE", NetworkError
        ):
            found: Mapping[str, Any] = timm.models.load_model_config_from_hf(name.removeprefix(_HUB))[0]
        return found
    architecture = name.partition(".")[0]
    known: list[str] = timm.list_models()
    if architecture not in known:
        close = difflib.get_close_matches(architecture, known, n=3, cutoff=0.4)
        meant = f"did you mean {', '.join(_PREFIX + one for one in close)}?"
        hint = meant if close else "timm.list_models() lists them"
        raise NetworkError(f"timm has no network {architecture!r}; {hint}")
    tags: list[str] = timm.list_pretrained(f"{architecture}.*")
    if name not in (architecture, *tags):
        raise NetworkError(
            f"timm has no weights {name!r}; it has {', '.join(tags) or 'none of that network'}"
        )
    about = timm.models.get_pretrained_cfg(name, allow_unregistered=True)
    return {**about.to_dict(), "hf_hub_id": about.hf_hub_id, "url": about.url, "file": about.file}


def _built(spec: str, arguments: Mapping[str, Any], *, pretrained: bool) -> nn.Module:
    try:
        module: nn.Module = _timm().create_model(
            spec.removeprefix(_PREFIX), pretrained=pretrained, **arguments
        )
    except Exception as error:  # of a constructor: anything
        if pretrained:
            raise
        given = ", ".join(f"{name}={value}" for name, value in arguments.items()) or "nothing"
        raise NetworkError(f"{spec} cannot be built with {given}: {named(error)[:300]}") from error
    return module


def _published(
    made: Blueprint, weights: str, arguments: Mapping[str, Any], about: Mapping[str, Any]
) -> Published:
    """The weights that the name stands for, by timm's own way: its hub, its cache, its conversions."""
    if weights != "imagenet":
        raise WeightsError(
            f"{made.name} has no weights named {weights!r}: timm's names say which, NAME.TAG; leave --weights out, or "
            "give a file"
        )
    place = about.get("hf_hub_id") or about.get("url") or about.get("file")
    with _hub(
        f"no weights for {made.name}",
        "give a file with --weights FILE, or take --weights random",
        WeightsError,
    ):
        module = _built(made.name, arguments, pretrained=True)
    return Published(made, module.state_dict(), f"timm's {place}")


@contextmanager
def _hub(fault: str, advice: str, kind: type[LayerscopeError]) -> Iterator[None]:
    """Where the hub is out of reach, what it left on this machine is used at once, without five tries of its own."""
    from huggingface_hub import constants

    why, before = unreachable(constants.ENDPOINT), constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or bool(why)
    try:
        yield
    except Exception as error:  # of several libraries
        raise kind(f"{fault} ({why or named(error)[:200]}): connect to the internet, {advice}") from error
    finally:
        constants.HF_HUB_OFFLINE = before


def _preprocessing(spec: str, about: Mapping[str, Any]) -> Preprocessing:
    """As timm's transforms for evaluation: what it calls crop_pct is the crop's share of the resized side."""
    _, height, width = about["input_size"]
    mode = about.get("crop_mode") or "center"
    if mode == "border":
        warnings.warn(
            f"timm pads pictures for {spec} with a border; here their centre is cropped",
            NetworkWarning,
            stacklevel=2,
        )
    interpolation = about.get("interpolation", "bicubic")
    if interpolation not in ("bilinear", "bicubic"):
        raise NetworkError(
            f"{spec} wants pictures resized by {interpolation!r}; only bilinear and bicubic are known"
        )
    kind: Interpolation = interpolation
    return Preprocessing(
        resize=math.floor(min(height, width) / (about.get("crop_pct") or 0.875)),
        height=height,
        width=width,
        mean=tuple(about["mean"]),
        deviation=tuple(about["std"]),
        interpolation=kind,
        squash=mode == "squash",
    )


def _classes(name: str, about: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Its own names of classes; else those of the part of ImageNet that it knows, torchvision's for the 1,000."""
    if about.get("label_names"):
        descriptions = about.get("label_descriptions") or {}
        return tuple(str(descriptions.get(label, label)) for label in about["label_names"])
    if name.startswith(_HUB):
        return None
    data = _timm().data
    subset = data.infer_imagenet_subset(dict(about))
    if not subset:
        return None
    if subset == "imagenet-1k":
        from torchvision.models import ResNet18_Weights

        return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
    info = data.ImageNetInfo(subset)
    return tuple(info.index_to_description(index) for index in range(info.num_classes()))
