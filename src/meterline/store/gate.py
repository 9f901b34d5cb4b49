"""What a batch of calls at the gate reads and writes: all of it by one statement each, whatever the calls are.

Rows to be written arrive as JSON arrays, one per column: of every element of an array of its own the driver asks
whether it is an array, which costs more than all the rest of encoding it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

import asyncpg
import msgspec

from meterline.ledger.posting import Slice
from meterline.ledger.transaction import Booked, Head, fold
from meterline.money import EXACT
from meterline.store import ledger, spending
from meterline.store.identifier import sequences
from meterline.store.ledger import Connection
from meterline.store.wallet import Operation, Touched, Wallet
from meterline.wallet.grant import Grant
from meterline.wallet.hold import Hold
from meterline.wallet.pocket import Pocket, in_order

NOTHING = Decimal(0)

Key: TypeAlias = tuple[UUID, str]
"""A customer, and an id of theirs."""

_encode = msgspec.json.Encoder().encode
_slices = msgspec.json.Decoder(tuple[Slice, ...]).decode
_texts = msgspec.json.Decoder(tuple[str, ...]).decode


class Open(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A wallet under its lock.

    `frozen_time` is the time of the test clock `clock` that the customer lives on, if any. `budgeted` is false where
    there are no budgets, `recharged` where no rule watches over the balance.
    """

    wallet: Wallet
    head: Head
    clock: str | None
    frozen_time: datetime | None
    budgeted: bool
    recharged: bool


class Loaded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the calls of a batch name, as it is. `watched` says whether alerts are set on balances."""

    wallets: dict[UUID, Open]
    pockets: dict[Key, Pocket]
    operations: dict[Key, Operation]
    holds: dict[Key, Hold]
    watched: bool


async def lock(connection: Connection, *, environment: str, customer_ids: Iterable[UUID]) -> dict[UUID, Head]:
    """Lock the books of these customers in the order of ids; who has none yet, and is there, gets some."""
    ids = sorted(set(customer_ids))
    heads = await ledger.locked(connection, ids)
    if len(heads) < len(ids):
        living = await connection.fetch(_LIVING, [id for id in ids if id not in heads])
        heads |= await ledger.lock(connection, environment=environment, customer_ids=[row[0] for row in living])
    return heads


_LIVING = "SELECT customer_id FROM customer WHERE customer_id = ANY($1::uuid[]) AND NOT deleted"


async def load(
    connection: Connection,
    *,
    environment: str,
    heads: Mapping[UUID, Head],
    operations: Sequence[Key],
    holds: Sequence[Key],
) -> Loaded:
    """The wallets of these customers, whose books are locked, and the operations and holds that calls name.

    A customer who was deleted, or has no wallet, is left out; so is an id that was never used.
    """
    found = await connection.fetchrow(_LOAD, environment, list(heads), *_keys(operations), *_keys(holds))
    assert found is not None
    wallets = {row[0]: _open(row, environment, heads[row[0]]) for row in found["wallets"]}
    return Loaded(
        wallets=wallets,
        pockets=_pockets(found["accounts"], found["grants"], wallets),
        operations={(row[0], row[1]): _operation(row) for row in found["operations"]},
        holds={(row[0], row[1]): _hold(row) for row in found["holds"]},
        watched=found["watched"],
    )


def _keys(keys: Sequence[Key]) -> list[object]:
    return _columns([(customer_id.hex, id) for customer_id, id in keys], 2)


def _columns(rows: Collection[tuple[object, ...]], width: int) -> list[object]:
    if not rows:
        return [*["[]"] * width, 0]
    return [*[_encode(column).decode() for column in zip(*rows, strict=True)], len(rows)]


def _given(first: int, columns: Sequence[str]) -> str:
    """The rows whose columns are the parameters from `first` on, and whose number is the one after those.

    A limit that the planner does not know makes it reckon with few rows, and so look for them by their keys; otherwise
    it reckons with a hundred, and reads tables of many thousands from end to end.
    """
    last = first + len(columns)
    each = ", ".join(f"json_array_elements_text(${n}::json)" for n in range(first, last))
    return f"(SELECT * FROM ROWS FROM ({each}) AS given ({', '.join(columns)}) LIMIT ${last}) AS new"


_LOAD = f"""
SELECT
    ARRAY(
        SELECT ROW (wallet.customer_id, wallet.status, wallet.overdraft_limit, wallet.created, customer.test_clock,
            clock.frozen_time,
            EXISTS (SELECT FROM budget WHERE budget.customer_id = wallet.customer_id)
                OR EXISTS (SELECT FROM budget_reservation r WHERE r.customer_id = wallet.customer_id),
            EXISTS (SELECT FROM recharge_rule rule WHERE rule.customer_id = wallet.customer_id AND rule.enabled))
        FROM wallet JOIN customer ON customer.customer_id = wallet.customer_id
        LEFT JOIN test_clock clock ON clock.environment = customer.environment AND clock.id = customer.test_clock
        WHERE wallet.customer_id = ANY($2::uuid[]) AND NOT customer.deleted
    ) AS wallets,
    ARRAY(
        SELECT ROW (customer_id, asset, kind, posted) FROM ledger_account
        WHERE customer_id = ANY($2::uuid[]) AND kind IN ('debt', 'lent', 'paid', 'promotional')
    ) AS accounts,
    ARRAY(
        SELECT ROW (customer_id, asset, id, funding, purpose, granted, remaining, held, priority, effective_at,
            expires_at, created, sequence, scope::text, source, lapsed)
        FROM wallet_grant WHERE customer_id = ANY($2::uuid[]) AND remaining > 0
    ) AS grants,
    ARRAY(
        SELECT ROW (customer_id, id, kind, digest, refused, outcome::text, created)
        FROM {_given(3, ("whose", "named"))} CROSS JOIN LATERAL (
            SELECT * FROM wallet_operation WHERE customer_id = new.whose::uuid AND id = new.named OFFSET 0
        ) AS operation
    ) AS operations,
    ARRAY(
        SELECT ROW (customer_id, id, asset, authorized, slices::text, shortage, captured, uncovered, status, policy,
            marks::text, subject, created, expires_at)
        FROM {_given(6, ("whose", "named"))} CROSS JOIN LATERAL (
            SELECT * FROM wallet_hold WHERE customer_id = new.whose::uuid AND id = new.named OFFSET 0
        ) AS hold
    ) AS holds,
    EXISTS (SELECT FROM alert WHERE environment = $1 AND measure = 'balance' AND status = 'active') AS watched
