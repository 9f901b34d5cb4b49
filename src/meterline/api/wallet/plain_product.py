"""Products of the other door, shown as this one shows its own: one published version, whose prices are invoiced.

Usage under such a price is paid from a wallet where a customer's `/collection` says so.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, assert_never

from meterline.api.wallet.route import Call, Json
from meterline.catalog import (
    ByDimension,
    CustomAmount,
    Graduated,
    Package,
    Percentage,
    PerUnit,
    Price,
    PriceModel,
    Product,
    StairStep,
    Tier,
    Volume,
)
from meterline.meter import Meter
from meterline.money import to_major
from meterline.store import meter, plain_product

ONLY = 1
"""The number of the version that such a product has."""


async def find(call: Call[Any], key: str) -> Json | None:
    """A product by its id; None where there is none without an offer."""
    found, _ = await plain_product.listed(call.tx, call.environment, offset=0, limit=1, id=key)
    if not found:
        return None
    product = found[0]
    prices = await plain_product.prices_of(call.tx, call.environment, product.id)
    metered = [each.recurring.meter for each in prices if each.recurring is not None and each.recurring.meter]
    meters = await meter.find(call.tx, call.environment, metered)
    version = {
        "version": ONLY,
        "status": "published",
        "prices": [_price(product, each, meters) for each in prices],
        "entitlements": [],
        "created_at": product.created.isoformat(),
    }
    return {
        "id": product.id,
        "name": product.name,
        "code": product.id,
        "latest_version": ONLY,
        **version,
        "is_default": True,
        "default_version": version,
        "versions": [{"version": ONLY, "created_at": product.created.isoformat(), "status": "published"}],
    }


def render_list(products: Sequence[Product]) -> list[Json]:
    """Products in a list."""
    return [
        {"id": each.id, "code": each.id, "name": each.name, "default_version": ONLY, "latest_version": ONLY}
        for each in products
    ]


def _price(product: Product, price: Price, meters: dict[str, Meter]) -> Json:
    shown: Json = {
        "id": price.id,
        "name": price.nickname or product.name,
        "type": "usage_based" if price.metered else "fixed",
        "pricing_model": _model_name(price.model),
        "billing_model": _billing(price),
        "collection": {"type": "invoice", "timing": "in_arrears" if price.metered else "in_advance"},
        "pricing": [{"asset": price.currency.upper(), "values": _values(price.model, price.currency)}],
    }
    if price.recurring is not None and price.recurring.meter is not None:
        counted = meters[price.recurring.meter]
        shown["usage_calculation"] = {
            "event_type": counted.event_name,
            "usage_type": "unit" if counted.formula == "count" else "volume",
            "volume_field": counted.value_key,
            "billable_dimensions": list(counted.dimension_keys),
        }
    return shown


def _billing(price: Price) -> Json:
    every = price.interval
    if every is None:
        return {"type": "one_time", "one_time": {}}
    return {"type": "recurring", "recurring": {"interval": every.unit, "interval_count": every.count}}


def _model_name(model: PriceModel) -> str:
    match model:
        case Graduated():
            return "tiered"
        case Volume() | StairStep():
            return "bulk"
        case Package():
            return "package"
        case PerUnit() | Percentage() | CustomAmount() | ByDimension():
            return "flat"
        case _:
            assert_never(model)


def _values(model: PriceModel, currency: str) -> list[Json]:
    """What the price costs, in major units, as far as this dialect has words for it."""

    def major(amount: Decimal | None) -> Decimal:
        return to_major(amount or Decimal(0), currency)

    def tier(each: Tier) -> Json:
        end = {} if each.up_to is None else {"up_to": each.up_to}
        return {**end, "unit_price": major(each.unit), **({"flat_amount": major(each.flat)} if each.flat else {})}

    match model:
        case PerUnit():
            return [{"unit_price": major(model.unit)}]
        case Package():
            return [{"unit_price": major(model.unit), "package_size": model.size}]
        case Graduated() | Volume():
            return [tier(each) for each in model.tiers]
        case StairStep():
            steps = [({} if each.up_to is None else {"up_to": each.up_to}, each.amount) for each in model.steps]
            return [{**end, "flat_amount": major(amount)} for end, amount in steps]
        case Percentage():
            return [{"volume_rate": model.percent.scaleb(-2)}]
        case ByDimension():
            rows = [(dict(each.match), _values(each.model, currency)) for each in model.rows]
            return [{"dimensions": match, "values": values} for match, values in rows]
        case CustomAmount():
            return []
        case _:
            assert_never(model)
