"""Which filters of two networks answer alike, shown side by side, and which of them nothing matches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from layerscope.compare.common_pictures import common_pictures
from layerscope.compare.likenesses import Likenesses, keys_of
from layerscope.compare.match_pages import match_pages
from layerscope.compare.matched import MASS, MATCHED, Matched
from layerscope.compare.part import Finding, Made, Part, Shown
from layerscope.compare.parts.similarity import why_no_pictures
from layerscope.compare.subject import MOST_PAIRS, Subject
from layerscope.drawing.render import show_signal

_LEAST = 4  # pictures
_NEAR = 0.6  # of the bar for matched filters: chance that comes so near is told of


def why_not_matched(subject: Subject) -> str | None:
    """Why filters cannot be compared, if they cannot."""
    if (good := len(subject.good)) < _LEAST:
        return f"{good} good pictures: filters are matched over at least {_LEAST}, and hundreds are useful"
    if find_spec("scipy") is None:
        return "one-to-one matching needs SciPy; install layerscope[compare]"
    return _lacking(subject) or why_no_pictures(subject)


def _lacking(subject: Subject) -> str | None:
    """What the studies lack, or have too much of."""
    channels = {}
    for name in subject.names:
        results = subject.study.network(name)
        if "conv2d" not in results.layers["kind"].to_pylist():
            return f"{name} has no convolution"
        if "top_patches" not in results.results:
            return f"the study of {name} kept no top patches"
        channels[name] = pc.sum(results.layers["channels"]).as_py()
    for one, other in subject.pairs:
        if channels[one] * channels[other] > MOST_PAIRS:
            return f"{channels[one]:,} channels of {one} by {channels[other]:,} of {other} are too many to hold at once"
    return None


def _options(subject: Subject) -> Mapping[str, object]:
    options = subject.options
    return {
        **subject.rule_options,
        **{"grid": options.grid, "filters": options.filters, "partial": find_spec("ot") is not None},
    }


def _make(subject: Subject) -> Made:
    pairs = [Matched(subject, one, other) for one, other in subject.pairs]
    shown = {name: Likenesses(subject, name, _wanted(pairs, name)) for name in subject.names}
    for likenesses in shown.values():
        likenesses.make()
    figures: dict[str, Shown] = {}
    for pair in pairs:
        end = f"-{pair.name}" if len(pairs) > 1 else ""
        figures |= {f"{name}{end}": figure for name, figure in _figures(subject, pair, shown)}
    return Made([finding for pair in pairs for finding in find(pair)], figures, _tables(pairs))


def _wanted(pairs: list[Matched], name: str) -> Iterator[tuple[str, int]]:
    """Which filters of a network are shown somewhere."""
    for pair in pairs:
        if name in pair.names:
            side = "" if name == pair.names[0] else "other_"
            yield from keys_of(pair.chosen, side)
            yield from keys_of(pair.alone[pair.names.index(name)])


# ------------------------------------------------------------------ figures


def _figures(subject: Subject, pair: Matched, shown: Mapping[str, Likenesses]) -> Iterator[tuple[str, Shown]]:
    one, other = (shown[name] for name in pair.names)
    if pair.chosen:
        rows = [
            (
                one.portrayed(row["layer"], row["channel"]),
                other.portrayed(row["other_layer"], row["other_channel"], f"r {row['correlation']:.2f}"),
            )
            for row in pair.chosen
        ]
        caption = f"{_PAIRS.format(count=len(rows))} {panels_of(subject, one, other)}"
        title = f"Filters of {pair.names[0]} and {pair.names[1]} that match"
        yield "matches", Shown(list(match_pages(title, caption, rows)), caption, photographs=True)
    for name, its, alone in zip(pair.names, pair.names[::-1], pair.alone, strict=True):
        if alone:
            portraits = [
                (
                    shown[name].portrayed(
                        row["layer"],
                        row["channel"],
                        f"{row['other_layer']}, {row['other_channel']}: r {row['correlation']:.2f}",
                    ),
                )
                for row in alone
            ]
            caption = f"{_ALONE.format(count=len(alone), least=MATCHED)} {panels_of(subject, shown[name])}"
            title = f"Filters of {name} that nothing of {its} matches"
            yield (
                f"unmatched_{pair.names.index(name) + 1}",
                Shown(list(match_pages(title, caption, portraits)), caption, photographs=True),
            )


_PAIRS = (
    "{count} pairs of filters, each the other's best match by Pearson's correlation (r) of their means over each "
    "picture, the strongest first; of any two layers two at most, and layers in turn as evenly as can be."
)
_ALONE = (
    "{count} filters whose best match, named to the right, correlates less than {least}: the weakest of each layer, "
    "the weakest first. Those that never change are left out."
)


def panels_of(subject: Subject, *likenesses: Likenesses) -> str:
    """What a panel shows."""
    words = (
        f"Left: the patches that excite each filter most, of {len(subject.good):,} pictures, at most one of each, row "
        "by row from the strongest."
    )
    rule = subject.options.rule.name
    bare = [one.network for one in likenesses if not one.reconstructed]
    if len(bare) < len(likenesses):
        words += f" Right: what it keeps of them ({rule}; {show_signal(np.zeros((1, 1, 3)), 'signed').rule})."
    if bare:
        words += f" {rule} does not go back through {' and '.join(bare)}: patches alone."
    return f"{words} Striped: outside the picture."


# ------------------------------------------------------------------ tables


def _tables(pairs: Sequence[Matched]) -> dict[str, tuple[pa.Table, str]]:
    both = [(pair, side) for pair in pairs for side in (0, 1)]
    best = [_named(pair, (pair.matches.best, pair.matches.other_best)[side], side) for pair, side in both]
    alone = [_named(pair, pair.unmatched[side], side) for pair, side in both]
    partial = [_named(pair, pair.partial, 0) for pair in pairs if pair.partial is not None]
    tables = {
        "best": (pa.concat_tables(best), "Every filter of either network with its best match in the other."),
        "mutual": (
            pa.concat_tables([_named(pair, pair.matches.mutual, 0) for pair in pairs]),
            "Filters that are each other's best match, the strongest first.",
        ),
        "one_to_one": (
            pa.concat_tables([_named(pair, pair.matches.pairs, 0) for pair in pairs]),
            "Filters paired one to one, by the greatest sum of correlations.",
        ),
        "unmatched": (
            pa.concat_tables(alone),
            f"Filters whose best match correlates less than {MATCHED}, weakest first; without one, it never changes.",
        ),
    }
    if partial:
        words = (
            f"Partial soft matching of layers with their most similar ones: {MASS:.0%} of the filters must be matched; "
            "how far each is, and with which most."
        )
        tables["partial"] = (pa.concat_tables(partial), words)
    return tables


def _named(pair: Matched, table: pa.Table, side: int) -> pa.Table:
    """A table of matches with the networks."""
    for name, column, before in (
        (pair.names[side], "network", "layer"),
        (pair.names[1 - side], "other_network", "other_layer"),
    ):
        place = table.schema.get_field_index(before)
        table = table.add_column(place, column, pa.array([name] * len(table), pa.string()))
    return table


# ------------------------------------------------------------------ findings


def find(pair: Matched) -> Iterator[Finding]:
    """How many match, whether the same pictures excite them, how many nothing matches, and by which measure."""
    mutual = pair.matches.mutual
    if not len(pair.matches.pairs):
        yield Finding.of(
            "No filter of {one}, or none of {other}, answers differently to any of {pictures:,} pictures.",
            one=pair.names[0],
            other=pair.names[1],
            pictures=len(pair.similarities.one.pictures),
            warns=True,
        )
        return
    counts = [len(table) for table in (pair.matches.best, pair.matches.other_best)]
    chance = [float(np.nanmedian(values)) for values in pair.chance]
    strengths = mutual["correlation"].to_numpy()
    yield Finding.of(
        "{mutual:,} of the {count:,} filters of {one} and {others:,} of {other} are each other's best match, with r "
        "{middle:.2f} in the middle; paired with wrong pictures, a filter's best match has r {chance:.2f} in the "
        "middle.",
        mutual=len(mutual),
        count=counts[0],
        others=counts[1],
        one=pair.names[0],
        other=pair.names[1],
        middle=float(np.median(strengths)) if len(strengths) else 0.0,
        chance=float(np.mean(chance)),
    )
    yield from _doubt(pair, float(np.mean(chance)))
    yield from _common(pair)
    for side in (0, 1):
        yield _alone(pair, side)
    yield _one_to_one(pair)
    yield from _partial(pair)


def _doubt(pair: Matched, chance: float) -> Iterator[Finding]:
    """Where chance alone comes near to the bar."""
    if chance > _NEAR * MATCHED:
        yield Finding.of(
            "Over {pictures:,} pictures chance alone gives r {chance:.2f}, near the {bar} from which a filter counts "
            "as matched: too few are said to be matched by none; use more pictures.",
            pictures=len(pair.similarities.one.pictures),
            chance=chance,
            bar=MATCHED,
            warns=True,
        )


def _common(pair: Matched) -> Iterator[Finding]:
    found = common_pictures(pair.matches.mutual, *pair.tops)
    if not len(found.shared) or np.isnan(found.ratio):
        return
    half, most = found.half, max(len(p) for tops in pair.tops for own in tops.values() for p in own)
    yield Finding.of(
        "Filters of {one} and {other} that are each other's best match {are} excited by the same pictures: of {most} "
        "strongest they share {shared:.2f}, random filters of the same layers {random:.2f}: {ratio:.1f} times as many "
        "(95 % interval over pairs {low:.1f} to {high:.1f}; with {pictures:,} pictures at most {ceiling:.1f}).",
        holds=bool(found.ratio - half > 1) if not np.isnan(half) else None,
        are="are" if found.ratio - half > 1 else "are not",
        one=pair.names[0],
        other=pair.names[1],
        most=most,
        shared=float(found.shared.mean()),
        random=float(found.chance.mean()),
        ratio=found.ratio,
        low=found.ratio - half,
        high=found.ratio + half,
        pictures=len(pair.similarities.one.pictures),
        ceiling=most / float(found.chance.mean()),
    )


def _alone(pair: Matched, side: int) -> Finding:
    best = (pair.matches.best, pair.matches.other_best)[side]
    live = best.filter(pc.is_valid(best["correlation"]))
    weak = live.filter(pc.less(live["correlation"], MATCHED))
    shares = _shares(weak, live)
    most, least = (pick(shares, key=lambda layer: shares[layer]) for pick in (max, min))
    return Finding.of(
        "{weak:,} of the {live:,} filters of {one} that ever change ({share:.0%}) are matched by none of {other} at r "
        "{bar} or more: {high:.0%} in {most}, {low:.0%} in {least}; {flat} never change.",
        weak=len(weak),
        live=len(live),
        flat=len(best) - len(live),
        share=len(weak) / max(1, len(live)),
        bar=MATCHED,
        one=pair.names[side],
        other=pair.names[1 - side],
        most=most,
        least=least,
        high=shares[most],
        low=shares[least],
    )


def _shares(some: pa.Table, every: pa.Table) -> dict[str, float]:
    """For each layer which share of its rows is in some of them."""
    part, whole = (Counter(table["layer"].to_pylist()) for table in (some, every))
    return {layer: part[layer] / count for layer, count in whole.items()}


def _one_to_one(pair: Matched) -> Finding:
    strengths = pair.matches.pairs["correlation"].to_numpy()
    return Finding.of(
        "One to one, {count:,} filters of either network find a partner, with r {middle:.2f} in the middle; {strong:,} "
        "of them with {bar} or more.",
        count=len(strengths),
        middle=float(np.median(strengths)) if len(strengths) else 0.0,
        strong=int((strengths >= MATCHED).sum()),
        bar=MATCHED,
    )


def _partial(pair: Matched) -> Iterator[Finding]:
    if pair.partial is None:
        if find_spec("ot") is None:
            yield Finding(
                "Partial soft matching is left out: it needs POT; install layerscope[compare].", warns=True
            )
        return
    table = pair.partial
    known = table.filter(pc.is_valid(table["correlation"]))
    strengths = {
        layer: float(np.average(part["correlation"].to_numpy(), weights=part["matched"].to_numpy()))
        for layer in pc.unique(known["layer"]).to_pylist()
        for part in [known.filter(pc.equal(known["layer"], layer))]
    }
    if not strengths:
        return
    most, least = (pick(strengths, key=lambda layer: strengths[layer]) for pick in (max, min))
    yield Finding.of(
        "By partial soft matching of each layer of {one} with its most similar one of {other}, the {mass:.0%} of "
        "filters that match best have r {mean:.2f} with their partners: {high:.2f} in {most}, {low:.2f} in {least}.",
        one=pair.names[0],
        other=pair.names[1],
        mass=MASS,
        mean=float(np.mean(list(strengths.values()))),
        high=strengths[most],
        low=strengths[least],
        most=most,
        least=least,
    )


FILTERS = Part("filters", "Filters that match", why_not_matched, _options, _make)
