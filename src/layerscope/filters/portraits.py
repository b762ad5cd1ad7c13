"""The portraits of a study's filters: the top patches of each, and what the filter keeps of them (Fig. 7)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from layerscope.choices import PATCHES_ALONE
from layerscope.disk.names import folders
from layerscope.drawing.sprites import encode_sprite, read_about, suffix
from layerscope.errors import StudyError
from layerscope.filters.painting import Drawing, Panel, Sitting, cut, paint
from layerscope.filters.sheets import STEP, Portrait, dead_before, finish_portraits
from layerscope.filters.top_filters import Filter, top_filters
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.progress import Told, tell
from layerscope.reconstruction.rules import RULES, Rule
from layerscope.reconstruction.units import check_rule, covers
from layerscope.study.folder import Study
from layerscope.study.pictures import find_pictures
from layerscope.study.sources import check_network
from layerscope.study.steps import OpenStep

_FORMAT = 1  # of what a portrait shows; raised when older ones are to be made anew


@dataclass(frozen=True)
class FilterOptions:
    """Which filters are portrayed, and how: ``layers`` and ``channels`` as `make_portraits` takes them.

    ``drawing``: None: as the portraits that are there, else by the deconvnet. `Drawing(None)`: patches alone.
    """

    layers: str | Sequence[str] = "conv"
    channels: Sequence[int] | None = None
    drawing: Drawing | None = None


def drawing_of(
    study: Study, network_name: str, *, rule: str | None = None, display: str | None = None
) -> Drawing:
    """How the portraits of a network are drawn in a study, or would be; but by this rule, or with this display.

    ``rule`` "none": patches alone. Raises StudyError if that was by a rule of the user's own, which a study knows
    by name only.
    """
    if rule is not None and display is not None:
        return Drawing(_rule_named(rule), display)
    there = _drawn(study, network_name)
    other = there.rule if rule is None or rule == there.way else _rule_named(rule)
    return Drawing(other, display or there.display)


def _rule_named(name: str) -> Rule | None:
    return None if name == PATCHES_ALONE else RULES[name]


def _drawn(study: Study, network_name: str) -> Drawing:
    made = study.steps.get(f"{study.network(network_name).folder}/{STEP}")
    if made is None:
        return Drawing()
    if made["rule"] == PATCHES_ALONE:
        return Drawing(None, made["display"])
    if made["rule"] not in RULES:
        raise StudyError(
            f"the portraits of {network_name} are drawn by a rule of your own, {made['rule']!r}; draw them by "
            f"{' or '.join(RULES)}: `layerscope filters` with --rule and --display"
        )
    return Drawing(replace(RULES[made["rule"]], overlap=made["overlap"]), made["display"])


def precision_of(study: Study, network_name: str) -> torch.dtype:
    """The precision of a network's portraits in a study, or that of the study itself while there are none."""
    made = study.steps.get(f"{study.network(network_name).folder}/{STEP}")
    known = study.manifest["inputs"]["networks"][network_name] if made is None else made
    found: torch.dtype = getattr(torch, known["dtype"])
    return found


def rules_for(network: Network) -> tuple[str, ...]:
    """The rules that cover all convolutions of a network, by name."""
    layers = [layer.name for layer in network.select_layers("conv")]
    return tuple(name for name, rule in RULES.items() if covers(network, layers, rule))


