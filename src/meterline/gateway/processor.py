"""What Meterline asks of a card processor. Every implementation passes the same suite of behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from meterline.payment.dispute import DisputeStatus
from meterline.payment.method import Card
from meterline.payment.payment import Outcome, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class CardDetails:
    """A card as an API client gives it: by a processor's token, or by number."""

    token: str | None = None
    number: str | None = None
    exp_month: int | None = None
    exp_year: int | None = None
    cvc: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A card that the processor keeps: its name for it, and what may be shown."""

    reference: str
    card: Card


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Money to be moved: `amount` in minor units of `currency`. The same `key` never moves it twice.

    Without `capture` the money is only authorized. `authenticated` says that the card's holder has confirmed.
    `again` says that the same was asked before and no answer is known. `return_url` is where the holder goes then.
    `asked_at` is when it was asked for the first time, UTC.
    """

    key: str
    reference: str
    amount: int
    currency: str
    off_session: bool
    capture: bool = True
    authenticated: bool = False
    again: bool = False
    return_url: str | None = None
    asked_at: datetime | None = None


class Processor(Protocol):
    """A place where cards are kept and money is moved.

    `networked` says that asking leaves this process: such a processor is never asked inside a transaction.
    """

    name: str
    networked: bool

    def register(self, details: CardDetails) -> Registered | Refused:
        """Hand a card over; refused when it cannot be one."""
        ...

    def named(self, payment_method: str) -> Registered | None:
        """The card behind one of the processor's own well-known method ids, if that is one."""
        ...

    def verify(self, reference: str) -> Refused | None:
        """Check that the card can be saved for later use; None when it can."""
        ...

    def collect(self, collection: Collection) -> Outcome:
        """Move the money, or say why not; Unknown when nobody can tell yet."""
        ...

    def capture(self, reference: str, *, amount: int, key: str) -> Refused | None:
        """Take `amount` (minor units) of what was authorized under that reference; None when it was taken."""
        ...

    def release(self, reference: str, *, key: str) -> Outcome:
        """Let go of what was authorized or waits for the card's holder; Succeeded where the money was taken already."""
        ...

    def refund(self, reference: str, *, amount: int, currency: str, key: str, again: bool = False) -> Outcome:
        """Give back `amount` (minor units) of what was taken under that reference. The same key never does it twice.

        `again` says that the same was asked before.
        """
        ...

    def disputed(self, reference: str) -> str | None:
        """Whether the bank disputes money taken with that card, and for which reason; a real one tells later."""
        ...

    def argue(self, reference: str, *, evidence: Mapping[str, str], submit: bool, key: str) -> DisputeStatus:
        """Give evidence about the dispute that is known there by that name; how the dispute stands then."""
        ...

    def accept(self, reference: str, *, key: str) -> DisputeStatus:
        """Accept that a dispute is lost; how it stands then."""
        ...
