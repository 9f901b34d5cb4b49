"""`/products/{key}/{version}/simulate-usage`: what events would cost; nothing is written."""

from typing import Annotated

from pydantic import Field

from meterline.api.wallet.event import CostParams
from meterline.api.wallet.fee_view import of_price
from meterline.api.wallet.params import Data, Instant, Params, Text
from meterline.api.wallet.product import number_of
from meterline.api.wallet.route import Call, Json, Routes
from meterline.store import offer as store
from meterline.store import price as prices
from meterline.usecase.simulate_usage import Event, simulate, total

routes = Routes("products")


class SimulatedEvent(Params):
    event_type: Text
    occurred_at: Instant | None = None
    id: Text | None = None
    subject: Text | None = None
    description: Text | None = None
    data: Data | None = None
    costs: Annotated[list[CostParams], Field(max_length=50)] | None = None


class Simulate(Params):
    events: Annotated[list[SimulatedEvent], Field(min_length=1, max_length=1000)]


@routes.post("/products/{key}/{version}/simulate-usage", Simulate)
async def simulate_usage(call: Call[Simulate]) -> Json:
    """What events would cost a new subscriber of a version, drafts included, who pays by the first asset of a price."""
    offer = await store.find(call.tx, call.environment, call.path["key"], archived=True)
    version = await store.version(call.tx, call.environment, offer.product, await number_of(call, offer))
    asked = call.params.events
    events = [
        Event(event_type=each.event_type, occurred_at=each.occurred_at or call.now, data=each.data or {})
        for each in asked
    ]
    simulation = await simulate(call.tx, version, events)
    catalog = await prices.find(call.tx, call.environment, [each.price for each in version.prices])
    fees = []
    for fee in simulation.fees:
        event = asked[fee.position]
        fees.append(
            {
                "price_id": fee.price.id,
                "price_name": fee.price.name,
                "usage_id": event.id or str(fee.position),
                "event_type": event.event_type,
                **of_price(fee.price, catalog[fee.price.price], cell=fee.cell, before=fee.before, after=fee.after),
                "description": event.description,
                "amount": fee.amount,
                "event": fee.position,
                "asset": fee.price.asset,
                "quantity_before": fee.before,
                "quantity_after": fee.after,
            }
        )
    return {"fees": fees, "total": total(simulation), "warnings": list(simulation.warnings)}