"""


def _open(row: asyncpg.Record, environment: str, head: Head) -> Open:
    customer_id, status, overdraft_limit, created, clock, frozen_time, budgeted, recharged = row
    mine = Wallet(
        environment=environment,
        customer_id=customer_id,
        status=status,
        overdraft_limit=overdraft_limit,
        created=created,
    )
    return Open(wallet=mine, head=head, clock=clock, frozen_time=frozen_time, budgeted=budgeted, recharged=recharged)


def _pockets(
    accounts: Iterable[asyncpg.Record], grants: Iterable[asyncpg.Record], wallets: Mapping[UUID, Open]
) -> dict[Key, Pocket]:
    """A pocket for every asset that a wallet was ever touched in."""
    free: dict[Key, list[Grant]] = {}
    owed: dict[tuple[Key, str], Decimal] = {}
    for customer_id, asset, kind, posted in accounts:
        free.setdefault((customer_id, asset), [])
        owed[(customer_id, asset), kind] = posted
    for row in grants:
        free.setdefault((row[0], row[1]), []).append(_grant(row))
    return {
        key: Pocket(
            asset=key[1],
            grants=in_order(of_asset),
            debt=EXACT.minus(owed.get((key, "debt"), NOTHING)),
            lent=EXACT.minus(owed.get((key, "lent"), NOTHING)),
            overdraft_limit=wallets[key[0]].wallet.overdraft_limit,
        )
        for key, of_asset in free.items()
        if key[0] in wallets
    }


def _grant(row: asyncpg.Record) -> Grant:
    return Grant(
        asset=row[1],
        id=row[2],
        funding=row[3],
        purpose=row[4],
        granted=row[5],
        remaining=row[6],
        held=row[7],
        priority=row[8],
        effective_at=row[9],
        expires_at=row[10],
        created=row[11],
        sequence=row[12],
        scope=_texts(row[13]),
        source=row[14],
        lapsed=row[15],
    )


def _operation(row: asyncpg.Record) -> Operation:
    return Operation(
        id=row[1],
        kind=row[2],
        digest=row[3],
        refused=row[4],
        outcome=msgspec.json.decode(row[5]),
        created=row[6],
    )


def _hold(row: asyncpg.Record) -> Hold:
    return Hold(
        id=row[1],
        asset=row[2],
        authorized=row[3],
        slices=_slices(row[4]),
        shortage=row[5],
        captured=row[6],
        uncovered=row[7],
        status=row[8],
        policy=row[9],
        marks=_texts(row[10]),
        subject=row[11],
        created=row[12],
        expires_at=row[13],
    )


class Done(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What calls came to in one wallet, whose lock the caller holds.

    `ended` are holds that are not due at any time but the one that is given, `planned` those that are due when they
    expire, by the test clock beside them or the wall clock.
    """

    customer_id: UUID
    head: Head
    booked: Sequence[Booked]
    touched: Sequence[Touched]
    holds: Sequence[Hold]
    ended: Sequence[tuple[str, datetime | None]]
    planned: Sequence[tuple[Hold, str | None]]
    remembered: Sequence[Operation]


