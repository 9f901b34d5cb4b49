"""From the prices of the wallet dialect to those of the catalog."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from meterline.api.wallet.price_params import NO_QUANTITY, AssetPricing, PriceParams, PriceValue, UsageCalculation
from meterline.catalog import (
    ByDimension,
    Graduated,
    Package,
    PerUnit,
    PriceModel,
    QuantityModel,
    RateRow,
    Tier,
    Volume,
    flat_fee,
)
from meterline.catalog.offer import Cadence
from meterline.money import add, multiply, to_minor
from meterline.period import Interval
from meterline.refusal import Refusal
from meterline.usecase.publish_offer import NewPrice

_CADENCE: dict[str, Cadence] = {
    "lifetime": "lifetime",
    "daily": "day",
    "weekly": "week",
    "monthly": "month",
    "quarterly": "quarter",
    "yearly": "year",
}
_OF_BILLING: dict[tuple[str, int], Cadence] = {
    ("day", 1): "day",
    ("week", 1): "week",
    ("month", 1): "month",
    ("month", 3): "quarter",
    ("year", 1): "year",
    ("month", 12): "year",
}


@dataclass(frozen=True, slots=True)
class _Part:
    """One thing that a price counts: the number of events, or the volume in a field of theirs."""

    rate: str
    volume: str | None

    @property
    def basis(self) -> str:
        return "unit" if self.volume is None else "volume"


def new_prices(asked: Sequence[PriceParams]) -> list[NewPrice]:
    """The prices to make: one for each asset, and for each thing that is counted."""
    names = [each.name for each in asked]
    if len(set(names)) < len(names):
        raise Refusal("The prices of a product have different names.", code="duplicate_name", param="prices")
    return [each for one in asked for each in _new_prices(one)]


def _new_prices(asked: PriceParams) -> list[NewPrice]:
    told = _told(asked)
    counting = asked.usage_calculation
    if counting is None or asked.type == "fixed":
        return [_fixed_price(asked, each, told) for each in asked.pricing]
    parts = []
    if counting.usage_type in ("unit", "unit_and_volume"):
        parts.append(_Part("unit_price", None))
    if counting.usage_type in ("volume", "unit_and_volume"):
        parts.append(_Part("volume_rate", counting.volume_field))
    _same_rows(asked.pricing)
    return [_usage_price(asked, counting, part, each, told) for part in parts for each in asked.pricing]


def _told(asked: PriceParams) -> dict[str, Any]:
    """The price as it is shown again."""
    told = asked.model_dump(mode="json", exclude_none=True, exclude={"id", "billing_model"})
    return told | {"pricing_model": _model_name(asked), "billing_model": asked.billing_model.told()}


def _model_name(asked: PriceParams) -> str:
    if asked.pricing_model is not None:
        return asked.pricing_model
    leaves = [leaf for each in asked.pricing for leaf in _leaves(each.values)]
    if any(leaf.package_size for leaf in leaves):
        return "package"
    return "tiered" if any(leaf.up_to for leaf in leaves) else "flat"


def _fixed_price(asked: PriceParams, of: AssetPricing, told: dict[str, Any]) -> NewPrice:
    if any(value.unit_price is None or value.dimensions or value.values for value in of.values):
        raise Refusal("A fixed price has values with a unit_price, and a quantity.", param="pricing")
    amounts = [multiply(value.unit_price or Decimal(0), value.quantity or NO_QUANTITY) for value in of.values]
    model = flat_fee(to_minor(add(*amounts), of.asset.lower()))
    return NewPrice(name=asked.name, asset=of.asset, model=model, interval=asked.billing_model.every(), told=told)


def _usage_price(
    asked: PriceParams, counting: UsageCalculation, part: _Part, of: AssetPricing, told: dict[str, Any]
) -> NewPrice:
    model = _model(asked, counting, part, of)
    minimum, maximum = _bounds(counting, part, of.values)
    return NewPrice(
        name=asked.name,
        asset=of.asset,
        model=model,
        event_type=counting.event_type,
        volume_field=part.volume,
        dimensions=tuple(counting.billable_dimensions or ()),
        cadence=_cadence(asked),
        minimum=minimum,
        maximum=maximum,
        told=told,
    )


def _cadence(asked: PriceParams) -> Cadence:
    """How long tiers count: as the tiering says, or as long as the billing interval."""
    period = None if asked.tiering is None else asked.tiering.period
    if period is not None:
        return _CADENCE[period]
    every: Interval | None = asked.billing_model.every()
    if every is None:
        return "lifetime"
    cadence = _OF_BILLING.get((every.unit, every.count))
    if cadence is None:
        raise Refusal(
            "Tiers count by day, week, month, quarter or year; say tiering.period.", param="billing_model.recurring"
        )
    return cadence


def _bounds(
    counting: UsageCalculation, part: _Part, values: Sequence[PriceValue]
) -> tuple[Decimal | None, Decimal | None]:
    """The bounds per event, which are the same wherever they are given.

    An event that is priced by unit and by volume has one fee in two parts: the volume's part makes up for the bounds of
    both, which needs the unit's part to be the same for all events.
    """
    leaves = _leaves(values)
    found = {(leaf.min_amount, leaf.max_amount) for leaf in leaves}
    if len(found) > 1:
        raise Refusal(
            "min_amount and max_amount are per event, and the same in all values of a price.", param="pricing"
        )
    minimum, maximum = found.pop()
    if counting.usage_type != "unit_and_volume" or (minimum is None and maximum is None):
        return minimum, maximum
    units = {leaf.unit_price for leaf in leaves}
    unit = units.pop()
    if units or unit is None:
        raise Refusal(
            "Bounds on usage by unit and volume need the same unit_price in all values of a price.", param="pricing"
        )
    if maximum is not None and unit > maximum:
        raise Refusal("A unit alone costs more than max_amount.", param="pricing")
    if part.volume is None:
        return None, None
    return (
        None if minimum is None else max(minimum - unit, Decimal(0)),
        None if maximum is None else maximum - unit,
    )


def _leaves(values: Sequence[PriceValue]) -> list[PriceValue]:
    return [leaf for value in values for leaf in (_leaves(value.values) if value.values else [value])]


def _same_rows(pricing: Sequence[AssetPricing]) -> None:
    rows = [[value.dimensions for value in each.values] for each in pricing]
    patterns = [{tuple(sorted((row or {}).items())) for row in each} for each in rows]
    if any(each != patterns[0] for each in patterns):
        raise Refusal("The values of all assets are for the same dimensions.", param="pricing")


def _model(asked: PriceParams, counting: UsageCalculation, part: _Part, of: AssetPricing) -> PriceModel:
    keys = tuple(counting.billable_dimensions or ())
    if not any(value.dimensions is not None for value in of.values):
        return _quantity_model(asked, counting, of.values, part, of.asset)
    if not keys:
        raise Refusal("Values by dimension need usage_calculation.billable_dimensions.", param="pricing")
    for value in of.values:
        unknown = sorted(set(value.dimensions or {}) - set(keys))
        if unknown:
            raise Refusal(f"'{unknown[0]}' is not one of the billable_dimensions.", param="pricing")
    rows = tuple(
        RateRow(
            match={key: (value.dimensions or {}).get(key, "*") for key in keys},
            model=_quantity_model(asked, counting, value.values or [value], part, of.asset),
        )
        for value in of.values
    )
    if len({tuple(row.match.items()) for row in rows}) < len(rows):
        raise Refusal("Two values are for the same dimensions.", param="pricing")
    return ByDimension(keys=keys, rows=rows)


def _quantity_model(
    asked: PriceParams, counting: UsageCalculation, values: Sequence[PriceValue], part: _Part, asset: str
) -> QuantityModel:
    currency = asset.lower()
    amounts = [to_minor(_amount(value, part, counting), currency) for value in values]
    tiered = len(values) > 1 or values[0].up_to is not None
    packaged = part.volume is not None or counting.usage_type == "unit"
    if packaged and any(value.package_size for value in values):
        if tiered:
            raise Refusal("A package has one price; tiers of packages are not offered.", param="pricing")
        return Package(size=values[0].package_size or 1, unit=amounts[0])
    if packaged and asked.pricing_model == "package":
        raise Refusal("A package says its package_size.", param="pricing")
    if not tiered:
        return PerUnit(unit=amounts[0])
    return _tiers(asked, counting, values, amounts, part)


def _tiers(
    asked: PriceParams,
    counting: UsageCalculation,
    values: Sequence[PriceValue],
    amounts: Sequence[Decimal],
    part: _Part,
) -> QuantityModel:
    if asked.pricing_model == "flat":
        raise Refusal("A flat price has one value; tiers are tiered or bulk.", param="pricing_model")
    bounds = sorted((each.up_to for each in values), key=lambda end: (end is None, end))
    if bounds[-1] is not None or bounds.count(None) > 1 or len(set(bounds)) < len(bounds):
        raise Refusal("Tiers have different ends, and exactly one has none.", param="pricing")
    own = "unit" if counting.usage_type == "unit" else "volume"
    basis = own if asked.tiering is None or asked.tiering.basis is None else asked.tiering.basis
    if basis != part.basis:
        if len(set(amounts)) > 1:
            raise Refusal(
                f"Tiers are by {basis}; what is counted by {part.basis} costs the same in all of them.",
                param="tiering.basis",
            )
        return PerUnit(unit=amounts[0])
    ordered = sorted(zip(values, amounts, strict=True), key=lambda each: (each[0].up_to is None, each[0].up_to))
    tiers = tuple(Tier(up_to=value.up_to, unit=amount) for value, amount in ordered)
    return Volume(tiers=tiers) if asked.pricing_model == "bulk" else Graduated(tiers=tiers)


def _amount(value: PriceValue, part: _Part, counting: UsageCalculation) -> Decimal:
    own = value.unit_price if part.volume is None else value.volume_rate
    other = value.volume_rate if part.volume is None else value.unit_price
    if own is not None:
        return own
    if counting.usage_type != "unit_and_volume" and other is not None:
        return other
    wanted = "unit_price and volume_rate" if counting.usage_type == "unit_and_volume" else part.rate
    raise Refusal(f"A value says {wanted}.", param="pricing")
