"""From lines to totals, in the order of calculation.

Each line arrives rounded. From its amount go the discounts of the line, then those of the invoice, then billing
credits; what is left is taxed; exclusive tax comes on top, inclusive tax is already inside. The customer
balance and the least amount that can be collected come after the total (see `balance`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from meterline.invoice.line import LineCredit, LineDiscount, LineTax
from meterline.invoice.tax import due_on_top, tax_inside

Name = TypeVar("Name", str, str | None)


class Taxed(Protocol):
    """Something with tax on it."""

    @property
    def taxes(self) -> tuple[LineTax, ...]: ...


class Reckoned(Taxed, Protocol):
    """A line of an invoice, or of a credit note, with what goes off it and what comes on top."""

    @property
    def amount(self) -> int: ...
    @property
    def net_amount(self) -> int: ...
    @property
    def discounts(self) -> tuple[LineDiscount, ...]: ...
    @property
    def credits(self) -> tuple[LineCredit, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The sums of an invoice, in minor units.

    `subtotal` has the discounts of single lines taken off; `total` is after all discounts, credits and tax, and less by
    the tax inside lines that an exempt customer is not asked for.
    `discounts` and `credits` are summed per discount and per credit transaction, `taxes` per rate.
    """

    subtotal: int
    subtotal_excluding_tax: int
    total: int
    total_excluding_tax: int
    discounts: tuple[tuple[str, int], ...]
    credits: tuple[tuple[str | None, int], ...]
    taxes: tuple[LineTax, ...]


def totals(lines: Sequence[Reckoned]) -> Totals:
    """The totals of these lines; all zero for none."""
    subtotal = sum(line.amount for line in lines) - sum(
        discount.amount for line in lines for discount in line.discounts if discount.level == "line"
    )
    net = sum(line.net_amount for line in lines)
    taxes = summed_taxes(lines)
    total = net + due_on_top(taxes)
    return Totals(
        subtotal=subtotal,
        subtotal_excluding_tax=subtotal - sum(_inside_subtotal(line) for line in lines),
        total=total,
        total_excluding_tax=total - sum(tax.amount for tax in taxes),
        discounts=_summed([(d.discount, d.amount) for line in lines for d in line.discounts]),
        credits=_summed([(c.credit_balance_transaction, c.amount) for line in lines for c in line.credits]),
        taxes=taxes,
    )


def _inside_subtotal(line: Reckoned) -> int:
    """The tax inside what a line adds to the subtotal, which knows no discounts of the invoice and no credits."""
    amount = line.amount - sum(discount.amount for discount in line.discounts if discount.level == "line")
    if amount == line.net_amount:
        return sum(tax.amount + tax.waived for tax in line.taxes if tax.inside)
    return tax_inside(amount, line.taxes)


def _summed(amounts: Sequence[tuple[Name, int]]) -> tuple[tuple[Name, int], ...]:
    sums: dict[Name, int] = {}
    for name, amount in amounts:
        sums[name] = sums.get(name, 0) + amount
    return tuple(sums.items())


def summed_taxes(lines: Sequence[Taxed]) -> tuple[LineTax, ...]:
    """One entry per rate and reason, in order of first appearance."""
    sums: dict[tuple[str, str, str], LineTax] = {}
    for tax in (tax for line in lines for tax in line.taxes):
        key = (tax.tax_rate, tax.behavior, tax.reason)
        sofar = sums.get(key)
        sums[key] = tax if sofar is None else _together(sofar, tax)
    return tuple(sums.values())


def _together(one: LineTax, other: LineTax) -> LineTax:
    return replace(
        one,
        amount=one.amount + other.amount,
        taxable_amount=one.taxable_amount + other.taxable_amount,
        waived=one.waived + other.waived,
    )
