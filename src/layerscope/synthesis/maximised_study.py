"""What excites a study's channels most, added to it: a picture of each, beside its strongest patches on pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from layerscope.disk.names import folders
from layerscope.drawing.picture_grid import Cell, Row, picture_pages
from layerscope.drawing.render import as_rgb
from layerscope.drawing.sprites import encode_sprite, read_about, read_sprite
from layerscope.errors import StudyError
from layerscope.filters.pages import pages_as_files
from layerscope.filters.painting import Drawing, Panel, Sitting, cut, paint
from layerscope.filters.top_filters import Filter
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network, Unit
from layerscope.progress import Told
from layerscope.reconstruction.descent import Class, reversible
from layerscope.reconstruction.rules import DECONVNET
from layerscope.study.folder import Study
from layerscope.study.steps import OpenStep
from layerscope.synthesis.canvas import canvas_of
from layerscope.synthesis.maximised_folder import (
    SCHEMA,
    about_picture,
    differing,
    names_of,
    said,
    steps_of,
)
from layerscope.synthesis.maximising import (
    Maximised,
    MaximiseOptions,
    check_seeds,
    each_once,
    stream_maximised,
)
from layerscope.synthesis.nature import Nature
from layerscope.synthesis.stillness import dead_explained

STEP = "pages/maximised"
_SCHEMA = pa.schema(
    [
        *SCHEMA,
        ("dtype", pa.string()),
        *((name, pa.float64()) for name in ("strongest", "path", "natural_path")),
    ]
)
_FORMAT = 3  # of what a picture shows; raised when older ones are to be made anew
_SHEETS = "maximised"  # the folder of the pages
_SIDE = 190  # pixels of a picture on a page, and of its patches in proportion


def add_maximised(
    study: Study,
    network: Network,
    images: ImageSet,
    units: Sequence[Unit],
    *,
    options: MaximiseOptions | None = None,
    progress: Told | None = None,
) -> Study:
    """The study with pictures that excite channels most, and pages of each layer that show them beside patches.

    Those of other channels that are there are kept, and of these channels those made with the same options; with other
    options they are replaced. Raises what `maximise` does; StudyError for a network that is not the study's, and for a
    damaged picture of another channel.
    """
    options = options or MaximiseOptions()
    made = _Made(Nature(study, network, images), options)
    check_seeds(network, units, options, made.nature)
    seeds = each_once(network, units)
    with study.open_step(STEP, network=network.name, options={"format": _FORMAT}) as step:
        names = {
            (place, n): name for place, seed in enumerate(seeds) for n, name in enumerate(made.names(seed))
        }
        made.check(step, seeds)
        missing = {key for key, name in names.items() if not made.holds(step, name)}
        have = [
            place
            for place in range(len(seeds))
            if all((place, n) not in missing for n in range(options.each))
        ]
        step.expect(names[key] for key in sorted(missing))
        for place, one in stream_maximised(
            network, seeds, options=options, nature=made.nature, have=have, progress=progress
        ):
            if (place, one.number) in missing:
                about = {**about_picture(network, one, options), "dtype": made.dtype, **made.path(one)}
                step.put(
                    names[place, one.number],
                    encode_sprite(as_rgb(network.preprocessing.one(one.pixels)), ".png", about),
                )
        made.finish(step, set(names.values()))
    return Study.open(study.path)


@dataclass(frozen=True)
class _Made:
    """What a step of one network is made of."""

    nature: Nature
    options: MaximiseOptions

    @property
    def network(self) -> Network:
        return self.nature.network

    @property
    def dtype(self) -> str:
        """The precision that pictures are made in."""
        return str(self.network.dtype).removeprefix("torch.")

    def holds(self, step: OpenStep, name: str) -> bool:
        """Whether a picture is there, made with these options."""
        if not step.holds(name):
            return False
        about, wanted = read_about(step.place(name)), {**asdict(self.options), "dtype": self.dtype}
        return wanted.items() <= about.items()

    @cached_property
    def folders(self) -> Mapping[str, str]:
        """The name of each layer's folder."""
        return folders(layer.name for layer in self.network.layers)

    def path(self, one: Maximised) -> dict[str, float | None]:
        """How like its path is to its patches', beside theirs among each other."""
        assert isinstance(one.seed, Unit)
        canvas = canvas_of(self.network, self.network.layer(one.seed.layer), self.options.margin)
        path, natural = self.nature.path(canvas, one.seed.channel, one.pixels) or (None, None)
        return {"path": path, "natural_path": natural}

    def check(self, step: OpenStep, seeds: Sequence[Unit | Class]) -> None:
        """Raise StudyError for a picture of another channel that is damaged; one that was removed is no fault."""
        anew = {_stem(self.names(seed)[0]) for seed in seeds}
        for name in sorted({*step.names(), *step.held()}):
            path = step.place(name)
            if not name.startswith(f"{STEP}/") or _stem(name) in anew or not path.exists():
                continue
            if not step.whole(name) or "activation" not in read_about(path):
                raise StudyError(
                    f"{path} is damaged; remove it and run the same again, "
                    f"with --unit {self._unit(name)} to have it anew"
                )

    def _unit(self, name: str) -> Unit:
        """Whose picture a file is."""
        stem = _stem(name)
        every = (Unit(layer.name, int(stem.rpartition("/")[2])) for layer in self.network.layers)
        return next(unit for unit in every if _stem(self.names(unit)[0]) == stem)

    def names(self, seed: Unit | Class) -> list[str]:
        """Files of a channel's pictures."""
        return [f"{STEP}/{name}.png" for name in names_of(self.network, seed, self.options.each)]

    def finish(self, step: OpenStep, now: set[str]) -> None:
        """Draw the pages of the layers of this run, write the table, list all in the manifest."""
        there = {name: self._row(step, name) for name in step.held() if name.startswith(f"{STEP}/")}
        anew = {self._seed(there[name]) for name in now}
        kept = {name: row for name, row in there.items() if name in now or self._seed(row) not in anew}
        rows = sorted(kept.values(), key=self._order)
        listed = step.names()
        changed = {row["layer"] for name, row in kept.items() if name in now or name not in listed}
        changed |= {
            self._unit(name).layer for name in listed if name.startswith(f"{STEP}/") and name not in kept
        }
        sheets = [
            name for name in listed if name.startswith(f"{_SHEETS}/") and not self._sheet(changed, name)
        ]
        for layer in sorted(changed & {row["layer"] for row in rows}):
            step.put_all(self._pages(step, [row for row in rows if row["layer"] == layer]))
        step.put(STEP, pa.Table.from_pylist(rows, _SCHEMA))
        step.finish([*kept, *sheets])

    def _row(self, step: OpenStep, name: str) -> dict[str, Any]:
        """Of the table, by what a picture says of itself."""
        about = read_about(step.place(name))
        patches = self.nature.filter(Unit(about["layer"], about["channel"])).patches
        return {
            **about,
            "file": name.removeprefix("pages/"),
            "strongest": patches[0].value if patches else None,
        }

    @staticmethod
    def _seed(row: Mapping[str, Any]) -> tuple[str, int]:
        return row["layer"], row["channel"]

    def _order(self, row: Mapping[str, Any]) -> tuple[int, int, int]:
        return list(self.folders).index(row["layer"]), row["channel"], row["number"]

    def _sheet(self, layers: set[str], name: str) -> bool:
        """Whether a file is a page of one of these layers."""
        return any(
            re.fullmatch(rf"{_SHEETS}/{re.escape(self.folders[layer])}(-\d+)?\.(png|pdf)", name)
            for layer in layers
        )

    def _pages(self, step: OpenStep, rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, bytes]]:
        """The files of a layer's pages."""
        layer = self.network.layer(rows[0]["layer"])
        channels = dict.fromkeys(row["channel"] for row in rows)
        filters = [self.nature.filter(Unit(layer.name, channel)) for channel in channels]
        rule = DECONVNET if layer.result in reversible(self.network.graph, DECONVNET) else None
        sitting = Sitting(self.nature.study, self.network, Drawing(rule))
        way = paint if rule is not None else cut
        panels = {
            one.channel: _shown(sitting, one, own)
            for one, own in way(sitting, self.nature.images, filters, lambda _: None)
        }
        grid = [line for channel in channels for line in _lines(step, rows, channel, panels.get(channel, ()))]
        title = f"{self.network.name}, {layer.name}: what excites its channels most"
        pages = picture_pages(title, _caption(rows), grid, _SIDE, alike=True)
        yield from pages_as_files(pages, f"{_SHEETS}/{self.folders[layer.name]}")


