"""What lowers a bill: coupons, promotion codes, and the discounts that redeeming them makes. See README.md."""

from meterline.discount.coupon import Coupon, CouponNotice, Duration, Terms
from meterline.discount.discount import Discount, Place
from meterline.discount.promotion_code import PromotionCode, PromotionCodeNotice, Restrictions
from meterline.discount.share import exact_shares, taken

__all__ = [
    "Coupon",
    "CouponNotice",
    "Discount",
    "Duration",
    "Place",
    "PromotionCode",
    "PromotionCodeNotice",
    "Restrictions",
    "Terms",
    "exact_shares",
    "taken",
]
