"""Tell that a budget refused a call."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from meterline.limit.budget import BudgetRefused
from meterline.store import alert, notice
from meterline.store.ledger import Connection
from meterline.store.notice import Fact

REFUSED = "budget.refused"


async def tell_refusal(
    connection: Connection,
    *,
    environment: str,
    customer_id: UUID,
    id: str,
    message: str,
    members: Mapping[str, str | None],
    now: datetime,
) -> None:
    """Tell a refusal once per id of the caller's, however often the call is repeated.

    `members` are those of `BudgetExceeded`, plain as they are kept; `now` is the customer's time, UTC.
    """
    customer, _ = (await alert.who(connection, [customer_id]))[customer_id]
    resets = members["resets_at"]
    told = BudgetRefused(
        id=id,
        environment=environment,
        customer=customer,
        budget=str(members["budget"]),
        level=str(members["level"]),
        asset=str(members["asset"]),
        asked=Decimal(str(members["asked"])),
        left=Decimal(str(members["left"])),
        resets_at=None if resets is None else datetime.fromisoformat(resets),
        message=message,
        created=now,
    )
    fact = Fact(
        environment=environment,
        customer_id=customer_id,
        type=REFUSED,
        subject=told,
        object_id=f"{REFUSED}/{customer}/{id}",
        now=now,
    )
    await notice.add_once(connection, [fact])
