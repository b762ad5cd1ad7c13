"""A rule, and an operation made ready to be reversed by it.

Sources: deconvnet, Zeiler & Fergus 2014 and arXiv 1412.6631 section 4.2; guided backpropagation, Springenberg et
al. 2015; gradient, Simonyan et al. 2013.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from layerscope import choices
from layerscope.network.convolution import Transposed
from layerscope.network.graph import Graph, Operation
from layerscope.network.readers import Window


@dataclass(frozen=True)
class Rule:
    """What happens at a rectifier on the way down, and where overlapping pool windows meet.

    ``clamp``: negative values of the signal become zero, and gates and scales are constants of the picture. ``mask``:
    the signal passes only where the forward activation did. ``overlap``: values that meet in an overlapping max-pool
    are summed (the adjoint), or the last window in row-major order wins (what unpooling layers do).
    """

    name: str
    clamp: bool
    mask: bool
    overlap: Literal["sum", "overwrite"] = "sum"


DECONVNET = Rule("deconvnet", clamp=True, mask=False)
GUIDED = Rule("guided", clamp=True, mask=True)
GRADIENT = Rule("gradient", clamp=False, mask=True)
RULES: Mapping[str, Rule] = dict(zip(choices.RULES, (DECONVNET, GUIDED, GRADIENT), strict=True))


@dataclass(frozen=True)
class Reversible:
    """An operation made ready to be reversed. ``sources``: the shapes of its inputs, without batch.

    Its operation's inputs are those that the signal is brought to and that are needed for it: of a stretch, what
    enters it.
    """

    operation: Operation
    arguments: Mapping[str, Any]  #: tensors in place, results of other operations as Ref
    sources: tuple[tuple[int, ...], ...]
    carries: tuple[bool, ...]  #: which of its inputs a signal goes back to
    reversal: Reversal
    windows: tuple[Window, Window] | None = None  #: rows and columns, of convolutions and pools
    transposed: Transposed | None = None  #: the way back through a convolution
    rectifies: bool = False  #: this convolution sets negatives to zero for the rectifier below it
    rectified: bool = False  #: this rectifier is given none: what is above it has done its work
    slope: float | Tensor = 1.0  #: of a rectifier written out, far above zero
    stretch: tuple[Callable[[dict[int, Any]], Any], ...] = ()  #: the operations of a stretch, in order


def _forget(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> None:
    """Nothing of the forward pass is needed."""


@dataclass(frozen=True)
class Reversal:
    """The way back through a kind of operation, and what it needs of the forward pass."""

    back: Callable[[Reversible, Tensor, Any, Rule], tuple[Tensor, ...]]
    remember: Callable[[Reversible, Mapping[int, Any], Rule], Any] = _forget
    covers: Callable[[Graph, Operation, Rule], bool] = lambda graph, operation, rule: True
    rectifies: bool = False  #: whether it sets negative values of the signal to zero, under a rule that does
