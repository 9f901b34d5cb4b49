"""`/ingest/events/{id}/void`, `/replace`, `/ingest/backfills` and `/ingest/corrections`."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from meterline.api.ingest.event import found_by
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.json import Json, unix, unix_or_none
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import Bool, DecimalText, Hash, Instant, List, ListParams, Params, Text
from meterline.api.stripe.route import Routes
from meterline.meter import Meter, intake
from meterline.meter.intake import MAX_IDENTIFIER, Problem
from meterline.period import Period
from meterline.refusal import Refusal
from meterline.store import correction as store
from meterline.store import customer, meter, row
from meterline.store.correction import Correction, Staged
from meterline.store.event import digest16
from meterline.store.usage import dimensions_text
from meterline.usecase import correct_usage as usecase
from meterline.usecase.correct_usage import Author, Change

routes = Routes("usage_corrections")

MOST_STAGED = 1_000


def _texts(value: Any) -> Any:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise PydanticCustomError("parameter_invalid_hash", "Invalid object")
    return value


Texts = Annotated[dict[str, str], BeforeValidator(_texts)]


class Why(Params):
    reason: Text
    actor: Text | None = None
    customer: Text | None = None
    source: Text | None = None


class Replace(Why):
    value: DecimalText | None = None
    timestamp: Instant | None = None
    dimensions: Texts | None = None


class BackfillCreate(Params):
    customer: Text
    event_name: Text
    start: Instant
    end: Instant
    reason: Text
    replace: Bool = True
    actor: Text | None = None


class BackfilledEvent(Hash):
    identifier: Annotated[Text, Field(max_length=MAX_IDENTIFIER)]
    timestamp: Instant
    payload: Texts


class BackfillAppend(Params):
    events: Annotated[List[BackfilledEvent], Field(min_length=1, max_length=MOST_STAGED)]


class CorrectionList(ListParams):
    customer: Text | None = None


def render(found: Correction) -> Json:
    """A correction. `quantity_before` and `quantity_after` are the meter's, between `start` and `end`."""
    return {
        "id": found.id,
        "object": "usage_correction",
        "actor": found.actor,
        "applied_at": unix_or_none(found.applied_at),
        "created": unix(found.created),
        "customer": found.customer,
        "detail": dict(found.detail),
        "end": unix(found.end),
        "identifier": found.identifier,
        "kind": found.kind,
        "livemode": found.environment == "live",
        "meter": found.meter,
        "quantity_after": None if found.after is None else format(found.after, "f"),
        "quantity_before": None if found.before is None else format(found.before, "f"),
        "reason": found.reason,
        "replaces": found.replaces,
        "reverted_at": unix_or_none(found.reverted_at),
        "start": unix(found.start),
        "status": found.status,
    }


def _author(call: Call[Any], actor: str | None, reason: str) -> Author:
    key = call.caller.key.id
    return Author(actor=key if actor is None else f"{actor} ({key})", reason=reason)


@routes.post("/ingest/events/{id}/void", Why)
async def void(call: Call[Why]) -> Json:
    """Take an event out of what counts."""
    asked = call.params
    found, owner = await found_by(call, asked.customer, asked.source)
    author = _author(call, asked.actor, asked.reason)
    return render(await usecase.void_event(call.tx, found=found, public_customer=owner, author=author, now=call.now))


@routes.post("/ingest/events/{id}/replace", Replace)
async def replace(call: Call[Replace]) -> Json:
    """Count another value, time or other dimension values in the place of an event."""
    asked = call.params
    found, owner = await found_by(call, asked.customer, asked.source)
    meters = await meter.find(call.tx, call.environment, [found.meter])
    if asked.dimensions is not None and set(asked.dimensions) != set(meters[found.meter].dimension_keys):
        raise Refusal("Give a value for each of the meter's dimensions, and no others.", param="dimensions")
    if asked.value is not None and meters[found.meter].formula in ("count", "unique"):
        raise Refusal("Events of this meter have no value of their own.", param="value")
    change = Change(value=asked.value, occurred_at=asked.timestamp, dimensions=asked.dimensions)
    return render(
        await usecase.replace_event(
            call.tx,
            found=found,
            public_customer=owner,
            change=change,
            author=_author(call, asked.actor, asked.reason),
            now=call.now,
        )
    )


@routes.post("/ingest/backfills", BackfillCreate)
async def open_backfill(call: Call[BackfillCreate]) -> Json:
    """Begin to collect events for a stretch of time; they count when the backfill is closed."""
    asked = call.params
    of = await customer.get(call.tx, call.environment, asked.customer)
    counted_by = (await meter.catalog(call.tx, call.environment)).get(asked.event_name)
    if counted_by is None:
        raise Refusal(f'No meter found for event name "{asked.event_name}"', param="event_name")
    if asked.end <= asked.start:
        raise Refusal("Invalid end: must be after start.", param="end")
    return render(
        await usecase.open_backfill(
            call.tx,
            of=of,
            meter=counted_by,
            period=Period(start=asked.start, end=asked.end),
            replaces=asked.replace,
            author=_author(call, asked.actor, asked.reason),
            now=call.now,
        )
    )


@routes.post("/ingest/backfills/{id}/events", BackfillAppend)
async def append(call: Call[BackfillAppend]) -> Json:
    """Add events to an open backfill. Adding one again changes nothing."""
    opened = await store.lock(call.tx, call.environment, call.path["id"])
    found = (await meter.find(call.tx, call.environment, [opened.meter]))[opened.meter]
    events = [_staged(n, each, found, opened.customer) for n, each in enumerate(call.params.events)]
    added = await usecase.stage_events(call.tx, environment=call.environment, id=opened.id, events=events, now=call.now)
    return {"object": "usage_backfill_events", "added": added, "backfill": opened.id, "received": len(events)}


def _staged(n: int, each: BackfilledEvent, counted_by: Meter, owner: str) -> Staged:
    measured = intake.read(each.payload, counted_by, customer=owner)
    if isinstance(measured, Problem):
        raise Refusal(measured.message, code=measured.code, param=f"events[{n}][{measured.field}]")
    if measured.customer != owner:
        raise Refusal("The event is another customer's.", param=f"events[{n}][payload]")
    return Staged(
        identifier16=digest16(each.identifier),
        identifier=each.identifier,
        occurred_at=each.timestamp,
        value=measured.value,
        member=measured.member,
        dimensions=dimensions_text(measured.dimensions) if measured.dimensions else None,
    )


@routes.post("/ingest/backfills/{id}/close", Params)
async def close_backfill(call: Call[Params]) -> Json:
    """Count what the backfill collected."""
    return render(await usecase.close_backfill(call.tx, environment=call.environment, id=call.path["id"], now=call.now))


@routes.post("/ingest/corrections/{id}/revert", Params)
async def revert(call: Call[Params]) -> Json:
    """Take a correction back, an open or closed backfill included."""
    return render(await usecase.revert(call.tx, environment=call.environment, id=call.path["id"], now=call.now))


@routes.get("/ingest/corrections", CorrectionList)
async def listed(call: Call[CorrectionList]) -> Json:
    """List corrections, newest first."""
    found = await store.listed(call.tx, call.environment, cursor(call.params), customer=call.params.customer)
    data = [render(row.load(Correction, each)) for each in found.rows]
    return list_of(data, url=call.url, has_more=found.has_more)
