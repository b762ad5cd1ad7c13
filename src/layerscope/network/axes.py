"""What each axis of a result goes along: its channels, rows or columns, followed from operation to operation.

Convolutions and pools give (channels, rows, columns). Others keep, move, cut, merge or drop the axes of what they read,
or mix them; then nothing is known of the result, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from layerscope.network.graph import Operation, Ref
from layerscope.network.layout import (
    CHANNELS,
    COLUMNS,
    MANY,
    PICTURES,
    ROWS,
    TOKENS,
    Axes,
    Axis,
    Layout,
    Part,
    folded,
    length_of,
    map_layout,
    regrouped,
    vector_layout,
)
from layerscope.network.products import PRODUCTS, product_layout

Lengths = tuple[int, ...]  #: of all axes of a result
Rule = Callable[
    [Operation, Sequence[Operation], Lengths], Layout | None
]  #: an operation, what it reads, how long its axes are
MAP: Axes = (CHANNELS, ROWS, COLUMNS)

POINTWISE = frozenset(
    (
        "batch_norm relu relu6 hardtanh silu sigmoid gelu hardswish hardsigmoid leaky_relu elu tanh mish "
        "softplus prelu rrelu selu celu clamp clamp_min dropout add sub mul div neg abs exp log sqrt pow to cat "
        "softmax log_softmax log_sigmoid"
    ).split()
)  #: output position i reads input position i (or the only one there is)
UPSAMPLING = frozenset(
    (
        "upsample_nearest2d _upsample_nearest_exact2d upsample_bilinear2d upsample_bicubic2d "
        "_upsample_bilinear2d_aa _upsample_bicubic2d_aa"
    ).split()
)  #: to another size of maps: each position from some neighbours
_MAPPED = UPSAMPLING | frozenset(
    (
        "conv1d conv2d conv_transpose2d max_pool2d avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d pixel_shuffle "
        "pixel_unshuffle"
    ).split()
)  #: take and give maps in torch's order
ELEMENTWISE = frozenset(
    (
        "rsqrt square reciprocal erf rsub where masked_fill maximum minimum clamp_max threshold slice_scatter type_as "
        "hardshrink softshrink addcmul addcdiv lerp log1p expm1 sin cos atan sign round floor ceil "
        "gt ge lt le eq ne logical_not logical_and logical_or"
    ).split()
)  #: as pointwise, but each a layer of its own
_KEPT = ELEMENTWISE | frozenset(
    "layer_norm rms_norm group_norm instance_norm pad constant_pad_nd narrow slice roll flip glu".split()
)  #: the axes of the first operand stay, though one may be longer or shorter
REDUCED = frozenset("mean sum amax amin select var std norm linalg_vector_norm logsumexp prod".split())


def find_layout(
    operation: Operation, inputs: Sequence[Operation], lengths: tuple[int, ...] | None
) -> Layout | None:
    """How an operation's result lies in memory; None: not known. ``inputs``: what it reads.

    ``lengths``: of all its axes, of the first result if there are several, with `layout.MANY` for the number of
    pictures; None: it gives no tensor. What is made of vectors alone has channels and no positions.
    """
    if lengths is None:
        return None
    found = _RULES.get(operation.kind, _of_maps)(operation, inputs, lengths)
    if found is not None and found.lengths == lengths:
        return found
    vectors = [i.layout is not None and not i.layout.has_positions for i in inputs if i.carries]
    if lengths[:1] == (MANY,) and (len(lengths) == 2 or (vectors and all(vectors))):
        axes = tuple((Part(CHANNELS, length),) if length > 1 else () for length in lengths[1:])
        return vector_layout(lengths[1]) if len(lengths) == 2 else Layout(((Part(PICTURES, MANY),), *axes))
    return None


def _mapped(operation: Operation, inputs: Sequence[Operation], lengths: Lengths) -> Layout | None:
    """Of what makes maps of maps, or of what has no positions yet; of one tap, what it reads in any order."""
    source = inputs[0].layout if inputs else None
    free = source is None or not source.has_positions
    if source is not None and not free and _has_one_tap(operation, source, lengths):
        return source.changed(1, (Part(CHANNELS, lengths[1]),))
    if len(lengths) != 4:
        return None
    pictures, *rest = map_layout(lengths[1:]).axes
    if source is None or free:
        return Layout((pictures, *rest))
    if operation.kind == "conv2d" and isinstance(operation.arguments["groups"], Ref):
        return _pictures_as_groups(source, rest, lengths)
    heads = source.axes[0] if source.along(0) <= {PICTURES, CHANNELS} else pictures
    return Layout((heads, *rest)) if _is_map(source.changed(0, pictures)) else None


def _pictures_as_groups(source: Layout, rest: Sequence[Axis], lengths: Lengths) -> Layout | None:
    """Of a convolution with a kernel for each picture: those are groups of channels then."""
    pictures = Part(PICTURES, MANY)
    _, channels, *maps = source.axes
    alone = source.axes[0] == () and channels[:1] == (pictures,) and source.along(1) <= {PICTURES, CHANNELS}
    if not alone or not _is_map(Layout(((pictures,), rest[0], *maps))) or lengths[1] % MANY:
        return None
    return Layout(((), (pictures, Part(CHANNELS, lengths[1] // MANY)), *rest[1:]))


def _has_one_tap(operation: Operation, source: Layout, lengths: Lengths) -> bool:
    """Whether it is a convolution whose results read one position each."""
    arguments, plain = operation.arguments, source.along(1) <= {CHANNELS}
    if operation.kind not in ("conv1d", "conv2d") or source.lengths[2:] != lengths[2:] or not plain:
        return False
    return all(n == 1 for n in arguments["stride"]) and not any(arguments["padding"])


def _of_maps(operation: Operation, inputs: Sequence[Operation], lengths: Lengths) -> Layout | None:
    """Of an operation that is not known: of maps it makes maps, as all of torch's own do."""
    source = inputs[0].layout if inputs else None
    return map_layout(lengths[1:]) if len(lengths) == 4 and _is_map(source) else None


