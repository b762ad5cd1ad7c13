"""Stretches: operations whose results do not have the pictures along their first axis, as attention and windows make.

One ends where an operation has them there again. A signal goes back through all of it at once, by torch's derivative,
one row at a time: as many pictures as the forward pass had, one.
"""

from __future__ import annotations

from layerscope.network.graph import Graph, Operation


def stretch_of(graph: Graph, operation: Operation) -> tuple[Operation, ...]:
    """The operations of the stretch that ends in this one, in order, itself left out; none: it ends none."""
    if not operation.batch_first or not operation.carries:
        return ()
    found: set[int] = set()
    left = [i for i in operation.inputs if _is_within(graph.operations[i])]
    while left:
        index = left.pop()
        if index not in found:
            found.add(index)
            left += [i for i in graph.operations[index].inputs if _is_within(graph.operations[i])]
    return tuple(graph.operations[index] for index in sorted(found))


def _is_within(operation: Operation) -> bool:
    return operation.carries and not operation.batch_first


def entries(graph: Graph, operation: Operation) -> tuple[int, ...]:
    """What is read by the stretch that an operation ends, from outside it; the operation's inputs if it ends none."""
    stretch = stretch_of(graph, operation)
    if not stretch:
        return operation.inputs
    within = {o.index for o in stretch}
    read = (i for o in (*stretch, operation) for i in o.inputs if i not in within)
    return tuple(dict.fromkeys(read))
