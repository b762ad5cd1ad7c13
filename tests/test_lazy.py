"""What is cheap to import stays cheap: heavy libraries wait until something needs them."""

import subprocess
import sys

import pytest

import layerscope

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
        ("from layerscope.study import check_study", "numpy pyarrow"),
        ("from layerscope.network import Box, Options", ""),
        ("from layerscope import choices, progress", ""),
        ("from layerscope import Space", "numpy pyarrow"),
        (
            "from layerscope.plane import clusters, distances, embedding, grid, regions, truth",
            "numpy pyarrow",
        ),
        (
            "from layerscope import load_image, open_images\nfrom layerscope.images import ImageSet, find_images",
            "PIL numpy",
        ),
    ],
)
def test_an_import_loads_only_what_it_needs(statements: str, needed: str) -> None:
    assert loaded(statements) <= set(needed.split())


@pytest.mark.parametrize(
    "words",
    ["--version", "--help", "reconstruct --help", "study --help", "space make --help", "check --help"],
)
def test_the_command_line_says_what_it_can_do_without_loading_anything(words: str) -> None:
    start = f"from layerscope.cli.main import main\nmain({words.split()!r}, standalone_mode=False)"
    assert loaded(start) == set()


def test_every_name_at_the_top_is_there_and_every_error() -> None:
    names = [name for name in vars(layerscope)["__all__"] if name != "__version__"]
    for name in names:
        assert getattr(layerscope, name) is not None
    errors = {kind.__name__ for kind in _errors(layerscope.LayerscopeError)}
    assert errors <= set(names)


def _errors(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(_errors(below) for below in kind.__subclasses__()))
