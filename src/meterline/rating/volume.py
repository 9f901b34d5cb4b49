"""Volume: the tier that the whole quantity falls in prices all of it."""

from decimal import Decimal

from meterline.catalog import Volume
from meterline.money import add, multiply
from meterline.rating.line import RatedLine


def lines(model: Volume, quantity: Decimal) -> tuple[RatedLine, ...]:
    """One line: quantity × the tier's unit, plus the tier's flat amount."""
    number, tier = next(
        (number, tier)
        for number, tier in enumerate(model.tiers, start=1)
        if tier.up_to is None or quantity <= tier.up_to
    )
    exact = add(multiply(quantity, tier.unit or 0), tier.flat or Decimal(0))
    return (
        RatedLine(
            kind="tier", quantity=quantity, units=quantity, unit=tier.unit, flat=tier.flat, exact=exact,
            tier=number, up_to=tier.up_to,
        ),
    )  # fmt: skip
