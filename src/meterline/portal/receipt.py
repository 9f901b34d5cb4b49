"""The page of a charge that was paid: what a receipt says. Who has the address may open it."""

from fastapi import Request
from fastapi.responses import Response

from meterline.portal.page import page
from meterline.refusal import Missing
from meterline.store import payment as payments
from meterline.store.database import Database


async def show_receipt(database: Database, _request: Request, environment: str, id: str) -> Response:
    """What was paid, when, with which card, and how much of it went back. Raises Missing where nothing was."""
    async with database.begin() as tx:
        charge = (await payments.find_charges(tx, environment, [id])).get(id)
    if charge is None or charge.outcome != "succeeded":
        raise Missing(payments.CHARGE, id, subject=True)
    return page("receipt.html", charge=charge)
