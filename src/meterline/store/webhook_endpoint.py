"""Webhook endpoints and event destinations: one table, as they differ in spelling only."""

import secrets
from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    PrimaryKeyConstraint,
    Select,
    Table,
    Text,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.notice.endpoint import MAX_ENDPOINTS, Payload, WebhookEndpoint
from meterline.refusal import Missing, Refusal
from meterline.store import row, schema
from meterline.store.page import Cursor, Page, page

webhook_endpoint = Table(
    "webhook_endpoint",
    schema.metadata,
    schema.environment(),
    schema.public_id(),
    schema.sequence(),
    Column("url", Text, nullable=False),
    schema.document("enabled_events"),
    Column("payload", Text, nullable=False),
    Column("api_version", Text),
    Column("status", Text, nullable=False),
    Column("name", Text),
    Column("description", Text),
    schema.document("metadata"),
    schema.document("secrets"),
    schema.instant("created", nullable=False),
    schema.instant("updated", nullable=False),
    PrimaryKeyConstraint("environment", "id"),
    Index("ix_webhook_endpoint_sequence", "environment", "sequence"),
)


def new_secret() -> str:
    """A fresh signing secret."""
    return f"whsec_{secrets.token_hex(32)}"


async def add(tx: AsyncConnection, new: WebhookEndpoint) -> None:
    """Insert an endpoint; refuses the one too many. Concurrent adds in an environment wait for each other."""
    there = webhook_endpoint.c.environment == new.environment
    await tx.execute(select(webhook_endpoint.c.id).where(there).order_by(webhook_endpoint.c.id).with_for_update())
    count = await tx.scalar(select(func.count()).select_from(webhook_endpoint).where(there))
    if count is not None and count >= MAX_ENDPOINTS:
        raise Refusal(
            f"You have reached the maximum of {MAX_ENDPOINTS} webhook endpoints.", code="webhook_endpoint_limit"
        )
    await tx.execute(insert(webhook_endpoint).values(row.values(new, webhook_endpoint)))


async def find(
    tx: AsyncConnection, environment: str, id: str, *, among: Collection[Payload] | None = None
) -> WebhookEndpoint:
    """The endpoint of that id, if it gets one of those payloads. Raises Missing (the call's own subject)."""
    return _one((await tx.execute(_of_id(environment, id, among))).one_or_none(), id)


async def lock(
    tx: AsyncConnection, environment: str, id: str, *, among: Collection[Payload] | None = None
) -> WebhookEndpoint:
    """As `find`, locked until the transaction ends."""
    return _one((await tx.execute(_of_id(environment, id, among).with_for_update())).one_or_none(), id)


def _of_id(environment: str, id: str, among: Collection[Payload] | None) -> Select[Any]:
    query = select(webhook_endpoint).where(webhook_endpoint.c.environment == environment, webhook_endpoint.c.id == id)
    return query if among is None else query.where(webhook_endpoint.c.payload.in_(among))


def _one(found: object, id: str) -> WebhookEndpoint:
    if found is None:
        raise Missing("webhook endpoint", id, param="id", subject=True)
    return row.load(WebhookEndpoint, found)  # type: ignore[arg-type]


async def save(tx: AsyncConnection, changed: WebhookEndpoint) -> None:
    """Write a changed endpoint back."""
    await tx.execute(update(webhook_endpoint).where(*_is(changed)).values(row.values(changed, webhook_endpoint)))


async def remove(tx: AsyncConnection, endpoint: WebhookEndpoint) -> None:
    """Forget the endpoint."""
    await tx.execute(delete(webhook_endpoint).where(*_is(endpoint)))


def _is(endpoint: WebhookEndpoint) -> tuple[ColumnElement[bool], ...]:
    return (
        webhook_endpoint.c.environment == endpoint.environment,
        webhook_endpoint.c.id == endpoint.id,
    )


async def all_of(tx: AsyncConnection, environment: str, *, among: Collection[Payload]) -> list[WebhookEndpoint]:
    """Every endpoint of the environment that gets one of those payloads, oldest first."""
    query = select(webhook_endpoint).where(
        webhook_endpoint.c.environment == environment, webhook_endpoint.c.payload.in_(among)
    )
    found = await tx.execute(query.order_by(webhook_endpoint.c.sequence))
    return [row.load(WebhookEndpoint, each) for each in found]


async def listed(tx: AsyncConnection, environment: str, cursor: Cursor, *, among: Collection[Payload]) -> Page:
    """A page of the endpoints that get one of those payloads, newest first."""
    scope = webhook_endpoint.c.environment == environment
    query = select(webhook_endpoint).where(scope, webhook_endpoint.c.payload.in_(among))
    return await page(tx, query, webhook_endpoint, kind="webhook endpoint", scope=scope, cursor=cursor)
