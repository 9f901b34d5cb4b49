"""Who the customer is, as invoices say it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Address
from meterline.portal.guest import Done, Guest, Outcome, Section
from meterline.usecase.change_own_details import Details, change_own_details

_LONGEST = 200


async def show(_tx: AsyncConnection, guest: Guest) -> Mapping[str, Any]:
    """The details that the customer may change."""
    customer = guest.visit.customer
    return {
        "allowed": guest.visit.configuration.features.details.allowed,
        "address": customer.address or Address(),
    }


async def save(tx: AsyncConnection, guest: Guest) -> Outcome:
    """Keep what was entered; what was left empty is cleared."""
    said = {name: text[:_LONGEST] for name, text in guest.said.items()}
    parts = {name: said.get(name) for name in ("line1", "line2", "city", "state", "postal_code", "country")}
    address = Address(**parts) if any(parts.values()) else None
    details = Details(name=said.get("name"), email=said.get("email"), phone=said.get("phone"), address=address)
    await change_own_details(tx, guest.visit, details)
    return Done("saved")


SECTION = Section(
    name="details",
    title="Details",
    template="portal/details.html",
    show=show,
    has=lambda guest: guest.visit.configuration.features.details.enabled,
    acts={"save": save},
    flows=("customer_update",),
)
