"""Give back what wallets paid for usage that is taken back, in the transaction that takes it back.

An event that does not count any more lowers the quantity of its tiers, and what the usage costs in all. The difference
returns to the slices that paid for the event, the last first, as the books recorded them; what was owed for it is
forgiven before. So what a wallet paid stays what the usage costs, whichever event of a month is taken back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import assert_never
from uuid import UUID

from meterline.catalog import Price
from meterline.ledger.account import Account
from meterline.ledger.posting import Funding, Slice
from meterline.ledger.transaction import Cause, LedgerTransaction, Transfer
from meterline.meter import Formula
from meterline.money import add, subtract
from meterline.store import fee as fees
from meterline.store import ledger, meter, offer, spending, top_up, wallet
from meterline.store.event import Stored
from meterline.store.identifier import uuid7
from meterline.store.ledger import Connection
from meterline.store.offer import Fee, Tally, TallyKey, Tariff
from meterline.store.wallet import Touched
from meterline.usecase.debit_usage import cost_of
from meterline.usecase.watch_balance import watch_balances
from meterline.wallet.grant import Grant
from meterline.wallet.pocket import Pocket, fund, in_order, last_part, record, undo

NOTHING = Decimal(0)


@dataclass(slots=True)
class _Reversing:
    """One customer's wallet while debits are reversed."""

    connection: Connection
    now: datetime
    pockets: dict[str, Pocket]
    bounded: frozenset[tuple[str, str]]
    counters: Mapping[tuple[str, str], str]
    formulas: Mapping[UUID, Formula]
    prices: Mapping[str, Price]
    tallies: dict[TallyKey, Tally]
    recorded: Mapping[tuple[int, str, str], tuple[list[Slice], Decimal]]
    returned: list[tuple[Fee, Decimal]] = field(default_factory=list)


async def reverse_debits(
    connection: Connection, *, environment: str, events: Sequence[Stored], now: datetime
) -> Decimal:
    """Reverse the debits of events of one customer, which were just voided: how much came back, of all assets.

    `now` is the wall clock; a customer on a test clock has their own. The caller has recounted the usage.
    """
    standing = await fees.standing(connection, events)
    if not standing:
        return NOTHING
    customer_id = standing[0].customer_id
    heads = await ledger.lock(connection, environment=environment, customer_ids=[customer_id])
    work = await _open(connection, environment, events, standing, now)
    before = dict(work.pockets)
    names = {each.identifier16: each.identifier for each in events}
    transactions: list[LedgerTransaction] = []
    for each in standing:
        moved = await _reverse(work, each)
        if moved:
            cause = Cause("event.void", names[each.identifier16])
            transactions.append(LedgerTransaction(cause=cause, business_at=work.now, transfers=moved))
    await ledger.book_all(
        connection, environment=environment, heads=heads, transactions={customer_id: transactions}, now=work.now
    )
    touched = [
        Touched(customer_id=customer_id, before=before.get(asset) or Pocket(asset=asset), after=pocket)
        for asset, pocket in work.pockets.items()
        if pocket is not before.get(asset)
    ]
    await wallet.write(connection, environment=environment, touched=touched)
    await watch_balances(connection, environment=environment, touched=touched, now_of=lambda _: work.now)
    await top_up.wake(
        connection, [(customer_id, each.after.asset, each.after.available(work.now), work.now) for each in touched]
    )
    await offer.save_tallies(connection, environment=environment, reached=work.tallies)
    await fees.give_back(connection, work.returned)
    parts = [
        (customer_id, each.asset, each.occurred_at.astimezone(UTC).date(), each.price, back.copy_negate())
        for each, back in work.returned
    ]
    await spending.add(connection, environment=environment, parts=parts)
    told = [(told_id(names[each.identifier16]), back.copy_negate()) for each, back in work.returned if back]
    await fees.change_told(connection, customer_id, told)
    return add(*(back for _, back in work.returned))


def told_id(identifier: str) -> str:
    """The id under which the wallet dialect was told of an event, of which this is a part (`evt_1:tokens`)."""
    return identifier.rpartition(":")[0] or identifier


async def _open(
    connection: Connection, environment: str, events: Sequence[Stored], standing: Sequence[Fee], now: datetime
) -> _Reversing:
    customer_id = standing[0].customer_id
    clock = (await wallet.clocks(connection, [customer_id])).get(customer_id)
    wallets = await wallet.find(connection, [customer_id])
    pockets = {asset: pocket for (_, asset), pocket in (await wallet.pockets(connection, wallets)).items()}
    numbers = {each.transaction for each in standing if each.transaction is not None}
    moved = await fees.transfers(connection, customer_id, sorted(numbers))
    named = {each.grant for rows in moved.values() for each in rows if each.grant is not None}
    for grant in await wallet.grants(connection, customer_id, ids=sorted(named)):
        pockets[grant.asset] = _with(pockets.get(grant.asset) or Pocket(asset=grant.asset), grant)
    tariffs = await offer.tariffs(connection, [customer_id])
    meters = await meter.by_id(connection, environment)
    counters = {(each.subscription, each.price): each.counter for each in tariffs}
    keys = [_key(each, counters) for each in standing]
    return _Reversing(
        connection=connection,
        now=clock or now,
        pockets=pockets,
        bounded=frozenset(
            (each.subscription, each.price) for each in tariffs if each.minimum is not None or each.maximum is not None
        ),
        counters=counters,
        formulas={each.identifier16: meters[each.meter].formula for each in events},
        prices=await offer.prices(connection, environment, {each.price for each in standing}),
        tallies=await offer.tallies(connection, sorted(set(keys))),
        recorded={
            (each.transaction, each.price, each.subscription): part
            for number, rows in moved.items()
            for each, part in _parts(_as_booked(standing, number, tariffs), rows)
            if each.transaction is not None
        },
    )


