"""`/events`: usage, debited at once; a receipt per event, or 204 for callers who prefer that."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from meterline.api.wallet import whose
from meterline.api.wallet.params import Id, Instant, Metadata, NotNegative, Params, Text
from meterline.api.wallet.problem import Problem
from meterline.api.wallet.route import Call, Json, Reply, Routes, Staged
from meterline.money import add, multiply
from meterline.refusal import Missing, Refusal
from meterline.store import customer as customers
from meterline.store import wallet_event as store
from meterline.store.database import driver
from meterline.store.wallet_event import WalletEvent
from meterline.usecase.debit_events import ToldEvent, debit_events
from meterline.usecase.group_commit import Overloaded, Stopped, Unavailable

routes = Routes("events")


class CostParams(Params):
    id: Id | None = None
    vendor_id: Id | None = None
    vendor_external_id: Id | None = None
    category: Text | None = None
    description: Text | None = None
    metadata: Metadata = {}
    units: NotNegative | None = None
    unit_price: NotNegative | None = None
    input_volume: NotNegative | None = None
    volume_rate: NotNegative | None = None
    package_size: Annotated[int, Field(ge=1)] | None = None
    amount: NotNegative | None = None
    currency: Text = "USD"

    def told(self) -> Json:
        """The cost with its amount worked out, in major units."""
        amount = self.amount
        if amount is None:
            pairs = ((self.units, self.unit_price), (self.input_volume, self.volume_rate))
            terms = [multiply(much, rate) for much, rate in pairs if much is not None and rate is not None]
            if not terms:
                raise Refusal("A cost has an amount, or units with a unit_price.", code="required", param="costs")
            amount = add(*terms)
        return {
            "vendor": self.vendor_id or self.vendor_external_id,
            "category": self.category,
            "description": self.description,
            "amount": f"{amount:f}",
            "currency": self.currency.upper(),
        }


class EventParams(Params):
    id: Annotated[str, Field(min_length=1, max_length=60)]
    event_type: Annotated[str, Field(min_length=1, max_length=100)]
    occurred_at: Instant | None = None
    subject: Text | None = None
    description: Text | None = None
    data: Annotated[dict[str, Any], Field(max_length=100)] = {}
    costs: Annotated[list[CostParams], Field(max_length=50)] = []


class EventsCreate(Params):
    customer_id: Id | None = None
    customer_external_id: Id | None = None
    events: Annotated[list[EventParams], Field(min_length=1, max_length=1000)]


class EventList(Params):
    customer_id: Id | None = None
    customer_external_id: Id | None = None
    event_id: Id | None = None
    subject: Text | None = None
    period_from: Instant | None = None
    period_to: Instant | None = None
    before: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


@routes.post("/events", EventsCreate, staged=True)
async def create(call: Staged[EventsCreate]) -> Json | Reply:
    """Tell a customer's usage. Each event is billed, zero-priced, parked, a duplicate or rejected; never lost.

    With `Prefer: return=minimal` the answer is 204 and empty.
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
    if all(answer.get("code") == "identifier_conflict" for answer in answers):
        raise Problem(
            status=409, detail=answers[0].get("detail", "The id was used for another event."), code="id_conflict"
        )
    if "return=minimal" in call.headers.get("prefer", ""):
        return Reply(status=204)
    return {"customer_id": found.customer.id, "events": answers}


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
        data=asked.data,
        costs=[cost.told() for cost in asked.costs],
    )


def render(event: WalletEvent, customer: str) -> Json:
    """An event with its fees and its costs."""
    return {
        "id": event.id,
        "customer_id": customer,
        "event_type": event.event_type,
        "subject": event.subject,
        "description": event.description,
        "occurred_at": event.occurred_at.isoformat(),
        "data": event.data,
        "fees": event.receipt.get("fees", []),
        "costs": event.costs,
        "stats": {
            "currency": event.asset,
            "gross_revenue": event.fee,
            "total_costs": event.cost,
            "net_revenue": event.fee - event.cost,
        },
    }


@routes.get("/events", EventList)
async def listed(call: Call[EventList]) -> Json:
    """A customer's events, newest first; page on with `before`, the `next` of the page before."""
    asked = call.params
    connection = await driver(call.tx)
    found = await whose.named(
        call.tx,
        environment=call.environment,
        id=asked.customer_id,
        external=asked.customer_external_id,
        now=call.now,
    )
    customer_id = found.customer.customer_id
    if asked.event_id is not None:
        events = list((await store.find(connection, customer_id, [asked.event_id])).values())
    else:
        events = await store.listed(
            connection,
            customer_id,
            subject=asked.subject,
            since=asked.period_from,
            until=asked.period_to,
            before=asked.before,
            limit=asked.limit,
        )
    more = len(events) == asked.limit
    return {
        "items": [render(each, found.customer.id) for each in events],
        "next": str(events[-1].sequence) if more else None,
    }


@routes.get("/events/{event}", Params)
async def retrieve(call: Call[Params]) -> Json:
    """One event."""
    found = await store.anywhere(await driver(call.tx), call.environment, call.path["event"])
    if found is None:
        raise Missing("event", call.path["event"], subject=True)
    customer_id, event = found
    return render(event, (await customers.find_all(call.tx, [customer_id]))[customer_id].id)
