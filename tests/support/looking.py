"""What is on a page, and where: for the tests of figures."""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import PathPatch, Polygon
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from layerscope.gallery.architecture import ArchitectureLayer


def texts(figure: Figure) -> list[Text]:
    return [text for text in figure.axes[0].texts if text.get_text()]


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in texts(figure)]


def images(figure: Figure) -> list[AxesImage]:
    return list(figure.axes[0].images)


def on_page(figure: Figure, artists: Sequence[Artist]) -> list[Bbox]:
    """Boxes of the artists in dots, from the lower left; a hair smaller, as touching is not meeting."""
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    return [Bbox.padded(artist.get_window_extent(renderer), -0.5) for artist in artists]


def meeting(boxes: list[Bbox]) -> list[tuple[int, int]]:
    pairs = itertools.combinations(range(len(boxes)), 2)
    return [(a, b) for a, b in pairs if boxes[a].overlaps(boxes[b])]


def outside(figure: Figure, boxes: list[Bbox]) -> list[Bbox]:
    page = figure.bbox
    return [b for b in boxes if b.x0 < page.x0 or b.x1 > page.x1 or b.y0 < page.y0 or b.y1 > page.y1]


def faces(figure: Figure) -> list[Polygon]:
    """The front faces of the slabs, in the order of the layers, the input first."""
    return [patch for patch in figure.axes[0].patches if isinstance(patch, Polygon)][::3]


def wires(figure: Figure) -> list[npt.NDArray[np.float64]]:
    """The points of each connection, from the page's upper left: 2 straight, 4 an arc, 7 half of one."""
    paths = [patch.get_path() for patch in figure.axes[0].patches if isinstance(patch, PathPatch)]
    return [np.asarray(path.vertices) for path in paths]


def chain(*operations: str, side: int = 8) -> list[ArchitectureLayer]:
    names = [f"layer{n}" for n in range(len(operations))]
    before = [(), *((name,) for name in names)]
    return [
        ArchitectureLayer(name, operation, 4, side, side, f"{n}/1", inputs)
        for n, (name, operation, inputs) in enumerate(zip(names, operations, before, strict=False))
    ]
