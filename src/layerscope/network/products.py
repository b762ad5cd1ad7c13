"""Products, of matrices, attention, einsum: which axes the result has of which operand, and what each is summed over.

Every product is written as an einsum, a letter for each axis: matrices ``ij,jk->ik``, attention ``ic,jc,jd->id``, and
with a mask, which is added to the scores, ``ic,jc,jd,ij->id``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import ascii_letters
from typing import Any

from layerscope.network.graph import Operation, Ref
from layerscope.network.layout import CHANNELS, PICTURES, Axis, Layout, Part, length_of

PRODUCTS = frozenset({"matmul", "bmm", "scaled_dot_product_attention", "einsum"})
Written = tuple[tuple[tuple[Any, str], ...], str]  #: operands, each with its letters, and those of the result


def product_layout(
    operation: Operation, inputs: Sequence[Operation], lengths: tuple[int, ...]
) -> Layout | None:
    """The axes of a product; None where they are not known.

    Positions of the first operand are those of the result. Where it has some that operands which bring others have
    not, positions that only these have are those that attention reads.
    """
    written = _written(operation, len(lengths))
    own = [] if written is None else _axes_by_letter(written, inputs)
    if written is None or not own:
        return None
    result, (first, *others) = written[1], own
    values = [o for o in others if any(name in o and name not in first for name in result)]
    alone = [first[name] for name in result if name in first and not any(name in o for o in values)]
    crossed = any(_places(axis) for axis in alone)
    axes: list[Axis] = []
    for name, length in zip(result, lengths, strict=True):
        having = [axes_of[name] for axes_of in own if name in axes_of]
        axis = _shared(having, length) if having else _made(own, result, length)
        if axis is None or any(part.read for part in axis):
            return None
        axes.append(_read(axis) if crossed and having and name not in first else axis)
    return Layout(tuple(axes))


def _axes_by_letter(written: Written, inputs: Sequence[Operation]) -> list[dict[str, Axis]]:
    """Of each operand that is made from the picture, its axes by letter; [] if those of one are not known."""
    layouts, found = {i.index: i for i in inputs}, []
    for argument, names in written[0]:
        source = layouts[argument.index] if isinstance(argument, Ref) else None
        if source is None or (source.layout is None and not source.carries):
            continue
        if source.layout is None or len(source.layout.axes) != len(names):
            return []
        found.append(dict(zip(names, source.layout.axes, strict=True)))
    return found


def summed_over(operation: Operation, source: Operation) -> tuple[Part, ...] | None:
    """The parts of an operand that a position of the result reads all of; of one that is there twice, of both."""
    read, own = source.layout, operation.layout
    written = None if own is None else _written(operation, len(own.axes))
    if written is None or read is None or own is None:
        return None
    kept = {name for name, axis in zip(written[1], own.axes, strict=True) if not any(p.read for p in axis)}
    there = [names for argument, names in written[0] if argument == Ref(source.index)]
    every = [pair for names in there for pair in zip(names, read.axes, strict=True)]
    return tuple(dict.fromkeys(part for name, axis in every if name not in kept for part in axis))


def _written(operation: Operation, rank: int) -> Written | None:
    """How a product with a result of ``rank`` axes is written; None if some axes are not written out."""
    arguments, batch = list(operation.arguments.values()), ascii_letters[: rank - 2]
    if operation.kind == "einsum":
        return _einsum(*arguments)
    if operation.kind == "scaled_dot_product_attention":
        names = f"{batch}XC", f"{batch}YC", f"{batch}YZ", f"{batch}XY"
    else:
        names = f"{batch}XY", f"{batch}YZ"  # type: ignore[assignment]
    return tuple(zip(arguments, names, strict=False)), f"{batch}XZ"


def _einsum(equation: str, operands: Sequence[Any]) -> Written | None:
    read, arrow, result = equation.replace(" ", "").partition("->")
    names = read.split(",")
    plain = arrow and "." not in read and all(len(set(own)) == len(own) for own in names)
    return (tuple(zip(operands, names, strict=True)), result) if plain else None


def _places(axis: Axis) -> bool:
    return any(part.along not in (CHANNELS, PICTURES) and not part.read for part in axis)


def _read(axis: Axis) -> Axis:
    return tuple(part if part.along in (CHANNELS, PICTURES) else replace(part, read=True) for part in axis)


def _shared(having: Sequence[Axis], length: int) -> Axis | None:
    """What an axis is that operands share: positions rather than channels; None if they contradict each other."""
    found = {axis for axis in having if axis}
    placed = {axis for axis in found if any(part.along != CHANNELS for part in axis)}
    if len(placed) > 1:
        return None
    if placed or len(found) == 1:
        return (placed or found).pop()
    return (Part(CHANNELS, length),) if found else ()


def _made(own: Sequence[Mapping[str, Axis]], result: str, length: int) -> Axis | None:
    """An axis of a fixed operand: channels made of channels, or as many positions of positions."""
    summed = [axis for name, axis in own[0].items() if name not in result and axis]
    if len(own) > 1:
        return None
    if all(part.along == CHANNELS for axis in summed for part in axis):
        return (Part(CHANNELS, length),) if length > 1 else ()
    return summed[0] if len(summed) == 1 and length_of(summed[0]) == length else None
