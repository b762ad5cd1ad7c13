"""What is said of background that fades: from the first convolution to the last, on the way, and without training."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from layerscope.compare.background import Measured
from layerscope.compare.parts.background import _control, _fading
from layerscope.reconstruction.rules import DECONVNET


def measured(trained: list[float], fresh: list[float], pictures: int = 24) -> Measured:
    """Four convolutions, whose shares are these on average, and differ from picture to picture by a little."""
    spread = np.random.default_rng(0).normal(0, 0.02, (pictures, 4))
    spread -= spread.mean(axis=0)
    layers: Any = tuple(SimpleNamespace(name=f"c{n}", kind="conv2d") for n in range(1, 5))
    shares = {"trained": trained + spread, "reinitialised": fresh - spread, "other_mask": spread + 0.9}
    return Measured("a", DECONVNET, layers, 4, tuple(range(pictures)), shares)


FRESH = [0.94, 0.85, 0.78, 0.73]


def test_what_rises_again_is_told_with_the_layer_in_which_it_is_least() -> None:
    through, again = (
        _fading(measured([1.2, 0.8, 0.6, 0.5], FRESH)),
        _fading(measured([1.2, 0.7, 0.75, 0.8], FRESH)),
    )
    assert (through.holds, again.holds) == (True, True)
    assert through.text.endswith("unrelated content fades with depth.")
    assert "rise" not in through.numbers
    assert "with depth, but is least in c2 (0.70) and rises by 0.10 (0.0" in again.text
    assert (again.numbers["least"], again.numbers["rise"]) == pytest.approx((0.7, 0.1))


@pytest.mark.parametrize(
    ("trained", "holds", "said"),
    [
        ([1.0, 0.8, 0.6, 0.4], True, ", so some of it is learned; "),
        ([1.2, 0.7, 0.75, 0.8], False, ", but no less is left in the end, so none is seen to be learned."),
        ([0.7, 0.68, 0.62, 0.6], False, ", so none is seen to be learned."),
    ],
)
def test_fading_is_learned_if_it_is_more_and_leaves_less(
    trained: list[float], holds: bool, said: str
) -> None:
    found = _control(measured(trained, FRESH))
    assert found.holds is holds
    assert ")" + said in found.text
    assert ("needs no training" in found.text) == holds
    assert ("no less is left" in found.text) == ("no less" in said)


def test_one_picture_has_no_verdict_on_it() -> None:
    one = measured([1.2, 0.7, 0.75, 0.8], FRESH, pictures=1)
    assert (_fading(one).holds, _control(one).holds) == (None, None)
    assert "rise" not in _fading(one).numbers
