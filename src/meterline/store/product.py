"""Products."""

from collections.abc import Sequence

from sqlalchemy import Boolean, Column, Index, PrimaryKeyConstraint, Table, Text, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog.product import Product
from meterline.refusal import Missing, Refusal
from meterline.store import row
from meterline.store.identifier import uuid7
from meterline.store.key import among
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.schema import document, environment, instant, metadata, public_id, sequence
from meterline.store.search import Searchable
from meterline.store.side_by_side import ask

product = Table(
    "product",
    metadata,
    environment(),
    public_id(),
    sequence(),
    Column("name", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("description", Text),
    Column("default_price", Text),
    Column("statement_descriptor", Text),
    Column("unit_label", Text),
    Column("tax_code", Text),
    Column("type", Text, nullable=False),
    Column("shippable", Boolean),
    Column("url", Text),
    document("images"),
    document("metadata"),
    document("extra"),
    instant("created", nullable=False),
    instant("updated", nullable=False),
    Column("deleted", Boolean, nullable=False, server_default="false"),
    PrimaryKeyConstraint("environment", "id"),
    Index("ix_product_sequence", "environment", "sequence"),
)

SEARCH = Searchable(
    resource="products",
    table=product,
    fields={
        "active": (product.c.active, "flag"),
        "description": (product.c.description, "text"),
        "name": (product.c.name, "text"),
        "shippable": (product.c.shippable, "flag"),
        "url": (product.c.url, "text"),
    },
    hidden=product.c.deleted,
)


async def add(tx: AsyncConnection, new: Product) -> None:
    """Insert a product; refuses an id that was ever used, deleted ones included."""
    statement = insert(product).values(row.values(new, product, sequence=uuid7()))
    done = await tx.execute(statement.on_conflict_do_nothing())
    if done.rowcount == 0:
        raise Refusal("Product already exists.", code="resource_already_exists", param="id")


async def find(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Product]:
    """The products with those ids, deleted ones left out."""
    return await ask(_find_each, tx, (environment, frozenset(ids)))


async def _find_each(tx: AsyncConnection, asked: Sequence[tuple[str, frozenset[str]]]) -> list[dict[str, Product]]:
    keys = sorted({(environment, id) for environment, ids in asked for id in ids})
    if not keys:
        return [{} for _ in asked]
    query = select(product).where(among((product.c.environment, product.c.id), keys), ~product.c.deleted)
    found = {(each.environment, each.id): row.load(Product, each) for each in await tx.execute(query)}
    return [
        {id: found[environment, id] for id in sorted(ids) if (environment, id) in found} for environment, ids in asked
    ]


async def lock(tx: AsyncConnection, environment: str, id: str) -> Product:
    """The product, locked until the transaction ends. Raises Missing."""
    query = select(product).where(product.c.environment == environment, product.c.id == id, ~product.c.deleted)
    found = (await tx.execute(query.with_for_update())).one_or_none()
    if found is None:
        raise Missing("product", id, param="id", subject=True)
    return row.load(Product, found)


async def save(tx: AsyncConnection, changed: Product) -> None:
    """Write a changed product back."""
    await tx.execute(
        update(product)
        .where(product.c.environment == changed.environment, product.c.id == changed.id)
        .values(row.values(changed, product))
    )


async def remove(tx: AsyncConnection, gone: Product) -> None:
    """Forget a product; its row stays as a list cursor, and its id stays taken."""
    await tx.execute(
        update(product).where(product.c.environment == gone.environment, product.c.id == gone.id).values(deleted=True)
    )


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    active: bool | None = None,
    created: Span | None = None,
    ids: Sequence[str] | None = None,
    shippable: bool | None = None,
    type: str | None = None,
    url: str | None = None,
) -> Page:
    """A page of products, newest first."""
    scope = product.c.environment == environment
    query = select(product).where(scope, ~product.c.deleted, *during(product.c.created, created))
    equal = {product.c.active: active, product.c.shippable: shippable, product.c.type: type, product.c.url: url}
    query = query.where(*(column == value for column, value in equal.items() if value is not None))
    if ids is not None:
        query = query.where(product.c.id.in_(ids))
    return await page(tx, query, product, kind="product", scope=scope, cursor=cursor)
