"""What is cheap to import stays cheap: heavy libraries wait until something needs them."""

import subprocess
import sys

import pytest

HEAVY = frozenset(
    """PIL captum matplotlib numba numpy openTSNE pandas pyarrow pypi_simple ray requests safetensors scipy shufflesnap
    skimage sklearn torch torchvision tqdm webdataset""".split()
)


def loaded(statements: str) -> set[str]:
    """The heavy libraries that a fresh Python has loaded after the statements."""
    program = f"import sys\n{statements}\nprint('loaded', *sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stderr.rpartition("loaded ")[2].split()) & HEAVY


def test_heavy_libraries_are_noticed() -> None:
    assert {"numpy", "torch", "torchvision"} <= loaded("from layerscope import load_network")


@pytest.mark.parametrize(
    ("statements", "needed"),
    [
        ("import layerscope; dir(layerscope)", ""),
        ("from layerscope.errors import LayerscopeError", ""),
        ("from layerscope.network.geometry import Box", ""),
        ("from layerscope.disk import whole, locks", ""),
        ("from layerscope.zoo import downloads", "pypi_simple requests tqdm"),
        ("from layerscope import Study", "numpy pyarrow"),
        ("from layerscope import check_study", "numpy pyarrow"),
        ("from layerscope import Space", "numpy pyarrow"),
        (
            "from layerscope.plane import clusters, distances, embedding, grid, regions, truth",
            "numpy pyarrow",
        ),
        ("from layerscope import ImageSet, find_images, load_image, open_images", "PIL numpy"),
    ],
)
def test_an_import_loads_only_what_it_needs(statements: str, needed: str) -> None:
    assert loaded(statements) <= set(needed.split())


@pytest.mark.parametrize(
    "words", ["--version", "--help", "reconstruct --help", "study --help", "space --help"]
)
def test_the_command_line_says_what_it_can_do_without_loading_anything(words: str) -> None:
    start = f"from layerscope.cli.main import main\nmain({words.split()!r}, standalone_mode=False)"
    assert loaded(start) == set()
