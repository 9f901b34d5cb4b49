"""`/v1/promotion_codes`."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe import coupon as coupon_object
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import expandable, fetcher, includable
from meterline.api.stripe.json import Json, unix, unix_or_none
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.neutral import NoAccount
from meterline.api.stripe.params import (
    Bool,
    Currency,
    Hash,
    Instant,
    InstantFilter,
    ListParams,
    Metadata,
    Params,
    RetrieveParams,
    Text,
    merge_metadata,
)
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.api.stripe.version import accepted_before, aside, before, beside
from meterline.discount import Coupon, PromotionCode, PromotionCodeNotice, Restrictions
from meterline.discount.promotion_code import LENGTH, LETTERS
from meterline.refusal import Missing, Refusal
from meterline.store import coupon as coupons
from meterline.store import promotion_code as store
from meterline.store import row
from meterline.store.identifier import public
from meterline.usecase.offer_coupon import change_code, create_code

routes = Routes("promotion_codes")

expandable("promotion_code", "customer", kind="customer")
expandable("promotion_code.promotion", "coupon", kind="coupon")


class Promotion(Hash):
    coupon: Text
    type: Literal["coupon"]


class MinimumAmount(Hash):
    minimum_amount: coupon_object.Amount


class RestrictionParams(Hash):
    currency_options: dict[Currency, MinimumAmount] = {}
    first_time_transaction: Bool = False
    minimum_amount: coupon_object.Amount | None = None
    minimum_amount_currency: Currency | None = None


class RestrictionUpdate(Hash):
    currency_options: dict[Currency, MinimumAmount] = {}


class CodeCreate(Params):
    promotion: Promotion
    active: Bool = True
    code: Annotated[Text, Field(max_length=500)] | None = None
    customer: Text | None = None
    customer_account: NoAccount = None
    expires_at: Instant | None = None
    max_redemptions: coupon_object.Positive | None = None
    metadata: Metadata = {}
    restrictions: RestrictionParams = RestrictionParams()


class CodeUpdate(Params):
    active: Bool | None = None
    metadata: Metadata = {}
    restrictions: RestrictionUpdate = RestrictionUpdate()


class CodeList(ListParams):
    active: Bool | None = None
    code: Text | None = None
    coupon: Text | None = None
    created: InstantFilter | None = None
    customer: Text | None = None
    customer_account: NoAccount = None


@accepted_before("2025-09-30", CodeCreate)
def by_its_coupon(raw: dict[str, Any]) -> None:
    """Before clover the coupon was a parameter of its own."""
    if "coupon" in raw and "promotion" not in raw:
        raw["promotion"] = {"type": "coupon", "coupon": raw.pop("coupon")}


@before("2025-09-30", "promotion_code")
def with_its_coupon(code: Json) -> None:
    """Before clover a promotion code held its coupon whole."""
    code.pop("promotion", None)
    code["coupon"] = beside(code, "coupon")


def render(code: PromotionCode, coupon: Coupon, *, now: datetime) -> Json:
    """The promotion code object; `coupon` is its coupon as it is now."""
    rendered: Json = {
        "id": code.id,
        "object": "promotion_code",
        "active": code.usable(coupon, now=now),
        "code": code.code,
        "created": unix(code.created),
        "customer": code.customer,
        "customer_account": None,
        "expires_at": unix_or_none(code.expires_at),
        "livemode": code.environment == "live",
        "max_redemptions": code.max_redemptions,
        "metadata": dict(code.metadata),
        "promotion": {"coupon": code.coupon, "type": "coupon"},
        "restrictions": _restrictions(code.restrictions),
        "times_redeemed": code.times_redeemed,
    }
    return aside(rendered, coupon=coupon_object.render(coupon, now=now))


def _restrictions(restrictions: Restrictions) -> Json:
    amounts, first = restrictions.minimum_amounts, restrictions.minimum_currency
    rendered: Json = {
        "first_time_transaction": restrictions.first_time_transaction,
        "minimum_amount": None if first is None else amounts[first],
        "minimum_amount_currency": first,
    }
    if not amounts:
        return rendered
    return includable(rendered, currency_options={each: {"minimum_amount": amounts[each]} for each in sorted(amounts)})


def _render_notice(told: PromotionCodeNotice) -> Json:
    return render(told.promotion_code, told.coupon, now=told.at)


snapshots(PromotionCodeNotice, _render_notice, url="/v1/promotion_codes/{id}")


async def _rendered(
    tx: AsyncConnection, environment: str, codes: Sequence[PromotionCode], *, now: datetime
) -> list[Json]:
    known = await coupons.find(tx, environment, sorted({each.coupon for each in codes}))
    return [render(each, known[each.coupon], now=now) for each in codes]


@fetcher("promotion_code")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    found = list((await store.find(tx, environment, ids)).values())
    return {body["id"]: body for body in await _rendered(tx, environment, found, now=datetime.now(UTC))}


@routes.post("/v1/promotion_codes", CodeCreate)
async def create(call: Call[CodeCreate]) -> Json:
    """Create a promotion code for a coupon."""
    asked = call.params
    new = PromotionCode(
        environment=call.environment,
        id=public("promo"),
        code=asked.code or "".join(secrets.choice(LETTERS) for _ in range(LENGTH)),
        coupon=asked.promotion.coupon,
        created=call.now,
        active=asked.active,
        customer=asked.customer,
        expires_at=asked.expires_at,
        max_redemptions=asked.max_redemptions,
        restrictions=_restricted(asked.restrictions),
        metadata=merge_metadata({}, asked.metadata),
    )
    made = await create_code(call.tx, new=new, now=call.now)
    return (await _rendered(call.tx, call.environment, [made], now=call.now))[0]


def _restricted(asked: RestrictionParams) -> Restrictions:
    least, currency = asked.minimum_amount, asked.minimum_amount_currency
    if (least is None) != (currency is None):
        missing = "minimum_amount" if least is None else "minimum_amount_currency"
        raise Refusal(
            f"Missing required param: restrictions[{missing}].",
            code="parameter_missing",
            param=f"restrictions[{missing}]",
        )
    amounts = {each: option.minimum_amount for each, option in asked.currency_options.items()}
    if currency is None and amounts:
        raise Refusal(
            "`restrictions[currency_options]` can only be given with `restrictions[minimum_amount]`.",
            param="restrictions[currency_options]",
        )
    if currency is not None and least is not None:
        _require_other(currency, amounts)
        amounts[currency] = least
    return Restrictions(
        first_time_transaction=asked.first_time_transaction, minimum_amounts=amounts, minimum_currency=currency
    )


def _require_other(currency: str, options: dict[str, int]) -> None:
    if currency in options:
        raise Refusal(
            f"`restrictions[currency_options]` cannot hold the currency of `minimum_amount`: {currency}.",
            param=f"restrictions[currency_options][{currency}]",
        )


@routes.get("/v1/promotion_codes/{promotion_code}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one promotion code."""
    id = call.path["promotion_code"]
    found = (await store.find(call.tx, call.environment, [id])).get(id)
    if found is None:
        raise Missing(store.KIND, id, param="promotion_code", subject=True)
    return (await _rendered(call.tx, call.environment, [found], now=call.now))[0]


