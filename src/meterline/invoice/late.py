"""What a window of usage costs now against what it was billed: the one line that makes up the difference.

An invoice counts the usage of a window for good when it is finalized. Usage of that window which comes later, or
is taken back later, is rated together with all the rest of the window, so that tiers, packages and minimums go on
where they stood; the line is what that comes to, less everything billed for the window so far. So the difference is
billed once, however often it is looked for.

What is added is discounted as anything else on the invoice that it is added to. What is taken back takes its discounts
with it: the credit is net of the share of every discount that the window was billed with.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from meterline.invoice import describe
from meterline.invoice.compose import UsageKey, billed_lines, window_key
from meterline.invoice.discount import own_of, with_own
from meterline.invoice.gathered import Gathered
from meterline.invoice.line import InvoiceLine, Level, LineDiscount
from meterline.invoice.model import Status
from meterline.money import add, subtract


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledLine:
    """A line that bills usage, and the invoice it is on. `counted_at` (wall clock) is null while that is a draft."""

    invoice: str
    status: Status
    counted_at: datetime | None
    line: InvoiceLine


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledWindow:
    """What was billed for a window: on its own invoice, counted at that instant, and in corrections since."""

    invoice: str
    counted_at: datetime
    lines: tuple[InvoiceLine, ...]
    corrections: tuple[BilledLine, ...] = ()

    @property
    def amount(self) -> int:
        """Everything billed for the window, in minor units."""
        return sum(line.amount for line in self._all)

    @property
    def quantity(self) -> Decimal:
        """The usage that was billed for the window."""
        return _quantity(self._all)

    @property
    def discounts(self) -> tuple[LineDiscount, ...]:
        """What discounts took off what was billed for the window."""
        return tuple(each for line in self._all for each in line.discounts)

    @property
    def _all(self) -> tuple[InvoiceLine, ...]:
        return (*self.lines, *(each.line for each in self.corrections))


def billed_windows(billed: Iterable[BilledLine]) -> dict[UsageKey, BilledWindow]:
    """The windows that were billed for good, from all lines about their usage, oldest first.

    What a void invoice billed is given up, and corrections that it held are not asked for again; a window whose own
    invoice is void, or still a draft, is not here. Corrections on drafts count, each on the one draft that has it.
    """
    windows: dict[UsageKey, BilledWindow] = {}
    corrections: dict[UsageKey, tuple[BilledLine, ...]] = {}
    for each in billed:
        key = window_key(each.line)
        if key is None:
            continue
        if each.line.late:
            corrections[key] = (*corrections.get(key, ()), each)
            continue
        if each.counted_at is None or each.status in ("draft", "void"):
            continue
        lines = windows[key].lines if key in windows else ()
        windows[key] = BilledWindow(invoice=each.invoice, counted_at=each.counted_at, lines=(*lines, each.line))
    return {key: replace(window, corrections=corrections.get(key, ())) for key, window in windows.items()}


def correction(gathered: Gathered, billed: BilledWindow) -> InvoiceLine | None:
    """The line that brings what was billed for a window to what it costs now; None where that is the same."""
    now = billed_lines(gathered)
    amount = sum(line.amount for line in now) - billed.amount
    quantity = subtract(_quantity(now), billed.quantity)
    if amount == 0 and quantity == 0:
        return None
    billable = gathered.billable
    assert billable.usage is not None, "only metered usage is late"
    more = amount > 0 if quantity == 0 else quantity > 0
    given_back = amount < 0
    return InvoiceLine(
        id="",
        amount=amount,
        currency=billable.price.currency,
        description=describe.late(name=gathered.product.name, period=billable.period, more=more),
        period=billable.period,
        quantity=quantity,
        discountable=not given_back,
        discounts=_taken_back(billed, amount) if given_back else (),
        price=billable.price.id,
        product=billable.price.product,
        subscription=billable.subscription,
        subscription_item=billable.item,
        usage=billable.usage,
        late=True,
        tax_rates=billable.tax_rates,
    )


def _taken_back(billed: BilledWindow, amount: int) -> tuple[LineDiscount, ...]:
    """What of each discount of the window goes back with a (negative) amount of it: what is left is its share."""
    found: dict[tuple[str, Level], int] = {}
    for each in billed.discounts:
        key = (each.discount, each.level)
        found[key] = found.get(key, 0) + each.amount
    whole, left = billed.amount, billed.amount + amount
    return tuple(
        LineDiscount(discount=id, amount=off * max(left, 0) // whole - off, level=level)
        for (id, level), off in found.items()
        if whole > 0
    )


def with_corrections(lines: Sequence[InvoiceLine], fresh: Iterable[InvoiceLine]) -> tuple[InvoiceLine, ...]:
    """The lines of a draft with these corrections in the place of those it has.

    New ones go to the end. A correction of the same window keeps its id and its metadata. What is added has the own
    discounts of the lines that bill its item otherwise.
    """
    own = {line.subscription_item: own_of(line) for line in lines if not line.late and line.usage is not None}
    wanted = {
        window_key(line): with_own(line, own.get(line.subscription_item, ())) if line.discountable else line
        for line in fresh
    }
    kept: list[InvoiceLine] = []
    for line in lines:
        if not line.late:
            kept.append(line)
            continue
        again = wanted.pop(window_key(line), None)
        if again is not None:
            kept.append(replace(again, id=line.id, metadata=line.metadata))
    return (*kept, *wanted.values())


def _quantity(lines: Iterable[InvoiceLine]) -> Decimal:
    return add(*(line.quantity for line in lines if line.quantity is not None))
