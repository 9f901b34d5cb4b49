"""API keys: only their digest is kept."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, LargeBinary, PrimaryKeyConstraint, Table, Text, UniqueConstraint, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import row
from meterline.store.identifier import public
from meterline.store.schema import document, environment, instant, metadata, public_id

api_key = Table(
    "api_key",
    metadata,
    environment(),
    public_id(),
    Column("digest", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text),
    Column("last4", Text, nullable=False),
    document("permissions"),
    instant("created", nullable=False),
    instant("revoked_at"),
    PrimaryKeyConstraint("environment", "id"),
    UniqueConstraint("digest"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What a key may do, never the key itself.

    `permissions` maps a resource (`prices`) to `read` or `write`; a secret key needs none.
    """

    environment: str
    id: str
    kind: str
    name: str | None
    last4: str
    permissions: dict[str, str]
    created: datetime
    revoked_at: datetime | None = None

    @property
    def livemode(self) -> bool:
        """True in the one live environment, false in test and in every sandbox."""
        return self.environment == "live"

    def allows(self, resource: str, access: str) -> bool:
        """Whether the key may `read` or `write` the resource."""
        if self.kind == "secret":
            return True
        granted = self.permissions.get(resource)
        return granted == "write" or granted == access


def digest(secret: str) -> bytes:
    """The stored form of a key. Keys are 24+ random characters, so one fast hash is enough."""
    return hashlib.sha256(secret.encode()).digest()


def new_secret(environment: str, kind: str) -> str:
    """A fresh key in Stripe's spelling: `sk_live_…`, `sk_test_…`, `rk_…`; sandboxes use the test spelling."""
    prefix = "rk" if kind == "restricted" else "sk"
    mode = "live" if environment == "live" else "test"
    return f"{prefix}_{mode}_{secrets.token_hex(24)}"


async def add(
    tx: AsyncConnection,
    *,
    environment: str,
    secret: str,
    kind: str = "secret",
    name: str | None = None,
    permissions: dict[str, str] | None = None,
    now: datetime,
) -> bool:
    """Keep a key; False when it is kept already."""
    key = ApiKey(
        environment=environment,
        id=public("key"),
        kind=kind,
        name=name,
        last4=secret[-4:],
        permissions=permissions or {},
        created=now,
    )
    statement = insert(api_key).values(row.values(key, api_key, digest=digest(secret)))
    done = await tx.execute(statement.on_conflict_do_nothing(index_elements=["digest"]))
    return done.rowcount == 1


async def find(tx: AsyncConnection, secret: str) -> ApiKey | None:
    """The key with that secret, revoked ones included."""
    found = (await tx.execute(select(api_key).where(api_key.c.digest == digest(secret)))).one_or_none()
    return None if found is None else row.load(ApiKey, found)


async def all_of(tx: AsyncConnection, environment: str | None = None) -> Sequence[ApiKey]:
    """Every key, oldest first."""
    query = select(api_key).order_by(api_key.c.created, api_key.c.id)
    if environment is not None:
        query = query.where(api_key.c.environment == environment)
    return [row.load(ApiKey, found) for found in await tx.execute(query)]


async def revoke(tx: AsyncConnection, id: str, *, now: datetime) -> bool:
    """Refuse the key from now on; False when there is no such key in use."""
    done = await tx.execute(
        update(api_key).where(api_key.c.id == id, api_key.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    return done.rowcount == 1
