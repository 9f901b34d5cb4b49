"""The alert that every environment begins with has one id everywhere; what is done to it stays in its environment."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from meterline.limit.alert import INCLUDED_USAGE, LIFETIME, Watch
from meterline.store import alert
from meterline.store.database import Database, driver
from meterline.store.identifier import uuid7
from meterline.usecase.change_alert import become

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _told(environment: str) -> Watch:
    """A customer who was told of 80 %."""
    return Watch(
        environment=environment,
        customer_id=uuid7(),
        meter="mtr_tokens",
        alert=INCLUDED_USAGE,
        customer=f"cus_of_{environment}",
        test_clock=None,
        window_start=LIFETIME,
        window_end=None,
        size=Decimal(100),
        value=Decimal(85),
        crossed=(Decimal(80),),
    )


async def test_arming_the_common_alert_again_leaves_other_environments_alone(database: Database) -> None:
    here, elsewhere = _told("test"), _told("live")
    async with database.begin() as tx:
        await alert.begin(await driver(tx), [here, elsewhere])
    for status in ("inactive", "active"):
        async with database.begin() as tx:
            await become(tx, environment="test", id=INCLUDED_USAGE, status=status, now=NOW)
    async with database.begin() as tx:
        assert await alert.of_customer(tx, here.customer_id) == [replace(here, value=None, crossed=())]
        assert await alert.of_customer(tx, elsewhere.customer_id) == [elsewhere]