async def write(connection: Connection, *, environment: str, due_kind: str, done: Sequence[Done]) -> None:
    """Write what the calls of a batch came to. Grants change here, none is new."""
    parts = [_columns([row for each in done for row in part.rows(each)], len(part.columns)) for part in _PARTS]
    await connection.execute(_WRITE, environment, due_kind, *[column for part in parts for column in part])


Rows: TypeAlias = Iterable[tuple[object, ...]]


def _heads(of: Done) -> Rows:
    head = of.head
    return [(of.customer_id.hex, head.number, head.booked_at, head.hash)] if of.booked else []


def _accounts(of: Done) -> Rows:
    who = of.customer_id.hex
    moved = fold(transfer for each in of.booked for transfer in each.transaction.transfers)
    return [(who, account.name, account.asset, amount) for account, amount in moved.items()]


def _transfers(of: Done) -> Rows:
    who = of.customer_id.hex
    for booked in of.booked:
        transaction = booked.transaction
        cause = transaction.cause
        for line, transfer in enumerate(transaction.transfers):
            yield (
                who,
                booked.number,
                line,
                transfer.debit.name,
                transfer.credit.name,
                transfer.debit.asset,
                transfer.amount,
                transfer.grant,
                cause.kind,
                cause.id,
                transaction.business_at,
                booked.booked_at,
                booked.hashes[line],
            )


def _spent(of: Done) -> Rows:
    who = of.customer_id.hex
    sums = spending.sums(part for each in of.booked for part in spending.parts_of(of.customer_id, each.transaction))
    return [(who, asset, day, spent_on, amount) for (_, asset, day, spent_on), amount in sums.items()]


def _grants(of: Done) -> Rows:
    who = of.customer_id.hex
    for each in of.touched:
        before = {grant.id: grant for grant in each.before.grants}
        for grant in each.after.grants:
            if before[grant.id] != grant:
                yield who, grant.id, grant.remaining, grant.held, grant.lapsed


def _holds(of: Done) -> Rows:
    who = of.customer_id.hex
    for each in of.holds:
        yield (
            who,
            each.id,
            each.asset,
            each.authorized,
            _encode(each.slices).decode(),
            each.shortage,
            each.captured,
            each.uncovered,
            each.status,
            each.policy,
            _encode(each.marks).decode(),
            each.subject,
            each.created,
            each.expires_at,
        )


def _ended(of: Done) -> Rows:
    who = of.customer_id.hex
    return [(who, id, kept) for id, kept in of.ended]


def _planned(of: Done) -> Rows:
    who = of.customer_id.hex
    fresh = zip(of.planned, sequences(len(of.planned)), strict=True)
    return [(who, hold.id, hold.expires_at, sequence, clock) for (hold, clock), sequence in fresh]


def _remembered(of: Done) -> Rows:
    who = of.customer_id.hex
    return [
        (who, each.id, sequence, each.kind, each.digest, each.refused, _encode(each.outcome).decode(), each.created)
        for each, sequence in zip(of.remembered, sequences(len(of.remembered)), strict=True)
    ]


class _Part(msgspec.Struct, frozen=True):
    """What is written to one table: its rows, made of what was done; their columns; the statement."""

    rows: Callable[[Done], Rows]
    columns: tuple[str, ...]
    sql: str


