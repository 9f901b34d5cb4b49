"""`/v1/payment_intents`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api import link
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import expandable, fetcher
from meterline.api.stripe.given_method import given_method
from meterline.api.stripe.json import Json, unix, unix_or_none
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import RetrieveParams, merge_metadata
from meterline.api.stripe.payment_intent_params import (
    IntentCancel,
    IntentCapture,
    IntentConfirm,
    IntentCreate,
    IntentList,
    IntentUpdate,
)
from meterline.api.stripe.payment_method import render as render_method
from meterline.api.stripe.refused_card import told_refusal
from meterline.api.stripe.route import Routes
from meterline.api.stripe.shipping import shown_shipping
from meterline.api.stripe.snapshot import snapshots
from meterline.customer import Customer
from meterline.money import display, minimum_payment
from meterline.payment.payment import Payment, Refused
from meterline.refusal import Declined, Refusal
from meterline.store import customer as customers
from meterline.store import payment as store
from meterline.store import row
from meterline.store.identifier import public, uuid7
from meterline.usecase.moment import moment
from meterline.usecase.take_payment import (
    Taken,
    cancel_payment,
    capture_payment,
    change_payment,
    confirm_payment,
    request_payment,
)

routes = Routes("payment_intents")

_MOST = 99_999_999
"""Minor units: as much as a payment by card can be."""

expandable("payment_intent", "customer", kind="customer")
expandable("payment_intent", "latest_charge", kind="charge")
expandable("payment_intent", "payment_method", kind="payment_method")


def render(payment: Payment) -> Json:
    """The payment intent object."""
    return {
        "id": payment.id,
        "object": "payment_intent",
        "allowed_payment_method_types": ["card"],
        "amount": payment.amount,
        "amount_capturable": payment.amount_capturable,
        "amount_details": None,
        "amount_received": payment.amount_received,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": unix_or_none(payment.canceled_at),
        "cancellation_reason": payment.cancellation_reason,
        "capture_method": payment.capture_method,
        "client_secret": payment.client_secret,
        "confirmation_method": "automatic",
        "created": unix(payment.created),
        "currency": payment.currency,
        "customer": payment.customer,
        "customer_account": None,
        "description": payment.description,
        "excluded_payment_method_types": None,
        "last_payment_error": _error(payment),
        "latest_charge": payment.latest_charge,
        "livemode": payment.environment == "live",
        "metadata": dict(payment.metadata),
        "next_action": _next_action(payment),
        "on_behalf_of": None,
        "payment_method": payment.payment_method,
        "payment_method_configuration_details": None,
        "payment_method_options": None,
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": payment.receipt_email,
        "review": None,
        "setup_future_usage": payment.setup_future_usage,
        "shipping": shown_shipping(payment.shipping),
        "source": None,
        "statement_descriptor": payment.statement_descriptor,
        "statement_descriptor_suffix": payment.statement_descriptor_suffix,
        "status": payment.status,
        "transfer_data": None,
        "transfer_group": None,
    }


def _error(payment: Payment) -> Json | None:
    """`last_payment_error`. A holder who did not confirm made no charge."""
    if payment.last_refusal is None:
        return None
    error = told_refusal(payment.last_refusal, payment.refused_method)
    if error["type"] == "card_error" and payment.latest_charge is not None:
        error["charge"] = payment.latest_charge
    return error


def _next_action(payment: Payment) -> Json | None:
    if payment.status != "requires_action":
        return None
    secret = payment.client_secret
    page = payment.action_url or link.hosted("authentication", payment.environment, payment.id, secret=secret)
    return {"redirect_to_url": {"return_url": payment.return_url, "url": page}, "type": "redirect_to_url"}


_CHANGEABLE = (
    "amount", "currency", "capture_method", "description", "receipt_email", "setup_future_usage",
    "statement_descriptor", "statement_descriptor_suffix", "payment_method",
)  # fmt: skip

snapshots(Payment, render, url="/v1/payment_intents/{id}")


@fetcher("payment_intent")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.post("/v1/payment_intents", IntentCreate)
async def create(call: Call[IntentCreate]) -> Json | Refusal:
    """Ask for a payment, and with `confirm` take it at once."""
    asked = call.params
    amount, currency = asked.amount, asked.currency
    if amount is None or currency is None:
        missing = "amount" if amount is None else "currency"
        raise Refusal(f"Missing required param: {missing}.", code="parameter_missing", param=missing)
    check_amount(amount, currency)
    owner = None
    if asked.customer is not None:
        owner = await customers.get(call.tx, call.environment, asked.customer)
    now = await _now(call, owner)
    id = public("pi")
    new = Payment(
        environment=call.environment,
        customer_id=uuid7() if owner is None else owner.customer_id,
        id=id,
        customer=None if owner is None else owner.id,
        invoice=None,
        amount=amount,
        currency=currency,
        status="requires_payment_method",
        client_secret=f"{id}_{public('secret')}",
        created=now,
        payment_method=await given_method(call, asked.payment_method, asked.payment_method_data),
        capture_method=asked.capture_method,
        setup_future_usage=asked.setup_future_usage,
        description=asked.description,
        receipt_email=asked.receipt_email,
        shipping=asked.shipping.shipping() if asked.shipping is not None else None,
        statement_descriptor=asked.statement_descriptor,
        statement_descriptor_suffix=asked.statement_descriptor_suffix,
        return_url=asked.return_url,
        metadata=merge_metadata({}, asked.metadata),
    )
    payment = await request_payment(call.tx, new, now=now)
    if not asked.confirm:
        return render(payment)
    taken = await confirm_payment(
        call.tx,
        payment,
        method=None,
        off_session=asked.off_session,
        refuse_action=asked.error_on_requires_action,
        now=now,
    )
    return _answer(taken)


def check_amount(amount: int, currency: str, *, param: str = "amount") -> None:
    """Refuses less than can be collected."""
    least = minimum_payment(currency)
    if amount < least:
        raise Refusal(
            f"Amount must be at least {display(least, currency)} {currency}", code="amount_too_small", param=param
        )
    if amount > _MOST:
        raise Refusal(f"Amount must be no more than {display(_MOST, currency)}", code="amount_too_large", param=param)


def _answer(taken: Taken) -> Json | Refusal:
    """The payment; or the decline, with what was recorded of it."""
    if not isinstance(taken.outcome, Refused):
        return render(taken.payment)
    refused = taken.outcome
    about: dict[str, object] = {"payment_intent": render(taken.payment)}
    if taken.payment.refused_method is not None:
        about["payment_method"] = render_method(taken.payment.refused_method)
    if taken.payment.latest_charge is not None:
        about["charge"] = taken.payment.latest_charge
    return Declined(refused.message, code=refused.code, decline_code=refused.decline_code, about=about)


@routes.get("/v1/payment_intents/{intent}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one payment."""
    return render(await store.get(call.tx, call.environment, call.path["intent"]))


