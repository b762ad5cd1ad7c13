"""Pictures that were to excite a channel and do not: the channel is dead, or only patches excite it.

Free of torch: the explorer says it in these words, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DEAD, MISSED = "dead", "not excited"  #: what stands beneath such a picture

EXPLAINED = {
    DEAD: "Dead: nothing that was tried excites it.",
    MISSED: "Not excited: patches excite it; more steps may, or less decay.",
}  #: what a page says of it


def is_dead(row: Mapping[str, Any]) -> bool:
    """Whether nothing excites a channel, a study's patches neither."""
    return _is_still(row) and not row.get("strongest")


def is_missed(row: Mapping[str, Any]) -> bool:
    """Whether a picture does not excite a channel that a study's patches do."""
    return _is_still(row) and not is_dead(row)


def still_word(row: Mapping[str, Any]) -> str:
    """What stands beneath a picture in place of an activation; "" if it excites its channel."""
    return DEAD if is_dead(row) else MISSED if is_missed(row) else ""


def dead_explained(rows: Sequence[Mapping[str, Any]]) -> str:
    """What a page says where any of its pictures does not excite its channel."""
    found = set(map(still_word, rows))
    return "".join(f" {sentence}" for word, sentence in EXPLAINED.items() if word in found)


def _is_still(row: Mapping[str, Any]) -> bool:
    return row["layer"] is not None and row["activation"] == 0
