"""Tell that a budget refused a call."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.limit.budget import BudgetRefused
from meterline.store import notice
from meterline.store.database import driver
from meterline.store.notice import Fact

REFUSED = "budget.refused"


async def tell_refusal(
    tx: AsyncConnection,
    *,
    customer: Customer,
    id: str,
    message: str,
    members: Mapping[str, str | None],
    now: datetime,
) -> None:
    """Tell a refusal once per id of the caller's, however often the call is repeated.

    `members` are those of `BudgetExceeded`, plain as they are kept; `now` is the customer's time, UTC.
    """
    resets = members["resets_at"]
    told = BudgetRefused(
        id=id,
        environment=customer.environment,
        customer=customer.id,
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
        environment=customer.environment,
        customer_id=customer.customer_id,
        type=REFUSED,
        subject=told,
        object_id=f"{REFUSED}/{customer.id}/{id}",
        now=now,
    )
    await notice.add_once(await driver(tx), [fact])
