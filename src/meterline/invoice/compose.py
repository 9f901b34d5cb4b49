"""From what is billable to lines and pending items. Preview, draft and finalization all come through here.

A rated line of a tier becomes up to two lines, as Stripe writes them: the units of the tier, and its flat amount
with quantity 0. Together they are the rounded amount of the rated line, so nothing is rounded twice.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from meterline.catalog import ANY, Package, Price, Product
from meterline.invoice import describe
from meterline.invoice.item import InvoiceItem, line_of
from meterline.invoice.line import CreditedLines, InvoiceLine
from meterline.meter import Formula
from meterline.money import round_half_up, subtract
from meterline.period import Period
from meterline.rating import DimensionValues, RatedLine, exact_total, prorate, rate, rate_by_dimension, share
from meterline.subscription.billable import Billable

UsageKey: TypeAlias = tuple[str, str, Period]
"""A metered billable: subscription item, price, window of usage."""

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """A billable with what is needed to write it down.

    `used` is what the window of a metered billable holds, `used_by_dimension` the same where its price is a rate
    table, counted by `formula`; `paid` is what the wallet paid of it as it happened, in exact minor units. `credited`
    are the lines that debited what a credit gives back and `credited_net` is their sum after discounts, in minor
    units.
    """

    billable: Billable
    product: Product
    used: Decimal = Decimal(0)
    used_by_dimension: Mapping[DimensionValues, Decimal] | None = None
    formula: Formula = "sum"
    paid: Decimal = Decimal(0)
    credited: CreditedLines | None = None
    credited_net: int | None = None


def invoice_lines(*, pending: Sequence[InvoiceItem], gathered: Sequence[Gathered]) -> tuple[InvoiceLine, ...]:
    """The lines of a new invoice: pending items, newest first as given, then the subscription's billables."""
    swept = [line_of(item) for item in pending]
    return (*swept, *(line for one in gathered for line in billed_lines(one)))


def billed_lines(gathered: Gathered) -> tuple[InvoiceLine, ...]:
    """The lines of one billable."""
    billable = gathered.billable
    if billable.trial:
        return (_trial(gathered),)
    if billable.proration is not None:
        return (_proration(gathered),)
    rated = _rated(gathered)
    lines = tuple(line for each in rated for line in _of_rated(gathered, each))
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
    )


def _proration(gathered: Gathered) -> InvoiceLine:
    billable = gathered.billable
    proration = billable.proration
    assert proration is not None and billable.quantity is not None
    return InvoiceLine(
        id="",
        amount=_prorated(gathered),
        currency=billable.price.currency,
        description=describe.proration(
            direction=proration.direction,
            quantity=billable.quantity,
            name=gathered.product.name,
            since=billable.period.start,
        ),
        period=billable.period,
        quantity=billable.quantity,
        discountable=False,
        price=billable.price.id,
        product=billable.price.product,
        subscription=billable.subscription,
        subscription_item=billable.item,
        proration=True,
        credited=gathered.credited,
    )


def _prorated(gathered: Gathered) -> int:
    """The amount of a proration: a share of the price, or of what was really debited for it."""
    billable = gathered.billable
    proration = billable.proration
    assert proration is not None and billable.quantity is not None
    if proration.credited is not None and gathered.credited_net is not None:
        part = Fraction(billable.period.duration // _TICK, proration.credited.duration // _TICK)
        return share(gathered.credited_net, fraction=part, direction="credit")
    return prorate(
        price=billable.price,
        quantity=billable.quantity,
        fraction=proration.fraction,
        direction=proration.direction,
    )


def counted_again(lines: Sequence[InvoiceLine], fresh: Mapping[UsageKey, Gathered]) -> tuple[InvoiceLine, ...]:
    """The lines of a draft with the metered ones as usage stands now, each group in its old place.

    A line that is the same part of the same price keeps its id and its metadata.
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
    """The fresh lines under the ids they had. Rows of a rate table, and a minimum, are the same part: by order."""
    old: dict[tuple[int | None, bool], deque[InvoiceLine]] = {}
    for line in lines:
        old.setdefault(_part(line), deque()).append(line)
    result: list[InvoiceLine] = []
    for new in fresh:
        same = old.get(_part(new))
        before = same.popleft() if same else None
        result.append(new if before is None else replace(new, id=before.id, metadata=before.metadata))
    return result
