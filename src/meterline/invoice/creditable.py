"""What is left of an invoice's lines, and which shares a part of them takes along.

A line is its net amount, its discounts and the billing credits that paid of it, which together are its gross amount,
and the taxes on the net amount. Whatever part of a line is credited, each of these gives its share *of what is left
of it*: no share ever exceeds what is left, and the note that takes the rest takes all of it to the last minor unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from meterline.invoice.credit_note import By, CreditNote, CreditNoteLine, issued
from meterline.invoice.item import MOST
from meterline.invoice.line import InvoiceLine, LineTax
from meterline.money import allocate, display, multiply, round_half_up
from meterline.refusal import Missing, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedLine:
    """A line of a note as it was asked for. `param` is where the caller said it.

    With `invoice_line` it is a part of that line, by `amount` (gross, minor units) or by `quantity`; without, it is
    `quantity` times `unit_amount` under its own `description`, taxed with `taxes` (whose amounts are made here).
    """

    param: str
    invoice_line: str | None = None
    amount: int | None = None
    quantity: int | None = None
    unit_amount: Decimal | None = None
    description: str | None = None
    metadata: Mapping[str, str]


def lines_of(
    asked: Sequence[AskedLine], *, of: Sequence[InvoiceLine], notes: Sequence[CreditNote]
) -> tuple[CreditNoteLine, ...]:
    """The lines that were asked for, on an invoice with the lines `of`, after its earlier `notes`."""
    made: list[CreditNoteLine] = []
    for each in asked:
        line = _custom(each) if each.invoice_line is None else _part(each, of=of, before=(*_earlier(notes), *made))
        made.append(line)
    return tuple(made)


def spread(total: int, *, of: Sequence[InvoiceLine], notes: Sequence[CreditNote]) -> tuple[CreditNoteLine, ...]:
    """A note's whole amount, tax included, split over the lines in proportion to what is left of each."""
    left = [_left(line, _earlier(notes)) for line in of]
    whole = [max(rest.total, 0) for rest in left]
    assert 0 < total <= sum(whole), "what can be credited of an invoice is on its lines"
    parts = allocate(total, whole)
    return tuple(_of_total(rest, part) for rest, part in zip(left, parts, strict=True) if part)


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
                whole, amount=whole.amount - taken.amount, taxable_amount=whole.taxable_amount - taken.taxable_amount
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
    exclusive = [_share(tax.amount, net, rest.net_amount) for tax in rest.taxes if tax.behavior == "exclusive"]
    return replace(part, taxes=_taxed(rest, net, exclusive))


def _of_total(rest: CreditNoteLine, total: int) -> CreditNoteLine:
    """The part of what is left that gives back `total`, tax included."""
    on_top = [tax.amount for tax in rest.taxes if tax.behavior == "exclusive"]
    net, *exclusive = allocate(total, [rest.net_amount, *on_top])
    discounts = tuple(replace(each, amount=_share(each.amount, net, rest.net_amount)) for each in rest.discounts)
    credits = tuple(replace(each, amount=_share(each.amount, net, rest.net_amount)) for each in rest.credits)
    taken = sum(each.amount for each in discounts) + sum(each.amount for each in credits)
    part = replace(rest, amount=net + taken, discounts=discounts, credits=credits)
    part = replace(part, taxes=_taxed(rest, net, exclusive))
    assert part.total == total, "the shares make up the part"
    return part


def _taxed(rest: CreditNoteLine, net: int, exclusive: Sequence[int]) -> tuple[LineTax, ...]:
    """The taxes of a part whose net amount is `net`; the exclusive ones were reckoned already."""
    inside = [tax.amount for tax in rest.taxes if tax.behavior == "inclusive"]
    inclusive = allocate(net, [*inside, rest.net_amount - sum(inside)])[:-1] if inside and net else (0,) * len(inside)
    of = {"exclusive": iter(exclusive), "inclusive": iter(inclusive)}
    without = net - sum(inclusive)
    return tuple(
        replace(tax, amount=next(of[tax.behavior]), taxable_amount=_taxable(rest, tax, net, without))
        for tax in rest.taxes
    )


def _taxable(rest: CreditNoteLine, tax: LineTax, net: int, without: int) -> int:
    """What of a part a tax is on: all of it, all but the taxes inside, or a share of the part that was taxable."""
    inside = sum(each.amount for each in rest.taxes if each.behavior == "inclusive")
    if tax.taxable_amount == rest.net_amount:
        return net
    if tax.taxable_amount == rest.net_amount - inside:
        return without
    return _share(tax.taxable_amount, net, rest.net_amount)


def _share(amount: int, part: int, whole: int) -> int:
    return round_half_up(Fraction(amount * part, whole)) if whole else 0


def _custom(asked: AskedLine) -> CreditNoteLine:
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
    )
