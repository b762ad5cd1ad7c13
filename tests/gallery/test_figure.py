"""That figures hold what they must, nothing on anything else, and come out of the file as they went in."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from layerscope.drawing.render import Panel, Pixels, read_png, show_signal
from layerscope.errors import DisplayError, OutputError
from layerscope.gallery.figure import (
    Head,
    PictureRows,
    Row,
    Truth,
    architecture_figure,
    reconstruction_figure,
    save_figure,
)
from tests.support.looking import chain, images, meeting, on_page, outside, texts, words

VGG = tuple(f"c{group}_{n}" for group in range(1, 7) for n in range(1, 4))
ALEX = ("c1", "p1", "c2", "p2", "c3", "c4", "c5", "p5")
DENSE = tuple(
    f"features.denseblock{b}.denselayer{n}.conv{c}" for b in (1, 4) for n in range(1, 13) for c in (1, 2)
)
BEST = (
    ("space shuttle", 0.913),
    ("missile", 0.051),
    ("black-and-tan coonhound, or whatever else a dictionary of classes may say", 0.021),
    ("projectile", 0.004),
    ("warplane", 0.0002),
)
NOTE = "no predictions: these weights end at c5"
RULE = show_signal(np.zeros((1, 1, 3))).rule


def picture(height: int, width: int, seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def row(
    title: str,
    layers: tuple[str, ...],
    predictions: tuple[tuple[str, float], ...] | None = BEST,
    size: tuple[int, int] = (16, 16),
    note: str = "",
) -> Row:
    panels = tuple(
        (name, Panel(picture(*size, 1 + n), 1.0, "signed", -1.0, RULE)) for n, name in enumerate(layers)
    )
    return Row(title, picture(*size, 0), panels, predictions, note)


def judged(layers: tuple[str, ...], place: int | None, size: tuple[int, int] = (16, 16)) -> Row:
    """With a word or two on each panel, and the right class at a place."""
    heads = tuple(Head(f"{10 * n + 3} px", n / len(layers)) for n in range(len(layers)))
    known = row("vgg", layers, size=size)
    return replace(known, heads=heads, truth=Truth("a class of some name", place))


def one(*rows: Row, name: str = "astronaut") -> list[PictureRows]:
    return [PictureRows(name, rows)]


FIGURES = {
    "one network": one(row("vgg", ALEX)),
    "one layer": one(row("vgg", ("c1",), None, note=NOTE)),
    "no layer": one(row("vgg", ())),
    "two networks": [
        PictureRows(n, (row("alex", ALEX), row("vgg", VGG))) for n in ("cat", "dog", "a/long_name.of-a.jpg")
    ],
    "same layers": [PictureRows(n, (row("first", ALEX), row("second", ALEX))) for n in ("cat", "dog")],
    "half predicted": one(row("alex", ALEX, None, note=NOTE * 9), row("vgg", VGG)),
    "none predicted": one(row("alex", ALEX, None, note=NOTE), row("vgg", VGG, None, note=NOTE)),
    "many long names": one(row("densenet121", DENSE), row("alex", ALEX)),
    "wide": one(row("alex", ALEX, size=(10, 30)), row("a network of some name", ALEX[:3], size=(10, 30))),
    "tall": one(row("alex", ALEX, size=(30, 10))),
    "mixed sizes": one(row("alex", ALEX, size=(16, 16)), row("inception", VGG, size=(23, 25))),
    "judged": [PictureRows(n, (judged(ALEX, 0), judged(VGG, 1))) for n in ("cat", "dog")],
    "missed": one(judged(ALEX, 5), judged(ALEX, None, (10, 30)), judged(DENSE, 12345)),
    "strange letters": one(row("$x^2_$ 猫\n", ("$c_1$", "猫")), name="\t猫 ± é {0} %s"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_lies_on_anything_else_or_off_the_page(name: str) -> None:
    figure = reconstruction_figure(FIGURES[name])
    boxes = on_page(figure, images(figure)) + on_page(figure, texts(figure))
    assert meeting(boxes) == []
    assert outside(figure, boxes) == []


def test_the_overlap_check_can_fail() -> None:
    figure = reconstruction_figure(FIGURES["one network"])
    figure.axes[0].text(texts(figure)[0].get_position()[0], texts(figure)[0].get_position()[1], "on top")
    assert meeting(on_page(figure, texts(figure))) != []


@pytest.mark.parametrize("name", FIGURES)
def test_every_input_and_panel_is_there_once(name: str) -> None:
    figure = reconstruction_figure(FIGURES[name])
    wanted = [
        pixels.tobytes()
        for block in FIGURES[name]
        for each in block.rows
        for pixels in (each.input, *(panel.pixels for _, panel in each.panels))
    ]
    assert sorted(np.asarray(image.get_array()).tobytes() for image in images(figure)) == sorted(wanted)


def test_shared_layers_have_one_header_on_top() -> None:
    figure = reconstruction_figure(FIGURES["same layers"])
    for name in ("input", *ALEX):
        assert words(figure).count(name) == 1
    heads = [text for text in texts(figure) if text.get_text() in ALEX]
    lowest_head = min(box.y0 for box in on_page(figure, heads))
    assert lowest_head > max(box.y1 for box in on_page(figure, images(figure)))


def test_different_layers_have_heads_over_the_first_row_of_each_network() -> None:
    figure = reconstruction_figure(FIGURES["two networks"])
    assert words(figure).count("input") == 2
    for name in (*(set(ALEX) ^ set(VGG)),):
        assert words(figure).count(name) == 1


def test_a_head_stands_over_its_panel() -> None:
    figure = reconstruction_figure(FIGURES["one network"])
    for name, image in zip(("input", *ALEX), on_page(figure, images(figure)), strict=True):
        (text,) = [text for text in texts(figure) if text.get_text() == name]
        (head,) = on_page(figure, [text])
        assert abs((head.x0 + head.x1) - (image.x0 + image.x1)) < 3
        assert 0 < head.y0 - image.y1 < image.height / 4


def test_a_long_row_goes_on_below_with_all_its_names() -> None:
    figure = reconstruction_figure(FIGURES["many long names"][:1], per_line=20)
    tops = {round(box.y1) for box in on_page(figure, images(figure))}
    assert len(tops) == 4  # 48 panels in three lines, and the other network's row
    shown = "".join(text for text in words(figure))
    assert all(name in shown for name in DENSE)
    lefts = [min(b.x0 for b in on_page(figure, images(figure)) if round(b.y1) == top) for top in sorted(tops)]
    assert lefts[0] == lefts[3] < lefts[1] == lefts[2]  # only the input stands in the first column


def test_rows_are_left_aligned_and_panels_of_one_size() -> None:
    figure = reconstruction_figure(FIGURES["two networks"])
    boxes = on_page(figure, images(figure))
    assert len({(round(box.width), round(box.height)) for box in boxes}) == 1
    lines = {
        y: sorted(round(box.x0) for box in boxes if round(box.y0) == y) for y in {round(b.y0) for b in boxes}
    }
    assert sorted(len(line) for line in lines.values()) == [9, 9, 9, 19, 19, 19]
    longest = max(lines.values(), key=len)
    assert all(line == longest[: len(line)] for line in lines.values())


def test_predictions_are_bars_under_their_words() -> None:
    figure = reconstruction_figure(FIGURES["one network"])
    bars = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    widths = [bar.get_width() for bar in bars]
    assert widths[0] / widths[1] == pytest.approx(0.913 / 0.051)
    assert widths == sorted(widths, reverse=True)
    shown = words(figure)
    assert {"space shuttle", "missile", "91.3%", "5.1%", "<0.1%"} <= set(shown)
    assert [text for text in shown if text.startswith("black-and-tan") and text.endswith("…")]
    right = max(box.x1 for box in on_page(figure, images(figure)))
    assert all(box.x0 > right for box in on_page(figure, bars))


@pytest.mark.parametrize("place", [0, 1, 5, None])
def test_the_right_class_is_marked(place: int | None) -> None:
    figure = reconstruction_figure(one(judged(ALEX, place)))
    shown = [text for text in words(figure) if text[:1] in "✓✗"]
    expected = {
        0: ["✓ space shuttle"],
        1: ["✗ space shuttle", "✓ missile"],
        5: ["✗ space shuttle", "✓ no. 6: a class of some name"],
        None: ["✗ space shuttle", "✓ none of its classes: a class of…"],
    }
    assert shown == expected[place]
    assert not [t for t in words(reconstruction_figure(one(row("vgg", ALEX)))) if t[:1] in "✓✗"]


def test_what_positions_see_is_a_bar_above_each_panel() -> None:
    figure = reconstruction_figure(one(judged(ALEX, 0, (10, 30))))
    bars = [p for p in figure.axes[0].patches if isinstance(p, Rectangle) and p.get_height() < 2]
    panels = on_page(figure, images(figure))[1:]
    for n, panel in enumerate(panels):
        whole, part = on_page(figure, bars[2 * n : 2 * n + 2])
        assert whole.width == pytest.approx(panel.width, abs=1)
        assert part.width == pytest.approx(max(0.5 * figure.dpi / 72, n / len(ALEX) * panel.width), abs=1)
        assert 0 < part.y0 - panel.y1 < 15
    assert [t for t in words(figure) if t.endswith(" px")] == [f"{10 * n + 3} px" for n in range(len(ALEX))]


def test_heads_that_differ_stand_above_every_row() -> None:
    figure = reconstruction_figure(FIGURES["judged"])
    assert words(figure).count("input") == 4
    assert words(figure).count("c1") == 2


def test_a_bar_of_probability_one_stays_on_the_page() -> None:
    figure = reconstruction_figure(one(row("vgg", ALEX, (("cat", 1.0),))))
    (bar,) = on_page(figure, [p for p in figure.axes[0].patches if isinstance(p, Rectangle)])
    assert bar.x1 < figure.bbox.x1


def test_a_missing_prediction_is_explained_beside_the_row_or_in_the_caption() -> None:
    beside = reconstruction_figure(one(row("alex", ALEX, None, note=NOTE * 2), row("vgg", VGG)))
    assert NOTE * 2 not in words(beside)
    assert "no predictions: these weights" in " ".join(words(beside))
    below = reconstruction_figure(FIGURES["none predicted"])
    assert [f"alex: {NOTE}", f"vgg: {NOTE}"] == words(below)[-2:]
    assert below.get_figwidth() < reconstruction_figure(FIGURES["half predicted"]).get_figwidth()


def test_the_caption_states_the_displays_of_the_panels() -> None:
    panels = tuple((display, show_signal(np.ones((9, 9, 3)), display)) for display in ("heat", "minmax"))
    both = [PictureRows("cat", (Row("vgg", picture(9, 9, 0), panels, BEST),))]
    caption = " ".join(words(reconstruction_figure(both))[-3:])
    assert all(panel.rule in caption for _, panel in panels)
    assert words(reconstruction_figure(both, caption="as told"))[-1] == "as told"
    assert panels[0][1].rule not in words(reconstruction_figure(both, caption=""))


@pytest.mark.parametrize(
    ("size", "layers", "repeat"), [((224, 224), ALEX, 1), ((32, 48), ALEX, 4), ((64, 64), VGG, 2)]
)
def test_panels_are_in_the_png_to_the_pixel(
    tmp_path: Path, size: tuple[int, int], layers: tuple[str, ...], repeat: int
) -> None:
    figure = reconstruction_figure(one(row("vgg", layers, size=size), row("alex", layers[:3], size=size)))
    page, _ = read_png(save_figure(figure, tmp_path / "figure")[0])
    assert page.shape[:2] == tuple(int(side) for side in figure.bbox.size[::-1])
    for image in images(figure):
        box = image.get_window_extent()
        left, top = round(box.x0), round(page.shape[0] - box.y1)
        assert box.x0 == pytest.approx(left, abs=1e-3)
        drawn = page[top : top + repeat * size[0], left : left + repeat * size[1], :3]
        pixels = np.asarray(image.get_array())
        assert np.array_equal(drawn, pixels.repeat(repeat, axis=0).repeat(repeat, axis=1))


def test_wide_figures_stay_of_a_sane_size() -> None:
    wide = reconstruction_figure(FIGURES["two networks"])
    assert wide.get_figwidth() < 16
    huge = reconstruction_figure(one(row("vgg", ALEX, size=(2000, 2000))))
    assert huge.bbox.width < 6000


@pytest.mark.parametrize(
    ("pictures", "options", "line"),
    [
        ([], {}, "there is no row to draw"),
        ([PictureRows("cat", ())], {}, "there is no row to draw"),
        (one(row("vgg", ALEX)), {"per_line": 0}, "per_line is 0"),
        (one(row("vgg", ALEX, (("cat", 1.5),))), {}, "vgg: the probability of cat is 1.5"),
        (one(row("vgg", ALEX, (("cat", float("nan")),))), {}, "probability of cat is nan"),
        (one(Row("vgg", np.zeros((4, 4), np.uint8), ())), {}, r"vgg, input: .*got uint8 \(4, 4\)"),
        (
            one(Row("vgg", picture(4, 4, 0), (("c1", Panel(np.zeros((4, 4, 3)), 1.0, "signed")),))),  # type: ignore[arg-type]
            {},
            r"vgg, c1: .*got float64",
        ),
    ],
)
def test_what_cannot_be_drawn_is_named(
    pictures: list[PictureRows], options: dict[str, int], line: str
) -> None:
    with pytest.raises(DisplayError, match=line):
        reconstruction_figure(pictures, **options)  # type: ignore[arg-type]


def test_one_figure_and_several_pages(tmp_path: Path) -> None:
    figure = reconstruction_figure(FIGURES["one network"])
    assert [path.name for path in save_figure(figure, tmp_path / "fig.v1")] == ["fig.v1.png", "fig.v1.pdf"]
    pages = save_figure(
        [figure, architecture_figure("net", (8, 8), chain("conv 3x3"))] * 5, tmp_path / "book"
    )
    assert [path.name for path in pages] == [f"book-{n:02d}.png" for n in range(1, 11)] + ["book.pdf"]
    assert len(re.findall(rb"/Type /Page\b", pages[-1].read_bytes())) == 10
    assert sorted(tmp_path.iterdir()) == sorted([*pages, tmp_path / "fig.v1.png", tmp_path / "fig.v1.pdf"])


def test_the_pdf_has_real_fonts_every_panel_as_it_is_and_no_date(tmp_path: Path) -> None:
    figure = reconstruction_figure(one(row("vgg", VGG, size=(40, 40))))
    content = save_figure(figure, tmp_path / "figure")[1].read_bytes()
    assert b"/Subtype /Type3" not in content
    assert b"/FontFile2" in content
    assert content.count(b"/Width 40") == 1 + len(VGG)
    assert b"CreationDate" not in content
    mixed = reconstruction_figure(FIGURES["mixed sizes"])
    content = save_figure(mixed, tmp_path / "mixed")[1].read_bytes()
    assert content.count(b"/Subtype /Image") == len(images(mixed))


SAVE_TWO = """
import sys
from pathlib import Path
from tests.support.looking import chain
from tests.gallery.test_figure import FIGURES, architecture_figure, reconstruction_figure, save_figure
network = architecture_figure("net", (8, 8), chain("conv 3x3"))
save_figure([reconstruction_figure(FIGURES["two networks"]), network], Path(sys.argv[1]))
assert "matplotlib.pyplot" not in sys.modules
"""


def test_a_run_again_gives_the_same_bytes(tmp_path: Path) -> None:
    for seed in "12":
        (tmp_path / seed).mkdir()
        subprocess.run(
            [sys.executable, "-c", SAVE_TWO, str(tmp_path / seed / "figure")],
            check=True,
            cwd=Path(__file__).parents[2],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            },
        )
    names = ["figure-1.png", "figure-2.png", "figure.pdf"]
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == names
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_the_users_settings_neither_matter_nor_change(tmp_path: Path) -> None:
    plain = [
        path.read_bytes()
        for path in save_figure(reconstruction_figure(FIGURES["one network"]), tmp_path / "a")
    ]
    with matplotlib.rc_context():
        matplotlib.rcParams.update({"savefig.bbox": "tight", "figure.autolayout": True, "font.size": 30.0})
        matplotlib.rcParams.update(
            {"pdf.fonttype": 3, "axes.grid": True, "image.origin": "lower", "savefig.dpi": 50}
        )
        before = dict(matplotlib.rcParams)
        paths = save_figure(reconstruction_figure(FIGURES["one network"]), tmp_path / "b")
        assert dict(matplotlib.rcParams) == before
    assert [path.read_bytes() for path in paths] == plain


def test_a_figure_shows_itself_in_a_notebook(tmp_path: Path) -> None:
    figure = reconstruction_figure(FIGURES["one network"])
    shown = figure._repr_png_()
    assert shown == save_figure(figure, tmp_path / "figure")[0].read_bytes()


def test_a_figure_that_cannot_be_saved_is_named(tmp_path: Path) -> None:
    with pytest.raises(DisplayError, match="there is no figure to save"):
        save_figure([], tmp_path / "figure")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file.figure\.png cannot be written"):
        save_figure(reconstruction_figure(FIGURES["one layer"]), tmp_path / "file" / "figure")
