"""What lies behind a path of the site: bytes that are made when asked for, or a file as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from layerscope.disk.tables import read_bytes
from layerscope.errors import StudyError
from layerscope.explorer.shards import script
from layerscope.study.folder import Study


@dataclass(frozen=True)
class Made:
    """Bytes that are made of tables."""

    make: Callable[[], bytes]

    def read(self) -> bytes:
        """The bytes."""
        return self.make()


@dataclass(frozen=True)
class Copied:
    """A file below ``root``; ``sha256``: its digest, as the study's manifest has it."""

    root: Path
    file: str
    sha256: str

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.root / self.file

    def read(self) -> bytes:
        """Its bytes. Raises StudyError if it is missing, or reached by a link to somewhere else."""
        if not self.path.resolve().is_relative_to(self.root.resolve()):
            raise StudyError(f"{self.path} is a link out of {self.root}; put a copy in its place")
        return read_bytes(self.path)


Content: TypeAlias = Made | Copied
Contents: TypeAlias = Mapping[str, Content]


def shard(path: str, value: Callable[[], Any]) -> tuple[str, Made]:
    """A shard's place on the site, and what makes it; ``path``: below data/, without suffix."""
    return f"data/{path}.js", Made(lambda: script(path, value()))


def copied(study: Study, file: str) -> Copied:
    """A file that the study's manifest lists."""
    about = study.manifest["files"].get(file)
    if about is None:
        raise StudyError(f"{study.path} does not list {file!r:.80}, which it should have; make it anew")
    return Copied(study.path, file, about["sha256"])
