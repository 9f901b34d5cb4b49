"""Tell what happened to coupons, promotion codes and discounts."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.discount import Coupon, CouponNotice, Discount, PromotionCode, PromotionCodeNotice
from meterline.store import notice


async def tell_coupon(
    tx: AsyncConnection, type: str, subject: Coupon, *, previous: Coupon | None = None, now: datetime
) -> None:
    """Announce what became of a coupon."""
    await notice.add(
        tx,
        environment=subject.environment,
        customer_id=None,
        type=type,
        subject=CouponNotice(coupon=subject, at=now),
        previous=None if previous is None else CouponNotice(coupon=previous, at=now),
        now=now,
    )


async def tell_code(
    tx: AsyncConnection,
    type: str,
    subject: PromotionCode,
    coupon: Coupon,
    *,
    previous: PromotionCode | None = None,
    now: datetime,
) -> None:
    """Announce what became of a promotion code; `coupon` is its coupon as it is now."""
    await notice.add(
        tx,
        environment=subject.environment,
        customer_id=None,
        type=type,
        subject=PromotionCodeNotice(promotion_code=subject, coupon=coupon, at=now),
        previous=None if previous is None else PromotionCodeNotice(promotion_code=previous, coupon=coupon, at=now),
        now=now,
    )


async def tell_discount(
    tx: AsyncConnection, type: str, subject: Discount, *, previous: Discount | None = None, now: datetime
) -> None:
    """Announce a discount of a customer, a subscription or an item; those of one bill are told with it."""
    if subject.kept_on in ("customer", "subscription", "subscription_item"):
        await notice.add(
            tx,
            environment=subject.environment,
            customer_id=subject.customer_id,
            type=type,
            subject=subject,
            previous=previous,
            now=now,
        )
