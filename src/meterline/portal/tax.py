"""Taxes as a page shows them: by the name of their rate, and what they are on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from meterline.catalog import TaxRate
from meterline.invoice.line import LineTax
from meterline.money import decimal_text, display


@dataclass(frozen=True, slots=True)
class ShownTax:
    """One row of a page. What is not asked of an exempt customer is shown as taken off."""

    name: str
    amount: int


def shown_taxes(taxes: Sequence[LineTax], rates: Mapping[str, TaxRate], *, currency: str) -> list[ShownTax]:
    """`VAT (19% on $100.00)`, `VAT (19%, included)`, `VAT (19%, not charged)`, in their order."""
    return [_shown(tax, rates[tax.tax_rate], currency) for tax in taxes]


def _shown(tax: LineTax, rate: TaxRate, currency: str) -> ShownTax:
    percentage = f"{decimal_text(tax.percentage)}%"
    if tax.reason != "not_available":
        return ShownTax(f"{rate.display_name} ({percentage}, not charged)", -tax.waived)
    if tax.inside:
        return ShownTax(f"{rate.display_name} ({percentage}, included)", tax.amount)
    return ShownTax(f"{rate.display_name} ({percentage} on {display(tax.taxable_amount, currency)})", tax.amount)
