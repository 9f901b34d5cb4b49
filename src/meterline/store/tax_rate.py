"""Tax rates, and the rates that other rows name by their ids."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Boolean, Column, Index, Numeric, PrimaryKeyConstraint, Row, Table, Text, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import TaxRate
from meterline.refusal import Missing
from meterline.store import row, schema
from meterline.store.identifier import uuid7
from meterline.store.key import among
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.side_by_side import ask

tax_rate = Table(
    "tax_rate",
    schema.metadata,
    schema.environment(),
    schema.public_id(),
    schema.sequence(),
    Column("display_name", Text, nullable=False),
    Column("percentage", Numeric, nullable=False),
    Column("inclusive", Boolean, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("country", Text),
    Column("description", Text),
    Column("jurisdiction", Text),
    Column("state", Text),
    Column("tax_type", Text),
    schema.document("metadata"),
    schema.instant("created", nullable=False),
    PrimaryKeyConstraint("environment", "id"),
    Index("ix_tax_rate_sequence", "environment", "sequence"),
)


async def add(tx: AsyncConnection, new: TaxRate) -> None:
    """Store a new rate."""
    await tx.execute(insert(tax_rate).values(row.values(new, tax_rate, sequence=uuid7())))


async def find(tx: AsyncConnection, environment: str, ids: Collection[str]) -> dict[str, TaxRate]:
    """The rates with those ids; unknown ones are left out."""
    if not ids:
        return {}
    return await ask(_find_each, tx, (environment, frozenset(ids)))


async def _find_each(tx: AsyncConnection, asked: Sequence[tuple[str, frozenset[str]]]) -> list[dict[str, TaxRate]]:
    keys = sorted({(environment, id) for environment, ids in asked for id in ids})
    if not keys:
        return [{} for _ in asked]
    query = select(tax_rate).where(among((tax_rate.c.environment, tax_rate.c.id), keys))
    found = {(each.environment, each.id): row.load(TaxRate, each) for each in await tx.execute(query)}
    return [
        {id: found[environment, id] for id in sorted(ids) if (environment, id) in found} for environment, ids in asked
    ]


async def get(tx: AsyncConnection, environment: str, id: str, *, lock: bool = False) -> TaxRate:
    """The rate that a call is about, with `lock` locked until the transaction ends. Raises Missing."""
    query = select(tax_rate).where(tax_rate.c.environment == environment, tax_rate.c.id == id)
    found = (await tx.execute(query.with_for_update() if lock else query)).one_or_none()
    if found is None:
        raise Missing("tax rate", id, param="tax_rate", subject=True)
    return row.load(TaxRate, found)


async def save(tx: AsyncConnection, changed: TaxRate) -> None:
    """Store a changed rate."""
    await tx.execute(
        update(tax_rate)
        .where(tax_rate.c.environment == changed.environment, tax_rate.c.id == changed.id)
        .values(row.values(changed, tax_rate))
    )


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    active: bool | None = None,
    inclusive: bool | None = None,
    created: Span | None = None,
) -> Page:
    """A page of rates, newest first."""
    scope = tax_rate.c.environment == environment
    query = select(tax_rate).where(scope, *during(tax_rate.c.created, created))
    if active is not None:
        query = query.where(tax_rate.c.active == active)
    if inclusive is not None:
        query = query.where(tax_rate.c.inclusive == inclusive)
    return await page(tx, query, tax_rate, kind="tax rate", scope=scope, cursor=cursor)


def names(rates: Sequence[TaxRate]) -> list[str]:
    """What a row keeps of its rates: their ids, in their order."""
    return [rate.id for rate in rates]


def own_names(rates: Sequence[TaxRate] | None) -> list[str] | None:
    """As `names`, null where a line leaves tax to its invoice."""
    return None if rates is None else names(rates)


async def named_in(tx: AsyncConnection, rows: Sequence[Row[Any]], column: str) -> dict[str, TaxRate]:
    """The rates that a column of these rows, of one environment, names. Costs nothing where none is named."""
    ids = {id for each in rows for id in getattr(each, column) or ()}
    return await find(tx, rows[0].environment, ids) if ids else {}


def of(ids: Sequence[str], known: Mapping[str, TaxRate]) -> tuple[TaxRate, ...]:
    """The rates of those ids, in their order."""
    return tuple(known[id] for id in ids)


def own(ids: Sequence[str] | None, known: Mapping[str, TaxRate]) -> tuple[TaxRate, ...] | None:
    """As `of`, null where a line leaves tax to its invoice."""
    return None if ids is None else of(ids, known)
