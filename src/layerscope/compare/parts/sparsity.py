"""How many activations are zero, layer by layer, in each network: the paper's Fig. 6 and its three facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from layerscope.compare.part import Finding, Made, Part, Shown
from layerscope.compare.sparsity import Measured, Zeros, show_silence
from layerscope.compare.subject import Subject
from layerscope.kernels.ranks import rank_correlation


def _why_not(subject: Subject) -> str | None:
    lacking = [n for n in subject.names if "sparsity" not in subject.study.network(n).results]
    if lacking:
        return f"the study of {lacking[0]} did not count zeros"
    if not any(len(Zeros(subject.study.network(name)).table) for name in subject.names):
        return f"{' and '.join(subject.names)} have no convolution and no pool"
    return None


def _make(subject: Subject) -> Made:
    networks = [Zeros(subject.study.network(name)) for name in subject.names]
    good = len(subject.good)
    told = [one for one in networks if one.any]
    findings = [
        *(rises(one) for one in told),
        *(falls(one) for one in told),
        *(deeper(a, b) for i, a in enumerate(told) for b in told[i + 1 :]),
        *(_never_zero(one) for one in networks if not one.any),
        *(_dead(one, good) for one in networks),
        *_doubts(networks, good),
    ]
    shown = Shown(show_silence(networks), _caption(networks, good))
    return Made(findings, {"sparsity": shown}, {"sparsity": (_table(networks), _COLUMNS)})


_COLUMNS = (
    "Each convolution and pool: share of exact zeros with the ends of its interval, dead channels, the share of power "
    "in the strongest tenth of channels, and the mean of all values in the network's own units."
)


def _caption(networks: list[Zeros], good: int) -> str:
    intervals = (
        "bars: 95 % intervals over pictures, by the jackknife over runs of neighbouring ones"
        if any(_has_intervals(one) for one in networks)
        else "without intervals"
    )
    return (
        f"Above: the share of exact zeros among the values of each layer, over {good:,} pictures; {intervals}. Middle: "
        "channels that are zero at every position of every picture. Below: the share of a layer's power (mean square) "
        "that its strongest tenth of channels has. The last two are of all pictures together, without intervals. A "
        "network's layers stand side by side from its first to its last."
    )


def _table(networks: list[Zeros]) -> pa.Table:
    return pa.concat_tables([_rows(one) for one in networks])


def _rows(one: Zeros) -> pa.Table:
    curve, names = one.curve(), one.table["layer"].to_pylist()
    means = one.means
    columns = {
        "low": [_known(value) for value in curve.low],
        "high": [_known(value) for value in curve.high],
        "strongest_tenth": [_known(one.strongest.get(name, np.nan)) for name in names],
        "mean": [means.get(name) for name in names],
    }
    table = one.table
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values, pa.float64()))
    return table


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


# ------------------------------------------------------------------ the three facts


def rises(one: Zeros) -> Finding:
    """Whether there are more zeros in the upper half of a network's convolutions than in the lower one."""
    name, count = one.results.name, len(one.convolutions)
    if count < 2:
        return Finding.of(
            "{name} has {count} convolution: whether zeros rise with depth cannot be asked.",
            name=name,
            count=count,
        )
    lower, upper = one.halves()
    return _verdict(
        "Zeros {rise} from low to high layers of {name}: {lower:.0%} in the lower half of its {count} convolutions, "
        "{upper:.0%} in the upper one, {points:+.1f} points{interval}; Spearman's correlation with depth {rho:.2f}.",
        upper - lower,
        ("rise", "do not rise", "may or may not rise"),
        "rise",
        name=name,
        lower=lower.value,
        upper=upper.value,
        count=count,
        rho=rank_correlation([one.shares[layer].value for layer in one.convolutions]),
    )


def falls(one: Zeros) -> Finding:
    """Whether every max-pool of a network has fewer zeros than what it reads; the least fall decides."""
    name, pools = one.results.name, one.max_pools
    if not pools:
        return Finding.of(
            "{name} has {count} max-pools: whether zeros fall there cannot be asked.", name=name, count=0
        )
    falls = {pool: one.shares[read] - one.shares[pool] for pool, read in pools.items()}
    least = min(falls, key=lambda pool: falls[pool].value)
    return _verdict(
        "Zeros {fall} at each max-pool of {name}: at {fallen} of {count}; least at {layer}, by {points:.1f} points"
        "{interval}.",
        falls[least],
        ("fall", "do not fall", "may or may not fall"),
        "fall",
        name=name,
        fallen=sum(fall.value > 0 for fall in falls.values()),
        count=len(falls),
        layer=least,
    )


