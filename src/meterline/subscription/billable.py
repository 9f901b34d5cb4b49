"""What is to be billed for a subscription at an instant: the contract with invoices. No amounts here."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from meterline.catalog import Price
from meterline.period import Period


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
    `period` is what the line says it is for. `trial` lines cost nothing.
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

    def __post_init__(self) -> None:
        assert (self.quantity is None) != (self.usage is None), "licensed or metered, not both"
        assert self.proration is None or self.usage is None, "metered items never prorate"
