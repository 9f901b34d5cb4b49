"""`/v1/coupons`."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import fetcher, includable
from meterline.api.stripe.json import Json, unix, unix_or_none
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import (
    Currency,
    DecimalText,
    Hash,
    Instant,
    InstantFilter,
    Int,
    List,
    ListParams,
    Metadata,
    Params,
    RetrieveParams,
    Text,
    Unset,
    merge_metadata,
)
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.discount import Coupon, CouponNotice, Duration
from meterline.discount.promotion_code import LENGTH, LETTERS
from meterline.money import decimal_text
from meterline.refusal import Missing
from meterline.store import coupon as store
from meterline.store import row
from meterline.usecase.offer_coupon import change_coupon, create_coupon, delete_coupon

routes = Routes("coupons")

Positive = Annotated[Int, Field(ge=1)]
Amount = Annotated[Int, Field(ge=1, le=99_999_999)]
Name = Annotated[Text, Field(max_length=40)]
CouponId = Annotated[Text, Field(max_length=200, pattern=r"^[^/\s]+$")]


class AppliesTo(Hash):
    products: Annotated[List[Text], Field(max_length=100)] = []


class Option(Hash):
    amount_off: Amount


class CouponCreate(Params):
    amount_off: Amount | None = None
    applies_to: AppliesTo | None = None
    currency: Currency | None = None
    currency_options: dict[Currency, Option] = {}
    duration: Duration = "once"
    duration_in_months: Annotated[Int, Field(ge=1, le=1200)] | None = None
    id: CouponId | None = None
    max_redemptions: Positive | None = None
    metadata: Metadata = {}
    name: Name | None = None
    percent_off: DecimalText | None = None
    redeem_by: Instant | None = None


class CouponUpdate(Params):
    currency_options: dict[Currency, Option] = {}
    metadata: Metadata = {}
    name: Unset[Name] = None


class CouponList(ListParams):
    created: InstantFilter | None = None


def render(coupon: Coupon, *, now: datetime) -> Json:
    """The coupon object; `applies_to` and `currency_options` are there for who expands them."""
    rendered: Json = {
        "id": coupon.id,
        "object": "coupon",
        "amount_off": coupon.amount_off,
        "created": unix(coupon.created),
        "currency": coupon.currency,
        "duration": coupon.duration,
        "duration_in_months": coupon.duration_in_months,
        "livemode": coupon.environment == "live",
        "max_redemptions": coupon.max_redemptions,
        "metadata": dict(coupon.metadata),
        "name": coupon.name,
        "percent_off": coupon.percent_off,
        "redeem_by": unix_or_none(coupon.redeem_by),
        "times_redeemed": coupon.times_redeemed,
        "valid": coupon.valid(now),
    }
    hidden: Json = {}
    if coupon.products is not None:
        hidden["applies_to"] = {"products": list(coupon.products)}
    if coupon.amount_off is not None:
        amounts = coupon.terms.amounts_off
        hidden["currency_options"] = {each: {"amount_off": amounts[each]} for each in sorted(amounts)}
    return includable(rendered, **hidden)


snapshots(CouponNotice, lambda told: render(told.coupon, now=told.at), url="/v1/coupons/{id}")


@fetcher("coupon")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    now = datetime.now(UTC)
    return {id: render(found, now=now) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.post("/v1/coupons", CouponCreate)
async def create(call: Call[CouponCreate]) -> Json:
    """Create a coupon."""
    asked = call.params
    new = Coupon(
        environment=call.environment,
        id=asked.id or "".join(secrets.choice(LETTERS) for _ in range(LENGTH)),
        created=call.now,
        duration=asked.duration,
        duration_in_months=asked.duration_in_months,
        percent_off=None if asked.percent_off is None else Decimal(decimal_text(asked.percent_off)),
        amount_off=asked.amount_off,
        currency=asked.currency,
        currency_options=_options(asked.currency_options),
        products=tuple(asked.applies_to.products) or None if asked.applies_to is not None else None,
        max_redemptions=asked.max_redemptions,
        redeem_by=asked.redeem_by,
        name=asked.name,
        metadata=merge_metadata({}, asked.metadata),
    )
    return render(await create_coupon(call.tx, new=new, now=call.now), now=call.now)


def _options(asked: dict[str, Option]) -> dict[str, int]:
    return {currency: option.amount_off for currency, option in asked.items()}


@routes.get("/v1/coupons/{coupon}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one coupon."""
    id = call.path["coupon"]
    found = (await store.find(call.tx, call.environment, [id])).get(id)
    if found is None or found.deleted:
        raise Missing(store.KIND, id, param="coupon", subject=True)
    return render(found, now=call.now)


@routes.post("/v1/coupons/{coupon}", CouponUpdate)
async def change(call: Call[CouponUpdate]) -> Json:
    """Change a coupon's name, metadata, or its amounts in other currencies."""
    asked = call.params
    changed = await change_coupon(
        call.tx,
        environment=call.environment,
        id=call.path["coupon"],
        options=_options(asked.currency_options),
        name=(asked.name,) if asked.sent("name") else (),
        metadata=lambda before: merge_metadata(before, asked.metadata),
        now=call.now,
    )
    return render(changed, now=call.now)


@routes.delete("/v1/coupons/{coupon}", Params)
async def delete(call: Call[Params]) -> Json:
    """Delete a coupon. Whoever has redeemed it keeps the discount."""
    gone = await delete_coupon(call.tx, environment=call.environment, id=call.path["coupon"], now=call.now)
    return {"id": gone.id, "object": "coupon", "deleted": True}


@routes.get("/v1/coupons", CouponList)
async def listed(call: Call[CouponList]) -> Json:
    """List coupons, newest first."""
    found = await store.listed(call.tx, call.environment, cursor(call.params), created=call.params.created)
    data = [render(row.load(Coupon, each), now=call.now) for each in found.rows]
    return list_of(data, url=call.url, has_more=found.has_more)