def _is_map(layout: Layout | None) -> bool:
    if layout is None or len(layout.axes) != 4:
        return False
    names = (PICTURES, *MAP)
    return all(axis == () or layout.along(n) == {names[n]} for n, axis in enumerate(layout.axes))


def _aligned(operation: Operation, inputs: Sequence[Operation], lengths: Lengths) -> Layout | None:
    """Of operands side by side, the axes that those of the same length have; None if they contradict each other."""
    joined = int(operation.arguments["dim"]) % len(lengths) if operation.kind == "cat" else -1
    known = [i.layout for i in inputs if i.layout is not None and len(i.layout.axes) == len(lengths)]
    found: list[Axis] = []
    for place, length in enumerate(lengths):
        if place == joined:
            axis = _joined(operation, inputs, place, length)
        else:
            axes = {layout.axes[place] for layout in known if layout.lengths[place] == length}
            axis = _agreed(axes, length)
        if axis is None:
            return None
        found.append(axis)
    return Layout(tuple(found))


def _agreed(axes: set[Axis], length: int) -> Axis | None:
    """The one axis among them; of channels in any number of parts the fewest, of those and positions the latter."""
    named = {axis for axis in axes if axis}
    if placed := {axis for axis in named if any(part.along != CHANNELS for part in axis)}:
        named = placed
    if len(named) > 1 and all(part.along == CHANNELS for axis in named for part in axis):
        return (Part(CHANNELS, length),)
    if len(named) > 1 or not (named or length == 1):
        return None
    return named.pop() if named else ()


def _joined(operation: Operation, inputs: Sequence[Operation], place: int, length: int) -> Axis | None:
    """The axis along which operands are joined: channels, or positions with tokens beside them that have none."""
    axes = [None if i.layout is None else i.layout.axes[place] for i in inputs]
    named = {part.along for axis in axes for part in axis or ()}
    if named == {CHANNELS}:
        return (Part(CHANNELS, length),)
    placed = [n for n, axis in enumerate(axes) if axis and axis[0].along != CHANNELS]
    if len(placed) == 1 and length_of(axes[placed[0]] or ()) == length:
        return axes[placed[0]]  # the others are empty
    free = [i.layout is not None or not i.carries for i in inputs]
    if len(placed) != 1 or not all(free) or len(inputs) != len(operation.arguments["tensors"]):
        return None
    tokens, before = _as_tokens(axes[placed[0]] or ()), sum(i.shape[place - 1] for i in inputs[: placed[0]])
    return None if tokens is None else (replace(tokens, length=length, before=tokens.before + before),)


def _as_tokens(axis: Axis) -> Part | None:
    """Positions row by row as tokens; None if they are in another order."""
    if len(axis) == 1 and axis[0].along == TOKENS:
        return axis[0]
    if [(part.along, part.step) for part in axis] != [(ROWS, 1), (COLUMNS, 1)]:
        return None
    rows, columns = (part.length for part in axis)
    return Part(TOKENS, rows * columns, grid=(rows, columns))


