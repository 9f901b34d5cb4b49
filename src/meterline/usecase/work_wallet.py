"""One customer's wallet under its lock, and the rule that an id has one effect and one answer.

An operation carries the caller's id. The first time, it is done and its answer kept, a refusal too; after that the
same id with the same content gets the same answer, whatever happened to the balance since, and the same id with
other content is a conflict. Only a caller who asks for it (`retryable`) may try a refused id again.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.ledger.transaction import Booked, Cause, Head, LedgerTransaction, Transfer
from meterline.refusal import Conflict, Missing, Refusal
from meterline.store import alert, ledger, notice, spending, top_up, wallet
from meterline.store.database import driver
from meterline.store.ledger import Connection
from meterline.store.notice import Fact
from meterline.store.wallet import Operation, Touched, Wallet
from meterline.usecase.watch_balance import watch_balances
from meterline.wallet.hold import Hold
from meterline.wallet.news import TransactionNews
from meterline.wallet.pocket import Pocket, in_order

Answer: TypeAlias = dict[str, Any]
"""What an operation came to, as plain data: kept and given again word for word."""


EXPIRE = "expire_hold"
"""The kind of due work that ends a hold."""

STICKY = frozenset({"insufficient_funds", "budget_exceeded", "nothing_refundable"})
"""Refusals that depend on how much there is, and so are the answer of the id for good. A request that is wrong in
itself uses no id up."""


BY_HAND = frozenset({"adjustment", "fee", "grant", "refund"})
"""Operations that move value for good, and are told."""


class Refused(Refusal):
    """The operation was refused, for good under this id. `rule` names what refused, `members` the figures."""

    def __init__(self, message: str, *, rule: str, members: Mapping[str, str | None]) -> None:
        super().__init__(message, code=rule)
        self.rule = rule
        self.members = dict(members)


@dataclass(slots=True, kw_only=True)
class OpenWallet(ABC):
    """A wallet that this transaction has locked. `budgeted` is false where it is known to have no budgets."""

    connection: Connection
    environment: str
    customer_id: UUID
    wallet: Wallet
    head: Head
    pockets: dict[str, Pocket]
    now: datetime
    budgeted: bool = True

    def pocket(self, asset: str) -> Pocket:
        """The pocket of that asset, empty where nothing was ever in it."""
        return self.pockets.get(asset) or Pocket(asset=asset, overdraft_limit=self.wallet.overdraft_limit)

    @abstractmethod
    async def book(
        self, *, cause: Cause, transfers: Sequence[Transfer], pocket: Pocket, business_at: datetime | None = None
    ) -> Booked | None:
        """Record a decision: the pocket as it became, and its transfers as one transaction of the books."""

    @abstractmethod
    async def operation(self, id: str) -> Operation | None:
        """What the caller's id was used for."""

    @abstractmethod
    async def remember(self, operation: Operation) -> None:
        """Keep what was answered under the caller's id."""

    @abstractmethod
    async def hold(self, id: str) -> Hold | None:
        """The hold that the caller made under that id."""

    @abstractmethod
    async def save_hold(self, hold: Hold) -> None:
        """Record a new or changed hold."""

    @abstractmethod
    async def plan_expiry(self, hold: Hold) -> None:
        """Let the hold end when its time is over, by its customer's clock, in place of any time planned before."""

    @abstractmethod
    async def drop_expiry(self, id: str) -> None:
        """The hold ended: nothing is planned for it any more."""

    def require_active(self) -> None:
        """Refuse unless the wallet is in use."""
        if self.wallet.status != "active":
            raise Refusal(f"The wallet is {self.wallet.status}.", code=f"wallet_{self.wallet.status}")


