"""The cards that the customer pays with: to add, to choose, to remove."""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.portal import card
from meterline.portal.guest import Done, Guest, Outcome, Section
from meterline.usecase.keep_own_card import add_own_card, choose_own_card, remove_own_card


async def show(tx: AsyncConnection, guest: Guest) -> Mapping[str, Any]:
    """The saved cards, the default one first."""
    usual = guest.visit.customer.invoice_settings.default_payment_method
    cards = await card.saved(tx, guest)
    return {"cards": sorted(cards, key=lambda each: each.id != usual), "usual": usual}


async def add(tx: AsyncConnection, guest: Guest) -> Outcome:
    """Save a card; where its holder has to confirm, go there first."""
    added = await add_own_card(
        tx,
        guest.visit,
        card.card_of(guest.said),
        name=guest.said.get("name"),
        default=guest.said.get("default") == "on",
        return_url=f"{guest.home}/payment-methods",
        wall=guest.wall,
    )
    if added.setup.status == "requires_action":
        address = f"/hosted/authentication/{added.setup.environment}/{added.setup.id}"
        return RedirectResponse(f"{address}?secret={added.setup.client_secret}", 303)
    return Done("card_added")


async def choose(tx: AsyncConnection, guest: Guest) -> Outcome:
    """Pay with that card from now on."""
    await choose_own_card(tx, guest.visit, id=guest.said.get("id", ""), wall=guest.wall)
    return Done("card_chosen")


async def remove(tx: AsyncConnection, guest: Guest) -> Outcome:
    """Remove a card."""
    await remove_own_card(tx, guest.visit, id=guest.said.get("id", ""))
    return Done("card_removed")


SECTION = Section(
    name="payment-methods",
    title="Payment methods",
    template="portal/payment_methods.html",
    show=show,
    has=lambda guest: guest.visit.configuration.features.cards,
    acts={"add": add, "choose": choose, "remove": remove},
    flows=("payment_method_update",),
)
