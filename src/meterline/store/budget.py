"""Budgets, the trees of spenders, and how far each window has come. Changed under the lock on the wallet."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from sqlalchemy import Boolean, CheckConstraint, Column, PrimaryKeyConstraint, Table, Text

from meterline.limit.budget import Budget, Reservation, Tally
from meterline.store import schema
from meterline.store.ledger import AMOUNT, Connection

budget = Table(
    "budget",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    Column("spender", Text),
    Column("asset", Text),
    Column("usage", Text),
    Column("amount", AMOUNT, nullable=False),
    Column("window", Text, nullable=False),
    Column("hard", Boolean, nullable=False),
    schema.document("marks"),
    Column("owner", Text, nullable=False),
    PrimaryKeyConstraint("customer_id", "id"),
    CheckConstraint("num_nonnulls(asset, usage) = 1", name="of_one_thing"),
)

spender = Table(
    "spender",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    Column("parent", Text),
    PrimaryKeyConstraint("customer_id", "id"),
    CheckConstraint("id <> parent", name="above"),
)

budget_tally = Table(
    "budget_tally",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    Column("budget", Text, nullable=False),
    schema.instant("window_start", nullable=False),
    Column("spent", AMOUNT, nullable=False),
    Column("reserved", AMOUNT, nullable=False),
    PrimaryKeyConstraint("customer_id", "budget", "window_start"),
    CheckConstraint("reserved >= 0", name="reserved"),
    postgresql_with={"fillfactor": 50},
)

budget_reservation = Table(
    "budget_reservation",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    Column("hold", Text, nullable=False),
    Column("budget", Text, nullable=False),
    schema.instant("window_start", nullable=False),
    Column("amount", AMOUNT, nullable=False),
    PrimaryKeyConstraint("customer_id", "hold", "budget", "window_start"),
)
"""What an open hold has set aside of each budget; gone when the hold ends."""


async def all_of(connection: Connection, customer_id: UUID) -> list[Budget]:
    """A customer's budgets, by id."""
    return (await of_all(connection, [customer_id])).get(customer_id, [])


async def of_all(connection: Connection, customer_ids: Iterable[UUID]) -> dict[UUID, list[Budget]]:
    """The budgets of these customers, by id; customers without any are left out."""
    rows = await connection.fetch(
        'SELECT customer_id, id, spender, asset, usage, amount, "window", hard, marks::text AS marks, owner FROM budget'
        " WHERE customer_id = ANY($1::uuid[]) ORDER BY customer_id, id",
        list(customer_ids),
    )
    found: dict[UUID, list[Budget]] = {}
    for row in rows:
        plain = dict(row) | {"marks": tuple(msgspec.json.decode(row["marks"]))}
        found.setdefault(plain.pop("customer_id"), []).append(Budget(**plain))
    return found


async def put(connection: Connection, *, environment: str, customer_id: UUID, new: Budget) -> None:
    """Set a budget; one of the same id is replaced, and what was spent in its window still counts."""
    await connection.execute(
        'INSERT INTO budget (environment, customer_id, id, spender, asset, amount, "window", hard, marks, owner, usage)'
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10, $11)"
        " ON CONFLICT (customer_id, id) DO UPDATE SET spender = excluded.spender, asset = excluded.asset,"
        " usage = excluded.usage,"
        ' amount = excluded.amount, "window" = excluded."window", hard = excluded.hard, marks = excluded.marks,'
        " owner = excluded.owner",
        environment,
        customer_id,
        new.id,
        new.spender,
        new.asset,
        new.amount,
        new.window,
        new.hard,
        msgspec.json.encode(new.marks).decode(),
        new.owner,
        new.usage,
    )


async def remove(connection: Connection, *, customer_id: UUID, id: str) -> bool:
    """Lift a budget; False when there was none."""
    done: str = await connection.execute("DELETE FROM budget WHERE customer_id = $1 AND id = $2", customer_id, id)
    return done.endswith(" 1")


async def parents(connection: Connection, customer_id: UUID) -> dict[str, str | None]:
    """The customer's tree: each spender's parent."""
    return (await trees(connection, [customer_id])).get(customer_id, {})


async def trees(connection: Connection, customer_ids: Iterable[UUID]) -> dict[UUID, dict[str, str | None]]:
    """The trees of these customers; those without one are left out."""
    rows = await connection.fetch(
        "SELECT customer_id, id, parent FROM spender WHERE customer_id = ANY($1::uuid[])", list(customer_ids)
    )
    found: dict[UUID, dict[str, str | None]] = {}
    for row in rows:
        found.setdefault(row[0], {})[row[1]] = row[2]
    return found


