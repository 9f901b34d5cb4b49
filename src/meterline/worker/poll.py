"""Ask the processor of live mode, every few minutes, what became of everything, and where the money is."""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import stripe
import structlog

from meterline.gateway.stripe_news import About, News
from meterline.gateway.stripe_processor import StripeProcessor
from meterline.store import dispute as disputes
from meterline.store import payment as payments
from meterline.store import refund as refunds
from meterline.store.database import Database
from meterline.usecase.hear_processor import hear
from meterline.usecase.reconcile_processor import reconcile

log = structlog.get_logger(__name__)

EVERY = timedelta(minutes=5)
LOOKS_BACK = timedelta(days=2)
BEFORE = timedelta(hours=1)
"""How much earlier a processor may have seen what we asked: no two clocks are the same."""


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
        """Hear everything of the last days, and of all that is still open; reconcile. How much was found.

        `now` is the wall clock, UTC.
        """
        async with self.database.begin() as tx:
            oldest: dict[About, datetime | None] = {
                "payments": await payments.oldest_unanswered(tx, self.processor.name),
                "refunds": await refunds.oldest_pending(tx, self.processor.name),
                "disputes": await disputes.oldest_open(tx, self.processor.name),
            }
        found = 0
        for about, first in oldest.items():
            since = min(now - LOOKS_BACK, (first or now) - BEFORE)
            for news in await asyncio.to_thread(self._news, about, since):
                found += await hear(self.database, news, now=now)
        return found + await reconcile(self.database, self.processor.statement, now=now)

    def _news(self, about: About, since: datetime) -> list[News]:
        return list(self.processor.news_since(about, since))
