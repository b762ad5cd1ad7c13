"""How alike the layers of two networks are over the same pictures: CKA, Procrustes, and nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from layerscope.compare.layer_pairs import LayersOfTwo
from layerscope.compare.part import Finding, Made, Part, Shown
from layerscope.compare.similarity import LARGE_SHARE
from layerscope.compare.subject import Subject
from layerscope.drawing.heat import best_of
from layerscope.errors import LayerscopeError
from layerscope.kernels.ranks import rank_correlation

IN_ORDER = 0.8  #: Spearman's correlation from which best matches are said to follow depth
_LEAST = 4  # pictures
_NAMED = 3  # pictures, or reasons, that are named of many


def _why_not(subject: Subject) -> str | None:
    if (good := len(subject.good)) < _LEAST:
        return f"{good} good pictures: the unbiased HSIC needs at least {_LEAST}, and a useful one hundreds"
    return why_no_pictures(subject)


def why_no_pictures(subject: Subject) -> str | None:
    """Why no picture can go through the networks again, if none can."""
    try:
        networks, images = subject.networks, subject.images
    except LayerscopeError as error:
        return str(error)
    return None if networks and len(images) else "there is no picture"


def _options(subject: Subject) -> Mapping[str, object]:
    return {"grid": subject.options.grid}


def _make(subject: Subject) -> Made:
    pairs = [LayersOfTwo.of(subject, one, other) for one, other in subject.pairs]
    figures: dict[str, Shown] = {}
    for pair in pairs:
        end = f"-{pair.name}" if len(pairs) > 1 else ""
        figures[f"cka{end}"] = pair.cka_map()
        figures[f"neighbours{end}"] = pair.neighbours_map()
    tables = {
        "similarity": (
            pa.concat_tables([pair.table for pair in pairs]),
            "Every pair of layers: debiased linear CKA, its 95 % interval, its value for pictures paired wrongly, the "
            "largest share that one picture has in a sum, and Procrustes.",
        ),
        "neighbours": (
            pa.concat_tables([pair.overlap_table for pair in pairs]),
            "Every pair of layers: of the nearest pictures of each picture in either, the share in both; chance.",
        ),
    }
    return Made([finding for pair in pairs for finding in find(pair)], figures, tables)


# ------------------------------------------------------------------ findings


def find(pair: LayersOfTwo) -> Iterator[Finding]:
    """The ridge in both directions, the strongest pair, the other measures, and all doubts."""
    if np.isnan(pair.cka).all():
        yield Finding.of(
            "No layer of {one} can be compared with one of {other}, of {count} pairs: {reason}.",
            one=pair.one,
            other=pair.other,
            count=pair.cka.size,
            reason=_reasons(pair)[0],
            warns=True,
        )
        return
    yield ridge(pair.one, pair.other, *pair.layers, pair.cka)
    yield ridge(pair.other, pair.one, *pair.layers[::-1], pair.cka.T)
    yield _strongest(pair)
    yield _by_procrustes(pair)
    yield _by_neighbours(pair)
    yield from _doubts(pair)


def _strongest(pair: LayersOfTwo) -> Finding:
    rows = [row for row in pair.found.table.to_pylist() if row["cka"] is not None]
    row = max(rows, key=lambda row: float(row["cka"]))
    return Finding.of(
        "The most alike layers are {layer} of {one} and {other_layer} of {other}: CKA {cka:.3f} (95 % interval "
        "{low:.3f} to {high:.3f}) over {pictures:,} pictures; {shuffled:.3f} with the pictures paired wrongly.",
        one=pair.one,
        other=pair.other,
        **{
            name: row[name] for name in ("layer", "other_layer", "cka", "low", "high", "pictures", "shuffled")
        },
    )


def _by_procrustes(pair: LayersOfTwo) -> Finding:
    values, shuffled = pair.found.matrix("procrustes"), pair.found.matrix("procrustes_shuffled")
    i, j = np.unravel_index(np.nanargmax(values), values.shape)
    return Finding.of(
        "By Procrustes the most alike are {layer} and {other_layer}, {value:.3f}, against {shuffled:.3f} paired "
        "wrongly; the best match is the same as by CKA for {same} of {count} layers of {one} and {others} of "
        "{of} of {other}.",
        layer=pair.layers[0][int(i)],
        other_layer=pair.layers[1][int(j)],
        value=float(values[i, j]),
        shuffled=float(shuffled[i, j]),
        **_agreement(pair, values),
    )


def _by_neighbours(pair: LayersOfTwo) -> Finding:
    values = pair.overlaps.mean
    i, j = np.unravel_index(np.nanargmax(values), values.shape)
    return Finding.of(
        "Of the {k} nearest pictures of a picture, {layer} and {other_layer} share most: {value:.0%} of those that "
        "either has, where chance gives {chance:.1%}; the best match is the same as by CKA for {same} of {count} "
        "layers of {one} and {others} of {of} of {other}.",
        k=pair.overlaps.k,
        layer=pair.layers[0][int(i)],
        other_layer=pair.layers[1][int(j)],
        value=float(values[i, j]),
        chance=pair.overlaps.chance,
        **_agreement(pair, values),
    )


def _agreement(pair: LayersOfTwo, values: npt.NDArray[np.float64]) -> dict[str, Any]:
    """For how many layers another measure has the same best match as CKA, both ways."""
    same = [
        sum(a == b is not None for a, b in zip(best_of(x), best_of(y), strict=True))
        for x, y in ((pair.cka, values), (pair.cka.T, values.T))
    ]
    rows, columns = values.shape
    return {
        **{"same": same[0], "count": rows, "others": same[1], "of": columns},
        **{"one": pair.one, "other": pair.other},
    }


def _doubts(pair: LayersOfTwo) -> Iterator[Finding]:
    rows = pair.found.table.to_pylist()
    heavy = sorted((r for r in rows if (r["share"] or 0) > LARGE_SHARE), key=lambda r: -float(r["share"]))
    if heavy:
        places = list(dict.fromkeys(row["share_picture"] for row in heavy))
        more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
        yield Finding.of(
            "In {count} of {pairs} pairs of layers of {one} and {other} a single picture has more than {bar:.0%} "
            "of a sum: {pictures}; most in {layer} and {other_layer}, {share:.0%}. Look at those without it.",
            count=len(heavy),
            pairs=len(rows),
            one=pair.one,
            other=pair.other,
            bar=LARGE_SHARE,
            pictures=", ".join(pair.found.one.pictures[p] for p in places[:_NAMED]) + more,
            layer=heavy[0]["layer"],
            other_layer=heavy[0]["other_layer"],
            share=heavy[0]["share"],
            warns=True,
        )
    if reasons := _reasons(pair):
        more = f"; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
        yield Finding.of(
            "{count} of {pairs} pairs of layers have no value: {reasons}.",
            count=sum(row["reason"] is not None for row in rows),
            pairs=len(rows),
            reasons="; ".join(reasons[:_NAMED]) + more,
            warns=True,
        )


def _reasons(pair: LayersOfTwo) -> list[str]:
    return list(dict.fromkeys(filter(None, pair.found.table["reason"].to_pylist())))


def ridge(
    one: str,
    other: str,
    layers: Sequence[str],
    other_layers: Sequence[str],
    cka: npt.NDArray[np.float64],
) -> Finding:
    """Where the layers of one network find their best match in another, and whether it rises with depth."""
    found = [(layer, place) for layer, place in zip(layers, best_of(cka), strict=True) if place is not None]
    rho = rank_correlation([place for _, place in found])
    distinct = list(dict.fromkeys([found[0], found[len(found) // 2], found[-1]]))
    return Finding.of(
        "The best matches of {one}'s layers in {other} {rise} steadily with depth: Spearman's correlation {rho:.2f} "
        "over {count} layers, where {bar} or more counts as steady; {examples}.",
        holds=rho >= IN_ORDER if len(found) > 2 else None,
        one=one,
        other=other,
        rise="rise" if rho >= IN_ORDER else "do not rise",
        rho=rho,
        count=len(found),
        bar=IN_ORDER,
        examples=", ".join(f"{layer} with {other_layers[place]}" for layer, place in distinct),
    )


SIMILARITY = Part("similarity", "Layers that are alike", _why_not, _options, _make)
