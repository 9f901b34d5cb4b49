"""Invoice items: amounts waiting for an invoice, or put on a draft by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from meterline.invoice.line import CreditedLines, InvoiceLine
from meterline.period import Period
from meterline.refusal import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceItem:
    """One amount to be billed. Pending while `invoice` is null.

    `amount` is rounded, in minor units; negative gives money back. `unit_amount` is null for prorations and
    fixed amounts. `subscription_item` is set on what a subscription change produced; such items keep their
    price and quantity. `net_amount` is the amount after the discounts that were already inside it.
    """

    environment: str
    customer_id: UUID
    id: str
    customer: str
    test_clock: str | None
    date: datetime
    amount: int
    currency: str
    quantity: Decimal
    period: Period
    description: str | None = None
    discountable: bool = True
    price: str | None = None
    product: str | None = None
    unit_amount: Decimal | None = None
    subscription: str | None = None
    subscription_item: str | None = None
    proration: bool = False
    credited: CreditedLines | None = None
    invoice: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def line_of(item: InvoiceItem) -> InvoiceLine:
    """The item as a line, not yet recorded."""
    return InvoiceLine(
        id="",
        amount=item.amount,
        currency=item.currency,
        description=item.description,
        period=item.period,
        quantity=item.quantity,
        discountable=item.discountable,
        price=item.price,
        product=item.product,
        unit_amount=item.unit_amount,
        subscription=item.subscription,
        subscription_item=item.subscription_item,
        invoice_item=item.id,
        proration=item.proration,
        credited=item.credited,
        metadata=item.metadata,
    )


def require_own_price(item: InvoiceItem) -> None:
    """Refuses to re-price what a subscription change computed."""
    if item.proration:
        raise Refusal("You cannot update the amount, price or quantity of a proration invoice item.")
