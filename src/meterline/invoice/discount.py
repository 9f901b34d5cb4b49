"""Discounts on lines: those that a line has itself first, then those of the whole invoice, each in its order.

A line of a proration, or of usage that was taken back, was made net of its discounts; it keeps what is written on it
and is not discounted again. Lines that give money back are never discounted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from meterline.discount import Discount, taken
from meterline.invoice.line import InvoiceLine, Level, LineDiscount


def discounted(
    lines: Sequence[InvoiceLine],
    *,
    on_invoice: Sequence[Discount],
    on_lines: Mapping[str, Discount],
    currency: str,
) -> tuple[InvoiceLine, ...]:
    """The lines with what the discounts take off them, reckoned afresh, before credits and tax.

    `on_lines` has the discounts that lines name as their own, by id. One that several lines have is one discount over
    all of them.
    """
    left = [max(line.amount, 0) if line.discountable else 0 for line in lines]
    found = [[] if line.discountable else list(_kept(line)) for line in lines]
    for id in own_discounts(lines):
        having = [place for place, line in enumerate(lines) if line.discountable and id in own_of(line)]
        _take(lines, left, found, on_lines[id], having, "line", currency)
    everywhere = [place for place, line in enumerate(lines) if line.discountable and line.amount >= 0]
    for discount in on_invoice:
        covered = [place for place in everywhere if discount.terms.covers(lines[place].product)]
        _take(lines, left, found, discount, covered, "invoice", currency)
    return tuple(_having(line, tuple(new)) for line, new in zip(lines, found, strict=True))


def _having(line: InvoiceLine, discounts: tuple[LineDiscount, ...]) -> InvoiceLine:
    return line if line.discounts == discounts else replace(line, discounts=discounts)


def _take(
    lines: Sequence[InvoiceLine],
    left: list[int],
    found: list[list[LineDiscount]],
    discount: Discount,
    places: Sequence[int],
    level: Level,
    currency: str,
) -> None:
    """Take one discount off what is left of the lines at these places; a line that it is not for loses nothing."""
    places = _by_age(lines, places)
    room = [left[place] if discount.terms.covers(lines[place].product) else 0 for place in places]
    for place, amount in zip(places, taken(discount.terms, room, currency=currency), strict=True):
        left[place] -= amount
        found[place].append(LineDiscount(discount=discount.id, amount=amount, level=level))


def _by_age(lines: Sequence[InvoiceLine], places: Sequence[int]) -> list[int]:
    """The places, with those of a subscription's items in the order of the items: an invoice lists the newest first.

    What rounding leaves of a discount is so taken off the newest item. The lines of one item stay in their order.
    """
    items: dict[str, list[int]] = {}
    for place in places:
        if (item := _item(lines[place])) is not None:
            items.setdefault(item, []).append(place)
    turned = iter([place for own in reversed(items.values()) for place in own])
    return [place if _item(lines[place]) is None else next(turned) for place in places]


def _item(line: InvoiceLine) -> str | None:
    """The subscription item that a line bills by itself, not by way of an invoice item."""
    return line.subscription_item if line.invoice_item is None else None


def _kept(line: InvoiceLine) -> tuple[LineDiscount, ...]:
    """What stays written on a line that is not discounted."""
    return line.discounts if line.proration or line.late else named(own_of(line))


def own_discounts(lines: Iterable[InvoiceLine]) -> tuple[str, ...]:
    """The ids of the discounts that lines have as their own and that are reckoned, in order of first appearance."""
    return tuple(dict.fromkeys(id for line in lines if line.discountable for id in own_of(line)))


def own_of(line: InvoiceLine) -> tuple[str, ...]:
    """The ids of the discounts that the line has as its own."""
    return tuple(each.discount for each in line.discounts if each.level == "line")


def with_own(line: InvoiceLine, ids: Iterable[str]) -> InvoiceLine:
    """The line with these discounts as its own, taking nothing off yet."""
    return _having(line, named(ids))


def named(ids: Iterable[str]) -> tuple[LineDiscount, ...]:
    """Discounts of a line by their ids, taking nothing off (yet)."""
    return tuple(LineDiscount(discount=id, amount=0, level="line") for id in ids)


def uses_up_once(lines: Iterable[InvoiceLine]) -> bool:
    """Whether an invoice of these lines has anything that a discount for one invoice is used up by.

    Usage counts even where there was none yet; a free trial does not.
    """
    return any(line.amount > 0 or (line.usage is not None and line.usage.start < line.usage.end) for line in lines)
