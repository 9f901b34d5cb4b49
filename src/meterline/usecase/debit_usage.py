"""Debit wallets for usage, in the transaction that stores it.

A batch is settled in the order of arrival, customer by customer: what the batch comes to equals what its events
would have come to one at a time. The books of all customers concerned are locked first, in the order of ids; then
a fixed number of statements reads, and a fixed number writes, however many events there are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol, assert_never
from uuid import UUID

import msgspec

from meterline.catalog import ByDimension, Price
from meterline.catalog.rate_cell import cell, of_cell
from meterline.ledger.account import Account
from meterline.ledger.transaction import Cause, Head, LedgerTransaction, Transfer
from meterline.meter import Formula
from meterline.money import add, round_debit, subtract, to_major
from meterline.rating.line import exact_total
from meterline.rating.rate import for_dimensions, rate
from meterline.store import fee as fee_store
from meterline.store import ledger, offer, spending, top_up, wallet
from meterline.store.event import NewEvent
from meterline.store.identifier import uuid7
from meterline.store.ledger import Connection
from meterline.store.offer import Fee, Tally, TallyKey, Tariff
from meterline.store.wallet import Touched, Wallet
from meterline.usecase.count_on_budgets import count_usage
from meterline.usecase.seed_tally import seeds
from meterline.usecase.watch_balance import watch_balances
from meterline.wallet.grant import Grant
from meterline.wallet.pocket import Pocket, Running, fund

NOTHING = Decimal(0)
ONE = Decimal(1)

_decode = msgspec.json.Decoder(dict[str, str]).decode


class Debited(msgspec.Struct, frozen=True, gc=False):
    """What an event cost (nothing: no price of a wallet applies) and what is available after it, per asset."""

    fees: tuple[Fee, ...]
    available: Mapping[str, Decimal]


class _Moved(msgspec.Struct, frozen=True, gc=False):
    """A quantity that an event moves, and the ways to pay for it, in the order in which they are tried."""

    tariffs: tuple[Tariff, ...]
    key: TallyKey
    dimensions: dict[str, str]


@dataclass(slots=True)
class _Books:
    """One customer's part of a batch, while it is being settled."""

    wallet: Wallet
    now: datetime
    pockets: dict[str, Pocket]
    tariffs: dict[str, list[Tariff]]
    head: Head
    transactions: list[LedgerTransaction]
    running: dict[str, Running]

    def run(self, asset: str) -> Running:
        """The pocket of that asset, open for debits."""
        running = self.running.get(asset)
        if running is None:
            pocket = self.pockets.get(asset) or Pocket(asset=asset, overdraft_limit=self.wallet.overdraft_limit)
            running = self.running[asset] = Running(pocket, self.now)
        return running

    def settle(self) -> None:
        """Close the debits: the pockets are as they left them."""
        for asset, running in self.running.items():
            self.pockets[asset] = running.pocket()
        self.running.clear()


async def debit_usage(
    connection: Connection,
    *,
    environment: str,
    events: Sequence[NewEvent],
    now: datetime,
    replay_at: datetime | None = None,
    only: str | None = None,
) -> dict[int, Debited]:
    """Debit the wallets for events of one environment that were just stored, in the order given.

    Keyed by the event's position; events that no wallet pays for are left out. Runs inside the caller's transaction;
    `now` is the wall clock, customers on a test clock have their own. Events that waited to be priced are
    replayed `replay_at` an instant, and priced as of it where nothing priced them when they happened. Events that were
    stored before are debited by the `only` subscription that was not seen then.
    """
    clocks = await wallet.clocks(connection, {event.customer_id for event in events})
    if not clocks:
        return {}
    done = await _debit(connection, environment, events, clocks, now, replay_at, only)
    fees = {position: each.fees for position, each in done.items()}
    mine = [(event, fees.get(position, ())) for position, event in enumerate(events) if event.customer_id in clocks]
    await count_usage(connection, environment=environment, used=mine, now=now, fees_alone=only is not None)
    return done


