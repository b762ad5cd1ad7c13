"""Receptive fields: the paper's tables, and any stack, merge and pool against sets of positions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.errors import GeometryError
from layerscope.network.geometry import Axis, Box, Geometry, ReceptiveField
from layerscope.network.readers import Edge, Node, Reader, Window, adaptive
from layerscope.network.source import Options
from layerscope.zoo.loading import read_architecture
from tests.oracles.network.positions import Step, adaptive_taps, all_taps, pixels, window_taps

VGGCNN = (
    "c1_1 3/1, c1_2 5/1, p1 6/2, c2_1 10/2, c2_2 14/2, p2 16/4, c3_1 24/4, c3_2 32/4, c3_3 40/4, "
    "p3 44/8, c4_1 60/8, c4_2 76/8, c4_3 92/8, p4 100/16, c5_1 132/16, c5_2 164/16, c5_3 196/16, p5 212/32"
)
ALEXCNN = "c1 11/4, p1 15/8, c2 47/8, p2 55/16, c3 87/16, c4 119/16, c5 151/16, p5 167/32"


@pytest.mark.parametrize(("name", "table"), [("vggcnn", VGGCNN), ("alexcnn", ALEXCNN)])
def test_the_tables_of_the_paper(name: str, table: str) -> None:
    layers = read_architecture(name).layers
    assert ", ".join(f"{layer.name} {layer.field}" for layer in layers if layer.size != (1, 1)) == table


@pytest.mark.parametrize("name", ["vggcnn", "alexcnn"])
def test_fully_connected_layers_see_the_whole_picture(name: str) -> None:
    network = read_architecture(name)
    for layer in network.layers[-3:]:
        assert str(layer.field) == "224/0"
        assert layer.field is not None
        assert layer.field.box(0, 0) == network.geometry.seen(layer.result, [0], [0]) == Box(0, 0, 224, 224)


def test_a_rectangular_input_keeps_the_fields_but_not_the_whole() -> None:
    square = read_architecture("vggcnn")
    oblong = read_architecture("vggcnn", options=Options(input_size=(224, 448)))
    assert [layer.field for layer in oblong.layers[:-3]] == [layer.field for layer in square.layers[:-3]]
    assert str(oblong.layer("fc7").field) == "224x448/0"


def test_the_recurrence_of_the_paper() -> None:
    """size' = size + (k-1)*stride, stride' = stride*s, start' = start + ((k-1)/2 - pad)*stride."""
    axis, size, stride, start = Axis(1, 1, 0), 1, 1, 0.0
    for kernel, step, pad in [(11, 4, 2), (2, 2, 0), (5, 1, 1), (4, 3, 0), (3, 1, 3)]:
        axis = axis.through(Window(kernel, step, pad))
        size, stride, start = (
            size + (kernel - 1) * stride,
            stride * step,
            start + ((kernel - 1) / 2 - pad) * stride,
        )
        assert (axis.size, axis.stride, axis.start) == (size, stride, start)


def test_dilation_spreads_the_taps() -> None:
    axis = Axis(1, 1, 0).through(Window(2, 2)).through(Window(3, pad=4, dilation=4))
    assert axis == Axis(size=2 + 2 * 4 * 2, stride=2, left=-8)


def test_rows_and_columns_do_not_mix() -> None:
    rows, columns = Window(5, 2, 1), Window(3, 4, 0)
    geometry = Geometry((Node((20, 30)), Node((9, 7), (Edge(0, rows, columns),))))
    field = geometry.fields[1]
    assert field is not None
    assert (field.size, field.stride, field.start, str(field)) == ((5, 3), (2, 4), (1.0, 1.0), "5x3/2x4")
    assert field.box(0, 6) == Box(top=-1, left=24, bottom=4, right=27)
    assert geometry.seen(1, [0], [6]) == Box(0, 24, 4, 27)


def test_the_part_of_a_box_in_the_picture_and_how_much_sticks_out() -> None:
    box = Box(top=-3, left=5, bottom=12, right=25)
    assert (box.height, box.width) == (15, 20)
    assert box.inside(10, 20) == Box(0, 5, 10, 20)
    assert box.outside(10, 20) == (3, 0, 2, 5)
    assert box.inside(100, 100) == Box(0, 5, 12, 25)
    assert Box(1, 2, 3, 4).outside(3, 4) == (0, 0, 0, 0)


@pytest.mark.parametrize("box", [Box(-9, 0, -2, 4), Box(0, -5, 4, -1), Box(10, 0, 12, 4), Box(0, 11, 4, 30)])
def test_a_box_that_misses_the_picture_has_an_empty_part_in_it(box: Box) -> None:
    inside = box.inside(10, 10)
    assert inside.height * inside.width == 0
    assert min(inside.height, inside.width, inside.top, inside.left) >= 0
    assert max(inside.bottom, inside.right) <= 10