def deeper(one: Zeros, other: Zeros) -> Finding:
    """Whether the network of more convolutions has more zeros in its high layers: the last convolution decides, unless
    the upper half of all of them says the opposite."""
    counts = [len(network.convolutions) for network in (one, other)]
    if counts[0] == counts[1] or min(counts) < 2:
        return Finding.of(
            "{one} has {count} convolutions, {other} {others}: which is sparser for being deeper cannot be asked.",
            one=one.results.name,
            other=other.results.name,
            count=counts[0],
            others=counts[1],
        )
    return _at_the_top(*((one, other) if counts[0] > counts[1] else (other, one)))


def _at_the_top(deep: Zeros, flat: Zeros) -> Finding:
    top, its = (network.shares[network.convolutions[-1]] for network in (deep, flat))
    halves = deep.halves()[1] - flat.halves()[1]
    differ = {(top - its).positive, halves.positive} == {True, False}
    found = _verdict(
        "The deeper network {is_higher} sparser in its high layers: {share:.0%} zeros in {layer}, the last of the "
        "{count} convolutions of {deep}, {its:.0%} in {its_layer}, the last of the {others} of {flat}, {points:+.1f} "
        "points{interval}; {halves:+.1f} points between the upper halves of their convolutions"
        + (" ({halves_low:+.1f} to {halves_high:+.1f})" if not np.isnan(halves.half) else "")
        + (", so it depends on which layers are called high." if differ else "."),
        top - its,
        ("may or may not be",) * 3 if differ else ("is", "is not", "may or may not be"),
        "is_higher",
        deep=deep.results.name,
        flat=flat.results.name,
        layer=deep.convolutions[-1],
        its_layer=flat.convolutions[-1],
        share=top.value,
        its=its.value,
        count=len(deep.convolutions),
        others=len(flat.convolutions),
        halves=100 * halves.value,
        **({} if np.isnan(halves.half) else _ends("halves_", halves)),
    )
    return replace(found, holds=None, warns=True) if differ else found


def _ends(name: str, difference: Measured) -> dict[str, float]:
    """The ends of its interval, in points."""
    low, high = (100 * (difference.value + sign * difference.half) for sign in (-1, 1))
    return {f"{name}low": low, f"{name}high": high}


def _verdict(
    sentence: str, difference: Measured, words: tuple[str, str, str], place: str, **values: float | str
) -> Finding:
    """A sentence on a difference, in points of percent, with its interval if it has one.

    ``words``: what stands in its ``place`` if it is above 0, if it is not, and if it may be either.
    """
    holds, half = difference.positive, difference.half
    word = words[2] if holds is None else words[0] if holds else words[1]
    ends = {} if np.isnan(half) else _ends("", difference)
    interval = " (95 % interval {low:+.1f} to {high:+.1f})" if ends else ""
    return Finding.of(
        sentence.replace("{interval}", interval),
        holds=holds,
        warns=holds is None,
        points=100 * difference.value,
        **ends,
        **{place: word},
        **values,
    )


# ------------------------------------------------------------------ the rest


def _never_zero(one: Zeros) -> Finding:
    return Finding.of(
        "No value of {name} is ever exactly zero, in {count} convolutions and pools: none of the three facts can be "
        "asked of it.",
        name=one.results.name,
        count=len(one.table),
    )


def _dead(one: Zeros, good: int) -> Finding:
    """With the rule of three: what is not seen in n pictures happens in fewer than 3/n of all, at 95 %."""
    rows = [row for row in one.table.to_pylist() if row["kind"] == "conv2d"]
    dead = sum(row["dead_channels"] for row in rows)
    rare = ", so each answers to fewer than {most:.2%} of pictures like these (95 %)" if dead else ""
    return Finding.of(
        "{dead} of the {channels:,} filters of {name}'s convolutions are zero everywhere" + rare + ".",
        name=one.results.name,
        dead=dead,
        channels=sum(row["channels"] for row in rows),
        most=min(1.0, 3 / good),
    )


def _has_intervals(one: Zeros) -> bool:
    return not any(np.isnan(share.half) for share in one.shares.values())


def _doubts(networks: list[Zeros], good: int) -> Iterator[Finding]:
    old = [one.results.name for one in networks if not _has_intervals(one)]
    if good < 2:
        yield Finding.of(
            "Without intervals: they need two pictures, and this is {count}.", warns=True, count=good
        )
    elif old:
        yield Finding(
            f"Without intervals: the study of {old[0]} was made before zeros were counted by runs of pictures; "
            "a new study has them.",
            warns=True,
        )


SPARSITY = Part("sparsity", "Sparsity", _why_not, lambda subject: {}, _make)
