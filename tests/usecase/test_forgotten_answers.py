"""Answers under idempotency keys are kept for their thirty days and not for ever."""

from datetime import UTC, datetime, timedelta

from meterline.store import idempotency
from meterline.store.database import Database
from meterline.store.idempotency import KEPT, Answer
from meterline.usecase.keep_usage import upkeep

NOW = datetime(2026, 3, 1, 3, tzinfo=UTC)


def _answered(at: datetime) -> Answer:
    return Answer(fingerprint=b"f", request_id="req_1", status=200, body=b"{}", created=at)


async def test_the_nightly_upkeep_forgets_answers_past_their_time(database: Database) -> None:
    async with database.begin() as tx:
        await idempotency.keep(tx, "test", "old", _answered(NOW - KEPT - timedelta(seconds=1)))
        await idempotency.keep(tx, "test", "young", _answered(NOW - KEPT + timedelta(seconds=1)))
    await upkeep(database, now=NOW)
    async with database.begin() as tx:
        assert await idempotency.find(tx, "test", "old") is None
        assert await idempotency.find(tx, "test", "young") is not None
