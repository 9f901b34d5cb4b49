"""Discounts as calls ask for them: by a coupon, a promotion code, or a discount that is there already."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from meterline.api.stripe.params import Hash, List, Text
from meterline.discount.discount import MOST
from meterline.usecase.redeem_coupon import AskedDiscount


class DiscountParams(Hash):
    """One discount, by one of its three names."""

    coupon: Text | None = None
    discount: Text | None = None
    promotion_code: Text | None = None


Discounts = Annotated[List[DiscountParams], Field(max_length=MOST)]
"""Discounts in their order; an empty string instead of the list takes those away that are there."""


def asked_discounts(said: Sequence[DiscountParams], *, at: str = "discounts") -> tuple[AskedDiscount, ...]:
    """The discounts asked for; `at` is the parameter that they were said in."""
    return tuple(
        AskedDiscount(
            param=f"{at}[{place}]",
            coupon=each.coupon,
            promotion_code=each.promotion_code,
            discount=each.discount,
        )
        for place, each in enumerate(said)
    )
