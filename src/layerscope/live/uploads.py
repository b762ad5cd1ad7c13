"""Pictures that a page sends: bounded in size, pixels, kind, time and number, answered line by line as JSON."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from layerscope.errors import ImageError, one_line
from layerscope.images.decoding import decode_files
from layerscope.live.passing import CHOICES, Live

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import Receive, Scope, Send

PATH = "/live/picture"
MAX_BYTES = 32_000_000  #: of a file
MAX_PIXELS = 60_000_000  #: of a picture
ARRIVAL = 30.0  #: seconds that a file may take to arrive
_KINDS = ("image/", "application/octet-stream")


class RefusedError(Exception):
    """A request that is not answered: the status, and why in a line."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, eq=False)
class Uploads:
    """Takes one picture at a time."""

    live: Live
    _one: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def routes(self) -> list[BaseRoute]:
        """What the server answers besides the pages."""
        from starlette.routing import Route

        return [Route(PATH, self, methods=["POST"])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a line for each piece that `Live.pieces` tells, or why there is none."""
        from starlette.requests import Request
        from starlette.responses import PlainTextResponse

        request = Request(scope, receive)
        try:
            names, layers = self._chosen(request)
            data = await _body(request)
            if not self._one.acquire(blocking=False):
                raise RefusedError(429, "another picture is on its way; try again when it is done")
        except RefusedError as refused:
            await PlainTextResponse(f"{refused}\n", refused.status)(scope, receive, send)
            return
        try:
            response = await self._answer(data, names, layers)
            await response(scope, receive, send)
        finally:
            self._one.release()

    async def _answer(self, data: bytes, names: list[str], layers: str) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import PlainTextResponse, StreamingResponse

        try:
            picture = await run_in_threadpool(decode_files, [data], max_pixels=MAX_PIXELS)
        except ImageError as error:
            return PlainTextResponse(f"{one_line(str(error))}\n", 415)
        pieces = self.live.pieces(picture, names, layers)
        lines = (json.dumps(piece, allow_nan=False).encode() + b"\n" for piece in pieces)
        return StreamingResponse(lines, media_type="application/x-ndjson")

    def _chosen(self, request: Request) -> tuple[list[str], str]:
        """Names of the networks, and which of their layers."""
        known, given = self.live.study.networks, request.query_params
        names, layers = (
            list(dict.fromkeys(given.getlist("network"))) or list(known),
            given.get("layers", "all"),
        )
        if strange := [name for name in names if name not in known]:
            raise RefusedError(400, f"the study has no network {strange[0]!r:.80}; it has {', '.join(known)}")
        if layers not in CHOICES:
            raise RefusedError(400, f"layers are {', '.join(CHOICES)}, not {layers!r:.80}")
        return names, layers


async def _body(request: Request) -> bytes:
    """What was sent. Raises RefusedError for another kind than pictures, too much, and what takes too long."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith(_KINDS):
        raise RefusedError(415, f"send a picture, as image/jpeg or the like, not {kind!r:.80}")
    said = request.headers.get("content-length", "0")
    if said.isdecimal() and int(said) > MAX_BYTES:
        raise RefusedError(413, _too_large())
    data = bytearray()
    try:
        async with asyncio.timeout(ARRIVAL):
            async for chunk in request.stream():
                data += chunk
                if len(data) > MAX_BYTES:
                    raise RefusedError(413, _too_large())
    except TimeoutError:
        raise RefusedError(408, f"the picture took more than {ARRIVAL:g} seconds to arrive") from None
    if not data:
        raise RefusedError(400, "nothing was sent; send a picture")
    return bytes(data)


def _too_large() -> str:
    return f"a picture has at most {MAX_BYTES / 1e6:g} MB; send a smaller one"
