"""`GET /ops/books`: how the accounts of the ledger stood at an instant, of one customer or of all together."""

from datetime import UTC, datetime

from meterline.api.stripe.call import Call
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.params import Instant, Params, Text
from meterline.api.stripe.route import Routes
from meterline.money import decimal_text
from meterline.store import customer as customers
from meterline.store import ledger
from meterline.store.ledger import Clock

routes = Routes("books")


class BooksParams(Params):
    at: Instant | None = None
    by: Clock = "booking"
    customer: Text | None = None


@routes.get("/ops/books", BooksParams)
async def retrieve(call: Call[BooksParams]) -> Json:
    """Read balances as of an instant (now, if none is given), by booking time or by business time; credits positive."""
    asked = call.params
    owner = None
    if asked.customer is not None:
        owner = (await customers.get(call.tx, call.environment, asked.customer)).customer_id
    at = datetime.now(UTC) if asked.at is None else asked.at
    found = await ledger.stood(call.tx, environment=call.environment, at=at, clock=asked.by, customer_id=owner)
    return {
        "object": "books",
        "at": unix(at),
        "balances": [
            {"account": account.name, "asset": account.asset, "balance": decimal_text(amount)}
            for account, amount in sorted(found.items())
        ],
        "by": asked.by,
        "customer": asked.customer,
        "livemode": call.livemode,
    }