async def _debit(
    connection: Connection,
    environment: str,
    events: Sequence[NewEvent],
    clocks: Mapping[UUID, datetime | None],
    now: datetime,
    replay_at: datetime | None,
    only: str | None,
) -> dict[int, Debited]:
    books = await _open(connection, environment, clocks, now, only)
    concerned = [
        (position, event)
        for position, event in enumerate(events)
        if event.customer_id in books and event.meter in books[event.customer_id].tariffs
    ]
    if not concerned:
        return {}
    ids = {tariff.price for book in books.values() for of_meter in book.tariffs.values() for tariff in of_meter}
    prices = await offer.prices(connection, environment, ids)
    settling = _Settling(prices=prices, reached={}, changed={}, costs={}, replay_at=replay_at)
    opened = [(position, event, settling.open(books[event.customer_id], event)) for position, event in concerned]
    keys = {each.key: each.tariffs[0] for _, _, moved in opened for each in moved}
    settling.reached = await offer.tallies(connection, sorted(keys))
    settling.reached |= await seeds(connection, environment, prices, keys, settling.reached)
    before = {customer_id: dict(book.pockets) for customer_id, book in books.items()}
    done = {position: settling.settle(books[event.customer_id], event, moved) for position, event, moved in opened}
    for book in books.values():
        book.settle()
    await ledger.book_all(
        connection,
        environment=environment,
        heads={customer_id: book.head for customer_id, book in books.items()},
        transactions={customer_id: book.transactions for customer_id, book in books.items()},
        now=now,
    )
    touched = _touched(books, before)
    await wallet.write(connection, environment=environment, touched=touched)
    await watch_balances(
        connection,
        environment=environment,
        touched=touched,
        now_of=lambda customer_id: books[customer_id].now,
    )
    await top_up.wake(connection, [_seen(books[each.customer_id], each) for each in touched])
    await offer.save_tallies(connection, environment=environment, reached=settling.changed)
    fees = [fee for each in done.values() for fee in each.fees]
    await fee_store.add(connection, environment=environment, fees=fees)
    await spending.add(connection, environment=environment, parts=[_spent(fee) for fee in fees])
    return done


async def _open(
    connection: Connection,
    environment: str,
    clocks: Mapping[UUID, datetime | None],
    now: datetime,
    only: str | None,
) -> dict[UUID, _Books]:
    """The books of the customers who have a wallet, locked, then read."""
    heads = await ledger.lock(connection, environment=environment, customer_ids=clocks)
    wallets = await wallet.find(connection, clocks)
    books = {
        customer_id: _Books(
            wallet=found,
            now=clocks[customer_id] or now,
            pockets={},
            tariffs={},
            head=heads[customer_id],
            transactions=[],
            running={},
        )
        for customer_id, found in wallets.items()
    }
    for (customer_id, asset), pocket in (await wallet.pockets(connection, wallets)).items():
        books[customer_id].pockets[asset] = pocket
    for tariff in await offer.tariffs(connection, wallets):
        if only in (None, tariff.subscription):
            books[tariff.customer_id].tariffs.setdefault(tariff.meter, []).append(tariff)
    return books


def _spent(fee: Fee) -> spending.Part:
    return (fee.customer_id, fee.asset, fee.occurred_at.astimezone(UTC).date(), fee.price, fee.paid)


def _seen(books: _Books, touched: Touched) -> tuple[UUID, str, Decimal, datetime]:
    return (touched.customer_id, touched.after.asset, touched.after.available(books.now), books.now)


def _touched(books: Mapping[UUID, _Books], before: Mapping[UUID, Mapping[str, Pocket]]) -> list[Touched]:
    return [
        Touched(customer_id=customer_id, before=before[customer_id].get(asset) or Pocket(asset=asset), after=pocket)
        for customer_id, book in books.items()
        for asset, pocket in book.pockets.items()
        if pocket is not before[customer_id].get(asset)
    ]


