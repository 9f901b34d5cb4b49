"""The price: what a product costs, in which currency, how often."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from meterline.catalog.model import ByDimension, CustomAmount, PriceModel
from meterline.period import Interval
from meterline.refusal import Refusal

UsageType = Literal["licensed", "metered"]
TaxBehavior = Literal["inclusive", "exclusive", "unspecified"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurring:
    """How often the price is billed, and of what: a quantity bought in advance, or usage on a meter."""

    interval: Interval
    usage_type: UsageType = "licensed"
    meter: str | None = None
    trial_period_days: int | None = None

    def __post_init__(self) -> None:
        assert (self.usage_type == "metered") == (self.meter is not None), "metered means: by a meter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What is done around the model, in this order: allowance, (the model), minimum, maximum.

    `allowance` units of each period are free. `minimum` and `maximum` bound what a period costs, in minor
    units, exact; null is no bound.
    """

    allowance: Decimal = Decimal(0)
    minimum: Decimal | None = None
    maximum: Decimal | None = None

    def __post_init__(self) -> None:
        assert self.allowance >= 0 and (self.minimum is None or self.minimum >= 0)
        assert self.maximum is None or self.maximum >= (self.minimum or 0), "the bounds leave room"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrencyOption:
    """The same price in another currency."""

    model: PriceModel
    tax_behavior: TaxBehavior = "unspecified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one product costs. The amounts never change; a changed price is another price.

    `currency` is lower case. `recurring` is null for a price billed once. `inline` prices were made inside
    another call and are not listed. `created` is UTC.
    """

    environment: str
    id: str
    product: str
    currency: str
    model: PriceModel
    adjustment: Adjustment = Adjustment()
    recurring: Recurring | None = None
    active: bool = True
    inline: bool = False
    nickname: str | None = None
    lookup_key: str | None = None
    tax_behavior: TaxBehavior = "unspecified"
    currency_options: Mapping[str, CurrencyOption] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    created: datetime

    def __post_init__(self) -> None:
        plain = self.adjustment == Adjustment()
        assert plain or not isinstance(self.model, ByDimension | CustomAmount), "adjustments need one quantity"

    @property
    def metered(self) -> bool:
        """Billed by usage, in arrears."""
        return self.recurring is not None and self.recurring.usage_type == "metered"

    @property
    def interval(self) -> Interval | None:
        """How often it is billed; null for once."""
        return None if self.recurring is None else self.recurring.interval

    def sold_in(self, currency: str) -> bool:
        """Whether it has an amount in that currency (lower case)."""
        return currency == self.currency or currency in self.currency_options

    def in_currency(self, currency: str) -> "Price":
        """The price as a customer of that currency sees it. Refuses a currency it has no amount in."""
        if currency == self.currency:
            return self
        option = self.currency_options.get(currency)
        if option is None:
            raise Refusal(f"The price `{self.id}` is not available in `{currency}`.", param="currency")
        return replace(
            self, currency=currency, model=option.model, tax_behavior=option.tax_behavior, currency_options={}
        )
