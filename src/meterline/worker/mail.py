"""Sends the e-mails that wait."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from meterline.gateway.mail import Mailer, Undeliverable
from meterline.notice.schedule import next_attempt
from meterline.store import mail as store
from meterline.store.database import Database
from meterline.store.mail import Mail
from meterline.worker.delivery import wall_clock

log = structlog.get_logger(__name__)

_INTERRUPTIONS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError)
_BATCH = 20


@dataclass(slots=True, kw_only=True)
class Mails:
    """The mailing part of a worker process. A mail is sent at least once; a repeated one has the same Message-ID."""

    database: Database
    mailer: Mailer
    lease: timedelta = timedelta(minutes=10)
    poll: timedelta = timedelta(seconds=2)
    clock: Callable[[], datetime] = wall_clock

    async def run(self, stop: asyncio.Event) -> None:
        """Send what is due until `stop` is set."""
        while not stop.is_set():
            try:
                if await self.round():
                    continue
            except _INTERRUPTIONS:
                log.exception("mail_interrupted")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self.poll.total_seconds())

    async def round(self) -> int:
        """Send what is due now; how many were attempted."""
        async with self.database.begin() as tx:
            claimed = await store.claim(tx, now=self.clock(), lease=self.lease, limit=_BATCH)
        for each in claimed:
            await self._send(each)
        return len(claimed)

    async def _send(self, mail: Mail) -> None:
        try:
            await self.mailer.send(
                to=mail.recipient, subject=mail.subject, text=mail.body, id=str(mail.sequence), now=mail.created
            )
        except Undeliverable as error:
            now = self.clock()
            retry_at = None if error.for_good else next_attempt(attempts=mail.attempts, now=now)
            log.warning("mail_refused", error=str(error), attempts=mail.attempts, given_up=retry_at is None)
            async with self.database.begin() as tx:
                await store.refused(tx, mail, error=str(error), retry_at=retry_at, now=now)
        else:
            async with self.database.begin() as tx:
                await store.sent(tx, mail, now=self.clock())
