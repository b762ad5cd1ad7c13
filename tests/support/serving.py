"""A web server on this machine whose answers tests choose, and archives to serve from it."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """``answers``: body by path. ``claims``: a Content-Length that is not the body's. ``pauses``: bytes after
    which the server falls silent until ``wake`` is set. ``asked``: the paths asked for, in order."""

    answers: dict[str, bytes] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    pauses: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    wake: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def publish(
        self, project: str, filename: str, archive: bytes, *, listed_sha256: str | None = None
    ) -> None:
        """Put an archive on the site's package index."""
        listed = listed_sha256 or sha256(archive)
        link = f'<a href="/files/{filename}#sha256={listed}">{filename}</a>'
        self.answers[f"/simple/{project}/"] = f"<!DOCTYPE html><html><body>{link}</body></html>".encode()
        self.answers[f"/files/{filename}"] = archive


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tar_gz(contents: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as pack:
        for name, data in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            pack.addfile(info, io.BytesIO(data))
    return file.getvalue()


def wheel(contents: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, data in contents.items():
            pack.writestr(name, data)
    return file.getvalue()


@contextmanager
def serving() -> Iterator[Site]:
    """A site that answers until the end of the block."""
    site = Site()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(site)) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            site.wake.set()
            server.shutdown()
            thread.join()


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            if self.path not in site.answers:
                self.send_error(404)
                return
            body = site.answers[self.path]
            self.send_response(200)
            self.send_header(
                "Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream"
            )
            self.send_header("Content-Length", str(site.claims.get(self.path, len(body))))
            self.end_headers()
            self._send(body)

        def _send(self, body: bytes) -> None:
            first = site.pauses.get(self.path, len(body))
            try:
                self.wfile.write(body[:first])
                self.wfile.flush()
                if first < len(body):
                    site.wake.wait(30)
                    self.wfile.write(body[first:])
            except ConnectionError:
                return

        def log_message(self, *args: object) -> None:
            """Keep the tests' output quiet."""

    return Handler
