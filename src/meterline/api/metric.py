"""What the web processes count of their requests."""

import time

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

        started = time.perf_counter()
        _IN_FLIGHT.inc()
        try:
            await self._app(scope, receive, watch)
        finally:
            _IN_FLIGHT.dec()
            route = getattr(scope.get("route"), "path", "unmatched")
            _SECONDS.labels(scope["method"], route, status).observe(time.perf_counter() - started)
