"""Vendors, and what usage brings in against what it costs: by event, customer and task."""

from typing import Any
from uuid import UUID

from meterline.api.wallet import whose
from meterline.api.wallet.params import Id, Instant, Params, Text
from meterline.api.wallet.route import Call, Json, Routes
from meterline.refusal import Missing
from meterline.store import wallet_event as store
from meterline.store.database import driver
from meterline.store.identifier import public, uuid7

routes = Routes("vendors")


class VendorCreate(Params):
    name: Text
    external_id: Id | None = None


class Period(Params):
    period_from: Instant | None = None
    period_to: Instant | None = None


@routes.post("/vendors", VendorCreate, status=201)
async def create(call: Call[VendorCreate]) -> Json:
    """Make a vendor that costs can name."""
    id = public("vnd")
    await store.add_vendor(
        await driver(call.tx),
        environment=call.environment,
        id=id,
        sequence=uuid7(),
        name=call.params.name,
        external=call.params.external_id,
        now=call.now,
    )
    return {"id": id, "name": call.params.name, "external_id": call.params.external_id}


@routes.get("/vendors", Params)
async def listed(call: Call[Params]) -> Json:
    """The vendors."""
    return {"items": [_told(each) for each in await store.vendors(await driver(call.tx), call.environment)]}


@routes.get("/vendors/{vendor}", Params)
async def retrieve(call: Call[Params]) -> Json:
    """A vendor."""
    for each in await store.vendors(await driver(call.tx), call.environment):
        if call.path["vendor"] in (each["id"], each["external_id"]):
            return _told(each)
    raise Missing("vendor", call.path["vendor"], subject=True)


def _told(vendor: dict[str, Any]) -> Json:
    return vendor | {"created": vendor["created"].isoformat()}


async def _stats(call: Call[Any], customer_id: UUID | None, subject: str | None = None) -> Json:
    connection = await driver(call.tx)
    margins = await store.margin(
        connection,
        call.environment,
        customer_id=customer_id,
        subject=subject,
        since=getattr(call.params, "period_from", None),
        until=getattr(call.params, "period_to", None),
    )
    costs = await store.cost_by_vendor(connection, call.environment, customer_id=customer_id, subject=subject)
    return {
        "margins": [
            {
                "asset": each.asset,
                "events": each.events,
                "gross_revenue": each.revenue,
                "total_costs": each.cost,
                "net_revenue": each.revenue - each.cost,
            }
            for each in margins
        ],
        "costs": [{"vendor": vendor, "category": category, "amount": amount} for vendor, category, amount in costs],
    }


@routes.get("/stats", Period)
async def everybody(call: Call[Period]) -> Json:
    """What all usage brought in and cost."""
    return await _stats(call, None)


@routes.get("/customers/{customer}/stats", Period)
async def of_customer(call: Call[Period]) -> Json:
    """What a customer's usage brought in and cost."""
    found = await whose.in_path(call)
    return {"customer_id": found.customer.id, **await _stats(call, found.customer.customer_id)}


@routes.get("/customers/{customer}/tasks/{subject}", Period)
async def of_task(call: Call[Period]) -> Json:
    """What the events of one subject brought in and cost."""
    found = await whose.in_path(call)
    subject = call.path["subject"]
    stats = await _stats(call, found.customer.customer_id, subject)
    return {"id": f"{found.customer.id}:{subject}", "customer_id": found.customer.id, "subject": subject, **stats}
