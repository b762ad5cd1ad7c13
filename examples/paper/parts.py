"""The parts: every figure and table of the paper, each a section of the page. None computes anything of its own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import sets
from folder import copied, figures_of, findings_of, saved, saved_table
from section import File, Made, Section
from studies import SPACES, Room
from verdicts import (
    ALIKE,
    BETTER,
    BETTER_BY_STAMP,
    Verdict,
    about,
    background_verdicts,
    judged,
    sparsity_verdicts,
)
from words import ABOUT, PICTURES, TABLES

from layerscope import Network, Space, load_image, show_architecture, show_placed, show_reconstructions
from layerscope.compare import evaluate_networks
from layerscope.compare.part import Finding
from layerscope.errors import TruthError
from layerscope.gallery import Look
from layerscope.space import place_pictures
from layerscope.zoo import read_architecture

_EVEN = Look(layers="even")
_MEASURED = (
    *("c1_1", "c2_1", "c3_1", "c4_1", "c5_1", "c5_3", "p5"),
    *("c1", "c2", "c3", "c4", "c5"),
)  # layers whose background is measured, of whichever network has them
MAPPED = ("photographs", "objects", "clothes")  # whose spaces are made
_PURITY = "purity by class, other pictures"


def made_section(name: str, room: Room) -> Section:
    """One part, made now or found as it was."""
    made, about = PARTS[name](room), ABOUT[name]
    known = {words: _pictures(room, words) for words in PICTURES if f"{{{words}}}" in about.here}
    amounts = {"masked": room.amounts.masked, "filters": room.amounts.filters}
    every = {"all_clothes": f"{len(room.all_clothes):,}"} if "{all_clothes}" in about.here else {}
    return Section(name, replace(about, here=about.here.format(**known, **amounts, **every)), made)


def _pictures(room: Room, name: str) -> str:
    images = room.images(name)
    return PICTURES[name].format(pictures=len(images), classes=len(images.classes or ()))


# ------------------------------------------------------------------ the networks, and their errors


def tables(room: Room) -> Made:
    """Fig. 2, Tables 1 and 2: the architectures, and the receptive fields beside the paper's."""
    figures, files, findings = [], [], []
    for number, (name, known) in enumerate(TABLES.items(), 1):
        network = read_architecture(name)
        caption = f"{name}: channels, size and receptive field of each layer."
        figures.append(saved(room.folder, f"figure-2-{name}", show_architecture(network), caption))
        rows = [(layer, *_field(network, layer), *fields) for layer, fields in known.items()]
        head = ("layer", "size", "stride", "size in the paper", "stride in the paper")
        files.append(saved_table(room.folder, f"table-{number}", head, rows, f"Table {number}: {name}."))
        same = sum(row[1:3] == row[3:] for row in rows)
        text = "{same} of {count} layers of {name} have the size and stride of Table {number}."
        holds = same == len(rows)
        findings.append(Finding.of(text, holds=holds, same=same, count=len(rows), name=name, number=number))
    other = read_architecture("alexnet")
    alike = [_field(other, layer) == fields for layer, fields in TABLES["alexcnn"].items()]
    text = "The control: {same} of {count} layers of torchvision's AlexNet, whose pools overlap, have those of Table 2."
    findings.append(Finding.of(text, same=sum(alike), count=len(alike)))
    return Made(findings, (), figures, files)


def _field(network: Network, layer: str) -> tuple[int, int]:
    """Size and stride of a receptive field, which are those of rows as of columns."""
    field = network.layer(layer).field
    assert field is not None
    return int(field.size[0]), int(field.stride[0])


def errors(room: Room) -> Made:
    """The two error rates, of the trained pair."""
    out = room.folder / "studies" / "errors"
    study, found = evaluate_networks(room.pair, room.all_clothes, out, progress=room.progress)
    classes = room.pair[0].layers[-1].channels
    lot = f"{1 - 1 / classes:.0%} if one of {classes} classes were drawn by lot"
    verdicts = [
        judged(BETTER, one, " and ".join(study.networks), int(one.numbers["pictures"]), lot)
        for one in about(BETTER, found)
        if one.numbers["top"] == 1
    ]
    chart = copied(
        room.folder, study.path / "evaluation" / "errors.png", "errors", "Errors, with 95 % intervals."
    )
    return Made(found, verdicts, [chart])


