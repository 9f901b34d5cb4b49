"""`GET /ingest/events/{id}`: the life of one event, from receipt to the invoice line that bills it."""

from typing import Any

from meterline.api.ingest import late
from meterline.api.stripe.call import Call
from meterline.api.stripe.json import Json, unix, unix_or_none
from meterline.api.stripe.params import Params, Text
from meterline.api.stripe.route import Routes
from meterline.refusal import Missing
from meterline.store import billed_usage, meter, stray, usage
from meterline.store.event import Stored
from meterline.store.usage import hour_of
from meterline.usecase.correct_usage import find_event
from meterline.usecase.ingest_events import identifier16
from meterline.usecase.show_late_usage import life_of_late

routes = Routes("meter_events")


class EventRetrieve(Params):
    customer: Text | None = None
    source: Text | None = None


@routes.get("/ingest/events/{id}", EventRetrieve)
async def retrieve(call: Call[EventRetrieve]) -> Json:
    """What became of an event.

    Without `customer`, events counted longer than 24 hours ago are not found; stray events always are.
    """
    identifier = call.path["id"]
    try:
        found, owner = await found_by(call, call.params.customer, call.params.source)
    except Missing:
        strays = await stray.find(call.tx, call.environment, identifier)
        if not strays:
            raise Missing("meter event", identifier, param="id", subject=True) from None
        return _stray_life(identifier, strays)
    return await _life(call, found, owner)


async def found_by(call: Call[Any], customer: str | None, source: str | None) -> tuple[Stored, str]:
    """The event that the path names, and its customer's id. Raises Missing."""
    identifier = call.path["id"]
    try:
        return await find_event(
            call.tx,
            environment=call.environment,
            identifier16=identifier16(identifier, source),
            customer_id=customer,
            now=call.now,
        )
    except Missing as missing:
        if missing.kind != "meter event":
            raise
        raise Missing("meter event", identifier, param="id", subject=True) from None


async def _life(call: Call[Any], found: Stored, owner: str) -> Json:
    counted_by = (await meter.find(call.tx, call.environment, [found.meter]))[found.meter]
    dimensions = await usage.dimensions_of(call.tx, found.customer_id, found.meter, found.dimensions16)
    lines = await billed_usage.lines(
        call.tx,
        environment=call.environment,
        customer_id=found.customer_id,
        meter=found.meter,
        occurred_at=found.occurred_at,
        received_at=found.received_at,
        through_stripe=found.through_stripe,
    )
    debits = await billed_usage.debits(
        call.tx,
        customer_id=found.customer_id,
        occurred_at=found.occurred_at,
        identifier16=found.identifier16,
    )
    return {
        "id": found.identifier,
        "object": "usage_event",
        "counted_in": [] if found.voided_at is not None else [unix(hour_of(found.occurred_at))],
        "customer": owner,
        "debits": debits,
        "dimensions": dict(dimensions),
        "event_name": counted_by.event_name,
        "fate": "accepted" if found.voided_at is None else "voided",
        "invoice_lines": lines,
        "late": [late.life(each) for each in await life_of_late(call.tx, found)],
        "livemode": call.livemode,
        "made_by": found.made_by,
        "meter": found.meter,
        "received_at": unix(found.received_at),
        "through_stripe": found.through_stripe,
        "timestamp": unix(found.occurred_at),
        "value": format(found.value, "f"),
        "voided_at": unix_or_none(found.voided_at),
        "voided_by": found.voided_by,
    }


def _stray_life(identifier: str, strays: list[dict[str, Any]]) -> Json:
    latest = max(strays, key=lambda each: each["last_seen"])
    return {
        "id": identifier,
        "object": "usage_event",
        "code": latest["code"],
        "event_name": latest["event_name"],
        "fate": latest["fate"],
        "field": latest["field"],
        "last_seen": unix(latest["last_seen"]),
        "message": latest["message"],
        "received_at": unix(latest["received_at"]),
        "seen": latest["seen"],
        "told": latest["told"],
    }