@dataclass(slots=True, kw_only=True)
class Work(OpenWallet):
    """A wallet under its lock whose changes are written as they are made."""

    tx: AsyncConnection

    async def recall(self, asset: str, grant: str) -> Pocket:
        """The pocket with that grant in it, also where nothing is left of the grant."""
        pocket = self.pocket(asset)
        if all(each.id != grant for each in pocket.grants):
            found = await wallet.grants(self.connection, self.customer_id, ids=[grant])
            pocket = self.pockets[asset] = msgspec.structs.replace(pocket, grants=in_order((*pocket.grants, *found)))
        return pocket

    async def book(
        self, *, cause: Cause, transfers: Sequence[Transfer], pocket: Pocket, business_at: datetime | None = None
    ) -> Booked | None:
        touched = [Touched(customer_id=self.customer_id, before=self.pocket(pocket.asset), after=pocket)]
        await wallet.write(self.connection, environment=self.environment, touched=touched)
        await watch_balances(self.connection, environment=self.environment, touched=touched, now_of=lambda _: self.now)
        self.pockets[pocket.asset] = pocket
        if not transfers:
            return None
        transaction = LedgerTransaction(cause=cause, business_at=business_at or self.now, transfers=tuple(transfers))
        done = await ledger.book_all(
            self.connection,
            environment=self.environment,
            heads={self.customer_id: self.head},
            transactions={self.customer_id: [transaction]},
            now=self.now,
        )
        parts = spending.parts_of(self.customer_id, transaction)
        await spending.add(self.connection, environment=self.environment, parts=parts)
        seen = (self.customer_id, pocket.asset, pocket.available(self.now), self.now)
        await top_up.wake(self.connection, [seen])
        booked = done[self.customer_id][0]
        self.head = Head(
            customer_id=self.customer_id,
            number=booked.number,
            booked_at=booked.booked_at,
            hash=booked.hashes[-1],
        )
        return booked

    async def operation(self, id: str) -> Operation | None:
        return (await wallet.operations(self.connection, [(self.customer_id, id)])).get((self.customer_id, id))

    async def remember(self, operation: Operation) -> None:
        await wallet.remember(self.connection, environment=self.environment, rows=[(self.customer_id, operation)])

    async def hold(self, id: str) -> Hold | None:
        return await wallet.hold(self.connection, self.customer_id, id)

    async def save_hold(self, hold: Hold) -> None:
        await wallet.save_holds(self.connection, environment=self.environment, rows=[(self.customer_id, hold)])

    async def plan_expiry(self, hold: Hold) -> None:
        await self.drop_expiry(hold.id)
        clock = (await alert.who(self.connection, [self.customer_id]))[self.customer_id][1]
        await wallet.plan_expiries(
            self.connection, environment=self.environment, kind=EXPIRE, rows=[(self.customer_id, hold, clock)]
        )

    async def drop_expiry(self, id: str) -> None:
        await wallet.drop_expiries(self.connection, kind=EXPIRE, keys=[(self.customer_id, id)])


async def work_on(
    tx: AsyncConnection, *, environment: str, customer_id: UUID, now: datetime, active: bool = True
) -> Work:
    """Lock a customer's wallet. Raises Missing without one; Refusal unless it is in use, where `active` asks that."""
    connection = await driver(tx)
    heads = await ledger.lock(connection, environment=environment, customer_ids=[customer_id])
    found = await wallet.find(connection, [customer_id])
    if customer_id not in found:
        raise Missing("wallet of customer", str(customer_id), subject=True)
    pockets = await wallet.pockets(connection, found)
    mine = found[customer_id]
    work = Work(
        tx=tx,
        connection=connection,
        environment=environment,
        customer_id=customer_id,
        wallet=mine,
        head=heads[customer_id],
        pockets={asset: pocket for (_, asset), pocket in pockets.items()},
        now=now,
    )
    if active:
        work.require_active()
    return work


async def once(
    work: OpenWallet,
    *,
    id: str,
    kind: str,
    said: Mapping[str, object],
    act: Callable[[], Awaitable[Answer]],
    retryable: bool = False,
) -> Answer | Refused:
    """Do `act` under the caller's id, or give the answer that the id got before.

    `said` is what the caller asked for, in full. A refusal by `act` is an answer too, and returned, so that the
    transaction commits it; `act` refuses before it writes. Raises Conflict for an id that was used for anything else.
    """
    digest = hashlib.sha256(msgspec.json.encode([kind, said], order="deterministic")).digest()
    before = await work.operation(id)
    if before is not None:
        if before.digest != digest:
            raise Conflict(
                f"The id '{id}' was used for another {before.kind.replace('_', ' ')}, with other content.",
                code="id_conflict",
            )
        return _refused(before.outcome) if before.refused else before.outcome
    try:
        answer, refused = await act(), False
    except Refusal as refusal:
        if retryable or refusal.code not in STICKY:
            raise
        answer, refused = _kept(refusal), True
    await work.remember(Operation(id=id, kind=kind, digest=digest, refused=refused, outcome=answer, created=work.now))
    if kind in BY_HAND and not refused:
        await _tell(work, id, kind, answer)
    return _refused(answer) if refused else answer


async def _tell(work: OpenWallet, id: str, kind: str, answer: Answer) -> None:
    owner, _ = (await alert.who(work.connection, [work.customer_id]))[work.customer_id]
    news = TransactionNews(
        environment=work.environment,
        id=id,
        customer=owner,
        type=kind,
        asset=answer["asset"],
        amount=Decimal(answer["amount"]),
        available=Decimal(answer["available"]),
        description=answer.get("description"),
        created=work.now,
    )
    fact = Fact(
        environment=work.environment,
        customer_id=work.customer_id,
        type="transaction.completed",
        subject=news,
        object_id=news.id,
        now=work.now,
    )
    await notice.add_all(work.connection, [fact])


def _kept(refusal: Refusal) -> Answer:
    figures = getattr(refusal, "members", {})
    return {"message": refusal.message, "rule": refusal.code, "members": dict(figures)}


def _refused(outcome: Answer) -> Refused:
    return Refused(outcome["message"], rule=outcome["rule"], members=outcome["members"])


def slices_told(transfers: Iterable[Transfer]) -> list[Answer]:
    """Which grants were touched, in order, for a receipt."""
    return [
        {"grant": each.grant, "from": each.debit.name, "to": each.credit.name, "amount": told(each.amount)}
        for each in transfers
    ]


def told(amount: object) -> str:
    """A Decimal as a receipt writes it: plain, without needless zeros."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