@dataclass(frozen=True)
class Operation:
    """One axis of a random operation, as geometry takes it and as the oracle does."""

    node: Node
    step: Step


PICTURE = st.integers(1, 40).map(lambda length: Operation(Node((length, length)), Step(length)))


@st.composite
def windows(draw: st.DrawFn, length: int) -> tuple[Reader, int]:
    """A window that fits, and its number of outputs; ceil mode lets the last one end outside."""
    kernel, dilation = draw(st.integers(1, 5)), draw(st.sampled_from([1, 1, 1, 2, 3]))
    stride, pad = draw(st.integers(1, 4)), draw(st.integers(0, 4))
    room = length + 2 * pad - (kernel - 1) * dilation - 1
    if room < 0:
        return Window(), length
    outputs = room // stride + 1
    if room % stride and draw(st.booleans()) and outputs * stride < length + pad:
        outputs += 1
    return Window(kernel, stride, pad, dilation), outputs


@st.composite
def same_windows(draw: st.DrawFn, length: int) -> tuple[Reader, int]:
    """A window that keeps the length, so that what it gives can be added to what it reads."""
    half, dilation = draw(st.integers(0, 2)), draw(st.integers(1, 2))
    return Window(2 * half + 1, pad=half * dilation, dilation=dilation), length


