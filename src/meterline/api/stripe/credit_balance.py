"""`/v1/billing/credit_balance_summary` and `/v1/billing/credit_balance_transactions`."""

from collections.abc import Sequence
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.credit_grant import Scope, monetary, prices_of
from meterline.api.stripe.expand import expandable, fetcher
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import Hash, ListParams, Params, RetrieveParams, Text
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import snapshots
from meterline.invoice.credit import CREDITS, CreditGrant, CreditTransaction, standings
from meterline.refusal import Missing, Refusal
from meterline.store import credit as store
from meterline.store import customer as customers
from meterline.store import row
from meterline.usecase.moment import moment

routes = Routes("credit_grants")

expandable("billing.credit_balance_summary", "customer", kind="customer")
expandable("billing.credit_balance_transaction", "credit_grant", kind="billing.credit_grant")
expandable("billing.credit_balance_transaction", "test_clock", kind="test_helpers.test_clock")
expandable("billing.credit_balance_transaction.debit.credits_applied", "invoice", kind="invoice")
expandable("billing.credit_balance_transaction.credit.credits_application_invoice_voided", "invoice", kind="invoice")


class Filter(Hash):
    type: Literal["applicability_scope", "credit_grant"]
    applicability_scope: Scope | None = None
    credit_grant: Text | None = None


class Summary(Params):
    customer: Text
    filter: Filter


class TransactionList(ListParams):
    credit_grant: Text | None = None
    customer: Text | None = None


@routes.get("/v1/billing/credit_balance_summary", Summary)
async def summary(call: Call[Summary]) -> Json:
    """What a customer has left in billing credits: of one grant, or of those with a scope."""
    asked = call.params
    customer = await customers.get(call.tx, call.environment, asked.customer)
    now = await moment(call.tx, environment=call.environment, test_clock=customer.test_clock, now=call.now)
    grants = _filtered(await store.all_of(call.tx, customer_id=customer.customer_id), asked.filter)
    return {
        "object": "billing.credit_balance_summary",
        "balances": [
            {
                "available_balance": monetary(each.available, each.currency),
                "ledger_balance": monetary(each.ledger, each.currency),
            }
            for each in standings(grants, now=now)
        ],
        "customer": customer.id,
        "customer_account": None,
        "livemode": call.livemode,
    }


def _filtered(grants: Sequence[CreditGrant], asked: Filter) -> list[CreditGrant]:
    if asked.type == "credit_grant":
        if asked.credit_grant is None:
            raise Refusal(
                "Missing required param: filter[credit_grant].", code="parameter_missing", param="filter[credit_grant]"
            )
        found = [each for each in grants if each.id == asked.credit_grant]
        if not found:
            raise Missing(store.GRANT, asked.credit_grant, param="filter[credit_grant]")
        return found
    at = "filter[applicability_scope]"
    if asked.applicability_scope is None:
        raise Refusal(f"Missing required param: {at}.", code="parameter_missing", param=at)
    prices = prices_of(asked.applicability_scope, at=at)
    if prices is None:
        return [each for each in grants if each.prices is None]
    return [each for each in grants if each.prices is not None and set(each.prices) & set(prices)]


def render(entry: CreditTransaction) -> Json:
    """The credit balance transaction object."""
    adds = entry.movement in CREDITS
    moved = {"amount": monetary(entry.amount, entry.currency), "type": entry.movement}
    used = None if entry.invoice is None else {"invoice": entry.invoice, "invoice_line_item": entry.line}
    return {
        "id": entry.id,
        "object": "billing.credit_balance_transaction",
        "created": unix(entry.created),
        "credit": moved | {"credits_application_invoice_voided": used} if adds else None,
        "credit_grant": entry.grant,
        "debit": None if adds else moved | {"credits_applied": used},
        "effective_at": unix(entry.effective_at),
        "livemode": entry.environment == "live",
        "test_clock": entry.test_clock,
        "type": "credit" if adds else "debit",
    }


snapshots(CreditTransaction, render, url="/v1/billing/credit_balance_transactions/{id}")


@fetcher("billing.credit_balance_transaction", resource="credit_grants")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find_transactions(tx, environment, ids)).items()}


@routes.get("/v1/billing/credit_balance_transactions/{id}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one movement of a grant's balance."""
    id = call.path["id"]
    found = await store.find_transactions(call.tx, call.environment, [id])
    if id not in found:
        raise Missing(store.TRANSACTION, id, param="id", subject=True)
    return render(found[id])


@routes.get("/v1/billing/credit_balance_transactions", TransactionList)
async def listed(call: Call[TransactionList]) -> Json:
    """List the movements of a customer's grants, or of one grant, newest first."""
    asked = call.params
    if asked.customer is None and asked.credit_grant is None:
        raise Refusal("Missing required param: customer.", code="parameter_missing", param="customer")
    owners = set()
    if asked.customer is not None:
        owners.add((await customers.get(call.tx, call.environment, asked.customer)).customer_id)
    if asked.credit_grant is not None:
        found = (await store.find(call.tx, call.environment, [asked.credit_grant])).get(asked.credit_grant)
        if found is None:
            raise Missing(store.GRANT, asked.credit_grant, param="credit_grant")
        owners.add(found.customer_id)
    if len(owners) != 1:
        return list_of([], url=call.url, has_more=False)
    page = await store.transactions(
        call.tx, call.environment, cursor(asked), customer_id=owners.pop(), grant=asked.credit_grant
    )
    data = [render(row.load(CreditTransaction, each)) for each in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)
