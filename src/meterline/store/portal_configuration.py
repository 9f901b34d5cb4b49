"""Portal configurations."""

from collections.abc import Sequence

from sqlalchemy import Boolean, Column, Index, PrimaryKeyConstraint, Table, Text, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer.portal import PortalConfiguration
from meterline.refusal import Missing
from meterline.store import schema
from meterline.store.identifier import uuid7
from meterline.store.page import Cursor, Page, page
from meterline.store.row import load, values

KIND = "configuration"

portal_configuration = Table(
    "portal_configuration",
    schema.metadata,
    schema.environment(),
    schema.public_id(),
    schema.sequence(),
    schema.instant("created", nullable=False),
    schema.instant("updated", nullable=False),
    schema.document("features"),
    Column("active", Boolean, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("name", Text),
    Column("headline", Text),
    Column("privacy_policy_url", Text),
    Column("terms_of_service_url", Text),
    Column("default_return_url", Text),
    Column("login", Boolean, nullable=False),
    schema.document("metadata"),
    PrimaryKeyConstraint("environment", "id"),
    Index("ix_portal_configuration_sequence", "environment", "sequence"),
    Index("ix_portal_configuration_default", "environment", unique=True, postgresql_where=text("is_default")),
)


async def add(tx: AsyncConnection, new: PortalConfiguration) -> bool:
    """Store a new configuration; False when it was to be the default one and there is one already."""
    statement = insert(portal_configuration).values(values(new, portal_configuration, sequence=uuid7()))
    done = await tx.execute(statement.on_conflict_do_nothing())
    return done.rowcount == 1


async def save(tx: AsyncConnection, changed: PortalConfiguration) -> None:
    """Store a changed configuration that was locked."""
    await tx.execute(
        update(portal_configuration)
        .where(
            portal_configuration.c.environment == changed.environment,
            portal_configuration.c.id == changed.id,
        )
        .values(values(changed, portal_configuration))
    )


async def find(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, PortalConfiguration]:
    """The configurations with those ids; unknown ones are left out."""
    query = select(portal_configuration).where(
        portal_configuration.c.environment == environment, portal_configuration.c.id.in_(ids)
    )
    return {row.id: load(PortalConfiguration, row) for row in await tx.execute(query)}


async def get(
    tx: AsyncConnection, environment: str, id: str, *, param: str = "configuration", lock: bool = False
) -> PortalConfiguration:
    """The configuration of that id, locked if asked. Raises Missing."""
    query = select(portal_configuration).where(
        portal_configuration.c.environment == environment, portal_configuration.c.id == id
    )
    row = (await tx.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise Missing(KIND, id, param=param, subject=True)
    return load(PortalConfiguration, row)


async def default(tx: AsyncConnection, environment: str) -> PortalConfiguration | None:
    """The default configuration of the environment, where it has one."""
    query = select(portal_configuration).where(
        portal_configuration.c.environment == environment, portal_configuration.c.is_default
    )
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else load(PortalConfiguration, row)


async def listed(
    tx: AsyncConnection, environment: str, cursor: Cursor, *, active: bool | None = None, is_default: bool | None = None
) -> Page:
    """A page of configurations, newest first."""
    scope = portal_configuration.c.environment == environment
    query = select(portal_configuration).where(scope)
    if active is not None:
        query = query.where(portal_configuration.c.active == active)
    if is_default is not None:
        query = query.where(portal_configuration.c.is_default == is_default)
    return await page(tx, query, portal_configuration, kind=KIND, scope=scope, cursor=cursor)
