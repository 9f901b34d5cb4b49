"""`/events`: usage, debited at once; a receipt per event, or 204 for callers who prefer that."""

from typing import Annotated
from uuid import UUID

from pydantic import Field, model_validator

from meterline.api.wallet import event_view, whose
from meterline.api.wallet.params import Data, Id, Instant, ListQuery, Metadata, NotNegative, Params, Since, Text, Until
from meterline.api.wallet.problem import Problem
from meterline.api.wallet.route import Call, Json, Routes, Staged, wants_nothing
from meterline.money import add, multiply, round_debit
from meterline.refusal import Missing, Refusal
from meterline.store import wallet_event as store
from meterline.store.database import driver
from meterline.usecase.debit_events import ToldEvent, debit_events
from meterline.usecase.group_commit import Overloaded, Stopped, Unavailable
from meterline.usecase.work_wallet import Answer

routes = Routes("events")


class CostParams(Params):
    id: Id | None = None
    vendor_id: Id | None = None
    vendor_external_id: Id | None = None
    category: Text | None = None
    description: Text | None = None
    metadata: Metadata | None = None
    units: NotNegative | None = None
    unit_price: NotNegative | None = None
    input_volume: NotNegative | None = None
    volume_rate: NotNegative | None = None
    package_size: Annotated[int, Field(ge=1, le=10**12)] | None = None
    amount: NotNegative | None = None
    currency: Annotated[str, Field(pattern="^[A-Za-z]{3}$")] = "USD"

    @model_validator(mode="after")
    def _whole(self) -> "CostParams":
        if self.vendor_id is None and self.vendor_external_id is None:
            raise ValueError("vendor_id or vendor_external_id is required")
        return self

    def told(self) -> Json:
        """The cost with its amount worked out, in major units."""
        amount = self.amount
        if amount is None:
            volume = self.input_volume
            if volume is not None and self.package_size is not None:
                volume = -(-volume // self.package_size)
            pairs = ((self.units, self.unit_price), (volume, self.volume_rate))
            terms = [multiply(much, rate) for much, rate in pairs if much is not None and rate is not None]
            if not terms:
                raise Refusal("A cost has an amount, or units with a unit_price.", code="required", param="costs")
            amount = round_debit(add(*terms))
        said = self.model_dump(exclude_none=True, exclude={"amount", "currency"})
        told = {name: f"{each:f}" if name in _FIGURES else each for name, each in said.items()}
        vendor = self.vendor_id or self.vendor_external_id
        return told | {"vendor": vendor, "amount": f"{amount:f}", "currency": self.currency.upper()}


_FIGURES = frozenset({"units", "unit_price", "input_volume", "volume_rate"})


class EventParams(Params):
    id: Annotated[str, Field(min_length=1, max_length=60)]
    event_type: Annotated[str, Field(min_length=1, max_length=100)]
    occurred_at: Instant | None = None
    subject: Text | None = None
    description: Text | None = None
    data: Data | None = None
    costs: Annotated[list[CostParams], Field(max_length=50)] | None = None


class EventsCreate(Params):
    customer_id: Id | None = None
    customer_external_id: Id | None = None
    events: Annotated[list[EventParams], Field(min_length=1, max_length=1000)]


class EventList(ListQuery):
    customer_id: Id | None = None
    customer_external_id: Id | None = None
    event_id: Id | None = None
    subject: Text | None = None
    period_from: Since | None = None
    period_to: Until | None = None
    event_types: Text | None = None
    has_fees: bool | None = None
    before: UUID | None = None
    next: UUID | None = None
    prev: UUID | None = None


@routes.post("/events", EventsCreate, staged=True, quiet=True)
async def create(call: Staged[EventsCreate]) -> Json:
    """Tell a customer's usage. Each event is billed, zero-priced, parked, a duplicate or rejected; never lost.

    With `Prefer: return=minimal` the answer is 204 and empty, or the problem of the events that were rejected.
    """
    asked = call.params
    async with call.database.begin() as tx:
        found = await whose.named(
            tx,
            environment=call.environment,
            id=asked.customer_id,
            external=asked.customer_external_id,
            now=call.now,
        )
    events = [_told(each) for each in asked.events]
    try:
        answers = await debit_events(
            call.database, call.ingest, customer=found.customer, events=events, now=found.now, wall=call.now
        )
    except Overloaded as busy:
        raise _busy(429, busy.retry_after) from None
    except (Unavailable, Stopped):
        raise _busy(503, 1) from None
    rejected = [each for each in answers if each["status"] == "rejected"]
    if len(rejected) == len(answers) or (rejected and wants_nothing(call.headers)):
        raise _rejection(answers)
    return {"customer_id": found.customer.id, "events": answers}


def _rejection(answers: list[Answer]) -> Problem:
    """What was wrong with the events that were rejected; the others are taken."""
    rejected = {f"events[{n}]": each for n, each in enumerate(answers) if each["status"] == "rejected"}
    first = next(iter(rejected.values()))
    conflict = all(each["code"] == "identifier_conflict" for each in rejected.values())
    return Problem(
        status=409 if conflict else 422,
        detail=first.get("detail", "The id was used for another event."),
        code="id_conflict" if conflict else first["code"],
        errors={at: [each.get("detail", "The id was used for another event.")] for at, each in rejected.items()},
        members={"events": answers},
    )


def _busy(status: int, retry_after: int) -> Problem:
    return Problem(
        status=status,
        detail="Not taken; send the same events again.",
        code="overloaded" if status == 429 else "unavailable",
        headers={"retry-after": str(retry_after)},
    )


def _told(asked: EventParams) -> ToldEvent:
    return ToldEvent(
        id=asked.id,
        event_type=asked.event_type,
        occurred_at=asked.occurred_at,
        subject=asked.subject,
        description=asked.description,
        data=asked.data or {},
        costs=[cost.told() for cost in asked.costs or ()],
    )


@routes.get("/events", EventList)
async def listed(call: Call[EventList]) -> Json:
    """Events, newest first: by offset, or from the place that `next` or `prev` of another page names."""
    asked = call.params
    customer_id = None
    if asked.customer_id is not None or asked.customer_external_id is not None:
        found = await whose.named(
            call.tx,
            environment=call.environment,
            id=asked.customer_id,
            external=asked.customer_external_id,
            now=call.now,
        )
        customer_id = found.customer.customer_id
    wanted = store.Filter(
        customer_id=customer_id,
        id=asked.event_id,
        subject=asked.subject,
        since=asked.period_from,
        until=asked.period_to,
        types=None if asked.event_types is None else asked.event_types.split(","),
        has_fees=asked.has_fees,
    )
    page = await store.listed(
        await driver(call.tx),
        call.environment,
        wanted,
        older_than=asked.next or asked.before,
        newer_than=asked.prev,
        offset=asked.offset,
        limit=asked.limit,
    )
    items = await event_view.render_all(call, page.events)
    return {
        "offset": asked.offset,
        "limit": asked.limit,
        "total_count": page.count,
        "items": items,
        "next": str(page.events[-1][1].sequence) if page.events and page.more else None,
        "prev": str(page.events[0][1].sequence) if page.events and page.earlier else None,
    }


@routes.get("/events/{event}", Params)
async def retrieve(call: Call[Params]) -> Json:
    """One event with its fees and costs."""
    found = await store.anywhere(await driver(call.tx), call.environment, call.path["event"])
    if found is None:
        raise Missing("event", call.path["event"], subject=True)
    [told] = await event_view.render_all(call, [found])
    return told