def make_portraits(
    study: Study,
    network: Network,
    images: ImageSet,
    *,
    layers: str | Sequence[str] = "conv",
    channels: Sequence[int] | None = None,
    drawing: Drawing | None = None,
    progress: Told | None = None,
) -> Study:
    """Add the portraits of filters to a study: a picture for each, pages for each layer, the table ``filters``.

    ``layers``: "conv", "all", "even" or names; ``channels``: those to show, all by default; ``drawing``: unless given,
    as the portraits that are there, else by the deconvnet. What is there already, drawn the same way, is kept and
    stays beside what is new; what was drawn in another way is replaced. Raises StudyError if the network or a picture
    is not that of the study, or as `drawing_of`; OutputError if another process is at work on it;
    UnsupportedOperationError as `stream_units`, before anything is touched.
    """
    check_network(study, network)
    chosen = top_filters(study, network, layers, channels)
    alive = [one for one in chosen if one.patches]
    drawing = drawing or drawing_of(study, network.name)
    if drawing.rule is not None:
        check_rule(network, dict.fromkeys(one.layer.name for one in alive), drawing.rule)
    options = {
        "rule": drawing.way,
        "overlap": drawing.rule.overlap if drawing.rule is not None else "",
        "display": drawing.display,
        "dtype": str(network.dtype).removeprefix("torch."),
        "format": _FORMAT,
    }
    find_pictures(study, images, (p.picture for one in chosen for p in one.patches))
    with study.open_step(STEP, network=network.name, options=options) as step:
        easel = _Easel(Sitting(study, network, drawing), step)
        missing = [one for one in alive if easel.found(one) is None]
        step.expect(map(easel.file, missing))
        units = _Units(easel.sitting, alive, missing, progress)
        way = paint if drawing.rule is not None else cut
        for one, panels in way(easel.sitting, images, missing, units.one_more):
            easel.publish(one, panels)
        finish_portraits(step, study, network, easel.every(chosen), {one.layer.name for one in missing})
    return Study.open(study.path)


class _Easel:
    """What all portraits of one run share: where they go, what they depend on."""

    def __init__(self, sitting: Sitting, step: OpenStep) -> None:
        self.sitting, self.step = sitting, step
        self.folders = folders(layer.name for layer in sitting.network.layers)

    def file(self, one: Filter) -> str:
        """The name of the portrait, below the network's folder."""
        ending = suffix(self.sitting.size(one.layer), len(one.patches))
        return f"{STEP}/{self.folders[one.layer.name]}/{one.channel:04d}{ending}"

    def key(self, one: Filter) -> str:
        """What the portrait depends on, all of it in one word."""
        parts = (
            self.sitting.study.digest,
            self.sitting.network.name,
            one.layer.name,
            one.channel,
            one.patches,
            self.step.options,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]

    def found(self, one: Filter) -> Portrait | None:
        """The portrait that is in place already, if it is the one that would be made."""
        name = self.file(one)
        about = read_about(self.step.place(name)) if self.step.whole(name) else {}
        if about.get("key") != self.key(one):
            return None
        white, black = tuple(about["white"]), tuple(about["black"])
        return Portrait(one, self.sitting.size(one.layer), name, self.sitting.views(one), white, black)

    def every(self, chosen: Sequence[Filter]) -> list[Portrait]:
        """All portraits there are, from this run and earlier ones, with the dead among those asked for."""
        asked = {(one.layer.name, one.channel) for one in chosen} | dead_before(self.step)
        filters = top_filters(self.sitting.study, self.sitting.network, "swept")
        found = [
            self.found(one) if one.patches else Portrait(one, self.sitting.size(one.layer))
            for one in filters
            if one.patches or (one.layer.name, one.channel) in asked
        ]
        return [portrait for portrait in found if portrait is not None]

    def publish(self, one: Filter, panels: Sequence[Panel]) -> None:
        """Put a portrait in place."""
        name = self.file(one)
        about = {"key": self.key(one), "white": [p.white for p in panels], "black": [p.black for p in panels]}
        self.step.put(name, encode_sprite(self.sitting.sprite(one, panels), Path(name).suffix, about))


class _Units:
    """Tells of progress, unit by unit."""

    def __init__(
        self, sitting: Sitting, alive: Sequence[Filter], missing: Sequence[Filter], progress: Told | None
    ) -> None:
        self.progress, self.sitting = progress, sitting
        self.of, self.all = sum(len(one.patches) for one in alive), sum(map(sitting.work, alive))
        self.left, self.ahead = sum(len(one.patches) for one in missing), sum(map(sitting.work, missing))
        self._tell()

    def one_more(self, of: Filter) -> None:
        """A unit of this filter is done."""
        self.left -= 1
        self.ahead -= self.sitting.work(of) // len(of.patches)
        self._tell()

    def _tell(self) -> None:
        share = 1 - self.ahead / self.all if self.all else 1.0
        tell(self.progress, "portraits", share, f"{self.of - self.left:,} of {self.of:,} units")
