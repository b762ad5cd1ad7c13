"""Whether a set suits what is to be done with it: a network's channels, asked of three, and a place for results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from layerscope.errors import ImageError
from layerscope.images.bands import Decoded
from layerscope.images.sets import ImageSet
from layerscope.network.preprocessing import Preprocessing

_TRIES = 4  #: pictures that are tried at each place until one can be read


def check_channels(images: ImageSet, networks: Mapping[str, Preprocessing]) -> None:
    """Raise ImageError where no picture at the beginning, middle and end of a set suits any of the networks, by name.

    What cannot be read is passed over, and of a few in a row nothing is said: that is said when their turn comes.
    """
    reasons: dict[str, str] = {}
    for name, picture in _looked_at(images):
        for network, one in networks.items():
            reason = one.misfit(picture)
            if not reason:
                return
            reasons.setdefault(network, f"{name}: {reason}")
    if reasons:
        each = "; nor for ".join(f"{network}: {reason}" for network, reason in reasons.items())
        shards = "; in shards a picture is one file, not one for each band" if _in_shards(images) else ""
        raise ImageError(
            f"{images.description}: at its beginning, middle and end no pictures for {each}{shards}"
        )


def _in_shards(images: ImageSet) -> bool:
    return any(source.endswith(".tar") for source in images.sources)


def check_apart(images: ImageSet, out: Path) -> None:
    """Raise ImageError where results would lie in the folder of a labelled set, and be taken for one of its classes."""
    whole = out.resolve()
    if images.labels is not None and any(whole.is_relative_to(Path(one).resolve()) for one in images.sources):
        raise ImageError(
            f"{out} lies in {images.description}, whose folders are classes; name a folder elsewhere"
        )


def _looked_at(images: ImageSet) -> Iterator[tuple[str, Decoded]]:
    """The first, the middle and the last picture that can be read, with their names."""
    count = len(images)
    for places in (range(count), range(count // 2, count), range(count - 1, -1, -1)):
        yield from _first_read(images, places[:_TRIES])


def _first_read(images: ImageSet, places: Sequence[int]) -> Iterator[tuple[str, Decoded]]:
    for place in places:
        try:
            picture = images.load(place).image
        except ImageError:
            continue
        yield images.names[place], picture
        return
