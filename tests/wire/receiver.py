"""A webhook receiver: a real HTTP server that keeps what it was sent and answers as told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def signature(self) -> str:
        return self.headers["stripe-signature"]

    @property
    def event(self) -> dict[str, object]:
        decoded: dict[str, object] = msgspec.json.decode(self.body)
        return decoded


@dataclass(slots=True)
class Receiver:
    """What arrived so far; `answer` says the status to give (it may block, to play a hanging endpoint)."""

    url: str
    answer: Callable[[Received], int] = lambda _: 200
    received: list[Received] = field(default_factory=list)
    _arrival: threading.Condition = field(default_factory=threading.Condition)

    def take(self, request: Received) -> None:
        with self._arrival:
            self.received.append(request)
            self._arrival.notify_all()

    def wait_for(self, condition: Callable[[list[Received]], bool], *, patience_s: float = 30) -> list[Received]:
        """What arrived, once it fulfils the condition."""
        with self._arrival:
            arrived = self._arrival.wait_for(lambda: condition(self.received), patience_s)
            assert arrived, f"waited in vain; {len(self.received)} arrived"
            return list(self.received)

    def wait_for_count(self, count: int) -> list[Received]:
        return self.wait_for(lambda received: len(received) >= count)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def receiving(answer: Callable[[Received], int] = lambda _: 200) -> Iterator[Receiver]:
    """A receiver on a free port of the loopback interface."""
    receiver = Receiver(url="", answer=answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Received(path=self.path, headers=headers, body=body)
            receiver.take(request)
            said = b"thanks"
            self.send_response(receiver.answer(request))
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = _Server(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
