"""The books: transfers are only ever added, balances are their maintained sums.

A customer's `ledger_head` row is the lock on their books and on their wallet: whoever moves value holds it first,
several of them in the order of their ids. All statements here are hand-written, and take the driver's connection;
`post` and the reads take a control-plane transaction.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from itertools import chain, islice
from typing import Literal, TypeAlias
from uuid import UUID

import asyncpg
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    event,
    text,
)
from sqlalchemy import Connection as SyncConnection
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.ledger.account import Account, named
from meterline.ledger.audit import Audit, Row, Violation
from meterline.ledger.transaction import (
    Booked,
    Cause,
    Head,
    LedgerTransaction,
    Transfer,
    book,
    fold,
    instant_text,
    new_books,
)
from meterline.store import copy, schema
from meterline.store.copy import NULL, escaped
from meterline.store.database import driver
from meterline.store.side_by_side import ask_late

AMOUNT = Numeric(38, 12)

ledger_head = Table(
    "ledger_head",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    Column("number", BigInteger, nullable=False),
    schema.instant("booked_at", nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("customer_id"),
    postgresql_with={"fillfactor": 50},
)

ledger_account = Table(
    "ledger_account",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    Column("kind", Text, nullable=False),
    Column("asset", Text, nullable=False),
    Column("posted", AMOUNT, nullable=False),
    Column("version", BigInteger, nullable=False),
    PrimaryKeyConstraint("customer_id", "kind", "asset"),
    postgresql_with={"fillfactor": 50},
)

ledger_transfer = Table(
    "ledger_transfer",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    Column("transaction", BigInteger, nullable=False),
    Column("line", Integer, nullable=False),
    Column("debit", Text, nullable=False),
    Column("credit", Text, nullable=False),
    Column("asset", Text, nullable=False),
    Column("amount", AMOUNT, nullable=False),
    Column("grant_id", Text),
    Column("cause", Text, nullable=False),
    Column("cause_id", Text, nullable=False),
    schema.instant("business_at", nullable=False),
    schema.instant("booked_at", nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("customer_id", "transaction", "line"),
    CheckConstraint("amount > 0", name="positive"),
    CheckConstraint("debit <> credit", name="moves"),
    # Events find their transfers by number; everything else is looked up by what caused it.
    Index(
        "ix_ledger_transfer_cause",
        "customer_id",
        "cause",
        "cause_id",
        postgresql_where=text("cause <> 'event'"),
    ),
)

APPEND_ONLY = "REVOKE UPDATE, DELETE, TRUNCATE ON ledger_transfer FROM PUBLIC, CURRENT_USER"
"""Nobody but a superuser may change what was booked, not even the table's owner."""


@event.listens_for(ledger_transfer, "after_create")
def _append_only(_table: Table, bind: SyncConnection, **_: object) -> None:
    bind.execute(text(APPEND_ONLY))


Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


async def lock(connection: Connection, *, environment: str, customer_ids: Iterable[UUID]) -> dict[UUID, Head]:
    """The heads of these customers' books, locked in the order of ids until the transaction ends."""
    ids = sorted(set(customer_ids))
    heads = await locked(connection, ids)
    if len(heads) == len(ids):
        return heads
    born = [new_books(id) for id in ids if id not in heads]
    await connection.execute(
        "INSERT INTO ledger_head (environment, customer_id, number, booked_at, hash)"
        " SELECT $1, new.id, 0, $2, $3 FROM unnest($4::uuid[]) AS new (id) ORDER BY new.id"
        " ON CONFLICT DO NOTHING",
        environment,
        born[0].booked_at,
        born[0].hash,
        [head.customer_id for head in born],
    )
    return await locked(connection, ids)


async def locked(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Head]:
    """The heads that there are of these customers' books, sorted by id, locked in that order."""
    rows = await connection.fetch(
        "SELECT customer_id, number, booked_at, hash FROM ledger_head"
        " WHERE customer_id = ANY($1::uuid[]) ORDER BY customer_id FOR UPDATE",
        ids,
    )
    return {row[0]: Head(customer_id=row[0], number=row[1], booked_at=row[2], hash=row[3]) for row in rows}


_COLUMNS = (
    "environment",
    "customer_id",
    "transaction",
    "line",
    "debit",
    "credit",
    "asset",
    "amount",
    "grant_id",
    "cause",
    "cause_id",
    "business_at",
    "booked_at",
    "hash",
)

_ADD_TRANSFERS = """
INSERT INTO ledger_transfer (environment, customer_id, transaction, line, debit, credit, asset, amount,
    grant_id, cause, cause_id, business_at, booked_at, hash)
SELECT $1, * FROM unnest($2::uuid[], $3::int8[], $4::int4[], $5::text[], $6::text[], $7::text[],
    $8::numeric[], $9::text[], $10::text[], $11::text[], $12::timestamptz[], $13::timestamptz[], $14::bytea[])
"""

