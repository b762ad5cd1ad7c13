"""How much of what reconstructions show lies outside the object, by depth: the paper's claim that background fades."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import pairwise
from math import isfinite
from typing import Any

import numpy as np
import pyarrow as pa

from layerscope.compare.background import Measured, measured_layers, shares_of
from layerscope.compare.part import Finding, Made, Part, Shown, nulls
from layerscope.compare.reinitialised import reinitialise, weighted_layers
from layerscope.compare.representations import hashed_order
from layerscope.compare.resampling import Change, bootstrap_means
from layerscope.compare.sparsity import POOLS
from layerscope.compare.subject import Subject
from layerscope.drawing.canvas import Page
from layerscope.drawing.charts import Curve, Line
from layerscope.drawing.depth_charts import Chart, Scale, depth_charts
from layerscope.errors import LayerscopeError
from layerscope.network.layers import Layer
from layerscope.network.network import Network
from layerscope.progress import Count, of
from layerscope.reconstruction.rules import RULES, Rule

BY_RULE = 32  #: pictures that rules other than the one asked for are measured on
_KINDS: Mapping[str, tuple[Line, str]] = {
    "trained": ("solid", "trained"),
    "reinitialised": ("dashed", "re-initialised"),
    "other_mask": ("dotted", "mask of another picture"),
}  #: what is measured: by which line it is drawn, and what that is called
_VALUES = "energy outside / area outside"


# ------------------------------------------------------------------ whether, and what of


def _why_not(subject: Subject) -> str | None:
    try:
        objects = subject.objects
        if not objects.masks.names:
            return f"no picture has a mask {objects.masks.place}; --masks says where masks are"
        if not objects.pictures:
            name, reason = objects.faults[0]
            return f"none of {len(objects.faults)} masks can be used; {name}: {reason}"
        bare = [n for n in subject.networks if not _layers(subject, n, subject.options.rule)]
    except LayerscopeError as error:
        return str(error)
    return f"{subject.options.rule.name} goes back from no chosen layer of {bare[0].name}" if bare else None


def _layers(subject: Subject, network: Network, rule: Rule) -> tuple[Layer, ...]:
    return measured_layers(network, rule, subject.options.layers)


def _options(subject: Subject) -> Mapping[str, object]:
    """Where there are no masks, the reason stands for them: it is `_why_not` that refuses."""
    try:
        masks = subject.objects.digest
    except LayerscopeError as error:
        masks = str(error)
    return {**subject.rule_options, "layers": subject.options.layers, "masks": masks}


# ------------------------------------------------------------------ measuring


def _measure(subject: Subject) -> list[Measured]:
    """Every network by the rule asked for on all pictures with a mask, by the others on some of them."""
    pictures = subject.objects.pictures
    names = subject.study.pictures["name"].to_pylist()
    order = [pictures[place] for place in hashed_order([names[picture] for picture in pictures])]
    found = []
    for rule in (subject.options.rule, *(r for r in RULES.values() if r != subject.options.rule)):
        chosen = order if rule == subject.options.rule else order[:BY_RULE]
        for number, network in enumerate(subject.networks):
            if layers := _layers(subject, network, rule):
                found.append(_measure_one(subject, number, layers, rule, tuple(chosen)))
    return found


def _measure_one(
    subject: Subject, number: int, layers: tuple[Layer, ...], rule: Rule, pictures: tuple[int, ...]
) -> Measured:
    """The pictures in an order drawn by lot; the other mask of each is that of the next."""
    network = subject.networks[number]
    kept = subject.kept("background", {**_options(subject), "pictures": pictures})
    keys = {picture: f"{number}-{rule.name}-{picture}" for picture in pictures}
    missing = [picture for picture in pictures if keys[picture] not in kept]
    others = dict(zip(pictures, (*pictures[1:], pictures[0]), strict=True))
    control = reinitialise(network) if missing else network
    told = of(f"{network.name}, {rule.name}", subject.progress)
    done = Count(told, "background", len(pictures), before=len(pictures) - len(missing))
    with closing(subject.read(missing, network.preprocessing.apply)) as read:
        for picture, values in read:
            masks = [subject.objects.inside(p, network.preprocessing) for p in (picture, others[picture])]
            own, other = shares_of(network, layers, values, masks, rule)
            (fresh,) = shares_of(control, layers, values, masks[:1], rule)
            shares = {"trained": own, "reinitialised": fresh, "other_mask": other}
            kept.put(keys[picture], shares)
            done()
    rows = [kept.read(keys[picture]) for picture in pictures]
    shares = {kind: np.stack([row[kind] for row in rows]) for kind in _KINDS}
    if len(pictures) == 1:
        shares["other_mask"] = np.full_like(shares["trained"], np.nan)
    return Measured(network.name, rule, layers, len(weighted_layers(network)), pictures, shares)


# ------------------------------------------------------------------ what it says


def _findings(subject: Subject, measured: Sequence[Measured]) -> Iterator[Finding]:
    yield from _what_of(subject, len(measured[0].pictures))
    asked = [one for one in measured if one.rule == subject.options.rule]
    for one in asked:
        if not one.alive:
            text = "In {network} all {layers} layers are zero in every picture: nothing is measured."
            yield Finding.of(text, network=one.network, layers=len(one.layers), warns=True)
    alive = [one for one in asked if one.alive]
    for one in alive:
        yield _fading(one)
        yield from _rises(one)
        yield _control(one)
        yield from _other_mask(one)
    for number, one in enumerate(alive):
        for other in alive[number + 1 :]:
            yield _deeper(one, other)
            yield from _at_the_end(one, other)
    yield from (_by_rule(one) for one in measured if one not in asked and one.alive)


def _what_of(subject: Subject, count: int) -> Iterator[Finding]:
    objects, view = subject.objects, subject.networks[0].preprocessing
    text = (
        "Measured on {pictures:,} pictures with a mask {place}, whose object covers {area:.0%} of what is seen, on "
        "average; intervals are 95 %, by the bootstrap over pictures."
    )
    area = float(np.mean([float(objects.inside(picture, view).mean()) for picture in objects.pictures]))
    yield Finding.of(text, pictures=count, place=objects.masks.place, area=area)
    if objects.unmasked:
        yield Finding.of("{n:,} pictures have no mask and are left out.", n=objects.unmasked, warns=True)
    if objects.faults:
        name, reason = objects.faults[0]
        text = "{n:,} masks cannot be used and are left out; {name}: {reason}."
        yield Finding.of(text, n=len(objects.faults), name=name, reason=reason, warns=True)
    if count == 1:
        yield Finding.of("Of {n} picture there is no interval, hence no verdict.", n=count, warns=True)


def _fading(one: Measured) -> Finding:
    """The claim that it fades from the first convolution to the last; where it is least, if it clearly rises again."""
    change = Change.of(one.change("trained"))
    again, rise = _rising_again(one)
    verdicts = {True: "; unrelated content fades with depth", False: "; it is not seen to fade", None: ""}
    text = (
        "{network}: all that lies outside the object has {before:.2f} of its share of the energy in {first} and "
        f"{{after:.2f}} in {{last}}: {change.words}{verdicts[change.falls]}{again}."
    )
    return Finding.of(text, holds=change.falls, **_ends(one, "trained"), **change.numbers, **rise)


def _rising_again(one: Measured) -> tuple[str, dict[str, Any]]:
    """From the layer in which it is least to the last convolution, in words and numbers; nothing if that is no rise."""
    (first, last), shares = one.ends, one.shares["trained"]
    least = min((place for place in one.alive if first <= place <= last), key=one.mean)
    rise = Change.of(shares[:, last] - shares[:, least])
    if not rise.low > 0:
        return "", {}
    by = "{rise:.2f} ({rise_low:.2f} to {rise_high:.2f})"
    numbers = {"least": one.mean(least), "rise": rise.value, "rise_low": rise.low, "rise_high": rise.high}
    return f", but is least in {{lowest}} ({{least:.2f}}) and rises by {by} from there", {
        "lowest": one.layers[least].name,
        **numbers,
    }


def _ends(one: Measured, kind: str) -> dict[str, Any]:
    """The first and the last convolution for a sentence."""
    first, last = one.ends
    values = {"before": one.mean(first, kind), "after": one.mean(last, kind)}
    names = {"first": one.layers[first].name, "last": one.layers[last].name, "network": one.network}
    return {**values, **names}


def _rises(one: Measured) -> Iterator[Finding]:
    """The steps from one layer to the next at which it clearly rises."""
    shares, steps = one.shares["trained"], list(pairwise(one.alive))
    if not steps or len(shares) == 1:
        return
    changes = bootstrap_means(np.stack([shares[:, b] - shares[:, a] for a, b in steps], axis=1))
    names = [one.layers[steps[place][1]].name for place in np.flatnonzero(changes.low > 0)]
    where = f", those to {', '.join(names)}" if names else ""
    text = "{network}: it rises at {rises} of {steps} steps from a layer to the next{where}."
    yield Finding.of(text, network=one.network, rises=len(names), steps=len(steps), where=where)


def _control(one: Measured) -> Finding:
    """The claim that it is learned, and not what the way back, switches and architecture do by themselves.

    With re-initialised weights it must fade by less, and more be left in the end.
    """
    own, fresh = _change(one, "trained"), _change(one, "reinitialised")
    learned = Change.of(one.change("trained") - one.change("reinitialised"))
    share: dict[str, Any] = {"share": fresh / own} if own < 0 and learned.known else {}
    last = one.ends[1]
    less = Change.of(one.shares["trained"][:, last] - one.shares["reinitialised"][:, last]).falls
    holds = None if learned.falls is None else learned.falls and bool(less)
    no_less = ", but no less is left in the end" if learned.falls and not less else ""
    much = "; {share:.0%} of the fading needs no training" if share and holds is not False else ""
    verdicts = {True: ", so some of it is learned", False: ", so none is seen to be learned", None: ""}
    text = (
        "{network} with re-initialised weights, the control: {before:.2f} in {first}, {after:.2f} in {last} "
        f"({{fresh:+.2f}}); training adds {learned.words}{no_less}{verdicts[holds]}{much}."
    )
    ends = _ends(one, "reinitialised")
    return Finding.of(text, holds=holds, fresh=fresh, **ends, **learned.numbers, **share)


def _change(one: Measured, kind: str) -> float:
    return float(np.nanmean(one.change(kind)))


def _other_mask(one: Measured) -> Iterator[Finding]:
    """What the place of objects alone gives."""
    value = one.mean(one.ends[1], "other_mask")
    if isfinite(value):
        text = "{network} in {layer}, with the mask of another picture: {value:.2f}."
        yield Finding.of(text, network=one.network, layer=one.layers[one.ends[1]].name, value=value)


def _deeper(one: Measured, other: Measured) -> Finding:
    """The claim that the deeper of two networks keeps less in its last convolution."""
    deep, flat = (one, other) if one.depth >= other.depth else (other, one)
    change = Change.of(deep.last - flat.last)
    better = change.falls if deep.depth > flat.depth else None
    verdicts = {
        True: "the deeper network is better at it",
        False: "the deeper network is not seen to be better",
    }
    verdict = f"; {verdicts[better]}" if better is not None else ""
    text = (
        "{deep} ({depth} layers with weights) has {value:.2f} in {layer}, {flat} ({depth_of_flat}) {flat_value:.2f} in "
        f"{{flat_layer}}: {change.words} on the same pictures{verdict}."
    )
    return Finding.of(
        text,
        deep=deep.network,
        depth=deep.depth,
        value=deep.mean(deep.ends[1]),
        layer=deep.layers[deep.ends[1]].name,
        flat=flat.network,
        depth_of_flat=flat.depth,
        flat_value=flat.mean(flat.ends[1]),
        flat_layer=flat.layers[flat.ends[1]].name,
        holds=better,
        **change.numbers,
    )


def _at_the_end(one: Measured, other: Measured) -> Iterator[Finding]:
    """The same of their last layers, where those are no convolutions; it may be otherwise there."""
    ends = [network.alive[-1] for network in (one, other)]
    if ends != [network.ends[1] for network in (one, other)]:
        shares = [network.shares["trained"][:, end] for network, end in zip((one, other), ends, strict=True)]
        change = Change.of(shares[0] - shares[1])
        text = (
            "In their last layers {one} has {value:.2f} ({layer}) and {other} {beside:.2f} ({its}): "
            f"{change.words}."
        )
        names: dict[str, Any] = {"one": one.network, "layer": one.layers[ends[0]].name}
        others: dict[str, Any] = {"other": other.network, "its": other.layers[ends[1]].name}
        values: dict[str, Any] = {"value": one.mean(ends[0]), "beside": other.mean(ends[1])}
        yield Finding.of(text, **names, **others, **values, **change.numbers)


def _by_rule(one: Measured) -> Finding:
    fresh = _change(one, "reinitialised")
    change = Change.of(one.change("trained"))
    text = (
        "By the rule {rule}, on {pictures} of them, {network} goes from {before:.2f} in {first} to {after:.2f} in "
        f"{{last}}: {change.words}, re-initialised {{fresh:+.2f}}."
    )
    about: dict[str, Any] = {"rule": one.rule.name, "pictures": len(one.pictures), "fresh": fresh}
    return Finding.of(text, **about, **_ends(one, "trained"), **change.numbers)


# ------------------------------------------------------------------ figures and tables


def _chart(measured: Sequence[Measured], asked: Rule) -> Page:
    """One panel of the rule asked for, or one for each of the others, all on one scale."""
    curves = {
        rule: tuple(
            _curve(one, kind)
            for kind in _KINDS
            for one in measured
            if one.rule == rule and (kind != "other_mask" or rule == asked)
        )
        for rule in dict.fromkeys(one.rule for one in measured)
    }
    scale = Scale.around([curve for own in curves.values() for curve in own], 0.0, level=1.0)
    charts = [Chart(own, _VALUES, scale, rule.name) for rule, own in curves.items()]
    return depth_charts(charts, columns=len(charts))


def _curve(one: Measured, kind: str) -> Curve:
    means, (line, meaning) = one.means[kind], _KINDS[kind]
    pools = tuple(layer.kind in POOLS for layer in one.layers)
    ends = (tuple(means.low.tolist()), tuple(means.high.tolist())) if kind == "trained" else ((), ())
    names = tuple(layer.name for layer in one.layers)
    return Curve(one.network, names, pools, tuple(means.values.tolist()), *ends, line, meaning)


def _table(measured: Sequence[Measured]) -> pa.Table:
    rows = [
        {
            "network": one.network,
            "rule": one.rule.name,
            "layer": layer.name,
            "kind": kind,
            "pictures": int(np.isfinite(one.shares[kind][:, place]).sum()),
            "mean": means.values[place],
            "low": means.low[place],
            "high": means.high[place],
        }
        for one in measured
        for place, layer in enumerate(one.layers)
        for kind, means in one.means.items()
    ]
    return nulls(pa.Table.from_pylist(rows))


def _pictures(subject: Subject, measured: Sequence[Measured]) -> pa.Table:
    """Of each picture, by the rule asked for."""
    names = subject.study.pictures["name"].to_pylist()
    rows = [
        {"network": one.network, "layer": layer.name, "picture": picture, "name": names[picture]}
        | {kind: one.shares[kind][row, place] for kind in _KINDS}
        for one in measured
        if one.rule == subject.options.rule
        for place, layer in enumerate(one.layers)
        for row, picture in enumerate(one.pictures)
    ]
    return nulls(pa.Table.from_pylist(rows))


def _make(subject: Subject) -> Made:
    measured = _measure(subject)
    asked = [one for one in measured if one.rule == subject.options.rule]
    if not any(one.alive for one in asked):
        return Made(list(_findings(subject, measured)))
    others = [one for one in measured if one not in asked]
    caption = (
        "Energy of reconstructions outside the object, as a share of all, over the area outside it as a share of all: "
        "1 as if the network did not know the object, below 1 background fades."
    )
    figures = {"background": Shown(_chart(asked, subject.options.rule), caption)}
    if others:
        figures["rules"] = Shown(_chart(others, subject.options.rule), "The same by the other rules.")
    return Made(
        list(_findings(subject, measured)),
        figures,
        {
            "background": (_table(measured), "Each layer's mean over pictures with its 95 % interval."),
            "pictures": (_pictures(subject, measured), "Each picture in each layer."),
        },
    )


BACKGROUND = Part("background", "Background", _why_not, _options, _make)
