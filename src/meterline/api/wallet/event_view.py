"""How events are shown: with what they cost the customer, what they cost the seller, and the margin between."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from meterline.api.wallet.fee_view import of_price
from meterline.api.wallet.route import Call, Json
from meterline.catalog import Price
from meterline.catalog.offer import Offer, OfferPrice
from meterline.store import customer as customers
from meterline.store import external_id, offer
from meterline.store.database import driver
from meterline.store.wallet_event import WalletEvent

_FIGURES = ("units", "unit_price", "input_volume", "volume_rate", "amount")


async def render_all(call: Call[Any], found: Sequence[tuple[UUID, WalletEvent]]) -> list[Json]:
    """Events as they stand, each with its customer."""
    ids = {customer_id for customer_id, _ in found}
    owners = await customers.find_all(call.tx, sorted(ids))
    names = await external_id.known_as(call.tx, call.environment, ids)
    sold = await _sold(call, [fee for _, event in found for fee in event.receipt.get("fees", [])])
    return [_render(event, owners[owner].id, names.get(owner), sold) for owner, event in found]


class _Sold:
    """What fees were worked out by."""

    def __init__(self) -> None:
        self.offers: dict[str, Offer] = {}
        self.prices: dict[tuple[str, int, str, str], OfferPrice] = {}
        self.catalog: dict[str, Price] = {}

    def of(self, fee: Json) -> OfferPrice | None:
        """The price of the offer, in the asset that paid."""
        return self.prices.get((fee["product_id"], fee["product_version"], fee["price_id"], _counted(fee)))


def _counted(fee: Json) -> str:
    return f"{fee['asset']}/{fee.get('volume_field') or ''}"


async def _sold(call: Call[Any], fees: Sequence[Json]) -> _Sold:
    found = _Sold()
    for product, number in sorted({(fee["product_id"], fee["product_version"]) for fee in fees}):
        version = await offer.version(call.tx, call.environment, product, number)
        found.offers[product] = await offer.find(call.tx, call.environment, product, archived=True)
        for each in version.prices:
            found.prices[product, number, each.id, f"{each.asset}/{each.volume_field or ''}"] = each
    ids = {each.price for each in found.prices.values()}
    found.catalog = await offer.prices(await driver(call.tx), call.environment, ids) if ids else {}
    return found


def _render(event: WalletEvent, customer: str, external: str | None, sold: _Sold) -> Json:
    fees = [_fee(event, n, fee, sold) for n, fee in enumerate(event.receipt.get("fees", []))]
    return {
        "id": event.id,
        "customer_id": customer,
        "external_id": external,
        "event_type": event.event_type,
        "subject": event.subject,
        "description": event.description,
        "occurred_at": event.occurred_at.isoformat(),
        "created_at": event.received_at.isoformat(),
        "status": event.receipt["status"],
        "code": event.receipt.get("code"),
        "data": event.data,
        "fees": fees,
        "costs": [_cost(each, event) for each in event.costs],
        "has_fees": bool(fees),
        "total_fees": event.fee if event.asset is not None else None,
        "fee_currency": event.asset,
        "stats": stats(event.asset or "USD", event.fee, event.cost),
    }


def stats(currency: str, revenue: Decimal, cost: Decimal) -> Json:
    """What came in, what was paid for it, and what is left; the margin in percent of what came in."""
    net = revenue - cost
    margin = Decimal(0) if revenue == 0 else (net * 100 / revenue).quantize(Decimal("0.01"))
    return {
        "currency": currency,
        "gross_revenue": revenue,
        "total_costs": cost,
        "net_revenue": net,
        "margin": margin,
    }


def _fee(event: WalletEvent, number: int, fee: Json, sold: _Sold) -> Json:
    of = sold.of(fee)
    before = None if fee["quantity_before"] is None else Decimal(fee["quantity_before"])
    after, cell = Decimal(fee["quantity_after"]), fee["rate"] or ""
    told: Json = {"currency": fee["asset"], "dimensions": None, "usage_type": "unit"}
    if of is not None:
        told = of_price(of, sold.catalog[of.price], cell=cell, before=before, after=after)
    found = sold.offers.get(fee["product_id"])
    return {
        **fee,
        "id": f"{event.id}:{number}",
        "product_code": None if found is None else found.code,
        "price_name": None if of is None else of.name,
        **told,
        "description": event.description,
        "quantity_before": before,
        "quantity_after": after,
        "amount": Decimal(fee["amount"]),
    }


def _cost(cost: Json, event: WalletEvent) -> Json:
    figures = {name: Decimal(cost[name]) for name in _FIGURES if name in cost}
    return {"id": f"{event.id}:cost", **cost, **figures}
