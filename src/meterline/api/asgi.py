"""Bare ASGI for the event routes, which carry most of the traffic: a bounded body in, bytes out.

A route here is a function from `Asked` to `Answer`. Bodies in memory are bounded for the whole process: past
the bound a caller is asked to come back, and nothing was taken.
"""

import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, TypeAlias

import msgspec
import zstandard
from starlette.types import ASGIApp, Receive, Scope, Send

MAX_SENT = 16 * 1024 * 1024
MAX_UNPACKED = 64 * 1024 * 1024
MAX_HELD = 256 * 1024 * 1024
"""Bytes: of one body as sent, of one body unpacked, of all bodies being worked on in this process."""
MAX_PARTS = 2_000
"""How many compressed parts one body may consist of."""


class BodyRefused(Exception):
    """The body cannot be taken; `status` says why."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request: names of headers in lower case, the query undecoded; a handler gets the body unpacked."""

    method: str
    path: str
    query: bytes
    headers: Mapping[str, str]
    body: bytes


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A response; the body is JSON unless there is none, or the headers say otherwise."""

    status: int
    body: bytes
    headers: dict[str, str] = {}


Handler: TypeAlias = Callable[[Asked], Awaitable[Answer]]
Refuse: TypeAlias = Callable[[BodyRefused, Mapping[str, str]], Answer]
Reply: TypeAlias = Callable[[Answer | None], None]
AtOnce: TypeAlias = Callable[[Mapping[bytes, bytes], bytes, Reply], bool]


@dataclass(frozen=True, slots=True)
class Hot:
    """A hot route: who answers, and how the dialect says that a body was refused.

    `at_once` takes the headers and the body of a request about which nothing has to be looked up, and calls back with
    the answer when it is known; with None where the handler must be asked after all. It says False, and did nothing,
    of any other request. A request so taken costs no task of its own.
    """

    handler: Handler
    refuse: Refuse
    at_once: AtOnce | None = None


class Doorway:
    """The hot routes of one process, whoever reads the bytes: what is answered is counted, what is held is bounded."""

    def __init__(self, routes: Mapping[tuple[str, str], Hot]) -> None:
        self.routes = routes
        self.by_bytes = {
            (method.encode(), path.encode()): (hot, method, path) for (method, path), hot in routes.items()
        }
        self._held = 0

    @property
    def full(self) -> bool:
        """Whether so many bodies are being worked on that no other is read."""
        return self._held > MAX_HELD

    async def answer(self, hot: Hot, asked: Asked) -> Answer:
        """The answer to a request whose body is here as it was sent."""
        sent = len(asked.body)
        self._held += sent
        try:
            if "content-encoding" in asked.headers:
                asked = msgspec.structs.replace(asked, body=unpacked(asked.body, asked.headers))
            return await hot.handler(asked)
        except BodyRefused as refused:
            return hot.refuse(refused, asked.headers)
        finally:
            self._held -= sent


class HotRoutes:
    """ASGI middleware: answers its own (method, path) pairs and passes everything else on."""

    def __init__(self, app: ASGIApp, *, doorway: Doorway) -> None:
        self._app = app
        self._doorway = doorway
        self._patterns = {path: SimpleNamespace(path=path) for _, path in doorway.routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hot = self._doorway.routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if hot is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = self._patterns[scope["path"]]
        headers = decoded(scope["headers"])
        try:
            raw = await self._read(receive, headers)
        except BodyRefused as refused:
            answer = hot.refuse(refused, headers)
        else:
            asked = Asked(scope["method"], scope["path"], scope["query_string"], headers, raw)
            answer = await self._doorway.answer(hot, asked)
        await _send(send, answer)

    async def _read(self, receive: Receive, headers: Mapping[str, str]) -> bytes:
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > MAX_SENT:
            raise _too_large()
        if self._doorway.full:
            raise BodyRefused(HTTPStatus.TOO_MANY_REQUESTS, "Too much is waiting to be stored; send it again soon.")
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise BodyRefused(HTTPStatus.BAD_REQUEST, "The connection was closed inside the body.")
            chunk = message.get("body", b"")
            if not message.get("more_body", False) and not chunks:
                return bytes(chunk)
            size += len(chunk)
            if size > MAX_SENT:
                raise _too_large()
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)


def _too_large() -> BodyRefused:
    return BodyRefused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The request body is too large: at most {MAX_SENT} bytes, {MAX_UNPACKED} unpacked, are accepted.",
    )


def unpacked(raw: bytes, headers: Mapping[str, str]) -> bytes:
    """The body without its content encoding: gzip, zstd or none. Refuses bombs and what is neither."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    try:
        match encoding:
            case "identity" | "":
                return raw
            case "gzip":
                return _gunzip(raw)
            case "zstd":
                return _unzstd(raw)
    except (zlib.error, zstandard.ZstdError) as error:
        raise BodyRefused(HTTPStatus.BAD_REQUEST, f"The body is not valid {encoding}: {error}.") from None
    raise BodyRefused(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Encoding {encoding[:30]} is not known; use gzip or zstd."
    )


def _gunzip(raw: bytes) -> bytes:
    return _whole(raw, 16_384, lambda: zlib.decompressobj(wbits=31), zlib.error)


def _unzstd(raw: bytes) -> bytes:
    unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_UNPACKED)
    return _whole(raw, 1_024, unpacker.decompressobj, zstandard.ZstdError)


def _whole(raw: bytes, piece: int, begin: "Callable[[], Any]", error: type[Exception]) -> bytes:
    """All parts of a compressed body, one after the other: both formats may be concatenated.

    Fed piece by piece, so that a bomb is noticed before it has filled the memory. Raises `error` for a body that is cut
    off.
    """
    chunks: list[bytes] = []
    size = parts = 0
    unpacker = None
    for start in range(0, len(raw), piece):
        rest = raw[start : start + piece]
        while rest:
            if unpacker is None:
                unpacker, parts = begin(), parts + 1
                if parts > MAX_PARTS:
                    raise error(f"more than {MAX_PARTS} parts")
            chunks.append(unpacker.decompress(rest))
            size += len(chunks[-1])
            if size > MAX_UNPACKED:
                raise _too_large()
            rest = b""
            if unpacker.eof:
                rest, unpacker = unpacker.unused_data, None
    if unpacker is not None or not parts:
        raise error("incomplete")
    return b"".join(chunks)


def decoded(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers as text."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}


def encoded(answer: Answer) -> list[tuple[bytes, bytes]]:
    """The headers of an answer as bytes, those of its body among them."""
    headers = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
    if answer.body and "content-type" not in answer.headers:
        headers.append((b"content-type", b"application/json"))
    headers.append((b"content-length", b"%d" % len(answer.body)))
    return headers


async def _send(send: Send, answer: Answer) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded(answer)})
    await send({"type": "http.response.body", "body": answer.body})
