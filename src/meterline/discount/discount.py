"""Discounts: coupons that were redeemed, where they are, and how long they last."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from meterline.discount.coupon import Coupon, Terms
from meterline.period import Cycle, Interval

Place = Literal["customer", "subscription", "subscription_item", "invoice", "invoice_item", "checkout_session"]
"""What a discount can be on."""

MOST = 20
"""Discounts on one object, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """A redeemed coupon (`di_…`). `coupon` is it as it was then: the discount keeps those terms.

    `customer` is the public id of `customer_id`, null for a checkout of nobody known. Of `subscription` …
    `checkout_session` those are set that it is on; none, when it is on the customer. `start` is when it was redeemed,
    `end` when it stops being in force, null for `once` and `forever`.
    """

    environment: str
    customer_id: UUID
    id: str
    customer: str | None
    coupon: Coupon
    start: datetime
    end: datetime | None = None
    promotion_code: str | None = None
    subscription: str | None = None
    subscription_item: str | None = None
    invoice: str | None = None
    invoice_item: str | None = None
    checkout_session: str | None = None

    @property
    def kept_on(self) -> Place:
        """What kind of object has it."""
        for kind in _NAMED:
            if getattr(self, kind) is not None:
                return kind
        return "customer"

    @property
    def terms(self) -> Terms:
        """What it takes off."""
        return self.coupon.terms

    @property
    def once(self) -> bool:
        """Whether one invoice uses it up."""
        return self.coupon.duration == "once"

    def in_force(self, at: datetime) -> bool:
        """Whether an invoice that is made at that instant is discounted."""
        return self.end is None or at < self.end


_NAMED: tuple[Place, ...] = ("checkout_session", "invoice_item", "invoice", "subscription_item", "subscription")


def end_of(coupon: Coupon, *, start: datetime) -> datetime | None:
    """When a discount that begins then stops: whole months later, by the calendar; null for no end."""
    if coupon.duration_in_months is None:
        return None
    return Cycle(anchor=start, interval=Interval(unit="month", count=coupon.duration_in_months)).boundary(1)
