"""Coupons and discounts for tests: what matters is said, the rest is filled in."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from meterline.discount import Coupon, Discount, Terms

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def coupon(**said: object) -> Coupon:
    """A coupon of ten percent, once, unless something else is said."""
    plain: dict[str, object] = {
        "environment": "test",
        "id": "WELCOME",
        "created": START,
        "duration": "once",
        "percent_off": Decimal(10),
    }
    return Coupon(**(plain | said))  # type: ignore[arg-type]


def off(amount: int, *products: str, currency: str = "usd") -> Terms:
    """An amount off, on those products only where some are said."""
    return Terms(amounts_off={currency: amount}, products=products or None)


def percent(part: str, *products: str) -> Terms:
    """A percentage off."""
    return Terms(percent_off=Decimal(part), products=products or None)


def discount(id: str, terms: Terms) -> Discount:
    """A discount of these terms, for good."""
    return Discount(
        environment="test",
        customer_id=UUID(int=1),
        id=id,
        customer="cus_1",
        coupon=_coupon_of(terms),
        start=START,
    )


def _coupon_of(terms: Terms) -> Coupon:
    [(currency, amount)] = terms.amounts_off.items() or [(None, None)]
    return coupon(
        duration="forever",
        percent_off=terms.percent_off,
        amount_off=amount,
        currency=currency,
        products=terms.products,
    )
