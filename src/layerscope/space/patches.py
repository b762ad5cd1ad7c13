"""Patches of a study's layers with their vectors, drawn in one pass over its pictures, and where each lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from layerscope.disk.names import file_names
from layerscope.errors import StudyError
from layerscope.images.sets import ImageSet, choose_images
from layerscope.network.layers import Layer
from layerscope.network.network import Network
from layerscope.network.views import box_at
from layerscope.progress import Told
from layerscope.study.folder import Study
from layerscope.study.pictures import find_pictures
from layerscope.study.sources import check_network
from layerscope.sweep.one_pass import SweepOptions, sweep_images
from layerscope.sweep.patch_sample import PatchSample


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches of one layer, in the order they were drawn, and their ``vectors`` (N, channels), float32.

    ``table``: picture (of the study), row and column of the position, and the box that it sees: top, left, bottom,
    right, in pixels of the network's input, which may reach outside it.
    """

    table: pa.Table
    vectors: npt.NDArray[np.float32]


def draw_patches(
    study: Study,
    network: Network,
    images: ImageSet,
    sample: PatchSample,
    *,
    settings: SweepOptions | None = None,
    progress: Told | None = None,
) -> Mapping[str, Patches]:
    """Patches of each layer that the sample names, in one pass over the good pictures of the study.

    Raises StudyError if network or pictures are not those of the study, and what `PatchSample.targets` raises.
    """
    check_network(study, network)
    good = np.flatnonzero(pc.is_null(study.pictures["reason"]).to_numpy(zero_copy_only=False))
    places = find_pictures(study, images, good.tolist())
    chosen = choose_images(images, [places[picture] for picture in good.tolist()])
    swept = sweep_images(network, chosen, [sample], settings=settings, progress=progress)
    _refuse_changed(study, good, swept.pictures)
    results = swept.results[sample.name]
    table, found = results["patches"], {}
    files = file_names(layer.name for layer in network.layers)
    assert isinstance(table, pa.Table)
    for target in sample.targets(network):
        own = table.filter(pc.equal(table["layer"], target.name))
        assert target.layer is not None
        found[target.name] = Patches(
            _placed(own, good, target.layer, network.input_shape[1:]),
            np.asarray(results[f"patches/{files[target.name]}"]),
        )
    return found


def count_patches(study: Study, network: Network, sample: PatchSample) -> Mapping[str, int]:
    """How many patches of each layer `draw_patches` finds, known without a look at the pictures."""
    good, size = study.pictures["reason"].null_count, network.input_shape[1:]
    return {target.name: sample.most(target, size, good) for target in sample.targets(network)}


def _refuse_changed(study: Study, good: npt.NDArray[np.int64], now: pa.Table) -> None:
    """Every picture must be what it was when the study was made."""
    before = study.pictures.take(pa.array(good))
    for name, old, new, reason in zip(
        *(column.to_pylist() for column in (before["name"], before["digest"], now["digest"], now["reason"])),
        strict=True,
    ):
        if reason is not None:
            raise StudyError(
                f"{name} can no longer be read: {reason}; put back the picture the study was made of"
            )
        if old != new:
            raise StudyError(
                f"{name} is another picture than when {study.path} was made; put the old one back"
            )


def _placed(own: pa.Table, good: npt.NDArray[np.int64], layer: Layer, size: tuple[int, ...]) -> pa.Table:
    rows, columns = (own[name].to_numpy() for name in ("row", "column"))
    boxes = [
        box_at(layer, row, column, size) for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    ]
    sides = {
        side: pa.array([getattr(box, side) for box in boxes], pa.int32())
        for side in ("top", "left", "bottom", "right")
    }
    pictures = pa.array(good[own["picture"].to_numpy()], pa.int64())
    return pa.table({"picture": pictures, "row": own["row"], "column": own["column"], **sides})