@dataclass(slots=True)
class _Settling:
    """The running state of a batch: how far each quantity has come, and which of that is new."""

    prices: Mapping[str, Price]
    reached: dict[TallyKey, Tally]
    changed: dict[TallyKey, Tally]
    costs: dict[tuple[TallyKey, str], tuple[Decimal, Decimal]]
    """By price: a quantity, and what it costs."""
    replay_at: datetime | None

    def open(self, books: _Books, event: NewEvent) -> list[_Moved]:
        """Which quantities an event moves."""
        dimensions = _decode(event.dimensions) if event.dimensions else {}
        tariffs_of = books.tariffs[event.meter]
        if self.replay_at is not None:
            ways = pricing_ways(tariffs_of, event, self.prices, now=max(self.replay_at, books.now))
        else:
            ways = ways_to_pay(tariffs_of, event.occurred_at)
        return [
            _Moved(
                tariffs,
                (
                    event.customer_id,
                    tariffs[0].subscription,
                    tariffs[0].counter,
                    cell(self.prices[tariffs[0].price], dimensions),
                    tariffs[0].span(event.occurred_at),
                ),
                dimensions,
            )
            for tariffs in ways
        ]

    def settle(self, books: _Books, event: NewEvent, moved: list[_Moved]) -> Debited:
        """Debit one event under every price that applies to it."""
        fees: list[Fee] = []
        transfers: tuple[Transfer, ...] = ()
        number = books.head.number + len(books.transactions) + 1
        for each in moved:
            fee, moves = self._fee(books, event, each, number)
            transfers += moves
            fees.append(fee)
        if transfers:
            cause = Cause("event", event.identifier)
            books.transactions.append(
                LedgerTransaction(cause=cause, business_at=event.occurred_at, transfers=transfers)
            )
        available = {fee.asset: books.run(fee.asset).available for fee in fees}
        return Debited(tuple(fees), available)

    def _fee(self, books: _Books, event: NewEvent, moved: _Moved, number: int) -> tuple[Fee, tuple[Transfer, ...]]:
        key = moved.key
        tally = self.reached.get(key)
        before = None if tally is None else tally.quantity
        after = after_event(moved.tariffs[0].formula, event.value, before)
        for tariff in moved.tariffs:
            amount = self._amount(tariff, moved, before, after)
            if len(moved.tariffs) == 1 or amount <= books.run(tariff.asset).available:
                break
        paid, transfers = _move(books, event, tariff, amount, tally)
        self.reached[key] = self.changed[key] = _further(tally, after, amount, paid)
        fee = Fee(
            customer_id=event.customer_id,
            occurred_at=event.occurred_at,
            identifier16=event.identifier16,
            price=tariff.price,
            subscription=tariff.subscription,
            product=tariff.product,
            version=tariff.version,
            cell=key[3],
            before=before,
            after=after,
            asset=tariff.asset,
            amount=amount,
            transaction=number if transfers else None,
            paid=paid,
            span=key[4],
        )
        return fee, transfers

    def _amount(self, tariff: Tariff, moved: _Moved, before: Decimal | None, after: Decimal) -> Decimal:
        known = self.costs.get((moved.key, tariff.price))
        amount, cost = fee_amount(
            self.prices[tariff.price].in_currency(tariff.asset.lower()),
            tariff,
            before=before,
            after=after,
            dimensions=moved.dimensions,
            cost_before=known[1] if known is not None and known[0] == before else None,
        )
        self.costs[moved.key, tariff.price] = (after, cost)
        return amount


def _further(tally: Tally | None, quantity: Decimal, amount: Decimal, paid: Decimal) -> Tally:
    if tally is None:
        return Tally(quantity, paid, subtract(amount, paid))
    return Tally(quantity, add(tally.paid, paid), add(tally.uncovered, subtract(amount, paid)))


def ways_to_pay(tariffs: Iterable[Tariff], at: datetime) -> list[tuple[Tariff, ...]]:
    """The tariffs that price usage of that instant: for each quantity, by what assets it can be paid, in order.

    The first asset of which enough is available pays the whole fee; where none has enough, the last one is debited.
    """
    found: dict[tuple[str, str], list[Tariff]] = {}
    for tariff in tariffs:
        if tariff.covers(at):
            found.setdefault((tariff.subscription, tariff.counter), []).append(tariff)
    return [tuple(sorted(ways, key=lambda each: each.rank)) for ways in found.values()]


