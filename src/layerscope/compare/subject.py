"""What the parts of a comparison share: networks, pictures, representations, and work that is kept."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from layerscope.compare.objects import Objects, find_objects
from layerscope.compare.pooled import Pooled
from layerscope.compare.representations import Representations, gather_representations
from layerscope.compare.similarity import Similarities, compare_layers
from layerscope.disk.names import network_folder
from layerscope.disk.whole import remove_partials, written, written_whole
from layerscope.errors import ComparisonError
from layerscope.images.bands import Decoded
from layerscope.images.masks import find_masks
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.progress import Told, of
from layerscope.reconstruction.rules import DECONVNET, Rule
from layerscope.study.folder import Study
from layerscope.study.manifest import WORK
from layerscope.study.pictures import find_pictures, read_again
from layerscope.study.sources import check_network, images_of, network_of

MOST_PAIRS = 200_000_000  #: of channels whose correlations are held at once: 800 MB
T = TypeVar("T")
Arrays = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class CompareOptions:
    """What is compared, and how.

    ``parts``: names of those wanted; None: all that the studies allow. ``pictures``: how many of those that the
    networks see most differently are shown, or names of pictures. ``rule``: how reconstructions are made.
    ``grid``: cells each way that representations are pooled into; 1: one vector per picture. ``layers``: those whose
    reconstructions are measured, as `select_layers` takes them; None: those that each part chooses. ``masks``: where
    masks of objects are, as `find_masks` takes it. ``filters``: how many pairs of filters that match are shown of any
    two networks, and how many that nothing matches of each.
    """

    parts: tuple[str, ...] | None = None
    pictures: int | tuple[str, ...] = 4
    rule: Rule = DECONVNET
    grid: int = 1
    layers: str | tuple[str, ...] | None = None
    masks: str | Path | None = None
    filters: int = 18

    def __post_init__(self) -> None:
        """Refuse a choice of no picture."""
        if self.pictures == () or (isinstance(self.pictures, int) and self.pictures < 1):
            raise ComparisonError("no picture is chosen: ask for at least 1, or name some")


@dataclass(frozen=True, eq=False)
class Subject:
    """What is compared. Networks and pictures are found where the study says they are, unless they are given."""

    study: Study
    options: CompareOptions = field(default_factory=CompareOptions)
    given: Mapping[str, Network] = field(default_factory=dict)
    given_images: ImageSet | None = None
    device: str | torch.device = "cpu"
    progress: Told | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the networks, in their order."""
        return self.study.networks

    @property
    def rule_options(self) -> Mapping[str, object]:
        """What results depend on through the rule, for the options of a part."""
        return {"rule": self.options.rule.name, "overlap": self.options.rule.overlap}

    @cached_property
    def networks(self) -> tuple[Network, ...]:
        """All networks, in the precision of the study. Raises StudyError as `network_of` and `check_network` do."""
        return tuple(self._network(name) for name in self.names)

    @cached_property
    def images(self) -> ImageSet:
        """The pictures of the study. Raises StudyError if it does not say where they are."""
        return images_of(self.study) if self.given_images is None else self.given_images

    @cached_property
    def good(self) -> tuple[int, ...]:
        """Places in the study of the pictures that can be read."""
        rows = self.study.pictures.select(["picture", "reason"]).to_pylist()
        return tuple(row["picture"] for row in rows if row["reason"] is None)

    def read(
        self, pictures: Iterable[int], prepare: Callable[[Decoded], T]
    ) -> Generator[tuple[int, T], None, None]:
        """Pictures of the study by their places, read ahead and prepared, each with its place.

        Raises StudyError if one cannot be read, or is not what it was.
        """
        wanted = tuple(pictures)
        places = find_pictures(self.study, self.images, wanted)
        with closing(read_again(self.study, self.images, places, wanted, prepare)) as again:
            yield from again

    @cached_property
    def objects(self) -> Objects:
        """Which pictures have a mask of an object. Raises ImageError for a place without masks."""
        masks = find_masks(self.images, self.options.masks)
        return find_objects(self.study, masks, self.networks if masks.names else (), self.progress)

    @cached_property
    def representations(self) -> Mapping[str, Representations]:
        """The pooled representations of each network, gathered once and kept while the comparison is unfinished."""
        folder = self.work("representations", {"grid": self.options.grid})
        gathered = gather_representations(
            self.networks,
            self.images,
            folder,
            pooled=Pooled(grid=self.options.grid),
            progress=self.progress,
        )
        return {one.network: one for one in gathered}

    def similarities(self, one: str, other: str) -> Similarities:
        """Of all layers of two networks; kept. Correlations of their channels where those are MOST_PAIRS at most."""
        first, second = self.representations[one], self.representations[other]
        few = first.channels * second.channels <= MOST_PAIRS

        def make() -> Arrays:
            told = of(f"{one}, {other}", self.progress)
            return compare_layers(first, second, correlations=few, progress=told).arrays()

        kept = self.kept("similarities", {"grid": self.options.grid})
        return Similarities.of_arrays(first, second, kept.get(pair_name(one, other), make))

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every two networks, in their order."""
        return tuple((a, b) for i, a in enumerate(self.names) for b in self.names[i + 1 :])

    # ------------------------------------------------------------------ work that is kept

    @property
    def work_folder(self) -> Path:
        """Where all that is kept lies while the comparison is unfinished."""
        return self.study.path / WORK / "compare"

    def work(self, name: str, options: Mapping[str, object]) -> Path:
        """A folder for unfinished work on something with these options, which a later run finds again."""
        content = json.dumps([self.study.digest, dict(options)], sort_keys=True)
        return self.work_folder / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"

    def kept(self, name: str, options: Mapping[str, object]) -> Kept:
        """Results of long work, kept one by one."""
        return Kept(self.work(name, options))

    def clear(self) -> None:
        """Remove all that was kept."""
        with written(self.work_folder):
            if self.work_folder.exists():
                shutil.rmtree(self.work_folder)

    def _network(self, name: str) -> Network:
        if name in self.given:
            network = self.given[name]
        else:
            dtype = getattr(torch, self.study.manifest["inputs"]["networks"][name]["dtype"])
            network = network_of(self.study, name, device=self.device, dtype=dtype)
        check_network(self.study, network)
        return network


def pair_name(one: str, other: str) -> str:
    """Two networks in the name of a file; no network has the character between them."""
    return f"{network_folder(one)}~{network_folder(other)}"


class Kept:
    """Arrays by name on the disk: what is made once is found again by a run that goes on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if folder.exists():
            remove_partials(folder)

    def __contains__(self, key: str) -> bool:
        return self._path(key).exists()

    def get(self, key: str, make: Callable[[], Arrays]) -> Arrays:
        """The arrays of that name; made now unless they are there."""
        if key not in self:
            self.put(key, make())
        return self.read(key)

    def put(self, key: str, arrays: Arrays) -> None:
        """Keep the arrays by that name."""
        with written_whole(self._path(key)) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # every name is that of an array

    def read(self, key: str) -> Arrays:
        """The arrays of that name, which are there. Raises ComparisonError if they are damaged."""
        path = self._path(key)
        try:
            with np.load(path, allow_pickle=False) as held:
                return {name: held[name] for name in held.files}
        except (OSError, ValueError, EOFError, KeyError) as error:
            raise ComparisonError(f"{path} is damaged; remove it and run the same again") from error

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.npz"
