"""Take back what one cause brought, a task or an outage: looked at first, then done, by the same steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.money import add
from meterline.refusal import Refusal
from meterline.store import event, wallet_event
from meterline.store.correction import Correction
from meterline.store.database import driver
from meterline.usecase.correct_usage import Author, void_event
from meterline.usecase.lock_usage import lock_usage

MOST = 1_000
"""Events that one call takes back, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Events as the wallet dialect told them: those that fit everything that is said. Instants are UTC."""

    ids: Sequence[str] | None = None
    subject: str | None = None
    event_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversed:
    """What was taken back, in the order in which it happened."""

    corrections: tuple[Correction, ...]

    @property
    def returned(self) -> Decimal:
        """How much came back to the wallet in all."""
        return add(*(Decimal(str(each.detail.get("returned", 0))) for each in self.corrections))


async def reverse(tx: AsyncConnection, *, of: Customer, which: Which, author: Author, now: datetime) -> Reversed:
    """Void every event that fits and still counts. Refuses more than MOST of them."""
    connection = await driver(tx)
    told = await wallet_event.fitting(
        connection,
        of.customer_id,
        ids=which.ids,
        subject=which.subject,
        event_type=which.event_type,
        since=which.since,
        until=which.until,
        limit=MOST + 1,
    )
    if len(told) > MOST:
        raise Refusal(f"More than {MOST} events fit; take them back in parts.", code="too_many_events")
    found = await event.parts_of(connection, customer_id=of.customer_id, told=told)
    await lock_usage(connection, environment=of.environment, marked=found)
    # What somebody took back before we had the locks does not count any more.
    found = await event.parts_of(connection, customer_id=of.customer_id, told=told)
    corrections = [await void_event(tx, found=each, public_customer=of.id, author=author, now=now) for each in found]
    return Reversed(corrections=tuple(corrections))


async def preview(tx: AsyncConnection, *, of: Customer, which: Which, author: Author, now: datetime) -> Reversed:
    """What `reverse` would do now; nothing stays of it."""
    attempt = await tx.begin_nested()
    try:
        return await reverse(tx, of=of, which=which, author=author, now=now)
    finally:
        await attempt.rollback()
