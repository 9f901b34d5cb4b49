"""Debit wallets for usage, in the transaction that stores it.

A batch is settled in the order of arrival, customer by customer: what the batch comes to equals what its events
would have come to one at a time. The books of all customers concerned are locked first, in the order of ids; then
a fixed number of statements reads, and a fixed number writes, however many events there are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
from meterline.money import EXACT, add, round_debit, subtract, to_major
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

_FIRST = datetime.min.replace(tzinfo=UTC)

_decode = msgspec.json.Decoder(dict[str, str]).decode


class Debited(msgspec.Struct, frozen=True, gc=False):
    """What an event cost (nothing: no price of a wallet applies) and what is available after it, per asset."""

    fees: tuple[Fee, ...]
    available: Mapping[str, Decimal]


@dataclass(slots=True)
class _Counted:
    """A quantity while a batch is settled: how far it has come, and who pays what it costs."""

    key: TallyKey
    formula: Formula
    quantity: Decimal | None = None
    paid: Decimal = NOTHING
    uncovered: Decimal = NOTHING
    changed: bool = False
    costs: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    """By price: the quantity whose cost was reckoned last, and the cost."""

    def seed(self, tally: Tally) -> None:
        """Go on from where usage had come."""
        self.quantity, self.paid, self.uncovered = tally.quantity, tally.paid, tally.uncovered

    def tally(self) -> Tally:
        """How far usage has come."""
        assert self.quantity is not None, "something was used"
        return Tally(self.quantity, self.paid, self.uncovered)


class _Way(msgspec.Struct, frozen=True, gc=False):
    """A way to pay: the price as it is for this usage (null where it has no rate for it), and what a grant may ask."""

    tariff: Tariff
    price: Price | None
    marks: tuple[str, ...]


class _Moved(msgspec.Struct, frozen=True, gc=False):
    """A quantity that an event moves, and the ways to pay for it, in the order in which they are tried."""

    ways: tuple[_Way, ...]
    counted: _Counted


class _Stretch(msgspec.Struct, frozen=True, gc=False):
    """What alike events move that happened from `start` on and before `end`; null for no end."""

    start: datetime
    end: datetime | None
    moved: list[_Moved]


@dataclass(slots=True)
class _Books:
    """One customer's part of a batch, while it is being settled."""

    wallet: Wallet
    now: datetime
    pockets: dict[str, Pocket]
    tariffs: dict[str, list[Tariff]]
    head: Head
    number: int
    """Of the last transaction."""
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
    used = (
        (event, done[position].fees if position in done else ())
        for position, event in enumerate(events)
        if event.customer_id in clocks
    )
    await count_usage(
        connection, environment=environment, customer_ids=clocks, used=used, now=now, fees_alone=only is not None
    )
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
    settling = _Settling(prices=prices, replay_at=replay_at)
    opened = [(position, event, settling.open(books[event.customer_id], event)) for position, event in concerned]
    keys = {key: tariff for key, (_, tariff) in settling.counted.items()}
    reached = await offer.tallies(connection, sorted(keys))
    reached |= await seeds(connection, environment, prices, keys, reached)
    for key, tally in reached.items():
        settling.counted[key][0].seed(tally)
    before = {customer_id: dict(book.pockets) for customer_id, book in books.items()}
    done: dict[int, Debited] = {}
    await ledger.book_as_decided(
        connection,
        environment=environment,
        heads={customer_id: book.head for customer_id, book in books.items()},
        entries=_settle_all(books, opened, done),
        now=now,
    )
    for book in books.values():
        book.settle()
    touched = _touched(books, before)
    await wallet.write(connection, environment=environment, touched=touched)
    await watch_balances(
        connection,
        environment=environment,
        touched=touched,
        now_of=lambda customer_id: books[customer_id].now,
    )
    await top_up.wake(connection, [_seen(books[each.customer_id], each) for each in touched])
    await offer.save_tallies(connection, environment=environment, reached=settling.changed())
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
            number=heads[customer_id].number,
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
    at = fee.occurred_at if fee.occurred_at.tzinfo is UTC else fee.occurred_at.astimezone(UTC)
    return (fee.customer_id, fee.asset, at.date(), fee.price, fee.paid)


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
    """What the events of a batch move, by customer, meter and dimension values, and the quantities of all of them."""

    prices: Mapping[str, Price]
    replay_at: datetime | None
    stretches: dict[tuple[UUID, str, UUID], _Stretch] = field(default_factory=dict)
    counted: dict[TallyKey, tuple[_Counted, Tariff]] = field(default_factory=dict)

    def open(self, books: _Books, event: NewEvent) -> list[_Moved]:
        """Which quantities an event moves."""
        tariffs_of, at = books.tariffs[event.meter], event.occurred_at
        if self.replay_at is not None:
            now = max(self.replay_at, books.now)
            return self._moved(event, pricing_ways(tariffs_of, event, self.prices, now=now))
        alike = (event.customer_id, event.meter, event.dimensions16)
        known = self.stretches.get(alike)
        if known is None or at < known.start or (known.end is not None and at >= known.end):
            ways = ways_to_pay(tariffs_of, at)
            start, end = stretch(tariffs_of, at)
            known = self.stretches[alike] = _Stretch(start, end, self._moved(event, ways))
        return known.moved

    def _moved(self, event: NewEvent, ways: Iterable[tuple[Tariff, ...]]) -> list[_Moved]:
        dimensions = _decode(event.dimensions) if event.dimensions else {}
        found = []
        for tariffs in ways:
            first = tariffs[0]
            name, span = cell(self.prices[first.price], dimensions), first.span(event.occurred_at)
            key = (event.customer_id, first.subscription, first.counter, name, span)
            if key not in self.counted:
                self.counted[key] = (_Counted(key, first.formula), first)
            payable = tuple([self._way(tariff, dimensions) for tariff in tariffs])
            found.append(_Moved(payable, self.counted[key][0]))
        return found

    def _way(self, tariff: Tariff, dimensions: Mapping[str, str]) -> _Way:
        price = self.prices[tariff.price].in_currency(tariff.asset.lower())
        return _Way(tariff, _rated(price, dimensions), (tariff.price, tariff.product, tariff.meter))

    def changed(self) -> dict[TallyKey, Tally]:
        """How far usage has come where any of it is new."""
        return {key: counted.tally() for key, (counted, _) in self.counted.items() if counted.changed}


