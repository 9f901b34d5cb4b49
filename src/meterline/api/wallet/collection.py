"""`/customers/{customer}/collection`: who pays for usage under a price, the wallet, the invoice or both."""

from datetime import datetime
from typing import Literal

from meterline.api.wallet import whose
from meterline.api.wallet.params import Instant, Params
from meterline.api.wallet.route import Call, Json, Routes
from meterline.catalog.collection import Setting, collected
from meterline.store import collection as store
from meterline.store import price as prices
from meterline.store.collection import Chosen, Counted
from meterline.usecase.choose_collection import collect

routes = Routes("collection")


class CollectionPut(Params):
    collection: Literal["invoice", "wallet", "wallet_then_invoice"]
    effective_at: Instant | None = None


def render(price: str, chosen: list[Chosen], windows: list[Counted], *, now: datetime) -> Json:
    """How a price is collected now, what was and will be set, and how far each window of usage has come.

    Of a window, `paid` is what the wallet paid and `uncovered` what its debits left to the invoice.
    """
    settings = [Setting(starts_at=each.starts_at, collection=each.collection) for each in chosen]
    return {
        "price_id": price,
        "collection": collected(settings, now),
        "settings": [{"collection": each.collection, "effective_at": each.starts_at.isoformat()} for each in settings],
        "windows": [
            {
                "subscription_item_id": each.item,
                "starts_at": each.span.isoformat(),
                "quantity": each.quantity,
                "paid": each.paid,
                "uncovered": each.uncovered,
            }
            for each in windows
        ],
    }


@routes.put("/customers/{customer}/collection/{price}", CollectionPut)
async def put(call: Call[CollectionPut]) -> Json:
    """Collect usage under a metered price so from an instant on, now by default; what was used before stays as it was.

    The wallet pays in the asset that is the currency of the customer's subscription.
    """
    found = await whose.in_path(call)
    price = await prices.get(call.tx, call.environment, call.path["price"], subject=True)
    await collect(
        call.tx,
        customer=found.customer,
        price=price,
        collection=call.params.collection,
        starts_at=call.params.effective_at,
        now=found.now,
    )
    chosen = [each for each in await store.chosen(call.tx, found.customer.customer_id) if each.price == price.id]
    windows = await store.counted(call.tx, found.customer.customer_id, [price.id])
    return render(price.id, chosen, windows, now=found.now)


@routes.get("/customers/{customer}/collection", Params)
async def listed(call: Call[Params]) -> Json:
    """Every price that was ever collected otherwise than by invoice; all others are invoiced."""
    found = await whose.in_path(call)
    chosen = await store.chosen(call.tx, found.customer.customer_id)
    named = sorted({each.price for each in chosen})
    windows = await store.counted(call.tx, found.customer.customer_id, named)
    items = [
        render(
            price,
            [each for each in chosen if each.price == price],
            [each for each in windows if each.price == price],
            now=found.now,
        )
        for price in named
    ]
    return {"items": items, "total_count": len(items)}
