"""Budgets, the trees of spenders, and how far each window has come. Changed under the lock on the wallet."""

from collections.abc import Iterable, Sequence
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
    Column("asset", Text, nullable=False),
    Column("amount", AMOUNT, nullable=False),
    Column("window", Text, nullable=False),
    Column("hard", Boolean, nullable=False),
    schema.document("marks"),
    Column("owner", Text, nullable=False),
    PrimaryKeyConstraint("customer_id", "id"),
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
    rows = await connection.fetch(
        'SELECT id, spender, asset, amount, "window", hard, marks::text AS marks, owner FROM budget'
        " WHERE customer_id = $1 ORDER BY id",
        customer_id,
    )
    return [Budget(**(dict(row) | {"marks": tuple(msgspec.json.decode(row["marks"]))})) for row in rows]


async def put(connection: Connection, *, environment: str, customer_id: UUID, new: Budget) -> None:
    """Set a budget; one of the same id is replaced, and what was spent in its window still counts."""
    await connection.execute(
        'INSERT INTO budget (environment, customer_id, id, spender, asset, amount, "window", hard, marks, owner)'
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10)"
        " ON CONFLICT (customer_id, id) DO UPDATE SET spender = excluded.spender, asset = excluded.asset,"
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
    )


async def remove(connection: Connection, *, customer_id: UUID, id: str) -> bool:
    """Lift a budget; False when there was none."""
    done: str = await connection.execute("DELETE FROM budget WHERE customer_id = $1 AND id = $2", customer_id, id)
    return done.endswith(" 1")


async def parents(connection: Connection, customer_id: UUID) -> dict[str, str | None]:
    """The customer's tree: each spender's parent."""
    rows = await connection.fetch("SELECT id, parent FROM spender WHERE customer_id = $1", customer_id)
    return {row[0]: row[1] for row in rows}


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
        await _move(connection, environment, customer_id, each, spent=each.amount * 0, reserved=each.amount)
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


async def settle(
    connection: Connection,
    *,
    environment: str,
    customer_id: UUID,
    hold: str,
    part: Reservation,
    spent: Decimal,
    freed: Decimal,
) -> None:
    """Of a hold's part, count `spent` as spent and let `freed` of the reservation go."""
    await _move(connection, environment, customer_id, part, spent=spent, reserved=-freed)
    await connection.execute(
        "UPDATE budget_reservation SET amount = amount - $5"
        " WHERE customer_id = $1 AND hold = $2 AND budget = $3 AND window_start = $4",
        customer_id,
        hold,
        part.budget,
        part.window_start,
        freed,
    )


async def forget(connection: Connection, *, customer_id: UUID, hold: str) -> None:
    """The hold ended."""
    await connection.execute("DELETE FROM budget_reservation WHERE customer_id = $1 AND hold = $2", customer_id, hold)


async def _move(
    connection: Connection,
    environment: str,
    customer_id: UUID,
    part: Reservation,
    *,
    spent: Decimal,
    reserved: Decimal,
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
        "UPDATE budget_tally SET spent = spent + $4, reserved = reserved + $5"
        " WHERE customer_id = $1 AND budget = $2 AND window_start = $3",
        customer_id,
        part.budget,
        part.window_start,
        spent,
        reserved,
    )
