"""Where the networks and pictures of a study are, so that a later step finds them again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import torch

from layerscope.errors import ImageError, LayerscopeError, StudyError
from layerscope.images.sets import ImageSet, open_images
from layerscope.network.network import Network
from layerscope.network.source import Options
from layerscope.study.folder import Study
from layerscope.study.manifest import SOURCES
from layerscope.zoo.loading import load_network


def remember_sources(study: Study, networks: Sequence[Network], images: ImageSet) -> Study:
    """The study with a note of where its pictures are, and how its networks are loaded again.

    What was not opened from places, or not loaded by name, is not in it; what was noted of it before stays.
    """
    known = study.steps.get(SOURCES, {"images": [], "networks": {}})
    loads = {n.name: n.loading.about() for n in networks if n.loading is not None}
    note = {"images": images.sources or known["images"], "networks": {**known["networks"], **loads}}
    return study.add(SOURCES, {}, options=note)


def images_of(study: Study, places: Sequence[str | os.PathLike[str]] = ()) -> ImageSet:
    """The pictures of a study, where it says they are, or at the places where they are now.

    Raises StudyError if the study does not say, ImageError if nothing is there.
    """
    known = study.steps.get(SOURCES, {}).get("images")
    if not places and not known:
        raise StudyError(
            f"{study.path} does not say where its pictures are; give --images PLACE, or in Python the image set"
        )
    try:
        return open_images(list(places or known), labels="none")
    except ImageError as error:
        if places:
            raise
        raise StudyError(
            f"{error}; if the pictures of {study.path} have moved, give --images PLACE"
        ) from error


def network_of(
    study: Study,
    name: str,
    *,
    weights: str | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Network:
    """A network of a study, loaded again; ``weights``: where they are now, if not where they were.

    Raises StudyError if the study does not say how, and what `load_network` raises.
    """
    study.network(name)
    known = study.steps.get(SOURCES, {}).get("networks", {}).get(name)
    if known is None:
        raise StudyError(
            f"{study.path} does not say how {name} is loaded: it was given as a module; load it in Python, and give it"
        )
    options = Options.again(known["options"])
    try:
        network = load_network(
            known["spec"],
            weights or known["weights"],
            options=options,
            device=device,
            dtype=dtype,
            progress=True,
        )
    except LayerscopeError as error:
        if weights is not None:
            raise
        raise StudyError(f"{name} of {study.path} cannot be loaded again: {error}") from error
    return replace(network, name=name)


def check_network(study: Study, network: Network) -> None:
    """Raise StudyError unless the network is the one of its name in the study: architecture, weights, inputs."""
    study.network(network.name)
    known = study.manifest["inputs"]["networks"][network.name]
    dtype = getattr(torch, known["dtype"])
    same = network if network.dtype == dtype else network.to("cpu", dtype)  # which keeps the digest it has
    if same.graph.digest != known["digest"]:
        raise StudyError(
            f"{network.name} has another architecture or other weights than in {study.path}; load those"
        )
    now, then = network.preprocessing.about(), known["preprocessing"]
    if changed := [key for key in {**then, **now} if _plain(now.get(key)) != then.get(key)]:
        raise StudyError(
            f"{network.name} prepares pictures in another way than in {study.path} ({changed[0]}); load it as it was"
        )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
