"""A representation space: what layerscope adds to openTSNE's own time, stage by stage, for one layer.

Vectors in clusters, rectified as a layer's are, and pictures of noise; openTSNE in a process of its own: neighbours,
affinities, optimisation, as it does them by itself. Ours is all else, on the points that it found: PatchSample within
a sweep, PCA, planes, regions, measures, crops, pages, tiles and figure, published into a study in a temporary folder.
If the machine computes something else meanwhile, openTSNE's threads wait for each other: set OMP_WAIT_POLICY=passive.
Run: ``python benchmarks/space.py [--patches 100000] [--channels N] [--pictures N] [--side N]``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from growth import write_pictures
from measuring import memory, seconds
from torch import nn

from layerscope import Network, open_images
from layerscope.drawing.canvas import figure_files
from layerscope.drawing.render import Pixels
from layerscope.images.sets import ImageSet
from layerscope.plane.clusters import groups_of, suggest_regions
from layerscope.plane.embedding import Tsne, project, relate
from layerscope.plane.grid import Grid, arrange, fill
from layerscope.plane.regions import contrasts
from layerscope.plane.truth import Embedded, measure_truth, truth_table
from layerscope.space.crops import crop_patches
from layerscope.space.patches import Patches, draw_patches
from layerscope.space.portraits import choose_zooms, space_figure
from layerscope.space.sheets import region_tables, space_sheets
from layerscope.space.space import Space, read_affinities
from layerscope.study.folder import Study
from layerscope.sweep.channel_statistics import Sparsity
from layerscope.sweep.making import sweep_study
from layerscope.sweep.patch_sample import PatchSample
from layerscope.sweep.reducers import LayerBatch, Results, State

AIM = 0.25
FIELD, STRIDE = 92, 8  # of VGG-16's c4_1
CLUSTERS, SPREAD = 200, 0.7
Seconds = dict[str, float]
taken: Seconds = {}  # by stage, of this process


@contextmanager
def clock(stage: str) -> Iterator[None]:
    """Count what happens inside; a stage inside itself counts once."""
    before, start = taken.get(stage, 0.0), time.perf_counter()
    yield
    taken[stage] = before + time.perf_counter() - start


class Clocked(PatchSample):
    """What the sample itself costs a sweep, without the forward pass and the decoding."""

    def update(self, state: State | None, seen: LayerBatch) -> State:
        with clock("sampling"):
            return super().update(state, seen)

    def merge(self, one: State, other: State) -> State:
        with clock("sampling"):
            return super().merge(one, other)

    def finish(self, states: Any, network: Network) -> Results:
        with clock("sampling"):
            return super().finish(states, network)


# ------------------------------------------------------------------ what is embedded


def clustered(patches: int, channels: int) -> npt.NDArray[np.float32]:
    """Vectors of clusters of different sizes, two thirds of them zeros, as after a rectification."""
    chance = np.random.default_rng(0)
    centres = chance.normal(-0.5, 1, (CLUSTERS, channels)).astype(np.float32)
    sizes = chance.dirichlet(np.ones(CLUSTERS))
    found = centres[chance.choice(CLUSTERS, patches, p=sizes)]
    found += SPREAD * chance.standard_normal(found.shape, np.float32)
    return np.maximum(found, 0, out=found)


def layer(channels: int) -> Network:
    """One layer with the receptive field and the stride of c4_1, and hardly any arithmetic."""
    torch.manual_seed(0)
    parts = nn.AvgPool2d(FIELD, STRIDE), nn.Conv2d(3, channels, 1), nn.ReLU()
    return Network.from_module(nn.Sequential(*parts).eval().requires_grad_(False), name="net")


# ------------------------------------------------------------------ openTSNE by itself


def run_opentsne(folder: Path) -> None:
    """Its own neighbours and affinities, then its own optimisation, of the same components."""
    import openTSNE

    values = project(np.load(folder / "vectors.npy", mmap_mode="r"), Tsne()).values
    with clock("neighbours and affinities"):
        affinities = openTSNE.affinity.PerplexityBasedNN(values, perplexity=30, n_jobs=2, random_state=0)
    with clock("optimisation"):
        start = openTSNE.initialization.pca(values, random_state=0)
        tsne = openTSNE.TSNE(n_jobs=2, random_state=0)
        points = tsne.fit(affinities=affinities, initialization=start)
    np.save(folder / "points.npy", np.asarray(points, np.float32))


# ------------------------------------------------------------------ ours


@dataclass(frozen=True)
class Bench:
    """A study of one layer, its pictures, and the folder with vectors and points."""

    study: Study
    network: Network
    images: ImageSet
    folder: Path

    @property
    def layer(self) -> str:
        return self.network.layers[-1].name

    def add(self, step: str, results: dict[str, Any]) -> Bench:
        named = {f"spaces/{self.layer}/{name}": content for name, content in results.items()}
        study = self.study.add(f"spaces/{self.layer}/{step}", named, network=self.network.name)
        return Bench(study, self.network, self.images, self.folder)

    @property
    def space(self) -> Space:
        return Space(self.study.network(self.network.name), self.layer)


def run_layerscope(folder: Path, side: int) -> None:
    """All stages of `make_spaces`, in its order, but portraits of filters."""
    for library in ("openTSNE", "sklearn.cluster", "sklearn.neighbors"):
        import_module(library)  # not counted, as on the other side

    vectors = np.load(folder / "vectors.npy")
    network, images = layer(vectors.shape[1]), open_images(next(folder.glob("pictures/*")))
    study = sweep_study([network], images, [Sparsity()], folder / "study")
    bench = embedded(Bench(study, network, images, folder), vectors)
    del vectors
    drawn(planes(bench), side)


def embedded(bench: Bench, vectors: npt.NDArray[np.float32]) -> Bench:
    sample = Clocked((bench.layer,), len(vectors), where="inside")
    patches: Patches = draw_patches(bench.study, bench.network, bench.images, sample)[bench.layer]
    if len(patches.table) != len(vectors):
        raise SystemExit(f"only {len(patches.table)} patches could be drawn; give more --pictures")
    with clock("writing patches"):
        bench = bench.add("patches", {"patches": patches.table, "vectors": vectors})
    with clock("PCA"):
        projection = project(vectors, Tsne())
    with clock(REPLACING):
        affinities = relate(projection.values, Tsne())
    with clock("writing components and affinities"):
        names = {f"affinities/{name}": getattr(affinities, name) for name in ("indptr", "indices", "data")}
        bench = bench.add("neighbours", {"components": projection.values, **names})
    return bench.add("embedding", {"embedding": np.load(bench.folder / "points.npy")})


def planes(bench: Bench) -> Bench:
    space = bench.space
    points, grid = space.points, Grid.around(space.points)
    with clock("filling"):
        made = {"fill": fill(points, grid)}
    with clock("arranging"):
        made["one-to-one"] = arrange(points, grid)
    with clock("suggesting regions"):
        regions = suggest_regions((points - (grid.left, grid.top)) / grid.side, space.pictures)
    groups = groups_of(regions, len(points))
    with clock("filters of regions"):
        tables = region_tables(regions, contrasts(space.vectors, groups))
    affinities = read_affinities(space.results, space.folder)
    with clock("measures"):
        embedded = Embedded(
            *(space.vectors, points, space.pictures, made),
            affinities=affinities,
        )
        truth = truth_table(measure_truth(embedded))
    described = {"grid.json": json.dumps(asdict(grid)).encode(), "region_of": groups, "truth": truth}
    with clock("writing planes"):
        return bench.add(
            "plane", {**described, **tables, **{f"planes/{name}": plane for name, plane in made.items()}}
        )


def drawn(bench: Bench, side: int) -> None:
    """Crops, then the pages and the tiles, each published as it comes."""
    space = bench.space
    with tempfile.TemporaryFile(dir=bench.study.path) as file:
        cells: Pixels = np.memmap(file, np.uint8, "w+", shape=(len(space.points), side, side, 3))
        with clock("crops"):
            crop_patches(bench.study, bench.network, bench.images, space.pictures, space.boxes, cells)
        with bench.study.open_step(f"{space.folder}/pictures", network="net") as step:
            start = time.perf_counter()
            for name, content in space_sheets(space, cells, lambda _: None):
                step.put(f"{space.folder}/{name}", content)
                start, before = time.perf_counter(), start
                what = "tiles" if "_files/" in name or name.endswith(".dzi") else "pages"
                taken[what] = taken.get(what, 0.0) + start - before
            with clock("figure"):
                zooms = choose_zooms(space)
                page = space_figure(bench.study, bench.network, bench.images, space, zooms, cells)
                for name, content in figure_files(page, f"{space.folder}/figure") if zooms else ():
                    step.put(name, content)
            step.finish()


# ------------------------------------------------------------------ the contest

REPLACING = "neighbours and affinities"  # ours instead of openTSNE's: not counted
BESIDES = {"measures", "pages", "figure"}  # what nobody needs to look at tiles and regions
SIDES = ("opentsne", "layerscope")


def in_own_process(side: str, options: argparse.Namespace) -> Seconds:
    """The seconds of a side's stages and its peak memory, in MB, in a fresh program."""
    command = [sys.executable, __file__, "--only", side, "--folder", str(options.folder)]
    command += ["--side", str(options.side)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: Seconds = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{side}")
    for stage, value in figures.items():
        print(f"  {stage:<36} {value:7.1f} {'MB at most' if stage == 'peak' else 's'}", flush=True)
    return {stage: value for stage, value in figures.items() if stage != "peak"}


def contest(options: argparse.Namespace) -> None:
    """Prepare, measure one after the other, print the ratio."""
    (options.folder / "pictures").mkdir()
    pictures = options.pictures or max(20, options.patches // 50)
    write_pictures(options.folder / "pictures", pictures)
    np.save(options.folder / "vectors.npy", clustered(options.patches, options.channels))
    print(
        f"{options.patches} patches of {options.channels} channels from {pictures} pictures, {options.side} px"
    )
    theirs, ours = (in_own_process(side, options) for side in SIDES)
    whole, left_out = sum(theirs.values()), {REPLACING}
    print(f"\nopenTSNE {whole:.1f} s")
    for what, more in (("all of ours", set()), ("without measures, pages and figure", BESIDES)):
        own = sum(value for stage, value in ours.items() if stage not in left_out | more)
        print(f"{what}: {own:.1f} s, {own / whole:.2f} of that (aim: at most {AIM})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patches", type=int, default=20_000)
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--pictures", type=int, help="one for 50 patches unless given")
    parser.add_argument("--side", type=int, default=48, help="pixels along a cell")
    parser.add_argument("--only", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        work = {"opentsne": lambda: run_opentsne(options.folder)}
        work["layerscope"] = lambda: run_layerscope(options.folder, options.side)
        seconds(work[options.only])
        print(json.dumps({**taken, "peak": memory()}))
        return
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        contest(options)


if __name__ == "__main__":
    main()
