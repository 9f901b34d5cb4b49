"""`/v1/payouts`: money from the processor to the bank. In test environments they are made here, and arrive at once."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import fetcher
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
from meterline.payment.statement import Payout
from meterline.refusal import Refusal
from meterline.store import payout as store
from meterline.store import row
from meterline.usecase.pay_out import AskedPayout, pay_out

routes = Routes("payouts")


class PayoutCreate(Params):
    amount: Annotated[Int, Field(gt=0, le=MOST)]
    currency: Currency
    description: Text | None = None
    metadata: Metadata = {}
    method: Literal["standard", "instant"] = "standard"
    source_type: Literal["card"] = "card"
    statement_descriptor: Annotated[Text, Field(max_length=22)] | None = None


class AllPayout(Params):
    currency: Currency


class PayoutUpdate(Params):
    metadata: Metadata = {}


class PayoutList(ListParams):
    created: InstantFilter | None = None
    status: Literal["paid", "pending", "in_transit", "failed", "canceled"] | None = None


def render(payout: Payout) -> Json:
    """The payout object."""
    return {
        "id": payout.id,
        "object": "payout",
        "amount": payout.amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": unix(payout.arrival_date),
        "automatic": payout.automatic,
        "balance_transaction": payout.balance_transaction,
        "created": unix(payout.created),
        "currency": payout.currency,
        "description": payout.description,
        "destination": None,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": payout.environment == "live",
        "metadata": dict(payout.metadata),
        "method": payout.method,
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "completed" if payout.automatic else "not_applicable",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": payout.statement_descriptor,
        "status": payout.status,
        "trace_id": None,
        "type": "bank_account",
    }


snapshots(Payout, render, url="/v1/payouts/{id}")


@fetcher("payout")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.post("/v1/payouts", PayoutCreate)
async def create(call: Call[PayoutCreate]) -> Json:
    """Pay out an amount to the bank, in test environments."""
    asked = call.params
    _only_here(call.livemode)
    wanted = AskedPayout(
        currency=asked.currency,
        amount=asked.amount,
        description=asked.description,
        statement_descriptor=asked.statement_descriptor,
        method=asked.method,
        metadata=merge_metadata({}, asked.metadata),
    )
    return render(await pay_out(call.tx, environment=call.environment, asked=wanted, now=call.now))


@routes.post("/ops/payouts", AllPayout)
async def create_automatic(call: Call[AllPayout]) -> Json:
    """Pay out all there is, in test environments, as Stripe does by itself every day: an automatic payout."""
    _only_here(call.livemode)
    wanted = AskedPayout(currency=call.params.currency)
    return render(await pay_out(call.tx, environment=call.environment, asked=wanted, now=call.now))


def _only_here(livemode: bool) -> None:  # noqa: FBT001
    if livemode:
        raise Refusal("The payouts of live mode are made at Stripe, and read from there.")


@routes.get("/v1/payouts/{payout}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one payout."""
    return render(await store.get(call.tx, call.environment, call.path["payout"]))


@routes.post("/v1/payouts/{payout}", PayoutUpdate)
async def change(call: Call[PayoutUpdate]) -> Json:
    """Change a payout's metadata."""
    seen = await store.get(call.tx, call.environment, call.path["payout"])
    before = await store.lock(call.tx, customer_id=seen.customer_id, id=seen.id)
    after = replace(before, metadata=merge_metadata(dict(before.metadata), call.params.metadata))
    await store.save(call.tx, after)
    return render(after)


@routes.post("/v1/payouts/{payout}/cancel", Params)
async def cancel(call: Call[Params]) -> Json:
    """Call a payout off while it is pending."""
    seen = await store.get(call.tx, call.environment, call.path["payout"])
    raise Refusal(f"Payouts can only be canceled while they are pending. This one is {seen.status}.")


@routes.get("/v1/payouts", PayoutList)
async def listed(call: Call[PayoutList]) -> Json:
    """List payouts, newest first."""
    asked = call.params
    page = await store.listed(call.tx, call.environment, cursor(asked), status=asked.status, created=asked.created)
    data = [render(row.load(Payout, each)) for each in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)
