"""Portal sessions, and the digests of the two secrets that open one: the link's, and the visitor's who used it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, Column, LargeBinary, PrimaryKeyConstraint, Table, Text, delete, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer.portal import PortalSession
from meterline.store import public_id, schema
from meterline.store.identifier import uuid7
from meterline.store.row import load, values

KIND = "billing_portal.session"

portal_session = Table(
    "portal_session",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text, nullable=False),
    Column("configuration", Text, nullable=False),
    schema.instant("created", nullable=False),
    schema.instant("link_expires_at", nullable=False),
    Column("return_url", Text),
    Column("failure_url", Text),
    Column("locale", Text),
    Column("flow", JSONB(none_as_null=True)),
    Column("recovery", JSONB(none_as_null=True)),
    Column("link_digest", LargeBinary, nullable=False),
    Column("visit_digest", LargeBinary, nullable=False),
    schema.instant("made_at", nullable=False),
    schema.instant("seen_at"),
    Column("mailed", Boolean, nullable=False),
    PrimaryKeyConstraint("customer_id", "id"),
)
"""`made_at` and `seen_at` are the wall clock's: when the session was made, and when it was last used. `mailed` says
that the customer asked for it, and got the link by mail."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A session as it is kept, with the digests of its secrets and when it was last used (wall clock, UTC)."""

    session: PortalSession
    link_digest: bytes
    visit_digest: bytes
    seen_at: datetime | None


def digest(secret: str) -> bytes:
    """The stored form of a secret. Secrets are 32 random bytes, so one fast hash is enough."""
    return hashlib.sha256(secret.encode()).digest()


async def add(tx: AsyncConnection, new: PortalSession, *, link: str, visit: str, mailed: bool, wall: datetime) -> None:
    """Store a new session and make its id known; of its secrets the digests."""
    row = values(
        new,
        portal_session,
        sequence=uuid7(),
        link_digest=digest(link),
        visit_digest=digest(visit),
        made_at=wall,
        mailed=mailed,
    )
    await tx.execute(insert(portal_session).values(row))
    await public_id.add(tx, environment=new.environment, customer_id=new.customer_id, kind=KIND, ids=[new.id])


async def forget(tx: AsyncConnection, *, environment: str, customer_id: UUID, before: datetime) -> None:
    """Drop the customer's sessions that were made before that wall time."""
    gone = await tx.scalars(
        delete(portal_session)
        .where(portal_session.c.customer_id == customer_id, portal_session.c.made_at < before)
        .returning(portal_session.c.id)
    )
    await public_id.remove(tx, environment=environment, ids=list(gone))


async def find(tx: AsyncConnection, environment: str, id: str) -> Kept | None:
    """The session of that id; None where there is none, or it was dropped."""
    owner = await public_id.owner(tx, environment=environment, kind=KIND, id=id)
    query = select(portal_session).where(portal_session.c.customer_id == owner, portal_session.c.id == id)
    row = None if owner is None else (await tx.execute(query)).one_or_none()
    if row is None:
        return None
    return Kept(load(PortalSession, row), row.link_digest, row.visit_digest, row.seen_at)


async def last_mailed_at(tx: AsyncConnection, customer_id: UUID) -> datetime | None:
    """When the customer was last mailed a link, wall clock."""
    query = (
        select(portal_session.c.made_at)
        .where(portal_session.c.customer_id == customer_id, portal_session.c.mailed)
        .order_by(portal_session.c.made_at.desc())
        .limit(1)
    )
    found: datetime | None = await tx.scalar(query)
    return found


async def seen(tx: AsyncConnection, session: PortalSession, *, wall: datetime) -> None:
    """The session is in use."""
    await tx.execute(
        update(portal_session)
        .where(portal_session.c.customer_id == session.customer_id, portal_session.c.id == session.id)
        .values(seen_at=wall)
    )


async def close(tx: AsyncConnection, session: PortalSession) -> None:
    """Nothing opens the session any more: neither its link nor what a visitor holds."""
    await tx.execute(
        update(portal_session)
        .where(portal_session.c.customer_id == session.customer_id, portal_session.c.id == session.id)
        .values(link_digest=b"", visit_digest=b"")
    )
