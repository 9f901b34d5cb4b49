"""A notice of a kind that this server does not know, as a newer one may have written, makes no list unreadable."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import stripe

from meterline.store import notice
from meterline.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Surprise:
    """Something that nobody registered how to show."""

    id: str
    secret: str


async def _tell(dsn: str) -> None:
    database = Database(dsn)
    await database.open()
    try:
        async with database.begin() as tx:
            await notice.add(
                tx,
                environment="test",
                customer_id=None,
                type="surprise.updated",
                subject=Surprise(id="sup_1", secret="hush"),
                previous=Surprise(id="sup_1", secret="before"),
                now=datetime.now(UTC),
            )
    finally:
        await database.close()


def test_a_notice_of_an_unknown_kind_is_shown_by_its_id_alone(client: stripe.StripeClient, dsn: str) -> None:
    product = client.v1.products.create({"name": "Known"})
    asyncio.run(_tell(dsn))

    newest, before = client.v1.events.list({"limit": 2}).data
    assert (newest.type, before.data.object["id"]) == ("surprise.updated", product.id)
    assert newest.data.object.to_dict() == {"id": "sup_1", "object": "surprise"}
    thin = client.v2.core.events.retrieve(newest.id)
    assert thin.type == "v1.surprise.updated"
