"""What the events of wallets brought in, and what the seller paid for them: sums over what they were told with."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from meterline.store.ledger import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose events, of which subject, of what time; `until` is not part of it."""

    customer_ids: Collection[UUID] | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def values(self, environment: str) -> tuple[object, ...]:
        """As the statements take it."""
        ids = None if self.customer_ids is None else list(self.customer_ids)
        return (environment, ids, self.subject, self.since, self.until)


_SCOPE = (
    " WHERE environment = $1 AND ($2::uuid[] IS NULL OR customer_id = ANY($2)) AND ($3::text IS NULL OR subject = $3)"
    " AND ($4::timestamptz IS NULL OR occurred_at >= $4) AND ($5::timestamptz IS NULL OR occurred_at < $5)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """What some events of a customer brought in, in `asset`; `cost` is what they cost, whatever the currency."""

    customer_id: UUID
    asset: str | None
    events: int
    revenue: Decimal
    cost: Decimal


async def margins(connection: Connection, environment: str, scope: Scope) -> list[Margin]:
    """Revenue and cost by customer and asset."""
    rows = await connection.fetch(
        "SELECT customer_id, asset, count(*) AS events, sum(fee) AS revenue, sum(cost) AS cost FROM wallet_event"
        f"{_SCOPE} GROUP BY customer_id, asset ORDER BY customer_id, asset",
        *scope.values(environment),
    )
    return [Margin(**dict(row)) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What was paid to a vendor for a category, for events of a customer."""

    customer_id: UUID
    vendor: str | None
    category: str | None
    currency: str
    amount: Decimal


async def costs(
    connection: Connection, environment: str, scope: Scope, *, vendors: Collection[str] | None = None
) -> list[Cost]:
    """Costs by customer, vendor, category and currency; of the vendors of those names alone, where they are given."""
    rows = await connection.fetch(
        "SELECT customer_id, paid->>'vendor' AS vendor, paid->>'category' AS category, paid->>'currency' AS currency,"
        " sum((paid->>'amount')::numeric) AS amount"
        " FROM wallet_event CROSS JOIN LATERAL jsonb_array_elements(costs) AS one (paid)"
        f"{_SCOPE} AND ($6::text[] IS NULL OR paid->>'vendor' = ANY($6))"
        " GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4",
        *scope.values(environment),
        None if vendors is None else list(vendors),
    )
    return [Cost(**dict(row)) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """All events of a customer that share a subject."""

    customer_id: UUID
    subject: str
    events: int
    first_at: datetime
    last_at: datetime


async def tasks(
    connection: Connection, environment: str, scope: Scope, *, offset: int, limit: int
) -> tuple[list[Task], int]:
    """Some tasks, the latest first, and how many there are."""
    grouped = (
        "SELECT customer_id, subject, count(*) AS events, min(occurred_at) AS first_at, max(occurred_at) AS last_at"
        f" FROM wallet_event{_SCOPE} AND subject IS NOT NULL GROUP BY customer_id, subject"
    )
    values = scope.values(environment)
    count = await connection.fetchval(f"SELECT count(*) FROM ({grouped}) AS found", *values)
    rows = await connection.fetch(
        f"{grouped} ORDER BY last_at DESC, customer_id, subject OFFSET $6 LIMIT $7", *values, offset, limit
    )
    return [Task(**dict(row)) for row in rows], count
