"""Prices as the wallet dialect writes them, and what they are in the catalog."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from meterline.api.wallet.params import Asset, Metadata, NotNegative, Params, Positive, Text
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
from meterline.catalog.offer import Cadence, Entitlement
from meterline.money import add, multiply, to_minor
from meterline.period import Interval, Unit
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


class BillingModel(Params):
    """How a price is billed; usage is debited as it happens (`real_time`), fixed fees once or again and again."""

    type: Literal["real_time", "one_time", "recurring"] = "real_time"
    interval: Unit | None = None
    interval_count: Annotated[int, Field(ge=1, le=1000)] = 1


class UsageCalculation(Params):
    """Which events a price counts, and what of them: their number, or a field of their data."""

    event_type: Annotated[str, Field(min_length=1, max_length=100)]
    usage_type: Literal["unit", "volume", "unit_and_volume"] = "unit"
    volume_field: Annotated[str, Field(min_length=1, max_length=60)] | None = None
    billable_dimensions: Annotated[list[Text], Field(max_length=10)] = []

    @model_validator(mode="after")
    def _complete(self) -> "UsageCalculation":
        if self.usage_type != "unit" and self.volume_field is None:
            raise ValueError("volume_field is required for volumes")
        return self


class PriceValue(Params):
    """What a unit or a volume costs, in major units, up to `up_to`; or what it costs for some dimension values."""

    name: str | None = None
    up_to: Annotated[int, Field(ge=1)] | None = None
    unit_price: NotNegative | None = None
    volume_rate: NotNegative | None = None
    package_size: Annotated[int, Field(ge=1)] | None = None
    quantity: Positive = Decimal(1)
    min_amount: NotNegative | None = None
    max_amount: NotNegative | None = None
    dimensions: dict[str, str] | None = None
    values: list["PriceValue"] | None = None


class AssetPricing(Params):
    """The values of a price in one asset."""

    asset: Asset
    values: Annotated[list[PriceValue], Field(min_length=1, max_length=500)]


class Tiering(Params):
    """How long tiers count."""

    basis: Literal["unit", "volume", "package", "custom"] = "unit"
    period: Literal["lifetime", "daily", "weekly", "monthly", "quarterly", "yearly"] = "lifetime"


class PriceParams(Params):
    """One price of a product."""

    name: Text
    type: Literal["usage_based", "fixed"] = "usage_based"
    pricing_model: Literal["flat", "tiered", "bulk", "package"] | None = None
    tiering: Tiering | None = None
    billing_model: BillingModel = BillingModel()
    usage_calculation: UsageCalculation | None = None
    pricing: Annotated[list[AssetPricing], Field(min_length=1, max_length=1)]

    @model_validator(mode="after")
    def _complete(self) -> "PriceParams":
        if self.type == "usage_based" and self.usage_calculation is None:
            raise ValueError("usage_calculation is required for usage_based prices")
        if self.billing_model.type == "recurring" and self.type == "fixed" and self.billing_model.interval is None:
            raise ValueError("billing_model.interval is required for recurring fixed prices")
        return self


class RefreshParams(Params):
    """What becomes of the rest when value is given anew."""

    strategy: Literal["expire_and_replace", "rollover"] = "expire_and_replace"


class Lifecycle(Params):
    """How long the value lasts, and whether it is given anew after that."""

    duration: Unit
    duration_count: Annotated[int, Field(ge=1, le=1000)] = 1
    refresh: RefreshParams | None = None


class EntitlementParams(Params):
    """Value that comes with a product. Lower priorities are used first."""

    name: Text
    asset: Asset
    amount: Positive
    purpose: Literal["bundled", "promotion"] = "bundled"
    lifecycle: Lifecycle | None = None
    accounting: Metadata | None = None
    priority: Annotated[int, Field(ge=0, le=100)] = 10

    def entitlement(self) -> Entitlement:
        """The entitlement in the catalog."""
        lasts = self.lifecycle
        return Entitlement(
            name=self.name,
            asset=self.asset,
            amount=self.amount,
            purpose=self.purpose,
            every=None if lasts is None else Interval(unit=lasts.duration, count=lasts.duration_count),
            refreshed=lasts is not None and lasts.refresh is not None,
            rollover=lasts is not None and lasts.refresh is not None and lasts.refresh.strategy == "rollover",
            priority=self.priority,
        )


def new_prices(asked: Sequence[PriceParams]) -> list[NewPrice]:
    """The prices to make; one that counts both events and a volume becomes two."""
    return [each for one in asked for each in _new_prices(one)]


def _new_prices(asked: PriceParams) -> list[NewPrice]:
    of_asset = asked.pricing[0]
    told = asked.model_dump(mode="json", exclude_none=True)
    counting = asked.usage_calculation
    if counting is None:
        amount = add(*(multiply(value.unit_price or Decimal(0), value.quantity) for value in of_asset.values))
        every = asked.billing_model
        interval = None if every.interval is None else Interval(unit=every.interval, count=every.interval_count)
        model = flat_fee(to_minor(amount, of_asset.asset.lower()))
        return [NewPrice(name=asked.name, asset=of_asset.asset, model=model, interval=interval, told=told)]
    parts: list[tuple[str, str | None]] = []
    if counting.usage_type in ("unit", "unit_and_volume"):
        parts.append(("unit_price", None))
    if counting.usage_type in ("volume", "unit_and_volume"):
        parts.append(("volume_rate", counting.volume_field))
    return [_usage_price(asked, counting, rate, volume, told) for rate, volume in parts]


def _usage_price(
    asked: PriceParams, counting: UsageCalculation, rate: str, volume: str | None, told: Mapping[str, object]
) -> NewPrice:
    of_asset = asked.pricing[0]
    both = counting.usage_type == "unit_and_volume"
    minimum, maximum = _bounds(of_asset.values)
    return NewPrice(
        name=f"{asked.name} ({volume})" if both and volume is not None else asked.name,
        asset=of_asset.asset,
        model=_model(asked, counting, of_asset, rate),
        event_type=counting.event_type,
        volume_field=volume,
        dimensions=tuple(counting.billable_dimensions),
        cadence=_CADENCE[(asked.tiering or Tiering()).period],
        minimum=minimum,
        maximum=maximum,
        told=told,
    )


def _bounds(values: Sequence[PriceValue]) -> tuple[Decimal | None, Decimal | None]:
    """The bounds per event, which have to be the same wherever they are given."""
    found = {(value.min_amount, value.max_amount) for value in _leaves(values)}
    if len(found) > 1:
        raise Refusal(
            "min_amount and max_amount are per event, and the same in all values of a price.", param="pricing"
        )
    return found.pop()


def _leaves(values: Sequence[PriceValue]) -> list[PriceValue]:
    return [leaf for value in values for leaf in (_leaves(value.values) if value.values else [value])]


def _model(asked: PriceParams, counting: UsageCalculation, of_asset: AssetPricing, rate: str) -> PriceModel:
    currency = of_asset.asset.lower()
    keys = tuple(counting.billable_dimensions)
    if not any(value.dimensions is not None for value in of_asset.values):
        return _quantity_model(asked, of_asset.values, rate, currency)
    if not keys:
        raise Refusal("Values by dimension need usage_calculation.billable_dimensions.", param="pricing")
    rows = tuple(
        RateRow(
            match={key: (value.dimensions or {}).get(key, "*") for key in keys},
            model=_quantity_model(asked, value.values or [value], rate, currency),
        )
        for value in of_asset.values
    )
    if len({tuple(row.match.items()) for row in rows}) < len(rows):
        raise Refusal("Two values are for the same dimensions.", param="pricing")
    return ByDimension(keys=keys, rows=rows)


def _quantity_model(asked: PriceParams, values: Sequence[PriceValue], rate: str, currency: str) -> QuantityModel:
    if any(value.package_size for value in values) or asked.pricing_model == "package":
        only = values[0]
        return Package(size=only.package_size or 1, unit=_amount(only, rate, currency))
    if len(values) == 1 and values[0].up_to is None:
        return PerUnit(unit=_amount(values[0], rate, currency))
    ordered = sorted(values, key=lambda each: (each.up_to is None, each.up_to))
    bounds = [each.up_to for each in ordered]
    if bounds[-1] is not None or bounds.count(None) > 1 or len(set(bounds)) < len(bounds):
        raise Refusal("Tiers have different ends, and exactly one has none.", param="pricing")
    tiers = tuple(Tier(up_to=each.up_to, unit=_amount(each, rate, currency)) for each in ordered)
    return Volume(tiers=tiers) if asked.pricing_model == "bulk" else Graduated(tiers=tiers)


def _amount(value: PriceValue, rate: str, currency: str) -> Decimal:
    amount = value.volume_rate if rate == "volume_rate" else value.unit_price
    if amount is None:
        amount = value.unit_price if value.unit_price is not None else value.volume_rate
    if amount is None:
        raise Refusal("A value says unit_price or volume_rate.", param="pricing")
    return to_minor(amount, currency)
