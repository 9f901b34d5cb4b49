"""E-mails about alerts, taken by a real SMTP server."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import httpx
import pytest
import pytest_asyncio
import stripe
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import select

from meterline.gateway.mail import Mailer
from meterline.store.database import Database
from meterline.store.mail import mail
from meterline.worker.mail import Mails


@dataclass(slots=True)
class Postbox:
    """An SMTP server's hook: keeps what it takes, or answers as told."""

    answer: str = "250 taken"
    taken: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002
        if self.answer.startswith("2"):
            content = envelope.content
            assert isinstance(content, bytes)
            self.taken.append(email.message_from_bytes(content, policy=email.policy.default))
        return self.answer


@pytest_asyncio.fixture
async def postbox() -> AsyncIterator[tuple[Postbox, Mailer]]:
    box = Postbox()
    listening = await asyncio.get_running_loop().create_server(lambda: SMTP(box), "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    yield box, Mailer.of(f"smtp+plain://127.0.0.1:{port}", sender="billing@meterline.example")
    listening.close()
    await listening.wait_closed()


def _cross(client: stripe.StripeClient, raw: httpx.Client, name: str) -> stripe.Customer:
    """A customer who crosses a level that somebody wants a mail about."""
    meter = client.v1.billing.meters.create(
        {"display_name": "Calls", "event_name": name, "default_aggregation": {"formula": "sum"}}
    )
    customer = client.v1.customers.create({})
    wanted = {"title": "Busy", "meter": meter.id, "levels[0]": "10", "emails[0]": "ops@meterline.example"}
    assert raw.post("/ops/alerts", data=wanted).status_code == 200
    payload = {"stripe_customer_id": customer.id, "value": "12"}
    client.v1.billing.meter_events.create({"event_name": name, "payload": payload})
    return customer


async def test_a_crossing_is_mailed_once(
    client: stripe.StripeClient, raw: httpx.Client, database: Database, postbox: tuple[Postbox, Mailer]
) -> None:
    box, mailer = postbox
    customer = _cross(client, raw, "mailed")
    mails = Mails(database=database, mailer=mailer)

    assert await mails.round() == 1
    assert await mails.round() == 0
    [message] = box.taken
    assert message["To"] == "ops@meterline.example"
    assert message["Subject"] == f"{customer.id} reached 10 on Calls: Busy"
    assert "Usage:     12" in message.get_content()


async def test_a_mail_that_was_not_taken_is_tried_again_as_the_same_mail(
    client: stripe.StripeClient, raw: httpx.Client, database: Database, postbox: tuple[Postbox, Mailer]
) -> None:
    box, mailer = postbox
    _cross(client, raw, "greylisted")
    box.answer = "451 later"
    assert await Mails(database=database, mailer=mailer).round() == 1
    box.answer = "250 taken"
    mails = Mails(database=database, mailer=mailer, clock=lambda: datetime.now(UTC) + timedelta(minutes=1))
    assert await mails.round() == 1
    async with database.begin() as tx:
        row = (await tx.execute(select(mail).order_by(mail.c.sequence.desc()).limit(1))).one()
    assert (row.status, row.attempts) == ("sent", 2)
    assert [message["Message-ID"] for message in box.taken] == [f"<{row.sequence}@meterline>"]


async def test_a_mail_that_is_refused_for_good_is_given_up(
    client: stripe.StripeClient, raw: httpx.Client, database: Database, postbox: tuple[Postbox, Mailer]
) -> None:
    box, mailer = postbox
    _cross(client, raw, "refused")
    box.answer = "554 never"
    assert await Mails(database=database, mailer=mailer).round() == 1
    async with database.begin() as tx:
        row = (await tx.execute(select(mail).order_by(mail.c.sequence.desc()).limit(1))).one()
    assert (row.status, row.last_error) == ("failed", "554 never")


@pytest.mark.parametrize("url", ["http://mail", "smtp://", "mail.example"])
def test_what_is_no_mail_server(url: str) -> None:
    with pytest.raises(ValueError, match="mail server"):
        Mailer.of(url, sender="a@b.example")