_PARTS = (
    _Part(
        _heads,
        ("customer_id", "number", "booked_at", "hash"),
        """
UPDATE ledger_head head SET number = new.number::int8, booked_at = new.booked_at::timestamptz,
    hash = decode(new.hash, 'base64')
FROM {new} WHERE head.customer_id = new.customer_id::uuid
""",
    ),
    _Part(
        _accounts,
        ("customer_id", "kind", "asset", "posted"),
        """
INSERT INTO ledger_account AS account (environment, customer_id, kind, asset, posted, version)
SELECT $1, customer_id::uuid, kind, asset, posted::numeric, 1 FROM {new} ORDER BY 2, 3, 4
ON CONFLICT (customer_id, kind, asset)
DO UPDATE SET posted = account.posted + excluded.posted, version = account.version + 1
""",
    ),
    _Part(
        _transfers,
        (
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
        ),
        """
INSERT INTO ledger_transfer (environment, customer_id, transaction, line, debit, credit, asset, amount, grant_id,
    cause, cause_id, business_at, booked_at, hash)
SELECT $1, customer_id::uuid, transaction::int8, line::int4, debit, credit, asset, amount::numeric, grant_id,
    cause, cause_id, business_at::timestamptz, booked_at::timestamptz, decode(hash, 'base64')
FROM {new}
""",
    ),
    _Part(
        _spent,
        ("customer_id", "asset", "day", "spent_on", "amount"),
        """
INSERT INTO wallet_spending AS spending (environment, customer_id, asset, day, spent_on, amount)
SELECT $1, customer_id::uuid, asset, day::date, spent_on, amount::numeric FROM {new}
ON CONFLICT (customer_id, asset, day, spent_on) DO UPDATE SET amount = spending.amount + excluded.amount
""",
    ),
    _Part(
        _grants,
        ("customer_id", "id", "remaining", "held", "lapsed"),
        """
UPDATE wallet_grant old SET remaining = new.remaining::numeric, held = new.held::numeric, lapsed = new.lapsed::bool
FROM {new} WHERE old.customer_id = new.customer_id::uuid AND old.id = new.id
""",
    ),
    _Part(
        _holds,
        (
            "customer_id",
            "id",
            "asset",
            "authorized",
            "slices",
            "shortage",
            "captured",
            "uncovered",
            "status",
            "policy",
            "marks",
            "subject",
            "created",
            "expires_at",
        ),
        """
INSERT INTO wallet_hold (environment, customer_id, id, asset, authorized, slices, shortage, captured, uncovered,
    status, policy, marks, subject, created, expires_at)
SELECT $1, customer_id::uuid, id, asset, authorized::numeric, slices::jsonb, shortage::numeric, captured::numeric,
    uncovered::numeric, status, policy, marks::jsonb, subject, created::timestamptz, expires_at::timestamptz
FROM {new}
ON CONFLICT (customer_id, id) DO UPDATE SET authorized = excluded.authorized, slices = excluded.slices,
    shortage = excluded.shortage, captured = excluded.captured, uncovered = excluded.uncovered,
    status = excluded.status, expires_at = excluded.expires_at
""",
    ),
    _Part(
        _ended,
        ("customer_id", "id", "kept"),
        """
DELETE FROM due USING {new}
WHERE due.customer_id = new.customer_id::uuid AND due.kind = $2 AND due.subject = new.id
    AND due.boundary IS DISTINCT FROM new.kept::timestamptz
""",
    ),
    _Part(
        _planned,
        ("customer_id", "id", "expires_at", "sequence", "clock"),
        """
INSERT INTO due (environment, customer_id, kind, subject, boundary, due_at, sequence, clock)
SELECT $1, customer_id::uuid, $2, id, expires_at::timestamptz, expires_at::timestamptz, sequence::uuid, clock
FROM {new} ON CONFLICT DO NOTHING
""",
    ),
    _Part(
        _remembered,
        ("customer_id", "id", "sequence", "kind", "digest", "refused", "outcome", "created"),
        """
INSERT INTO wallet_operation (environment, customer_id, id, sequence, kind, digest, refused, outcome, created)
SELECT $1, customer_id::uuid, id, sequence::uuid, kind, decode(digest, 'base64'), refused::bool, outcome::jsonb,
    created::timestamptz
FROM {new}
""",
    ),
)
"""No row is written by two parts, and none depends on what another writes: they run as one statement."""


def _statement() -> str:
    first, parts = 3, []
    for n, part in enumerate(_PARTS):
        parts.append(f"part_{n} AS ({part.sql.format(new=_given(first, part.columns))})")
        first += len(part.columns) + 1
    return f"WITH {', '.join(parts)} SELECT"


_WRITE = _statement()
