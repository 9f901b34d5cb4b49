"""Money that the card's bank took back, and what becomes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from meterline.payment.statement import StatementLine
from meterline.refusal import Refusal
from meterline.wallet.taken import Taken

DisputeStatus = Literal[
    "warning_needs_response",
    "warning_under_review",
    "warning_closed",
    "needs_response",
    "under_review",
    "won",
    "lost",
    "prevented",
]

_STAGE: dict[DisputeStatus, int] = {
    "warning_needs_response": 0,
    "warning_under_review": 1,
    "warning_closed": 2,
    "needs_response": 3,
    "under_review": 4,
    "won": 5,
    "lost": 5,
    "prevented": 5,
}
"""How far a dispute has come: news of an earlier stage are late. A warning is a question of the bank's, no more."""

CLOSED: frozenset[DisputeStatus] = frozenset({"warning_closed", "won", "lost", "prevented"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A bank's objection to a charge. `amount` (minor units) stays away from the house unless it is won.

    `brand` is the card's; `balance_transactions` are the lines of the statement that moved the money, the oldest
    first, as they were written.
    `reference` is the dispute's name at a processor over a network; `unsent` is what that one has not been told yet.
    """

    environment: str
    customer_id: UUID
    id: str
    charge: str
    payment: str
    processor: str
    amount: int
    currency: str
    reason: str
    status: DisputeStatus
    created: datetime
    due_by: datetime
    evidence: Mapping[str, str] = field(default_factory=dict)
    submissions: int = 0
    taken: Taken | None = None
    reference: str | None = None
    unsent: Literal["staged", "submitted", "accepted"] | None = None
    brand: str | None = None
    balance_transactions: tuple[StatementLine, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def away(self) -> bool:
        """Whether the bank has the money."""
        return self.status in ("needs_response", "under_review", "lost")


def argued(dispute: Dispute, *, evidence: Mapping[str, str], submit: bool) -> Dispute:
    """The dispute with (more) evidence, which the processor has to be told of."""
    require_open(dispute)
    collected = replace(dispute, evidence={**dispute.evidence, **evidence})
    if not submit or not collected.evidence:
        return replace(collected, unsent="staged")
    return replace(collected, unsent="submitted", submissions=collected.submissions + 1)


def accepted(dispute: Dispute) -> Dispute:
    """The dispute given up, which the processor has to be told of."""
    require_open(dispute)
    return replace(dispute, unsent="accepted")


def told(dispute: Dispute, status: DisputeStatus) -> Dispute:
    """The dispute after news of how it stands; late ones change nothing."""
    known = dispute.status
    later = _STAGE[status] > _STAGE[known]
    return replace(dispute, status=status) if later else dispute


def require_open(dispute: Dispute) -> None:
    """Refuses to argue about what is decided, or given up."""
    if dispute.status in CLOSED or dispute.unsent == "accepted":
        raise Refusal("This dispute is already closed")
