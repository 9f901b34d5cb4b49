"""Where a customer goes on who has paid a top-up."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer.portal import is_link
from meterline.store import customer as customers
from meterline.store import offer
from meterline.store.top_up import TopUp
from meterline.usecase.configure_portal import default_configuration
from meterline.usecase.open_portal import AskedPortal, Opened, open_portal


async def lead_on(tx: AsyncConnection, paid: TopUp, *, now: datetime) -> Opened | str | None:
    """Into the portal where the subscription that it pays for says so, else to its address; null: nowhere else.

    `now` is the wall clock, UTC.
    """
    named = paid.metadata.get("subscription")
    found = await offer.subscriptions(tx, paid.customer_id, id=named) if isinstance(named, str) else []
    if not found or found[0].redirect_to != "portal":
        return paid.return_url
    back = paid.return_url if paid.return_url is not None and is_link(paid.return_url) else None
    return await open_portal(
        tx,
        customer=(await customers.find_all(tx, [paid.customer_id]))[paid.customer_id],
        configuration=await default_configuration(tx, paid.environment, now=now),
        asked=AskedPortal(return_url=back),
        now=now,
    )
