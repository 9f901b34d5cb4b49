"""Prices and entitlements as the wallet dialect writes them, in both of its spellings."""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from meterline.api.wallet.params import Asset, NotNegative, Params, Positive, Text
from meterline.catalog.offer import Accounting, Entitlement
from meterline.period import Interval, Unit

_DURATION = re.compile(r"P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?")


def _duration(value: str) -> str:
    if _DURATION.fullmatch(value) is None:
        raise ValueError("a duration such as P3M or P90D is expected")
    return value


class OneTime(Params):
    """What a fee that is paid once is for."""

    service_period: Annotated[str, Field(max_length=20), AfterValidator(_duration)] | None = None


class Recurrence(Params):
    """How often."""

    interval: Unit
    interval_count: Annotated[int, Field(ge=1, le=1000)] = 1


class BillingModel(Params):
    """How a price is billed; usage is debited as it happens (`real_time`), fixed fees once or again and again."""

    type: Literal["real_time", "one_time", "recurring"] = "real_time"
    one_time: OneTime | None = None
    recurring: Recurrence | None = None
    interval: Unit | None = None
    interval_count: Annotated[int, Field(ge=1, le=1000)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> "BillingModel":
        if self.type == "recurring" and self.every() is None:
            raise ValueError("recurring.interval is required")
        return self

    def every(self) -> Interval | None:
        """The interval of a recurring price."""
        if self.type != "recurring":
            return None
        if self.recurring is not None:
            return Interval(unit=self.recurring.interval, count=self.recurring.interval_count)
        return None if self.interval is None else Interval(unit=self.interval, count=self.interval_count or 1)

    def told(self) -> dict[str, Any]:
        """The billing model in the one spelling in which it is shown."""
        every = self.every()
        if every is not None:
            return {"type": "recurring", "recurring": {"interval": every.unit, "interval_count": every.count}}
        if self.type == "one_time":
            return {"type": "one_time", "one_time": (self.one_time or OneTime()).model_dump(exclude_none=True)}
        return {"type": self.type}


def _only(kept: str, what: str) -> Any:
    def check(value: str | None) -> str | None:
        if value not in (None, kept):
            raise ValueError(f"{what} by an expression is not offered; it is '{kept}'")
        return value

    return AfterValidator(check)


class UsageCalculation(Params):
    """Which events a price counts, and what of them: their number, or a field of their data."""

    event_type: Annotated[str, Field(min_length=1, max_length=100)]
    usage_type: Literal["unit", "volume", "unit_and_volume", "custom"] = "unit"
    unit_aggregation: Annotated[str | None, _only("count", "aggregation of units")] = None
    volume_field: Annotated[str, Field(min_length=1, max_length=60)] | None = None
    volume_aggregation: Annotated[str | None, _only("sum", "aggregation of volumes")] = None
    billable_dimensions: Annotated[list[Text], Field(max_length=10)] | None = None
    source_reference_field: Text | None = None

    @model_validator(mode="after")
    def _complete(self) -> "UsageCalculation":
        if self.usage_type == "custom":
            raise ValueError("custom usage is not offered; usage is counted by unit, volume or unit_and_volume")
        if self.usage_type != "unit" and self.volume_field is None:
            raise ValueError("volume_field is required for volumes")
        return self


class PriceValue(Params):
    """What a unit or a volume costs, in major units, up to `up_to`; or what it costs for some dimension values."""

    name: str | None = None
    up_to: Annotated[int, Field(ge=1, le=10**15)] | None = None
    unit_price: NotNegative | None = None
    volume_rate: NotNegative | None = None
    package_size: Annotated[int, Field(ge=1, le=10**12)] | None = None
    quantity: Positive | None = None
    min_amount: NotNegative | None = None
    max_amount: NotNegative | None = None
    dimensions: Annotated[dict[str, str], Field(max_length=10)] | None = None
    values: Annotated[list["PriceValue"], Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "PriceValue":
        if self.min_amount is not None and self.max_amount is not None and self.min_amount > self.max_amount:
            raise ValueError("min_amount is at most max_amount")
        return self


class AssetPricing(Params):
    """The values of a price in one asset."""

    asset: Asset
    values: Annotated[list[PriceValue], Field(min_length=1, max_length=500)]


class Tiering(Params):
    """What places a quantity in a tier, and how long tiers count."""

    basis: Literal["unit", "volume", "package", "custom"] | None = None
    period: Literal["lifetime", "daily", "weekly", "monthly", "quarterly", "yearly", "custom"] | None = None

    @model_validator(mode="after")
    def _offered(self) -> "Tiering":
        if self.basis in ("package", "custom"):
            raise ValueError(f"tiers by {self.basis} are not offered; tiers are by unit or volume")
        if self.period == "custom":
            raise ValueError("a custom period of tiers is not offered")
        return self


class Collection(Params):
    """How a price is collected: from the balance of the asset that it is in."""

    type: Literal["balance", "invoice"] = "balance"
    address: Text | None = None
    timing: Literal["in_advance", "in_arrears"] | None = None


class PriceParams(Params):
    """One price of a product. Several entries of `pricing` are ways to pay, tried in their order."""

    id: Text | None = None
    name: Text
    type: Literal["usage_based", "fixed"] = "usage_based"
    pricing_model: Literal["flat", "tiered", "bulk", "package"] | None = None
    tiering: Tiering | None = None
    billing_model: BillingModel = BillingModel()
    collection: Collection | None = None
    funding_destination: dict[str, Any] | None = None
    usage_calculation: UsageCalculation | None = None
    pricing: Annotated[list[AssetPricing], Field(min_length=1, max_length=10)]

    @model_validator(mode="after")
    def _complete(self) -> "PriceParams":
        if self.type == "usage_based" and self.usage_calculation is None:
            raise ValueError("usage_calculation is required for usage_based prices")
        if self.type == "usage_based" and self.billing_model.type == "one_time":
            raise ValueError("usage is billed in real_time, or recurring")
        if len({each.asset for each in self.pricing}) < len(self.pricing):
            raise ValueError("pricing has one entry per asset")
        return self

    @model_validator(mode="after")
    def _offered(self) -> "PriceParams":
        if self.funding_destination is not None:
            raise ValueError("a funding_destination is not offered; value that comes with a product is an entitlement")
        collection = self.collection
        if collection is None:
            return self
        if collection.type == "invoice":
            raise ValueError("a price of a wallet is collected from the balance")
        if collection.address not in (None, *(f"default:{each.asset}" for each in self.pricing)):
            raise ValueError("an address is the default account of an asset of the price, such as default:USD")
        return self


class RefreshParams(Params):
    """What becomes of the rest when value is given anew; the older spelling says when that is."""

    strategy: Literal["expire_and_replace", "rollover"] = "expire_and_replace"
    interval: Unit | None = None
    interval_count: Annotated[int, Field(ge=1, le=1000)] | None = None


class Lifecycle(Params):
    """How long the value lasts, and whether it is given anew after that."""

    duration: Unit
    duration_count: Annotated[int, Field(ge=1, le=1000)] | None = None
    refresh: RefreshParams | None = None


class AccountingParams(Params):
    """What one unit of the value counts for in the figures of revenue and cost, in dollars."""

    revenue_basis: NotNegative
    cost_basis: Literal["auto"] = "auto"


class EntitlementParams(Params):
    """Value that comes with a product. Lower priorities are used first."""

    name: Text
    asset: Asset
    amount: Positive
    purpose: Literal["bundled", "promotion"] = "bundled"
    lifecycle: Lifecycle | None = None
    refresh: RefreshParams | None = None
    accounting: AccountingParams | None = None
    priority: Annotated[int, Field(ge=0, le=100)] | None = None

    @model_validator(mode="after")
    def _one_spelling(self) -> "EntitlementParams":
        if self.refresh is not None and self.lifecycle is not None:
            raise ValueError("a refresh is told in the lifecycle, or by itself with an interval")
        if self.refresh is not None and self.refresh.interval is None:
            raise ValueError("refresh.interval is required")
        return self

    def entitlement(self) -> Entitlement:
        """The entitlement in the catalog."""
        lasts, refresh = self.lifecycle, self.refresh
        if lasts is not None:
            every = Interval(unit=lasts.duration, count=lasts.duration_count or 1)
            refresh = lasts.refresh
        elif refresh is not None and refresh.interval is not None:
            every = Interval(unit=refresh.interval, count=refresh.interval_count or 1)
        else:
            every = None
        basis = self.accounting
        return Entitlement(
            name=self.name,
            asset=self.asset,
            amount=self.amount,
            purpose=self.purpose,
            every=every,
            refreshed=refresh is not None,
            rollover=refresh is not None and refresh.strategy == "rollover",
            accounting=None if basis is None else Accounting(revenue=basis.revenue_basis, cost=basis.cost_basis),
            priority=10 if self.priority is None else self.priority,
        )


def render_entitlement(told: Entitlement) -> dict[str, Any]:
    """An entitlement as it is shown."""
    refresh = {"strategy": "rollover" if told.rollover else "expire_and_replace"} if told.refreshed else None
    every, basis = told.every, told.accounting
    return {
        "name": told.name,
        "asset": told.asset,
        "amount": told.amount,
        "purpose": told.purpose,
        "lifecycle": None
        if every is None
        else {"duration": every.unit, "duration_count": every.count, "refresh": refresh},
        "accounting": None if basis is None else {"revenue_basis": basis.revenue, "cost_basis": basis.cost},
        "priority": told.priority,
    }


NO_QUANTITY = Decimal(1)
"""How many are bought where a fixed price does not say."""
