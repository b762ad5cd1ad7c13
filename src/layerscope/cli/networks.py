"""What commands' options mean: networks built and loaded, those of a study, units and classes by name, the device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerscope.cli.options import NATIVE
from layerscope.cli.prepared import PREPARED
from layerscope.disk.names import names_of_files
from layerscope.errors import NetworkError

if TYPE_CHECKING:
    from layerscope.network.network import Network, Unit
    from layerscope.network.source import Options
    from layerscope.study.folder import Study


def networks_of(
    study: Study, names: tuple[str, ...], weight_names: Sequence[str]
) -> tuple[tuple[str, str | None], ...]:
    """Those named, or all of the study, each with its weights. Raises StudyError for another name."""
    chosen = names or study.networks
    for name in chosen:
        study.network(name)
    return tuple(zip(chosen, weights_of_each(chosen, weight_names), strict=True))


def network_to_draw(study: Study, name: str, weights: str | None, options: Mapping[str, Any]) -> Network:
    """A network of the study on the device and in the precision of ``options``, else that of its portraits there."""
    import torch

    from layerscope.filters.portraits import precision_of
    from layerscope.study.sources import network_of

    precision = getattr(torch, options["dtype"]) if options["dtype"] else precision_of(study, name)
    return network_of(study, name, weights=weights, device=open_device(options["device"]), dtype=precision)


def load_networks(
    names: Sequence[str], weight_names: Sequence[str], options: dict[str, Any]
) -> tuple[Network, ...]:
    """The networks that the options mean; takes its own out of ``options``."""
    import torch

    from layerscope.zoo.loading import load_network

    weights = weights_of_each(names, weight_names)
    build = build_options(options)
    device, dtype = open_device(options.pop("device")), getattr(torch, options.pop("dtype"))
    loaded = [
        load_network(name, one, options=build, device=device, dtype=dtype, progress=True)
        for name, one in zip(names, weights, strict=True)
    ]
    return _named_apart(loaded)


def _named_apart(networks: Sequence[Network]) -> tuple[Network, ...]:
    """Networks of one name and weights of several files are called NAME@FILE, as `names_of_files` says."""
    found = list(networks)
    for name, uses in Counter(network.name for network in networks).items():
        own = {place: file for place, n in enumerate(networks) if n.name == name and (file := _weights_of(n))}
        for place, called in zip(own, names_of_files([*own.values()]), strict=True) if uses > 1 else ():
            found[place] = replace(networks[place], name=f"{name}@{called}")
    return tuple(found)


def _weights_of(network: Network) -> Path | None:
    """The file of its weights in the folder as it is on disk, or their name; None: none were given."""
    if network.loading is None or network.loading.weights is None:
        return None
    path = Path(network.loading.weights)
    return path.parent.resolve() / path.name if path.is_absolute() else path


def unit_named(text: str) -> Unit:
    """The unit that LAYER:CHANNEL or LAYER:CHANNEL@ROW,COLUMN means."""
    from layerscope.network.network import Unit

    layer, _, rest = text.rpartition(":")
    channel, at, position = rest.partition("@")
    numbers = [channel, *position.split(",")] if at else [channel]
    if not layer or len(numbers) not in (1, 3) or not all(n.strip().isdecimal() for n in numbers):
        raise click.BadParameter(
            f"{text!r} is not LAYER:CHANNEL or LAYER:CHANNEL@ROW,COLUMN", param_hint="--unit"
        )
    return Unit(layer, *map(int, numbers))


def class_named(networks: Sequence[Network], text: str) -> int:
    """The index of a class, given by that or by its name in one of the networks."""
    if text.isdecimal():
        return int(text)
    found = {i for network in networks for i, name in enumerate(network.classes or ()) if name == text}
    if len(found) == 1:
        return found.pop()
    several = f"{text!r} is the name of classes {', '.join(map(str, sorted(found)))}"
    none = f"no network has a class called {text!r}"
    raise click.BadParameter(f"{several if found else none}; give its index", param_hint="--class")


def build_options(options: dict[str, Any]) -> Options:
    """How to build a network; takes its own out of ``options``."""
    from layerscope.network.source import Options

    if options["input_size"] == NATIVE:
        raise click.UsageError(
            "--input-size native is of `layerscope reconstruct` alone: all else sums up positions and boxes of inputs "
            "of one size; give a size"
        )
    named: Mapping[str, str] = {
        "classes": "classes",
        "channels": "channels_in",
        "width": "width",
        **{name: name for name in ("input_size", "trust", *PREPARED)},
    }
    return Options(**{name: options.pop(option) for name, option in named.items()})


def weights_of_each(names: Sequence[str], weight_names: Sequence[str]) -> list[str | None]:
    """The weights of each network: one for all, one for each, or none. Raises click.UsageError for other numbers."""
    if len(weight_names) not in (0, 1, len(names)):
        counts = f"{len(names)} network{'s'[: len(names) > 1]} but {len(weight_names)} --weights"
        raise click.UsageError(f"{counts}: give one for all or one for each")
    each: list[str | None] = [*weight_names] or [None]
    return each * len(names) if len(each) == 1 else each


def open_device(name: str) -> Any:
    """The torch device of that name. Raises NetworkError if it cannot be used."""
    import torch

    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise NetworkError(f"device {name!r} cannot be used: {reason}; --device cpu always can") from error
    return device
