"""How a network is built and loaded, as far as it can be said in words: then it can be loaded again."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Options:
    """How to build a network; None: as its authors did. ``width``: alexcnn and vggcnn; ``channels``: also timm's."""

    classes: int | None = None  #: number of classes
    channels: int | None = None  #: of the input
    width: float | None = None  #: factor on the number of filters
    input_size: int | tuple[int, int] | None = None  #: height and width of the input, in pixels


@dataclass(frozen=True)
class Loading:
    """What `load_network` was given: a name, weights, options; files by their whole paths."""

    spec: str
    weights: str | None = None
    options: Options = field(default_factory=Options)