def _kept(operation: Operation, source: Layout, lengths: Lengths) -> Layout | None:
    """The same axes; one that became longer or shorter goes along the same, if it was all of that."""
    for place, (before, now) in enumerate(zip(source.lengths, lengths, strict=False)):
        if before != now:
            axis = _resized(operation, source, place, now)
            if axis is None:
                return None
            source = source.changed(place, axis)
    return source


def _resized(operation: Operation, source: Layout, place: int, length: int) -> Axis | None:
    """An axis that became so long; None where nobody knows what it goes along then."""
    axis = source.axes[place]
    if length == 0:
        return (Part(CHANNELS, 0),)
    if len(axis) != 1 or axis[0].along == TOKENS:
        tokens, back = _as_tokens(axis), len(source.axes) - 1 - place
        if tokens is None or operation.kind not in ("pad", "constant_pad_nd"):
            return None if tokens is None else _some_tokens(operation, tokens, length)
        return _beside_zeros(tokens, operation.arguments, back, length)
    (part,) = axis
    alone = sum(p.along == part.along and p.read == part.read for p in source.parts) == 1
    return (replace(part, length=length),) if alone or part.along == CHANNELS else None


def _beside_zeros(tokens: Part, arguments: Mapping[str, Any], back: int, length: int) -> Axis | None:
    """Tokens where zeros are put before or after them; ``back``: along which axis, counted from the last."""
    before, after = arguments["pad"][2 * back : 2 * back + 2]
    plain = min(before, after) >= 0 and arguments.get("mode", "constant") == "constant"
    return (replace(tokens, length=length, before=tokens.before + before),) if plain else None


def _some_tokens(operation: Operation, tokens: Part, length: int) -> Axis | None:
    """Of tokens those with a place again as rows and columns, those without one as channels; None for others."""
    if operation.kind not in ("narrow", "slice") or operation.arguments.get("step", 1) != 1:
        return None
    start = slice(operation.arguments["start"], None).indices(tokens.length)[0]
    if start + length <= tokens.before or start >= tokens.before + tokens.places:
        return (Part(CHANNELS, length),) if length > 1 else ()
    if length != tokens.places:
        return None
    rows, columns = tokens.grid
    return (Part(ROWS, rows), Part(COLUMNS, columns)) if start == tokens.before else None


def _reduce(operation: Operation, source: Layout, lengths: Lengths) -> Layout | None:
    asked = operation.arguments.get("dim")
    gone = {axis % len(source.axes) for axis in ([asked] if isinstance(asked, int) else asked or [])}
    if not gone:
        return None
    kept = bool(operation.arguments.get("keepdim"))
    return source.without(gone, kept=kept)


def _chosen(operation: Operation, source: Layout, lengths: Lengths) -> Layout | None:
    """Of channels in another order, or some of them, by places made without the picture."""
    axis = chosen_axis(operation)
    return (
        _kept(operation, source, lengths) if axis is not None and source.along(axis) <= {CHANNELS} else None
    )


def chosen_axis(operation: Operation) -> int | None:
    """The one axis that an `index` or `index_select` takes places of, given as a row of numbers; None of others."""
    if operation.kind == "index_select":
        return int(operation.arguments["dim"])
    given = [n for n, index in enumerate(operation.arguments["indices"]) if index is not None]
    plain = len(given) == 1 and len(operation.inputs) == 1
    return given[0] if plain else None


def _pooled(operation: Operation, source: Layout, lengths: Lengths) -> Layout | None:
    """Of neighbouring channels alone, as local response normalisation pools them."""
    (_, *taps), (_, *steps) = operation.arguments["kernel_size"], operation.arguments["stride"] or [0]
    alone = set(taps) == set(steps) == {1} and len(source.axes) == 5 and source.along(2) <= {CHANNELS}
    return _kept(operation, source, lengths) if alone else None


