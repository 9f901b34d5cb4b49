"""`/v1/payment_methods`, and a customer's own at `/v1/customers/:id/payment_methods`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe.call import Call, Staged, cursor
from meterline.api.stripe.expand import expandable, fetcher
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import RetrieveParams, merge_metadata
from meterline.api.stripe.payment_method_params import (
    Attach,
    BillingDetailsParams,
    CardGiven,
    CustomerMethodList,
    Detach,
    MethodCreate,
    MethodList,
    MethodUpdate,
)
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.customer import Customer
from meterline.gateway.processor import CardDetails
from meterline.payment.method import BillingDetails, Card, PaymentMethod
from meterline.refusal import Missing, Refusal
from meterline.store import customer as customers
from meterline.store import notice, row
from meterline.store import payment_method as store
from meterline.usecase.attach_payment_method import attach_payment_method
from meterline.usecase.create_payment_method import create_payment_method
from meterline.usecase.detach_payment_method import detach_payment_method
from meterline.usecase.import_method import import_method
from meterline.usecase.moment import moment

routes = Routes("payment_methods")

expandable("payment_method", "customer", kind="customer")

_ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


def render(method: PaymentMethod) -> Json:
    """The payment method object."""
    return {
        "id": method.id,
        "object": "payment_method",
        "allow_redisplay": method.allow_redisplay,
        "billing_details": billing_details(method.billing_details),
        "card": _card(method.card),
        "created": unix(method.created),
        "customer": method.customer,
        "customer_account": None,
        "livemode": method.environment == "live",
        "metadata": dict(method.metadata),
        "type": method.type,
    }


def billing_details(details: BillingDetails) -> Json:
    """Who holds a method, as methods and charges say it."""
    return {
        "address": {name: details.address.get(name) for name in _ADDRESS},
        "email": details.email,
        "name": details.name,
        "phone": details.phone,
        "tax_id": details.tax_id,
    }


def _card(card: Card) -> Json:
    return {
        "brand": card.brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": card.cvc_check,
        },
        "country": card.country,
        "display_brand": card.brand,
        "exp_month": card.exp_month,
        "exp_year": card.exp_year,
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": list(card.networks), "preferred": card.preferred_network},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


snapshots(PaymentMethod, render, url="/v1/payment_methods/{id}")


@fetcher("payment_method")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.post("/v1/payment_methods", MethodCreate)
async def create(call: Call[MethodCreate]) -> Json:
    """Create a payment method from a card or a token of one."""
    call.params.require_card()
    return render(await make(call, call.params))


async def make(call: Call[Any], asked: CardGiven, *, within: str | None = None) -> PaymentMethod:
    """A new method of the card that was given, at the top of a call or `within` a hash of it."""
    card = asked.card
    if card is None:
        missing = "card" if within is None else f"{within}[card]"
        raise Refusal(f"Missing required param: {missing}.", code="parameter_missing", param=missing)
    details = CardDetails(
        token=card.token, number=card.number, exp_month=card.exp_month, exp_year=card.exp_year, cvc=card.cvc
    )
    if (details.token is None) == (details.number is None):
        raise Refusal(
            "You must specify either `card[token]`, or `card[number]` with its expiry.",
            code="parameter_missing",
            param="card[number]" if within is None else f"{within}[card][number]",
        )
    return await create_payment_method(
        call.tx,
        environment=call.environment,
        details=details,
        billing_details=_details(BillingDetails(), asked.billing_details),
        allow_redisplay=asked.allow_redisplay or "unspecified",
        metadata=merge_metadata({}, asked.metadata),
        now=call.now,
    )


def _details(before: BillingDetails, asked: BillingDetailsParams | None) -> BillingDetails:
    """The details with what was sent; what was not sent stays."""
    if asked is None:
        return before
    changes: dict[str, Any] = {
        name: getattr(asked, name) for name in ("email", "name", "phone", "tax_id") if asked.sent(name)
    }
    if asked.sent("address"):
        changes["address"] = {} if asked.address is None else asked.address.model_dump()
    return replace(before, **changes)


@routes.get("/v1/payment_methods/{payment_method}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one payment method."""
    return render(await _get(call.tx, call.environment, call.path["payment_method"]))


