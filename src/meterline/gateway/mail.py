"""Sends e-mail through an SMTP server."""

from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

import aiosmtplib

_TIMEOUT_S = 20.0

Encryption = Literal["none", "starttls", "tls"]


class Undeliverable(Exception):
    """The server did not take the mail; `for_good` says that it never will."""

    def __init__(self, message: str, *, for_good: bool) -> None:
        super().__init__(message)
        self.for_good = for_good


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailer:
    """A mail server and the address that mails come from."""

    host: str
    port: int
    sender: str
    user: str | None = None
    password: str | None = None
    encryption: Encryption = "starttls"

    @classmethod
    def of(cls, url: str, *, sender: str) -> Self:
        """From a URL: `smtp://host:587` (STARTTLS), `smtps://host:465` (TLS), `smtp+plain://host:25` (neither).

        A user and a password may stand before the host. Raises ValueError for anything else.
        """
        encryptions: dict[str, tuple[Encryption, int]] = {
            "smtp": ("starttls", 587),
            "smtps": ("tls", 465),
            "smtp+plain": ("none", 25),
        }
        parts = urlsplit(url)
        if parts.scheme not in encryptions or not parts.hostname:
            raise ValueError("a mail server is given as smtp://, smtps:// or smtp+plain://host:port")
        encryption, port = encryptions[parts.scheme]
        return cls(
            host=parts.hostname,
            port=parts.port or port,
            sender=sender,
            user=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            encryption=encryption,
        )

    async def send(self, *, to: str, subject: str, text: str, id: str, now: datetime) -> None:
        """Hand one mail to the server. `id` makes the Message-ID, so that a mail sent twice can be told as one.

        Raises Undeliverable.
        """
        message = EmailMessage()
        message["From"] = self.sender
        message["To"] = to
        message["Subject"] = subject
        message["Date"] = format_datetime(now)
        message["Message-ID"] = f"<{id}@meterline>"
        message.set_content(text)
        try:
            await aiosmtplib.send(
                message,
                hostname=self.host,
                port=self.port,
                username=self.user,
                password=self.password,
                use_tls=self.encryption == "tls",
                start_tls=self.encryption == "starttls",
                timeout=_TIMEOUT_S,
            )
        except aiosmtplib.SMTPResponseException as error:
            raise Undeliverable(f"{error.code} {error.message}"[:500], for_good=error.code >= 500) from error
        except aiosmtplib.SMTPRecipientsRefused as error:
            told = error.recipients[0] if error.recipients else None
            code = getattr(told, "code", 450)
            raise Undeliverable(f"the recipient was refused: {told}"[:500], for_good=code >= 500) from error
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise Undeliverable(f"{type(error).__name__}: {error}"[:500], for_good=False) from error