def stamps(room: Room) -> Made:
    """The pair trained at the paper's size: errors by stamp, what is kept of four pictures, zeros and background."""
    networks = " and ".join(one.name for one in room.stamps_pair)
    numbers = json.loads((room.stamps_trained / "errors.json").read_text("utf-8"))
    first, seeds = by_stamp(numbers)
    findings = [first, *left_out(numbers)]
    lot = f"{1 - 1 / room.stamps_pair[0].layers[-1].channels:.1%} by lot"
    count = int(first.numbers["stamps"])
    verdicts = [judged(BETTER_BY_STAMP, first, f"{networks}, stamps", count, lot, seeds=seeds)]
    curves = room.stamps_trained / "errors.png"
    figures = [copied(room.folder, curves, "stamps-errors", "Errors on the way, with 95 % intervals.")]
    masked = {"masks": room.stamps_masks, "layers": _MEASURED}
    for part, options in (("rows", {"pictures": 4}), ("sparsity", {}), ("background", masked)):
        compared = room.compared("stamps", part, **options)
        found = findings_of(compared, part)
        findings += found
        figures += figures_of(room.folder, compared, part, f"stamps-{part}")
        if part == "sparsity":
            verdicts += sparsity_verdicts(compared, found, findings_of(room.control("stamps"), part))
        if part == "background":
            verdicts += background_verdicts(compared, found)
    return Made(findings, verdicts, figures)


def by_stamp(numbers: Mapping[str, Any]) -> tuple[Finding, int]:
    """Which of the two networks errs less on stamps that it never saw, left open where a training that did not train
    decides it; and over how many seeds of each."""
    pair, of_all = (_pair(numbers, name) for name in ("pairs", "pairs_of_all"))
    errors = {
        f"{whose}{name}": value
        for whose, one in zip(("other_", ""), pair["errors"], strict=True)
        for name, value in zip(("error", "least", "most"), one, strict=True)
    }
    less, with_all = (_sign(**_points(one)) for one in (pair, of_all))
    found = Finding.of(
        "VGGCNN takes {error:.1%} of the pictures of a stamp that it never saw for another class ({least:.1%} to "
        "{most:.1%}), AlexCNN {other_error:.1%} ({other_least:.1%} to {other_most:.1%}), over {stamps} stamps of "
        "{folds} folds: {change:+.1f} points ({low:+.1f} to {high:+.1f}).",
        holds=None if less is None or less != with_all else less < 0,
        stamps=pair["stamps"],
        folds=pair["folds"],
        **_points(pair),
        **errors,
    )
    return found, numbers["networks"]["vggcnn"]["seeds"]


def left_out(numbers: Mapping[str, Any]) -> Iterator[Finding]:
    """The trainings that did not train, and what is found with them."""
    for name, fold, seed in numbers["untrained"]:
        yield Finding.of(
            "{name}, fold {fold}, seed {seed} ended at chance on stamps that it learned from and is left out; with "
            "all that were trained: {change:+.1f} points ({low:+.1f} to {high:+.1f}).",
            name=name, fold=fold, seed=seed, **_points(_pair(numbers, "pairs_of_all")),
        )  # fmt: skip


def _pair(numbers: Mapping[str, Any], of: str) -> Mapping[str, Any]:
    """What the report has of the two, AlexCNN first, whatever other networks there are."""
    found: Mapping[str, Any] = next(one for one in numbers[of] if one["of"] == ["alexcnn", "vggcnn"])
    return found


def _points(pair: Mapping[str, Any]) -> dict[str, Any]:
    """What the deeper network adds to the error of the other, in points; the report has it the other way round."""
    return dict(zip(("change", "high", "low"), (-100 * value for value in pair["change"]), strict=True))