async def _get(tx: AsyncConnection, environment: str, id: str) -> PaymentMethod:
    found = (await store.find(tx, environment, [id])).get(id)
    if found is None:
        raise Missing(store.KIND, id, param="payment_method", subject=True)
    return found


@routes.post("/v1/payment_methods/{payment_method}", MethodUpdate)
async def change(call: Call[MethodUpdate]) -> Json:
    """Change what is known of a payment method."""
    asked = call.params
    before = await store.lock(call.tx, call.environment, call.path["payment_method"])
    card = before.card
    if asked.card is not None:
        card = replace(
            card, exp_month=asked.card.exp_month or card.exp_month, exp_year=asked.card.exp_year or card.exp_year
        )
        if asked.card.networks is not None:
            card = replace(card, preferred_network=asked.card.networks.preferred)
    after = replace(
        before,
        allow_redisplay=asked.allow_redisplay or before.allow_redisplay,
        billing_details=_details(before.billing_details, asked.billing_details),
        card=card,
        metadata=merge_metadata(dict(before.metadata), asked.metadata),
    )
    await store.save(call.tx, after)
    await notice.add(
        call.tx,
        environment=call.environment,
        customer_id=after.customer_id,
        type="payment_method.updated",
        subject=after,
        previous=before,
        now=await _moment(call, after),
    )
    return render(after)


@routes.post("/v1/payment_methods/{payment_method}/attach", Attach, staged=True)
async def attach(call: Staged[Attach]) -> Json:
    """Attach a payment method to a customer."""
    if call.params.customer is None:
        raise Refusal("Missing required param: customer.", code="parameter_missing", param="customer")
    id = call.path["payment_method"]
    await import_method(call.database, environment=call.environment, id=id, now=call.now)
    async with call.database.begin() as tx:
        customer = await customers.get(tx, call.environment, call.params.customer, lock=True)
        now = await moment(tx, environment=call.environment, test_clock=customer.test_clock, now=call.now)
        return render(await attach_payment_method(tx, customer=customer, id=id, now=now, subject=True))


@routes.post("/v1/payment_methods/{payment_method}/detach", Detach)
async def detach(call: Call[Detach]) -> Json:
    """Detach a payment method from its customer; it is not used again."""
    seen = await _get(call.tx, call.environment, call.path["payment_method"])
    now = await _moment(call, seen)
    return render(await detach_payment_method(call.tx, environment=call.environment, id=seen.id, now=now))


async def _moment(call: Call[Any], method: PaymentMethod) -> Any:
    owner: Customer | None = None
    if method.customer is not None:
        owner = (await customers.find_all(call.tx, [method.customer_id])).get(method.customer_id)
    clock = None if owner is None else owner.test_clock
    return await moment(call.tx, environment=call.environment, test_clock=clock, now=call.now)


@routes.get("/v1/payment_methods", MethodList)
async def listed(call: Call[MethodList]) -> Json:
    """List a customer's payment methods, newest first; without a customer, there are none to list."""
    asked = call.params
    if asked.customer is None:
        return list_of([], url=call.url, has_more=False)
    customer = await customers.get(call.tx, call.environment, asked.customer)
    return await _page(call, customer, asked)


@routes.get("/v1/customers/{customer}/payment_methods", CustomerMethodList)
async def of_customer(call: Call[CustomerMethodList]) -> Json:
    """List a customer's payment methods, newest first."""
    customer = await customers.get(call.tx, call.environment, call.path["customer"], subject=True)
    return await _page(call, customer, call.params)


@routes.get("/v1/customers/{customer}/payment_methods/{payment_method}", RetrieveParams)
async def retrieve_own(call: Call[RetrieveParams]) -> Json:
    """Read one payment method of a customer."""
    customer = await customers.get(call.tx, call.environment, call.path["customer"], subject=True)
    found = await _get(call.tx, call.environment, call.path["payment_method"])
    if found.customer_id != customer.customer_id:
        raise Missing(store.KIND, found.id, param="payment_method", subject=True)
    return render(found)


async def _page(call: Call[Any], customer: Customer, asked: CustomerMethodList | MethodList) -> Json:
    page = await store.of_customer(
        call.tx,
        call.environment,
        customer.customer_id,
        cursor(asked),
        type=asked.type,
        allow_redisplay=asked.allow_redisplay,
    )
    data = [render(row.load(PaymentMethod, each)) for each in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)
