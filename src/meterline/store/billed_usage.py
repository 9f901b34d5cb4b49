"""Where usage ended up: the invoice lines and wallet debits that an event went into."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, TableValuedAlias, Text, and_, column, func, or_, select
from sqlalchemy.dialects.postgresql import UUID as UUID_COLUMN
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.late import BilledLine
from meterline.period import Period
from meterline.store import schema
from meterline.store.invoice import invoice, invoice_line, lines_of
from meterline.store.key import numbered
from meterline.store.offer import usage_fee
from meterline.store.price import price
from meterline.store.side_by_side import ask


async def lines(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    meter: str,
    occurred_at: datetime,
    received_at: datetime,
    through_stripe: bool,
) -> list[dict[str, Any]]:
    """The invoice lines that an event is on: for each price those of the first invoice that counted after its receipt.

    What came through Stripe's routes is on no line for late usage.
    """
    rows = await tx.execute(
        select(invoice_line.c.invoice, invoice_line.c.id, invoice_line.c.price, invoice.c.status)
        .join(
            invoice,
            and_(invoice.c.customer_id == invoice_line.c.customer_id, invoice.c.id == invoice_line.c.invoice),
        )
        .join(price, and_(price.c.environment == environment, price.c.id == invoice_line.c.price))
        .where(
            invoice_line.c.customer_id == customer_id,
            invoice_line.c.usage_start <= occurred_at,
            invoice_line.c.usage_end > occurred_at,
            price.c.recurring["meter"].astext == meter,
            or_(invoice.c.usage_counted_at.is_(None), invoice.c.usage_counted_at >= received_at),
            *([~invoice_line.c.late] if through_stripe else []),
        )
        .order_by(invoice.c.sequence, invoice_line.c.sequence)
    )
    first: dict[str, str] = {}
    return [
        {"invoice": r.invoice, "invoice_status": r.status, "line": r.id, "price": r.price}
        for r in rows
        if first.setdefault(r.price, r.invoice) == r.invoice
    ]


async def about(
    tx: AsyncConnection, *, customer_id: UUID, since: datetime, subscription: str | None = None, but: str = ""
) -> list[BilledLine]:
    """The lines that bill or correct the usage of windows that end after `since`, oldest invoice first.

    Of one subscription, or of all of the customer's; without those on the invoice `but`.
    """
    if subscription is not None:
        return await ask(_about_subscriptions, tx, (customer_id, since, but, subscription))
    of = numbered(_ASKED, [(customer_id, since, but)])
    [found] = await _about(tx, of, invoice.c.customer_id == of.c.customer_id, times=1)
    return found


_ASKED = (column("customer_id", UUID_COLUMN), column("since", schema.INSTANT), column("but", Text))


async def _about_subscriptions(
    tx: AsyncConnection, asked: Sequence[tuple[UUID, datetime, str, str]]
) -> list[list[BilledLine]]:
    of = numbered((*_ASKED, column("subscription", Text)), asked)
    theirs = (invoice.c.customer_id == of.c.customer_id) & (invoice.c.subscription == of.c.subscription)
    return await _about(tx, of, theirs, times=len(asked))


async def _about(
    tx: AsyncConnection, asked: TableValuedAlias, theirs: ColumnElement[bool], *, times: int
) -> list[list[BilledLine]]:
    """The lines by the place of the question; `theirs` says whose invoices it is about."""
    on = and_(invoice.c.customer_id == invoice_line.c.customer_id, invoice.c.id == invoice_line.c.invoice)
    query = (
        select(asked.c.n, invoice_line, invoice.c.status, invoice.c.usage_counted_at)
        .select_from(asked.join(invoice, theirs).join(invoice_line, on))
        .where(
            invoice.c.created >= asked.c.since,
            ~invoice.c.deleted,
            invoice.c.id != asked.c.but,
            invoice_line.c.usage_end > asked.c.since,
        )
        .order_by(invoice.c.sequence, invoice_line.c.position)
    )
    rows = (await tx.execute(query)).all()
    found: list[list[BilledLine]] = [[] for _ in range(times)]
    for row, line in zip(rows, await lines_of(tx, rows), strict=True):
        billed = BilledLine(invoice=row.invoice, status=row.status, counted_at=row.usage_counted_at, line=line)
        found[row.n].append(billed)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class LateCount:
    """How many events of a window came after it was counted, by the routes they came by, and were voided since."""

    events: int
    through_stripe: int
    voided: int

    @property
    def any(self) -> bool:
        """Whether anything came or was taken back."""
        return self.events + self.through_stripe + self.voided > 0


_CAME_LATE = """
SELECT count(*) FILTER (WHERE late AND NOT e.through_stripe AND e.voided_at IS NULL),
       count(*) FILTER (WHERE late AND e.through_stripe AND e.voided_at IS NULL),
       count(*) FILTER (WHERE NOT late AND e.voided_at > w.counted_at)
FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[])
     WITH ORDINALITY AS w(meter, starts, ends, counted_at, n)
LEFT JOIN LATERAL (
  SELECT u.through_stripe, u.voided_at, u.received_at > w.counted_at AS late FROM usage_event u
  WHERE u.customer_id = $1 AND u.occurred_at >= w.starts AND u.occurred_at < w.ends AND u.meter = w.meter
) e ON true
GROUP BY w.n ORDER BY w.n"""


async def came_late(
    tx: AsyncConnection, *, customer_id: UUID, windows: Sequence[tuple[str, Period, datetime]]
) -> list[LateCount]:
    """What came late to windows of usage, each given with its meter and the instant it was counted. Costs events."""
    columns = (
        [meter for meter, _, _ in windows],
        [window.start for _, window, _ in windows],
        [window.end for _, window, _ in windows],
        [counted for _, _, counted in windows],
    )
    rows: Iterable[Any] = await tx.exec_driver_sql(_CAME_LATE, (customer_id, *columns))
    return [LateCount(events=row[0], through_stripe=row[1], voided=row[2]) for row in rows]


async def counted_at(tx: AsyncConnection) -> datetime:
    """The database's wall clock now: after everything that the statements before this one have seen."""
    return await ask(_clock, tx, None)


async def _clock(tx: AsyncConnection, asked: Sequence[None]) -> list[datetime]:
    instant: datetime = (await tx.execute(select(func.clock_timestamp()))).scalar_one()
    return [instant] * len(asked)


async def debits(
    tx: AsyncConnection, *, customer_id: UUID, occurred_at: datetime, identifier16: UUID
) -> list[dict[str, Any]]:
    """What wallets were debited for the event."""
    fee = usage_fee.c
    rows = await tx.execute(
        select(fee.asset, fee.amount, fee.price, fee.subscription).where(
            fee.customer_id == customer_id, fee.occurred_at == occurred_at, fee.identifier16 == identifier16
        )
    )
    return [
        {"amount": format(r.amount, "f"), "asset": r.asset, "price": r.price, "subscription": r.subscription}
        for r in rows
    ]