_BOOK = """
WITH heads AS (
    UPDATE ledger_head SET number = end_.number, booked_at = end_.booked_at, hash = end_.hash
    FROM unnest($2::uuid[], $3::int8[], $4::timestamptz[], $5::bytea[])
        AS end_ (customer_id, number, booked_at, hash)
    WHERE ledger_head.customer_id = end_.customer_id
)
INSERT INTO ledger_account AS account (environment, customer_id, kind, asset, posted, version)
SELECT $1, change.customer_id, change.kind, change.asset, change.amount, 1
FROM unnest($6::uuid[], $7::text[], $8::text[], $9::numeric[]) AS change (customer_id, kind, asset, amount)
ORDER BY change.customer_id, change.kind, change.asset
ON CONFLICT (customer_id, kind, asset)
DO UPDATE SET posted = account.posted + excluded.posted, version = account.version + 1
"""


async def book_all(
    connection: Connection,
    *,
    environment: str,
    heads: Mapping[UUID, Head],
    transactions: Mapping[UUID, Sequence[LedgerTransaction]],
    now: datetime,
) -> dict[UUID, list[Booked]]:
    """Book transactions of several customers, whose heads the caller has locked, at once."""
    done: dict[UUID, list[Booked]] = {}
    ends: dict[UUID, Head] = {}
    for customer_id, theirs in transactions.items():
        done[customer_id], ends[customer_id] = book(heads[customer_id], theirs, now=now)
    await write(connection, environment=environment, booked=done, ends=ends)
    return done


async def book_as_decided(
    connection: Connection,
    *,
    environment: str,
    heads: Mapping[UUID, Head],
    entries: Iterator[tuple[UUID, LedgerTransaction]],
    now: datetime,
) -> None:
    """Book transactions of customers whose heads the caller has locked, in the order in which they are decided.

    Where there are many, the first are on their way into the books while the next are being decided.
    """
    ends = dict(heads)
    moved: dict[UUID, dict[Account, Decimal]] = {}
    first = list(islice(entries, copy.MANY))
    if len(first) < copy.MANY:
        rows = [row for owner, each in _booked(first, ends, moved, now) for row in _rows(owner, each)]
        if rows:
            await connection.execute(_ADD_TRANSFERS, environment, *zip(*rows, strict=True))
    else:
        booked = _booked(chain(first, entries), ends, moved, now)
        lines = (line for owner, each in booked for line in _lines(environment, owner, each))
        await copy.lines(connection, "ledger_transfer", _COLUMNS, lines)
    await _keep_sums(connection, environment, {owner: ends[owner] for owner in sorted(moved)}, moved)


_TOGETHER = 100
"""Transactions that are decided before they are booked."""


def _booked(
    entries: Iterable[tuple[UUID, LedgerTransaction]],
    ends: dict[UUID, Head],
    moved: dict[UUID, dict[Account, Decimal]],
    now: datetime,
) -> Iterator[tuple[UUID, Booked]]:
    """The transactions in the books, whose ends and sums are moved on."""
    left = iter(entries)
    while some := list(islice(left, _TOGETHER)):
        of: dict[UUID, list[LedgerTransaction]] = {}
        for owner, each in some:
            of.setdefault(owner, []).append(each)
        for owner, theirs in of.items():
            done, ends[owner] = book(ends[owner], theirs, now=now)
            moved[owner] = fold((transfer for each in theirs for transfer in each.transfers), moved.get(owner))
            yield from [(owner, each) for each in done]


async def write(
    connection: Connection,
    *,
    environment: str,
    booked: Mapping[UUID, Sequence[Booked]],
    ends: Mapping[UUID, Head],
) -> None:
    """Write what was booked for customers whose heads the caller has locked, and where their books end now."""
    written = [customer_id for customer_id in sorted(booked) if booked[customer_id]]
    if not written:
        return
    rows = [row for customer_id in written for each in booked[customer_id] for row in _rows(customer_id, each)]
    await connection.execute(_ADD_TRANSFERS, environment, *zip(*rows, strict=True))
    moved = {
        customer_id: fold(transfer for each in booked[customer_id] for transfer in each.transaction.transfers)
        for customer_id in written
    }
    await _keep_sums(connection, environment, {customer_id: ends[customer_id] for customer_id in written}, moved)


