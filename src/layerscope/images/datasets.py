"""Data sets in Python with a length and items by index, as torch has them: their pictures and labels."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from contextlib import suppress
from threading import RLock
from typing import Any, Literal

import numpy as np
from PIL import Image

from layerscope.errors import ImageError, said
from layerscope.images.bands import Decoded, bands_of
from layerscope.images.decoding import check_pixels

__all__ = ["ItemLabels", "item_labels", "read_item"]

ItemLabels = Literal["items", "none"] | Sequence[int]

# What reading a bad picture raises; anything else is a fault of the data set and goes up.
_BROKEN = (OSError, SyntaxError, EOFError, Image.DecompressionBombError)

_ONE_AT_A_TIME = RLock()  # many data sets share one open file among all their items


def read_item(items: Any, index: int) -> Decoded:
    """The picture of an item, in RGB or of its own channels; no two items are read at once.

    Raises ImageError, with the reason alone, for one that is broken, of more pixels than a file may have, or no RGB or
    grey picture, nor an array of one.
    """
    try:
        return _picture(_pair(items, index)[0])
    except _BROKEN as error:
        raise ImageError(f"broken ({said(error)}); replace it in the data set") from error


def item_labels(
    items: Any, labels: ItemLabels | None
) -> tuple[tuple[int, ...] | None, tuple[str, ...] | None]:
    """Label of each item and names of the classes: those given, or those the data set lists as its targets.

    With "items" each item is read once for its label (-1 of a broken one), with "none" there are none. The first
    readable item is looked at in any case, so that a data set of anything but pictures is refused at once.
    Raises ImageError for that, for labels that are no integers or not the items' own, and for items with labels
    that no one lists.
    """
    first, label = _first(items)
    if isinstance(labels, str) and labels == "none":
        return None, None
    listed = _read_labels(items) if isinstance(labels, str) else _targets(items) if labels is None else labels
    if listed is None and label is None:
        return None, None
    if listed is None:
        raise ImageError(
            'items have labels but no list of targets; labels="items" reads every item for its own'
        )
    numbers = _integers(listed)
    if len(numbers) != len(items):
        raise ImageError(f"{len(numbers)} labels for {len(items)} pictures; give each picture one")
    if label is not None and numbers[first : first + 1] != _integers([label]):
        raise ImageError(
            f'item {first} has label {label}, not that of its targets; labels="items" reads them'
        )
    return numbers, _classes(items)


def _first(items: Any) -> tuple[int, object]:
    """Index and label of the first item that is not broken; no label if all are."""
    for index in range(len(items)):
        try:
            content, label = _pair(items, index)
            _size(content)
            with suppress(ImageError):  # too large
                _picture(content)
        except _BROKEN:
            continue
        return index, label
    return 0, None


def _read_labels(items: Any) -> list[object]:
    labels: list[object] = []
    for index in range(len(items)):
        try:
            labels.append(_pair(items, index)[1])
        except _BROKEN:
            labels.append(-1)
    return labels


def _pair(items: Any, index: int) -> tuple[object, object]:
    """An item as picture and label; None for the label of an item that is a picture alone."""
    with _ONE_AT_A_TIME:
        item = items[index]
    return (item[0], item[1]) if isinstance(item, (tuple, list)) and len(item) == 2 else (item, None)


def _picture(content: Any) -> Decoded:
    check_pixels(*_size(content))
    if isinstance(content, Image.Image):
        return content.convert("RGB")
    rgb = content.dtype == np.uint8 and content.shape[2:] == (3,)
    return Image.fromarray(content) if rgb else bands_of(content)


def _size(content: object) -> tuple[int, int]:
    """Width and height of what is a picture; raises ImageError for what is none."""
    if isinstance(content, Image.Image) and content.mode in {"RGB", "L", "1"}:
        return content.size
    if isinstance(content, np.ndarray) and content.dtype.kind in "uif" and content.ndim in (2, 3):
        return content.shape[1], content.shape[0]
    what = content.mode if isinstance(content, Image.Image) else tuple(getattr(content, "shape", ()))
    raise ImageError(
        f"{type(content).__qualname__} {what} is no picture; give RGB or grey PIL pictures, "
        "or arrays (height, width, channels), before any transform"
    )


def _integers(labels: Any) -> tuple[int, ...]:
    try:
        return tuple(map(operator.index, np.asarray(labels).tolist()))
    except (TypeError, ValueError) as error:
        raise ImageError('labels are not one integer a picture; labels="none" leaves them out') from error


def _targets(items: Any) -> Any:
    """What torchvision's data sets call the list of all labels, through torch's Subset too; None without."""
    if hasattr(items, "dataset") and hasattr(items, "indices"):
        targets = _targets(items.dataset)
        return None if targets is None else [targets[index] for index in items.indices]
    return getattr(items, "targets", None)


def _classes(items: Any) -> tuple[str, ...] | None:
    if hasattr(items, "dataset") and hasattr(items, "indices"):
        return _classes(items.dataset)
    names = getattr(items, "classes", None)
    return names and tuple(name if isinstance(name, str) else ", ".join(name) for name in names)
