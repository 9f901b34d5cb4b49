"""`/v1/billing/meters` and their event summaries."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe import meter_report
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import fetcher
from meterline.api.stripe.json import Json, unix, unix_or_none
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import Hash, Instant, List, ListParams, Params, RetrieveParams, Text
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import reports, snapshots
from meterline.meter import Meter
from meterline.meter.report import MeterErrorReport
from meterline.period import Period
from meterline.refusal import Missing, Refusal
from meterline.store import customer as customers
from meterline.store import meter as store
from meterline.store import notice, row, usage
from meterline.store.event import digest16
from meterline.store.identifier import public
from meterline.store.page import Cursor
from meterline.store.usage import Wanted

routes = Routes("billing_meters")

MAX_DIMENSIONS = 10
MAX_BUCKETS = 20_000
_ID, _OF_WINDOW = "mtrusg_", 24
_SPAN = {"hour": timedelta(hours=1), "day": timedelta(days=1)}

Key = Annotated[Text, Field(max_length=100)]


class Aggregation(Hash):
    formula: Literal["sum", "count", "last", "max", "unique"]


class CustomerMapping(Hash):
    event_payload_key: Key
    type: Literal["by_id"]


class ValueSettings(Hash):
    event_payload_key: Key


class MeterCreate(Params):
    display_name: Annotated[Text, Field(max_length=250)]
    event_name: Key
    default_aggregation: Aggregation
    customer_mapping: CustomerMapping | None = None
    value_settings: ValueSettings | None = None
    event_time_window: Literal["day", "hour"] | None = None
    dimension_payload_keys: Annotated[List[Key], Field(max_length=MAX_DIMENSIONS)] = []


class MeterUpdate(Params):
    display_name: Annotated[Text, Field(max_length=250)] | None = None


class MeterList(ListParams):
    status: Literal["active", "inactive"] | None = None


class SummaryList(ListParams):
    customer: Text
    start_time: Instant
    end_time: Instant
    value_grouping_window: Literal["day", "hour"] | None = None
    dimension_filters: dict[str, str] | None = None
    dimension_group_by_keys: Annotated[List[Key], Field(max_length=MAX_DIMENSIONS)] = []


def render(meter: Meter) -> Json:
    """The meter object; `dimension_payload_keys` is there when the meter has dimensions."""
    body: Json = {
        "id": meter.id,
        "object": "billing.meter",
        "created": unix(meter.created),
        "customer_mapping": {"event_payload_key": meter.customer_key, "type": "by_id"},
        "default_aggregation": {"formula": meter.formula},
        "display_name": meter.display_name,
        "event_name": meter.event_name,
        "event_time_window": meter.event_time_window,
        "livemode": meter.environment == "live",
        "status": meter.status,
        "status_transitions": {"deactivated_at": unix_or_none(meter.deactivated_at)},
        "updated": unix(meter.updated),
        "value_settings": {"event_payload_key": meter.value_key},
    }
    if meter.dimension_keys:
        body["dimension_payload_keys"] = list(meter.dimension_keys)
    return body


snapshots(Meter, render, url="/v1/billing/meters/{id}")
reports(MeterErrorReport, data=meter_report.data, related=meter_report.related)


@fetcher("billing.meter")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.post("/v1/billing/meters", MeterCreate)
async def create(call: Call[MeterCreate]) -> Json:
    """Create a meter. `max` and `unique` are formulas that Stripe's meters do not have."""
    asked = call.params
    formula = asked.default_aggregation.formula
    if formula == "unique" and asked.event_time_window is not None:
        raise Refusal("A meter of unique values has no event time window.", param="event_time_window")
    meter = Meter(
        environment=call.environment,
        id=public("mtr") if call.livemode else public("mtr_test"),
        display_name=asked.display_name,
        event_name=asked.event_name,
        formula=formula,
        event_time_window=asked.event_time_window,
        customer_key=asked.customer_mapping.event_payload_key if asked.customer_mapping else "stripe_customer_id",
        value_key=asked.value_settings.event_payload_key if asked.value_settings else "value",
        dimension_keys=tuple(dict.fromkeys(asked.dimension_payload_keys)),
        created=call.now,
        updated=call.now,
    )
    await store.add(call.tx, meter)
    await _tell(call.tx, "created", meter, None, call.now)
    return render(meter)


