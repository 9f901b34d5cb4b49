"""What moved in a wallet, one entry for each thing that happened, with the price behind each fee."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import ByDimension, PerUnit, Price
from meterline.ledger.account import WALLET
from meterline.ledger.audit import Row
from meterline.money import display_exact
from meterline.portal.guest import Guest
from meterline.portal.shown import number
from meterline.store import ledger, offer, wallet_event
from meterline.store import product as products
from meterline.store.database import driver
from meterline.store.offer import Fee
from meterline.store.wallet_event import WalletEvent

_TRANSFERS = 120

_WORDS = {
    "event": "Usage",
    "event.void": "Usage taken back",
    "fee": "Fee",
    "capture": "Usage, held before",
    "hold": "Set aside",
    "extension": "Set aside, longer",
    "release": "Set free again",
    "hold_expiry": "Set free again",
    "payment": "Top-up",
    "grant": "Credit",
    "entitlement": "Included credit",
    "adjustment": "Adjustment",
    "expiry": "Expired",
    "refund": "Refund",
    "dispute": "Disputed payment",
    "subscription_fee": "Subscription",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened. `changes` says what it added to the wallet (negative: took from it), per asset;
    `aside` what it set aside or (negative) freed, which changes what is available and not what is owned."""

    number: int
    at: datetime
    what: str
    lines: tuple[str, ...]
    changes: tuple[tuple[str, Decimal], ...]
    aside: tuple[tuple[str, Decimal], ...]


async def latest(
    tx: AsyncConnection, guest: Guest, *, before: int | None = None, limit: int = 25
) -> tuple[list[Entry], int | None]:
    """The newest entries, at most `limit`, and the number that older ones come before, where there may be some."""
    customer_id = guest.visit.customer.customer_id
    rows = await ledger.rows_of(tx, customer_id=customer_id, before=before, limit=_TRANSFERS)
    groups = [list(each) for _, each in groupby(rows, key=lambda row: row.number)]
    whole = groups[:-1] if len(rows) == _TRANSFERS and len(groups) > 1 else groups
    moved = [each for each in whole if any(_sides(row) != (False, False) for row in each)][:limit]
    fees = await _fees(tx, guest, moved)
    entries = [_entry(each, fees.get(each[0].number, ())) for each in moved]
    last = moved[-1][0].number if len(moved) == limit else whole[-1][0].number if len(rows) == _TRANSFERS else None
    return entries, last


def _sides(row: Row) -> tuple[bool, bool]:
    return row.transfer.debit.kind in WALLET, row.transfer.credit.kind in WALLET


def _entry(rows: Sequence[Row], lines: Iterable[str]) -> Entry:
    changes: dict[str, Decimal] = {}
    aside: dict[str, Decimal] = {}
    for row in rows:
        asset, amount = row.transfer.debit.asset, row.transfer.amount
        taken, given = _sides(row)
        changes[asset] = changes.get(asset, Decimal(0)) + amount * (given - taken)
        held = (row.transfer.credit.kind == "held") - (row.transfer.debit.kind == "held")
        aside[asset] = aside.get(asset, Decimal(0)) + amount * held
    first = rows[0]
    return Entry(
        number=first.number,
        at=first.business_at,
        what=_WORDS.get(first.cause.kind, first.cause.kind.replace("_", " ").capitalize()),
        lines=tuple(lines),
        changes=tuple((asset, each) for asset, each in changes.items() if each),
        aside=tuple((asset, each) for asset, each in aside.items() if each and not changes[asset]),
    )


async def _fees(tx: AsyncConnection, guest: Guest, groups: Sequence[Sequence[Row]]) -> dict[int, list[str]]:
    """By transaction, the price lines of the fees that it booked."""
    by_usage = [each[0] for each in groups if each[0].cause.kind == "event"]
    if not by_usage:
        return {}
    connection = await driver(tx)
    customer_id, environment = guest.visit.customer.customer_id, guest.visit.environment
    fees = await offer.fees_booked(
        connection,
        customer_id=customer_id,
        occurred_at=[row.business_at for row in by_usage],
        transactions=[row.number for row in by_usage],
    )
    prices = await offer.prices(connection, environment, {fee.price for fee in fees})
    named = await products.find(tx, environment, sorted({fee.product for fee in fees}))
    events = await wallet_event.find(connection, customer_id, [row.cause.id for row in by_usage])
    told = {row.number: events.get(row.cause.id) for row in by_usage}
    lines: dict[int, list[str]] = {}
    for fee in fees:
        assert fee.transaction is not None, "it was found by its transaction"
        product = named.get(fee.product)
        name = fee.product if product is None else product.name
        lines.setdefault(fee.transaction, []).append(
            _fee_line(fee, name, in_asset(prices.get(fee.price), fee.asset), told.get(fee.transaction))
        )
    return lines


def _fee_line(fee: Fee, product: str, price: Price | None, event: WalletEvent | None) -> str:
    quantity = fee.after if fee.before is None else fee.after - fee.before
    nickname = "" if price is None or price.nickname is None else f", {price.nickname}"
    cell = f" ({fee.cell})" if fee.cell else ""
    words = "" if price is None else rate_words(price)
    subject = "" if event is None or event.subject is None else f" · {event.subject}"
    return f"{number(quantity)} × {product}{nickname}{cell}{words and ' at '}{words}{subject}"


def rate_words(price: Price) -> str:
    """What a unit costs, in a few words; tables and tiers are only named."""
    model = price.model
    if isinstance(model, PerUnit):
        return f"{display_exact(model.unit, price.currency)} each"
    if isinstance(model, ByDimension):
        return "its rate"
    return {"graduated": "graduated tiers", "volume": "volume tiers", "package": "package rates"}.get(model.kind, "")


def in_asset(price: Price | None, asset: str) -> Price | None:
    """The price as it is for that asset; null where it has no amount in it."""
    return price.in_currency(asset.lower()) if price is not None and price.sold_in(asset.lower()) else None
