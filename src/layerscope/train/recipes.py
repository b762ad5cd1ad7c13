"""How a network is trained: the recipe of the paper's time, and a short one of today."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_FALLS = (1 / 3, 2 / 3, 8 / 9)  # of all steps: where the rate falls to a tenth
_WARM = 0.25  # of all steps: how long the rate of one cycle rises
_FIRST, _LAST = 1 / 25, 1e-4  # of the highest rate: where one cycle begins and ends


@dataclass(frozen=True)
class Recipe:
    """Stochastic gradient descent with momentum, by a schedule that says the share of ``rate`` at a share of all steps.

    ``decay``: of weights; ``smoothing``: of labels, in [0, 1). Every picture is seen once an epoch, cropped at random
    and, where ``mirror`` says so, mirrored half of the times; dropout is as the network has it.
    """

    name: str
    epochs: int
    batch: int
    rate: float
    schedule: Callable[[float], float]
    momentum: float = 0.9
    decay: float = 5e-4
    smoothing: float = 0.0
    mirror: bool = True

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0, of so many."""
        return self.rate * self.schedule(step / steps)


def falling(done: float) -> float:
    """A tenth after each third, and another near the end. Source: Krizhevsky 2012, who watched the error instead."""
    return float(0.1 ** sum(done >= fall for fall in _FALLS))


def one_cycle(done: float) -> float:
    """Up and down along a cosine. Source: Smith and Topin 2018, arXiv 1708.07120."""
    if done < _WARM:
        return _between(_FIRST, 1.0, done / _WARM)
    return _between(1.0, _LAST, (done - _WARM) / (1 - _WARM))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


RECIPES: Mapping[str, Recipe] = {
    "paper": Recipe("paper", epochs=90, batch=128, rate=0.01, schedule=falling),
    "short": Recipe("short", epochs=10, batch=64, rate=0.03, schedule=one_cycle, smoothing=0.1),
}
