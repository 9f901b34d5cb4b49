"""What is done around a price model: the allowance before it, the minimum and the maximum after it."""

from decimal import Decimal

from meterline.catalog import Adjustment
from meterline.money import round_half_up, subtract
from meterline.rating.line import RatedLine, billed_total, exact_total


def free_part(adjustment: Adjustment, quantity: Decimal) -> Decimal:
    """How much of the quantity the allowance covers."""
    return min(adjustment.allowance, quantity)


def allowance_line(free: Decimal) -> RatedLine:
    """The line that says what was free."""
    return RatedLine(kind="allowance", quantity=free, units=free, unit=Decimal(0), flat=None, exact=Decimal(0))


def bounded(adjustment: Adjustment, lines: tuple[RatedLine, ...]) -> tuple[RatedLine, ...]:
    """The lines, and one more where their sum lies outside the minimum and the maximum.

    Both sums come to the bound: the exact one, and the one of the rounded amounts.
    """
    low, high = adjustment.minimum, adjustment.maximum
    if low is None and high is None:
        return lines
    exact, billed = exact_total(lines), billed_total(lines)
    exact_bound, billed_bound = exact, billed
    if low is not None:
        exact_bound, billed_bound = max(exact_bound, low), max(billed_bound, round_half_up(low))
    if high is not None:
        exact_bound, billed_bound = min(exact_bound, high), min(billed_bound, round_half_up(high))
    if (exact_bound, billed_bound) == (exact, billed):
        return lines
    missing = subtract(exact_bound, exact)
    raised = missing > 0 or (missing == 0 and billed_bound > billed)
    last = RatedLine(
        kind="minimum" if raised else "maximum",
        quantity=Decimal(0),
        units=Decimal(0),
        unit=None,
        flat=missing,
        exact=missing,
        settles=billed_bound - billed,
    )
    return (*lines, last)
