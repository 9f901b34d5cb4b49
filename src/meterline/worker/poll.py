"""Ask the processor of live mode, every few minutes, what became of everything: news that were lost are found."""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import stripe
import structlog

from meterline.gateway.stripe_processor import Answer, StripeProcessor
from meterline.store.database import Database
from meterline.usecase.import_method import hear

log = structlog.get_logger(__name__)

EVERY = timedelta(minutes=5)
LOOKS_BACK = timedelta(days=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """The poller of one worker; several of them do no harm."""

    database: Database
    processor: StripeProcessor

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop` is set."""
        while not stop.is_set():
            try:
                await self.once(now=datetime.now(UTC).replace(microsecond=0))
            except stripe.StripeError:
                log.warning("processor_not_polled", exc_info=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), EVERY.total_seconds())

    async def once(self, *, now: datetime) -> int:
        """Hear everything of the last days; how many answers were about our attempts. `now` is the wall clock."""
        answers = await asyncio.to_thread(self._answers, now - LOOKS_BACK)
        return sum([await hear(self.database, answer, now=now) for answer in answers])

    def _answers(self, since: datetime) -> list[Answer]:
        return list(self.processor.answers_since(since))
