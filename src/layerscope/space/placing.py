"""New pictures on the plane of a study's layer: where does the network see this?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from layerscope.disk.tables import publish_content
from layerscope.drawing.canvas import Page, save_figure
from layerscope.errors import ImageError, printable, shown
from layerscope.images.decoding import load_picture
from layerscope.images.finding import find_images
from layerscope.network.network import Network
from layerscope.plane.nearest import nearest
from layerscope.progress import Count, Told
from layerscope.space.pictures import Groups, embedding_page
from layerscope.space.sheets import about_plane
from layerscope.space.space import Space, stem_of
from layerscope.study.sources import check_network
from layerscope.sweep.patch_sample import PatchSample
from layerscope.sweep.reducers import Target


def place_pictures(
    space: Space, network: Network, pictures: Tensor, *, progress: Told | None = None
) -> pa.Table:
    """Where every patch of preprocessed pictures (n, channels, height, width) lies on the plane, a row each.

    Positions are those the space was sampled from. Columns: picture (its place in the batch), row, column, x and y in
    cells, the study's patch that is nearest in the representation, and its distance. Raises StudyError for another
    network than the study's.
    """
    check_network(space.results.study, network)
    sample = PatchSample((space.layer,), 1, where=space.options["where"])
    (target,) = sample.targets(network)
    positions = sample.positions(target, network.input_shape[1:])
    done, found = Count(progress, "pictures", len(pictures)), []
    for picture in torch.split(pictures, 1) if len(pictures) else ():
        found.append(_vectors(network, picture, target, positions))
        done()
    vectors = np.concatenate([np.empty((0, target.channels), np.float32), *found])
    places = space.place(vectors)
    near, distances = nearest(vectors, space.vectors, 1)
    rows, columns = np.divmod(np.tile(positions, len(pictures)), np.int32(target.size[1]))
    return pa.table(
        {
            "picture": np.repeat(np.arange(len(pictures)), len(positions)),
            **{"row": rows, "column": columns, "x": places[:, 0], "y": places[:, 1]},
            **{"nearest": near[:, 0], "distance": distances[:, 0]},
        }
    )


def place_files(
    space: Space,
    network: Network,
    places: Sequence[str | Path],
    out: Path,
    *,
    progress: Told | None = None,
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Put picture files on the plane: a table and a figure named after ``out``, the network and the layer.

    Returns these files, and why pictures were skipped. Raises ImageError if none can be read.
    """
    names, loaded, bad = [], [], []
    for path in find_images(list(places)):
        try:
            loaded.append(_loaded(network, path))
            names.append(printable(str(path)))
        except ImageError as error:
            bad.append(str(error))
    if not loaded:
        raise ImageError(f"none of the pictures to place can be read; give others: {bad[0]}")
    placed = place_pictures(space, network, torch.stack(loaded), progress=progress)
    named = placed.append_column("name", [[names[picture] for picture in placed["picture"].to_pylist()]])
    stem = stem_of(space, out)
    table, _ = publish_content(stem, named)
    short = [Path(name).name for name in names]
    page = show_placed(space, placed, short if len(set(short)) == len(short) else names)
    return (table, *save_figure(page, stem)), tuple(bad)


def _loaded(network: Network, path: Path) -> Tensor:
    picture = load_picture(path)
    try:
        return network.preprocessing.apply(picture)
    except ImageError as error:
        raise ImageError(f"{shown(path)}: {error}") from error


def _vectors(
    network: Network, picture: Tensor, target: Target, positions: npt.NDArray[np.int32]
) -> npt.NDArray[np.float32]:
    """The vectors (positions, channels) of one picture: the whole maps of many would not fit into memory."""
    maps = network.representations(picture, [target.name])[target.name].reshape(target.channels, -1)
    vectors: npt.NDArray[np.float32] = maps[:, positions.tolist()].t().float().cpu().numpy()
    return vectors


def show_placed(space: Space, placed: pa.Table, names: Sequence[str]) -> Page:
    """The embedding in grey, and the patches of new pictures in a colour for each; ``names``: the pictures'."""
    new = np.stack([placed["x"].to_numpy(), placed["y"].to_numpy()], axis=1)
    of = np.concatenate([np.full(len(space.places), -1), placed["picture"].to_numpy()])
    points = np.concatenate([space.places, new])
    return embedding_page(points, about_plane(space), Groups(of, tuple(names), "new picture"))
