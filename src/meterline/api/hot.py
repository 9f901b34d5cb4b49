"""Which event routes are answered by bare ASGI."""

from meterline.api.asgi import Hot
from meterline.api.auth import Keys
from meterline.api.ingest import events
from meterline.api.stripe import meter_event, meter_event_v2
from meterline.store.database import Database
from meterline.usecase.ingest_events import Ingest


def routes(ingest: Ingest, keys: Keys, database: Database) -> dict[tuple[str, str], Hot]:
    """The hot routes of one process by method and path."""
    return {
        ("POST", "/v1/billing/meter_events"): meter_event.hot(ingest, keys),
        ("POST", "/v2/billing/meter_events"): meter_event_v2.hot_event(ingest, keys),
        ("POST", "/v2/billing/meter_event_stream"): meter_event_v2.hot_stream(ingest, database),
        ("POST", "/ingest/events"): events.hot(ingest, keys),
        ("POST", "/api/v1/events"): events.hot(ingest, keys, openmeter=True),
    }
