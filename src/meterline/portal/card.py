"""Cards on pages: the one that somebody types in, and those that are saved."""

import re
from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.gateway.processor import CardDetails
from meterline.payment.method import PaymentMethod
from meterline.portal.guest import Guest
from meterline.refusal import Declined
from meterline.store import payment_method
from meterline.store.page import Cursor
from meterline.store.row import load

MOST = 20
"""Saved cards that are shown."""

_EXPIRY = re.compile(r"(\d{1,2})\s*/\s*(\d{2}|\d{4})")


def card_of(sent: Mapping[str, str]) -> CardDetails:
    """The card in a submitted form. Raises Declined where a field cannot be read."""
    expiry = _EXPIRY.fullmatch(sent.get("expiry", ""))
    if expiry is None:
        raise Declined("Enter the card's expiry as MM / YY.", code="invalid_expiry_month", param="expiry")
    if "number" not in sent:
        raise Declined("Enter the card's number.", code="incorrect_number", param="number")
    return CardDetails(
        number=sent["number"],
        exp_month=int(expiry[1]),
        exp_year=int(expiry[2]),
        cvc=sent.get("cvc"),
    )


async def saved(tx: AsyncConnection, guest: Guest) -> list[PaymentMethod]:
    """The visitor's cards, newest first, at most MOST of them."""
    visit = guest.visit
    cursor = Cursor(limit=MOST)
    page = await payment_method.of_customer(tx, visit.environment, visit.customer.customer_id, cursor)
    return [load(PaymentMethod, row) for row in page.rows]