async def _keep_sums(
    connection: Connection,
    environment: str,
    ends: Mapping[UUID, Head],
    moved: Mapping[UUID, Mapping[Account, Decimal]],
) -> None:
    """Move on, in the order of customers, where their books end and what their accounts come to."""
    heads = [(owner, end.number, end.booked_at, end.hash) for owner, end in ends.items()]
    changes = [
        (owner, account.name, account.asset, amount) for owner in ends for account, amount in moved[owner].items()
    ]
    if heads:
        await connection.execute(_BOOK, environment, *zip(*heads, strict=True), *zip(*changes, strict=True))


def _lines(environment: str, customer_id: UUID, booked: Booked) -> list[str]:
    """The rows as a COPY takes them, in the order of `_COLUMNS`."""
    of = booked.transaction
    which = f"{environment}\t{customer_id!s}\t{booked.number}"
    cause = f"{escaped(of.cause.kind)}\t{escaped(of.cause.id)}"
    when = f"{instant_text(of.business_at)}\t{instant_text(booked.booked_at)}"
    return [
        f"{which}\t{line}\t{_between(transfer.debit, transfer.credit)}\t{transfer.amount!s}"
        f"\t{NULL if transfer.grant is None else escaped(transfer.grant)}\t{cause}\t{when}\t\\\\x{link.hex()}"
        for line, (transfer, link) in enumerate(zip(of.transfers, booked.hashes, strict=True))
    ]


@cache
def _between(debit: Account, credit: Account) -> str:
    return f"{escaped(debit.name)}\t{escaped(credit.name)}\t{escaped(debit.asset)}"


def _rows(customer_id: UUID, booked: Booked) -> Iterable[tuple[object, ...]]:
    transaction = booked.transaction
    for line, (transfer, link) in enumerate(zip(transaction.transfers, booked.hashes, strict=True)):
        yield (
            customer_id,
            booked.number,
            line,
            transfer.debit.name,
            transfer.credit.name,
            transfer.debit.asset,
            transfer.amount,
            transfer.grant,
            transaction.cause.kind,
            transaction.cause.id,
            transaction.business_at,
            booked.booked_at,
            link,
        )


async def post(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    cause: Cause,
    transfers: Sequence[Transfer],
    business_at: datetime,
    now: datetime,
) -> Booked | None:
    """Book one transaction in a customer's books; None, and nothing booked, where there is nothing to move."""
    if not transfers:
        return None
    transaction = LedgerTransaction(cause=cause, business_at=business_at, transfers=tuple(transfers))
    return await ask_late(_post_all, tx, (environment, now, customer_id, transaction))


async def _post_all(
    tx: AsyncConnection, asked: Sequence[tuple[str, datetime, UUID, LedgerTransaction]]
) -> list[Booked]:
    connection = await driver(tx)
    found: dict[tuple[UUID, Cause], Booked] = {}
    for environment, now in sorted({each[:2] for each in asked}):
        theirs: dict[UUID, list[LedgerTransaction]] = {}
        for _, _, customer_id, transaction in (each for each in asked if each[:2] == (environment, now)):
            theirs.setdefault(customer_id, []).append(transaction)
        heads = await lock(connection, environment=environment, customer_ids=theirs)
        done = await book_all(connection, environment=environment, heads=heads, transactions=theirs, now=now)
        found |= {(id, each.transaction.cause): each for id, booked in done.items() for each in booked}
    return [found[customer_id, transaction.cause] for _, _, customer_id, transaction in asked]


async def transfers_of(tx: AsyncConnection, *, customer_id: UUID, cause: Cause) -> tuple[Transfer, ...]:
    """What a cause (other than a usage event) made the books do, in the order it was booked."""
    rows = await (await driver(tx)).fetch(
        "SELECT debit, credit, asset, amount, grant_id FROM ledger_transfer"
        " WHERE customer_id = $1 AND cause = $2 AND cause_id = $3 AND cause <> 'event'"
        " ORDER BY transaction, line",
        customer_id,
        cause.kind,
        cause.id,
    )
    return tuple(_transfer(row) for row in rows)


async def transaction(tx: AsyncConnection, *, customer_id: UUID, number: int) -> list[Row]:
    """The rows of one transaction; none where the number was never booked."""
    rows = await (await driver(tx)).fetch(f"{_ROWS} AND transaction = $2 ORDER BY line", customer_id, number)
    return [_row(row) for row in rows]


async def rows_of(tx: AsyncConnection, *, customer_id: UUID, before: int | None = None, limit: int = 100) -> list[Row]:
    """The newest transfers, newest first, of transactions numbered below `before`."""
    rows = await (await driver(tx)).fetch(
        f"{_ROWS} AND transaction < $2 ORDER BY transaction DESC, line DESC LIMIT $3",
        customer_id,
        2**62 if before is None else before,
        limit,
    )
    return [_row(row) for row in rows]


