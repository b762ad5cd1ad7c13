"""What pictures are found by, all of them at once: the shard ``pictures/index``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.explorer.shards import pack
from layerscope.explorer.subjects import Subject
from layerscope.study.folder import Study

Numbers = npt.NDArray[np.int64]


def picture_index(study: Study, subjects: Sequence[Subject]) -> dict[str, Any]:
    """Each picture's label, each network's first output and the right one, -1 where unknown; where networks differ."""
    count = study.pictures.num_rows
    labels = study.pictures["label"]
    firsts = [(one, first) for one in subjects if (first := _first(one, count)) is not None]
    known = labels.null_count < len(labels)
    return {
        "labels": pack(labels.fill_null(-1).to_numpy(), "i4") if known else None,
        "first": {one.name: pack(first, "i4") for one, first in firsts},
        "right": {one.name: pack(right_outputs(one, count), "i4") for one, _ in firsts},
        "differing": pack(_differing(firsts, count), "u1") if len(firsts) > 1 else None,
    }


def _first(subject: Subject, count: int) -> Numbers | None:
    """The most probable output at each picture, -1 where there is none; None: the network predicts nothing."""
    if "predictions" not in subject.results.results or not len(table := subject.results.table("predictions")):
        return None
    best = table["rank"].to_numpy() == 0
    found = np.full(count, -1, np.int64)
    found[table["picture"].to_numpy()[best]] = table["class"].to_numpy()[best]
    return found


def right_outputs(subject: Subject, count: int) -> Numbers:
    """The output that is right at each picture, -1 where that is unknown."""
    found = np.full(count, -1, np.int64)
    if "prediction_ranks" in subject.results.results:
        table = subject.results.table("prediction_ranks")
        found[table["picture"].to_numpy()] = table["answer"].fill_null(-1).to_numpy()
    return found


def _differing(firsts: Sequence[tuple[Subject, Numbers]], count: int) -> npt.NDArray[np.bool_]:
    """Where networks that answer name different outputs: by their names, where they have any."""
    words: dict[str, int] = {}
    low, high = np.full(count, np.iinfo(np.int64).max), np.full(count, -1, np.int64)
    for subject, first in firsts:
        names = dict(enumerate(subject.about.get("outputs", ())))
        known, places = np.unique(first, return_inverse=True)
        numbers = [words.setdefault(names.get(int(one), f"output {one}"), len(words)) for one in known]
        own = np.asarray(numbers, np.int64)[places]
        there = first >= 0
        low[there] = np.minimum(low, own)[there]
        high[there] = np.maximum(high, own)[there]
    return low < high