def _sign(change: float, low: float, high: float) -> int | None:
    """None: it may be either."""
    return None if low < 0 < high else round(math.copysign(1, change))


# ------------------------------------------------------------------ spaces


def figure1(room: Room) -> Made:
    """One picture: what a network says of it, what its layers keep of it, where they see it."""
    study, network = room.with_spaces("clothes"), room.pair[0]
    picture = room.one_of_each[0]
    label = picture.stem
    kept = show_reconstructions(network, [picture], _EVEN)
    caption = "What every second convolution keeps of it, and what the network says it is."
    figures = [saved(room.folder, "figure-1-kept", kept, caption)]
    values = network.preprocessing.apply(load_image(picture))[None]
    for layer in SPACES:
        space = Space.open(study, layer, network.name)
        page = show_placed(space, place_pictures(space, network, values), [label])
        caption = f"Where {layer} sees its patches, among those of the other pictures."
        figures.append(saved(room.folder, f"figure-1-{layer}", page, caption))
    best = network.predict(values)[0][0]
    text = "The network calls this {label} {best}, with a probability of {share:.1%}."
    said = Finding.of(text, label=label, best=best.name, share=best.probability)
    return Made([said], (), figures)


def figure3(room: Room) -> Made:
    """The spaces of a middle and a high layer, and whether neighbours there are of a class."""
    findings, verdicts, figures, files = [], list[Verdict](), list[File](), []
    for name in MAPPED:
        study = room.with_spaces(name)
        middle, high = (Space.open(study, layer, study.networks[0]) for layer in SPACES)
        figures += [found for space in (middle, high) for found in _plane(room, space, name)]
        files += [_truth(room, space, name) for space in (middle, high)]
        findings.append(alike(middle, high, name))
        if name != "photographs":
            pictures = len(set(high.pictures.tolist()))
            control = "{chance:.0%} by lot".format(**findings[-1].numbers)
            verdicts.append(judged(ALIKE, findings[-1], f"{high.network}, {name}", pictures, control))
    return Made(findings, verdicts, figures, files)


def alike(middle: Space, high: Space, name: str) -> Finding:
    """How often a patch's nearest, of other pictures, are of its class: in a middle layer and in a high one.

    As t-SNE lays patches out, which is what the paper speaks of, and by the distances of their vectors; if one says
    otherwise than the other, it is undecided. Crops of one photograph share pixels: of them no claim is judged.
    """
    (low, low_own, _), (top, top_own, chance) = (_purities(space) for space in (middle, high))
    laid_out, by_distance = top > max(low, chance), top_own > max(low_own, chance)
    judgeable = name != "photographs"
    return Finding.of(
        "{network}, {name}: of the patches of other pictures that t-SNE puts next to a patch {high:.0%} are of its "
        "class in {top} and {middle:.0%} in {low}, of those whose vectors are nearest {high_own:.0%} and "
        "{middle_own:.0%}; {chance:.0%} if they were drawn by lot.",
        holds=laid_out if judgeable and laid_out == by_distance else None,
        warns=judgeable and laid_out != by_distance,
        network=high.network,
        name=name,
        high=top,
        high_own=top_own,
        middle=low,
        middle_own=low_own,
        chance=chance,
        top=high.layer,
        low=middle.layer,
    )


def _purities(space: Space) -> tuple[float, float, float]:
    """In the embedding, in the representation, and by lot. Raises TruthError where no picture has a class."""
    rows = {row["of"]: row for row in space.truth.to_pylist() if row["name"] == _PURITY}
    if not rows or any(row["value"] is None for row in rows.values()):
        raise TruthError(
            f"{space.layer} of {space.network}: no classes to tell neighbours by; label the pictures"
        )
    own = rows["representation"]
    return rows["embedding"]["value"], own["value"], own["control"]


def _plane(room: Room, space: Space, name: str) -> Sequence[File]:
    """The figure of a space; none if no region of it is worth a look."""
    picture = space.results.study.path / space.results.folder / space.folder / "figure.png"
    if not picture.exists():
        return ()
    caption = f"{space.network}, {space.layer}: the plane, parts of it, patches from them, and their filters; {name}."
    return (copied(room.folder, picture, f"figure-3-{name}-{space.layer}", caption),)


