"""A page to draw on, in points (1/72 inch), x to the right and y down, and how pages become files.

The place of each thing is plain arithmetic. A page is an object of its own: nothing here touches pyplot or
its state. Text is set in the font that comes with matplotlib, so a figure is the same everywhere.
"""

import io
import math
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import final

import matplotlib
import numpy as np
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.image import AxesImage
from matplotlib.patches import Patch, Rectangle
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D
from PIL import Image

from layerscope.disk.whole import written_whole
from layerscope.drawing.encoding import encode_png
from layerscope.drawing.render import Pixels
from layerscope.errors import DisplayError

INK, FAINT = "#1f1f1f", "#666666"
SMALLEST = 4.5  # points; below it words are shortened instead
LEADING = 1.2
SPACES, NAME_BREAKS = r"\s", r"\s._/"  # where lines of a sentence, and of a layer's name, may begin
_FONT = "DejaVu Sans"
_ONE_SAVES = threading.Lock()


@final
class Page(Figure):
    """A figure that shows itself in a notebook, without pyplot."""

    def _repr_png_(self) -> bytes:
        return encode_png(page_image(self), dpi=self.dpi)


@dataclass(frozen=True)
class Canvas:
    """Draws on a page. One pixel is `pixel` points; images lie on whole pixels, so none is blurred."""

    page: Page
    pixel: float

    @classmethod
    def blank(cls, dpi: float) -> "Canvas":
        """A page without a size yet; `cut` gives it one when all is drawn."""
        page = Page(dpi=dpi, facecolor="white")
        page.set_layout_engine("none")
        axes = page.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_autoscale_on(False)
        return cls(page, 72 / dpi)

    def cut(self, width: float, height: float) -> Page:
        """Cut the page to a size, rounded up to whole pixels."""
        across, down = math.ceil(width / self.pixel - 1e-6), math.ceil(height / self.pixel - 1e-6)
        self.page.set_size_inches((across + 1e-6) / self.page.dpi, (down + 1e-6) / self.page.dpi)
        self.page.axes[0].set(xlim=(0, across * self.pixel), ylim=(down * self.pixel, 0))
        return self.page

    def snap(self, length: float) -> float:
        """The nearest whole number of pixels, in points."""
        return round(length / self.pixel) * self.pixel

    def text(self, x: float, y: float, words: str, size: float, **style: str | float) -> None:
        """Write one line; x is its middle and y its baseline unless the style says otherwise."""
        style = {"va": "baseline", "ha": "center", "color": INK, "size": size, "zorder": 5, **style}
        self.page.axes[0].text(
            x, y, drawable(words), None, family=_FONT, parse_math=False, usetex=False, **style
        )

    def title(self, x: float, y: float, words: str, size: float, width: float) -> None:
        """Write one bold line that begins at x, no wider than a width: smaller, then shortened."""
        words, size = fitted(words, width, size, "bold")
        self.text(x, y, words, size, ha="left", weight="bold")

    def patch(self, patch: Patch) -> None:
        """Add a shape."""
        self.page.axes[0].add_artist(patch)  # `add_patch` looks where it ends, for axes that grow

    def box(self, x: float, y: float, width: float, height: float, color: str) -> None:
        """Fill a rectangle."""
        self.patch(Rectangle((x, y), width, height, color=color, linewidth=0))

    def image(self, pixels: Pixels, x: float, y: float, width: float, height: float) -> None:
        """Put pixels into the middle of a box, as large as fits."""
        rows, columns = pixels.shape[:2]
        fit = min(width / columns, height / rows)
        wide, high = self.snap(columns * fit), self.snap(rows * fit)
        left, top = self.snap(x + (width - wide) / 2), self.snap(y + (height - high) / 2)
        repeats = (wide / self.pixel / columns, high / self.pixel / rows)
        exact = all(round(n) >= 1 and abs(n - round(n)) < 1e-6 for n in repeats)
        kind = _Picture if exact else AxesImage
        image = kind(self.page.axes[0], extent=(left, left + wide, top + high, top), origin="upper")
        image.set_data(pixels)
        self.page.axes[0].add_image(image)


@final
class _Picture(AxesImage):
    """Pixels of which each is a square of whole pixels of the page's: drawn as they are, never resampled.

    Matplotlib goes through several copies of an image on the way to one that is the same.
    """

    def draw(self, renderer: RendererBase) -> None:
        """Into a picture: its pixels, repeated; into a document: as they are, and how large that is."""
        left, right, bottom, top = self.get_extent()
        (x, y), (end, over) = self.get_transform().transform([(left, bottom), (right, top)])
        context, rising = renderer.new_gc(), np.asarray(self.get_array(), np.uint8)[::-1]
        rows, columns = rising.shape[:2]
        if renderer.option_scale_image():
            renderer.draw_image(context, x, y, rising, Affine2D().scale(end - x, over - y))
        else:
            down, across = round((over - y) / rows), round((end - x) / columns)
            opaque = np.full((down * rows, across * columns, 4), 255, np.uint8)
            opaque[..., :3] = rising.repeat(down, axis=0).repeat(across, axis=1)
            renderer.draw_image(context, round(x), round(y), opaque)
        context.restore()


def text_width(words: str, size: float, weight: str = "normal") -> float:
    """Width of one line, in points."""
    return size * _width_at_one(words, weight)


@cache
def _width_at_one(words: str, weight: str) -> float:
    font = FontProperties(family=_FONT, weight=weight, size=100)
    return float(text_to_path.get_text_width_height_descent(words, font, False)[0]) / 100


def drawable(words: str) -> str:
    """The words with a box for each character that the font lacks, line breaks among them."""
    font = get_font(findfont(FontProperties(family=_FONT)))
    return "".join(c if font.get_char_index(ord(c)) else "□" for c in words)


