"""Proration: a share of what a licensed quantity costs, rounded as prorations are."""

from decimal import Decimal
from fractions import Fraction
from typing import Literal

from meterline.catalog import Price
from meterline.money import round_proration
from meterline.rating.line import exact_total
from meterline.rating.rate import rate

Direction = Literal["credit", "debit"]


def prorate(*, price: Price, quantity: Decimal, fraction: Fraction, direction: Direction) -> int:
    """A share of quantity × price in minor units; a credit is negative. Exact until this one rounding."""
    return share(exact_total(rate(price=price, quantity=quantity)), fraction=fraction, direction=direction)


def share(amount: Decimal | int, *, fraction: Fraction, direction: Direction) -> int:
    """A share of an amount in minor units; a credit is negative.

    For a credit on what was really billed, `amount` is that line's net amount (after its discounts).
    """
    assert fraction >= 0, "the direction says which way, the fraction how much"
    exact = Fraction(amount) * fraction
    return round_proration(exact if direction == "debit" else -exact)
