"""Downloads: a file arrives whole, with the digest it must have, or not at all. No torch.

A download is received into a file without a name, which the system removes however this process ends.
Only what has the right digest is written beside its destination, flushed to the disk and renamed, so that
whoever looks at the destination, other processes included, sees a whole file or none.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

import requests
from pypi_simple import (
    PYPI_SIMPLE_ENDPOINT,
    DistributionPackage,
    NoSuchProjectError,
    PyPISimple,
    UnsupportedRepoVersionError,
)
from tqdm import tqdm

from layerscope.errors import WeightsError

TIMEOUT = (10.0, 30.0)
"""Seconds to connect, and seconds a server may stay silent."""

ABANDONED = 3600.0
"""Seconds without a write after which a partial file belongs to nobody: its process was killed."""

_PARTIAL = ".partial-"
_CHUNK = 1 << 20
_AS_IS = {"Accept-Encoding": "identity"}
_LOG = logging.getLogger(__name__)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def sha256_of(path: Path) -> str:
    """SHA-256 of the file, 64 hex digits."""
    with path.open("rb") as file:
        return _digest(file)


def keep(stream: _Readable, target: Path, digest: str) -> str:
    """Write the stream to ``target``, replacing what is there, if its SHA-256 begins with ``digest``.

    Returns the SHA-256. Nothing is left if the digest differs, the stream breaks or the user interrupts.
    """
    partial = target.with_name(f"{_PARTIAL}{uuid4().hex}")
    try:
        with partial.open("xb") as file:
            sha256 = _digest(stream, file.write)
            check(sha256, digest, target.name)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
        return sha256
    finally:
        partial.unlink(missing_ok=True)


def check(found: str, digest: str, what: str) -> None:
    """Raise if the SHA-256 ``found`` does not begin with the hex digits ``digest``."""
    if not found.startswith(digest):
        raise WeightsError(
            f"{what} arrived damaged or was changed: its SHA-256 begins {found[:16]}, not {digest[:16]}"
        )


def clear_partials(folder: Path) -> None:
    """Remove the partial files that killed processes left in the folder; a living one writes all the time."""
    for partial in folder.glob(f"{_PARTIAL}*"):
        try:
            if time.time() - partial.stat().st_mtime > ABANDONED:
                partial.unlink()
        except (FileNotFoundError, PermissionError) as error:
            _LOG.debug("%s is left to its owner: %s", partial, error)


def _digest(stream: _Readable, write: Callable[[bytes], object] = len) -> str:
    """SHA-256 of the rest of the stream, each piece of which is also given to ``write``."""
    sha256 = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        sha256.update(chunk)
        write(chunk)
    return sha256.hexdigest()


@contextmanager
def received(
    url: str, folder: Path, *, get: Callable[..., requests.Response] = requests.get, progress: bool = False
) -> Iterator[BinaryIO]:
    """The body of ``url`` in a nameless file on the folder's disk, read from its start; gone at the end."""
    with tempfile.TemporaryFile(dir=folder) as file:
        with _network(url), get(url, stream=True, timeout=TIMEOUT, headers=_AS_IS) as response:
            _receive(response, file, urlsplit(url).path.rpartition("/")[2] if progress else None)
        file.seek(0)
        yield file


def _receive(response: requests.Response, file: BinaryIO, shown_as: str | None) -> None:
    response.raise_for_status()
    length = response.headers.get("Content-Length", "")
    size = int(length) if length.isdecimal() else None
    with tqdm(total=size, desc=shown_as, unit="B", unit_scale=True, disable=shown_as is None) as bar:
        for chunk in response.iter_content(_CHUNK):
            file.write(chunk)
            bar.update(len(chunk))


@contextmanager
def _network(url: str) -> Iterator[None]:
    """What the network does wrong becomes one line, without the URL, which may hold a password."""
    host = urlsplit(url).hostname or "the address"
    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "with an error"
        raise WeightsError(f"{host} answered {status}") from error
    except requests.RequestException as error:
        raise WeightsError(_complaint(host, error)) from error


def _complaint(host: str, error: requests.RequestException) -> str:
    if isinstance(error, requests.ConnectTimeout):
        return f"{host} did not answer within {TIMEOUT[0]:g} s"
    if isinstance(error, requests.Timeout) or "Read timed out" in str(error):
        return f"{host} fell silent for {TIMEOUT[1]:g} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"the connection to {host} broke off before the end of the file"
    if isinstance(error, requests.ConnectionError):
        return f"{host} cannot be reached"
    return f"{host} cannot be asked ({type(error).__name__})"


def registry_url() -> str:
    """The package index that pip would use: ``PIP_INDEX_URL``, pip's configuration, or the public one.

    The configuration is what ``pip config list`` prints (``get`` reads only the user's file); where there is
    no pip, there is none.
    """
    if url := os.environ.get("PIP_INDEX_URL"):
        return url
    ask = [sys.executable, "-m", "pip", "config", "list"]
    answer = subprocess.run(ask, capture_output=True, text=True, check=False)
    configured = re.search(r"^global\.index-url='(.+)'$", answer.stdout, re.MULTILINE)
    return configured[1] if configured else PYPI_SIMPLE_ENDPOINT


@contextmanager
def received_from_registry(
    project: str, filename: str, digest: str, folder: Path, *, progress: bool = False
) -> Iterator[BinaryIO]:
    """A project's archive as ``received`` gives a file, its SHA-256 checked: safe to open as an archive."""
    with PyPISimple(registry_url()) as registry:
        package = _listed(registry, project, filename)
        check(package.digests.get("sha256", digest), digest, f"the registry's {filename}")
        with received(package.url, folder, get=registry.s.get, progress=progress) as archive:
            check(_digest(archive), digest, filename)
            archive.seek(0)
            yield archive


def _listed(registry: PyPISimple, project: str, filename: str) -> DistributionPackage:
    host = urlsplit(registry.endpoint).hostname
    try:
        with _network(registry.endpoint):
            page = registry.get_project_page(project, timeout=TIMEOUT)
    except NoSuchProjectError as error:
        raise WeightsError(f"{host} has no project {project}") from error
    except (ValueError, UnsupportedRepoVersionError) as error:
        raise WeightsError(f"{host} answered with a page that is not a package index's") from error
    for package in page.packages:
        if package.filename == filename:
            return package
    raise WeightsError(f"{host} does not have {filename}")


def members(archive: BinaryIO, names: Iterable[str]) -> Iterator[tuple[str, _Readable]]:
    """The named members of a zip (a wheel) or a compressed tar, each to be read before the next is asked for.

    One pass over the archive; nothing but the named members is unpacked. Absent names are not yielded.
    """
    wanted = frozenset(names)
    if zipfile.is_zipfile(archive):
        yield from _zip_members(archive, wanted)
    else:
        archive.seek(0)
        yield from _tar_members(archive, wanted)


def _zip_members(archive: BinaryIO, wanted: frozenset[str]) -> Iterator[tuple[str, _Readable]]:
    with zipfile.ZipFile(archive) as pack:
        for name in wanted.intersection(pack.namelist()):
            with pack.open(name) as member:
                yield name, member


def _tar_members(archive: BinaryIO, wanted: frozenset[str]) -> Iterator[tuple[str, _Readable]]:
    with tarfile.open(fileobj=archive, mode="r:*") as pack:
        for info in pack:
            member = pack.extractfile(info) if info.name in wanted else None
            if member is not None:
                with member:
                    yield info.name, member