def _settle_all(
    books: Mapping[UUID, _Books], opened: Iterable[tuple[int, NewEvent, list[_Moved]]], done: dict[int, Debited]
) -> Iterator[tuple[UUID, LedgerTransaction]]:
    """Debit each event under every price that applies to it: what to book for it, and in `done` what it cost."""
    for position, event, moved in opened:
        mine = books[event.customer_id]
        fees: list[Fee] = []
        transfers: tuple[Transfer, ...] = ()
        for each in moved:
            fee, moves = _fee(mine, event, each)
            transfers += moves
            fees.append(fee)
        done[position] = Debited(tuple(fees), {fee.asset: mine.run(fee.asset).available for fee in fees})
        if transfers:
            mine.number += 1
            cause = Cause("event", event.identifier)
            transaction = LedgerTransaction(cause=cause, business_at=event.occurred_at, transfers=transfers)
            yield event.customer_id, transaction


def _fee(books: _Books, event: NewEvent, moved: _Moved) -> tuple[Fee, tuple[Transfer, ...]]:
    counted, ways = moved.counted, moved.ways
    before = counted.quantity
    after = after_event(counted.formula, event.value, before)
    for way in ways:
        amount = _amount(way, counted, after)
        if len(ways) == 1 or amount <= books.run(way.tariff.asset).available:
            break
    paid, transfers = _move(books, event, way, amount, counted)
    counted.quantity, counted.changed = after, True
    counted.paid = EXACT.add(counted.paid, paid)
    if paid != amount:
        counted.uncovered = add(counted.uncovered, subtract(amount, paid))
    tariff = way.tariff
    fee = Fee(
        customer_id=event.customer_id,
        occurred_at=event.occurred_at,
        identifier16=event.identifier16,
        price=tariff.price,
        subscription=tariff.subscription,
        product=tariff.product,
        version=tariff.version,
        cell=counted.key[3],
        before=before,
        after=after,
        asset=tariff.asset,
        amount=amount,
        transaction=books.number + 1 if transfers else None,
        paid=paid,
        span=counted.key[4],
    )
    return fee, transfers


