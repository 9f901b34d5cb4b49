"""What is to be billed for a subscription at an instant: the contract with invoices. No amounts here."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from meterline.catalog import Price, TaxRate
from meterline.period import Period
from meterline.subscription.model import SubscriptionItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Proration:
    """A share of the full price of a licensed item.

    `fraction` (exact, ≥ 0) multiplies price × quantity; a credit is negative. `credited` is set on credits
    that give back a share of what was really debited (flexible billing): the span of that earlier debit, by
    which its line is found; the share of that line's net amount is then
    `(period.end − period.start) / (credited.end − credited.start)`. Where it is null (classic billing), the
    credit is −fraction × price × quantity.
    """

    direction: Literal["credit", "debit"]
    fraction: Fraction
    credited: Period | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Billable:
    """One future invoice line of a subscription item.

    Licensed: `quantity` is set, `usage` null. Metered: `usage` is the window of usage billed, `quantity` null.
    `period` is what the line says it is for. `trial` lines cost nothing. `discounts` are the ids of the item's own;
    `tax_rates` null leaves tax to the invoice.
    """

    subscription: str
    item: str
    price: Price
    quantity: Decimal | None
    usage: Period | None
    period: Period
    timing: Literal["advance", "arrears"]
    proration: Proration | None = None
    trial: bool = False
    discounts: tuple[str, ...] = ()
    tax_rates: tuple[TaxRate, ...] | None = None

    def __post_init__(self) -> None:
        assert (self.quantity is None) != (self.usage is None), "licensed or metered, not both"
        assert self.proration is None or self.usage is None, "metered items never prorate"


def advance(subscription: str, item: SubscriptionItem, price: Price, *, period: Period, share: Fraction) -> Billable:
    """A licensed item for a period to come; a share below the whole is a proration."""
    assert item.quantity is not None
    whole = share == 1
    return Billable(
        subscription=subscription,
        item=item.id,
        price=price,
        quantity=Decimal(item.quantity),
        usage=None,
        period=period,
        timing="advance",
        discounts=item.discounts,
        proration=None if whole else Proration(direction="debit", fraction=share),
        tax_rates=item.tax_rates or None,
    )


def arrears(subscription: str, item: SubscriptionItem, price: Price, *, until: datetime, period: Period) -> Billable:
    """The usage of a metered item that was not billed yet, up to an instant."""
    assert item.usage_from is not None
    return Billable(
        subscription=subscription,
        item=item.id,
        price=price,
        quantity=None,
        usage=Period(start=min(item.usage_from, until), end=until),
        period=period,
        timing="arrears",
        discounts=item.discounts,
        tax_rates=item.tax_rates or None,
    )


def free_trial(subscription: str, item: SubscriptionItem, price: Price) -> Billable:
    """A licensed item for its trial, which costs nothing."""
    return Billable(
        subscription=subscription,
        item=item.id,
        price=price,
        quantity=Decimal(item.quantity or 0),
        usage=None,
        period=item.period,
        timing="advance",
        discounts=item.discounts,
        trial=True,
        tax_rates=item.tax_rates or None,
    )


def proration(
    subscription: str,
    item: SubscriptionItem,
    price: Price,
    *,
    direction: Literal["credit", "debit"],
    quantity: int,
    period: Period,
    share: Fraction,
    credited: Period | None = None,
) -> Billable:
    """The rest of a period given back (credit) or bought (debit) because an item changes in it."""
    return Billable(
        subscription=subscription,
        item=item.id,
        price=price,
        quantity=Decimal(quantity),
        usage=None,
        period=period,
        timing="advance",
        discounts=item.discounts,
        proration=Proration(direction=direction, fraction=share, credited=credited),
        tax_rates=item.tax_rates or None,
    )
