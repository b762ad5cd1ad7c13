"""How much of a reconstruction is the network: what is left when weights are random, from the top or the bottom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from layerscope.compare.chosen import named_pictures
from layerscope.compare.part import Finding, Made, Part, Shown, nulls
from layerscope.compare.randomisation import entropy, shown_layers, similarities
from layerscope.compare.reinitialised import reinitialise, weighted_layers
from layerscope.compare.representations import hashed_order
from layerscope.compare.subject import Kept, Subject
from layerscope.drawing.canvas import Page
from layerscope.drawing.charts import Curve
from layerscope.drawing.depth_charts import Chart, Scale, depth_charts
from layerscope.errors import LayerscopeError
from layerscope.network.network import Network
from layerscope.progress import Count, of
from layerscope.reconstruction.descent import reconstruct

MOST = 16  #: boundaries between trained and random weights, spread evenly where a network has more layers
_DOWN, _UP = "top-down", "bottom-up"
_ORDERS = {_DOWN: "random from the top down to", _UP: "random from the bottom up to"}
_MEASURES = {
    "rank": "rank correlation",
    "place": "rank correlation of energy",
    "ssim": "SSIM",
    "rise": "rise of entropy",
}
_OTHER = "another picture"
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Followed:
    """One network. ``weighted``: its layers with weights, from the first to the last that matters; ``reach``: how many
    of them each layer followed stands on.

    ``values``: by order and place of the boundary among those (layers, pictures, measures), NaN of layers that it does
    not reach; ``others``: with the trained reconstruction of another picture in place of a random one.
    """

    network: str
    layers: tuple[str, ...]
    reach: tuple[int, ...]
    weighted: tuple[str, ...]
    values: Mapping[tuple[str, int], Array]
    others: Array

    def of(self, order: str, stage: int, measure: str, layer: int = -1) -> Array:
        """Of each picture."""
        found: Array = self.values[order, stage][layer, :, list(_MEASURES).index(measure)]
        return found

    def mean(self, order: str, stage: int, measure: str, layer: int = -1) -> float:
        """Over pictures."""
        return float(self.of(order, stage, measure, layer).mean())


# ------------------------------------------------------------------ whether, and what of


def _why_not(subject: Subject) -> str | None:
    try:
        if not subject.good:
            return "no picture can be read"
        for network in subject.networks:
            layers = _layers(subject, network)
            if not layers:
                return f"{subject.options.rule.name} goes back from no chosen layer of {network.name}"
            if not _weighted(network, layers):
                return f"{network.name} has no weights below {layers[-1]}"
    except LayerscopeError as error:
        return str(error)
    return None


def _layers(subject: Subject, network: Network) -> tuple[str, ...]:
    chosen = shown_layers(network, subject.options.rule, subject.options.layers)
    first = {name: place for place, name in enumerate(layer.name for layer in network.layers)}
    weighted = [first[name] for name in weighted_layers(network)[:1]]
    return tuple(layer.name for layer in chosen if weighted and first[layer.name] >= weighted[0])


def _weighted(network: Network, layers: Sequence[str]) -> tuple[str, ...]:
    """Layers with weights up to the last of those."""
    order = [layer.name for layer in network.layers]
    return tuple(n for n in weighted_layers(network) if order.index(n) <= order.index(layers[-1]))


def _pictures(subject: Subject) -> tuple[int, ...]:
    """Those that were named, or so many drawn by lot."""
    wanted = subject.options.pictures
    if not isinstance(wanted, int):
        return named_pictures(subject.study, wanted)
    names = subject.study.pictures["name"].to_pylist()
    return tuple(subject.good[place] for place in hashed_order([names[p] for p in subject.good])[:wanted])


def _options(subject: Subject) -> Mapping[str, object]:
    return {
        **subject.rule_options,
        "layers": subject.options.layers,
        "pictures": _pictures(subject),
    }


# ------------------------------------------------------------------ following


def _stages(count: int) -> tuple[int, ...]:
    """Places of boundaries among so many layers with weights: the first two, the last, and some between."""
    return tuple(
        sorted(
            {0, min(1, count - 1), *np.linspace(0, count - 1, min(count, MOST)).round().astype(int).tolist()}
        )
    )


def _follow(subject: Subject, number: int) -> _Followed:
    """One network; every network with some weights random is a unit of work."""
    network, layers = subject.networks[number], _layers(subject, subject.networks[number])
    weighted = _weighted(network, layers)
    order = [layer.name for layer in network.layers]
    reach = tuple(sum(order.index(name) <= order.index(layer) for name in weighted) for layer in layers)
    kept = subject.kept("randomisation", _options(subject))
    units = [(way, stage) for way in _ORDERS for stage in _stages(len(weighted))]
    keys = {unit: f"{number}-{unit[0]}-{unit[1]}" for unit in units}
    missing = [unit for unit in units if keys[unit] not in kept]
    if missing:
        done = Count(
            of(network.name, subject.progress),
            "randomisation",
            len(units),
            "networks",
            before=len(units) - len(missing),
        )
        inputs = torch.stack([v for _, v in subject.read(_pictures(subject), network.preprocessing.apply)])
        trained = reconstruct(network, inputs, layers, rule=subject.options.rule)
        signals = {layer: trained[layer] for layer in layers}
        kept.get(f"{number}-others", lambda: {"values": _compared(signals, _next(signals))})
        for way, stage in missing:
            random = reinitialise(network, weighted[stage:] if way == _DOWN else weighted[: stage + 1])
            changed = [layer for layer, count in zip(layers, reach, strict=True) if stage < count]
            found = reconstruct(random, inputs, changed, rule=subject.options.rule)
            kept.put(keys[way, stage], {"values": _compared(signals, {n: found[n] for n in changed})})
            done()
    values = {unit: _kept(kept, keys[unit]) for unit in units}
    return _Followed(network.name, layers, reach, weighted, values, _kept(kept, f"{number}-others"))


def _kept(kept: Kept, key: str) -> Array:
    return kept.read(key)["values"].astype(np.float64)


def _next(signals: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Those of the next picture, the last of the first; of one picture there are none."""
    return {layer: values.roll(-1, 0) for layer, values in signals.items() if len(values) > 1}