def _truth(room: Room, space: Space, name: str) -> File:
    rows = [tuple(row.values()) for row in space.truth.to_pylist()]
    caption = f"How true the plane of {space.layer} is, each measure beside its control; {name}."
    return saved_table(room.folder, f"figure-3-{name}-{space.layer}", space.truth.column_names, rows, caption)


# ------------------------------------------------------------------ reconstructions


def figure4(room: Room) -> Made:
    """What every second convolution keeps of five pictures."""
    trunk, whole = room.trunks[0], room.pair[0]
    photographs, clothes = sorted(room.five.iterdir()), room.one_of_each[::2]
    end = f"{whole.name}: the same, and fc8."
    return Made(
        figures=[
            saved(
                room.folder,
                f"figure-4-{trunk.name}",
                show_reconstructions(trunk, photographs, _EVEN),
                f"{trunk.name}: every second convolution, from low to high.",
            ),
            saved(room.folder, f"figure-4-{whole.name}", show_reconstructions(whole, clothes, _EVEN), end),
        ]
    )


def figure5(room: Room) -> Made:
    """The same pictures in both networks."""
    findings, figures = [], []
    for name, pictures in {"photographs": _wholes(), "clothes": 4}.items():
        compared = room.compared(name, "rows", pictures=pictures)
        findings += findings_of(compared, "rows")
        figures += figures_of(room.folder, compared, "rows", f"figure-5-{name}")
    return Made(findings, (), figures)


def _wholes() -> tuple[str, ...]:
    """The largest crops of four photographs, by their names."""
    return tuple(f"{Path(name).stem}/000.jpg" for name in sets.FIVE[:4])


def background(room: Room) -> Made:
    """How much of what is kept lies outside the object."""
    compared = room.compared("objects", "background", masks=room.masks, layers=_MEASURED)
    found = findings_of(compared, "background")
    figures = figures_of(room.folder, compared, "background", "background")
    return Made(found, list(background_verdicts(compared, found)), figures)


# ------------------------------------------------------------------ sparsity, filters


def figure6(room: Room) -> Made:
    """Zeros of every convolution and pool, in both networks, and with random weights."""
    findings, verdicts, figures = [], [], []
    for name in ("photographs", "clothes"):
        compared = room.compared(name, "sparsity")
        found = findings_of(compared, "sparsity")
        findings += found
        figures += figures_of(room.folder, compared, "sparsity", f"figure-6-{name}")
        random = findings_of(room.control(name), "sparsity")
        verdicts += list(sparsity_verdicts(compared, found, random))
    return Made(findings, verdicts, figures)


def figure7(room: Room) -> Made:
    """The first filters of every convolution, with their strongest patches and what they keep of them."""
    findings, figures = [], []
    for name in ("photographs", "clothes"):
        study = room.with_filters(name)
        network = study.network(study.networks[0])
        rows = network.table("filters").to_pylist()
        layers = list(dict.fromkeys(row["layer"] for row in rows))
        for layer in layers:
            picture = study.path / network.folder / "filters" / f"{layer}.png"
            caption = f"{network.name}, {layer}; {name}."
            figures.append(copied(room.folder, picture, f"figure-7-{name}-{layer}", caption))
        text = "{network}, {name}: {count} filters of {layers} convolutions, {dead} of them dead."
        numbers = {"count": len(rows), "layers": len(layers), "dead": sum(row["dead"] for row in rows)}
        findings.append(Finding.of(text, network=network.name, name=name, **numbers))
    return Made(findings, (), figures)


PARTS: Mapping[str, Callable[[Room], Made]] = {
    "tables": tables,
    "errors": errors,
    "stamps": stamps,
    "figure1": figure1,
    "figure3": figure3,
    "figure4": figure4,
    "figure5": figure5,
    "background": background,
    "figure6": figure6,
    "figure7": figure7,
}
LONG = ("stamps",)  # parts that take hours, and are made only when they are asked for
