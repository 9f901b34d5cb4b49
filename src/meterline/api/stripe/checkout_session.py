"""`/v1/checkout/sessions`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api import link
from meterline.api.stripe import tax_rate
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import embedded, expandable, fetcher, includable
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of, nested_list
from meterline.api.stripe.params import (
    Bool,
    Currency,
    Hash,
    Instant,
    InstantFilter,
    Int,
    List,
    ListParams,
    Metadata,
    Natural,
    Params,
    RetrieveParams,
    Text,
    merge_metadata,
)
from meterline.api.stripe.payment_intent import check_amount
from meterline.api.stripe.price_amount import TaxBehavior
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.catalog import PerUnit, Price, Product, TaxRate
from meterline.catalog.tax_rate import check_behavior
from meterline.customer import Customer
from meterline.invoice.line import LineTax
from meterline.invoice.total import summed_taxes
from meterline.payment.checkout import (
    LIFETIME,
    SHORTEST,
    Checkout,
    CheckoutLine,
    CheckoutMode,
    CreditOrder,
    ordered,
    reckoned,
)
from meterline.rating import rate
from meterline.refusal import Missing, Refusal
from meterline.store import checkout as store
from meterline.store import customer as customers
from meterline.store import price as prices
from meterline.store import product as products
from meterline.store import row, tax_policy
from meterline.store.identifier import public, uuid7
from meterline.usecase.check_out import expire_checkout, open_checkout
from meterline.usecase.create_price import create_price
from meterline.usecase.find_tax_rates import find_tax_rates
from meterline.usecase.grant_credits import check_prices
from meterline.usecase.moment import moment
from meterline.usecase.offer_discount import offer_discount
from meterline.usecase.redeem_coupon import AskedDiscount

routes = Routes("checkout_sessions")

expandable("checkout.session", "customer", kind="customer")
expandable("checkout.session.discounts", "coupon", kind="coupon")
expandable("checkout.session.discounts", "promotion_code", kind="promotion_code")
expandable("checkout.session", "invoice", kind="invoice")
expandable("checkout.session", "payment_intent", kind="payment_intent")
expandable("checkout.session", "setup_intent", kind="setup_intent")
expandable("checkout.session", "subscription", kind="subscription")

_MOST_LINES = 100


class ProductData(Hash):
    description: Text | None = None
    metadata: Metadata = {}
    name: Text


class PriceData(Hash):
    currency: Currency
    product: Text | None = None
    product_data: ProductData | None = None
    tax_behavior: TaxBehavior = "unspecified"
    unit_amount: Natural


class LineItem(Hash):
    price: Text | None = None
    price_data: PriceData | None = None
    quantity: Annotated[Int, Field(gt=0, le=999_999)] | None = None
    tax_rates: List[Text] = []


class ResultData(Hash):
    """What the object that the session leads to is given."""

    description: Text | None = None
    metadata: Metadata = {}


class IntentData(ResultData):
    setup_future_usage: Literal["off_session", "on_session"] | None = None


class SubscriptionData(ResultData):
    default_tax_rates: List[Text] = []
    trial_period_days: Annotated[Int, Field(ge=1, le=730)] | None = None


class SessionDiscount(Hash):
    coupon: Text | None = None
    promotion_code: Text | None = None


class SessionCreate(Params):
    allow_promotion_codes: Bool | None = None
    cancel_url: Text | None = None
    client_reference_id: Annotated[Text, Field(max_length=200)] | None = None
    currency: Currency | None = None
    customer: Text | None = None
    customer_creation: Literal["always", "if_required"] = "if_required"
    customer_email: Text | None = None
    discounts: Annotated[List[SessionDiscount], Field(max_length=1)] = []
    expires_at: Instant | None = None
    line_items: Annotated[List[LineItem], Field(max_length=_MOST_LINES)] = []
    metadata: Metadata = {}
    mode: CheckoutMode | None = None
    payment_intent_data: IntentData = IntentData()
    payment_method_types: List[Literal["card"]] = ["card"]
    setup_intent_data: ResultData = ResultData()
    subscription_data: SubscriptionData = SubscriptionData()
    success_url: Text | None = None
    ui_mode: Literal["hosted", "hosted_page"] = "hosted_page"


class SessionUpdate(Params):
    metadata: Metadata = {}


class SessionList(ListParams):
    created: InstantFilter | None = None
    customer: Text | None = None
    payment_intent: Text | None = None
    status: Literal["complete", "expired", "open"] | None = None
    subscription: Text | None = None


_ABSENT = (
    "adaptive_pricing", "after_expiration", "billing_address_collection", "client_secret",
    "collected_information", "consent", "consent_collection", "currency_conversion", "customer_account",
    "custom_text", "invoice_creation", "locale", "name_collection", "origin_context", "payment_link",
    "payment_method_collection", "payment_method_configuration_details", "permissions", "recovered_from",
    "saved_payment_method_options", "shipping_address_collection", "shipping_cost", "submit_type", "wallet_options",
)  # fmt: skip


def render(session: Checkout) -> Json:
    """The checkout session object."""
    open_ = session.status == "open"
    body: Json = dict.fromkeys(_ABSENT)
    body |= {
        "id": session.id,
        "object": "checkout.session",
        "allow_promotion_codes": session.allow_promotion_codes,
        "amount_subtotal": _subtotal(session) if session.lines else None,
        "amount_total": session.amount if session.lines else None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "cancel_url": session.cancel_url,
        "client_reference_id": session.client_reference_id,
        "created": unix(session.created),
        "currency": session.currency,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": session.customer,
        "customer_creation": ("always" if session.make_customer else "if_required"),
        "customer_details": _details(session),
        "customer_email": session.email,
        "discounts": _discounts(session),
        "expires_at": unix(session.expires_at),
        "invoice": session.invoice,
        "livemode": session.environment == "live",
        "metadata": dict(session.metadata),
        "mode": session.mode,
        "payment_intent": session.payment,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "payment_status": session.payment_status,
        "phone_number_collection": {"enabled": False},
        "setup_intent": session.setup,
        "shipping_options": [],
        "status": session.status,
        "subscription": session.subscription,
        "success_url": session.success_url,
        "total_details": _total_details(session) if session.lines else None,
        "ui_mode": "hosted_page",
        "url": link.hosted("checkout", session.environment, session.id) if open_ else None,
    }
    return includable(body, line_items=nested_list([_line(each, session) for each in session.lines], url=_url(session)))


def _subtotal(session: Checkout) -> int:
    return 0 if session.trial_days else session.subtotal


def _discounts(session: Checkout) -> list[Json]:
    if session.coupon is None:
        return []
    by_code = session.promotion_code is not None
    return [{"coupon": None if by_code else session.coupon.id, "promotion_code": session.promotion_code}]


def _total_details(session: Checkout) -> Json:
    off = sum(line.discount for line in session.lines)
    taxes = () if session.trial_days else summed_taxes(session.lines)
    return includable(
        {"amount_discount": off, "amount_shipping": 0, "amount_tax": session.tax},
        breakdown={"discounts": [], "taxes": _taxes(taxes, session)},
    )


def _taxes(taxes: Sequence[LineTax], session: Checkout) -> list[Json]:
    """Taxes as checkouts show them: with the whole rate."""
    return [
        {
            "amount": tax.amount,
            "rate": tax_rate.render(session.rates[tax.tax_rate]),
            "taxability_reason": tax.reason,
            "taxable_amount": tax.taxable_amount,
        }
        for tax in taxes
    ]


def _details(session: Checkout) -> Json | None:
    if session.payer_email is None and session.payer_name is None:
        return None
    return {
        "address": None,
        "business_name": None,
        "email": session.payer_email,
        "individual_name": session.payer_name,
        "name": session.payer_name,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": None,
    }


def _line(line: CheckoutLine, session: Checkout) -> Json:
    body: Json = {
        "id": line.id,
        "object": "item",
        "amount_discount": line.discount,
        "amount_subtotal": line.amount,
        "amount_tax": line.tax,
        "amount_total": line.total,
        "currency": session.currency,
        "description": line.description,
        "price": line.price,
        "quantity": line.quantity,
    }
    return includable(body, taxes=_taxes(line.taxes, session))


embedded("item", "price", kind="price")


def _url(session: Checkout) -> str:
    return f"/v1/checkout/sessions/{session.id}/line_items"


snapshots(Checkout, render, url="/v1/checkout/sessions/{id}")


@fetcher("checkout.session", resource="checkout_sessions")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.post("/v1/checkout/sessions", SessionCreate)
async def create(call: Call[SessionCreate]) -> Json:
    """Open a checkout; `url` in the answer is its page."""
    asked = call.params
    _check(asked)
    owner = None if asked.customer is None else await customers.get(call.tx, call.environment, asked.customer)
    now = await _now(call, owner)
    lines, currency = await _lines(call.tx, call.environment, asked, now=now)
    default_rates = await _default_rates(call.tx, call.environment, asked, lines)
    expires_at = asked.expires_at or now + LIFETIME
    if not now + SHORTEST <= expires_at <= now + LIFETIME:
        raise Refusal(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    metadata = merge_metadata({}, asked.metadata)
    data = {"payment": asked.payment_intent_data, "setup": asked.setup_intent_data}
    said = data.get(asked.mode or "", asked.subscription_data)
    kind = "live" if call.livemode else "test"
    new = Checkout(
        environment=call.environment,
        customer_id=uuid7() if owner is None else owner.customer_id,
        id=public(f"cs_{kind}"),
        customer=None if owner is None else owner.id,
        mode=asked.mode or "payment",
        status="open",
        payment_status="unpaid",
        created=now,
        expires_at=expires_at,
        currency=currency,
        lines=tuple(lines),
        success_url=asked.success_url,
        cancel_url=asked.cancel_url,
        client_reference_id=asked.client_reference_id,
        email=asked.customer_email or (None if owner is None else owner.email),
        make_customer=asked.customer_creation == "always",
        trial_days=asked.subscription_data.trial_period_days,
        default_tax_rates=default_rates,
        tax_exempt="none" if owner is None else owner.tax_exempt,
        tax_rounding=(await tax_policy.find(call.tx, call.environment)).rounding,
        description=said.description,
        setup_future_usage=asked.payment_intent_data.setup_future_usage,
        metadata=metadata,
        result_metadata=merge_metadata({}, said.metadata),
        allow_promotion_codes=asked.allow_promotion_codes,
    )
    new = reckoned(new)
    if new.mode == "payment":
        assert currency is not None
        check_amount(new.amount, currency, param="line_items")
    order = await _order(call.tx, call.environment, asked, metadata, new.amount - new.tax)
    new = replace(new, credit_order=order)
    for each in asked.discounts:
        entry = AskedDiscount(param="discounts[0]", coupon=each.coupon, promotion_code=each.promotion_code)
        new = await offer_discount(call.tx, new, entry, owner=owner, now=now)
    return render(await open_checkout(call.tx, new, clock=None if owner is None else owner.test_clock))


async def _order(
    tx: AsyncConnection, environment: str, asked: SessionCreate, metadata: Mapping[str, str], amount: int
) -> CreditOrder | None:
    """The billing credits that the session sells. Refuses what could not be granted once it is paid."""
    order = ordered(metadata, paid=amount)
    if order is None:
        return None
    if asked.mode != "payment":
        raise Refusal("Billing credits are sold in `payment` mode.", param="metadata[credit_grant]")
    if asked.customer is None and asked.customer_creation != "always":
        raise Refusal(
            "Billing credits are sold to a customer: give `customer`, or `customer_creation=always`.", param="customer"
        )
    if order.prices is not None:
        await check_prices(tx, environment, order.prices, lambda _: "metadata[credit_grant_prices]")
    return order


def _check(asked: SessionCreate) -> None:
    if asked.mode is None:
        raise Refusal("Missing required param: mode.", code="parameter_missing", param="mode")
    if asked.mode == "setup" and asked.line_items:
        raise Refusal("You can not pass `line_items` in `setup` mode.", param="line_items")
    if asked.mode != "setup" and not asked.line_items:
        raise Refusal(
            f"The `line_items` parameter is required in `{asked.mode}` mode.",
            code="parameter_missing",
            param="line_items",
        )
    if asked.discounts and asked.allow_promotion_codes is not None:
        raise Refusal(
            "You may only specify one of these parameters: allow_promotion_codes, discounts.", param="discounts"
        )
    if asked.mode == "setup" and (asked.discounts or asked.allow_promotion_codes):
        raise Refusal("There is nothing to discount in `setup` mode.", param="discounts")
    if asked.customer is not None and asked.customer_email is not None:
        raise Refusal("You may only specify one of these parameters: customer, customer_email.", param="customer_email")


async def _lines(
    tx: AsyncConnection, environment: str, asked: SessionCreate, *, now: datetime
) -> tuple[list[CheckoutLine], str | None]:
    """What is sold, priced in one currency."""
    lines: list[CheckoutLine] = []
    currency = asked.currency
    for place, item in enumerate(asked.line_items):
        at = f"line_items[{place}]"
        price = await _price(tx, environment, item, at=at, now=now)
        currency = currency or price.currency
        if not price.sold_in(currency):
            raise Refusal("All prices of a Checkout Session must have the same currency.", param=at)
        lines.append(await _sold(tx, price.in_currency(currency), item, asked, at=at))
    if asked.mode == "subscription" and not any(line.recurring for line in lines):
        raise Refusal(
            "You must provide at least one recurring price in `subscription` mode when using prices.",
            param="line_items",
        )
    return lines, currency


async def _default_rates(
    tx: AsyncConnection, environment: str, asked: SessionCreate, lines: Sequence[CheckoutLine]
) -> tuple[TaxRate, ...]:
    """What taxes the lines of a subscription that have no rates of their own."""
    param = "subscription_data[default_tax_rates]"
    rates = await find_tax_rates(tx, environment, asked.subscription_data.default_tax_rates, param=param)
    if rates and asked.mode != "subscription":
        raise Refusal("You can only pass `subscription_data` in `subscription` mode.", param="subscription_data")
    bare = {line.price for line in lines if not line.tax_rates}
    for price in (await prices.find(tx, environment, bare)).values():
        check_behavior(price.tax_behavior, rates, param=param)
    return rates


async def _sold(tx: AsyncConnection, price: Price, item: LineItem, asked: SessionCreate, *, at: str) -> CheckoutLine:
    if asked.mode == "payment" and price.recurring is not None:
        raise Refusal(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use"
            " only one-time prices.",
            param=at,
        )
    if asked.mode == "subscription" and price.recurring is None:
        raise Refusal("One-time prices are not sold in `subscription` mode here.", param=at)
    if price.metered and item.quantity is not None:
        raise Refusal("A metered price has no quantity: it is billed by usage.", param=f"{at}[quantity]")
    if not price.metered and item.quantity is None:
        raise Refusal(
            "Quantity is required. Add `quantity` to each line item.",
            code="parameter_missing",
            param=f"{at}[quantity]",
        )
    product = (await products.find(tx, price.environment, [price.product]))[price.product]
    amount = 0
    if item.quantity is not None:
        amount = sum(line.amount for line in rate(price=price, quantity=Decimal(item.quantity)))
    rates = await find_tax_rates(tx, price.environment, item.tax_rates, param=f"{at}[tax_rates]")
    check_behavior(price.tax_behavior, rates, param=f"{at}[tax_rates]")
    return CheckoutLine(
        id=public("li"),
        price=price.id,
        product=product.id,
        description=product.name,
        quantity=item.quantity,
        amount=amount,
        recurring=price.recurring is not None,
        tax_rates=rates,
    )


async def _price(tx: AsyncConnection, environment: str, item: LineItem, *, at: str, now: datetime) -> Price:
    """The price named, or made up in the call."""
    if (item.price is None) == (item.price_data is None):
        raise Refusal("You must specify exactly one of these parameters: price, price_data.", param=at)
    if item.price is not None:
        found = (await prices.find(tx, environment, [item.price])).get(item.price)
        if found is None:
            raise Missing("price", item.price, param=f"{at}[price]")
        if not found.active:
            raise Refusal(f"The price specified is inactive: {found.id}.", param=f"{at}[price]")
        return found
    data = item.price_data
    assert data is not None
    if (data.product is None) == (data.product_data is None):
        raise Refusal("You must specify exactly one of these parameters: product, product_data.", param=at)
    product = data.product or public("prod")
    made = None
    if data.product_data is not None:
        made = Product(
            environment=environment,
            id=product,
            name=data.product_data.name,
            description=data.product_data.description,
            metadata=merge_metadata({}, data.product_data.metadata),
            created=now,
            updated=now,
        )
    price = Price(
        environment=environment,
        id=public("price"),
        product=product,
        currency=data.currency,
        model=PerUnit(unit=Decimal(data.unit_amount)),
        tax_behavior=data.tax_behavior,
        inline=True,
        created=now,
    )
    return await create_price(tx, new=price, along_with=made, at=f"{at}[price_data]", now=now)


@routes.get("/v1/checkout/sessions/{session}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one session."""
    return render(await store.get(call.tx, call.environment, call.path["session"]))