def _with(pocket: Pocket, grant: Grant) -> Pocket:
    """The pocket with a grant that was used up, which it does not know otherwise."""
    if any(known.id == grant.id for known in pocket.grants):
        return pocket
    return Pocket(
        asset=pocket.asset,
        grants=in_order((*pocket.grants, grant)),
        debt=pocket.debt,
        lent=pocket.lent,
        overdraft_limit=pocket.overdraft_limit,
    )


def _key(of: Fee, counters: Mapping[tuple[str, str], str]) -> TallyKey:
    """Where the fee's quantity is counted: under its price, or what that shares with the prices in other assets."""
    counter = counters.get((of.subscription, of.price), of.price)
    return (of.customer_id, of.subscription, counter, of.cell, of.span)


def _as_booked(standing: Sequence[Fee], number: int, tariffs: Sequence[Tariff]) -> list[Fee]:
    """The fees of one event, which one transaction is for, in the order of the tariffs that they were debited by."""
    places: dict[tuple[str, str], int] = {}
    mine = [each for each in standing if each.transaction == number]
    for place, tariff in enumerate(tariffs):
        if tariff.covers(mine[0].occurred_at):
            places[tariff.subscription, tariff.price] = place
    return sorted(mine, key=lambda each: places.get((each.subscription, each.price), len(tariffs)))


def _parts(of: Sequence[Fee], moved: Sequence[Transfer]) -> list[tuple[Fee, tuple[list[Slice], Decimal]]]:
    """What each fee of one transaction was paid from: its slices and its debt. Fees were booked one after another."""
    rows = list(moved)
    found: list[tuple[Fee, tuple[list[Slice], Decimal]]] = []
    for each in of:
        slices: list[Slice] = []
        owed = NOTHING
        left = each.paid.copy_abs()
        while left > 0:
            row = rows.pop(0)
            left = subtract(left, row.amount)
            if row.debit.kind == "debt":
                owed = add(owed, row.amount)
            elif each.paid > 0:
                assert row.grant is not None, "a slice names its grant"
                slices.append(Slice(row.grant, _funding(row.debit), row.amount))
        found.append((each, (slices, owed)))
    return found


def _funding(account: Account) -> Funding:
    return "paid" if account.kind == "paid" else "promotional"


async def _reverse(work: _Reversing, of: Fee) -> tuple[Transfer, ...]:
    """Take one event's part out of its tiers, and give back what that takes off the cost.

    Where fees of single events are bounded, that is the event's own fee.
    """
    key = _key(of, work.counters)
    tally = work.tallies[key]
    quantity = await _quantity(work, key, work.formulas[of.identifier16], of)
    if (of.subscription, of.price) in work.bounded:
        less = of.amount
    else:
        less = _less(work.prices[of.price].in_currency(of.asset.lower()), tally, quantity, of)
    uncovered = min(max(subtract(of.amount, of.paid), NOTHING), max(tally.uncovered, NOTHING), max(less, NOTHING))
    back = subtract(less, uncovered)
    work.tallies[key] = Tally(
        NOTHING if quantity is None else quantity,
        subtract(tally.paid, back),
        subtract(tally.uncovered, uncovered),
    )
    work.returned.append((of, back))
    return _give(work, of, back)


async def _quantity(work: _Reversing, key: TallyKey, formula: Formula, of: Fee) -> Decimal | None:
    """How far usage has come without the event; None where nothing is left of it."""
    tally = work.tallies[key]
    prices = [price for (_, price), counter in work.counters.items() if counter == key[2]] or [of.price]
    match formula:
        case "sum" | "count":
            rest = subtract(tally.quantity, of.after if of.before is None else subtract(of.after, of.before))
            return rest or None
        case "max":
            left = await fees.left(work.connection, key, prices)
            return max((each for each in (left.largest, left.seed) if each is not None), default=None)
        case "last":
            left = await fees.left(work.connection, key, prices)
            return left.seed if left.latest is None else left.latest
        case "unique":
            raise AssertionError("distinct values are not debited")
        case _:
            assert_never(formula)


def _less(price: Price, tally: Tally, quantity: Decimal | None, of: Fee) -> Decimal:
    """How much less the usage costs without the event."""
    after = NOTHING if quantity is None else cost_of(price, of.cell, quantity)
    return subtract(cost_of(price, of.cell, tally.quantity), after)


def _give(work: _Reversing, of: Fee, back: Decimal) -> tuple[Transfer, ...]:
    """Return value to what paid for the event; what has nowhere to return to, or costs more now, by itself."""
    pocket = work.pockets.get(of.asset) or Pocket(asset=of.asset)
    if back < 0:
        pocket, debit = record(pocket, back.copy_negate(), at=work.now, marks=(of.price, of.product))
        work.pockets[of.asset] = pocket
        return debit.transfers
    slices, shortage = work.recorded.get((of.transaction or 0, of.price, of.subscription), ([], NOTHING))
    recorded = min(back, add(shortage, *(each.amount for each in slices)))
    undone = undo(pocket, *last_part(slices, shortage, recorded), at=work.now)
    pocket, transfers = undone.pocket, undone.transfers
    rest = add(subtract(back, recorded), undone.unplaced)
    if rest:
        sequence = uuid7()
        made = Grant(
            id=f"back_{sequence}",
            asset=of.asset,
            funding="paid",
            purpose="adjustment",
            granted=rest,
            remaining=rest,
            effective_at=work.now,
            created=work.now,
            sequence=sequence,
            source=str(of.identifier16),
        )
        pocket, more = fund(pocket, made, source=Account("revenue", of.asset))
        transfers = (*transfers, *more)
    work.pockets[of.asset] = pocket
    return transfers
