"""Debit wallets for usage, in the transaction that stores it.

A batch is settled in the order of arrival, customer by customer: what the batch comes to equals what its events
would have come to one at a time. The books of all customers concerned are locked first, in the order of ids; then
a fixed number of statements reads, and a fixed number writes, however many events there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import assert_never
from uuid import UUID

import msgspec

from meterline.catalog import ByDimension, Price
from meterline.catalog.offer import span_start
from meterline.ledger.account import Account
from meterline.ledger.transaction import SCALE, Cause, Head, LedgerTransaction, Transfer
from meterline.meter import Formula
from meterline.money import to_major
from meterline.rating.line import exact_total
from meterline.rating.rate import for_dimensions, rate
from meterline.store import ledger, offer, wallet
from meterline.store.identifier import uuid7
from meterline.store.ledger import Connection
from meterline.store.offer import Fee, TallyKey, Tariff
from meterline.store.wallet import Touched, Wallet
from meterline.wallet.grant import Grant
from meterline.wallet.pocket import Pocket, fund, record


class Usage(msgspec.Struct, frozen=True, gc=False):
    """One stored event, as far as wallets care. `formula` is its meter's; instants are UTC."""

    customer_id: UUID
    identifier: str
    identifier16: UUID
    meter: str
    formula: Formula
    value: Decimal
    dimensions: Mapping[str, str]
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Debited:
    """What an event cost (nothing: no price of a wallet applies) and what is available after it, per asset."""

    fees: tuple[Fee, ...]
    available: Mapping[str, Decimal]


@dataclass(slots=True)
class _Books:
    """One customer's part of a batch, while it is being settled."""

    wallet: Wallet
    pockets: dict[str, Pocket]
    tariffs: dict[str, list[Tariff]]
    head: Head
    transactions: list[LedgerTransaction]


async def debit_usage(
    connection: Connection,
    *,
    environment: str,
    usages: Sequence[Usage],
    prices: Mapping[str, Price],
    now: datetime,
) -> dict[int, Debited]:
    """Debit the wallets for usage that was just stored. Keyed by the usage's position; usage that no wallet pays
    for is left out.

    `prices` are the catalog's by id, as of the catalog version that the caller checks. Runs inside the caller's
    transaction; `now` is the wall clock.
    """
    concerned = {usage.customer_id for usage in usages}
    tariffs = [each for each in await offer.tariffs(connection, concerned) if each.price in prices]
    if not tariffs:
        return {}
    books = await _open(connection, environment, tariffs)
    tallies = await offer.tallies(connection, _keys(usages, books, prices))
    settling = _Settling(prices=prices, reached=dict(tallies), changed={}, now=now)
    before = {customer_id: dict(book.pockets) for customer_id, book in books.items()}
    done = {
        position: settling.settle(books[usage.customer_id], usage)
        for position, usage in enumerate(usages)
        if usage.customer_id in books and usage.meter in books[usage.customer_id].tariffs
    }
    await ledger.book_all(
        connection,
        environment=environment,
        heads={customer_id: book.head for customer_id, book in books.items()},
        transactions={customer_id: book.transactions for customer_id, book in books.items()},
        now=now,
    )
    await wallet.write(connection, environment=environment, touched=_touched(books, before))
    await offer.save_tallies(connection, environment=environment, reached=settling.changed)
    await offer.add_fees(
        connection, environment=environment, fees=[fee for each in done.values() for fee in each.fees]
    )
    return done


async def _open(
    connection: Connection, environment: str, tariffs: Sequence[Tariff]
) -> dict[UUID, _Books]:
    customer_ids = {tariff.customer_id for tariff in tariffs}
    heads = await ledger.lock(connection, environment=environment, customer_ids=customer_ids)
    wallets = await wallet.find(connection, customer_ids)
    pockets = await wallet.pockets(connection, wallets)
    books = {
        customer_id: _Books(wallet=found, pockets={}, tariffs={}, head=heads[customer_id], transactions=[])
        for customer_id, found in wallets.items()
    }
    for (customer_id, asset), pocket in pockets.items():
        books[customer_id].pockets[asset] = pocket
    for tariff in tariffs:
        if tariff.customer_id in books:
            books[tariff.customer_id].tariffs.setdefault(tariff.meter, []).append(tariff)
    return books


def _keys(
    usages: Sequence[Usage], books: Mapping[UUID, _Books], prices: Mapping[str, Price]
) -> list[TallyKey]:
    keys = {
        _key(usage, tariff, prices[tariff.price])
        for usage in usages
        if usage.customer_id in books
        for tariff in books[usage.customer_id].tariffs.get(usage.meter, ())
    }
    return sorted(keys)


def _key(usage: Usage, tariff: Tariff, price: Price) -> TallyKey:
    span = span_start(tariff.cadence, usage.occurred_at)
    return (usage.customer_id, tariff.subscription, tariff.price, cell(price, usage.dimensions), span)


def cell(price: Price, dimensions: Mapping[str, str]) -> str:
    """The name of the row of a rate table that prices these dimension values; empty for other prices."""
    if not isinstance(price.model, ByDimension):
        return ""
    found = price.model.row_for(dimensions)
    return "-" if found is None else "/".join(f"{key}={found.match[key]}" for key in price.model.keys)


