"""Who is in the portal, what a section of it is made of, and what an act in it comes to."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer.portal import FlowType
from meterline.store.wallet import Wallet
from meterline.usecase.enter_portal import Visit

FORM_FIELD = "form_token"
"""The field of every form that says where it comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A customer who asks for a page. `home` is the path that their portal is at; `secret` is what their cookie holds.

    `wall` is the wall clock, `query` and `said` what the address and the form say.
    """

    visit: Visit
    wallet: Wallet | None
    secret: str
    home: str
    wall: datetime
    query: Mapping[str, str] = field(default_factory=dict)
    said: Mapping[str, str] = field(default_factory=dict)

    @property
    def second(self) -> datetime:
        """The end of the second that it is for the customer: what was given to them within it is there already."""
        return self.visit.now + timedelta(microseconds=999_999)

    @property
    def form_token(self) -> str:
        """What the forms of this visitor carry, and no other site can know."""
        return hmac.new(self.secret.encode(), b"form", hashlib.sha256).hexdigest()[:32]

    def sent_this_form(self) -> bool:
        """Whether the form came from a page of ours."""
        return hmac.compare_digest(self.form_token.encode(), self.said.get(FORM_FIELD, "").encode())


Note: TypeAlias = Literal[
    "added", "card_added", "card_chosen", "card_removed", "changed", "ended", "kept", "lifted", "limited", "recharging",
    "not_recharging", "saved",
]  # fmt: skip

NOTES: Mapping[str, str] = {
    "added": "The amount was added to your balance.",
    "card_added": "Your card was saved.",
    "card_chosen": "You pay with this card from now on.",
    "card_removed": "The card was removed.",
    "changed": "Your subscription was changed.",
    "ended": "Your subscription was canceled.",
    "kept": "Your subscription goes on.",
    "lifted": "The budget was lifted.",
    "limited": "The budget applies from now on.",
    "recharging": "Auto-recharge is on.",
    "not_recharging": "Auto-recharge is off.",
    "saved": "Your details were saved.",
}


@dataclass(frozen=True, slots=True)
class Done:
    """It was done; the section is shown again with the note."""

    note: Note


@dataclass(frozen=True, slots=True)
class Problem:
    """It was tried, and what came of it is kept; the section is shown again with the reason."""

    message: str


Outcome: TypeAlias = Done | Problem | Response
Show: TypeAlias = Callable[[AsyncConnection, Guest], Awaitable[Mapping[str, Any]]]
Act: TypeAlias = Callable[[AsyncConnection, Guest], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One page of the portal: what it shows, who has it, and what can be done on it."""

    name: str
    title: str
    template: str
    show: Show
    has: Callable[[Guest], bool]
    acts: Mapping[str, Act] = field(default_factory=dict)
    flows: tuple[FlowType, ...] = ()
    live: bool = False
