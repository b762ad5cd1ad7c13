"""What a result depends on beside its picture: the other pictures of a batch, and chance."""

from __future__ import annotations

from collections.abc import Iterator

from layerscope.network.graph import Graph, Operation
from layerscope.network.layout import PICTURES


def what_else_counts(graph: Graph) -> Iterator[str]:
    """A line for the first operation that takes pictures together, and one for the first that is random."""
    together = next((o for o in graph.operations if _takes_pictures_together(graph, o)), None)
    if together is not None:
        yield (
            f"{together.place} takes the pictures of a batch together, so that what is made of one depends on the "
            "others; give them one by one"
        )
    if graph.random:
        place = graph.operations[min(graph.random)].place
        yield f"{place} is random: results differ each time, and no rule goes back through it; leave it out"


def _takes_pictures_together(graph: Graph, operation: Operation) -> bool:
    """Whether it normalises by the batch, or makes of all pictures what is as large however many there are."""
    read = [graph.operations[i] for i in operation.inputs]
    if not operation.carries:
        return False
    if operation.normalises_by_batch:
        return read[0].batch_first or _has_pictures_outside_channels(read[0])
    return not operation.counts_pictures and any(o.carries and o.counts_pictures for o in read)


def _has_pictures_outside_channels(operation: Operation) -> bool:
    """Whether a map's pictures lie along axes that a batch norm takes its statistics over, as among windows."""
    if operation.layout is None:
        return False
    along = [any(part.along == PICTURES for part in axis) for axis in operation.layout.axes]
    return any(along) and not along[1]
