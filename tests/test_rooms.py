"""Who may import whom. A new module needs a line here and in CONTRIBUTING."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "layerscope"
SHEET = SOURCE.parent.parent / "CONTRIBUTING.md"

# What each room may import of layerscope, and of other people's packages; "~" marks what must wait inside functions.
ROOMS = {
    "errors": "",
    "files": "errors",
    "locks": "errors",
    "geometry": "errors",
    "tracing": "torch",
    "graph": "errors torch tracing",
    "reading": "errors geometry graph",
    "layers": "geometry graph reading",
    "preprocessing": "errors numpy PIL torch",
    "network": "convolution errors geometry graph layers preprocessing reading torch",
    "sharing": "errors torch",
    "winograd": "geometry sharing ~winograd_kernels numpy torch",
    "winograd_kernels": "numba numpy",
    "convolution": "geometry graph reading winograd torch",
    "switches": "geometry reading torch",
    "rules": "convolution errors geometry graph reading switches torch",
    "reconstruction": "convolution errors graph network rules torch",
    "windows": "errors geometry",
    "window_rules": "convolution geometry graph reading rules switches windows torch",
    "units": "convolution errors geometry graph network reconstruction rules window_rules windows torch",
    "paper": "errors torch",
    "downloads": "errors pypi_simple requests tqdm",
    "weights": "downloads errors platformdirs ~torch ~torchvision",
    "states": "errors numpy safetensors torch",
    "zoo": "errors network paper preprocessing states weights torch torchvision",
    "images": "errors numpy PIL",
    "shards": "errors images",
    "datasets": "errors numpy PIL",
    "imagesets": "datasets errors images shards numpy PIL",
    "reading_ahead": "errors images imagesets PIL",
    "charts": "canvas render matplotlib",
    "render": "errors files matplotlib numpy PIL",
    "canvas": "files render matplotlib",
    "architecture": "canvas render matplotlib numpy",
    "figures": "architecture canvas render numpy",
    "overview": "architecture canvas geometry layers network",
    "gallery": "_version canvas errors figures files images locks network reconstruction render rules PIL torch",
    "tables": "errors files numpy pyarrow",
    "reduction": "~kernels sharing numpy torch",
    "kernels": "reduction numba numpy",
    "exact_sums": "numpy",
    "reducers": "errors layers network reduction numpy pyarrow torch",
    "top_patches": "errors network reducers reduction numpy pyarrow",
    "channel_statistics": "exact_sums network reducers reduction numpy pyarrow",
    "patch_sample": "errors network reducers numpy pyarrow torch",
    "predictions": "errors network reducers numpy pyarrow",
    "sweep": "convolution errors graph imagesets network reading_ahead reducers reduction numpy pyarrow torch",
    "checkpoints": "errors reducers sweep tables numpy",
    "engine": "_version checkpoints imagesets network reducers sweep PIL torch",
    "ray_engine": "checkpoints engine errors sweep ~ray torch",
    "study": "errors files locks tables pyarrow",
    "making": (
        "checkpoints engine errors files imagesets layers locks network reducers study sweep tables "
        "numpy pyarrow torch"
    ),
    "study_check": "checkpoints errors files locks study tables",
    "sparsity": "canvas charts study pyarrow",
    "steps": "errors files locks study tables",
    "top_filters": "errors imagesets layers network study numpy",
    "sources": "errors imagesets network study zoo torch",
    "sprites": "errors geometry render numpy PIL",
    "filter_pages": "canvas render sprites numpy PIL",
    "portrait_sheets": (
        "filter_pages geometry graph layers network steps study tables top_filters numpy pyarrow"
    ),
    "portraits": (
        "errors imagesets layers network patch_crops portrait_sheets render rules sources "
        "sprites steps study top_filters units torch"
    ),
    "distances": "errors numpy ~scipy",
    "embedding": "errors numpy ~openTSNE ~scipy ~sklearn ~threadpoolctl",
    "plane": "errors numpy ~scipy ~shufflesnap",
    "truth_scores": "distances plane numpy",
    "plane_truth": "distances plane truth_scores numpy pyarrow",
    "regions": "errors numpy pyarrow",
    "clusters": "errors regions numpy ~scipy ~sklearn",
    "patches": (
        "errors geometry imagesets layers network patch_sample sources study sweep top_filters numpy pyarrow"
    ),
    "patch_crops": "errors geometry imagesets network reading_ahead render sprites study top_filters numpy PIL",
    "tiles": "geometry render numpy PIL",
    "plane_pictures": "canvas geometry render tiles matplotlib numpy PIL",
    "space": "embedding errors plane regions study tables top_filters numpy pyarrow",
    "space_sheets": "canvas clusters plane_pictures regions render space tables tiles numpy pyarrow",
    "spaces": (
        "canvas clusters embedding errors files imagesets network patch_crops patch_sample patches plane plane_truth "
        "portrait_sheets portraits regions render space space_portraits space_sheets steps study sweep numpy"
    ),
    "placing": (
        "canvas network patch_sample plane_pictures reducers regions sources space space_sheets numpy pyarrow torch"
    ),
    "drawn_regions": (
        "canvas imagesets network patch_crops plane_pictures regions space space_sheets numpy pyarrow"
    ),
    "zooms": "regions render tiles numpy",
    "space_figure": "canvas filter_pages plane_pictures render tiles zooms matplotlib numpy PIL",
    "space_portraits": (
        "canvas errors filter_pages imagesets layers network patch_crops portrait_sheets portraits regions "
        "render space space_figure space_sheets sprites study zooms numpy pyarrow torch"
    ),
    "pipeline": (
        "canvas channel_statistics engine imagesets making network predictions reducers sparsity "
        "study sweep top_patches"
    ),
    "command_line": "errors ~network study ~zoo click ~torch",
    "cli_reconstruct": "command_line click ~gallery ~images ~network ~rules ~tqdm",
    "cli_study": (
        "cli_filters cli_space command_line ~embedding ~engine ~errors ~imagesets ~making ~network ~pipeline ~plane "
        "~portraits ~ray_engine ~rules ~sources ~study ~study_check ~sweep ~units ~zoo click ~tqdm"
    ),
    "cli_filters": "command_line ~imagesets ~network ~portraits ~rules ~sources ~study click ~torch ~tqdm",
    "cli_space_answers": (
        "canvas drawn_regions errors images imagesets network placing regions space space_sheets tables "
        "click numpy pyarrow torch"
    ),
    "cli_space": (
        "~cli_space_answers command_line ~embedding ~errors imagesets network ~sources ~space ~spaces study "
        "click ~torch ~tqdm"
    ),
    "cli": (
        "_version ~canvas cli_filters cli_reconstruct cli_space cli_study command_line ~overview ~weights ~zoo click"
    ),
    "__init__": "_version lazy_loader",
    "__main__": "cli",
    "_version": "",
}
WITHOUT_TORCH = set(
    (
        "files locks geometry windows images shards datasets imagesets reading_ahead render canvas charts figures "
        "architecture downloads weights distances embedding plane truth_scores plane_truth regions clusters tiles "
        "plane_pictures"
    ).split()
)
COMMANDS = {room for room in ROOMS if room.startswith(("cli", "command_line"))}
HOOKS = ("register_forward", "register_full_backward", "register_backward", "register_module_")


class Import(NamedTuple):
    """One import: of what, and whether it waits until a function is called."""

    name: str
    waits: bool


def imports(text: str) -> set[Import]:
    """What a module imports: rooms by their own name, other packages by their first; the standard library left out.

    What stands under ``if TYPE_CHECKING`` is never run and counts as waiting.
    """
    return set(_found(ast.parse(text), waits=False))


def _found(node: ast.AST, *, waits: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        typing_only = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        later = waits or typing_only or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for name in _names(child):
            room, _, rest = name.partition(".")
            if room == "layerscope" and rest:
                yield Import(rest.partition(".")[0], later)
            elif room not in sys.stdlib_module_names:
                yield Import(room, later)
        yield from _found(child, waits=later)


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        home = f"layerscope.{node.module or ''}".rstrip(".") if node.level else node.module or ""
        return [f"{home}.{alias.name}" for alias in node.names] if home == "layerscope" else [home]
    return []


def forbidden(room: str, text: str) -> set[str]:
    """What a room imports but may not, or imports at once although it must wait."""
    allowed = ROOMS[room].split()
    return {
        i.name for i in imports(text) if i.name not in allowed and not (i.waits and f"~{i.name}" in allowed)
    }


def at_once(room: str) -> set[str]:
    """All that comes with importing a room, through other rooms too."""
    seen: set[str] = set()
    waiting = [room]
    while waiting:
        text = (SOURCE / f"{waiting.pop()}.py").read_text("utf-8")
        new = {i.name for i in imports(text) if not i.waits} - seen
        seen |= new
        waiting += [name for name in new if name in ROOMS]
    return seen


def test_every_module_has_a_room() -> None:
    assert {path.stem for path in SOURCE.rglob("*.py")} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_stay_in_their_room(room: str) -> None:
    assert forbidden(room, (SOURCE / f"{room}.py").read_text("utf-8")) == set()


def test_what_is_allowed_is_needed() -> None:
    for room, allowed in ROOMS.items():
        used = {i.name for i in imports((SOURCE / f"{room}.py").read_text("utf-8"))}
        assert {name.removeprefix("~") for name in allowed.split()} == used, room


@pytest.mark.parametrize("room", sorted(WITHOUT_TORCH))
def test_rooms_without_torch(room: str) -> None:
    assert not at_once(room) & {"torch", "torchvision", "safetensors"}


@pytest.mark.parametrize("room", ["cli", "__init__"])
def test_heavy_imports_wait(room: str) -> None:
    assert at_once(room) <= {"click", "lazy_loader", "errors", "_version"} | COMMANDS


def test_only_graph_traces_and_nobody_hooks() -> None:
    for path in SOURCE.rglob("*.py"):
        text = path.read_text("utf-8")
        assert path.stem == "graph" or not any(word in text for word in ("torch.export", "torch.fx")), path
        assert not any(word in text for word in HOOKS), path


def test_the_contributors_page_says_the_same() -> None:
    rows = [row.split("|")[1:4] for row in SHEET.read_text("utf-8").splitlines() if row.startswith("| `")]
    sheet = {
        name.strip(" `"): set(rooms.replace(",", " ").split())
        for name, _, rooms in rows
        if "make" not in name
    }
    public = {room for room in ROOMS if not room.startswith("_")}
    expected = {r: {n.lstrip("~") for n in ROOMS[r].split()} & public for r in public - COMMANDS}
    expected |= {room: {"all"} for room in COMMANDS}
    assert sheet == expected


@pytest.mark.parametrize(
    ("room", "text"),
    [
        ("geometry", "import torch"),
        ("geometry", "from layerscope.graph import Graph"),
        ("rules", "def f():\n    from layerscope.network import Network"),
        ("cli", "import torch.nn"),
        ("cli_reconstruct", "if True:\n    from layerscope.gallery import Look"),
        ("weights", "from torchvision import models"),
        ("render", "from layerscope import figures"),
        ("render", "from .figures import Row"),
        ("images", "class A:\n    import torch"),
    ],
)
def test_a_breach_is_seen(room: str, text: str) -> None:
    assert forbidden(room, text)


@pytest.mark.parametrize(
    ("room", "text"),
    [
        ("command_line", "def f():\n    import torch"),
        ("cli_reconstruct", "if TYPE_CHECKING:\n    from layerscope.gallery import Look"),
        ("geometry", "import math\nfrom collections import abc"),
    ],
)
def test_what_is_allowed_passes(room: str, text: str) -> None:
    assert not forbidden(room, text)
