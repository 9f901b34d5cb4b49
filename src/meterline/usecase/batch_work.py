"""Work on many wallets that is written together: what is decided stays in memory until `write`, then all of it goes.

The wallets are locked in the order of ids and read by a fixed number of statements, and written by a fixed number,
however many pieces of work there are. Each piece sees what those before it decided, as if they had been done one
after the other in transactions of their own.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.ledger.transaction import Booked, Cause, LedgerTransaction, Transfer, book
from meterline.store import ledger, spending, top_up, wallet
from meterline.store.database import driver
from meterline.store.wallet import Operation, Touched
from meterline.usecase.watch_balance import watch_balances
from meterline.usecase.work_wallet import EXPIRE, Work
from meterline.wallet.hold import Hold
from meterline.wallet.pocket import Pocket


@dataclass(slots=True)
class BatchWork(Work):
    """One wallet among several. What is known of ids and holds is all that the pieces of work name."""

    opened: dict[str, Pocket] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    booked: list[Booked] = field(default_factory=list)
    remembered: list[Operation] = field(default_factory=list)
    saved: dict[str, Hold] = field(default_factory=dict)
    planned: dict[str, tuple[Hold, str | None]] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)

    async def book(
        self, *, cause: Cause, transfers: Sequence[Transfer], pocket: Pocket, business_at: datetime | None = None
    ) -> Booked | None:
        self.opened.setdefault(pocket.asset, self.pocket(pocket.asset))
        self.pockets[pocket.asset] = pocket
        if not transfers:
            return None
        transaction = LedgerTransaction(cause=cause, business_at=business_at or self.now, transfers=tuple(transfers))
        (booked,), self.head = book(self.head, [transaction], now=self.now)
        self.booked.append(booked)
        return booked

    async def operation(self, id: str) -> Operation | None:
        return self.operations.get(id)

    async def remember(self, operation: Operation) -> None:
        self.operations[operation.id] = operation
        self.remembered.append(operation)

    async def hold(self, id: str) -> Hold | None:
        return self.holds.get(id)

    async def save_hold(self, hold: Hold) -> None:
        self.holds[hold.id] = self.saved[hold.id] = hold

    async def plan_expiry(self, hold: Hold, clock: str | None) -> None:
        self.dropped.add(hold.id)
        self.planned[hold.id] = (hold, clock)

    async def drop_expiry(self, id: str) -> None:
        self.dropped.add(id)
        self.planned.pop(id, None)

    def touched(self) -> list[Touched]:
        """The pockets that are not what they were."""
        return [
            Touched(customer_id=self.customer_id, before=before, after=self.pockets[asset])
            for asset, before in self.opened.items()
        ]


async def share(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_ids: Collection[UUID],
    operations: Sequence[tuple[UUID, str]],
    holds: Sequence[tuple[UUID, str]],
    now: datetime,
) -> dict[UUID, BatchWork]:
    """Lock the wallets of these customers of an environment; those who are gone or have none are left out.

    `operations` and `holds` are the ids that the work will name. `now` is the wall clock; a piece of work for a
    customer on a test clock sets the customer's.
    """
    connection = await driver(tx)
    living = await wallet.living(connection, customer_ids)
    heads = await ledger.lock(connection, environment=environment, customer_ids=living)
    found = await wallet.find(connection, living)
    budgeted = await wallet.budgeted(connection, found)
    pockets = await wallet.pockets(connection, found)
    known = await wallet.operations(connection, operations)
    held = await wallet.holds(connection, holds) if holds else {}
    works = {
        customer_id: BatchWork(
            tx=tx,
            connection=connection,
            environment=environment,
            customer_id=customer_id,
            wallet=mine,
            head=heads[customer_id],
            pockets={},
            now=now,
            budgeted=customer_id in budgeted,
        )
        for customer_id, mine in found.items()
    }
    for (customer_id, asset), pocket in pockets.items():
        works[customer_id].pockets[asset] = pocket
    for (customer_id, id), operation in known.items():
        works[customer_id].operations[id] = operation
    for (customer_id, id), hold in held.items():
        works[customer_id].holds[id] = hold
    return works


async def write(works: Iterable[BatchWork]) -> None:
    """Write what the work on these wallets of one environment came to."""
    done = [each for each in works if each.remembered or each.opened or each.saved]
    if not done:
        return
    environment, connection = done[0].environment, done[0].connection
    moved = [each for each in done if each.booked]
    await ledger.write(
        connection,
        environment=environment,
        booked={each.customer_id: each.booked for each in moved},
        ends={each.customer_id: each.head for each in moved},
    )
    parts = (
        part for each in moved for one in each.booked for part in spending.parts_of(each.customer_id, one.transaction)
    )
    await spending.add(connection, environment=environment, parts=parts)
    touched = [pocket for each in done for pocket in each.touched()]
    await wallet.write(connection, environment=environment, touched=touched)
    by_id = {each.customer_id: each for each in done}
    await watch_balances(
        connection, environment=environment, touched=touched, now_of=lambda customer_id: by_id[customer_id].now
    )
    seen = [
        (each.customer_id, each.after.asset, each.after.available(now), now)
        for each in touched
        for now in (by_id[each.customer_id].now,)
    ]
    await top_up.wake(connection, seen)
    await _write_holds(connection, environment, done)
    remembered = [(each.customer_id, operation) for each in done for operation in each.remembered]
    if remembered:
        await wallet.remember(connection, environment=environment, rows=remembered)


async def _write_holds(connection: ledger.Connection, environment: str, works: Sequence[BatchWork]) -> None:
    saved = [(each.customer_id, hold) for each in works for hold in each.saved.values()]
    if saved:
        await wallet.save_holds(connection, environment=environment, rows=saved)
    dropped = [(each.customer_id, id) for each in works for id in each.dropped]
    if dropped:
        await wallet.drop_expiries(connection, kind=EXPIRE, keys=dropped)
    planned = [(each.customer_id, hold, clock) for each in works for hold, clock in each.planned.values()]
    if planned:
        await wallet.plan_expiries(connection, environment=environment, kind=EXPIRE, rows=planned)