def _compared(trained: Mapping[str, Tensor], random: Mapping[str, Tensor]) -> Array:
    """(layers, pictures, measures), NaN of layers that are not there."""
    found = np.full((len(trained), len(next(iter(trained.values()))), len(_MEASURES)), np.nan)
    for place, (layer, signals) in enumerate(trained.items()):
        for picture, other in enumerate(random.get(layer, ())):
            found[place, picture] = _measured(signals[picture], other)
    return found


def _measured(trained: Tensor, random: Tensor) -> list[float]:
    before, after = entropy(trained), entropy(random)
    measured = {**similarities(random, trained), "rise": after / before - 1 if before else float("nan")}
    return [measured[measure] for measure in _MEASURES]


# ------------------------------------------------------------------ what it says


def _findings(followed: Sequence[_Followed], pictures: int) -> Iterator[Finding]:
    text = "Measured on {pictures} pictures; every number is their mean. Random weights are as He et al. 2015 begin."
    yield Finding.of(text, pictures=pictures)
    for one in followed:
        last = one.reach[-1] - 1
        yield _all_random(one)
        if last > 0:
            yield _upper_half(one)
            yield _but_the_first(one)
            yield _one_alone(one)
        yield from _entropies(one)


def _all_random(one: _Followed) -> Finding:
    ranks = one.of(_DOWN, 0, "rank")
    other = float(one.others[-1, :, list(_MEASURES).index("rank")].mean())
    numbers = {**_numbers(one, _DOWN, 0), "low": float(ranks.min()), "high": float(ranks.max())}
    numbers |= {"other": other} if isfinite(other) else {}
    beside = "; that of another picture {other:.2f}" if isfinite(other) else ""
    text = (
        "{network}: with all {count} weighted layers random the reconstruction of {layer} still correlates {rank:.2f} "
        f"with the trained one ({{low:.2f}} to {{high:.2f}} over pictures), its energy {{place:.2f}}{_ssim(numbers)}"
        f"{beside}."
    )
    return Finding.of(text, count=one.reach[-1], **numbers)


def _numbers(one: _Followed, order: str, stage: int) -> dict[str, Any]:
    """Of the last layer, for a sentence; pictures may be too small for SSIM."""
    numbers = {measure: one.mean(order, stage, measure) for measure in ("rank", "place", "ssim")}
    known = {measure: value for measure, value in numbers.items() if isfinite(value)}
    return {"network": one.network, "layer": one.layers[-1], **known}


def _ssim(numbers: Mapping[str, Any]) -> str:
    return ", at SSIM {ssim:.2f}" if "ssim" in numbers else ""


def _but_the_first(one: _Followed) -> Finding:
    numbers = _numbers(one, _DOWN, 1)
    text = (
        "{network}: with all weights above {first} random the reconstruction of {layer} still correlates {rank:.2f} "
        f"with the trained one, its energy {{place:.2f}}{_ssim(numbers)}."
    )
    return Finding.of(text, first=one.weighted[0], **numbers)


