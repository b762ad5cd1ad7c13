"""How a network is built and loaded, as far as it can be said in words: then it can be loaded again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Options:
    """How to build a network; None: as its authors did. ``width``: alexcnn and vggcnn; ``channels``: also timm's."""

    classes: int | None = None  #: number of classes
    channels: int | None = None  #: of the input
    width: float | None = None  #: factor on the number of filters
    input_size: int | tuple[int, int] | None = None  #: height and width of the input, in pixels
    mean: tuple[float, ...] | float | str | None = (
        None  #: subtracted from each channel; one number for all; the file of an image
    )
    deviation: tuple[float, ...] | float | None = None  #: what the channels are then divided by
    white: float | None = None  #: the brightest value of a picture before that; None: 1
    order: tuple[int, ...] | None = None  #: which channel of a picture each of the input is; (2, 1, 0): BGR
    shown: tuple[int, ...] | Literal["grey"] | None = None  #: channels of the input that are shown
    shown_range: tuple[float, float] | None = None  #: the values of a picture shown as black and white
    trust: bool = False  #: whether code in a file of torch.export.save may be executed; no study remembers it

    @classmethod
    def again(cls, known: Mapping[str, Any]) -> Options:
        """Of what a file in JSON says, where tuples are lists; no file says whom to trust."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in known.items()
            if name != "trust"
        }
        return cls(**given)

    def about(self) -> dict[str, object]:
        """What a training says of it: what came to be said later only where something is said."""
        later = ("mean", "deviation", "white", "order", "shown", "shown_range", "trust")
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in later or (value is not None and value is not False)
        }


@dataclass(frozen=True)
class Loading:
    """What `load_network` was given: a name, weights, options; files by their whole paths."""

    spec: str
    weights: str | None = None
    options: Options = field(default_factory=Options)

    def about(self) -> dict[str, Any]:
        """As a study remembers it: what came to be said later only where it is said."""
        known = asdict(self)
        later = ("order", "shown", "shown_range")
        known["options"] = {
            name: v for name, v in known["options"].items() if name not in later or v is not None
        }
        return known
