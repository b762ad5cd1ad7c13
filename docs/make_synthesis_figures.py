"""The figures of docs/synthesis.md: what excites filters and classes most, and what layers keep of pictures.

Run: ``python docs/make_synthesis_figures.py FOLDER``; goes on in FOLDER where it stopped. A quarter of an hour
of one core. The photographs are scikit-image's, the clothes of Debian's package dataset-fashion-mnist.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from make_figures import PHOTOGRAPHS, keep
from make_paper_figures import beneath
from PIL import Image

from layerscope import (
    GRADIENT,
    Network,
    Unit,
    load_image,
    load_network,
    open_images,
    reconstruct,
    show_signal,
)
from layerscope.drawing.canvas import save_figure
from layerscope.drawing.picture_grid import Cell, picture_pages
from layerscope.drawing.render import as_rgb
from layerscope.drawing.sprites import read_sprite
from layerscope.filters.top_filters import top_filters
from layerscope.reconstruction.descent import Class
from layerscope.study.folder import Study
from layerscope.study.sources import images_of, remember_sources
from layerscope.sweep.making import sweep_study
from layerscope.sweep.top_patches import TopPatches
from layerscope.synthesis import InvertOptions, MaximiseOptions, add_maximised, make_inverted, make_maximised

EXAMPLES = Path(__file__).parent.parent / "examples"
VIEWED = (
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png"),
    *("hubble_deep_field.jpg", "motorcycle_left.png", "rocket.jpg"),
)
LAYERS = {"alexnet": ("c1", "c3", "c5"), "vgg16": ("c4_1",)}
BESIDE = ["c1", "c3", "c5", "c1_2", "c3_3", "c5_3", "p5", "fc6", "fc8"]
CHARTED = [*BESIDE, "c2", "c4", "c2_2", "c4_3", "p1", "p2", "p3", "p4", "fc7"]
WIDTH, NARROW, SIDE = 1000, 750, 128


def main(folder: Path) -> None:
    """Make all, and put them among the figures."""
    filters(folder)
    inversions(folder)
    classes(folder)


def filters(folder: Path) -> None:
    """Two live filters of each layer, drawn by lot: by waves alone, and like their patches."""
    networks = [load_network(name, "imagenet-trunk") for name in LAYERS]
    study, pages = studied(folder, networks), dict[tuple[str, str, str], Image.Image]()
    for network in networks:
        units = [unit for layer in LAYERS[network.name] for unit in drawn(study, network, layer, 2)]
        for prior in ("fourier", "study"):
            options = MaximiseOptions(prior=prior)
            study = add_maximised(study, network, images_of(study), units, options=options)
            for layer in LAYERS[network.name]:
                page = Image.open(study.path / network.name / "maximised" / f"{layer}.png").convert("RGB")
                pages[network.name, layer, prior] = narrow(page)
    keep(beneath([pages["alexnet", layer, "fourier"] for layer in LAYERS["alexnet"]]), "maximised", NARROW)
    keep(beneath([pages["alexnet", layer, "study"] for layer in ("c3", "c5")]), "maximised-study", NARROW)
    keep(beneath([pages["vgg16", "c4_1", way] for way in ("fourier", "study")]), "maximised-vgg16", NARROW)


def studied(folder: Path, networks: Sequence[Network]) -> Study:
    """The strongest nine patches of each filter over 160 views of ten photographs."""
    views = folder / "views"
    if not views.exists():
        files = [str(PHOTOGRAPHS / name) for name in VIEWED]
        subprocess.run([sys.executable, EXAMPLES / "views.py", views, "16", *files], check=True)
    images = open_images(views)
    study = sweep_study(networks, images, [TopPatches(9)], folder / "study")
    remember_sources(study, networks, images)
    return Study.open(study.path)


def drawn(study: Study, network: Network, layer: str, count: int) -> list[Unit]:
    """Filters by lot, of those that fire in nine pictures."""
    live = [one.channel for one in top_filters(study, network, [layer]) if len(one.patches) == 9]
    chosen = np.random.default_rng(0).choice(live, count, replace=False)
    return [Unit(layer, channel) for channel in sorted(chosen.tolist())]


def narrow(page: Image.Image) -> Image.Image:
    """The page as wide as the figure, at most."""
    height = round(page.height * WIDTH / page.width)
    return page if page.width <= WIDTH else page.resize((WIDTH, height), Image.Resampling.LANCZOS)


def inversions(folder: Path) -> None:
    """Two photographs through AlexNet, and clothes through two networks beside each other."""
    files = [PHOTOGRAPHS / name for name in ("chelsea.png", "rocket.jpg")]
    layers = ["c1", "c3", "c5", "p5"]
    make_inverted([load_network("alexnet", "imagenet-trunk")], files, folder / "inverted", layers=layers)
    keep(Image.open(folder / "inverted" / "inverted.png"), "inverted", NARROW)
    both = [load_network(name, "fashion") for name in ("alexcnn", "vggcnn")]
    make_inverted(both, clothes(folder)[1:2], folder / "clothes", layers=BESIDE)
    keep(Image.open(folder / "clothes" / "inverted.png"), "inverted-clothes", WIDTH)
    alone = InvertOptions(starts=1)
    make_inverted(both, clothes(folder)[:2], folder / "errors", layers=CHARTED, options=alone)
    keep(Image.open(folder / "errors" / "inversion-errors.png"), "inversion-errors", WIDTH)


def clothes(folder: Path) -> list[Path]:
    """The first test picture of each class of Fashion-MNIST."""
    pictures = folder / "fashion" / "test"
    if not pictures.exists():
        subprocess.run([sys.executable, EXAMPLES / "fashion.py", folder / "fashion", "test"], check=True)
    return [min(place.iterdir()) for place in sorted(pictures.iterdir())]


def classes(folder: Path) -> None:
    """Of each class a picture, its saliency, and the class models: with pixels held small, and by waves."""
    network = load_network("alexcnn", "fashion")
    names = network.classes or ()
    ways = MaximiseOptions(prior="none", decay=1.0), MaximiseOptions()
    seeds = [Class(index) for index in range(len(names))]
    found = {path.parent.name: path for path in clothes(folder)}
    rows: list[list[Cell | None]] = [[], []]
    for seed, name in zip(seeds, names, strict=True):
        values = network.preprocessing.apply(load_image(found[name]))
        signal = reconstruct(network, values[None], [seed], rule=GRADIENT)[seed][0].permute(1, 2, 0).numpy()
        rows[0].append(Cell(as_rgb(network.preprocessing.picture(values)), name, "test picture"))
        rows[1].append(Cell(as_rgb(show_signal(signal, "magnitude").pixels), name, "its saliency"))
    for number, options in enumerate(ways):
        place = folder / f"classes-{number}"
        table = make_maximised(network, seeds, place, options=options)
        rows.append(
            [
                Cell(read_sprite(place / row["file"]), row["class"], f"score {row['activation']:.3g}")
                for row in table.to_pylist()
            ]
        )
    title, caption = (
        "alexcnn on clothes: saliency and class models",
        (
            "Pictures of clothes; beneath them how much each pixel changes the score of their class; the class models, "
            "--prior none --decay 1; and what --prior fourier gives."
        ),
    )
    save_figure(list(picture_pages(title, caption, rows, SIDE)), folder / "classes")
    keep(Image.open(folder / "classes.png"), "classes", WIDTH)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
