"""The customer's invoices, newest first, each with its own page."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.portal.guest import Guest, Section
from meterline.refusal import Missing
from meterline.store import invoice as invoices
from meterline.store.invoice import Filter
from meterline.store.page import Cursor

_PAGE = 20

STATUS = {"open": "Open", "paid": "Paid", "void": "Void", "uncollectible": "Overdue"}


async def show(tx: AsyncConnection, guest: Guest) -> Mapping[str, Any]:
    """One page of invoices that were finalized; drafts may still change and are the preview's to show."""
    visit = guest.visit
    after = guest.query.get("after")
    if after is not None:
        found = (await invoices.find(tx, visit.environment, [after])).get(after)
        if found is None or found.customer_id != visit.customer.customer_id:
            raise Missing("invoice", after, subject=True)
    cursor = Cursor(limit=_PAGE, starting_after=after)
    page = await invoices.listed(tx, visit.environment, cursor, Filter(customer_id=visit.customer.customer_id))
    rows = await invoices.assemble(tx, page.rows)
    return {
        "invoices": [each for each in rows if each.status != "draft"],
        "older": rows[-1].id if page.has_more else None,
        "status_words": STATUS,
    }


SECTION = Section(
    name="invoices",
    title="Invoices",
    template="portal/invoices.html",
    show=show,
    has=lambda guest: guest.visit.configuration.features.invoices,
)
