"""From what is billable to lines and pending items. Preview, draft and finalization all come through here.

A rated line of a tier becomes up to two lines, as Stripe writes them: the units of the tier, and its flat amount
with quantity 0. Together they are the rounded amount of the rated line, so nothing is rounded twice.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TypeAlias

from meterline.catalog import ANY, Package, Price
from meterline.invoice import describe
from meterline.invoice.discount import own_of, with_own
from meterline.invoice.gathered import Gathered
from meterline.invoice.item import InvoiceItem, line_of
from meterline.invoice.line import InvoiceLine
from meterline.invoice.proration import proration_line
from meterline.money import round_half_up, subtract
from meterline.period import Period
from meterline.rating import RatedLine, exact_total, rate, rate_by_dimension

UsageKey: TypeAlias = tuple[str, str, Period]
"""A metered billable: subscription item, price, window of usage."""


def invoice_lines(*, pending: Sequence[InvoiceItem], gathered: Sequence[Gathered]) -> tuple[InvoiceLine, ...]:
    """The lines of a new invoice: pending items, newest first as given, then the subscription's billables."""
    swept = [line_of(item) for item in pending]
    return (*swept, *(line for one in gathered for line in billed_lines(one)))


def billed_lines(gathered: Gathered) -> tuple[InvoiceLine, ...]:
    """The lines of one billable."""
    billable = gathered.billable
    if billable.proration is not None:
        return (proration_line(gathered),)
    own = [each.id for each in gathered.own]
    if billable.trial:
        return (with_own(_trial(gathered), own),)
    rated = _rated(gathered)
    lines = tuple(with_own(line, own) for each in rated for line in _of_rated(gathered, each))
    return _less_paid(lines, rated, gathered.paid) if gathered.paid else lines


def _less_paid(lines: Sequence[InvoiceLine], rated: Iterable[RatedLine], paid: Decimal) -> tuple[InvoiceLine, ...]:
    """The lines without what the wallet paid, which is taken off them in order.

    Together they come to the exact rated total less the exact payment, rounded once: so payments and invoices add up
    to what the usage costs. Where the wallet paid more than that by now, the last line gives it back.
    """
    off = sum(line.amount for line in lines) - round_half_up(subtract(exact_total(rated), paid))
    result: list[InvoiceLine] = []
    for line in lines:
        part = max(min(off, line.amount), 0)
        off -= part
        words = describe.paid(line.description or "", part, line.currency)
        result.append(replace(line, amount=line.amount - part, description=words) if part else line)
    result[-1] = replace(result[-1], amount=result[-1].amount - off)
    return tuple(result)


def _rated(gathered: Gathered) -> tuple[RatedLine, ...]:
    price = gathered.billable.price
    if gathered.used_by_dimension is not None:
        return rate_by_dimension(price=price, formula=gathered.formula, usage=gathered.used_by_dimension)
    quantity = gathered.billable.quantity
    return rate(price=price, quantity=gathered.used if quantity is None else quantity)


def unused(gathered: Gathered) -> bool:
    """A metered billable whose lines come to nothing because nothing was used."""
    lines = billed_lines(gathered) if gathered.billable.usage is not None else ()
    return bool(lines) and all(line.amount == 0 and not line.quantity for line in lines)


def _of_rated(gathered: Gathered, rated: RatedLine) -> tuple[InvoiceLine, ...]:
    price, name = gathered.billable.price, _named(gathered, rated)
    units = describe.counted(rated.quantity, name, gathered.product.unit_label)
    match rated.kind:
        case "allowance":
            return (_line(gathered, rated, amount=0, words=f"{units} (included)"),)
        case "minimum" | "maximum":
            return (_line(gathered, rated, amount=rated.amount, words=f"{name} ({rated.kind} for the period)"),)
        case "step":
            return (_line(gathered, rated, amount=rated.amount, words=_priced(price, units, rated.flat, rated)),)
        case "percentage":
            return (_line(gathered, rated, amount=rated.amount, words=units, unit=rated.unit),)
        case "units" | "packages" | "tier":
            return _units_and_flat(gathered, rated, units)


