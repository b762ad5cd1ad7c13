"""What the pages of a study show: which pictures, which filters, by which rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from layerscope.errors import LayerscopeError, StudyError, shown
from layerscope.filters.painting import Drawing
from layerscope.filters.portraits import drawing_of
from layerscope.network.layers import Layer
from layerscope.network.network import Network
from layerscope.reconstruction.rules import DECONVNET, Rule
from layerscope.study.folder import Study

PICTURES = 24  #: pictures that are chosen unless it is said how many
MOST = 8_192  #: filters of a network that have a picture unless it is said how many: ViT-B/16 has 48,000

_KINDS = frozenset({"conv2d", "linear"})  # of the layers whose filters are shown unless some are named
DRAWN = ("portrayed", "all", "none")  #: which filters' reconstructions are drawn


@dataclass(frozen=True)
class PageOptions:
    """What is made for the pages.

    ``pictures``: those shown large with all their reconstructions: so many, spread over the set and its classes, or
    names; None: those that are there, else 24. ``add``: those that are there are shown, too. ``layers``: whose filters
    are shown, as `select_layers` takes them; None: all convolutions and linear layers. ``most``: of a network's filters
    so many, those with a portrait in the study and others spread over its layers; None: all. ``filters``: those of them
    with reconstructions: "portrayed", "all" or "none". ``rule``: None: as the portraits, else the deconvnet.
    Raises LayerscopeError for what is none of these.
    """

    pictures: int | Sequence[str] | None = None
    layers: str | Sequence[str] | None = None
    filters: str = "portrayed"
    rule: Rule | None = None
    add: bool = False
    most: int | None = MOST

    def __post_init__(self) -> None:
        if self.filters not in DRAWN:
            raise LayerscopeError(f"filters={self.filters!r:.40}: choose one of {', '.join(DRAWN)}")
        if self.add and self.pictures is None:
            raise LayerscopeError("add=True adds to the pictures that are there: say with pictures= which")
        if isinstance(self.pictures, int) and self.pictures < 0:
            raise LayerscopeError(f"{self.pictures} pictures: choose 0 or more, or name them")
        if self.most is not None and self.most < 0:
            raise LayerscopeError(f"most={self.most}: choose 0 filters or more, or None, which is all")

    @property
    def named(self) -> tuple[str, ...]:
        """The layers that are named one by one; none, where they are said in a word."""
        if self.layers in (None, "all", "conv", "even"):
            return ()
        return (self.layers,) if isinstance(self.layers, str) else tuple(self.layers or ())

    def layers_of(self, network: Network) -> tuple[Layer, ...]:
        """Those of a network's layers whose filters are shown; of names, those that it has."""
        if self.layers is None:
            return tuple(layer for layer in network.layers if layer.kind in _KINDS)
        if self.layers in ("all", "conv", "even"):
            return network.select_layers(self.layers)
        return network.select_layers([name for name in self.named if network.find_layer(name)])

    def check_layers(self, networks: Sequence[Network]) -> None:
        """Raise NetworkError for the name of a layer that none of the networks has."""
        for name in self.named:
            if networks and not any(network.find_layer(name) for network in networks):
                networks[0].layer(name)  # raises, with what it has instead

    def rule_for(self, study: Study, network_name: str) -> Rule:
        """The rule of a network's reconstructions. Raises StudyError as `drawing_of` does."""
        drawing = drawing_of(study, network_name) if self.rule is None else Drawing(self.rule)
        return drawing.rule or DECONVNET


def choose_pictures(study: Study, wanted: int | Sequence[str], kept: Sequence[int] = ()) -> tuple[int, ...]:
    """The pictures meant, rising: so many of the good ones (all, if there are fewer), or those of these names.

    ``kept`` are among them, and not counted. A name may be without folders or suffix, if only one picture has it so.
    Raises StudyError for a name that none or several have, and for a picture that could not be read.
    """
    if isinstance(wanted, int):
        chosen = spread([one for one in _good(study) if one[0] not in kept], wanted)
    else:
        known = study.pictures.column("name").to_pylist()
        chosen = tuple(_named(study, known, name) for name in wanted)
    return tuple(sorted({*chosen, *kept}))


def spread(labelled: Sequence[tuple[int, int | None]], count: int) -> tuple[int, ...]:
    """So many of the pictures (each with its label), rising: as many of each class as can be, evenly spaced in it.

    Where there are more classes than pictures to choose, the classes are evenly spaced too.
    """
    classes: dict[int, list[int]] = {}
    for picture, label in labelled:
        classes.setdefault(-1 if label is None else label, []).append(picture)
    members = [classes[label] for label in sorted(classes)]
    shares = [0] * len(members)
    left = min(count, len(labelled))
    while left:
        unfilled = [i for i, own in enumerate(members) if shares[i] < len(own)]
        now = _evenly(unfilled, min(left, len(unfilled)))
        for i in now:
            shares[i] += 1
        left -= len(now)
    return tuple(sorted(p for own, share in zip(members, shares, strict=True) for p in _evenly(own, share)))


def _evenly(things: Sequence[int], count: int) -> list[int]:
    """So many of them, each from the middle of its part of the whole."""
    return [things[(2 * i + 1) * len(things) // (2 * count)] for i in range(count)]


def _good(study: Study) -> list[tuple[int, int | None]]:
    rows = study.pictures.select(["picture", "label", "reason"]).to_pylist()
    return [(row["picture"], row["label"]) for row in rows if row["reason"] is None]


def _named(study: Study, known: Sequence[str], name: str) -> int:
    found = [picture for picture, whole in enumerate(known) if whole == name]
    found = found or [picture for picture, whole in enumerate(known) if name in _short(whole)]
    if len(found) != 1:
        others = [shown(known[picture]) for picture in found[:3]]
        why = f"several pictures could be meant: {', '.join(others)}" if found else "no picture has that name"
        raise StudyError(
            f"{study.path}: {shown(name)}: {why}; pictures.parquet lists the names of all {len(known)}"
        )
    if reason := study.pictures["reason"][found[0]].as_py():
        raise StudyError(f"{study.path}: {shown(name)} could not be read ({reason}); choose another")
    return found[0]


def _short(name: str) -> tuple[str, str, str]:
    """A picture's name without its suffix, without its folders, without both."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.name else name, path.name, path.stem