def _stem(name: str) -> str:
    """What the files of all pictures of a channel begin with."""
    return re.sub(r"(-\d+)?\.png$", "", name)


def _shown(sitting: Sitting, one: Filter, panels: Sequence[Panel]) -> list[list[Cell]]:
    """Cells of the patches, and of the reconstructions if there are any."""
    height, width = sitting.size(one.layer)
    sprite = sitting.sprite(one, panels)
    values = [f"{patch.value:.4g}" for patch in one.patches]
    return [
        [
            Cell(
                sprite[top : top + height, rank * width : (rank + 1) * width],
                beneath=value if not top else "",
            )
            for rank, value in enumerate(values)
        ]
        for top in range(0, len(sprite), height)
    ]


def _lines(
    step: OpenStep, rows: Sequence[Mapping[str, Any]], channel: int, panels: Sequence[Sequence[Cell]]
) -> Iterator[Row]:
    """A channel's pictures from above, beside its patches and reconstructions."""
    apart = differing(rows)
    own = [
        Cell(read_sprite(step.place(f"pages/{row['file']}")), str(channel), said(row, apart, _paths(row)))
        for row in rows
        if row["channel"] == channel
    ]
    for number in range(max(len(own), len(panels))):
        left = own[number] if number < len(own) else None
        yield [left, *(panels[number] if number < len(panels) else ())]


def _paths(row: Mapping[str, Any]) -> str:
    """How like the path of a picture is to its patches', and theirs to each other."""
    paths = [
        f"{row[name]:.2f}".replace("0.", ".", 1) for name in ("path", "natural_path") if row[name] is not None
    ]
    return "".join(form.format(path) for form, path in zip(("; {}", " ({})"), paths, strict=False))


def _caption(rows: Sequence[Mapping[str, Any]]) -> str:
    alike = all(row["prior"] == "study" for row in rows)
    like = " and are like its patches in how features spread" if alike else ""
    return (
        f"Left: pictures that {steps_of(rows)} have made to excite the channel{like}. Right: the patches that "
        "excite it most, and beneath what it keeps of them (deconvnet). Beneath each: the activation; of pictures also "
        "how like their way through the layers is to the patches', and in brackets theirs to each other, at most 1. A "
        f"pixel is as large in all.{dead_explained(rows)}"
    )
