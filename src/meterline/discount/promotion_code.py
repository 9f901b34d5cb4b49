"""Promotion codes: words that redeem a coupon, and who may use them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from meterline.discount.coupon import Coupon
from meterline.refusal import Refusal

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
"""What a generated code is made of."""
LENGTH = 8

_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")
_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Restrictions:
    """What has to be true of a purchase. `minimum_amounts` is by currency, in minor units; one of them is enough.

    `minimum_currency` names the one that was given first.
    """

    first_time_transaction: bool = False
    minimum_amounts: Mapping[str, int] = field(default_factory=dict)
    minimum_currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionCode:
    """A code for a coupon, for one customer (a public id) or for anybody.

    `active` is the merchant's own switch; `usable` says whether the code works.
    """

    environment: str
    id: str
    code: str
    coupon: str
    created: datetime
    active: bool = True
    customer: str | None = None
    expires_at: datetime | None = None
    max_redemptions: int | None = None
    times_redeemed: int = 0
    restrictions: Restrictions = Restrictions()
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def used_up(self) -> bool:
        """Whether it was redeemed as often as it may be."""
        return self.max_redemptions is not None and self.times_redeemed >= self.max_redemptions

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now

    def usable(self, coupon: Coupon, *, now: datetime) -> bool:
        """Whether the code works: it is switched on, neither expired nor used up, and its coupon is valid."""
        return self.active and not self.used_up and not self.expired(now) and coupon.valid(now)


def check_code(code: str) -> None:
    """Refuses what nobody could type the same way twice."""
    if not code or len(code) > _LONGEST or not _ALLOWED.issuperset(code):
        raise Refusal(
            "Invalid promotion code: it can only contain letters (a-z, A-Z), digits (0-9) and dashes (-).", param="code"
        )


def check_terms(new: PromotionCode, coupon: Coupon, *, now: datetime) -> None:
    """Refuses a code that promises more than its coupon, or could never be redeemed."""
    check_code(new.code)
    if not coupon.valid(now):
        raise Refusal(
            f"The coupon {coupon.id} is no longer valid, so it cannot have a promotion code.", param="promotion[coupon]"
        )
    if new.expires_at is not None and new.expires_at <= now:
        raise Refusal("`expires_at` must be in the future.", param="expires_at")
    if coupon.redeem_by is not None and new.expires_at is not None and new.expires_at > coupon.redeem_by:
        raise Refusal("`expires_at` cannot be after the coupon's `redeem_by`.", param="expires_at")
    most = coupon.max_redemptions
    if most is not None and new.max_redemptions is not None and new.max_redemptions > most:
        raise Refusal(
            "`max_redemptions` cannot be greater than the coupon's `max_redemptions`.", param="max_redemptions"
        )


def require_redeemable(
    found: PromotionCode,
    *,
    customer: str | None,
    first_time: bool,
    amount: int | None,
    currency: str | None,
    now: datetime,
    param: str,
) -> None:
    """Refuses a code that does not work for this purchase; its coupon is judged apart.

    `first_time` says that the customer never paid before. `amount` (minor units of `currency`) is what the bill
    comes to before it; null where that is not known and may change.
    """
    if not found.active:
        raise _refused("it is not active", param)
    if found.expired(now):
        raise _refused("it has expired", param)
    if found.used_up:
        raise used_up(param)
    if found.customer is not None and found.customer != customer:
        raise _refused("it is for another customer", param)
    if found.restrictions.first_time_transaction and not first_time:
        raise _refused("the associated customer has prior transactions", param)
    _require_amount(found, amount, currency, param)


def _require_amount(found: PromotionCode, amount: int | None, currency: str | None, param: str) -> None:
    least = found.restrictions.minimum_amounts
    if not least:
        return
    if amount is None:
        raise Refusal(
            "This promotion code cannot be redeemed on a subscription update because it uses the `minimum_amount`"
            " restriction and the amount may change.",
            param=param,
        )
    if currency is None or currency not in least:
        raise _refused(f"its minimum amount is not defined in {currency}", param)
    if amount < least[currency]:
        raise _refused("the amount is below the minimum that it requires", param)


def used_up(param: str) -> Refusal:
    """The code was redeemed as often as it may be."""
    return _refused("it has been used the maximum number of times", param)


def _refused(why: str, param: str) -> Refusal:
    return Refusal(f"This promotion code cannot be redeemed because {why}.", param=param)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionCodeNotice:
    """What is told of a promotion code: itself, and its coupon and the instant, which say whether it works."""

    promotion_code: PromotionCode
    coupon: Coupon
    at: datetime

    @property
    def id(self) -> str:
        """The code's id."""
        return self.promotion_code.id