def fitted(words: str, width: float, size: float, weight: str = "normal") -> tuple[str, float]:
    """The words and a font size that fit a width: smaller letters first, then an ellipsis."""
    words = drawable(words)
    size = min(size, max(SMALLEST, width / max(_width_at_one(words, weight), 1e-9)))
    return shortened(words, width, size, weight), size


def shortened(words: str, width: float, size: float, weight: str = "normal") -> str:
    """The words, their end replaced by an ellipsis if they are wider than width."""
    words = drawable(words)
    if text_width(words, size, weight) <= width * (1 + 1e-9):
        return words
    while words and text_width(words + "…", size, weight) > width:
        words = words[:-1]
    return words.rstrip(" ,.(-_") + "…"


def broken(words: str, width: float, size: float, most: int, before: str = SPACES) -> list[str]:
    """The words in lines no wider than width, broken only before the characters of the class `before`.

    Of more than `most` lines the first and the last ones stay, an ellipsis between them.
    """
    lines = [""]
    for piece in _pieces(drawable(words), before):
        if lines[-1] and text_width(lines[-1] + piece, size) > width:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    if len(lines) > most:
        lines = [lines[0], "…", *lines[len(lines) - most + 2 :]] if most > 2 else [" ".join(lines)]
    return [shortened(line, width, size) for line in lines]


def size_for_names(names: Iterable[str], width: float, largest: float) -> float:
    """The font size, SMALLEST or more, at which the longest unbroken piece of any layer's name fits."""
    pieces = {piece for name in names for piece in _pieces(drawable(name), NAME_BREAKS)}
    widest = max((_width_at_one(piece, "normal") for piece in pieces), default=0.0)
    return max(SMALLEST, min(largest, width / max(widest, 1e-9)))


def _pieces(words: str, before: str) -> list[str]:
    return re.findall(rf"[{before}]*[^{before}]+|[{before}]+$", words)


@dataclass(frozen=True)
class Heading:
    """A page's title and the caption under it. Letters in points, all else in the page's pixels.

    ``base``: from the border to the title's base; ``first``: from there to the caption's, then ``leading`` to each
    next line, and ``last`` to what follows. ``room``: the share of the width that a title takes at most.
    """

    border: int
    base: int = 22
    first: int = 24
    leading: int = 24
    last: int = 30
    letters: float = 11.0
    small: float = 6.5
    lines: int = 4
    room: float = 1.0

    def draw(self, canvas: Canvas, title: str, caption: str, width: int) -> int:
        """Draw both, no wider than a width; where all else begins, in pixels from the top."""
        pixel, x, y = canvas.pixel, self.border * canvas.pixel, self.border + self.base
        canvas.title(x, y * pixel, title, self.letters, self.room * width * pixel)
        for number, line in enumerate(broken(caption.strip(), width * pixel, self.small, self.lines)):
            y += self.leading if number else self.first
            canvas.text(x, y * pixel, line, self.small, ha="left", color=FAINT)
        return y + self.last


def figure_files(
    figures: Figure | Sequence[Figure], stem: str, *, photographs: bool = False
) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the PNG and PDF files of figures; the same figures give the same bytes.

    One figure becomes ``stem.png`` and ``stem.pdf``; several become ``stem-1.png``, ... and pages of one PDF.
    ``photographs``: they are most of what is on them. Raises DisplayError without figures.
    """
    pages = (figures,) if isinstance(figures, Figure) else tuple(figures)
    if not pages:
        raise DisplayError(f"{stem}: there is no figure to save; give at least one")
    digits = len(str(len(pages)))
    with ThreadPoolExecutor(1, thread_name_prefix="png") as beside:
        drawn = [
            beside.submit(encode_png, page_image(page), dpi=page.dpi, photograph=photographs)
            for page in pages
        ]
        document = _document(pages)
        for number, image in enumerate(drawn, 1):
            tail = "" if len(pages) == 1 else f"-{number:0{digits}d}"
            yield f"{stem}{tail}.png", image.result()
    yield f"{stem}.pdf", document


def _document(pages: Sequence[Figure]) -> bytes:
    memory = io.BytesIO()
    with _saving(), PdfPages(memory, metadata={"CreationDate": None}) as book:
        for page in pages:
            book.savefig(page, dpi=page.dpi, facecolor="white")
    return memory.getvalue()


def save_figure(figures: Figure | Sequence[Figure], path_stem: Path) -> tuple[Path, ...]:
    """Write figures as PNG and PDF, named as `figure_files` says, and return the paths.

    Each file is written whole or not at all. Raises DisplayError without figures, OutputError if one cannot be
    written.
    """
    paths = []
    for name, content in figure_files(figures, path_stem.name):
        paths.append(path_stem.with_name(name))
        with written_whole(paths[-1]) as part:
            part.write_bytes(content)
    return tuple(paths)


def page_image(page: Figure) -> Image.Image:
    """A page as a picture, RGB."""
    memory, size = io.BytesIO(), page.canvas.get_width_height()
    with _saving():
        page.savefig(memory, format="rgba", dpi=page.dpi, facecolor="white")
    return Image.frombuffer("RGBA", size, memory.getvalue(), "raw", "RGBA", 0, 1).convert("RGB")


@contextmanager
def _saving() -> Iterator[None]:
    """Matplotlib takes how to embed fonts and images from global settings only, so one saves at a time."""
    with _ONE_SAVES, matplotlib.rc_context():
        matplotlib.rcParams["pdf.fonttype"] = 42  # TrueType, which journals accept; the default is Type 3
        matplotlib.rcParams["image.composite_image"] = False  # each panel as it is, not all in one bitmap
        matplotlib.rcParams["savefig.bbox"] = None  # the whole page
        yield
