"""Batches that meet a newer catalog and then lose their connection: every part is answered once."""

from collections.abc import Sequence
from typing import Any

import pytest

from meterline.meter.intake import Problem
from meterline.store.database import Database
from meterline.store.event import NewEvent
from meterline.usecase import write_events
from meterline.usecase.ingest_events import Told
from meterline.usecase.write_events import Accepted, Chunk, Refused, Stale, Ticket, Writer
from tests.ingest.world import NOW, World, event, world

GONE = Problem("archived_meter", "The meter is inactive.")


async def _chunk(w: World, told: Told, *, of: int = 1) -> Chunk:
    """A part of a call that consists of `of` parts."""
    catalog = await w.ingest.directory.catalog(w.environment)
    [ready] = await w.ingest._check([told], w.environment, catalog, [NOW], through_stripe=False)
    assert not isinstance(ready, Problem)
    ticket, _ = Ticket.awaited([None] * of, parts=of)
    return Chunk(ticket, w.environment, catalog.version, [0], [told], [ready])


async def test_a_part_refused_by_a_newer_catalog_is_answered_once_though_the_batch_is_tried_again(
    database: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        refused, kept = await _chunk(w, event("1", id="a"), of=2), await _chunk(w, event("2", id="b"))
        events: dict[int, NewEvent | Problem] = {id(refused.told[0]): GONE, id(kept.told[0]): kept.events[0]}
        failures: list[Exception] = [Stale(), ConnectionResetError(), Stale(), ConnectionResetError()]
        real = write_events.record

        async def record(*arguments: Any, **named: Any) -> Any:
            if failures:
                raise failures.pop(0)
            return await real(*arguments, **named)

        async def recheck(_environment: str, told: Sequence[Any], *_: Any) -> tuple[int, "list[NewEvent | Problem]"]:
            return refused.version, [events[id(each)] for each in told]

        monkeypatch.setattr(write_events, "record", record)
        writer = Writer(dsn, recheck, patience_s=15)
        await writer.commit([refused, kept])
        await writer.close()
        assert refused.ticket.waiting == 1
        assert refused.ticket.fates[0] == Refused(GONE)
        assert isinstance(kept.ticket.settled()[0], Accepted)
        assert await w.used() == 2


async def test_an_event_without_an_identifier_counts_once_though_its_answer_was_lost_and_the_catalog_changed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        real = write_events.record_at_once
        lost: list[bool] = []

        async def record_at_once(*arguments: Any, **named: Any) -> Any:
            fates = await real(*arguments, **named)
            if fates and not lost:
                lost.append(True)
                await w.add_meter("calls")
                raise ConnectionResetError
            return fates

        await w.tell(event("1", id="first"))
        monkeypatch.setattr(write_events, "record_at_once", record_at_once)
        fates = await w.tell(event("2"))
        assert lost and isinstance(fates[0], Accepted)
        assert await w.used() == 3
