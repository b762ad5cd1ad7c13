"""The studies that the figures are drawn from: each made once in the folder, and found there again."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import sets

from layerscope import Network, Study, StudyOptions, compare_studies, load_network, make_study, open_images
from layerscope.compare import CompareOptions
from layerscope.filters import make_portraits
from layerscope.images import ImageSet
from layerscope.images.sets import choose_images
from layerscope.network import Options
from layerscope.plane import Tsne
from layerscope.progress import Told, of
from layerscope.space import SpaceOptions, make_spaces
from layerscope.sweep import Sparsity

SPACES = ("c4_1", "c5_3")  # the paper's Fig. 3
Networks = tuple[Network, ...]


@dataclass(frozen=True)
class Amounts:
    """How much is looked at. ``crops``: of each photograph; ``objects``: pictures of cut-outs, ``masked`` of them with
    a mask; ``clothes``: pictures of Fashion-MNIST but for the error rates, which are of all; ``stamps``: pictures of
    stamps that were never seen; ``patches``: of each space; ``filters``: portrayed of each layer; ``control``:
    pictures through random weights."""

    crops: int = 16
    objects: int = 120
    masked: int = 16
    clothes: int = 1000
    stamps: int = 160
    patches: int = 3000
    perplexity: float = 30.0
    filters: int = 8
    control: int = 40


@dataclass(frozen=True, eq=False)
class Room:
    """A folder, networks and pictures. ``trained``: weights of the paper's two networks, trained on Fashion-MNIST."""

    folder: Path
    trained: tuple[str, str] = ("fashion", "fashion")
    amounts: Amounts = field(default_factory=Amounts)
    progress: Told | None = None

    # ------------------------------------------------------------------ networks

    @cached_property
    def trunks(self) -> Networks:
        """VGG-16 and AlexNet with ImageNet's weights, without fully-connected layers."""
        return tuple(load_network(name, "imagenet-trunk") for name in ("vgg16", "alexnet"))

    @cached_property
    def pair(self) -> Networks:
        """VGGCNN and AlexCNN, whole, trained on Fashion-MNIST."""
        alexcnn, vggcnn = self.trained
        return load_network("vggcnn", vggcnn), load_network("alexcnn", alexcnn)

    @cached_property
    def stamps_trained(self) -> Path:
        """The trainings on stamps, of every fold."""
        return sets.trained_on_stamps(self.folder / "stamps")

    @cached_property
    def stamps_pair(self) -> Networks:
        """VGGCNN and AlexCNN, whole, trained on all stamps but those of the first fold."""
        names = "vggcnn", "alexcnn"
        files = (self.stamps_trained / f"{name}-fold0-seed0" / "weights.safetensors" for name in names)
        return tuple(load_network(name, file) for name, file in zip(names, files, strict=True))

    # ------------------------------------------------------------------ pictures

    @cached_property
    def photographs(self) -> ImageSet:
        """Crops of photographs, a class per photograph."""
        folder = sets.crops(self.folder / "pictures" / "photographs", self.amounts.crops)
        return open_images([folder], labels="folders")

    @cached_property
    def five(self) -> Path:
        """Five photographs."""
        return sets.five(self.folder / "pictures" / "five")

    @cached_property
    def clothes_folder(self) -> Path:
        """The test set of Fashion-MNIST, a folder for each class."""
        return sets.clothes(self.folder / "pictures" / "clothes")

    @cached_property
    def all_clothes(self) -> ImageSet:
        """All of it as a set."""
        return open_images([self.clothes_folder], labels="folders")

    @cached_property
    def clothes(self) -> ImageSet:
        """Some of it."""
        return open_images([sets.some_clothes(self.clothes_folder.parent, self.amounts.clothes)])

    @cached_property
    def one_of_each(self) -> list[Path]:
        """One piece of each class, called after it."""
        return sets.one_of_each(self.clothes_folder, self.folder / "pictures" / "one-of-each")

    @cached_property
    def objects(self) -> ImageSet:
        """Cut-outs over photographs, a class per kind."""
        return open_images(self._objects[0])

    @property
    def masks(self) -> Path:
        """Of some of the cut-outs."""
        return self._objects[1]

    @cached_property
    def _objects(self) -> tuple[Path, Path]:
        folder = self.folder / "pictures" / "objects"
        return sets.objects(folder, self.amounts.objects, self.amounts.masked)

    @cached_property
    def stamps(self) -> ImageSet:
        """Stamps of the first fold, a folder for each class."""
        return open_images(self._stamps[0], labels="folders")

    @property
    def stamps_masks(self) -> Path:
        """Of all of them."""
        return self._stamps[1]

    @cached_property
    def _stamps(self) -> tuple[Path, Path]:
        return sets.stamps(self.folder / "pictures" / "stamps", self.amounts.stamps)

    def images(self, name: str) -> ImageSet:
        """The pictures of a set of this name."""
        found: ImageSet = getattr(self, name)
        return found

    # ------------------------------------------------------------------ studies

    @cached_property
    def of_photographs(self) -> Study:
        """Both trunks over the crops."""
        return self._study("photographs", self.trunks, self.photographs)

    @cached_property
    def of_objects(self) -> Study:
        """Both trunks over the cut-outs."""
        return self._study("objects", self.trunks, self.objects)

    @cached_property
    def of_clothes(self) -> Study:
        """The trained pair over some of the test set."""
        return self._study("clothes", self.pair, self.clothes)

    @cached_property
    def of_stamps(self) -> Study:
        """The pair trained on stamps over some that it never saw."""
        return self._study("stamps", self.stamps_pair, self.stamps)

    def control(self, name: str) -> Study:
        """The zeros of the networks of a study, built as they are, with random weights, over some of its pictures."""
        _, networks, images = self._whose(name)
        step = max(1, len(images) // self.amounts.control)
        some = choose_images(images, range(0, len(images), step))
        random = tuple(load_network(one.name, "random", options=built(one)) for one in networks)
        made = self._study(f"{name}-random", random, some, StudyOptions([Sparsity()]))
        out = self.folder / "comparisons" / f"{name}-random"
        options = CompareOptions(parts=("sparsity",))
        return compare_studies(
            made, out, options=options, networks=random, images=some, progress=self.progress
        )

    def _study(
        self, name: str, networks: Networks, images: ImageSet, options: StudyOptions | None = None
    ) -> Study:
        out = self.folder / "studies" / name
        return make_study(networks, images, out, options=options, progress=of(name, self.progress))

    def compared(self, name: str, part: str, **options: Any) -> Study:
        """The networks of a study compared, in one part: figures, tables and what was found."""
        study, networks, images = self._whose(name)
        return compare_studies(
            study,
            self.folder / "comparisons" / name,
            options=CompareOptions(parts=(part,), **options),
            networks=networks,
            images=images,
            progress=of(name, self.progress),
        )

    def with_spaces(self, name: str) -> Study:
        """A study with the spaces of its first network."""
        study, networks, images = self._whose(name)
        what = SpaceOptions(self.amounts.patches, tsne=Tsne(self.amounts.perplexity))
        told = of(name, self.progress)
        return make_spaces(study, networks[0], images, SPACES, options=what, progress=told)

    def with_filters(self, name: str) -> Study:
        """A study with the portraits of its first network's first filters."""
        study, networks, images = self._whose(name)
        channels, told = range(self.amounts.filters), of(name, self.progress)
        return make_portraits(study, networks[0], images, channels=channels, progress=told)

    def _whose(self, name: str) -> tuple[Study, Networks, ImageSet]:
        """A study as it is now, its networks and its pictures."""
        made: Study = getattr(self, f"of_{name}")
        pairs = {"clothes": "pair", "stamps": "stamps_pair"}
        networks: Networks = getattr(self, pairs.get(name, "trunks"))
        return Study.open(made.path), networks, self.images(name)


def built(network: Network) -> Options | None:
    """How a network was built."""
    return network.loading.options if network.loading is not None else None
