"""What the customer is subscribed to, what it costs and until when; to end, to keep and to change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Graduated, PerUnit, Price, Product, Volume
from meterline.customer.portal import FlowItem
from meterline.invoice.describe import cadence
from meterline.money import display_exact
from meterline.portal.guest import Done, Guest, Outcome, Section
from meterline.refusal import Refusal
from meterline.store import offer
from meterline.store import price as prices
from meterline.store import product as products
from meterline.store import subscription as subscriptions
from meterline.store.offer import WalletSubscription
from meterline.subscription.model import Subscription
from meterline.subscription.self_service import Options, can_end, can_go_on
from meterline.usecase.change_own_subscription import (
    end_own_subscription,
    keep_own_subscription,
    own_options,
    switch_own_subscription,
)

_MOST = 20
_REASONS = {
    "customer_service": "Customer service was not what I expected",
    "low_quality": "The quality was not what I expected",
    "missing_features": "I miss features",
    "other": "Another reason",
    "switched_service": "I use something else now",
    "too_complex": "It is too hard to use",
    "too_expensive": "It is too expensive",
    "unused": "I do not use it enough",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """One item in words: how many of what, and what that costs."""

    name: str
    quantity: int | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A price that the subscription can move to."""

    id: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A subscription, and what its customer may do with it."""

    id: str
    name: str
    status: str
    bought: tuple[Bought, ...]
    next_at: datetime | None
    ends_at: datetime | None
    trial_end: datetime | None
    can_end: bool
    can_go_on: bool
    item: str | None = None
    quantity: int | None = None
    choices: tuple[Choice, ...] = ()
    minimum: int | None = None
    maximum: int | None = None


async def show(tx: AsyncConnection, guest: Guest) -> Mapping[str, Any]:
    """The customer's subscriptions, newest first, and those that their wallet pays; in a flow, the one it is about."""
    visit = guest.visit
    flow = visit.session.flow
    living = await subscriptions.of_customer(tx, customer_id=visit.customer.customer_id, live_only=False)
    if flow is not None and flow.subscription is not None and flow.type in SECTION.flows:
        living = [each for each in living if each.id == flow.subscription]
    living = [each for each in living if not each.ended][:_MOST] + [each for each in living if each.ended][:5]
    catalog, named = await _catalog(tx, guest, living)
    wallet = [] if guest.wallet is None else await offer.subscriptions(tx, visit.customer.customer_id)
    cancel = visit.configuration.features.cancel
    return {
        "subscriptions": [_shown(each, await _options(tx, guest, each), catalog, named, guest) for each in living],
        "wallet_subscriptions": [await _of_wallet(tx, guest, each) for each in wallet if each.status != "inactive"],
        "reasons": [(each, _REASONS[each]) for each in cancel.reasons] if cancel.asks_reason else [],
        "at_once": cancel.mode == "immediately",
        "planned": _planned(flow.items) if flow is not None else {},
    }


def _planned(items: Sequence[FlowItem]) -> dict[str, Any]:
    return {"price": items[0].price, "quantity": items[0].quantity} if items else {}


async def _catalog(
    tx: AsyncConnection, guest: Guest, living: Sequence[Subscription]
) -> tuple[dict[str, Price], dict[str, Product]]:
    switch = guest.visit.configuration.features.switch
    ids = {item.price for each in living for item in each.items}
    ids |= {id for each in switch.products for id in each.prices}
    found = await prices.find(tx, guest.visit.environment, ids)
    named = await products.find(tx, guest.visit.environment, sorted({each.product for each in found.values()}))
    return found, named


async def _options(tx: AsyncConnection, guest: Guest, subscription: Subscription) -> Options | None:
    return await own_options(tx, subscription, guest.visit.configuration.features)


