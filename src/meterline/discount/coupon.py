"""Coupons: what may be taken off, for how long, and how often that may be promised."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from meterline.refusal import Refusal

Duration = Literal["once", "repeating", "forever"]

LONGEST_OFFER = timedelta(days=5 * 365 + 2)
"""How far ahead a coupon's last day can lie."""

_ALL = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a coupon takes off: `percent_off`, or an amount by currency (minor units), never both.

    `products` limits it to lines of those; null is any line.
    """

    percent_off: Decimal | None = None
    amounts_off: Mapping[str, int] = field(default_factory=dict)
    products: tuple[str, ...] | None = None
    name: str | None = None

    def in_currency(self, currency: str) -> bool:
        """Whether it takes anything off a bill in that currency."""
        return self.percent_off is not None or currency in self.amounts_off

    def covers(self, product: str | None) -> bool:
        """Whether it is for what a line of that product bills."""
        return self.products is None or product in self.products


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupon:
    """What can be redeemed. `amount_off` is in `currency`, `currency_options` has it in others."""

    environment: str
    id: str
    created: datetime
    duration: Duration
    duration_in_months: int | None = None
    percent_off: Decimal | None = None
    amount_off: int | None = None
    currency: str | None = None
    currency_options: Mapping[str, int] = field(default_factory=dict)
    products: tuple[str, ...] | None = None
    max_redemptions: int | None = None
    redeem_by: datetime | None = None
    times_redeemed: int = 0
    name: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    deleted: bool = False

    @property
    def terms(self) -> Terms:
        """What a discount made of it now takes off."""
        amounts = dict(self.currency_options)
        if self.amount_off is not None and self.currency is not None:
            amounts[self.currency] = self.amount_off
        return Terms(percent_off=self.percent_off, amounts_off=amounts, products=self.products, name=self.name)

    @property
    def used_up(self) -> bool:
        """Whether it was redeemed as often as it may be."""
        return self.max_redemptions is not None and self.times_redeemed >= self.max_redemptions

    def valid(self, now: datetime) -> bool:
        """Whether it can still be redeemed."""
        return not self.deleted and not self.used_up and (self.redeem_by is None or now <= self.redeem_by)


def check_terms(coupon: Coupon, *, now: datetime) -> None:
    """Refuses a coupon that takes nothing off, or two things, or could never be redeemed."""
    if (coupon.percent_off is None) == (coupon.amount_off is None):
        raise Refusal(
            "Must provide a percent or amount off."
            if coupon.percent_off is None
            else "You may only specify one of these parameters: amount_off, percent_off.",
            param=None if coupon.percent_off is None else "amount_off",
        )
    if coupon.percent_off is not None and not 0 < coupon.percent_off <= _ALL:
        raise Refusal("Invalid percent_off: must be greater than 0 and at most 100.", param="percent_off")
    if coupon.amount_off is not None and coupon.currency is None:
        raise Refusal("You must pass `currency` when passing `amount_off`.", code="parameter_missing", param="currency")
    check_options(coupon)
    if (coupon.duration == "repeating") != (coupon.duration_in_months is not None):
        raise Refusal(
            "`duration_in_months` must be given for coupons with `duration=repeating`, and only for those.",
            param="duration_in_months",
        )
    if coupon.redeem_by is not None and not now < coupon.redeem_by <= now + LONGEST_OFFER:
        raise Refusal("`redeem_by` must be in the future and at most five years ahead.", param="redeem_by")


def check_options(coupon: Coupon) -> None:
    """Refuses amounts in further currencies where there is none, and a second one in the coupon's own."""
    if coupon.currency_options and coupon.amount_off is None:
        raise Refusal("`currency_options` can only be given with `amount_off`.", param="currency_options")
    if coupon.currency in coupon.currency_options:
        raise Refusal(
            f"`currency_options` cannot hold the coupon's own currency: {coupon.currency}.",
            param=f"currency_options[{coupon.currency}]",
        )


def require_redeemable(coupon: Coupon, *, currency: str | None, now: datetime, param: str) -> None:
    """Refuses a coupon that has run out, and one that is worth nothing in the currency of the bill."""
    if not coupon.valid(now):
        raise Refusal(f"Coupon {coupon.id} is expired and cannot be applied.", code="coupon_expired", param=param)
    if currency is not None and not coupon.terms.in_currency(currency):
        raise Refusal(
            f"The coupon {coupon.id} takes off an amount in {coupon.currency}, and can't be applied to a bill in"
            f" {currency}.",
            param=param,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CouponNotice:
    """What is told of a coupon: itself, and the instant that says whether it is still valid."""

    coupon: Coupon
    at: datetime

    @property
    def id(self) -> str:
        """The coupon's id."""
        return self.coupon.id
