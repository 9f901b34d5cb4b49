"""`/v1/refunds`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import expandable, fetcher
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import (
    Currency,
    InstantFilter,
    Int,
    ListParams,
    Metadata,
    Params,
    RetrieveParams,
    Text,
    merge_metadata,
)
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.invoice.item import MOST
from meterline.payment.payment import Attempt
from meterline.payment.refund import Refund
from meterline.refusal import Missing, Refusal
from meterline.store import customer as customers
from meterline.store import payment as payments
from meterline.store import refund as store
from meterline.store import row
from meterline.usecase.moment import moment
from meterline.usecase.refund_payment import refund_payment

routes = Routes("refunds")

expandable("refund", "charge", kind="charge")
expandable("refund", "customer", kind="customer")
expandable("refund", "payment_intent", kind="payment_intent")
expandable("refund", "payment_method", kind="payment_method")


class RefundCreate(Params):
    amount: Annotated[Int, Field(le=MOST)] | None = None
    charge: Text | None = None
    currency: Currency | None = None
    metadata: Metadata = {}
    payment_intent: Text | None = None
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None


class RefundUpdate(Params):
    metadata: Metadata = {}


class RefundList(ListParams):
    charge: Text | None = None
    created: InstantFilter | None = None
    payment_intent: Text | None = None


def render(refund: Refund) -> Json:
    """The refund object."""
    body: Json = {
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": refund.balance_transaction,
        "charge": refund.charge,
        "created": unix(refund.created),
        "currency": refund.currency,
        "customer": refund.customer,
        "customer_account": None,
        "destination_details": {
            "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
            "type": "card",
        },
        "metadata": dict(refund.metadata),
        "payment_intent": refund.payment,
        "payment_method": refund.payment_method,
        "reason": refund.reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": refund.status,
        "transfer_reversal": None,
    }
    if refund.failure_reason is not None:
        body["failure_reason"] = refund.failure_reason
        body["failure_balance_transaction"] = refund.failure_balance_transaction
    if refund.status == "pending":
        body["pending_reason"] = "processing"
    return body


snapshots(Refund, render, url="/v1/refunds/{id}")


@fetcher("refund")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.post("/v1/refunds", RefundCreate)
async def create(call: Call[RefundCreate]) -> Json:
    """Give a charge, or a part of it, back."""
    asked = call.params
    charge = await _charge(call.tx, call.environment, asked)
    if asked.currency is not None and asked.currency != charge.currency:
        raise Refusal(
            f"The currency of the refund ({asked.currency}) does not match the currency of the charge"
            f" ({charge.currency}).",
            param="currency",
        )
    owner = (await customers.find_all(call.tx, [charge.customer_id])).get(charge.customer_id)
    now = await moment(
        call.tx, environment=call.environment, test_clock=None if owner is None else owner.test_clock, now=call.now
    )
    refund = await refund_payment(
        call.tx,
        charge=charge,
        amount=asked.amount,
        reason=asked.reason,
        metadata=merge_metadata({}, asked.metadata),
        now=now,
    )
    return render(refund)


async def _charge(tx: AsyncConnection, environment: str, asked: RefundCreate) -> Attempt:
    """The charge that is to be given back, named by itself or by its payment."""
    id = asked.charge
    if id is None and asked.payment_intent is not None:
        payment = await payments.get(tx, environment, asked.payment_intent, param="payment_intent", subject=False)
        if payment.status != "succeeded" or payment.latest_charge is None:
            raise Refusal(f"This PaymentIntent ({payment.id}) does not have a successful charge to refund.")
        id = payment.latest_charge
    if id is None:
        raise Refusal(
            "One of the following params should be provided for this request: payment_intent or charge.",
            code="parameter_missing",
        )
    found = (await payments.find_charges(tx, environment, [id])).get(id)
    if found is None:
        raise Missing("charge", id, param="charge")
    if asked.payment_intent not in (None, found.payment):
        raise Refusal("The charge does not belong to the PaymentIntent.", param="payment_intent")
    return found


@routes.get("/v1/refunds/{refund}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one refund."""
    return render(await store.get(call.tx, call.environment, call.path["refund"]))


@routes.post("/v1/refunds/{refund}", RefundUpdate)
async def change(call: Call[RefundUpdate]) -> Json:
    """Change a refund's metadata."""
    seen = await store.get(call.tx, call.environment, call.path["refund"])
    before = await store.lock(call.tx, customer_id=seen.customer_id, id=seen.id)
    after = replace(before, metadata=merge_metadata(dict(before.metadata), call.params.metadata))
    await store.save(call.tx, after)
    return render(after)


@routes.get("/v1/refunds", RefundList)
async def listed(call: Call[RefundList]) -> Json:
    """List refunds, newest first."""
    asked = call.params
    page = await store.listed(
        call.tx,
        call.environment,
        cursor(asked),
        charge=asked.charge,
        payment=asked.payment_intent,
        created=asked.created,
    )
    data = [render(row.load(Refund, each)) for each in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)