def pricing_ways(
    tariffs: Sequence[Tariff], event: NewEvent, prices: Mapping[str, Price], *, now: datetime
) -> list[tuple[Tariff, ...]]:
    """The ways to pay for an event that was kept until something prices it: as of when it happened, or else of now.

    What an invoice bills is not paid by a wallet that took over later.
    """
    dimensions = _decode(event.dimensions) if event.dimensions else {}
    of_offers = [each for each in tariffs if each.windows is None]
    for ways in (ways_to_pay(tariffs, event.occurred_at), ways_to_pay(of_offers, now)):
        priced = [way for way in ways if cell(prices[way[0].price], dimensions) != "-"]
        if priced:
            return priced
    return []


class Bounds(Protocol):
    """What bounds the fee of a single event, in major units."""

    @property
    def minimum(self) -> Decimal | None: ...
    @property
    def maximum(self) -> Decimal | None: ...


def fee_amount(
    price: Price,
    bounds: Bounds,
    *,
    before: Decimal | None,
    after: Decimal,
    dimensions: Mapping[str, str],
    cost_before: Decimal | None = None,
) -> tuple[Decimal, Decimal]:
    """What taking the quantity from `before` to `after` costs, and what `after` costs in all, in major units.

    The cost of a quantity is rounded to the books' scale before costs are subtracted, so that fees add up to the
    cost of the whole however usage is cut; `bounds` are per event. `cost_before` is the cost of
    `before`, where it is at hand.
    """
    if isinstance(price.model, ByDimension) and price.model.row_for(dimensions) is None:
        return NOTHING, NOTHING
    priced = for_dimensions(price, dimensions)
    if cost_before is None:
        cost_before = NOTHING if before is None else _cost(priced, before)
    cost = _cost(priced, after)
    amount = subtract(cost, cost_before)
    if amount > 0 and bounds.minimum is not None:
        amount = max(amount, bounds.minimum)
    if bounds.maximum is not None:
        amount = min(amount, bounds.maximum)
    return amount, cost


def cost_of(price: Price, name: str, quantity: Decimal) -> Decimal:
    """What a quantity of the usage in a cell of the price costs, in major units."""
    priced = of_cell(price, name)
    return NOTHING if priced is None else _cost(priced, quantity)


def _cost(price: Price, quantity: Decimal) -> Decimal:
    return round_debit(to_major(exact_total(rate(price=price, quantity=quantity)), price.currency))


def after_event(formula: Formula, value: Decimal, before: Decimal | None) -> Decimal:
    """How far an event takes a quantity."""
    match formula:
        case "sum":
            return value if before is None else add(before, value)
        case "count":
            return ONE if before is None else add(before, ONE)
        case "max":
            return value if before is None else max(before, value)
        case "last":
            return value
        case "unique":
            raise AssertionError("a price on a meter of distinct values is not debited by event")
        case _:
            assert_never(formula)


def _move(
    books: _Books, event: NewEvent, tariff: Tariff, amount: Decimal, tally: Tally | None
) -> tuple[Decimal, tuple[Transfer, ...]]:
    """Debit the fee: what of it the wallet paid, and how.

    A negative one, of usage that was taken back, returns as a grant. Where an invoice bills what the wallet does not
    cover, that is lowered first.
    """
    if not amount:
        return amount, ()
    running = books.run(tariff.asset)
    marks = (tariff.price, tariff.product, tariff.meter)
    if amount > 0:
        if tariff.collection == "wallet":
            return amount, running.record(amount, marks)
        return running.cover(amount, marks) if books.wallet.status == "active" else (NOTHING, ())
    if tariff.collection == "wallet_then_invoice":
        left = NOTHING if tally is None else tally.uncovered
        amount = min(add(amount, max(left, NOTHING)), NOTHING)
        if not amount:
            return amount, ()
    books.settle()
    sequence = uuid7()
    back = Grant(
        id=f"back_{sequence}",
        asset=tariff.asset,
        funding="paid",
        purpose="adjustment",
        granted=amount.copy_negate(),
        remaining=amount.copy_negate(),
        effective_at=books.now,
        created=books.now,
        sequence=sequence,
        source=event.identifier,
    )
    books.pockets[tariff.asset], transfers = fund(running.pocket(), back, source=Account("revenue", tariff.asset))
    return amount, transfers
