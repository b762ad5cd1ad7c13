"""The site over HTTP, made as it is asked for; nothing is written.

Only this machine's browser is answered, and only pages of this server: a page of another site that has the server's
address under a name of its own (DNS rebinding), or that asks from elsewhere (cross-origin), is refused.
"""

from __future__ import annotations

import gzip
import ipaddress
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from layerscope.errors import LayerscopeError, OutputError, said
from layerscope.explorer.contents import Copied
from layerscope.explorer.site import INDEX, Site

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = "127.0.0.1"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self' http://localhost:* http://127.0.0.1:* vscode-webview:"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_PATIENCE = 5.0  # seconds that a server may take to end
_SQUEEZE = 6  # of gzip, for scripts
_OWN = ("same-origin", "none")  # where a browser may say that a request comes from


def application(site: Site, name: str = LOOPBACK, routes: Sequence[BaseRoute] = ()) -> ASGIApp:
    """The site as an ASGI application that answers to ``name``, localhost and addresses in numbers.

    ``routes``: more that it answers, before the site's paths. Raises LayerscopeError without Starlette.
    """
    try:
        from starlette.applications import Starlette
        from starlette.routing import Route
    except ImportError as error:
        raise _missing() from error
    pages = Route("/{path:path}", _Pages(site), methods=["GET", "HEAD"])
    return _Guard(Starlette(routes=[*routes, pages]), name)


class _Pages:
    """Answers with what lies at a path of the site: a path that is not one of it leads nowhere."""

    def __init__(self, site: Site) -> None:
        self.site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import Request

        response = await run_in_threadpool(self._answer, Request(scope, receive))
        await response(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        from starlette.responses import PlainTextResponse, Response

        path = request.path_params["path"] or INDEX
        content = self.site.contents.get(path)
        if content is None:
            return PlainTextResponse("there is no such page\n", 404)
        tag = f'"{content.sha256 if isinstance(content, Copied) else self.site.key}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        try:
            data = content.read()
        except LayerscopeError as error:
            return PlainTextResponse(f"{error}\n", 500)
        kind = _KINDS.get(PurePosixPath(path).suffix, "application/octet-stream")
        headers = {"ETag": tag, "Content-Type": kind, "Vary": "Accept-Encoding"}
        if kind.startswith("text/") and "gzip" in request.headers.get("accept-encoding", ""):
            data = gzip.compress(data, _SQUEEZE, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return Response(data, headers=headers)


class _Guard:
    """Refuses requests under other hosts' names and from other sites, and says with each answer what a page may do."""

    def __init__(self, inner: ASGIApp, name: str) -> None:
        self.inner, self.name = inner, name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        from starlette.datastructures import Headers, MutableHeaders
        from starlette.responses import PlainTextResponse

        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return

        async def send_guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        if why := self._refused(scope["method"], headers.getlist("host"), headers):
            await PlainTextResponse(f"{why}\n", 403)(scope, receive, send_guarded)
        else:
            await self.inner(scope, receive, send_guarded)

    def _refused(self, method: str, hosts: Sequence[str], headers: Any) -> str:
        """Why a request is not answered; "" if it is."""
        if len(hosts) != 1 or not is_own(host_of(hosts[0]), self.name):
            return "this server does not answer under that name; open the address that it says"
        origin, reading = headers.get("origin"), method in ("GET", "HEAD")
        if origin is not None and origin != f"http://{hosts[0]}":
            return "this server does not answer pages of other sites"
        navigates = reading and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site", "none") not in _OWN and not navigates:
            return "this server does not answer pages of other sites"
        return ""


def host_of(header: str) -> str:
    """The name or address in a Host header, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def is_own(host: str, name: str) -> bool:
    """Whether a host is meant to be ours: one that only we have, since nobody can register an address in numbers."""
    if host.lower() in ("localhost", name.lower()):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server at a host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# ------------------------------------------------------------------ running


@dataclass(frozen=True, eq=False)
class Serving:
    """A server that is listening; ``address``: what opens the site."""

    server: Any
    listening: socket.socket
    address: str
    _threads: list[threading.Thread] = field(default_factory=list, repr=False)

    @classmethod
    def at(cls, application: ASGIApp, host: str = LOOPBACK, port: int = 0) -> Serving:
        """Listen at a host and port; 0: one that is free. Raises OutputError if that cannot be."""
        try:
            import uvicorn
        except ImportError as error:
            raise _missing() from error
        listening = _listen(host, port)
        config = uvicorn.Config(application, log_level="error", lifespan="off", server_header=False)
        name = f"[{host}]" if ":" in host else host
        return cls(uvicorn.Server(config), listening, f"http://{name}:{listening.getsockname()[1]}/")

    def run(self) -> None:
        """Answer until interrupted."""
        self.server.run(sockets=[self.listening])

    def start(self) -> Serving:
        """Answer in a thread, until `stop` or the end of the process."""
        self._threads.append(threading.Thread(target=self.run, name="layerscope", daemon=True))
        self._threads[-1].start()
        return self

    def stop(self) -> None:
        """Answer no more."""
        self.server.should_exit = True
        for thread in self._threads:
            thread.join(_PATIENCE)
        self.listening.close()  # uvicorn leaves it open if it was told to end before it had begun


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise OutputError(
            f"cannot listen at {host}, port {port}: {said(error)}; take another --port or --host"
        ) from error


def _missing() -> LayerscopeError:
    return LayerscopeError("serving needs Starlette and uvicorn; install layerscope[serve]")