def _pooled_in_a_row(operation: Operation, source: Layout, lengths: Lengths) -> Layout | None:
    """Of the last axis, pooled block by block: the blocks, where those are of the finest rows and columns."""
    cut = in_blocks(operation, source)
    if cut is None or not source.is_sound:
        return None
    *left, gone = cut.axes
    factors = {name: prod(part.length for part in gone if part.along == name) for name in (ROWS, COLUMNS)}
    return Layout(
        tuple(tuple(replace(p, step=p.step // factors.get(p.along, 1)) for p in axis) for axis in left)
    )


def in_blocks(operation: Operation, source: Layout) -> Layout | None:
    """The layout that a pool along the last axis reads, that cut into blocks; None where they overlap or leave gaps."""
    arguments, length = operation.arguments, source.lengths[-1]
    kernel, stride = arguments["kernel_size"], arguments["stride"] or arguments["kernel_size"]
    whole = kernel == stride and length % kernel[0] == 0 and not any(arguments["padding"])
    if not whole or any(n != 1 for n in arguments.get("dilation", ())):
        return None
    return regrouped(source, (*source.lengths[:-1], length // kernel[0], kernel[0]))


def _permute(operation: Operation, source: Layout, lengths: Lengths) -> Layout:
    order = operation.arguments["dims"]
    return Layout(tuple(source.axes[axis] for axis in order))


def _transpose(operation: Operation, source: Layout, lengths: Lengths) -> Layout:
    _, one, other = operation.arguments.values()  # named dim0, dim1; axis0, axis1 of swapaxes
    return source.changed(one, source.axes[other]).changed(other, source.axes[one])


def _reshape(operation: Operation, source: Layout, lengths: Lengths) -> Layout | None:
    found = regrouped(source, lengths)
    return None if found is None else folded(found)


def _expanded(operation: Operation, source: Layout, lengths: Lengths) -> Layout | None:
    """Copies along what an axis of length 1 goes along, of channels where it goes along nothing."""
    if len(lengths) != len(source.axes):
        return None
    for place, (before, now) in enumerate(zip(source.lengths, lengths, strict=True)):
        if before != now:
            (part,) = source.axes[place] or (Part(CHANNELS, 1),)
            source = source.changed(place, (replace(part, length=now),))
    return source


def _unsqueeze(operation: Operation, source: Layout, lengths: Lengths) -> Layout:
    place = int(operation.arguments["dim"]) % (len(source.axes) + 1)
    return Layout((*source.axes[:place], (), *source.axes[place:]))


def _stack(operation: Operation, source: Layout, lengths: Lengths) -> Layout:
    """Side by side along an axis of their own: more channels."""
    place = int(operation.arguments["dim"]) % len(lengths)
    return Layout((*source.axes[:place], (Part(CHANNELS, lengths[place]),), *source.axes[place:]))


def _unbind(operation: Operation, source: Layout, lengths: Lengths) -> Layout:
    return source.without([int(operation.arguments.get("dim", 0))])


def _same(operation: Operation, source: Layout, lengths: Lengths) -> Layout:
    return source


def _linear(operation: Operation, source: Layout, lengths: Lengths) -> Layout | None:
    """A weighted sum along the last axis: of positions it makes as many positions, of anything else channels.

    Those have no place any more, but for what they are added to.
    """
    same = source.lengths == lengths and not source.along(-1) <= {CHANNELS}
    return source if same else source.changed(-1, (Part(CHANNELS, lengths[-1]),))


def _by_source(rule: Callable[[Operation, Layout, Lengths], Layout | None]) -> Rule:
    """A rule that looks at the first operand alone, which must be known."""

    def found(operation: Operation, inputs: Sequence[Operation], lengths: Lengths) -> Layout | None:
        source = inputs[0].layout if inputs else None
        return None if source is None else rule(operation, source, lengths)

    return found


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys((*POINTWISE, "expand_as"), _aligned),
    **dict.fromkeys(_MAPPED, _mapped),
    **dict.fromkeys(_KEPT, _by_source(_kept)),
    **dict.fromkeys(REDUCED, _by_source(_reduce)),
    **dict.fromkeys(PRODUCTS, product_layout),
    **dict.fromkeys(("index", "index_select"), _by_source(_chosen)),
    **dict.fromkeys(("avg_pool1d", "max_pool1d"), _by_source(_pooled_in_a_row)),
    "avg_pool3d": _by_source(_pooled),
    "permute": _by_source(_permute),
    **dict.fromkeys(("transpose", "swapaxes"), _by_source(_transpose)),
    **dict.fromkeys(
        ("flatten", "reshape", "reshape_as", "view_as", "unflatten", "squeeze"), _by_source(_reshape)
    ),
    "expand": _by_source(_expanded),
    "unsqueeze": _by_source(_unsqueeze),
    "linear": _by_source(_linear),
    "stack": _by_source(_stack),
    "unbind": _by_source(_unbind),
    "getitem": _by_source(_same),
}