async def place(connection: Connection, *, environment: str, customer_id: UUID, id: str, parent: str | None) -> None:
    """Put a spender below another, or at the top."""
    await connection.execute(
        "INSERT INTO spender (environment, customer_id, id, parent) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (customer_id, id) DO UPDATE SET parent = excluded.parent",
        environment,
        customer_id,
        id,
        parent,
    )


async def tallies(
    connection: Connection, customer_id: UUID, keys: Sequence[tuple[str, datetime]]
) -> dict[tuple[str, datetime], Tally]:
    """How far these windows have come."""
    rows = await connection.fetch(
        "SELECT budget, window_start, spent, reserved FROM budget_tally WHERE customer_id = $1"
        " AND (budget, window_start) IN (SELECT * FROM unnest($2::text[], $3::timestamptz[]))",
        customer_id,
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    return {(row[0], row[1]): Tally(spent=row[2], reserved=row[3]) for row in rows}


async def reserve(
    connection: Connection, *, environment: str, customer_id: UUID, hold: str, reserved: Iterable[Reservation]
) -> None:
    """Set parts of windows aside for a hold."""
    for each in reserved:
        await _move(connection, environment, customer_id, each, reserved=each.amount)
        await connection.execute(
            "INSERT INTO budget_reservation AS r (environment, customer_id, hold, budget, window_start, amount)"
            " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (customer_id, hold, budget, window_start)"
            " DO UPDATE SET amount = r.amount + excluded.amount",
            environment,
            customer_id,
            hold,
            each.budget,
            each.window_start,
            each.amount,
        )


async def reserved(connection: Connection, *, customer_id: UUID, hold: str) -> list[Reservation]:
    """What a hold has set aside."""
    rows = await connection.fetch(
        "SELECT budget, window_start, amount FROM budget_reservation WHERE customer_id = $1 AND hold = $2"
        " ORDER BY budget, window_start",
        customer_id,
        hold,
    )
    return [Reservation(budget=row[0], window_start=row[1], amount=row[2]) for row in rows]


async def free(
    connection: Connection, *, environment: str, customer_id: UUID, hold: str, freed: Iterable[Reservation]
) -> None:
    """Let parts go that were set aside for a hold."""
    for each in freed:
        await _move(connection, environment, customer_id, each, reserved=each.amount.copy_negate())
        await connection.execute(
            "UPDATE budget_reservation SET amount = amount - $5"
            " WHERE customer_id = $1 AND hold = $2 AND budget = $3 AND window_start = $4",
            customer_id,
            hold,
            each.budget,
            each.window_start,
            each.amount,
        )


async def forget(connection: Connection, *, customer_id: UUID, hold: str) -> None:
    """The hold ended."""
    await connection.execute("DELETE FROM budget_reservation WHERE customer_id = $1 AND hold = $2", customer_id, hold)


async def spend(
    connection: Connection, *, environment: str, spent: Mapping[tuple[UUID, str, datetime], Decimal]
) -> dict[tuple[UUID, str, datetime], Decimal]:
    """Count what was spent in these windows of budgets (customer, budget, start); what each has come to."""
    rows = [(*key, spent[key]) for key in sorted(spent, key=lambda key: (key[0].bytes, *key[1:]))]
    if not rows:
        return {}
    found = await connection.fetch(
        "INSERT INTO budget_tally AS t (environment, customer_id, budget, window_start, spent, reserved)"
        " SELECT $1, new.customer_id, new.budget, new.start, new.spent, 0"
        " FROM unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::numeric[])"
        " AS new (customer_id, budget, start, spent) ORDER BY 2, 3, 4"
        " ON CONFLICT (customer_id, budget, window_start) DO UPDATE SET spent = t.spent + excluded.spent"
        " RETURNING customer_id, budget, window_start, spent",
        environment,
        *zip(*rows, strict=True),
    )
    return {(row[0], row[1], row[2]): row[3] for row in found}


async def _move(
    connection: Connection, environment: str, customer_id: UUID, part: Reservation, *, reserved: Decimal
) -> None:
    await connection.execute(
        "INSERT INTO budget_tally AS t (environment, customer_id, budget, window_start, spent, reserved)"
        " VALUES ($1, $2, $3, $4, 0, 0) ON CONFLICT DO NOTHING",
        environment,
        customer_id,
        part.budget,
        part.window_start,
    )
    await connection.execute(
        "UPDATE budget_tally SET reserved = reserved + $4 WHERE customer_id = $1 AND budget = $2 AND window_start = $3",
        customer_id,
        part.budget,
        part.window_start,
        reserved,
    )
