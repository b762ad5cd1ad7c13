"""The pictures of the documentation, made by the code it documents. Run: ``python docs/make_figures.py``.

Those of representation spaces take longer: `make_space_figures.py` makes them.

Uses the named weights and five of the photographs that scikit-image carries, all CC0 or public domain.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import skimage
from PIL import Image

from layerscope import (
    DECONVNET,
    GRADIENT,
    GUIDED,
    Network,
    Unit,
    load_image,
    load_network,
    reconstruct,
    show_architecture,
    show_reconstructions,
    show_signal,
)
from layerscope.choices import DISPLAYS
from layerscope.gallery import Look
from layerscope.gallery.figure import PictureRows, Row, reconstruction_figure
from layerscope.reconstruction import Rule
from layerscope.zoo import read_architecture

FOLDER = Path(__file__).parent / "figures"
PHOTOGRAPHS = Path(skimage.__file__).parent / "data"
WIDTH, COLOURS = 1200, 256  # the files stay small enough to keep beside the code
MOBILENET_LAYERS = (
    "features.0.0",
    "features.2",
    "features.4",
    "features.7",
    "features.11",
    "features.17",
    "classifier.1",
)


def main() -> None:
    """Make them all."""
    FOLDER.mkdir(exist_ok=True)
    vgg16, alexnet = (load_network(name, "imagenet-trunk", progress=True) for name in ("vgg16", "alexnet"))
    mobilenet = load_network("mobilenet_v2", progress=True)
    figures: Mapping[str, Callable[[], Any]] = {
        "reconstructions": lambda: compared([vgg16, alexnet], "astronaut.png", "chelsea.png", "coffee.png"),
        "reconstructions-2": lambda: compared([vgg16, alexnet], "camera.png", "rocket.jpg"),
        "rules": lambda: rules(vgg16, ("c2_1", "c3_3", "c4_2", "c5_1"), DECONVNET, GUIDED, GRADIENT),
        "no-pools": lambda: rules(mobilenet, MOBILENET_LAYERS, DECONVNET, GUIDED),
        "overlap": lambda: overlaps(alexnet),
        "displays": lambda: displays(vgg16),
        "units": lambda: units(vgg16),
        "predictions": lambda: predictions(mobilenet),
        "architecture": lambda: show_architecture(read_architecture("vggcnn")),
    }
    for name, make in figures.items():
        save(make(), name)


def photographs(*names: str) -> list[Path]:
    """Where scikit-image keeps these."""
    return [PHOTOGRAPHS / name for name in names]


def compared(networks: Sequence[Network], *names: str) -> Any:
    """Photographs through several networks."""
    return show_reconstructions(networks, photographs(*names), Look(layers="even"))


def rules(network: Network, layers: Sequence[str], *choices: Rule) -> Any:
    """One photograph under several rules."""
    rows = [_row(network, "chelsea.png", layers, rule) for rule in choices]
    return reconstruction_figure([PictureRows(f"chelsea, {network.name}", tuple(rows))])


def overlaps(network: Network) -> Any:
    """Overlapping pools summed, and overwritten."""
    choices = (DECONVNET, replace(DECONVNET, name="overwrite", overlap="overwrite"))
    rows = [_row(network, "coffee.png", ("c3", "c5"), rule) for rule in choices]
    return reconstruction_figure([PictureRows("coffee", (replace(rows[0], title="sum"), rows[1]))])


def displays(network: Network) -> Any:
    """One reconstruction in each display."""
    values, signals = _signals(network, "rocket.jpg", ("c4_2",), DECONVNET)
    panels = tuple((name, show_signal(signals["c4_2"], name)) for name in DISPLAYS)
    row = Row(network.name, network.preprocessing.picture(values), panels)
    return reconstruction_figure([PictureRows("rocket", (row,))])


def units(network: Network) -> Any:
    """A layer, and the channels of it that the photograph excites most, each at its strongest position."""
    values = network.preprocessing.apply(load_image(PHOTOGRAPHS / "chelsea.png"))
    maps = network.representations(values[None], ["c5_1"])["c5_1"][0]
    strongest = maps.flatten(1).max(1).values.topk(4).indices.tolist()
    found = tuple(Unit("c5_1", c, *divmod(int(maps[c].argmax()), maps.shape[2])) for c in strongest)
    return show_reconstructions(network, photographs("chelsea.png"), Look(layers=("c5_1",), units=found))


def predictions(network: Network) -> Any:
    """A whole network, with what it predicts."""
    look = Look(MOBILENET_LAYERS, rule=GUIDED)
    return show_reconstructions(network, photographs("chelsea.png", "coffee.png"), look)


def _row(network: Network, photograph: str, layers: Sequence[str], rule: Rule) -> Row:
    values, signals = _signals(network, photograph, layers, rule)
    panels = tuple((name, show_signal(signal)) for name, signal in signals.items())
    return Row(rule.name, network.preprocessing.picture(values), panels)


def _signals(
    network: Network, photograph: str, layers: Sequence[str], rule: Rule
) -> tuple[Any, Mapping[str, Any]]:
    """The network's input, and for each layer the signal (height, width, channels)."""
    values = network.preprocessing.apply(load_image(PHOTOGRAPHS / photograph))
    found = reconstruct(network, values[None], layers, rule=rule)
    return values, {name: found[name][0].permute(1, 2, 0).numpy() for name in layers}


def save(figure: Any, name: str) -> None:
    """Write a figure as a PNG of limited width, with a palette."""
    keep(Image.open(io.BytesIO(figure._repr_png_())), name, WIDTH)


def keep(drawn: Image.Image, name: str, width: int) -> None:
    """Write a picture as a PNG of limited width, with a palette."""
    drawn = drawn.convert("RGB")
    if drawn.width > width:
        drawn = drawn.resize((width, round(drawn.height * width / drawn.width)), Image.Resampling.LANCZOS)
    palette = drawn.quantize(COLOURS, kmeans=3)
    path = FOLDER / f"{name}.png"
    drawn.quantize(palette=palette).save(path, optimize=True)
    print(f"{path.name}: {drawn.width} x {drawn.height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
