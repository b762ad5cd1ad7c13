"""What the network says each picture shows, and how often it is wrong where the answer is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from layerscope.errors import LayerscopeError
from layerscope.network.network import Network
from layerscope.sweep.reducers import NO_OUTPUT, LayerBatch, Reducer, Results, State, Target

_COLUMNS = ("pictures", "classes", "probabilities", "labels", "ranks")
_TOP = 5  # the paper's other error: the right class is not among the first five


@dataclass(frozen=True)
class Predictions(Reducer):
    """Each picture's ``top`` classes with their probabilities, from one centred view; equals by class index.

    Where labels are known, the top-1 and top-5 error. State: a row per picture. Results: the table ``predictions``;
    ``prediction_ranks``, where the right class stands among all, picture by picture; and ``prediction_errors``, one
    row: how many pictures, how many with a label, both errors in [0, 1] (null without labels, or with those of
    classes the network does not have), and why the network predicts nothing or its predictions cannot be compared
    with the labels (null otherwise).
    """

    top: int = 5

    name: ClassVar[str] = "predictions"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        if self.top < 1:
            raise LayerscopeError(f"the {self.top} most probable classes: ask for at least 1")

    def targets(self, network: Network) -> tuple[Target, ...]:
        """The scores, before any softmax; nothing of a network that predicts nothing."""
        if network.why_no_predictions is not None:
            return ()
        classes = network.graph.operations[network.scores].shape[0]
        return (Target("scores", network.scores, classes, (1, 1)),)

    def update(self, state: State | None, seen: LayerBatch) -> State:
        """Rank the classes of each picture, and the place of the right one among them (-1: unknown)."""
        scores = seen.values.flatten(1).float().cpu().numpy().astype(np.float64)
        seen.refuse(seen.values.flatten(1).isnan().any(dim=1).cpu().numpy())
        order = np.argsort(-scores, axis=1, kind="stable")
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities = odds / odds.sum(axis=1, keepdims=True)
        labels = seen.batch.answers
        first = order[:, : self.top]
        new: State = {
            "pictures": seen.pictures,
            "classes": first.astype(np.int32),
            "probabilities": np.take_along_axis(probabilities, first, axis=1).astype(np.float32),
            "labels": labels,
            "ranks": _ranks(order, labels),
        }
        return new if state is None else self.merge(state, new)

    def merge(self, one: State, other: State) -> State:
        """Rows follow rows."""
        return {name: np.concatenate([one[name], other[name]]) for name in _COLUMNS}

    def finish(self, states: Mapping[str, State], network: Network) -> Results:
        """One row per picture and rank; one per picture; and the errors."""
        state = states.get("scores")
        return {
            "predictions": _SCHEMA.empty_table() if state is None else _rows(state),
            "prediction_ranks": _RANKS.empty_table() if state is None else _right(state, network),
            "prediction_errors": _errors(state, network),
        }


def _ranks(order: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """The place of each label in the order of the classes, from 0; -1 where it is unknown or no class."""
    hits = order == labels[:, None]
    return np.where(hits.any(axis=1), hits.argmax(axis=1), -1).astype(np.int32)


_SCHEMA = pa.schema(
    [("picture", pa.int64()), ("rank", pa.int32()), ("class", pa.int32()), ("probability", pa.float32())]
)
_RANKS = pa.schema([("picture", pa.int64()), ("answer", pa.int64()), ("rank", pa.int32())])
_ERRORS = pa.schema(
    [
        ("pictures", pa.int64()),
        ("labelled", pa.int64()),
        ("top1_error", pa.float64()),
        ("top5_error", pa.float64()),
        ("reason", pa.string()),
    ]
)


def _rows(state: State) -> pa.Table:
    pictures, top = state["classes"].shape
    rank = np.tile(np.arange(top, dtype=np.int32), pictures)
    columns = [
        np.repeat(state["pictures"], top),
        rank,
        state["classes"].ravel(),
        state["probabilities"].ravel(),
    ]
    return pa.table(columns, schema=_SCHEMA)


def _right(state: State, network: Network) -> pa.Table:
    """Which output is right for each picture, and its rank; null where nobody can say, the rank of no output too."""
    labels, ranks = state["labels"], state["ranks"]
    unknown = np.full(len(labels), True) if _why_not_compared(labels, network) else labels == -1
    columns = [
        pa.array(state["pictures"]),
        pa.array(labels, mask=unknown),
        pa.array(ranks, mask=unknown | (ranks < 0)),
    ]
    return pa.table(columns, schema=_RANKS)


def _errors(state: State | None, network: Network) -> pa.Table:
    labels = np.empty(0, np.int64) if state is None else state["labels"]
    known = labels != -1
    reason = network.why_no_predictions or _why_not_compared(labels, network)
    ranks = np.empty(0, np.int32) if state is None or reason else state["ranks"][known]
    row = {
        "pictures": len(labels),
        "labelled": int(known.sum()),
        "top1_error": _share_of(ranks != 0),
        "top5_error": _share_of((ranks < 0) | (ranks >= _TOP)),
        "reason": reason,
    }
    return pa.Table.from_pylist([row], _ERRORS)


def _why_not_compared(labels: npt.NDArray[Any], network: Network) -> str | None:
    if not (labels == NO_OUTPUT).any():
        return None
    count = network.graph.operations[network.scores].shape[0]
    return (
        f"the classes of the pictures are neither named as outputs of {network.name} nor as many ({count}); "
        "give labels that are indices of its outputs"
    )


def _share_of(wrong: npt.NDArray[Any]) -> float | None:
    return int(wrong.sum()) / len(wrong) if len(wrong) else None
