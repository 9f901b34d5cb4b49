"""What is left of an invoice's lines, and which shares a part of them takes along.

A line is its net amount, its discounts and the billing credits that paid of it, which together are its gross amount,
and the taxes on the net amount. Whatever part of a line is credited, each of these gives its share *of what is left
of it*: no share ever exceeds what is left, and the note that takes the rest takes all of it to the last minor unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from meterline.catalog import TaxRate
from meterline.customer.model import TaxExemption
from meterline.invoice.credit_note import By, CreditNote, CreditNoteLine, issued
from meterline.invoice.item import MOST
from meterline.invoice.line import InvoiceLine, LineTax
from meterline.invoice.model import Invoice
from meterline.invoice.tax import taxes_on
from meterline.money import allocate, display, multiply, round_half_up
from meterline.refusal import Missing, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedLine:
    """A line of a note as it was asked for. `param` is where the caller said it.

    With `invoice_line` it is a part of that line, by `amount` (gross, minor units) or by `quantity`; without, it is
    `quantity` times `unit_amount` under its own `description`, taxed by the `tax_rates` of those ids.
    """

    param: str
    invoice_line: str | None = None
    amount: int | None = None
    quantity: int | None = None
    unit_amount: Decimal | None = None
    description: str | None = None
    tax_rates: tuple[str, ...] = ()
    metadata: Mapping[str, str]


def lines_of(
    asked: Sequence[AskedLine], *, of: Invoice, notes: Sequence[CreditNote], rates: Mapping[str, TaxRate]
) -> tuple[CreditNoteLine, ...]:
    """The lines that were asked for on an invoice, after its earlier `notes`. `rates` are those that they name."""
    made: list[CreditNoteLine] = []
    for each in asked:
        if each.invoice_line is None:
            named = tuple(rates[id] for id in each.tax_rates)
            made.append(_custom(each, rates=named, exemption=of.bill_to.tax_exempt))
        else:
            made.append(_part(each, of=of.lines, before=(*_earlier(notes), *made)))
    return tuple(_with_rates(line, of) for line in made)


def _with_rates(line: CreditNoteLine, of: Invoice) -> CreditNoteLine:
    """A part of an invoice line names the rates that taxed the line."""
    source = next((each for each in of.lines if each.id == line.invoice_line), None)
    if source is None:
        return line
    applied = of.default_tax_rates if source.tax_rates is None else source.tax_rates
    return replace(line, tax_rates=applied if line.taxes else ())


def spread(total: int, *, of: Invoice, notes: Sequence[CreditNote]) -> tuple[CreditNoteLine, ...]:
    """A note's whole amount, tax included, split over the lines in proportion to what is left of each."""
    left = [_left(line, _earlier(notes)) for line in of.lines]
    whole = [max(rest.total, 0) for rest in left]
    assert 0 < total <= sum(whole), "what can be credited of an invoice is on its lines"
    parts = allocate(total, whole)
    return tuple(_with_rates(_of_total(rest, part), of) for rest, part in zip(left, parts, strict=True) if part)


def _earlier(notes: Sequence[CreditNote]) -> tuple[CreditNoteLine, ...]:
    return tuple(line for note in issued(notes) for line in note.lines)


def _left(line: InvoiceLine, before: Sequence[CreditNoteLine]) -> CreditNoteLine:
    """What is left of a line of the invoice, in the shape of a note's line that takes all of it."""
    rest = CreditNoteLine(
        id="",
        amount=line.amount,
        description=line.description,
        invoice_line=line.id,
        discounts=line.discounts,
        credits=line.credits,
        taxes=line.taxes,
    )
    for each in (each for each in before if each.invoice_line == line.id):
        rest = _without(rest, each)
    return rest