def _units_and_flat(gathered: Gathered, rated: RatedLine, units: str) -> tuple[InvoiceLine, ...]:
    price = gathered.billable.price
    if rated.flat is None:
        words = _priced(price, units, rated.unit, rated)
        return (_line(gathered, rated, amount=rated.amount, words=words, unit=rated.unit),)
    flat_words = _priced(price, _named(gathered, rated), rated.flat, rated)
    if rated.unit is None:
        flat = _line(gathered, rated, amount=rated.amount, words=flat_words)
        return (replace(flat, quantity=Decimal(0), flat=True),)
    by_unit = round_half_up(subtract(rated.exact, rated.flat))
    flat = _line(gathered, rated, amount=rated.amount - by_unit, words=flat_words)
    return (
        _line(gathered, rated, amount=by_unit, words=_priced(price, units, rated.unit, rated), unit=rated.unit),
        replace(flat, quantity=Decimal(0), flat=True),
    )


def _named(gathered: Gathered, rated: RatedLine) -> str:
    values = ", ".join(value for value in rated.match.values() if value != ANY)
    return f"{gathered.product.name} ({values})" if values else gathered.product.name


def _priced(price: Price, what: str, unit: Decimal | None, rated: RatedLine) -> str:
    return describe.recurring(
        what=what,
        unit_amount=unit,
        currency=price.currency,
        every=None if price.interval is None else describe.cadence(price.interval),
        tier=rated.tier,
        divide_by=price.model.size if isinstance(price.model, Package) else None,
    )


def _line(gathered: Gathered, rated: RatedLine, *, amount: int, words: str, unit: Decimal | None = None) -> InvoiceLine:
    billable = gathered.billable
    return InvoiceLine(
        id="",
        amount=amount,
        currency=billable.price.currency,
        description=words,
        period=billable.period,
        quantity=rated.quantity,
        price=billable.price.id,
        product=billable.price.product,
        unit_amount=unit,
        subscription=billable.subscription,
        subscription_item=billable.item,
        usage=billable.usage,
        tier=rated.tier,
        tax_rates=billable.tax_rates,
    )


def _trial(gathered: Gathered) -> InvoiceLine:
    billable = gathered.billable
    return InvoiceLine(
        id="",
        amount=0,
        currency=billable.price.currency,
        description=describe.trial(quantity=billable.quantity, name=gathered.product.name),
        period=billable.period,
        quantity=billable.quantity,
        price=billable.price.id,
        product=billable.price.product,
        unit_amount=Decimal(0),
        subscription=billable.subscription,
        subscription_item=billable.item,
        tax_rates=billable.tax_rates,
    )


def counted_again(lines: Sequence[InvoiceLine], fresh: Mapping[UsageKey, Gathered]) -> tuple[InvoiceLine, ...]:
    """The lines of a draft with the metered ones as usage stands now, each group in its old place.

    A line that is the same part of the same price keeps its id and its metadata. The discounts of the group's own, and
    whether it is discounted at all, stay as they are.
    """
    result: list[InvoiceLine] = []
    done: set[UsageKey] = set()
    for line in lines:
        key = usage_key(line)
        if key is None or key not in fresh:
            result.append(line)
        elif key not in done:
            done.add(key)
            result.extend(_kept(billed_lines(fresh[key]), [each for each in lines if usage_key(each) == key]))
    return tuple(result)


def usage_key(line: InvoiceLine) -> UsageKey | None:
    """Which metered billable a line belongs to; None for a line that counts no usage of its own time."""
    return None if line.late else window_key(line)


def window_key(line: InvoiceLine) -> UsageKey | None:
    """Which metered billable a line is about, the line of a correction too."""
    if line.usage is None or line.subscription_item is None or line.price is None:
        return None
    return (line.subscription_item, line.price, line.usage)


def _part(line: InvoiceLine) -> tuple[int | None, bool]:
    """Which part of its price a line is: a tier's units, or its flat amount."""
    return (line.tier, line.flat)


def _kept(fresh: Sequence[InvoiceLine], lines: Sequence[InvoiceLine]) -> list[InvoiceLine]:
    """The fresh lines under the ids they had. Rows of a rate table, and a minimum, are the same part: by order.

    A part that was not there before is discounted as the first line of its group.
    """
    old: dict[tuple[int | None, bool], deque[InvoiceLine]] = {}
    for line in lines:
        old.setdefault(_part(line), deque()).append(line)
    result: list[InvoiceLine] = []
    for new in fresh:
        same = old.get(_part(new))
        before = same.popleft() if same else None
        like = before or lines[0]
        alike = with_own(replace(new, discountable=like.discountable), own_of(like))
        result.append(alike if before is None else replace(alike, id=before.id, metadata=before.metadata))
    return result
