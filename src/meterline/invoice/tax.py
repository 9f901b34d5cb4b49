"""Tax by the rates of each line: what is inside the amount, and what comes on top of it.

Tax is reckoned on what discounts and credits have left of a line. Inclusive rates share the part of it that is tax;
what remains is the base of the exclusive ones, and the taxable amount of all. A customer who is exempt, or accounts
for the tax itself (reverse charge), is not asked for any: then the part that would have been tax comes off the line.

Every amount is rounded once: for each line, or for each rate over all lines of the invoice (`Rounding`), where the
lines share the rounded sum so that they still add up.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Literal, TypeAlias

from meterline.catalog import TaxRate
from meterline.customer.model import TaxExemption
from meterline.invoice.line import InvoiceLine, LineTax
from meterline.money import allocate, round_half_up, round_together

Rounding = Literal["line", "invoice"]
Rates: TypeAlias = tuple[TaxRate, ...]

_REASON: dict[TaxExemption, str] = {"none": "not_available", "exempt": "customer_exempt", "reverse": "reverse_charge"}


def taxed(
    lines: Sequence[InvoiceLine], *, default: Rates, exemption: TaxExemption, rounding: Rounding
) -> tuple[InvoiceLine, ...]:
    """The lines with their tax, by their own rates, and by the `default` ones of the invoice where they have none.

    The result for a line does not depend on the order of its rates.
    """
    applied = [default if line.tax_rates is None else line.tax_rates for line in lines]
    found = taxes_together([line.net_amount for line in lines], applied, exemption=exemption, rounding=rounding)
    return tuple(replace(line, taxes=taxes) for line, taxes in zip(lines, found, strict=True))


def taxes_together(
    amounts: Sequence[int], applied: Sequence[Rates], *, exemption: TaxExemption, rounding: Rounding
) -> list[tuple[LineTax, ...]]:
    """The taxes of amounts that belong together, by the rates applied to each."""
    inside = _inside(amounts, applied, rounding)
    bases = [amount - part for amount, part in zip(amounts, inside, strict=True)]
    on_top = _on_top(bases, applied, rounding)
    return [
        _taxes(rates, part, base, above, exemption)
        for rates, part, base, above in zip(applied, inside, bases, on_top, strict=True)
    ]


def due_on_top(taxes: Sequence[LineTax]) -> int:
    """What taxes add to the amount that they are on; negative where they take off it."""
    return sum((0 if tax.inside else tax.amount) - tax.waived for tax in taxes)


def taxes_on(amount: int, rates: Rates, *, exemption: TaxExemption) -> tuple[LineTax, ...]:
    """The taxes on a single amount by those rates."""
    [taxes] = taxes_together([amount], [rates], exemption=exemption, rounding="line")
    return taxes


def tax_inside(amount: int, taxes: Sequence[LineTax]) -> int:
    """The part of an amount that its inclusive taxes are, rounded."""
    return round_half_up(_part(amount, sum((Fraction(tax.percentage) for tax in taxes if tax.inside), Fraction(0))))


def _part(amount: int, percentage: Fraction) -> Fraction:
    return amount * percentage / (100 + percentage)


def _inside(amounts: Sequence[int], applied: Sequence[Rates], rounding: Rounding) -> list[int]:
    """How much of each amount is tax. Over the whole invoice, lines with the same inclusive rates share a sum."""
    inclusive = [tuple(sorted(rate.id for rate in rates if rate.inclusive)) for rates in applied]
    exact = [_part(amount, _percentage(rates)) for amount, rates in zip(amounts, applied, strict=True)]
    return _rounded(exact, inclusive, rounding)


def _on_top(bases: Sequence[int], applied: Sequence[Rates], rounding: Rounding) -> list[dict[str, int]]:
    """What each exclusive rate adds to each base."""
    found: list[dict[str, int]] = [{} for _ in bases]
    for rate in {rate.id: rate for rates in applied for rate in rates if not rate.inclusive}.values():
        places = [place for place, rates in enumerate(applied) if rate in rates]
        exact = [bases[place] * Fraction(rate.percentage) / 100 for place in places]
        for place, amount in zip(places, _rounded(exact, [rate.id] * len(places), rounding), strict=True):
            found[place][rate.id] = amount
    return found


def _percentage(rates: Rates) -> Fraction:
    return sum((Fraction(rate.percentage) for rate in rates if rate.inclusive), Fraction(0))


def _rounded(exact: Sequence[Fraction], kinds: Sequence[object], rounding: Rounding) -> list[int]:
    """Whole minor units for each exact amount; by `invoice` those of one kind add up to their rounded sum."""
    if rounding == "line":
        return [round_half_up(each) for each in exact]
    found = [0] * len(exact)
    for kind in dict.fromkeys(kinds):
        places = [place for place, each in enumerate(kinds) if each == kind]
        for place, amount in zip(places, round_together([exact[place] for place in places]), strict=True):
            found[place] = amount
    return found


def _taxes(
    rates: Rates, inside: int, base: int, on_top: dict[str, int], exemption: TaxExemption
) -> tuple[LineTax, ...]:
    amounts = on_top | _split(inside, rates)
    asked = exemption == "none"
    return tuple(
        LineTax(
            tax_rate=rate.id,
            percentage=rate.percentage,
            amount=amounts[rate.id] if asked else 0,
            waived=0 if asked or not rate.inclusive else amounts[rate.id],
            behavior="inclusive" if rate.inclusive else "exclusive",
            taxable_amount=base if asked else 0,
            reason=_REASON[exemption],
        )
        for rate in rates
    )


def _split(inside: int, rates: Rates) -> dict[str, int]:
    """Whose the tax inside an amount is: shares by percentage, which add up."""
    inclusive = sorted((rate for rate in rates if rate.inclusive), key=lambda rate: rate.id)
    if inside == 0:
        return {rate.id: 0 for rate in inclusive}
    parts = allocate(inside, [rate.percentage for rate in inclusive])
    return {rate.id: part for rate, part in zip(inclusive, parts, strict=True)}