def _without(rest: CreditNoteLine, part: CreditNoteLine) -> CreditNoteLine:
    """Parts carry the discounts, credits and taxes of their line in the same order."""
    return replace(
        rest,
        amount=rest.amount - part.amount,
        discounts=tuple(
            replace(whole, amount=whole.amount - taken.amount)
            for whole, taken in zip(rest.discounts, part.discounts, strict=True)
        ),
        credits=tuple(
            replace(whole, amount=whole.amount - taken.amount)
            for whole, taken in zip(rest.credits, part.credits, strict=True)
        ),
        taxes=tuple(
            replace(
                whole,
                amount=whole.amount - taken.amount,
                waived=whole.waived - taken.waived,
                taxable_amount=whole.taxable_amount - taken.taxable_amount,
            )
            for whole, taken in zip(rest.taxes, part.taxes, strict=True)
        ),
    )


def _part(asked: AskedLine, *, of: Sequence[InvoiceLine], before: Sequence[CreditNoteLine]) -> CreditNoteLine:
    line = next((each for each in of if each.id == asked.invoice_line), None)
    if line is None:
        assert asked.invoice_line is not None
        raise Missing("line_item", asked.invoice_line, param=f"{asked.param}[invoice_line_item]")
    mine = [each for each in before if each.invoice_line == line.id]
    by: By = "amount" if asked.quantity is None else "quantity"
    if any(each.by not in (None, by) for each in mine):
        other = "quantity" if by == "amount" else "amount"
        raise Refusal(
            f"The invoice line item {line.id} was credited by {other} before and can only be credited by {other}.",
            param=f"{asked.param}[{by}]",
        )
    rest = _left(line, mine)
    gross = _gross(asked, line, rest, mine)
    if not 0 < gross <= rest.amount:
        currency = line.currency
        raise Refusal(
            f"The amount to credit ({display(gross, currency)}) cannot be greater than what is left to credit of the"
            f" invoice line item ({display(max(rest.amount, 0), currency)}).",
            param=f"{asked.param}[{by}]",
        )
    return replace(
        _of_gross(rest, gross),
        by=by,
        quantity=asked.quantity,
        unit_amount=None if asked.quantity is None else line.unit_amount,
        metadata=asked.metadata,
    )


def _gross(asked: AskedLine, line: InvoiceLine, rest: CreditNoteLine, mine: Sequence[CreditNoteLine]) -> int:
    if asked.quantity is None:
        if asked.amount is None:
            raise Refusal(
                "You must specify one of `amount` or `quantity`.",
                code="parameter_missing",
                param=f"{asked.param}[amount]",
            )
        return asked.amount
    whole = line.quantity or Decimal(0)
    left = whole - sum(each.quantity or 0 for each in mine)
    if asked.quantity > left:
        raise Refusal(
            f"The quantity to credit ({asked.quantity}) cannot be greater than what is left to credit of the invoice"
            f" line item ({max(left, Decimal(0)):f}).",
            param=f"{asked.param}[quantity]",
        )
    return round_half_up(Fraction(asked.quantity) * rest.amount / Fraction(left))


def _of_gross(rest: CreditNoteLine, gross: int) -> CreditNoteLine:
    """The part of what is left that is `gross` before discounts, credits and exclusive tax."""
    net, *taken = allocate(
        gross,
        [rest.net_amount, *(each.amount for each in rest.discounts), *(each.amount for each in rest.credits)],
    )
    discounts, credits = taken[: len(rest.discounts)], taken[len(rest.discounts) :]
    part = replace(
        rest,
        amount=gross,
        discounts=tuple(replace(each, amount=part) for each, part in zip(rest.discounts, discounts, strict=True)),
        credits=tuple(replace(each, amount=part) for each, part in zip(rest.credits, credits, strict=True)),
    )
    exclusive = [_share(tax.amount, net, rest.net_amount) for tax in rest.taxes if not tax.inside]
    inside = _inside(rest)
    inclusive = allocate(net, [*inside, rest.net_amount - sum(inside)])[:-1] if inside and net else (0,) * len(inside)
    return replace(part, taxes=_taxed(rest, net, exclusive, inclusive))


