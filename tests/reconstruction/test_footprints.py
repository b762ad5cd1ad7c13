"""The footprint that a position sees, operation by operation, beside one counted by hand."""

from __future__ import annotations

import pytest

from layerscope.errors import GeometryError
from layerscope.network.geometry import Geometry
from layerscope.network.readers import Edge, Node, Window
from layerscope.reconstruction.footprints import Reach, trace
from tests.oracles.reconstruction.units import reads

# A picture of 11, then (kernel, stride, pad, size of the result): a ceil-mode pool makes 6 of 11.
CHAIN = ((3, 1, 1, 11), (2, 2, 0, 6), (3, 1, 1, 6), (3, 2, 1, 3))


def chain() -> Geometry:
    nodes = [Node((11, 11))]
    for source, (kernel, stride, pad, size) in enumerate(CHAIN):
        nodes.append(
            Node((size, size), (Edge(source, Window(kernel, stride, pad), Window(kernel, stride, pad)),))
        )
    return Geometry(tuple(nodes))


@pytest.mark.parametrize("node", [1, 2, 3, 4])
@pytest.mark.parametrize("axis", [0, 1])
def test_footprints_hold_what_is_read(node: int, axis: int) -> None:
    for position in range(CHAIN[node - 1][3]):
        path = trace(chain(), {}, node, axis, position)
        first = last = position
        for index in range(node, 0, -1):
            kernel, stride, pad, _ = CHAIN[index - 1]
            below = CHAIN[index - 2][3] if index > 1 else 11
            seen = reads(first, last, kernel, stride, pad, below)
            first, last = min(seen), max(seen)
            assert path.span(index - 1) == slice(first, last + 1)


def test_what_sticks_out_is_padding() -> None:
    start, end = (trace(chain(), {}, 4, 0, position).track for position in (0, 2))
    assert start.reach[4, 3] == Reach(before=1, after=0)
    assert end.reach[4, 3] == Reach(before=0, after=0)
    assert end.reach[2, 1] == Reach(before=0, after=1)  # ceil mode
    assert end.reach[1, 0] == Reach(before=0, after=1)


def test_positions_far_from_the_edge_are_alike() -> None:
    tracks = [trace(chain(), {}, 1, 0, position).track for position in range(11)]
    assert len(set(tracks)) == 3
    assert len(set(tracks[1:-1])) == 1


def branches() -> Geometry:
    """A picture of 9; a 5 window and a 1x1 of stride 1 read it, and their sum is read by a 3 window."""
    wide, narrow, plain = Window(5, 1, 2), Window(3, 1, 1), Window()
    return Geometry(
        (
            Node((9, 9)),
            Node((9, 9), (Edge(0, wide, wide),)),
            Node((9, 9), (Edge(0, plain, plain),)),
            Node((9, 9), (Edge(1, plain, plain), Edge(2, plain, plain))),
            Node((9, 9), (Edge(3, narrow, narrow),)),
        )
    )


def test_a_footprint_holds_all_that_branches_read() -> None:
    path = trace(branches(), {}, 4, 0, 4)
    assert path.span(0) == slice(1, 8)
    assert path.track.reach[1, 0] == Reach(0, 0)
    assert path.track.reach[2, 0] == Reach(-2, -2)


def test_what_is_taken_whole_is_whole_from_there_down() -> None:
    path = trace(branches(), {2: (0,)}, 4, 0, 4)
    assert [path.span(index) for index in (0, 1, 2, 3)] == [
        slice(0, 9),
        slice(3, 6),
        slice(0, 9),
        slice(3, 6),
    ]
    assert path.track.reach[3, 2] == Reach(-3, -3)
    assert path.track.reach[1, 0] == Reach(-1, -1)
    assert path.track.reach[2, 0] == Reach(0, 0)


def test_a_footprint_wholly_in_the_padding_reads_nothing_of_the_map() -> None:
    geometry = Geometry((Node((4, 4)), Node((6, 6), (Edge(0, Window(1, 1, 1), Window(1, 1, 1)),))))
    start, end = (trace(geometry, {}, 1, 0, position) for position in (0, 5))
    assert start.span(0) == slice(0, 1)
    assert start.track.reach[1, 0] == Reach(before=1, after=-1)
    assert end.span(0) == slice(3, 4)
    assert end.track.reach[1, 0] == Reach(before=-1, after=1)


def test_what_sees_everything_has_no_footprint() -> None:
    pool = Window(kernel=4, stride=0)
    geometry = Geometry((Node((4, 4)), Node((1, 1), (Edge(0, pool, pool),))))
    with pytest.raises(GeometryError, match="take it whole"):
        trace(geometry, {}, 1, 0, 0)
    assert trace(geometry, {1: (0,)}, 1, 0, 0).span(0) == slice(0, 4)
