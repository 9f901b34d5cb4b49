"""`/vendors`: whom the seller pays for what usage costs, and how much."""

from decimal import Decimal
from typing import Any

from meterline.api.wallet.listing import paged
from meterline.api.wallet.params import Id, ListQuery, Params, Since, Text, Until
from meterline.api.wallet.route import Call, Json, Routes
from meterline.money import add
from meterline.refusal import Missing
from meterline.store import margin
from meterline.store import vendor as store
from meterline.store.database import driver
from meterline.store.identifier import public
from meterline.store.margin import Scope
from meterline.store.vendor import Vendor

routes = Routes("vendors")


class VendorCreate(Params):
    name: Text
    external_id: Id | None = None


class VendorList(ListQuery):
    external_id: Id | None = None


class VendorStats(Params):
    period_from: Since | None = None
    period_to: Until | None = None
    category: Text | None = None


def render(vendor: Vendor) -> Json:
    """A vendor."""
    return {
        "id": vendor.id,
        "external_id": vendor.external_id,
        "name": vendor.name,
        "created_at": vendor.created.isoformat(),
    }


@routes.post("/vendors", VendorCreate, status=201)
async def create(call: Call[VendorCreate]) -> Json:
    """Make a vendor that costs can name."""
    new = Vendor(
        environment=call.environment,
        id=public("vnd"),
        name=call.params.name,
        external_id=call.params.external_id,
        created=call.now,
    )
    await store.add(call.tx, new)
    return render(new)


@routes.get("/vendors", VendorList)
async def listed(call: Call[VendorList]) -> Json:
    """The vendors, oldest first."""
    asked = call.params
    found, count = await store.listed(
        call.tx, call.environment, external_id=asked.external_id, offset=asked.offset, limit=asked.limit
    )
    return paged(asked, [render(each) for each in found], count)


async def _known(call: Call[Any]) -> Vendor:
    found = await store.find(call.tx, call.environment, call.path["vendor"])
    if found is None:
        raise Missing("vendor", call.path["vendor"], subject=True)
    return found


@routes.get("/vendors/{vendor}", Params)
async def retrieve(call: Call[Params]) -> Json:
    """A vendor, by id or the seller's own id."""
    return render(await _known(call))


@routes.get("/vendors/{vendor}/stats", VendorStats)
async def stats(call: Call[VendorStats]) -> Json:
    """What was paid to a vendor, by category."""
    vendor, asked = await _known(call), call.params
    names = [vendor.id] if vendor.external_id is None else [vendor.id, vendor.external_id]
    found = await margin.costs(
        await driver(call.tx),
        call.environment,
        Scope(since=asked.period_from, until=asked.period_to),
        vendors=names,
    )
    wanted = [each for each in found if asked.category in (None, each.category)]
    categories: dict[tuple[str, str], Decimal] = {}
    for each in wanted:
        key = (each.category or "", each.currency)
        categories[key] = add(categories.get(key, Decimal(0)), each.amount)
    return {
        "vendor_id": vendor.id,
        "total_costs": add(*categories.values()),
        "categories": [
            {"category": category, "cost": cost, "currency": currency}
            for (category, currency), cost in sorted(categories.items(), key=lambda each: (-each[1], each[0]))
        ],
    }
