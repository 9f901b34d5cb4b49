"""The wallet: what it holds and why, what it was spent on, how it is filled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from secrets import token_urlsafe
from typing import Any

from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.money import CURRENCIES, minor_digits, parse_decimal
from meterline.portal import card, transaction
from meterline.portal.guest import Done, Guest, Outcome, Section
from meterline.portal.shown import value
from meterline.refusal import Refusal
from meterline.store import asset as assets
from meterline.store import top_up as top_ups
from meterline.store import wallet as wallets
from meterline.store.database import driver
from meterline.usecase.set_recharge import AskedRecharge, set_recharge, stop_recharge
from meterline.usecase.top_up_wallet import Asked, begin
from meterline.wallet.pocket import Pocket

_MOST_GRANTS = 50
_PRESETS = (10, 25, 50, 100)
_DEFAULT_CURRENCY = "usd"

_REASONS = {
    "recharged": "Recharged",
    "declined": "The card was declined",
    "unanswered": "The bank has not answered yet",
    "disabled": "Auto-recharge is off",
    "above_threshold": "The balance is above the threshold",
    "in_flight": "A payment is on its way",
    "idle": "Nothing was used since the last recharge",
    "no_payment_method": "There is no card to pay with",
    "declined_too_often": "The card was declined too often; choose another one",
    "backing_off": "The card was declined lately",
    "cooling_off": "The last recharge was moments ago",
    "daily_limit": "The number of recharges of a day is used up",
    "monthly_cap": "The monthly cap is reached",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One asset of a wallet in its parts, in major units: paid + promotional − debt − lent = available."""

    asset: str
    available: Decimal
    paid: Decimal
    promotional: Decimal
    held: Decimal
    debt: Decimal
    lent: Decimal
    later: Decimal


async def pockets_of(tx: AsyncConnection, guest: Guest) -> list[Pocket]:
    """The visitor's pockets by asset."""
    if guest.wallet is None:
        return []
    customer_id = guest.wallet.customer_id
    found = await wallets.pockets(await driver(tx), {customer_id: guest.wallet})
    return [found[key] for key in sorted(found)]


def holding(pocket: Pocket, guest: Guest) -> Holding:
    """A pocket as it is explained."""
    nothing = Decimal(0)
    live = [grant for grant in pocket.grants if grant.live(guest.second)]
    waiting = [grant for grant in pocket.grants if grant.effective_at > guest.second]
    return Holding(
        asset=pocket.asset,
        available=pocket.available(guest.second),
        paid=sum((grant.free for grant in live if grant.funding == "paid"), nothing),
        promotional=sum((grant.free for grant in live if grant.funding == "promotional"), nothing),
        held=sum((grant.held for grant in pocket.grants), nothing),
        debt=pocket.debt,
        lent=pocket.lent,
        later=sum((grant.free for grant in waiting), nothing),
    )


async def show(tx: AsyncConnection, guest: Guest) -> Mapping[str, Any]:
    """Everything about the wallet."""
    assert guest.wallet is not None, "the section is for wallets"
    pockets = await pockets_of(tx, guest)
    grants = [grant for pocket in pockets for grant in pocket.grants if grant.remaining]
    before = guest.query.get("before", "")
    shown, older = await transaction.latest(
        tx, guest, before=int(before) if before.isascii() and before.isdigit() and len(before) < 18 else None
    )
    cards = await card.saved(tx, guest)
    return {
        "wallet": guest.wallet,
        "holdings": [holding(pocket, guest) for pocket in pockets],
        "grants": grants[:_MOST_GRANTS],
        "more_grants": max(len(grants) - _MOST_GRANTS, 0),
        "purchases": await _purchases(tx, guest, pockets),
        "recharges": await _recharges(tx, guest, pockets),
        "cards": cards,
        "transactions": shown,
        "older": older,
    }


