"""What Meterline asks of a card processor. Every implementation passes the same suite of behaviour."""

from dataclasses import dataclass
from typing import Protocol

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
    """Money to be moved: `amount` in minor units of `currency`. The same `key` never moves it twice."""

    key: str
    reference: str
    amount: int
    currency: str
    off_session: bool


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
        """Move the money, or say why not."""
        ...
