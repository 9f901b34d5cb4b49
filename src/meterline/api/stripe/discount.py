"""Discounts: how they look. They are made and taken away through what they are on."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe import coupon as coupon_object
from meterline.api.stripe.expand import expandable, fetcher
from meterline.api.stripe.json import Json, unix, unix_or_none
from meterline.api.stripe.snapshot import snapshots
from meterline.api.stripe.version import aside, before, beside
from meterline.discount import Discount
from meterline.store import discount as store

expandable("discount", "customer", kind="customer")
expandable("discount", "promotion_code", kind="promotion_code")
expandable("discount.source", "coupon", kind="coupon")


def render(discount: Discount) -> Json:
    """The discount object."""
    rendered: Json = {
        "id": discount.id,
        "object": "discount",
        "checkout_session": discount.checkout_session,
        "customer": discount.customer,
        "customer_account": None,
        "end": unix_or_none(discount.end),
        "invoice": discount.invoice,
        "invoice_item": discount.invoice_item,
        "promotion_code": discount.promotion_code,
        "source": {"coupon": discount.coupon.id, "type": "coupon"},
        "start": unix(discount.start),
        "subscription": discount.subscription,
        "subscription_item": discount.subscription_item,
    }
    return aside(rendered, coupon=coupon_object.render(discount.coupon, now=discount.start))


def render_deleted(discount: Discount) -> Json:
    """What is left of a discount that was taken away."""
    rendered = render(discount)
    del rendered["end"]
    return rendered | {"deleted": True}


snapshots(Discount, render, url=None)


@before("2025-09-30", "discount")
def with_its_coupon(discount: Json) -> None:
    """Before clover a discount held its coupon whole."""
    discount.pop("source", None)
    discount["coupon"] = beside(discount, "coupon")


@fetcher("discount", resource="coupons")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}
