"""The paper's claims, each with what was found of it: whether it holds, by how much, over what, beside what control.

All of it comes from the findings of the parts, whose numbers name what they are; nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from layerscope import Study
from layerscope.compare.part import Finding

WORDS = {True: "holds", False: "does not hold", None: "undecided"}


@dataclass(frozen=True)
class Claim:
    """What the paper says, and where. Findings of it have numbers named as in ``mark``, and none as in ``other``;
    ``much``: the size of what was found."""

    text: str
    place: str
    mark: frozenset[str]
    much: str
    other: frozenset[str] = frozenset()


RISES = Claim(
    "zeros rise from low to high layers",
    "Fig. 6",
    frozenset({"rho"}),
    "{points:+.1f} points, {low:+.1f} to {high:+.1f}",
)
FALLS = Claim(
    "zeros fall at each max-pool",
    "Fig. 6",
    frozenset({"fallen"}),
    "at least {points:.1f} points, {low:+.1f} to {high:+.1f}",
)
SPARSER = Claim(
    "the deeper network has more zeros in its high layers",
    "Fig. 6",
    frozenset({"halves"}),
    "last convolutions {points:+.1f} points, {low:+.1f} to {high:+.1f}; upper halves {halves:+.1f}",
)
FADES = Claim(
    "unrelated content fades from low to high layers",
    "Fig. 4",
    frozenset({"before", "after", "change"}),
    "{before:.2f} to {after:.2f} of its share of the energy: {change:+.2f}, {low:+.2f} to {high:+.2f}",
    frozenset({"fresh"}),
)
CLEANER = Claim(
    "the deeper network keeps less unrelated background in its last convolution",
    "Fig. 5",
    frozenset({"depth_of_flat"}),
    "{value:.2f} against {flat_value:.2f}: {change:+.2f}, {low:+.2f} to {high:+.2f}",
)
LEARNED = Claim(
    "it is learned",
    "",
    frozenset({"before", "after", "fresh"}),
    "re-initialised weights: {fresh:+.2f}",
    frozenset({"pictures"}),
)
_LEARNED = {True: "; some of it is learned", False: "; none is seen to be learned", None: ""}
ALIKE = Claim(
    "what a high layer holds to be alike is alike in meaning, more than in a middle layer",
    "Fig. 3",
    frozenset({"high", "middle"}),
    "next to it on the plane {high:.0%} of the class, in the middle layer {middle:.0%}; by distance {high_own:.0%} "
    "and {middle_own:.0%}; no interval",
)
BETTER = Claim(
    "the deeper network errs less",
    "Section 3",
    frozenset({"other_alone"}),
    "{error:.1%} against {other_error:.1%}, p = {p:.2g}",
)
BETTER_BY_STAMP = Claim(
    BETTER.text,
    BETTER.place,
    frozenset({"stamps"}),
    "{error:.1%} against {other_error:.1%} of stamps: {change:+.1f} points, {low:+.1f} to {high:+.1f}",
)


@dataclass(frozen=True)
class Verdict:
    """A row of the table: ``networks``: whom it was asked of; ``control``: the same where there is nothing to find."""

    claim: str
    place: str
    networks: str
    verdict: str
    much: str
    pictures: int
    seeds: int
    control: str


def about(claim: Claim, findings: Iterable[Finding]) -> list[Finding]:
    """The findings that speak of a claim."""
    return [
        finding
        for finding in findings
        if claim.mark <= finding.numbers.keys() and not claim.other & finding.numbers.keys()
    ]


def judged(
    claim: Claim, finding: Finding, networks: str, pictures: int, control: str, *, seeds: int = 1
) -> Verdict:
    """The row of one finding; what is not seen, with an interval around 0, may still be: it is undecided."""
    numbers = finding.numbers
    unseen = finding.holds is False and numbers.get("low", 0) < 0 < numbers.get("high", 0)
    return Verdict(
        claim.text,
        claim.place,
        networks,
        WORDS[None if unseen else finding.holds],
        claim.much.format(**numbers),
        pictures,
        seeds,
        control,
    )


def sparsity_verdicts(
    study: Study, findings: Sequence[Finding], controls: Sequence[Finding]
) -> Iterator[Verdict]:
    """The three facts, each of every network or of both; ``controls``: what was found of random weights."""
    pictures = study.pictures.num_rows - study.bad.num_rows
    for claim in (RISES, FALLS, SPARSER):
        for finding in about(claim, findings):
            whose = [name for name in study.networks if name in finding.text]
            same = [one for one in about(claim, controls) if all(name in one.text for name in whose)]
            control = "; ".join(f"random weights: {claim.much.format(**one.numbers)}" for one in same)
            yield judged(claim, finding, " and ".join(whose), pictures, control)


def background_verdicts(study: Study, findings: Sequence[Finding]) -> Iterator[Verdict]:
    """Whether it fades in each network, and whether the deeper one keeps less of it."""
    (pictures,) = {int(one.numbers["pictures"]) for one in findings if "area" in one.numbers}
    for finding in about(FADES, findings):
        (whose,) = [name for name in study.networks if finding.text.startswith(f"{name}:")]
        (control,) = [one for one in about(LEARNED, findings) if one.text.startswith(f"{whose} with")]
        beside = LEARNED.much.format(**control.numbers) + _LEARNED[control.holds]
        yield _throughout(judged(FADES, finding, whose, pictures, beside), finding)
    for finding in about(CLEANER, findings):
        yield judged(CLEANER, finding, " and ".join(study.networks), pictures, "the same pictures, in pairs")


def _throughout(row: Verdict, finding: Finding) -> Verdict:
    """The row of a fading; where it rises again before the last convolution, that is said, too."""
    if not (finding.holds and "rise" in finding.numbers):
        return row
    much = "{least:.2f} on the way, and from there {rise:+.2f}, {rise_low:+.2f} to {rise_high:+.2f}"
    return replace(
        row,
        verdict=f"{row.verdict} from first to last, not throughout",
        much=f"{row.much}; {much.format(**finding.numbers)}",
    )