def _shown(
    subscription: Subscription,
    found: Options | None,
    catalog: Mapping[str, Price],
    named: Mapping[str, Product],
    guest: Guest,
) -> Shown:
    features = guest.visit.configuration.features
    bought = tuple(
        Bought(
            name=_name(catalog[item.price], named),
            quantity=item.quantity,
            words=words(catalog[item.price].in_currency(subscription.currency)),
        )
        for item in subscription.items
        if item.price in catalog
    )
    bills = subscription.status in ("active", "trialing", "past_due", "unpaid") and subscription.cancel_at is None
    return Shown(
        id=subscription.id,
        name=subscription.description or " + ".join(dict.fromkeys(each.name for each in bought)),
        status=subscription.status,
        bought=bought,
        next_at=subscription.next_boundary if bills else None,
        ends_at=subscription.ended_at or subscription.cancel_at,
        trial_end=subscription.trial_end if subscription.status == "trialing" else None,
        can_end=can_end(subscription, features),
        can_go_on=can_go_on(subscription, features),
        item=None if found is None else found.item.id,
        quantity=None if found is None else found.item.quantity,
        choices=()
        if found is None
        else tuple(Choice(id=each.id, words=f"{_name(each, named)}, {words(each)}") for each in found.prices),
        minimum=None if found is None else found.minimum,
        maximum=None if found is None else found.maximum,
    )


def _name(price: Price, named: Mapping[str, Product]) -> str:
    product = named.get(price.product)
    return price.product if product is None else product.name


def words(price: Price) -> str:
    """What a price costs, in a few words: `$20.00 / month`, `from $0.10 by use / month`."""
    every = "" if price.interval is None else f" / {cadence(price.interval)}"
    by_use = " by use" if price.metered else ""
    model = price.model
    if isinstance(model, PerUnit):
        each = " each" if price.metered else ""
        return f"{display_exact(model.unit, price.currency)}{each}{by_use}{every}"
    if isinstance(model, Graduated | Volume):
        units = [tier.unit for tier in model.tiers if tier.unit is not None]
        if units:
            return f"from {display_exact(min(units), price.currency)}{by_use}, in tiers{every}"
    return f"priced{by_use or ' as agreed'}{every}"


async def _of_wallet(tx: AsyncConnection, guest: Guest, subscription: WalletSubscription) -> dict[str, Any]:
    ids = sorted(each.product for each in subscription.products)
    named = await products.find(tx, guest.visit.environment, ids)
    return {
        "name": " + ".join(named[each.product].name for each in subscription.products if each.product in named),
        "versions": [each.version for each in subscription.products],
        "status": subscription.status,
        "since": subscription.starts_at,
    }


async def end(tx: AsyncConnection, guest: Guest) -> Outcome:
    """End a subscription as the configuration says."""
    said = guest.said
    await end_own_subscription(
        tx,
        guest.visit,
        id=said.get("id", ""),
        feedback=said.get("feedback"),
        comment=said.get("comment", "")[:500] or None,
        wall=guest.wall,
    )
    return Done("ended")


async def keep(tx: AsyncConnection, guest: Guest) -> Outcome:
    """Call the planned end off."""
    await keep_own_subscription(tx, guest.visit, id=guest.said.get("id", ""), wall=guest.wall)
    return Done("kept")


async def switch(tx: AsyncConnection, guest: Guest) -> Outcome:
    """Move to another price or quantity."""
    said = guest.said
    quantity = said.get("quantity")
    if quantity is not None and not (quantity.isascii() and quantity.isdigit() and len(quantity) <= 6):
        raise Refusal("Enter the quantity as a whole number.", param="quantity")
    item = FlowItem(
        id=said.get("item", ""),
        price=said.get("price"),
        quantity=None if quantity is None else int(quantity),
    )
    await switch_own_subscription(tx, guest.visit, id=said.get("id", ""), items=[item], wall=guest.wall)
    return Done("changed")


SECTION = Section(
    name="subscriptions",
    title="Subscriptions",
    template="portal/subscriptions.html",
    show=show,
    has=lambda _: True,
    acts={"end": end, "keep": keep, "switch": switch},
    flows=("subscription_cancel", "subscription_update", "subscription_update_confirm"),
)
