"""Invoice items: amounts waiting for an invoice, or put on a draft by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from meterline.catalog import Price, TaxRate
from meterline.invoice.line import CreditedLines, InvoiceLine, LineDiscount
from meterline.money import multiply, round_half_up
from meterline.period import Period
from meterline.rating import billed_total, rate
from meterline.refusal import Refusal

MOST = 999_999_999_999
"""The largest amount of one line, in minor units, either way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceItem:
    """One amount to be billed. Pending while `invoice` is null.

    `amount` is rounded, in minor units; negative gives money back. `unit_amount` is null for prorations and
    fixed amounts. `subscription_item` is set on what a subscription change produced; such items keep their
    price and quantity. `discounts` are its own; on a proration they are settled, else they take nothing off before the
    item is on an invoice. `tax_rates` null leaves tax to the invoice that it comes on.
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
    discounts: tuple[LineDiscount, ...] = ()
    price: str | None = None
    product: str | None = None
    unit_amount: Decimal | None = None
    subscription: str | None = None
    subscription_item: str | None = None
    proration: bool = False
    credited: CreditedLines | None = None
    invoice: str | None = None
    tax_rates: tuple[TaxRate, ...] | None = None
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
        discounts=item.discounts,
        price=item.price,
        product=item.product,
        unit_amount=item.unit_amount,
        subscription=item.subscription,
        subscription_item=item.subscription_item,
        invoice_item=item.id,
        proration=item.proration,
        credited=item.credited,
        tax_rates=item.tax_rates,
        metadata=item.metadata,
    )


def priced(
    item: InvoiceItem,
    *,
    amount: int | None,
    price: Price | None,
    unit_amount: Decimal | None,
    quantity: Decimal | None,
    param: str = "",
) -> InvoiceItem:
    """The item with its amount, which is said in exactly one way: as `amount`, by a price, or per unit.

    `quantity` is 1 where it is not said, and goes with a price or a unit amount only. `param` is where the caller
    said it. Refuses any other combination, and amounts beyond what an invoice can hold.
    """
    ways = [
        name
        for name, said in (("amount", amount), ("pricing", price), ("unit_amount_decimal", unit_amount))
        if said is not None
    ]
    if len(ways) > 1:
        raise Refusal(f"You may only specify one of these parameters: {', '.join(ways)}.", param=_at(param, ways[1]))
    if not ways:
        raise Refusal(
            "You must specify one of `amount`, `pricing`, `price_data` or `unit_amount_decimal`.",
            code="parameter_missing",
            param=_at(param, "amount"),
        )
    count = Decimal(1) if quantity is None else quantity
    if count < 0:
        raise Refusal("Invalid quantity: must be greater than or equal to 0", param=_at(param, "quantity"))
    if amount is not None:
        if count != 1:
            raise Refusal(
                "You may only specify one of these parameters: amount, quantity.", param=_at(param, "quantity")
            )
        return _sized(item, amount=amount, unit_amount=Decimal(amount), quantity=count, price=None)
    if price is not None:
        rated = rate(price=price, quantity=count)
        return _sized(item, amount=billed_total(rated), unit_amount=rated[0].unit, quantity=count, price=price)
    assert unit_amount is not None
    whole = round_half_up(multiply(unit_amount, count))
    return _sized(item, amount=whole, unit_amount=unit_amount, quantity=count, price=None)


def _sized(
    item: InvoiceItem, *, amount: int, unit_amount: Decimal | None, quantity: Decimal, price: Price | None
) -> InvoiceItem:
    if abs(amount) > MOST:
        raise Refusal(f"Invalid amount: must be at most {MOST} in either direction", code="amount_too_large")
    return replace(
        item,
        amount=amount,
        unit_amount=unit_amount,
        quantity=quantity,
        price=None if price is None else price.id,
        product=None if price is None else price.product,
    )


def _at(param: str, name: str) -> str:
    return f"{param}[{name}]" if param else name


def require_own_price(item: InvoiceItem) -> None:
    """Refuses to re-price, or to discount, what a subscription change computed."""
    if item.proration:
        raise Refusal("You cannot update the amount, price, quantity or discounts of a proration invoice item.")
