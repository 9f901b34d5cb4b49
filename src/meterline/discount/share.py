"""What a discount takes off amounts, and how it is split over them."""

from collections.abc import Sequence
from fractions import Fraction

from meterline.discount.coupon import Terms
from meterline.money import round_half_up, split_discount

_HUNDRED = 100
_NOTHING = Fraction(0)


def taken(terms: Terms, amounts: Sequence[int], *, currency: str) -> tuple[int, ...]:
    """What the discount takes off each of these amounts (minor units, not negative), the last ones of their kind.

    A percentage of their sum is rounded once; either way the shares are rounded down and the last one takes the rest.
    """
    whole = sum(amounts)
    if terms.percent_off is not None:
        off = round_half_up(Fraction(terms.percent_off) * whole / _HUNDRED)
    else:
        off = terms.amounts_off.get(currency, 0)
    return split_discount(off, amounts)


def exact_shares(
    discounts: Sequence[Terms], amounts: Sequence[Fraction], products: Sequence[str | None], *, currency: str
) -> tuple[tuple[Fraction, ...], ...]:
    """What each discount, in its turn, takes off exact amounts (not negative): for prices that are not rounded yet."""
    left = list(amounts)
    found: list[tuple[Fraction, ...]] = []
    for terms in discounts:
        places = [place for place, product in enumerate(products) if terms.covers(product)]
        whole = sum((left[place] for place in places), Fraction(0))
        if terms.percent_off is not None:
            off = Fraction(terms.percent_off) * whole / _HUNDRED
        else:
            off = min(Fraction(terms.amounts_off.get(currency, 0)), whole)
        shares = [off * left[place] / whole if whole and place in places else _NOTHING for place in range(len(left))]
        left = [rest - share for rest, share in zip(left, shares, strict=True)]
        found.append(tuple(shares))
    return tuple(found)
