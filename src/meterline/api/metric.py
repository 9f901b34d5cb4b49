"""What the web processes count of their requests."""

import time
from functools import cache

from prometheus_client import Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = Histogram(
    "meterline_http_request_seconds",
    "Time from a request's head to the end of its answer.",
    ("method", "route", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_IN_FLIGHT = Gauge(
    "meterline_http_requests_in_flight", "Requests that are being answered.", multiprocess_mode="livesum"
)


@cache
def _duration(method: str, route: str, status: str) -> Histogram:
    return _SECONDS.labels(method, route, status)


class Watch:
    """Measures one request, from where it is made to `answered`."""

    __slots__ = ("_started",)

    def __init__(self) -> None:
        _IN_FLIGHT.inc()
        self._started = time.perf_counter()

    def answered(self, method: str, route: str, status: str) -> None:
        """The request is over; `route` is its pattern."""
        _IN_FLIGHT.dec()
        _duration(method, route, status).observe(time.perf_counter() - self._started)


class RequestMetrics:
    """ASGI middleware: measures every request under its route's pattern, never under its path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = "500"

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        request = Watch()
        try:
            await self._app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            request.answered(scope["method"], route, status)
