"""Which routes are answered by bare ASGI, in front of the framework: those of events, and the gate's."""

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from meterline.api.asgi import Doorway, Hot, HotRoutes
from meterline.api.ingest import events
from meterline.api.metric import RequestMetrics
from meterline.api.stripe import meter_event, meter_event_v2
from meterline.api.wallet import gate, gate_quick
from meterline.api.wallet.route import Behind, hot


def routes(behind: Behind) -> dict[tuple[str, str], Hot]:
    """The hot routes of one process by method and path."""
    ingest, keys, database = behind.ingest, behind.keys, behind.database
    careful = hot(behind, gate.routes)
    return {
        **careful,
        **gate_quick.hot(behind, careful),
        ("POST", meter_event.PATH): meter_event.hot(ingest, keys),
        ("POST", "/v2/billing/meter_events"): meter_event_v2.hot_event(ingest, keys),
        ("POST", "/v2/billing/meter_event_stream"): meter_event_v2.hot_stream(ingest, database),
        ("POST", "/ingest/events"): events.hot(ingest, keys),
        ("POST", "/api/v1/events"): events.hot(ingest, keys, openmeter=True),
    }


class Application(FastAPI):
    """The framework's application, which never sees a request to a hot route."""

    doorway: Doorway = Doorway({})
    _first: ASGIApp

    def answer_first(self, routes: dict[tuple[str, str], Hot]) -> None:
        """Answer these routes before anything else looks at them; they are counted as all requests are."""
        self.doorway = Doorway(routes)
        self._first = RequestMetrics(HotRoutes(super().__call__, doorway=self.doorway))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (scope["method"], scope["path"]) in self.doorway.routes:
            await self._first(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
