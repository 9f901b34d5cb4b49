"""Sessions of the event stream: short-lived tokens that stand for an environment."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, Index, LargeBinary, PrimaryKeyConstraint, Table, UniqueConstraint, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import row, schema
from meterline.store.api_key import digest

LIFETIME = timedelta(minutes=15)
KEPT = timedelta(days=1)
MOST_CACHED = 10_000

meter_event_session = Table(
    "meter_event_session",
    schema.metadata,
    schema.environment(),
    schema.public_id(),
    Column("digest", LargeBinary, nullable=False),
    schema.instant("created", nullable=False),
    schema.instant("expires_at", nullable=False),
    PrimaryKeyConstraint("environment", "id"),
    UniqueConstraint("digest"),
    Index("ix_meter_event_session_expires_at", "expires_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Whose events a token may bring, and until when (UTC)."""

    environment: str
    id: str
    created: datetime
    expires_at: datetime


async def create(tx: AsyncConnection, *, environment: str, now: datetime) -> tuple[Session, str]:
    """A new session and its token, which is not stored. Sessions long expired are swept out."""
    await tx.execute(delete(meter_event_session).where(meter_event_session.c.expires_at < now - KEPT))
    token = f"token_{secrets.token_urlsafe(48)}"
    session = Session(
        environment=environment, id=f"mes_{secrets.token_hex(12)}", created=now, expires_at=now + LIFETIME
    )
    await tx.execute(insert(meter_event_session).values(row.values(session, meter_event_session, digest=digest(token))))
    return session, token


async def find(tx: AsyncConnection, token: str) -> Session | None:
    """The session of a token, expired ones included for a day."""
    query = select(meter_event_session).where(meter_event_session.c.digest == digest(token))
    found = (await tx.execute(query)).one_or_none()
    return None if found is None else row.load(Session, found)
