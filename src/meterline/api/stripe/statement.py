"""`/v1/balance` and `/v1/balance_transactions`: the statement of the processor's account; read only."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe import charge, dispute, payout, refund
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.expand import expandable, fetcher
from meterline.api.stripe.json import Json
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import Currency, InstantFilter, ListParams, RetrieveParams, Text
from meterline.api.stripe.route import Routes
from meterline.api.stripe.statement_line import render
from meterline.payment.statement import StatementLine
from meterline.store import row
from meterline.store import statement as store

routes = Routes("balance")

for _object in ("charge", "refund", "payout"):
    expandable(_object, "balance_transaction", kind="balance_transaction")
expandable("balance_transaction", "source", kind="balance_transaction.source")


class LineList(ListParams):
    created: InstantFilter | None = None
    currency: Currency | None = None
    payout: Text | None = None
    source: Text | None = None
    type: Text | None = None


@fetcher("balance_transaction", resource="balance")
async def fetch(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    return {id: render(found) for id, found in (await store.find(tx, environment, ids)).items()}


@fetcher("balance_transaction.source", resource="charges")
async def fetch_sources(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for prefix, of in (("ch_", charge.fetch), ("re_", refund.fetch), ("du_", dispute.fetch), ("po_", payout.fetch)):
        found |= await of(tx, environment, [id for id in ids if id.startswith(prefix)])
    return found


@routes.get("/v1/balance", RetrieveParams)
async def balance(call: Call[RetrieveParams]) -> Json:
    """Read what is at the processor, by currency: available for a payout, and not yet."""
    found = await store.balances(call.tx, call.environment, now=call.now) or [("usd", 0, 0)]
    return {
        "object": "balance",
        "available": [_amount(currency, available) for currency, available, _ in found],
        "livemode": call.livemode,
        "pending": [_amount(currency, pending) for currency, _, pending in found],
    }


def _amount(currency: str, amount: int) -> Json:
    return {"amount": amount, "currency": currency, "source_types": {"card": amount}}


@routes.get("/v1/balance_transactions/{transaction}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    """Read one movement of money at the processor."""
    return render(await store.get(call.tx, call.environment, call.path["transaction"]))


@routes.get("/v1/balance_transactions", LineList)
async def listed(call: Call[LineList]) -> Json:
    """List the movements of money at the processor, newest first; with `payout`, what that one was made of."""
    asked = call.params
    page = await store.listed(
        call.tx,
        call.environment,
        cursor(asked),
        created=asked.created,
        currency=asked.currency,
        payout=asked.payout,
        source=asked.source,
        type=asked.type,
    )
    data = [render(row.load(StatementLine, each)) for each in page.rows]
    return list_of(data, url=call.url, has_more=page.has_more)
