"""Bought value that left a wallet because its money goes back: remembered, so that it can return."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from meterline.money import multiply, round_debit, round_half_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """`amount` was left of the grant and is gone, `debt` had been spent and is owed now; both in `asset`.

    Together they stand for `money`, in minor units.
    """

    asset: str
    grant: str
    amount: Decimal
    debt: Decimal
    money: int

    @property
    def value(self) -> Decimal:
        """All that the money stood for."""
        return self.amount + self.debt


def value_of(money: int, *, before: int, price: int, amount: Decimal) -> Decimal:
    """What `money` of a top-up's `price` bought of its `amount`, when `before` of the price has gone back already.

    Parts that go back one by one come to no more and no less than the whole at once. Money is in minor units.
    """
    assert 0 <= before <= before + money <= price, "no more goes back than was paid"

    def up_to(part: int) -> Decimal:
        return round_debit(multiply(amount, part) / price)

    return up_to(before + money) - up_to(before)


def money_for(value: Decimal, *, price: int, amount: Decimal) -> int:
    """The money (minor units) that goes back for `value` of what `price` bought `amount` of: no more than it cost."""
    return round_half_up(Fraction(value) * price / Fraction(amount))