def _upper_half(one: _Followed) -> Finding:
    """What high layers say that switches, low layers and the picture do not."""
    half = min({stage for _, stage in one.values}, key=lambda stage: (abs(stage - one.reach[-1] // 2), stage))
    text = (
        "{network}: with {count} of {of} layers random, those from {lowest} up, the reconstruction of {layer} still "
        "correlates {rank:.2f} with the trained one, its energy {place:.2f}."
    )
    counts: dict[str, Any] = {"count": one.reach[-1] - half, "of": one.reach[-1]}
    return Finding.of(text, lowest=one.weighted[half], **counts, **_numbers(one, _DOWN, half))


def _one_alone(one: _Followed) -> Finding:
    """The first layer and the last, each random alone."""
    last = one.reach[-1] - 1
    text = (
        "{network}: with the weights of {first} alone random it correlates {rank:.2f}, with those of {top} alone "
        "{rank_of_top:.2f}; energy {place:.2f} and {place_of_top:.2f}."
    )
    numbers = _numbers(one, _UP, 0)
    numbers |= {f"{measure}_of_top": one.mean(_DOWN, last, measure) for measure in ("rank", "place")}
    return Finding.of(text, first=one.weighted[0], top=one.weighted[last], **numbers)


def _entropies(one: _Followed) -> Iterator[Finding]:
    rise = one.mean(_DOWN, 0, "rise")
    if isfinite(rise):
        text = "{network}: with all weights random the entropy of {layer} changes by {rise:+.1%} (eMPRT)."
        yield Finding.of(text, network=one.network, layer=one.layers[-1], rise=rise)


# ------------------------------------------------------------------ figures and tables


def _page(one: _Followed) -> Page:
    charts = [_chart(one, order, measure) for measure in _MEASURES for order in _ORDERS]
    return depth_charts(charts, columns=len(_ORDERS))


def _chart(one: _Followed, order: str, measure: str) -> Chart:
    curves = [_curve(one, order, measure, layer) for layer in range(len(one.layers))]
    place = list(_MEASURES).index(measure)
    if isfinite(floor := float(one.others[-1, :, place].mean())) and measure != "rise":
        drawn = curves[-1]
        values = (floor,) * len(drawn.layers)
        curves.append(Curve(drawn.network, drawn.layers, drawn.pools, values, line="dotted", meaning=_OTHER))
    both = [_curve(one, way, measure, layer) for way in _ORDERS for layer in range(len(one.layers))]
    scale = Scale.around([*both, *curves], *((0.0,) if measure == "rise" else (0.0, 1.0)), level=0.0)
    return Chart(tuple(curves), _MEASURES[measure], scale, f"{one.network}, {_ORDERS[order]}")


def _curve(one: _Followed, order: str, measure: str, layer: int) -> Curve:
    """Over boundaries, those with more random weights to the right; bars from the lowest picture to the highest."""
    stages = sorted((stage for way, stage in one.values if way == order), reverse=order == _DOWN)
    values = np.stack([one.of(order, stage, measure, layer) for stage in stages])
    middle, low, high = (tuple(f(values, axis=1).tolist()) for f in (np.mean, np.min, np.max))
    names = tuple(one.weighted[stage] for stage in stages)
    return Curve(one.layers[layer], names, (False,) * len(names), middle, low, high)


def _table(subject: Subject, followed: Sequence[_Followed], pictures: Sequence[int]) -> pa.Table:
    names = subject.study.pictures["name"].to_pylist()
    rows = [
        {
            "network": one.network,
            "order": order,
            "boundary": boundary,
            "random_layers": count,
            "layer": layer,
            "picture": picture,
            "name": names[picture],
            **dict(zip(_MEASURES, values[place, row].tolist(), strict=True)),
        }
        for one in followed
        for order, boundary, count, values in _every(one)
        for place, layer in enumerate(one.layers)
        for row, picture in enumerate(pictures)
        if np.isfinite(values[place, row]).any()
    ]
    return nulls(pa.Table.from_pylist(rows))


def _every(one: _Followed) -> Iterator[tuple[str, str | None, int, Array]]:
    """Order, the layer at the boundary, how many layers are random, and the values."""
    for (order, stage), values in one.values.items():
        count = len(one.weighted) - stage if order == _DOWN else stage + 1
        yield order, one.weighted[stage], count, values
    yield _OTHER, None, 0, one.others


def _make(subject: Subject) -> Made:
    pictures = _pictures(subject)
    followed = [_follow(subject, number) for number in range(len(subject.networks))]
    caption = (
        "How alike the reconstructions with random weights and the trained ones are, and by how much their entropy "
        "rises: a curve for each layer, more of the network random to the right; bars go from the lowest picture to "
        "the highest."
    )
    table = _table(subject, followed, pictures)
    return Made(
        list(_findings(followed, len(pictures))),
        {"randomisation": Shown([_page(one) for one in followed], caption)},
        {"randomisation": (table, "Every picture, at every boundary between trained and random weights.")},
    )


RANDOMISATION = Part("randomisation", "Random weights", _why_not, _options, _make)
