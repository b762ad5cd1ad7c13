"""What a part of a comparison is, what it works on, and what it leaves: figures, tables, and sentences with numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from matplotlib.figure import Figure

from layerscope.compare.subject import Subject
from layerscope.errors import ComparisonError


@dataclass(frozen=True)
class Finding:
    """One sentence, and the numbers it is made of.

    ``holds``: whether a claim it speaks of holds; None: it speaks of none. ``warns``: it tells of a doubt.
    """

    text: str
    numbers: Mapping[str, float | int] = field(default_factory=dict)
    holds: bool | None = None
    warns: bool = False

    @classmethod
    def of(
        cls, sentence: str, *, holds: bool | None = None, warns: bool = False, **values: float | int | str
    ) -> Finding:
        """The sentence with its values filled in, as `str.format` does it; at least one of them is a number."""
        numbers = {name: value for name, value in values.items() if not isinstance(value, str)}
        if not numbers:
            raise ComparisonError(f"the sentence {sentence!r} shows no number")
        return cls(sentence.format(**values), numbers, holds, warns)

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "text": self.text,
            "numbers": dict(self.numbers),
            "holds": self.holds,
            "warns": self.warns,
        }


@dataclass(frozen=True)
class Shown:
    """A figure, of one page or several, and what it shows in a sentence or two."""

    pages: Figure | Sequence[Figure]
    caption: str
    photographs: bool = False  #: they are most of what is on it


@dataclass(frozen=True)
class Made:
    """What a part leaves; names are of files, without suffix. The report shows all in this order."""

    findings: Sequence[Finding]
    figures: Mapping[str, Shown] = field(default_factory=dict)
    tables: Mapping[str, tuple[pa.Table, str]] = field(
        default_factory=dict
    )  #: with what each holds, in a sentence


@dataclass(frozen=True)
class Part:
    """One part: ``why_not``: the reason why the studies do not allow it, None if they do; ``options``: all that its
    results depend on besides the studies, as JSON."""

    name: str
    title: str
    why_not: Callable[[Subject], str | None]
    options: Callable[[Subject], Mapping[str, object]]
    make: Callable[[Subject], Made]


def nulls(table: pa.Table) -> pa.Table:
    """The table with nothing in place of NaN."""
    for place, column in enumerate(table.schema):
        if pa.types.is_floating(column.type):
            values = pa.array(table.column(place).to_numpy(), from_pandas=True)
            table = table.set_column(place, column.name, values)
    return table
