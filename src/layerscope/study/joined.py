"""Several studies of the same pictures as one, which can be sent to a colleague: what a comparison is added to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.disk.names import network_folder
from layerscope.disk.tables import measure, read_bytes
from layerscope.disk.whole import folder_written_whole, written
from layerscope.errors import StudyError
from layerscope.study.folder import Study
from layerscope.study.manifest import (
    FORMAT,
    MANIFEST,
    PICTURES,
    SOURCES,
    Facts,
    digest_of_inputs,
    facts,
    write_manifest,
)


def join_studies(studies: Sequence[Study], out: str | Path) -> Study:
    """One study of all networks of these, in the new folder ``out``; one that is there already, of the same, is kept.

    It holds the tables that the passes left, and where pictures and networks are; no arrays, and nothing that was
    added later. Two networks of one name are called ``NAME@FOLDER``, after the folders of their studies; the same
    network of two studies is there once. Raises StudyError if the studies are not of the same pictures.
    """
    joining = _Joining(tuple(studies), Path(out))
    joining.check()
    with written(joining.out):
        held = sorted(path.name for path in joining.out.iterdir()) if joining.out.exists() else []
    if MANIFEST in held:
        study = Study.open(joining.out)
        if study.manifest["inputs"] != joining.inputs:
            raise StudyError(f"{out} compares other studies than these; name a new folder")
        return study
    if held:
        raise StudyError(f"{out} holds other files ({held[0]}); name a new folder, or an empty one")
    joining.write()
    return Study.open(joining.out)


@dataclass(frozen=True)
class _Member:
    """A network of one of the studies; ``called``: among all."""

    study: Study
    name: str
    called: str

    @property
    def input(self) -> Mapping[str, Any]:
        """What its results depend on, but for the pictures."""
        known: Mapping[str, Any] = self.study.manifest["inputs"]["networks"][self.name]
        return known

    @property
    def source(self) -> Any:
        """How it is loaded again; None: nobody can say."""
        return self.study.steps.get(SOURCES, {}).get("networks", {}).get(self.name)

    def tables(self) -> Iterator[tuple[Path, str]]:
        """Where each table of the pass is, and its place among those of the network."""
        later = {file for step in self.study.manifest["steps"].values() for file in step["files"]}
        folder = f"{self.study.network(self.name).folder}/"
        for file in self.study.manifest["files"]:
            if file.startswith(folder) and file.endswith(".parquet") and file not in later:
                yield self.study.path / file, file.removeprefix(folder)


@dataclass(frozen=True)
class _Joining:
    studies: tuple[Study, ...]
    out: Path

    def check(self) -> None:
        """Refuse what cannot be one study."""
        first, *others = self.studies
        for other in others:
            if other.digest == first.digest:
                raise StudyError(f"{first.path} and {other.path} are the same study; give each once")
            if difference := _difference(first, other):
                raise StudyError(
                    f"{first.path} and {other.path} are of other pictures: {difference}; make both of the same IMAGES"
                )
        folders = [network_folder(member.called).lower() for member in self.members]
        if twice := [m for m, folder in zip(self.members, folders, strict=True) if folders.count(folder) > 1]:
            raise StudyError(f"two networks would be called {twice[0].called}; rename the folder of a study")

    @property
    def members(self) -> tuple[_Member, ...]:
        """Every network once, by a name of its own."""
        given = [(study, name) for study in self.studies for name in study.networks]
        found: list[_Member] = []
        for study, name in given:
            named = [other for other, known in given if known == name]
            inputs = [other.manifest["inputs"]["networks"][name] for other in named]
            own = inputs[named.index(study)]
            if inputs.index(own) < named.index(study):
                continue  # another study has the same
            differ = any(one != own for one in inputs)
            found.append(_Member(study, name, f"{name}@{study.path.resolve().name}" if differ else name))
        return tuple(found)

    @property
    def labelled(self) -> Study:
        """The first study whose pictures have labels; the first of all, if none has."""
        return next((study for study in self.studies if not _unlabelled(study)), self.studies[0])

    @property
    def inputs(self) -> dict[str, Any]:
        """All that the results depend on."""
        return {
            "images": self.labelled.manifest["inputs"].get("images", {}),
            "joined": [study.digest for study in self.studies],
            "networks": {member.called: member.input for member in self.members},
        }

    def write(self) -> None:
        """Copy the tables, each as its study has it; the manifest last."""
        files: dict[str, Facts] = {}
        with folder_written_whole(self.out) as partial:
            files[PICTURES] = _copy(self.labelled.path / PICTURES, partial / PICTURES)
            for member in self.members:
                folder = network_folder(member.called)
                for path, place in member.tables():
                    files[f"{folder}/{place}"] = _copy(path, partial / folder / place)
            write_manifest(partial, self._manifest(files))

    def _manifest(self, files: Mapping[str, Facts]) -> dict[str, Any]:
        first = self.studies[0].manifest
        abouts = {
            m.called: {**m.study.network(m.name).about, "folder": network_folder(m.called)}
            for m in self.members
        }
        made_with = {m.called: m.study.manifest["made_with"].get(m.name, {}) for m in self.members}
        sources = {m.called: m.source for m in self.members if m.source is not None}
        places = (study.steps.get(SOURCES, {}).get("images") for study in self.studies)
        note: Facts = {"images": next(filter(None, places), []), "networks": sources}
        return {
            **{"format": FORMAT, "digest": digest_of_inputs(self.inputs), "inputs": self.inputs},
            **{"made_with": made_with, "threads": first["threads"], "images": first["images"]},
            **{"networks": abouts, "steps": {SOURCES: {"options": note, "files": []}}},
            "files": dict(sorted(files.items())),
        }


def _difference(one: Study, other: Study) -> str:
    """The first difference between the pictures of two studies, in words; "" if there is none."""
    names, others = (study.pictures["name"].to_pylist() for study in (one, other))
    if len(names) != len(others):
        return f"{len(names)} and {len(others)}"
    if differ := [name for name, its in zip(names, others, strict=True) if name != its]:
        return f"{differ[0]} is not in the same place in both"
    for column in ("digest", "reason"):
        values = (study.pictures[column].to_pylist() for study in (one, other))
        if differ := [name for name, a, b in zip(names, *values, strict=True) if a != b]:
            return f"{differ[0]} is not the same in both"
    return ""


def _unlabelled(study: Study) -> bool:
    labels = study.pictures["label"]
    return bool(labels.null_count == len(labels))


def _copy(path: Path, to: Path) -> Facts:
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(read_bytes(path))
    return facts(to, measure(to))