@routes.post("/v1/payment_intents/{intent}", IntentUpdate)
async def change(call: Call[IntentUpdate]) -> Json:
    """Change a payment that was not taken yet."""
    asked = call.params
    seen, now = await _seen(call)
    changes: dict[str, object] = {name: getattr(asked, name) for name in _CHANGEABLE if asked.sent(name)}
    if asked.payment_method_data is not None:
        changes["payment_method"] = await given_method(call, asked.payment_method, asked.payment_method_data)
    if asked.sent("shipping"):
        changes["shipping"] = asked.shipping and asked.shipping.shipping()
    if asked.customer is not None and asked.customer != seen.customer:
        raise Refusal("The customer of a PaymentIntent cannot be changed.", param="customer")
    if changes.keys() & {"amount", "currency"}:
        check_amount(asked.amount or seen.amount, asked.currency or seen.currency)
    if asked.sent("metadata"):
        changes["metadata"] = merge_metadata(dict(seen.metadata), asked.metadata)
    return render(await change_payment(call.tx, seen, changes, now=now))


@routes.post("/v1/payment_intents/{intent}/confirm", IntentConfirm)
async def confirm(call: Call[IntentConfirm]) -> Json | Refusal:
    """Take the money, with the method named here or before."""
    asked = call.params
    seen, now = await _seen(call)
    changes: dict[str, object] = {
        name: getattr(asked, name)
        for name in ("capture_method", "receipt_email", "return_url", "setup_future_usage")
        if asked.sent(name)
    }
    if asked.sent("shipping"):
        changes["shipping"] = asked.shipping and asked.shipping.shipping()
    if changes:
        seen = await change_payment(call.tx, seen, changes, now=now)
    taken = await confirm_payment(
        call.tx,
        seen,
        method=await given_method(call, asked.payment_method, asked.payment_method_data),
        off_session=asked.off_session,
        refuse_action=asked.error_on_requires_action,
        now=now,
    )
    return _answer(taken)


@routes.post("/v1/payment_intents/{intent}/capture", IntentCapture)
async def capture(call: Call[IntentCapture]) -> Json:
    """Take what was authorized."""
    asked = call.params
    seen, now = await _seen(call)
    taken = await capture_payment(call.tx, seen, amount=asked.amount_to_capture, now=now)
    if asked.sent("metadata"):
        taken = replace(taken, metadata=merge_metadata(dict(taken.metadata), asked.metadata))
        await store.save(call.tx, taken)
    return render(taken)


@routes.post("/v1/payment_intents/{intent}/cancel", IntentCancel)
async def cancel(call: Call[IntentCancel]) -> Json:
    """Call a payment off."""
    seen, now = await _seen(call)
    return render(await cancel_payment(call.tx, seen, reason=call.params.cancellation_reason, now=now))


@routes.get("/v1/payment_intents", IntentList)
async def listed(call: Call[IntentList]) -> Json:
    """List payments, newest first."""
    asked = call.params
    owner = None
    if asked.customer is not None:
        owner = (await customers.get(call.tx, call.environment, asked.customer)).customer_id
    page = await store.listed(call.tx, call.environment, cursor(asked), customer_id=owner, created=asked.created)
    data = [render(row.load(Payment, each)) for each in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)


async def _seen(call: Call[Any]) -> tuple[Payment, datetime]:
    """The payment that the call is about, and what time it is for its customer."""
    seen = await store.get(call.tx, call.environment, call.path["intent"])
    owner = (await customers.find_all(call.tx, [seen.customer_id])).get(seen.customer_id)
    return seen, await _now(call, owner)


async def _now(call: Call[Any], owner: Customer | None) -> datetime:
    clock = None if owner is None else owner.test_clock
    return await moment(call.tx, environment=call.environment, test_clock=clock, now=call.now)
