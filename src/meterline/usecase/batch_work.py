"""Work on many wallets that is written together: what is decided stays in memory until `write`, then all of it goes.

The wallets are locked in the order of ids by one statement, read by one and written by one, however many pieces of work
there are. Each piece sees what those before it decided, as if they had been done one after the other in
transactions of their own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from meterline.ledger.transaction import Booked, Cause, LedgerTransaction, Transfer, book
from meterline.store import gate, top_up
from meterline.store.gate import Done, Key
from meterline.store.ledger import Connection
from meterline.store.wallet import Operation, Touched
from meterline.usecase.watch_balance import watch_balances
from meterline.usecase.work_wallet import EXPIRE, OpenWallet
from meterline.wallet.hold import Hold
from meterline.wallet.pocket import Pocket


@dataclass(slots=True, kw_only=True)
class BatchWork(OpenWallet):
    """One wallet among several. What is known of ids and holds is all that the pieces of work name."""

    clock: str | None
    recharged: bool
    opened: dict[str, Pocket] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    booked: list[Booked] = field(default_factory=list)
    remembered: list[Operation] = field(default_factory=list)
    saved: dict[str, Hold] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    due: dict[str, datetime | None] = field(default_factory=dict)

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
        if hold.id not in self.holds:
            self.made.add(hold.id)
        self.holds[hold.id] = self.saved[hold.id] = hold

    async def plan_expiry(self, hold: Hold) -> None:
        self.due[hold.id] = hold.expires_at

    async def drop_expiry(self, id: str) -> None:
        self.due[id] = None

    def touched(self) -> list[Touched]:
        """The pockets that are not what they were."""
        return [
            Touched(customer_id=self.customer_id, before=before, after=self.pockets[asset])
            for asset, before in self.opened.items()
        ]

    def done(self, touched: Sequence[Touched]) -> Done:
        """All that is to be written of it. For a hold that was made just now nothing was planned before."""
        return Done(
            customer_id=self.customer_id,
            head=self.head,
            booked=self.booked,
            touched=touched,
            holds=list(self.saved.values()),
            ended=[each for each in self.due.items() if each[0] not in self.made],
            planned=[(self.holds[id], self.clock) for id, at in self.due.items() if at is not None],
            remembered=self.remembered,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The wallets that a batch is about, by customer. `watched` says whether alerts are set on balances."""

    connection: Connection
    environment: str
    works: dict[UUID, BatchWork]
    watched: bool


async def share(
    connection: Connection,
    *,
    environment: str,
    customer_ids: Iterable[UUID],
    operations: Sequence[Key],
    holds: Sequence[Key],
    now: datetime,
) -> Shared:
    """Lock the wallets of these customers of an environment; those who are gone or have none are left out.

    `operations` and `holds` are the ids that the work will name. `now` is the wall clock; who lives on a test clock
    has its time, as it is now that the wallet is locked.
    """
    heads = await gate.lock(connection, environment=environment, customer_ids=customer_ids)
    found = await gate.load(connection, environment=environment, heads=heads, operations=operations, holds=holds)
    works = {
        customer_id: BatchWork(
            connection=connection,
            environment=environment,
            customer_id=customer_id,
            wallet=each.wallet,
            head=each.head,
            pockets={},
            now=each.frozen_time or now,
            budgeted=each.budgeted,
            clock=each.clock,
            recharged=each.recharged,
        )
        for customer_id, each in sorted(found.wallets.items())
    }
    for (customer_id, asset), pocket in found.pockets.items():
        works[customer_id].pockets[asset] = pocket
    for (customer_id, id), operation in found.operations.items():
        if customer_id in works:
            works[customer_id].operations[id] = operation
    for (customer_id, id), hold in found.holds.items():
        if customer_id in works:
            works[customer_id].holds[id] = hold
    return Shared(connection=connection, environment=environment, works=works, watched=found.watched)


async def write(shared: Shared) -> None:
    """Write what the work on these wallets came to."""
    works = [each for each in shared.works.values() if each.remembered or each.opened or each.saved]
    if not works:
        return
    touched = {each.customer_id: each.touched() for each in works}
    done = [each.done(touched[each.customer_id]) for each in works]
    await gate.write(shared.connection, environment=shared.environment, due_kind=EXPIRE, done=done)
    await watch_balances(
        shared.connection,
        environment=shared.environment,
        touched=[each for of in touched.values() for each in of],
        now_of=lambda customer_id: shared.works[customer_id].now,
        watched=shared.watched,
    )
    await top_up.wake(
        shared.connection,
        [
            (each.customer_id, pocket.after.asset, pocket.after.available(each.now), each.now)
            for each in works
            if each.recharged
            for pocket in touched[each.customer_id]
        ],
    )
