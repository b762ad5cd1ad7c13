"""How a network is built and loaded, as far as it can be said in words: then it can be loaded again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Options:
    """How to build a network; None: as its authors did. ``width``: alexcnn and vggcnn; ``channels``: also timm's."""

    classes: int | None = None  #: number of classes
    channels: int | None = None  #: of the input
    width: float | None = None  #: factor on the number of filters
    input_size: int | tuple[int, int] | None = None  #: height and width of the input, in pixels
    mean: tuple[float, ...] | None = None  #: subtracted from each channel; one number for all of them
    deviation: tuple[float, ...] | None = None  #: what the channels are then divided by
    white: float | None = None  #: the brightest value of a picture before that; None: 1

    def about(self) -> dict[str, object]:
        """What a training says of it: what came to be said later only where something is said."""
        later = ("mean", "deviation", "white")
        return {name: value for name, value in asdict(self).items() if name not in later or value is not None}


@dataclass(frozen=True)
class Loading:
    """What `load_network` was given: a name, weights, options; files by their whole paths."""

    spec: str
    weights: str | None = None
    options: Options = field(default_factory=Options)
