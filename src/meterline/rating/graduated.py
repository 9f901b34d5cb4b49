"""Graduated: each tier prices its own slice."""

from decimal import Decimal

from meterline.catalog import Graduated
from meterline.money import add, multiply, subtract
from meterline.rating.line import RatedLine

NOTHING = Decimal(0)


def lines(model: Graduated, quantity: Decimal) -> tuple[RatedLine, ...]:
    """One line for each tier reached; the first one is always reached, even by nothing."""
    rated: list[RatedLine] = []
    below = NOTHING
    for number, tier in enumerate(model.tiers, start=1):
        if number > 1 and quantity <= below:
            break
        top = quantity if tier.up_to is None else min(quantity, Decimal(tier.up_to))
        slice_ = subtract(top, below)
        exact = NOTHING if tier.unit is None else multiply(slice_, tier.unit)
        if tier.flat is not None:
            exact = add(exact, tier.flat)
        rated.append(
            RatedLine(
                kind="tier", quantity=slice_, units=slice_, unit=tier.unit, flat=tier.flat, exact=exact,
                tier=number, up_to=tier.up_to,
            )
        )  # fmt: skip
        below = top
    return tuple(rated)