def _amount(way: _Way, counted: _Counted, after: Decimal) -> Decimal:
    if way.price is None:
        return NOTHING
    before, tariff = counted.quantity, way.tariff
    known = counted.costs.get(tariff.price)
    if known is not None and known[0] == before:
        cost_before = known[1]
    else:
        cost_before = NOTHING if before is None else _cost(way.price, before)
    cost = _cost(way.price, after)
    counted.costs[tariff.price] = (after, cost)
    return _bounded(tariff, subtract(cost, cost_before))


def ways_to_pay(tariffs: Iterable[Tariff], at: datetime) -> list[tuple[Tariff, ...]]:
    """The tariffs that price usage of that instant: for each quantity, by what assets it can be paid, in order.

    The first asset of which enough is available pays the whole fee; where none has enough, the last one is debited.
    """
    found: dict[tuple[str, str], list[Tariff]] = {}
    for tariff in tariffs:
        if tariff.covers(at):
            found.setdefault((tariff.subscription, tariff.counter), []).append(tariff)
    return [tuple(sorted(ways, key=lambda each: each.rank)) for ways in found.values()]


def stretch(tariffs: Iterable[Tariff], at: datetime) -> tuple[datetime, datetime | None]:
    """From when until when (null: for ever) usage is covered by the same of these tariffs, in the same spans."""
    start, end = _FIRST, None
    for tariff in tariffs:
        for edge in tariff.edges(at):
            if edge is None:
                continue
            if edge <= at:
                start = max(start, edge)
            else:
                end = edge if end is None else min(end, edge)
    return start, end


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
    price: Price, bounds: Bounds, *, before: Decimal | None, after: Decimal, dimensions: Mapping[str, str]
) -> Decimal:
    """What taking the quantity from `before` to `after` costs, in major units.

    The cost of a quantity is rounded to the books' scale before costs are subtracted, so that fees add up to the
    cost of the whole however usage is cut; `bounds` are per event.
    """
    priced = _rated(price, dimensions)
    if priced is None:
        return NOTHING
    return _bounded(bounds, subtract(_cost(priced, after), NOTHING if before is None else _cost(priced, before)))


def _rated(price: Price, dimensions: Mapping[str, str]) -> Price | None:
    """The price as it is for usage with these dimension values; None where it has no rate for them."""
    if isinstance(price.model, ByDimension) and price.model.row_for(dimensions) is None:
        return None
    return for_dimensions(price, dimensions)


def _bounded(bounds: Bounds, amount: Decimal) -> Decimal:
    if bounds.minimum is not None and amount > 0:
        amount = max(amount, bounds.minimum)
    return amount if bounds.maximum is None else min(amount, bounds.maximum)


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
            return value if before is None else EXACT.add(before, value)
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
    books: _Books, event: NewEvent, way: _Way, amount: Decimal, counted: _Counted
) -> tuple[Decimal, tuple[Transfer, ...]]:
    """Debit the fee: what of it the wallet paid, and how.

    A negative one, of usage that was taken back, returns as a grant. Where an invoice bills what the wallet does not
    cover, that is lowered first.
    """
    if not amount:
        return amount, ()
    tariff, marks = way.tariff, way.marks
    running = books.run(tariff.asset)
    if amount > 0:
        if tariff.collection == "wallet":
            return amount, running.record(amount, marks)
        return running.cover(amount, marks) if books.wallet.status == "active" else (NOTHING, ())
    if tariff.collection == "wallet_then_invoice":
        amount = min(add(amount, max(counted.uncovered, NOTHING)), NOTHING)
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