async def _purchases(tx: AsyncConnection, guest: Guest, pockets: Sequence[Pocket]) -> list[dict[str, Any]]:
    """What can be bought for which money, with amounts to choose from."""
    offered: list[tuple[str, str]] = []
    for pocket in pockets:
        if pocket.asset.lower() in CURRENCIES:
            offered.append((pocket.asset, pocket.asset.lower()))
            continue
        rates = await assets.rates(tx, guest.visit.environment, pocket.asset)
        offered += [(pocket.asset, each.source.lower()) for each in rates if each.valid_to is None]
    if not offered:
        currency = guest.visit.customer.currency or _DEFAULT_CURRENCY
        offered.append((currency.upper(), currency))
    return [{"asset": asset, "currency": currency, "presets": _presets(currency)} for asset, currency in offered]


def _presets(currency: str) -> list[tuple[str, str]]:
    """Amounts of a currency to choose from: as sent, and as shown. Currencies without a minor unit have large units."""
    scale = 1 if minor_digits(currency) else 100
    amounts = [each * scale for each in _PRESETS]
    return [(str(amount), value(Decimal(amount), currency.upper())) for amount in amounts]


async def _recharges(tx: AsyncConnection, guest: Guest, pockets: Sequence[Pocket]) -> list[dict[str, Any]]:
    """The rule of each currency in the wallet, and what it decided lately."""
    customer_id = guest.visit.customer.customer_id
    found = []
    for pocket in pockets:
        if pocket.asset.lower() not in CURRENCIES:
            continue
        log = await top_ups.logged(tx, customer_id, pocket.asset, limit=5)
        told = [each | {"words": _REASONS.get(each["decision"], each["decision"])} for each in log]
        rule = await top_ups.rule(tx, customer_id, pocket.asset)
        found.append({"asset": pocket.asset, "rule": rule, "log": told})
    return found


def amount_in(guest: Guest, name: str, *, what: str) -> Decimal:
    """The amount in a field of the form. Refuses what is none."""
    said = guest.said.get(name)
    if said is None:
        raise Refusal(f"Enter {what}.", param=name)
    try:
        return parse_decimal(said.replace(",", "").lstrip("$€£¥ "))
    except Refusal:
        raise Refusal(f"Enter {what} as a number, such as 25 or 12.50.", param=name) from None


async def top_up(tx: AsyncConnection, guest: Guest) -> Outcome:
    """Ask for money, and send the visitor where it is paid."""
    said = guest.said
    if "preset" in said:
        amount = amount_in(guest, "preset", what="an amount")
    else:
        amount = amount_in(guest, "amount", what="an amount")
    if amount <= 0:
        raise Refusal("The amount is more than zero.", param="amount")
    made = await begin(
        tx,
        environment=guest.visit.environment,
        customer_id=guest.visit.customer.customer_id,
        asked=Asked(
            amount=amount,
            currency=said.get("currency", ""),
            asset=said.get("asset"),
            return_url=f"{guest.home}/balance?done=added",
        ),
        secret=token_urlsafe(24),
        metadata={},
        now=guest.visit.now,
    )
    return RedirectResponse(f"/top-ups/{made.id}/pay?secret={made.secret}", 303)


async def recharge(tx: AsyncConnection, guest: Guest) -> Outcome:
    """Set the rule by which the wallet recharges."""
    asset = guest.said.get("asset", "").upper()
    if guest.said.get("enabled") != "on":
        await stop_recharge(tx, customer=guest.visit.customer, asset=asset)
        return Done("not_recharging")
    if "payment_method" not in guest.said:
        raise Refusal("Save a card first: auto-recharge pays with it.", param="payment_method")
    cap = amount_in(guest, "monthly_cap", what="the monthly cap") if "monthly_cap" in guest.said else None
    await set_recharge(
        tx,
        customer=guest.visit.customer,
        asset=asset,
        asked=AskedRecharge(
            threshold=amount_in(guest, "threshold", what="when to recharge"),
            target=amount_in(guest, "target", what="up to how much to recharge"),
            monthly_cap=cap,
            payment_method=guest.said["payment_method"],
        ),
    )
    return Done("recharging")


SECTION = Section(
    name="balance",
    title="Balance",
    template="portal/balance.html",
    show=show,
    has=lambda guest: guest.wallet is not None,
    acts={"top-up": top_up, "recharge": recharge},
    live=True,
)