@st.composite
def crops(draw: st.DrawFn, length: int) -> tuple[Reader, int]:
    """``maps[start:stop:step]``, or a border of zeros where start is below 0."""
    start, step = draw(st.integers(-6, length - 1)), draw(st.integers(1, 3))
    stop = draw(st.integers(start + 1, length + 6))
    return Window(stride=step, pad=-start), -((start - stop) // step)


def adaptive_pools(length: int) -> st.SearchStrategy[tuple[Reader, int]]:
    return st.integers(1, 9).map(lambda outputs: (adaptive(length, outputs), outputs))


def global_readers(length: int) -> st.SearchStrategy[tuple[Reader, int]]:
    return st.just((Window(kernel=length, stride=0), 1))


WINDOWS: list[Callable[[int], st.SearchStrategy[tuple[Reader, int]]]] = [windows, same_windows]
READERS = [*WINDOWS * 2, crops, adaptive_pools, global_readers]


def naive(reader: Reader, length: int, outputs: int) -> Step:
    if not isinstance(reader, Window):
        return Step(outputs, ((0, adaptive_taps(length, outputs)),))
    if reader.stride == 0:
        return Step(outputs, ((0, all_taps(length)),))
    return Step(outputs, ((0, window_taps(reader.kernel, reader.stride, reader.pad, reader.dilation)),))


@st.composite
def networks(draw: st.DrawFn, *, only_windows: bool = False) -> list[Operation]:
    """A random network along one axis: operations on any earlier one, and sums of those of equal length."""
    operations = [draw(PICTURE)]
    for _ in range(draw(st.integers(1, 7))):
        source = draw(st.sampled_from([len(operations) - 1, draw(st.integers(0, len(operations) - 1))]))
        length = operations[source].step.length
        partners = [i for i, o in enumerate(operations) if i != source and o.step.length in (length, 1)]
        merges: bool = draw(st.booleans())
        if partners and merges:
            operations.append(merge(operations, source, draw(st.sampled_from(partners))))
            continue
        kinds = WINDOWS if only_windows else READERS
        reader, outputs = draw(draw(st.sampled_from(kinds))(length))
        node = Node((outputs, outputs), (Edge(source, reader, reader),))
        ((_, taps),) = naive(reader, length, outputs).reads
        operations.append(Operation(node, Step(outputs, ((source, taps),))))
    return operations


def merge(operations: list[Operation], one: int, other: int) -> Operation:
    """Position i reads position i of both, or the only one of the second."""
    length = operations[one].step.length
    if operations[other].step.length == length:
        reader, taps = Window(), window_taps(1, 1, 0, 1)
    else:
        reader, taps = Window(kernel=1, stride=0), all_taps(1)
    edges = (Edge(one, Window(), Window()), Edge(other, reader, reader))
    return Operation(
        Node((length, length), edges), Step(length, ((one, window_taps(1, 1, 0, 1)), (other, taps)))
    )


def hull(positions: set[int]) -> tuple[int, int]:
    return (min(positions), max(positions) + 1) if positions else (0, 0)


@settings(max_examples=300)
@given(networks(), st.data())
def test_seen_is_what_sets_of_positions_say(operations: list[Operation], data: st.DataObject) -> None:
    geometry = Geometry(tuple(o.node for o in operations))
    node = data.draw(st.integers(0, len(operations) - 1))
    last = operations[node].step.length - 1
    few = st.sets(st.integers(0, last), min_size=1, max_size=4).map(sorted)
    first = st.integers(0, last)
    rows = data.draw(st.one_of(few, st.builds(lambda a, b: range(min(a, b), max(a, b) + 1), first, first)))
    column = data.draw(st.integers(0, last))
    box = geometry.seen(node, rows, [column])
    steps = [o.step for o in operations]
    assert (box.top, box.bottom) == hull(pixels(steps, node, set(rows))[0])
    assert (box.left, box.right) == hull(pixels(steps, node, {column})[0])


@settings(max_examples=200)
@given(networks())
def test_the_field_holds_what_is_seen_and_equals_it_where_nothing_is_cut(operations: list[Operation]) -> None:
    steps = [o.step for o in operations]
    for node, field in enumerate(Geometry(tuple(o.node for o in operations)).fields):
        for position in range(steps[node].length if field else 0):
            seen, whole = pixels(steps, node, {position})
            assert field is not None
            box = field.box(position, 0)
            assert not seen or (box.top <= min(seen) and max(seen) < box.bottom)
            if whole and field.rows.stride:
                assert (box.top, box.bottom) == hull(seen)


@given(networks(only_windows=True))
def test_only_a_sum_of_maps_with_different_strides_has_no_field(operations: list[Operation]) -> None:
    """And not that either where all positions see the same, as the only one of a map does."""
    fields = Geometry(tuple(o.node for o in operations)).fields
    steps = [o.step for o in operations]
    for node, (operation, field) in enumerate(zip(operations, fields, strict=True)):
        strides = {_stride(fields[edge.source], edge.rows) for edge in operation.node.edges}
        unlike = None in strides or (len(strides) > 1 and 0 not in strides)
        seen = {hull(pixels(steps, node, {i})[0]) for i in range(steps[node].length)}
        assert (field is None) == (unlike and (len(seen) > 1 or seen == {(0, 0)}))
        assert field is None or not unlike or (field.stride, field.box(0, 0).top) == ((0, 0), min(seen)[0])


def _stride(source: ReceptiveField | None, reader: Reader) -> int | None:
    if isinstance(reader, Window) and reader.stride == 0:
        return 0
    return None if source is None or not isinstance(reader, Window) else source.rows.stride * reader.stride


def test_a_global_pool_of_nothing_but_padding_sees_nothing() -> None:
    """Legal, if odd: a border of zeros wider than what is kept of it."""
    nodes = [Node((4, 4)), Node((2, 2), (Edge(0, Window(pad=2), Window(pad=2)),))]
    nodes.append(Node((1, 1), (Edge(1, Window(2, stride=0), Window(2, stride=0)),)))
    geometry = Geometry(tuple(nodes))
    assert geometry.fields[2] == ReceptiveField(Axis(0, 0, 0), Axis(0, 0, 0))
    assert geometry.seen(2, [0], [0]) == Box(0, 0, 0, 0)


@given(st.integers(1, 30), st.integers(1, 12))
def test_adaptive_windows_are_torchs(length: int, outputs: int) -> None:
    pixels_ = torch.ones(1, length, requires_grad=True)
    pooled = F.adaptive_avg_pool1d(pixels_, outputs)
    reader = adaptive(length, outputs)
    for i in range(outputs):
        (gradient,) = torch.autograd.grad(pooled[0, i], pixels_, retain_graph=True)
        assert list(reader.taps([i], length)) == gradient[0].nonzero().flatten().tolist()


def test_a_field_that_differs_from_place_to_place_is_not_stated() -> None:
    geometry = Geometry((Node((7, 7)), Node((4, 7), (Edge(0, adaptive(7, 4), Window()),))))
    assert geometry.fields[1] is None
    assert geometry.seen(1, [1], [2]) == Box(1, 2, 4, 3)


def test_what_is_not_known_is_not_guessed() -> None:
    picture, strange = Node((8, 8)), Node((8, 8), unknown="no receptive field is known for warp in 'a'")
    after = Node((8, 8), (Edge(1, Window(3, pad=1), Window(3, pad=1)),))
    geometry = Geometry((picture, strange, after))
    assert geometry.fields[1:] == (None, None)
    with pytest.raises(GeometryError, match="no receptive field is known for warp in 'a'"):
        geometry.seen(2, [0], [0])


def test_a_field_is_read_as_size_and_stride() -> None:
    assert str(ReceptiveField(Axis(196, 16, -90), Axis(196, 16, -90))) == "196/16"
    assert str(ReceptiveField(Axis(8, 2, 0), Axis(9, 2, 0))) == "8x9/2"
