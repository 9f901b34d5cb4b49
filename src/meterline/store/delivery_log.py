"""The delivery log of a dialect: every notice on its way to an endpoint, with what became of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.notice.endpoint import Payload
from meterline.store.delivery import Status, delivery, delivery_attempt
from meterline.store.notice import Notice, notice
from meterline.store.row import load
from meterline.store.webhook_endpoint import webhook_endpoint

MOST_DIGITS = 18
"""Of a position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the log is narrowed to. `delivered` False: what could not be delivered (yet). Places are of deliveries."""

    endpoint: str | None = None
    delivered: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    older_than: tuple[int, str] | None = None
    newer_than: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A notice on its way to an endpoint, and its latest attempt (null: none yet)."""

    notice: Notice
    endpoint: str
    position: int
    status: Status
    attempts: int
    due_at: datetime
    settled_at: datetime | None
    attempted_at: datetime | None
    response_status: int | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """Some of it, newest first; whether there is older and newer."""

    told: list[Told]
    older: bool
    newer: bool


async def page(tx: AsyncConnection, environment: str, wanted: Wanted, *, payload: Payload, limit: int) -> LogPage:
    """Deliveries to the endpoints that get that payload, newest notice first."""
    key, tried = delivery.c, delivery_attempt
    latest = (
        select(tried.c.started_at.label("attempted_at"), tried.c.response_status, tried.c.error)
        .where(tried.c.endpoint == key.endpoint, tried.c.position == key.position)
        .order_by(tried.c.sequence.desc())
        .limit(1)
        .lateral("latest")
    )
    those = [key.endpoint, key.position.label("at"), key.status, key.attempts, key.due_at, key.settled_at]
    query = (
        select(notice, *those, latest.c.attempted_at, latest.c.response_status, latest.c.error)
        .select_from(delivery)
        .join(webhook_endpoint, webhook_endpoint.c.id == key.endpoint)
        .join(notice, notice.c.position == key.position)
        .outerjoin(latest, true())
        .where(key.environment == environment, webhook_endpoint.c.environment == environment)
        .where(webhook_endpoint.c.payload == payload)
    )
    if wanted.endpoint is not None:
        query = query.where(key.endpoint == wanted.endpoint)
    if wanted.delivered is not None:
        undelivered = (key.status == "failed") | ((key.status == "pending") & (key.attempts > 0))
        query = query.where(key.status == "delivered" if wanted.delivered else undelivered)
    if wanted.since is not None:
        query = query.where(notice.c.created >= wanted.since)
    if wanted.until is not None:
        query = query.where(notice.c.created <= wanted.until)
    place = tuple_(key.position, key.endpoint)
    if wanted.older_than is not None:
        query = query.where(place < wanted.older_than)
    if wanted.newer_than is not None:
        query = query.where(place > wanted.newer_than).order_by(key.position, key.endpoint)
    else:
        query = query.order_by(key.position.desc(), key.endpoint.desc())
    rows = (await tx.execute(query.limit(limit + 1))).all()
    beyond, found = len(rows) > limit, [_told(each) for each in rows[:limit]]
    if wanted.newer_than is not None:
        return LogPage(told=found[::-1], older=True, newer=beyond)
    return LogPage(told=found, older=beyond, newer=wanted.older_than is not None)


def _told(found: Row[Any]) -> Told:
    return Told(
        notice=load(Notice, found),
        endpoint=found.endpoint,
        position=found.at,
        status=found.status,
        attempts=found.attempts,
        due_at=found.due_at,
        settled_at=found.settled_at,
        attempted_at=found.attempted_at,
        response_status=found.response_status,
        error=found.error,
    )