@routes.post("/v1/checkout/sessions/{session}", SessionUpdate)
async def change(call: Call[SessionUpdate]) -> Json:
    """Change a session's metadata."""
    before = await store.get(call.tx, call.environment, call.path["session"], lock=True)
    after = replace(before, metadata=merge_metadata(dict(before.metadata), call.params.metadata))
    await store.save(call.tx, after)
    return render(after)


@routes.post("/v1/checkout/sessions/{session}/expire", Params)
async def expire(call: Call[Params]) -> Json:
    """Close a session that nobody finished."""
    seen = await store.get(call.tx, call.environment, call.path["session"])
    owner = (await customers.find_all(call.tx, [seen.customer_id])).get(seen.customer_id)
    return render(await expire_checkout(call.tx, seen, now=await _now(call, owner)))


@routes.get("/v1/checkout/sessions/{session}/line_items", ListParams)
async def line_items(call: Call[ListParams]) -> Json:
    """List what a session sells."""
    session = await store.get(call.tx, call.environment, call.path["session"])
    ids = [line.id for line in session.lines]
    start = 0
    if call.params.starting_after is not None:
        if call.params.starting_after not in ids:
            raise Missing("item", call.params.starting_after, param="starting_after")
        start = ids.index(call.params.starting_after) + 1
    shown = session.lines[start : start + call.params.limit]
    return list_of(
        [_line(each, session) for each in shown], url=call.url, has_more=start + len(shown) < len(session.lines)
    )


@routes.get("/v1/checkout/sessions", SessionList)
async def listed(call: Call[SessionList]) -> Json:
    """List sessions, newest first."""
    asked = call.params
    page = await store.listed(
        call.tx,
        call.environment,
        cursor(asked),
        customer=asked.customer,
        payment=asked.payment_intent,
        subscription=asked.subscription,
        status=asked.status,
        created=asked.created,
    )
    data = [render(row.load(Checkout, each)) for each in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)


async def _now(call: Call[Any], owner: Customer | None) -> datetime:
    clock = None if owner is None else owner.test_clock
    return await moment(call.tx, environment=call.environment, test_clock=clock, now=call.now)
