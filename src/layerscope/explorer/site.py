"""The site: every path of it, and what lies there. Export, server and notebook show the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from layerscope._version import __version__
from layerscope.disk.tables import measure
from layerscope.errors import StudyError
from layerscope.explorer.contents import Content, Contents, Copied, copied, shard
from layerscope.explorer.filter_shards import filter_shard
from layerscope.explorer.pair_shards import Compared
from layerscope.explorer.reconstruction_shards import has_reconstructions, reconstruction_shard
from layerscope.explorer.space_shards import SpaceShards
from layerscope.explorer.study_shards import FORMAT, Overview
from layerscope.explorer.subjects import Subject, find_subjects
from layerscope.study.folder import Study

PAGE = Path(__file__).parent / "page"  #: the page's own files, built from web/
INDEX = "index.html"
_PICTURES = "pages/"  # of a study, and of each of its networks: what was drawn for the site


@dataclass(frozen=True, eq=False)
class Site:
    """The pages of a study; ``comparison``: one of that study, or the study itself if it is one.

    ``live``: whether a network answers. Raises StudyError if the comparison is of another study.
    """

    study: Study
    comparison: Study | None = None
    live: bool = False

    @classmethod
    def open(
        cls, study: Study | str | Path, comparison: Study | str | Path | None = None, *, live: bool = False
    ) -> Site:
        """The pages of the study in a folder, which can be a comparison, too."""
        opened = study if isinstance(study, Study) else Study.open(study)
        if comparison is None:
            is_one = any(f"{part}/section.json" in opened.manifest["files"] for part in opened.steps)
            return cls(opened, opened if is_one else None, live)
        other = comparison if isinstance(comparison, Study) else Study.open(comparison)
        if "joined" not in other.manifest["inputs"]:
            raise StudyError(f"{other.path} is no comparison; `layerscope compare` makes one")
        return cls(opened, other, live)

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        """The networks."""
        return find_subjects(self.study, self.comparison)

    @cached_property
    def compared(self) -> Compared | None:
        """The comparison."""
        return None if self.comparison is None else Compared(self.comparison, self.subjects)

    @cached_property
    def overview(self) -> Overview:
        """The study at a glance."""
        compared = self.compared
        pairs, findings = ([], []) if compared is None else (compared.pairs, compared.findings)
        return Overview(self.study, self.subjects, pairs, findings, self.live)

    @cached_property
    def spaces(self) -> tuple[SpaceShards, ...]:
        """The representation spaces."""
        return tuple(
            SpaceShards(subject, layer)
            for subject in self.subjects
            for layer in subject.layers
            if layer in subject.spaces
        )

    @cached_property
    def contents(self) -> Contents:
        """Every path of the site, the page's own files last; `index.html` is the very last."""
        return dict(self._contents())

    @cached_property
    def key(self) -> str:
        """Of all that the shards are made of: other manifests, or another layerscope, and they may differ."""
        manifests = [one and one.manifest for one in (self.study, self.comparison)]
        words = json.dumps([FORMAT, __version__, self.live, *manifests], sort_keys=True)
        return hashlib.sha256(words.encode()).hexdigest()

    def check_page(self) -> None:
        """Raise StudyError if the page itself is not built."""
        if not (PAGE / INDEX).is_file():
            raise StudyError(
                "this layerscope was installed without its pages; in a checkout `make web` builds them, "
                "elsewhere install the wheel"
            )

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the pages could show and cannot, a line each with the command that adds it."""
        study, found = self.study.path, []
        if not self.overview.about:
            found.append(f"no small pictures, no reconstructions of whole pictures: layerscope pages {study}")
        if not self.spaces:
            found.append(f"no plane of a layer: layerscope space make {study} --layers NAME")
        if self.compared is None and len(self.subjects) > 1:
            found.append(f"no comparison: layerscope compare {study} --out DIR, and here --comparison DIR")
        return tuple(found)

    def _contents(self) -> Iterator[tuple[str, Content]]:
        yield from self.overview.contents()
        for subject in self.subjects:
            for layer in subject.layers:
                if layer in subject.filters:
                    yield self._filters(subject, layer)
            if has_reconstructions(subject):
                yield shard(f"{subject.place}/reconstructions", partial(reconstruction_shard, subject))
        for space in self.spaces:
            yield from space.contents()
        if self.compared is not None:
            yield from self.compared.contents()
        yield from self._pictures()
        yield from _page()

    def _filters(self, subject: Subject, layer: str) -> tuple[str, Content]:
        def make() -> object:
            matches = self.compared.matches(subject, layer) if self.compared is not None else {}
            return filter_shard(subject, layer, matches)

        return shard(f"{subject.place}/layers/{subject.folders[layer]}/filters", make)

    def _pictures(self) -> Iterator[tuple[str, Copied]]:
        """What was drawn for the site: of the study, then of each network."""
        own = [one for one in self.subjects if one.results.study.path == self.study.path]
        places = {subject.folder: subject.place for subject in own}
        for file in self.study.manifest["files"]:
            if not file.endswith((".jpg", ".png")):
                continue
            network, _, drawn = file.partition(f"/{_PICTURES}")
            if drawn and network in places:
                yield f"{places[network]}/{drawn}", copied(self.study, file)
            elif file.startswith(_PICTURES):
                yield f"pictures/{file.removeprefix(_PICTURES)}", copied(self.study, file)


def _page() -> Iterator[tuple[str, Content]]:
    """The page's own files, if it is built."""
    files = sorted(path.name for path in PAGE.iterdir() if path.is_file()) if PAGE.is_dir() else []
    for name in sorted(files, key=lambda name: name == INDEX):
        yield name, Copied(PAGE, name, measure(PAGE / name).sha256)