def _of_total(rest: CreditNoteLine, total: int) -> CreditNoteLine:
    """The part of what is left that gives back `total`, tax included."""
    on_top = [tax.amount for tax in rest.taxes if not tax.inside]
    asked, *exclusive = allocate(total, [rest.net_amount - rest.waived, *on_top])
    # What was not asked for comes along with what was; otherwise the tax inside is a share of the net amount.
    whole = rest.net_amount - rest.waived
    inside = [_share(tax, asked, whole) for tax in _inside(rest)]
    net = asked + (sum(inside) if rest.waived else 0)
    discounts = tuple(replace(each, amount=_share(each.amount, net, rest.net_amount)) for each in rest.discounts)
    credits = tuple(replace(each, amount=_share(each.amount, net, rest.net_amount)) for each in rest.credits)
    taken = sum(each.amount for each in discounts) + sum(each.amount for each in credits)
    part = replace(rest, amount=net + taken, discounts=discounts, credits=credits)
    part = replace(part, taxes=_taxed(rest, net, exclusive, inside))
    assert part.total == total, "the shares make up the part"
    return part


def _inside(rest: CreditNoteLine) -> list[int]:
    """The tax inside, whether it was asked for or not, by rate."""
    return [tax.amount + tax.waived for tax in rest.taxes if tax.inside]


def _taxed(rest: CreditNoteLine, net: int, exclusive: Sequence[int], inclusive: Sequence[int]) -> tuple[LineTax, ...]:
    """The taxes of a part whose net amount is `net`: the amounts on top of it and inside, in the order of the rates."""
    on_top, inside = iter(exclusive), iter(inclusive)
    without = net - sum(inclusive)
    taxes = []
    for tax in rest.taxes:
        amount = next(inside) if tax.inside else next(on_top)
        taxes.append(
            replace(
                tax,
                amount=0 if tax.waived else amount,
                waived=amount if tax.waived else 0,
                taxable_amount=_taxable(rest, tax, net, without),
            )
        )
    return tuple(taxes)


def _taxable(rest: CreditNoteLine, tax: LineTax, net: int, without: int) -> int:
    """What of a part a tax is on: all of it, all but the taxes inside, or a share of the part that was taxable."""
    if not tax.taxable_amount:
        return 0
    if tax.taxable_amount == rest.net_amount:
        return net
    if tax.taxable_amount == rest.net_amount - sum(_inside(rest)):
        return without
    return _share(tax.taxable_amount, net, rest.net_amount)


def _share(amount: int, part: int, whole: int) -> int:
    return round_half_up(Fraction(amount * part, whole)) if whole else 0


def _custom(asked: AskedLine, *, rates: tuple[TaxRate, ...], exemption: TaxExemption) -> CreditNoteLine:
    if asked.unit_amount is None:
        raise Refusal(
            "You must specify one of `unit_amount` or `unit_amount_decimal` for a custom line item.",
            code="parameter_missing",
            param=f"{asked.param}[unit_amount]",
        )
    if asked.description is None:
        raise Refusal(
            f"Missing required param: {asked.param}[description].",
            code="parameter_missing",
            param=f"{asked.param}[description]",
        )
    quantity = 1 if asked.quantity is None else asked.quantity
    amount = round_half_up(multiply(asked.unit_amount, quantity))
    if not 0 < amount <= MOST:
        raise Refusal(f"Invalid amount: a line must be between 1 and {MOST}.", param=f"{asked.param}[unit_amount]")
    return CreditNoteLine(
        id="",
        amount=amount,
        description=asked.description,
        quantity=quantity,
        unit_amount=asked.unit_amount,
        metadata=asked.metadata,
        taxes=taxes_on(amount, rates, exemption=exemption),
        tax_rates=rates,
    )