@routes.post("/v1/promotion_codes/{promotion_code}", CodeUpdate)
async def change(call: Call[CodeUpdate]) -> Json:
    """Switch a promotion code on or off, change its metadata or its minimum in other currencies."""
    asked = call.params
    changed = await change_code(
        call.tx,
        environment=call.environment,
        id=call.path["promotion_code"],
        active=asked.active,
        minimum_amounts={each: one.minimum_amount for each, one in asked.restrictions.currency_options.items()},
        metadata=lambda before: merge_metadata(before, asked.metadata),
        now=call.now,
    )
    return (await _rendered(call.tx, call.environment, [changed], now=call.now))[0]


@routes.get("/v1/promotion_codes", CodeList)
async def listed(call: Call[CodeList]) -> Json:
    """List promotion codes, newest first."""
    asked = call.params
    page = await store.listed(
        call.tx,
        call.environment,
        cursor(asked),
        store.Filter(
            now=call.now,
            active=asked.active,
            code=asked.code,
            coupon=asked.coupon,
            customer=asked.customer,
            created=asked.created,
        ),
    )
    found = [row.load(PromotionCode, each) for each in page.rows]
    data = await _rendered(call.tx, call.environment, found, now=call.now)
    return list_of(data, url=call.url, has_more=page.has_more)
