"""Stored events as they were when they came in, to be debited or taken out again."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import usage
from meterline.store.event import NewEvent, Stored
from meterline.store.usage import NO_DIMENSIONS, dimensions_text


def as_new(each: Stored) -> NewEvent:
    """A stored event as the wallet is debited for it."""
    return NewEvent(
        customer_id=UUID(bytes=each.customer_id.bytes),
        occurred_at=each.occurred_at,
        identifier16=each.identifier16,
        environment=each.environment,
        meter=each.meter,
        identifier=each.identifier,
        value=each.value,
        dimensions16=each.dimensions16,
        value16=each.value16,
        body16=each.body16,
        received_at=each.received_at,
        through_stripe=each.through_stripe,
    )


async def described(tx: AsyncConnection, events: Sequence[NewEvent]) -> list[NewEvent]:
    """The events with their dimension values, which are kept apart from them."""
    named: dict[UUID, str] = {}
    for each in events:
        if each.dimensions is None and each.dimensions16 != NO_DIMENSIONS and each.dimensions16 not in named:
            pairs = await usage.dimensions_of(tx, each.customer_id, each.meter, UUID(bytes=each.dimensions16.bytes))
            named[each.dimensions16] = dimensions_text(dict(pairs))
    return [
        msgspec.structs.replace(each, dimensions=named[each.dimensions16]) if each.dimensions16 in named else each
        for each in events
    ]
