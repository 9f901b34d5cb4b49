"""uvicorn's HTTP protocol with a short way for hot requests, which carry most of the traffic.

A request to a hot route whose small body is announced by its length goes from the parser straight to its handler, and
its answer back in one write. No ASGI messages are made of either: they cost more than everything that the
handler does. Whatever is unusual about a request (a long or chunked body, a query, a request sent before the last was
answered, `Expect`) takes uvicorn's way through the application, which serves the same routes by the same
handlers.

It stands on the protocol class of uvicorn that uses httptools: the state named below is that class's.
"""

import asyncio
from functools import partial
from typing import Any

import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from meterline.api.asgi import Answer, Asked, Doorway, Hot, decoded, encoded
from meterline.api.metric import Watch

log = structlog.get_logger(__name__)

_LENGTH = b"content-length"
_SMALL = 4 * 1024
"""Bytes of a body that nobody counts while it waits; longer ones are among those that the doorway bounds."""
_BROKEN = Answer(500, b"Internal Server Error", {"content-type": "text/plain; charset=utf-8"})


class _Deaf:
    """Stands where uvicorn wakes an application that waits for more of a body: nobody waits."""

    def set(self) -> None:
        """Nobody hears it."""


class HotCycle:
    """A hot request being received and answered, in the place of uvicorn's request-response cycle."""

    __slots__ = ("body", "disconnected", "headers", "hot", "keep_alive", "method", "path", "response_complete", "watch")
    message_event = _Deaf()
    headers: list[tuple[bytes, bytes]]
    watch: Watch

    def __init__(self, found: tuple[Hot, str, str], *, keep_alive: bool) -> None:
        self.hot, self.method, self.path = found
        self.keep_alive = keep_alive
        self.body = b""
        self.disconnected = False
        self.response_complete = False


class HotProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._doorway: Doorway = config.app.doorway  # type: ignore[union-attr]
        self._receiving = False
        self._rested = 0.0
        self._bell: asyncio.TimerHandle | None = None

    def on_message_begin(self) -> None:
        self._receiving = True
        # The scope is made when it turns out that the application is asked.
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        found = self._doorway.by_bytes.get((self.parser.get_method(), self.url))
        if found is not None and self._usual():
            self.cycle = HotCycle(found, keep_alive=self.parser.should_keep_alive())  # type: ignore[assignment]
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _usual(self) -> bool:
        last: Any = self.cycle
        free = last is None or last.response_complete
        if not free or self.expect_100_continue or self._doorway.full or self.parser.get_http_version() != "1.1":
            return False
        lengths = [value for name, value in self.headers if name == _LENGTH]
        return len(lengths) == 1 and lengths[0].isdigit() and int(lengths[0]) <= HIGH_WATER_LIMIT

    def on_body(self, body: bytes) -> None:
        cycle: Any = self.cycle
        if isinstance(cycle, HotCycle):
            cycle.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        cycle: Any = self.cycle
        if not isinstance(cycle, HotCycle):
            super().on_message_complete()
            return
        cycle.watch = Watch()
        cycle.headers = self.headers
        at_once = cycle.hot.at_once if len(cycle.body) <= _SMALL else None
        if at_once is None or not at_once(dict(cycle.headers), cycle.body, partial(self._reply, cycle)):
            self._ask(cycle)

    def _reply(self, cycle: HotCycle, answer: Answer | None) -> None:
        if answer is None or self.flow.write_paused:
            self._ask(cycle, answer)
            return
        try:
            self._finish(cycle, answer)
        except Exception:  # who calls back has more callers to answer
            log.exception("call_failed", method=cycle.method, path=cycle.path)

    def _ask(self, cycle: HotCycle, answer: Answer | None = None) -> None:
        """Answer in a task: it has to be waited for, be it the handler or the caller who reads too slowly."""
        task = self.loop.create_task(self._answer(cycle, answer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer(self, cycle: HotCycle, answer: Answer | None) -> None:
        try:
            if answer is None:
                asked = Asked(cycle.method, cycle.path, b"", decoded(cycle.headers), cycle.body)
                answer = await self._doorway.answer(cycle.hot, asked)
        except Exception:
            cycle.keep_alive = False
            answer = _BROKEN
            log.exception("call_failed", method=cycle.method, path=cycle.path)
        if self.flow.write_paused and not cycle.disconnected:
            await self.flow.drain()
        self._finish(cycle, answer)

    def _finish(self, cycle: HotCycle, answer: Answer) -> None:
        cycle.watch.answered(cycle.method, cycle.path, str(int(answer.status)))
        if not cycle.disconnected:
            self.transport.write(self._bytes(answer, keep_alive=cycle.keep_alive))
        cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        if self.pipeline or self.transport.is_closing():
            self.on_response_complete()
        else:
            self._rest()

    def _rest(self) -> None:
        """As `on_response_complete`, with one timer that runs on from request to request, as each costs much to set."""
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._receiving = False
        self._rested = self.loop.time()
        if self._bell is None:
            self._bell = self.loop.call_later(self.timeout_keep_alive, self._ring)

    def _ring(self) -> None:
        """Close a connection that was quiet for so long; one that the application used since has uvicorn's timer."""
        self._bell = None
        rested = self.loop.time() - self._rested
        if self._receiving or self.transport.is_closing():
            return
        if rested < self.timeout_keep_alive:
            self._bell = self.loop.call_later(self.timeout_keep_alive - rested, self._ring)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._bell is not None:
            self._bell.cancel()
        super().connection_lost(exc)

    def _bytes(self, answer: Answer, *, keep_alive: bool) -> bytes:
        parts = [STATUS_LINE[answer.status]]
        for name, value in self.server_state.default_headers:
            parts += (name, b": ", value, b"\r\n")
        for name, value in encoded(answer):
            parts += (name, b": ", value, b"\r\n")
        parts.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
        parts.append(answer.body)
        return b"".join(parts)
