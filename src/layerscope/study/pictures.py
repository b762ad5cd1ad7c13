"""The pictures of a study, found and read again."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from typing import TypeVar

from layerscope.errors import StudyError
from layerscope.images.ahead import Ready, read_ahead
from layerscope.images.bands import Decoded
from layerscope.images.sets import ImageSet
from layerscope.study.folder import Study


def find_pictures(study: Study, images: ImageSet, wanted: Iterable[int]) -> Mapping[int, int]:
    """Where the pictures of a study, by their index, are in an image set, by their names.

    Raises StudyError if one is not there.
    """
    index, names = {name: place for place, name in enumerate(images.names)}, study.pictures.column("name")
    found = {picture: index.get(names[picture].as_py(), -1) for picture in sorted(set(wanted))}
    if absent := [picture for picture, place in found.items() if place < 0]:
        rest = f", nor are {len(absent) - 1} others" if absent[1:] else ""
        raise StudyError(
            f"{names[absent[0]].as_py()} is not in {images.description}{rest}; "
            f"give the place that the pictures of {study.path} are in now: --images PLACE"
        )
    return found


T = TypeVar("T")


def read_again(
    study: Study,
    images: ImageSet,
    places: Mapping[int, int],
    wanted: Iterable[int],
    prepare: Callable[[Decoded], T],
) -> Generator[tuple[int, T], None, None]:
    """Pictures of a study, read ahead in threads and prepared, with their index in the study, in the order wanted.

    ``places``: where each is in the image set, as `find_pictures` says. Raises StudyError if one cannot be read or is
    not what it was when the study was made.
    """
    order = list(wanted)
    with closing(read_ahead(images, (places[picture] for picture in order), prepare)) as ahead:
        for picture, ready in zip(order, ahead, strict=True):
            yield picture, _checked(study, images, picture, ready)


def _checked(study: Study, images: ImageSet, picture: int, ready: Ready[T]) -> T:
    """What was prepared of a picture, if it is the study's."""
    name = images.names[ready.index]
    known = study.pictures.slice(picture, 1).to_pylist()[0]
    if known["name"] != name:
        raise StudyError(f"{name} was read in place of {known['name']}; this is a fault of layerscope")
    if ready.value is None:
        raise StudyError(
            f"{name} can no longer be read: {ready.reason}; put back the picture the study was made of"
        )
    if ready.digest != known["digest"]:
        raise StudyError(f"{name} is another picture than when {study.path} was made; put the old one back")
    return ready.value