async def balances(connection: Connection, customer_ids: Iterable[UUID]) -> dict[UUID, dict[Account, Decimal]]:
    """The balance of every account of these customers, credits positive."""
    rows = await connection.fetch(
        "SELECT customer_id, kind, asset, posted FROM ledger_account WHERE customer_id = ANY($1::uuid[])",
        list(customer_ids),
    )
    found: dict[UUID, dict[Account, Decimal]] = {}
    for row in rows:
        found.setdefault(row[0], {})[named(row[1], row[2])] = row[3]
    return found


async def balances_at(
    tx: AsyncConnection, *, environment: str, customer_id: UUID, instant: datetime
) -> dict[Account, Decimal]:
    """The balances as the books stood at a booking time (UTC).

    The instant is closed by asking: whatever is booked from now on is booked later, so the answer never changes.
    """
    connection = await driver(tx)
    heads = await lock(connection, environment=environment, customer_ids=[customer_id])
    if heads[customer_id].booked_at < instant:
        await connection.execute("UPDATE ledger_head SET booked_at = $2 WHERE customer_id = $1", customer_id, instant)
    rows = await connection.fetch(
        "SELECT account.name, moved.asset, sum(account.sign * moved.amount) FROM ledger_transfer AS moved"
        " CROSS JOIN LATERAL (VALUES (moved.debit, -1), (moved.credit, 1)) AS account (name, sign)"
        " WHERE moved.customer_id = $1 AND moved.booked_at <= $2 GROUP BY 1, 2",
        customer_id,
        instant,
    )
    return {named(row[0], row[1]): row[2] for row in rows}


Clock: TypeAlias = Literal["booking", "business"]
"""Which of the two times of a transfer is meant: when the books learned of it, or when it happened."""


async def stood(
    tx: AsyncConnection, *, environment: str, at: datetime, clock: Clock, customer_id: UUID | None = None
) -> dict[Account, Decimal]:
    """How the accounts of a customer, or of everybody in an environment together, stood at an instant (UTC).

    By business time what is booked later about an earlier time changes the answer; by booking time only a transaction
    that is under way while it is asked can (see `balances_at`).
    """
    rows = await (await driver(tx)).fetch(
        "SELECT account.name, moved.asset, sum(account.sign * moved.amount) FROM ledger_transfer AS moved"
        " CROSS JOIN LATERAL (VALUES (moved.debit, -1), (moved.credit, 1)) AS account (name, sign)"
        " WHERE moved.environment = $1 AND ($2::uuid IS NULL OR moved.customer_id = $2)"
        f" AND moved.{'booked_at' if clock == 'booking' else 'business_at'} <= $3 GROUP BY 1, 2",
        environment,
        customer_id,
        at,
    )
    return {named(row[0], row[1]): row[2] for row in rows}


_ROWS = (
    "SELECT transaction, line, debit, credit, asset, amount, grant_id, cause, cause_id, business_at, booked_at,"
    " hash FROM ledger_transfer WHERE customer_id = $1"
)


async def read(connection: Connection, customer_id: UUID) -> AsyncIterator[Row]:
    """A customer's whole journal in order, streamed; inside a transaction of the caller's."""
    async for row in connection.cursor(f"{_ROWS} ORDER BY transaction, line", customer_id, prefetch=2000):
        yield _row(row)


async def customers(connection: Connection, environment: str | None = None) -> list[UUID]:
    """Everybody who has books, the oldest customer first."""
    rows = await connection.fetch(
        "SELECT customer_id FROM ledger_head WHERE environment = $1 OR $1::text IS NULL"
        " UNION SELECT customer_id FROM ledger_transfer WHERE environment = $1 OR $1::text IS NULL"
        " ORDER BY customer_id",
        environment,
    )
    return [row[0] for row in rows]


async def verify(connection: Connection, customer_id: UUID) -> list[Violation]:
    """Audit one customer's books; the caller's transaction should be a repeatable read."""
    audit = Audit(customer_id)
    async for row in read(connection, customer_id):
        audit.read(row)
    head = await connection.fetchrow(
        "SELECT number, booked_at, hash FROM ledger_head WHERE customer_id = $1", customer_id
    )
    ends = head and Head(customer_id=customer_id, number=head[0], booked_at=head[1], hash=head[2])
    return audit.close(ends or None, (await balances(connection, [customer_id])).get(customer_id, {}))


def _transfer(row: asyncpg.Record) -> Transfer:
    asset = row["asset"]
    return Transfer(named(row["debit"], asset), named(row["credit"], asset), row["amount"], row["grant_id"])


def _row(row: asyncpg.Record) -> Row:
    return Row(
        number=row["transaction"],
        line=row["line"],
        transfer=_transfer(row),
        cause=Cause(row["cause"], row["cause_id"]),
        business_at=row["business_at"],
        booked_at=row["booked_at"],
        hash=row["hash"],
    )
