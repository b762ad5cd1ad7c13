"""What each network keeps of the same pictures, row under row: the paper's Fig. 5."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import exp

import numpy as np
import pyarrow as pa

from layerscope.compare.alignment import NEAR
from layerscope.compare.chosen import Choice, choose_pictures, named_pictures
from layerscope.compare.columns import Alignment, Way, align_by_depth, align_by_field
from layerscope.compare.outcomes import LAST, Outcomes, read_outcomes
from layerscope.compare.part import Finding, Made, Part, Shown
from layerscope.compare.parts.similarity import why_no_pictures
from layerscope.compare.subject import Arrays, Subject
from layerscope.disk.names import picture_names
from layerscope.drawing.canvas import Page
from layerscope.drawing.render import Panel
from layerscope.gallery.figure import PictureRows, Row, Truth, reconstruction_figure
from layerscope.gallery.folder import FIGURE_PICTURES, Look, exhibit
from layerscope.images.bands import Decoded
from layerscope.network.network import Network
from layerscope.progress import Count
from layerscope.reconstruction.rules import places_lost

_ROWS_PER_PAGE = 8
_NEAR_THE_PICTURE = 0.1  #: of a network's way: what is not further from the picture is of its first layers
_NAMED = 6  #: layers that are named, of those that are left out
_CAPTIONS = {
    "depth": "Columns: layers equally far along their networks' ways, from the first (0%) to the last (100%). The "
    "bar above a panel: the receptive field (px), as a share of the picture's width",
    "field": "Columns: layers whose positions see windows of like size. The bar above a panel: that receptive field "
    "(px), as a share of the picture's width",
}


def _why_not(subject: Subject) -> str | None:
    if isinstance(subject.options.pictures, tuple):
        named_pictures(subject.study, subject.options.pictures)
    if reason := why_no_pictures(subject):
        return reason
    if not subject.good:
        return "no picture of the study could be read"
    if not any(Way.of(network, subject.options.rule).layers for network in subject.networks):
        return f"the rule {subject.options.rule.name} goes back from no layer of {' or '.join(subject.names)}"
    return None


def _options(subject: Subject) -> Mapping[str, object]:
    chosen = subject.options.pictures
    pictures = chosen if isinstance(chosen, int) else list(named_pictures(subject.study, chosen))
    return {"pictures": pictures, **subject.rule_options, "grid": subject.options.grid}


def _make(subject: Subject) -> Made:
    chosen = choose_pictures(subject)
    choice = replace(chosen, pictures=chosen.pictures[:FIGURE_PICTURES])
    every = [Way.of(network, subject.options.rule) for network in subject.networks]
    ways = _far_enough([way for way in every if way.layers])
    alignments = [found for found in (align_by_depth(ways), align_by_field(ways)) if found.columns]
    rows = _Rows(subject, choice, ways, alignments)
    rows.reconstruct()
    figures = {found.name: Shown(rows.pages(found), rows.caption(found), True) for found in alignments}
    tables = {
        "pictures_chosen": (
            choice.table(subject.study),
            "How far the networks differ on each picture, and which are shown.",
        ),
        "columns": (
            pa.concat_tables([found.table() for found in alignments]),
            "Which layer of which network stands in which column.",
        ),
    }
    findings = [
        choice.finding,
        *_of_more(chosen, choice),
        *_of_columns(alignments, ways),
        *_of_ways(subject, every, ways),
    ]
    return Made(findings, figures, tables)


def _far_enough(ways: Sequence[Way]) -> list[Way]:
    """Those that a rule goes back from further than the first layers, as through attention it does not; all if none."""
    return [way for way in ways if max(way.depths.values()) >= _NEAR_THE_PICTURE] or list(ways)


class _Rows:
    """The reconstructions of the chosen pictures, kept one by one, and the figures made of them."""

    def __init__(
        self, subject: Subject, choice: Choice, ways: Sequence[Way], alignments: Sequence[Alignment]
    ) -> None:
        self._subject, self._choice, self._ways = subject, choice, ways
        self._looks = [Look(layers=_wanted(way, alignments), rule=subject.options.rule) for way in ways]
        options = {
            **subject.rule_options,
            "layers": {w.network.name: look.layers for w, look in zip(ways, self._looks, strict=True)},
        }
        self._kept = subject.kept("rows", options)
        self._outcomes = {
            name: read_outcomes(subject.study, name)
            for name in subject.names
            if "prediction_errors" in subject.study.network(name).results
        }

    def reconstruct(self) -> None:
        """What is missing of each picture and network."""
        pictures, networks = self._choice.pictures, range(len(self._ways))
        missing = {p: [n for n in networks if _key(n, p) not in self._kept] for p in pictures}
        left = sum(map(len, missing.values()))
        whole = len(pictures) * len(networks)
        done = Count(self._subject.progress, "reconstructions", whole, "rows", before=whole - left)
        for picture, image in self._subject.read([p for p, own in missing.items() if own], _itself):
            for number in missing[picture]:
                self._made(number, picture, image)
                done()

    def _made(self, number: int, picture: int, image: Decoded | None = None) -> Arrays:
        def make() -> Arrays:
            assert image is not None
            return _reconstructed(self._ways[number].network, image, self._looks[number])

        return self._kept.get(_key(number, picture), make)

    def pages(self, alignment: Alignment) -> list[Page]:
        """The figure, some pictures to a page."""
        pictures = self._choice.pictures
        names = self._subject.study.pictures["name"].take(list(pictures)).to_pylist()
        titles = dict(zip(pictures, picture_names(names), strict=True))
        each = max(1, _ROWS_PER_PAGE // len(alignment.ways))
        return [
            reconstruction_figure(
                [PictureRows(titles[p], tuple(self._rows(alignment, p))) for p in pictures[i : i + each]],
                caption=self.caption(alignment),
            )
            for i in range(0, len(pictures), each)
        ]

    def caption(self, alignment: Alignment) -> str:
        """What was done, and what a pixel means."""
        networks = [way.network for way in alignment.ways]
        weights = dict.fromkeys(
            f"{network.name}: {network.weights}" for network in networks if network.weights
        )
        meaning = str(self._made(0, self._choice.pictures[0])["rule"])
        shown = dict.fromkeys(filter(None, (network.preprocessing.words() for network in networks)))
        rule = self._subject.options.rule.name
        return "; ".join((_CAPTIONS[alignment.name], rule, *weights, *shown, f"{meaning}."))

    def _places_lost(self, way: Way) -> str:
        return places_lost(way.network.graph, self._subject.options.rule)

    def _rows(self, alignment: Alignment, picture: int) -> Iterator[Row]:
        for place, way in enumerate(alignment.ways):
            held = self._made(self._ways.index(way), picture)
            panels = dict(zip(held["layers"].tolist(), _panels(held), strict=True))
            why = way.network.why_no_predictions
            yield Row(
                way.network.name,
                held["input"].astype(np.uint8),
                tuple((name, panels[name]) for name in alignment.layers[place]),
                None if why else _predictions(way.network, held),
                "; ".join(filter(None, (f"no predictions: {why}" if why else "", self._places_lost(way)))),
                alignment.heads(place),
                _truth(way.network, self._outcomes.get(way.network.name), picture),
            )


def _wanted(way: Way, alignments: Sequence[Alignment]) -> tuple[str, ...]:
    """The layers of a network that any figure shows, in its order."""
    shown = {
        name
        for alignment in alignments
        for own, names in zip(alignment.ways, alignment.layers, strict=True)
        for name in names
        if own is way
    }
    return tuple(layer.name for layer in way.layers if layer.name in shown)


def _itself(image: Decoded) -> Decoded:
    return image


def _key(number: int, picture: int) -> str:
    return f"{number}-{picture}"


def _reconstructed(network: Network, image: Decoded, look: Look) -> Arrays:
    found = exhibit(network, image, look)
    names, panels = zip(*found.row.panels, strict=True)
    return {
        "layers": np.array(names),
        "pixels": np.stack([panel.pixels for panel in panels]),
        "scales": np.array([panel.scale for panel in panels]),
        "blacks": np.array([panel.black for panel in panels]),
        "display": np.array(panels[0].display),
        "rule": np.array(panels[0].rule),
        "input": found.row.input,
        "classes": np.array([each["index"] for each in found.numbers["predictions"]], np.int64),
        "probabilities": np.array([each["probability"] for each in found.numbers["predictions"]]),
    }


def _panels(held: Arrays) -> Iterator[Panel]:
    for pixels, scale, black in zip(held["pixels"], held["scales"], held["blacks"], strict=True):
        yield Panel(pixels, float(scale), str(held["display"]), float(black), str(held["rule"]))


def _class(network: Network, index: int) -> str:
    names = network.classes or ()
    return names[index] if index < len(names) else f"class {index}"


def _predictions(network: Network, held: Arrays) -> tuple[tuple[str, float], ...]:
    pairs = zip(held["classes"].tolist(), held["probabilities"].tolist(), strict=True)
    return tuple((_class(network, index), share) for index, share in pairs)


def _truth(network: Network, outcomes: Outcomes | None, picture: int) -> Truth | None:
    """The right class of a picture, if it is known."""
    if outcomes is None or outcomes.silent:
        return None
    (row,) = np.flatnonzero(outcomes.pictures == picture)
    answer, rank = int(outcomes.answers[row]), int(outcomes.ranks[row])
    return None if answer < 0 else Truth(_class(network, answer), None if rank == LAST else rank)


# ------------------------------------------------------------------ what is said of it


def _of_more(chosen: Choice, shown: Choice) -> Iterator[Finding]:
    if shown.pictures != chosen.pictures:
        yield Finding.of(
            "The figures show the first {shown} of {chosen} pictures; ask for fewer, or name some.",
            shown=len(shown.pictures),
            chosen=len(chosen.pictures),
            warns=True,
        )


def _of_columns(alignments: Sequence[Alignment], ways: Sequence[Way]) -> Iterator[Finding]:
    found = {alignment.name: alignment for alignment in alignments}
    yield Finding.of(
        "By depth: {columns} columns, in each of which the layers are at most {gap:.1%} of their networks' ways apart.",
        columns=found["depth"].columns,
        gap=found["depth"].gap,
    )
    for way in ways:
        if not way.fields:
            yield Finding.of(
                "{network} is not among the rows by receptive field: none of its {layers} layers sees parts of the "
                "picture that are of one size.",
                network=way.network.name,
                layers=len(way.layers),
            )
    if "field" in found:
        alignment = found["field"]
        sizes = [
            way.fields[n] for way, own in zip(alignment.ways, alignment.layers, strict=True) for n in own
        ]
        yield Finding.of(
            "By receptive field: {columns} columns from {least:.1%} to {most:.1%} of the input's side; in each the "
            "greatest is at most {factor:.2f} times the least.",
            columns=alignment.columns,
            least=min(sizes),
            most=max(sizes),
            factor=exp(alignment.gap),
        )
    else:
        alone = "No rows by receptive field: {rows} network, {network}, has rows."
        apart = "No rows by receptive field: in no column would the fields be within a factor of {near}."
        yield (
            Finding.of(apart, near=NEAR)
            if len(ways) > 1
            else Finding.of(alone, rows=1, network=ways[0].network.name)
        )


def _of_ways(subject: Subject, ways: Sequence[Way], shown: Sequence[Way]) -> Iterator[Finding]:
    """What is not shown of networks, and where their ways end in different places."""
    for way in ways:
        if way.layers and way not in shown:
            yield Finding.of(
                "{network} has no row: the rule {rule} goes back from the first {share:.0%} of its way alone.",
                network=way.network.name,
                rule=subject.options.rule.name,
                share=max(way.depths.values()),
                warns=True,
            )
        if way.left_out:
            more = f" and {len(way.left_out) - _NAMED} more" if len(way.left_out) > _NAMED else ""
            yield Finding.of(
                "The rule {rule} does not go back from {count} of {layers} layers of {network}: {names}.",
                rule=subject.options.rule.name,
                count=len(way.left_out),
                layers=len(way.network.layers),
                network=way.network.name,
                names=", ".join(way.left_out[:_NAMED]) + more,
                warns=not way.layers,
            )
    trunks = [way.network.name for way in ways if way.network.trunk]
    if 0 < len(trunks) < len(ways):
        yield Finding.of(
            "{trunks} of {networks} networks are trunks ({names}): their ways end before the fully-connected layers, "
            "so the same depth is another stage.",
            trunks=len(trunks),
            networks=len(ways),
            names=", ".join(trunks),
            warns=True,
        )


ROWS = Part("rows", "The same pictures in each network", _why_not, _options, _make)