@routes.get("/v1/billing/meters/{id}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Retrieve a meter."""
    return render(await _get(call.tx, call.environment, call.path["id"]))


@routes.post("/v1/billing/meters/{id}", MeterUpdate)
async def change(call: Call[MeterUpdate]) -> Json:
    """Give a meter another display name."""
    before = await store.lock(call.tx, call.environment, call.path["id"])
    after = replace(before, display_name=call.params.display_name or before.display_name)
    return await _save(call.tx, "updated", before, after, call.now)


@routes.post("/v1/billing/meters/{id}/deactivate", Params)
async def deactivate(call: Call[Params]) -> Json:
    """Refuse the meter's events from now on."""
    before = await store.lock(call.tx, call.environment, call.path["id"])
    if before.status == "inactive":
        raise Refusal("This meter is already inactive.")
    after = replace(before, status="inactive", deactivated_at=call.now)
    return await _save(call.tx, "deactivated", before, after, call.now)


@routes.post("/v1/billing/meters/{id}/reactivate", Params)
async def reactivate(call: Call[Params]) -> Json:
    """Take the meter's events again."""
    before = await store.lock(call.tx, call.environment, call.path["id"])
    if before.status == "active":
        raise Refusal("This meter is already active.")
    after = replace(before, status="active", deactivated_at=None)
    return await _save(call.tx, "reactivated", before, after, call.now)


@routes.get("/v1/billing/meters", MeterList)
async def listed(call: Call[MeterList]) -> Json:
    """List meters, newest first."""
    found = await store.listed(call.tx, call.environment, cursor(call.params), status=call.params.status)
    data = [render(row.load(Meter, each)) for each in found.rows]
    return list_of(data, url=call.url, has_more=found.has_more)


@routes.get("/v1/billing/meters/{id}/event_summaries", SummaryList)
async def summaries(call: Call[SummaryList]) -> Json:
    """Usage of a customer between two instants, whole or per hour or day: the newest window first.

    Windows without usage are listed with the value zero.
    """
    asked = call.params
    meter = await _get(call.tx, call.environment, call.path["id"])
    customer = await customers.get(call.tx, call.environment, asked.customer)
    _check_dimensions(meter, asked)
    windows = _windows(asked)
    page, has_more = _page(windows, cursor(asked), meter, customer.customer_id, asked)
    if asked.dimension_group_by_keys:
        return await _grouped(call, meter, customer.customer_id, page, has_more=has_more)
    wanted = [_wanted(meter, customer.customer_id, window, asked) for window in page]
    values = await usage.quantities(call.tx, wanted)
    data = [
        _summary(meter, customer.customer_id, window, value, asked) for window, value in zip(page, values, strict=True)
    ]
    return list_of(data, url=call.url, has_more=has_more)


def _check_dimensions(meter: Meter, asked: SummaryList) -> None:
    filters = [(key, f"dimension_filters[{key}]") for key in asked.dimension_filters or {}]
    for key, param in [*filters, *((key, "dimension_group_by_keys") for key in asked.dimension_group_by_keys)]:
        if key not in meter.dimension_keys:
            raise Refusal(f"The meter has no dimension {key}.", param=param)


async def _grouped(
    call: Call[SummaryList], meter: Meter, customer_id: UUID, page: list[Period], *, has_more: bool
) -> Json:
    """One summary per window and combination of the named dimensions' values; a window without usage has one, too."""
    asked = call.params
    keys = asked.dimension_group_by_keys
    if meter.formula not in ("sum", "count") and set(keys) != set(meter.dimension_keys):
        raise Refusal(
            "Values of this meter cannot be added up: group by all of its dimensions.",
            param="dimension_group_by_keys",
        )
    data = []
    for window in page:
        totals: dict[tuple[tuple[str, str], ...], object] = {}
        by_all = await usage.grouped(call.tx, _wanted(meter, customer_id, window, asked))
        for pairs, value in sorted(by_all.items()):
            group = tuple((key, found) for key, found in pairs if key in keys)
            totals[group] = value + totals[group] if group in totals else value  # type: ignore[operator]
        if not totals and asked.value_grouping_window is not None:
            totals[()] = 0
        for group, total in totals.items():
            summary = _summary(meter, customer_id, window, total, asked, group=group)
            data.append(summary | {"dimensions": dict(group)})
    return list_of(data, url=call.url, has_more=has_more)


def _windows(asked: SummaryList) -> list[Period]:
    """The windows asked for, newest first. Refuses bounds that do not sit on their boundaries."""
    window = asked.value_grouping_window
    for param, instant in (("start_time", asked.start_time), ("end_time", asked.end_time)):
        if instant.second or (window is not None and instant.minute) or (window == "day" and instant.hour):
            raise Refusal(f"Invalid {param}: must be aligned with {window or 'minute'} boundaries.", param=param)
    if asked.end_time <= asked.start_time:
        raise Refusal("Invalid end_time: must be after start_time.", param="end_time")
    if window is None:
        return [Period(start=asked.start_time, end=asked.end_time)]
    span = _SPAN[window]
    count = (asked.end_time - asked.start_time) // span
    if count > MAX_BUCKETS:
        raise Refusal(f"At most {MAX_BUCKETS} windows can be asked for; these would be {count}.", param="end_time")
    starts = [asked.start_time + n * span for n in reversed(range(count))]
    return [Period(start=start, end=start + span) for start in starts]


def _page(
    windows: list[Period], at: Cursor, meter: Meter, customer_id: UUID, asked: SummaryList
) -> tuple[list[Period], bool]:
    if at.starting_after is not None and at.ending_before is not None:
        raise Refusal("Received both starting_after and ending_before parameters. Please pass in only one.")
    mark = at.starting_after or at.ending_before
    if mark is None:
        return windows[: at.limit], len(windows) > at.limit
    ids = [_summary_id(meter, customer_id, window, asked) for window in windows]
    of_window = mark[: len(_ID) + _OF_WINDOW]
    if of_window not in ids:
        param = "starting_after" if at.starting_after else "ending_before"
        raise Missing("billing meter event summary", mark, param=param)
    position = ids.index(of_window)
    if at.starting_after is not None:
        rest = windows[position + 1 :]
        return rest[: at.limit], len(rest) > at.limit
    rest = windows[:position]
    return rest[-at.limit :], len(rest) > at.limit


def _wanted(meter: Meter, customer_id: UUID, window: Period, asked: SummaryList) -> Wanted:
    return Wanted(customer_id=customer_id, meter=meter, period=window, dimensions=asked.dimension_filters)


def _summary(
    meter: Meter,
    customer_id: UUID,
    window: Period,
    value: object,
    asked: SummaryList,
    *,
    group: tuple[tuple[str, str], ...] = (),
) -> Json:
    return {
        "id": _summary_id(meter, customer_id, window, asked, group=group),
        "object": "billing.meter_event_summary",
        "aggregated_value": value,
        "end_time": unix(window.end),
        "livemode": meter.environment == "live",
        "meter": meter.id,
        "start_time": unix(window.start),
    }


def _summary_id(
    meter: Meter,
    customer_id: UUID,
    window: Period,
    asked: SummaryList,
    *,
    group: tuple[tuple[str, str], ...] = (),
) -> str:
    """The same window of the same question has the same id; groups within it have ids that begin with it."""
    about = f"{meter.id}/{customer_id}/{unix(window.start)}/{unix(window.end)}/{asked.dimension_filters}"
    return f"{_ID}{digest16(about).hex[:_OF_WINDOW]}{digest16(str(group)).hex[:8] if group else ''}"


async def _get(tx: AsyncConnection, environment: str, id: str) -> Meter:
    found = await store.find(tx, environment, [id])
    if not found:
        raise Missing("billing meter", id, param="id", subject=True)
    return found[id]


async def _save(tx: AsyncConnection, what: str, before: Meter, after: Meter, now: datetime) -> Json:
    if after != before:
        after = replace(after, updated=now.astimezone(UTC))
        await store.save(tx, after)
        await _tell(tx, what, after, before, now)
    return render(after)


async def _tell(tx: AsyncConnection, what: str, after: Meter, before: Meter | None, now: datetime) -> None:
    previous = before if what == "updated" else None
    await notice.add(
        tx,
        environment=after.environment,
        customer_id=None,
        type=f"billing.meter.{what}",
        subject=after,
        previous=previous,
        now=now,
    )
