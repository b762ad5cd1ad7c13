"""The filters of a layer: the shard ``FOLDER/layers/LAYER/filters``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from layerscope.explorer.shards import number, numbers, pack
from layerscope.explorer.subjects import Subject
from layerscope.space.space import Space
from layerscope.synthesis.stillness import EXPLAINED, MISSED, still_word

NEIGHBOURS = 8  #: filters most alike that are named of each
_DRAWN = "pages/filters"  # the table of the pictures
_MAXIMISED = "pages/maximised"  # the table of what was made to excite channels most
_BLOCK = 4_096  # patches whose vectors are read at once

Matches = Mapping[str, Sequence[Any]]


def filter_shard(subject: Subject, layer: str, matches: Matches) -> dict[str, Any]:
    """What is known of each filter; ``matches``: by the other network's name, an entry per filter."""
    statistics, zeros = (subject.of_layer(t, layer) for t in ("channel_statistics", "channel_sparsity"))
    return {
        "channels": len(statistics),
        **{name: numbers(statistics[name].to_pylist()) for name in ("max", "mean")},
        "zeros": numbers(zeros["sparsity"].to_pylist()),
        "count": statistics["count"].to_pylist(),
        **_histogram(subject, layer, len(statistics)),
        **_patches(subject, layer, len(statistics)),
        **_pictures(subject, layer),
        "maximised": _maximised(subject, layer),
        "neighbours": _neighbours(subject, layer),
        "matches": dict(matches),
    }


def _histogram(subject: Subject, layer: str, channels: int) -> dict[str, Any]:
    if "histograms" not in subject.results.results:
        return {"edges": [], "histogram": None}
    first = subject.first_row("channel_statistics", layer)
    counts = subject.results.array("histograms")[first : first + channels]
    edges = subject.results.array("histogram_edges")
    return {"edges": numbers(np.asarray(edges, float).tolist()), "histogram": pack(counts, "i4")}


def _patches(subject: Subject, layer: str, channels: int) -> dict[str, Any]:
    """Where the strongest patches are, and what they see."""
    table = subject.of_layer("top_patches", layer)
    ranks, places = table["rank"].to_numpy(), table["channel"].to_numpy()
    size = (channels, int(ranks.max(initial=0)) + 1)
    top = {"picture": np.full(size, -1), "row": np.zeros(size, int), "column": np.zeros(size, int)}
    for name, values in top.items():
        values[places, ranks] = table[name].to_numpy()
    strongest = np.zeros(size, np.float32)
    strongest[places, ranks] = table["value"].to_numpy()
    boxes = subject.boxes(layer, top["row"], top["column"])
    return {
        "top": {
            **{name: pack(values, "i4") for name, values in top.items()},
            "value": pack(strongest, "f4"),
        },
        "boxes": None if boxes is None else pack(boxes, "i4"),
    }


def _pictures(subject: Subject, layer: str) -> dict[str, Any]:
    """What the step of pages has drawn of the layer's filters."""
    rows = _drawn_of(subject, layer)
    if not rows:
        return {"panel": None, "shown": [], "drawn": [], "white": None}
    ending = PurePosixPath(rows[0]["file"]).suffix
    shown = [row["channel"] for row in rows]
    drawn = [row["channel"] for row in rows if row["drawn"]]
    top = subject.of_layer("top_patches", layer)
    alive = set(top.filter(pc.not_equal(top["value"], 0))["channel"].to_pylist())
    every = alive.issubset(shown)
    return {
        "panel": {**{name: rows[0][name] for name in ("height", "width", "columns")}, "ending": ending},
        "shown": "all" if every else shown,
        "drawn": "all" if every and len(drawn) == len(rows) else drawn,
        "white": _white(subject, layer, rows) if drawn else None,
    }


def _drawn_of(subject: Subject, layer: str) -> list[dict[str, Any]]:
    if _DRAWN not in subject.results.results:
        return []
    rows: list[dict[str, Any]] = subject.of_layer(_DRAWN, layer).to_pylist()
    return rows


def _white(subject: Subject, layer: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """(channels, k): the value that white means in each reconstruction; 0 where there is none."""
    channels, k = (
        len(subject.of_layer("channel_statistics", layer)),
        max(len(row["white"] or ()) for row in rows),
    )
    found = np.zeros((channels, k), np.float32)
    for row in rows:
        values = row["white"] or ()
        found[row["channel"], : len(values)] = values
    return pack(found, "f4")


def _maximised(subject: Subject, layer: str) -> dict[str, list[dict[str, Any]]]:
    """By channel, what was made to excite it most."""
    rows: dict[str, list[dict[str, Any]]] = {}
    if _MAXIMISED in subject.results.results:
        for row in subject.of_layer(_MAXIMISED, layer).to_pylist():
            rows.setdefault(str(row["channel"]), []).append(row)
    return {channel: list(made_of_channel(own)) for channel, own in rows.items()}


def made_of_channel(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """What is said of each of a channel's pictures; ``still`` and ``why``, in words, of one that does not excite it.

    If another one does, the channel is not dead, and there is no ``why``.
    """
    excited = not all(map(still_word, rows))
    for row in rows:
        said = {"file": row["file"], "value": number(row["activation"])}
        if word := still_word(row):
            said |= {"still": MISSED} if excited else {"still": word, "why": EXPLAINED[word]}
        yield said


def _neighbours(subject: Subject, layer: str) -> dict[str, Any] | None:
    """The filters whose activations over the patches of the layer's space go together most."""
    if layer not in subject.spaces:
        return None
    found = correlations(Space(subject.results, layer).vectors)
    np.fill_diagonal(found, -np.inf)
    order = np.argsort(-found, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(found) - 1)]
    values = np.take_along_axis(found, order, axis=1)
    rows = [
        [(int(channel), number(value)) for channel, value in zip(*row, strict=True) if np.isfinite(value)]
        for row in zip(order, values, strict=True)
    ]
    return {
        "channels": [[channel for channel, _ in row] for row in rows],
        "correlations": [[value for _, value in row] for row in rows],
    }


def correlations(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Pearson's, of all channels (N, channels) with all; minus infinity for one that never changes."""
    channels, mean = vectors.shape[1], np.mean(vectors, axis=0, dtype=np.float64)
    products = np.zeros((channels, channels))
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK] - mean
        products += block.T @ block
    deviations = np.sqrt(np.diag(products))
    constant = (vectors.min(axis=0) == vectors.max(axis=0)) | (deviations == 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = products / deviations[:, None] / deviations
    found[constant], found[:, constant] = -np.inf, -np.inf
    clipped: npt.NDArray[np.float64] = np.where(np.isfinite(found), found.clip(-1, 1), -np.inf)
    return clipped