def _touched(books: Mapping[UUID, _Books], before: Mapping[UUID, Mapping[str, Pocket]]) -> list[Touched]:
    return [
        Touched(
            customer_id=customer_id, before=before[customer_id].get(asset) or Pocket(asset=asset), after=pocket
        )
        for customer_id, book in books.items()
        for asset, pocket in book.pockets.items()
        if pocket is not before[customer_id].get(asset)
    ]


@dataclass(slots=True)
class _Settling:
    """The running state of a batch: how far each quantity has come, and which of that is new."""

    prices: Mapping[str, Price]
    reached: dict[TallyKey, Decimal]
    changed: dict[TallyKey, Decimal]
    now: datetime

    def settle(self, books: _Books, usage: Usage) -> Debited:
        """Debit one event under every price that applies to it."""
        fees: list[Fee] = []
        transfers: list[Transfer] = []
        for tariff in books.tariffs[usage.meter]:
            if usage.occurred_at < tariff.starts_at:
                continue
            fee = self._fee(usage, tariff)
            if fee.amount:
                transfers += _move(books, usage, tariff, fee.amount, now=self.now)
            fees.append(fee)
        if transfers:
            cause = Cause("event", usage.identifier)
            books.transactions.append(
                LedgerTransaction(cause=cause, business_at=usage.occurred_at, transfers=tuple(transfers))
            )
            number = books.head.number + len(books.transactions)
            fees = [msgspec.structs.replace(fee, transaction=number if fee.amount else None) for fee in fees]
        available = {fee.asset: _pocket(books, fee.asset).available(self.now) for fee in fees}
        return Debited(fees=tuple(fees), available=available)

    def _fee(self, usage: Usage, tariff: Tariff) -> Fee:
        price = self.prices[tariff.price]
        key = _key(usage, tariff, price)
        before = self.reached.get(key)
        after = _after(usage, before)
        self.reached[key] = self.changed[key] = after
        return Fee(
            customer_id=usage.customer_id,
            occurred_at=usage.occurred_at,
            identifier16=usage.identifier16,
            price=tariff.price,
            subscription=tariff.subscription,
            product=tariff.product,
            version=tariff.version,
            cell=key[3],
            before=before,
            after=after,
            asset=tariff.asset,
            amount=fee_amount(price, tariff, before=before, after=after, dimensions=usage.dimensions),
            transaction=None,
        )


def fee_amount(
    price: Price, tariff: Tariff, *, before: Decimal | None, after: Decimal, dimensions: Mapping[str, str]
) -> Decimal:
    """What taking the quantity from `before` to `after` costs, in major units of the tariff's asset.

    The cost of a quantity is rounded to the books' scale before costs are subtracted, so that fees add up to the
    cost of the whole however usage is cut; the bounds of the tariff are per event.
    """
    if isinstance(price.model, ByDimension) and price.model.row_for(dimensions) is None:
        return Decimal(0)
    priced = for_dimensions(price, dimensions)
    amount = _cost(priced, after) - (Decimal(0) if before is None else _cost(priced, before))
    if amount > 0 and tariff.minimum is not None:
        amount = max(amount, tariff.minimum)
    if tariff.maximum is not None:
        amount = min(amount, tariff.maximum)
    return amount


def _cost(price: Price, quantity: Decimal) -> Decimal:
    return to_major(exact_total(rate(price=price, quantity=quantity)), price.currency).quantize(SCALE)


def _after(usage: Usage, before: Decimal | None) -> Decimal:
    match usage.formula:
        case "sum":
            return usage.value if before is None else before + usage.value
        case "count":
            return Decimal(1) if before is None else before + 1
        case "max":
            return usage.value if before is None else max(before, usage.value)
        case "last":
            return usage.value
        case "unique":
            raise AssertionError("a price on a meter of distinct values is not debited by event")
        case _:
            assert_never(usage.formula)


def _pocket(books: _Books, asset: str) -> Pocket:
    return books.pockets.get(asset) or Pocket(asset=asset, overdraft_limit=books.wallet.overdraft_limit)


def _move(
    books: _Books, usage: Usage, tariff: Tariff, amount: Decimal, *, now: datetime
) -> tuple[Transfer, ...]:
    """Debit the fee; a negative one, of usage that was taken back, returns as a grant."""
    pocket = _pocket(books, tariff.asset)
    if amount > 0:
        marks = (tariff.price, tariff.product, tariff.meter)
        books.pockets[tariff.asset], debit = record(pocket, amount, at=now, marks=marks)
        return debit.transfers
    back = Grant(
        id=f"back_{usage.identifier16}_{tariff.price}",
        asset=tariff.asset,
        funding="paid",
        purpose="adjustment",
        granted=-amount,
        remaining=-amount,
        effective_at=now,
        created=now,
        sequence=uuid7(),
        source=usage.identifier,
    )
    books.pockets[tariff.asset], transfers = fund(pocket, back, source=Account("revenue", tariff.asset))
    return transfers


