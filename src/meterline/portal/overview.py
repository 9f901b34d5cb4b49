"""What matters at a glance: what is left, what was spent, what comes next."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.portal import transaction, usage
from meterline.portal.balance import holding, pockets_of
from meterline.portal.guest import Guest, Section
from meterline.portal.limits import standings


async def show(tx: AsyncConnection, guest: Guest) -> Mapping[str, Any]:
    """Balances, this month's spending, next invoices, alerts that were crossed, the latest entries."""
    entries, _ = await transaction.latest(tx, guest, limit=5) if guest.wallet is not None else ([], None)
    return {
        "holdings": [holding(pocket, guest) for pocket in await pockets_of(tx, guest)],
        "months": await usage.months(tx, guest),
        "bills": await usage.bills(tx, guest),
        "alerts": [each for each in await standings(tx, guest) if each.crossed],
        "entries": entries,
    }


SECTION = Section(
    name="overview",
    title="Overview",
    template="portal/overview.html",
    show=show,
    has=lambda _: True,
    live=True,
)
