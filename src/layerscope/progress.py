"""How far a long job is: one small value, told again and again to whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Progress:
    """What is being done, which share of it is (0 to 1), and how much of how much in words; "" if there are none.

    The first one told of a stage has the share that was there before: no time was spent on it.
    """

    stage: str
    share: float
    detail: str = ""


Told = Callable[[Progress], object]  #: who is told of progress


class Count:
    """Counts what is done of ``of`` things, and tells of it: at once what was there before, then each time."""

    def __init__(
        self, told: Told | None, stage: str, of: int, things: str = "pictures", *, before: int = 0
    ) -> None:
        self._told, self._stage, self._of, self._things, self._done = told, stage, of, things, 0
        self(before)

    def __call__(self, more: int = 1) -> None:
        """So many more are done."""
        self._done += more
        if self._told is not None:
            share = self._done / self._of if self._of else 1.0
            self._told(Progress(self._stage, share, f"{self._done:,} of {self._of:,} {self._things}"))


def tell(told: Told | None, stage: str, share: float = 0.0, detail: str = "") -> None:
    """Tell whoever asks, if anybody does."""
    if told is not None:
        told(Progress(stage, share, detail))


def of(whose: str, told: Told | None) -> Told | None:
    """Tells the same of stages that are named after what they are of: ``c4_1: t-SNE``."""
    if told is None:
        return None
    return lambda progress: told(replace(progress, stage=f"{whose}: {progress.stage}"))
