"""How a fee says what it was worked out from: which price, which row of it, how much usage, at what rate."""

from decimal import Decimal
from typing import Any

from meterline.api.wallet.route import Json
from meterline.catalog import ByDimension, Package, PerUnit, Price, QuantityModel
from meterline.catalog.offer import OfferPrice
from meterline.money import to_major


def of_price(of: OfferPrice, price: Price, *, cell: str, before: Decimal | None, after: Decimal) -> Json:
    """The members of a fee that tell its price. A rate is told where one rate alone made the fee: not of tiers."""
    calculation: dict[str, Any] = dict(of.told.get("usage_calculation") or {})  # type: ignore[call-overload]
    quantity = after - (before or Decimal(0))
    rate, size = _rate(price, cell)
    by_volume = of.volume_field is not None
    return {
        "currency": of.asset,
        "dimensions": _dimensions(cell),
        "usage_type": calculation.get("usage_type", "unit"),
        "volume_field": of.volume_field,
        "input_volume": quantity if by_volume else None,
        "input_units": None if by_volume else quantity,
        "unit_price": None if by_volume else rate,
        "volume_rate": rate if by_volume else None,
        "package_size": size,
    }


def _dimensions(cell: str) -> dict[str, str] | None:
    """The row of a rate table by the name that its quantities are counted under."""
    if not cell:
        return None
    return dict(each.split("=", 1) for each in cell.split("/") if "=" in each)


def _rate(price: Price, cell: str) -> tuple[Decimal | None, int | None]:
    model: object = price.model
    if isinstance(model, ByDimension):
        model = _row(model, cell)
    match model:
        case PerUnit():
            return to_major(model.unit, price.currency), None
        case Package():
            return to_major(model.unit, price.currency), model.size
        case _:
            return None, None


def _row(table: ByDimension, cell: str) -> QuantityModel | None:
    named = _dimensions(cell) or {}
    return next((row.model for row in table.rows if dict(row.match) == named), None)
