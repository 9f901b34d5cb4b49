"""One line of an invoice, and what is subtracted from and added to it on the way to the total."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from meterline.catalog import TaxRate
from meterline.period import Period

Level = Literal["line", "invoice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineDiscount:
    """What one discount takes off a line. `level` says whether it was put on the line or on the whole invoice.

    On a line that gives money back the amount is negative: the part of a discount that is taken back with it. It is
    zero where the line's own amount is net of the discount already.
    """

    discount: str
    amount: int
    level: Level


@dataclass(frozen=True, slots=True)
class LineCredit:
    """What one billing credit transaction pays of a line, before tax; without an id while it is tentative."""

    credit_balance_transaction: str | None
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTax:
    """What one tax rate adds to a line (exclusive) or finds inside it (inclusive).

    `percentage` is the rate's, of 100. `waived` is the tax inside the line that the customer is not asked for, being
    exempt: the line costs less by it.
    """

    tax_rate: str
    amount: int
    behavior: Literal["exclusive", "inclusive"]
    taxable_amount: int
    percentage: Decimal = Decimal(0)
    waived: int = 0
    reason: str = "not_available"

    @property
    def inside(self) -> bool:
        """Whether it is part of the line's amount."""
        return self.behavior == "inclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditedLines:
    """The earlier lines that a proration credit gives money back for."""

    invoice: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """One line. `id` is empty until the line is recorded.

    `amount` is before discounts, credits and tax. `usage` is the window of usage that a metered line counts,
    null for anything else; such a line is computed again while its invoice is a draft. `tier` is the tier
    (from 1) that the line was rated in; `flat` marks a tier's flat amount, whose quantity is 0. `late` marks the
    difference that usage makes which came, or was corrected, after its own invoice was finalized; `usage` is then
    the window that was billed there. `tax_rates` are the line's own, which take the place of
    the invoice's; null is none of its own.
    """

    id: str
    amount: int
    currency: str
    description: str | None
    period: Period
    quantity: Decimal | None
    discountable: bool = True
    price: str | None = None
    product: str | None = None
    unit_amount: Decimal | None = None
    subscription: str | None = None
    subscription_item: str | None = None
    invoice_item: str | None = None
    proration: bool = False
    credited: CreditedLines | None = None
    usage: Period | None = None
    tier: int | None = None
    flat: bool = False
    late: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    tax_rates: tuple[TaxRate, ...] | None = None
    discounts: tuple[LineDiscount, ...] = ()
    credits: tuple[LineCredit, ...] = ()
    taxes: tuple[LineTax, ...] = ()

    @property
    def discounted_amount(self) -> int:
        """The amount after discounts."""
        return self.amount - sum(discount.amount for discount in self.discounts)

    @property
    def net_amount(self) -> int:
        """The amount after discounts and credits: what tax is reckoned on."""
        return self.discounted_amount - sum(credit.amount for credit in self.credits)
