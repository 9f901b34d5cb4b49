"""`/v1/customers/:id/balance_transactions`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

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
    Unset,
    merge_metadata,
)
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.invoice.balance import BalanceTransaction
from meterline.invoice.item import MOST
from meterline.refusal import Missing
from meterline.store import balance as store
from meterline.store import customer as customers
from meterline.store import row
from meterline.usecase.change_balance import change_balance
from meterline.usecase.moment import moment

routes = Routes("customers")

expandable("customer_balance_transaction", "customer", kind="customer")
expandable("customer_balance_transaction", "credit_note", kind="credit_note")
expandable("customer_balance_transaction", "invoice", kind="invoice")

Description = Annotated[Text, Field(max_length=350)]


class BalanceCreate(Params):
    amount: Annotated[Int, Field(ge=-MOST, le=MOST)]
    currency: Currency
    description: Description | None = None
    metadata: Metadata = {}


class BalanceUpdate(Params):
    description: Unset[Description] = None
    metadata: Metadata = {}


class BalanceList(ListParams):
    created: InstantFilter | None = None
    invoice: Text | None = None


def render(entry: BalanceTransaction) -> Json:
    """The customer balance transaction object."""
    return {
        "id": entry.id,
        "object": "customer_balance_transaction",
        "amount": entry.amount,
        "checkout_session": None,
        "created": unix(entry.created),
        "credit_note": entry.credit_note,
        "currency": entry.currency,
        "customer": entry.customer,
        "customer_account": None,
        "description": entry.description,
        "ending_balance": entry.ending_balance,
        "invoice": entry.invoice,
        "livemode": entry.environment == "live",
        "metadata": dict(entry.metadata),
        "type": entry.type,
    }


snapshots(BalanceTransaction, render, url=None)


@fetcher("customer_balance_transaction", resource="customers")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@routes.post("/v1/customers/{customer}/balance_transactions", BalanceCreate)
async def create(call: Call[BalanceCreate]) -> Json:
    """Give a customer credit (negative), or add to what they owe (positive)."""
    asked = call.params
    customer = await customers.get(call.tx, call.environment, call.path["customer"], subject=True, lock=True)
    now = await moment(call.tx, environment=call.environment, test_clock=customer.test_clock, now=call.now)
    _, entry = await change_balance(
        call.tx,
        customer=customer,
        amount=asked.amount,
        currency=asked.currency,
        type="adjustment",
        now=now,
        description=asked.description,
        metadata=merge_metadata({}, asked.metadata),
    )
    return render(entry)


@routes.get("/v1/customers/{customer}/balance_transactions/{transaction}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one change of a customer's balance."""
    return render(await _get(call))


@routes.post("/v1/customers/{customer}/balance_transactions/{transaction}", BalanceUpdate)
async def change(call: Call[BalanceUpdate]) -> Json:
    """Describe a change of a customer's balance anew; its amount stays."""
    before = await _get(call)
    asked = call.params
    after = replace(
        before,
        description=asked.description if asked.sent("description") else before.description,
        metadata=merge_metadata(dict(before.metadata), asked.metadata),
    )
    await store.save(call.tx, after)
    return render(after)


async def _get(call: Call[RetrieveParams] | Call[BalanceUpdate]) -> BalanceTransaction:
    customer = await customers.get(call.tx, call.environment, call.path["customer"], subject=True)
    id = call.path["transaction"]
    found = (await store.find(call.tx, call.environment, [id])).get(id)
    if found is None or found.customer_id != customer.customer_id:
        raise Missing(store.KIND, id, param="transaction", subject=True)
    return found


@routes.get("/v1/customers/{customer}/balance_transactions", BalanceList)
async def listed(call: Call[BalanceList]) -> Json:
    """List the changes of a customer's balance, newest first."""
    asked = call.params
    customer = await customers.get(call.tx, call.environment, call.path["customer"], subject=True)
    page = await store.listed(
        call.tx,
        customer_id=customer.customer_id,
        cursor=cursor(asked),
        invoice=asked.invoice,
        created=asked.created,
    )
    data = [render(row.load(BalanceTransaction, each)) for each in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)
