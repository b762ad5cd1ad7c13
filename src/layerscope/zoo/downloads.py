"""Downloads: a file arrives whole, with the digest it must have, or not at all. No torch.

A download is written beside its destination, checked, flushed to the disk and renamed, so that whoever looks at the
destination, other processes included, sees a whole file or none.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterable, Iterator
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
from pypi_simple.progress import null_progress_tracker, tqdm_progress_factory

from layerscope.disk.whole import PARTIAL, written_whole
from layerscope.errors import WeightsError

TIMEOUT = (10.0, 30.0)
"""Seconds to connect, and seconds a server may stay silent."""

ABANDONED = 3600.0
"""Seconds without a write after which a partial file belongs to nobody: its process was killed."""

_CHUNK = 1 << 20
_AS_IS = {"Accept-Encoding": "identity"}
_LOG = logging.getLogger(__name__)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def sha256_of(path: Path) -> str:
    """SHA-256 of the file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(found: str, digest: str, what: str) -> None:
    """Raise if the SHA-256 ``found`` does not begin with the hex digits ``digest``."""
    if not found.startswith(digest):
        raise WeightsError(
            f"{what} arrived damaged or was changed: its SHA-256 begins {found[:16]}, not {digest[:16]}"
        )


def download(url: str, target: Path, digest: str, *, progress: bool = False) -> str:
    """Fetch ``url`` to ``target``, replacing what is there, if its SHA-256 begins with ``digest``. Returns that.

    Nothing is left if it differs, the connection breaks or the user interrupts. Raises WeightsError and OutputError.
    """
    with PyPISimple() as client, written_whole(target) as partial:
        _receive(client, url, partial, progress)
        return _checked(partial, digest, target.name)


def keep(stream: _Readable, target: Path, digest: str) -> str:
    """Write the stream to ``target`` as `download` does."""
    with written_whole(target) as partial:
        with partial.open("xb") as file:
            while chunk := stream.read(_CHUNK):
                file.write(chunk)
        return _checked(partial, digest, target.name)


def _checked(path: Path, digest: str, what: str) -> str:
    sha256 = sha256_of(path)
    check(sha256, digest, what)
    return sha256


def _receive(client: PyPISimple, url: str, path: Path, progress: bool) -> None:
    name = urlsplit(url).path.rpartition("/")[2]
    file = DistributionPackage(name, url, None, None, None, {}, None, None)
    bar = tqdm_progress_factory(desc=name, unit="B", unit_scale=True) if progress else null_progress_tracker()
    with _network(url):  # the digest is checked afterwards: the hub publishes only the start of it
        client.download_package(file, path, verify=False, progress=bar, timeout=TIMEOUT, headers=_AS_IS)


def clear_partials(folder: Path) -> None:
    """Remove the partial files that killed processes left in the folder; a living one writes all the time."""
    for partial in folder.glob(f"{PARTIAL}*"):
        try:
            if time.time() - partial.stat().st_mtime > ABANDONED:
                partial.unlink()
        except (FileNotFoundError, PermissionError) as error:
            _LOG.debug("%s is left to its owner: %s", partial, error)


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


def unreachable(url: str) -> str:
    """Why a server cannot be asked, in words; "" if it answers."""
    try:
        with _network(url):
            requests.head(url, timeout=TIMEOUT)
    except WeightsError as error:
        return str(error)
    return ""


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
    """A project's archive, gone at the end; its SHA-256 is checked: it is safe to open as an archive."""
    partial = folder / f"{PARTIAL}{uuid4().hex}"
    with PyPISimple(registry_url()) as registry:
        package = _listed(registry, project, filename)
        check(package.digests.get("sha256", digest), digest, f"the registry's {filename}")
        try:
            _receive(registry, package.url, partial, progress)
            _checked(partial, digest, filename)
            with partial.open("rb") as archive:
                yield archive
        finally:
            partial.unlink(missing_ok=True)


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
