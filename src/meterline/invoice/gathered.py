"""A billable with what was gathered for it: usage, product, discounts, earlier debits."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from meterline.catalog import Product, TaxRate
from meterline.discount import Discount
from meterline.invoice.line import CreditedLines, InvoiceLine
from meterline.meter import Formula
from meterline.rating import DimensionValues
from meterline.subscription.billable import Billable


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedItem:
    """A licensed item of the subscription with what a whole interval of it costs, exact, and its own discounts."""

    item: str
    product: str
    amount: Fraction
    discounts: tuple[Discount, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """A billable with what is needed to write it down.

    `used` is what the window of a metered billable holds, `used_by_dimension` the same where its price is a rate
    table, counted by `formula`; `paid` is what the wallet paid of it as it happened, in exact minor units. `debited`
    are the lines that debited what a credit gives back, `credited` how they are named where they are on an invoice, and
    `debited_rates` the tax rates that they bore (null leaves tax to the invoice).

    `own` are the item's own discounts, `whole` those of the subscription that a proration is to be net of, and
    `beside` the other licensed items that share the latter. `itemized` says that a proration shows its discounts
    rather than being net of them.
    """

    billable: Billable
    product: Product
    used: Decimal = Decimal(0)
    used_by_dimension: Mapping[DimensionValues, Decimal] | None = None
    formula: Formula = "sum"
    paid: Decimal = Decimal(0)
    credited: CreditedLines | None = None
    debited: tuple[InvoiceLine, ...] | None = None
    debited_rates: tuple[TaxRate, ...] | None = None
    own: tuple[Discount, ...] = ()
    whole: tuple[Discount, ...] = ()
    beside: tuple[PricedItem, ...] = ()
    itemized: bool = False
